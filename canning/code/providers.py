"""Which package provides a module, where pip calls it otherwise, or nobody would guess."""

from __future__ import annotations

from typing import Final

PROVIDERS: Final = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "igraph": "python-igraph",
    "jwt": "PyJWT",
    "osgeo": "GDAL",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "usb": "pyusb",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
    **{
        name: name
        for name in (
            *("numpy", "scipy", "pandas", "polars", "pyarrow", "xarray", "dask", "distributed", "joblib"),
            *("torch", "torchvision", "tensorflow", "jax", "flax", "keras", "transformers", "xgboost"),
            *("lightgbm", "catboost", "statsmodels", "networkx", "sympy", "matplotlib", "seaborn", "plotly"),
            *(
                "pydantic",
                "requests",
                "sqlalchemy",
                "h5py",
                "zarr",
                "numba",
                "cloudpickle",
                "dill",
                "shapely",
            ),
            *("geopandas", "astropy", "rich", "tqdm", "psutil", "ray", "ipyparallel", "ml_dtypes"),
        )
    },
}
"""What pip calls the packages that provide well-known modules."""
