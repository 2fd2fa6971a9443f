"""Compare the writer's environment with the reader's, before anything of a message runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ..errors import DeserializationError, VersionMismatch, VersionWarning, warn
from ..memory.buffers import flat
from ..pickles.headers import name_within
from ..wire.trailer import BIG_ENDIAN, CODE, NARROW, NATIVE, VERSIONS, Trailer, parse

_HERE: Final = (*sys.version_info[:2], *map(int, np.__version__.split(".")[:2]))
_STAMP: Final = bytes(_HERE)
_KNOWN: Final = (
    frozenset(("numpy", "canning", "transport", "__main__", "__mp_main__")) | sys.stdlib_module_names
)
"""Modules whose version is in the stamp, or that have no version."""
_MACHINE: Final = NARROW | BIG_ENDIAN
_LINES: Final = 64
_RELEASE: Final = r"\d+(?:\.\d+)?"


# -- the writer's side -----------------------------------------------------------------------------------


def note_class(cls: type, noted: dict[str, str]) -> None:
    """Record the version of a class's package, by the package's name, if it has one."""
    module: Any = cls.__module__  # a property of some metaclasses
    top = module.partition(".")[0] if isinstance(module, str) else ""
    if top not in noted and top not in _KNOWN:
        version = version_of(top)
        if version is not None:
            noted[top] = version


def versions_in(body: bytes, noted: Mapping[str, str]) -> bytes:
    r"""List the recorded packages that a header names, with their versions: a line for each.

    >>> versions_in(b"\x80\x05\x8c\x08shop.one\x94\x8c\x04Item\x94\x93\x94.", {"shop": "1.2", "other": "3"})
    b'shop 1.2'
    """
    lines = (f"{top} {version}" for top, version in sorted(noted.items()) if _names(body, top))
    return "\n".join(lines).encode("utf-8", "replace")


def _names(body: bytes, top: str) -> bool:
    raw = top.encode("utf-8", "replace")
    return raw in body and name_within(raw).search(body) is not None


def version_of(top: str) -> str | None:
    """Return the version of a package by its import name; None if it has none."""
    module = sys.modules.get(top)
    version = None if module is None else vars(module).get("__version__")
    if isinstance(version, str) and version:
        return version.split()[0]
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    return _installed_version(top) if module is None or "-packages" in origin else None


@lru_cache(maxsize=256)
def _installed_version(top: str) -> str | None:
    from importlib import metadata  # its import takes as long as a third of this package's

    try:
        return metadata.version(PROVIDERS.get(top, top))
    except (metadata.PackageNotFoundError, ValueError):
        return None


# -- the reader's side -----------------------------------------------------------------------------------


def check_versions(trailer: Trailer, on_mismatch: str) -> None:
    """Compare the environment of a message that holds code, or objects of packages, with this one.

    Code of another minor version of Python does not run: it raises `VersionMismatch`. Other versions of numpy
    and of the packages, another byte order or word size may work, and raise a warning. That is ``"auto"``;
    ``"error"`` and ``"warn"`` treat both cases alike, and ``"ignore"`` compares nothing.
    """
    if on_mismatch == "ignore":
        return
    same = trailer.stamp[:4] == _STAMP and not (trailer.flags ^ NATIVE) & _MACHINE
    if same and VERSIONS not in trailer.extensions:
        return
    there = tuple(trailer.stamp[:4])
    if trailer.flags & CODE and there[:2] != _HERE[:2]:
        text = (
            f"this message holds functions as code of Python {there[0]}.{there[1]}, and this is Python "
            f"{_HERE[0]}.{_HERE[1]}, which cannot run that: send from Python {_HERE[0]}.{_HERE[1]}, or with "
            'by_value_as="source", or only functions that can be imported here'
        )
        _tell(text, "error" if on_mismatch == "auto" else on_mismatch)
    others = list(differences(trailer))
    if others:
        what = "code" if trailer.flags & CODE else "objects of other packages"
        text = f"this message holds {what}, which may not work here: it was written with {', '.join(others)}"
        _tell(text, "warn" if on_mismatch == "auto" else on_mismatch)


def _tell(text: str, how: str) -> None:
    if how == "error":
        raise VersionMismatch(text)
    warn(text, VersionWarning)


def differences(trailer: Trailer, *, python: bool = False) -> Iterator[str]:
    """Describe how the writer's environment differs from this one: ``"numpy 1.26; here is 2.4.6"``."""
    major, minor, numpy_major, numpy_minor = trailer.stamp[:4]
    if python and major and (major, minor) != _HERE[:2]:
        yield f"Python {major}.{minor}; here is {_HERE[0]}.{_HERE[1]}"
    if numpy_major not in (0, _HERE[2]):  # 0: a writer that is not Python
        yield f"numpy {numpy_major}.{numpy_minor}; here is {np.__version__}"
    if (trailer.flags ^ NATIVE) & NARROW:
        yield f"Python of {32 if trailer.flags & NARROW else 64} bits; here is the other"
    if (trailer.flags ^ NATIVE) & BIG_ENDIAN:
        yield f"a {'big' if trailer.flags & BIG_ENDIAN else 'little'}-endian machine; here is the other"
    yield from _other_packages(trailer.extensions.get(VERSIONS, b""))


def say_whence(error: DeserializationError, head: object) -> DeserializationError:
    """Add the differences of the writer's environment to the error of a message that could not be read."""
    if type(error) is not DeserializationError or error.__cause__ is None:
        return error
    try:
        trailer = parse(flat(head))
    except DeserializationError:  # the error already says so
        return error
    others = [] if trailer is None else list(differences(trailer, python=True))
    said = f"{error}; it was written with {', '.join(others)}"
    return DeserializationError(said, error.path) if others else error


def _other_packages(said: bytes) -> Iterator[str]:
    for top, there in packages(said):
        here = version_of(top) if top.isidentifier() else None
        if here is not None and _release(here) != _release(there):
            yield f"{top} {there}; here is {here}"


def packages(said: bytes) -> list[tuple[str, str]]:
    """Read the result of `versions_in`: names and versions, shortened if they are long.

    >>> packages(b"shop 1.2")
    [('shop', '1.2')]
    """
    lines = [line.split(" ") for line in said.decode("utf-8", "replace").split("\n")[:_LINES]]
    return [(ascii(line[0])[1:-1][:60], ascii(line[1])[1:-1][:30]) for line in lines if len(line) == 2]


def _release(version: str) -> str:
    """Shorten a version to the parts that may matter: major and minor."""
    found = re.match(_RELEASE, version)
    return found[0] if found else version


# -- the names of packages ------------------------------------------------------------------------------

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
"""pip's names of the packages that provide well-known modules."""
