"""The rows of the codec suite for what other packages make; those whose package is not here are left out."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from .results import BEST, Times
from .workloads import PICKLE, Row

_MANY: Final = 200_000


def names() -> list[str]:
    """Make 200,000 short texts, all different."""
    return [f"name {number}" for number in range(_MANY)]


def small_frame() -> Any:
    """Make a table of 10 rows with a column of text."""
    import pandas as pd

    return pd.DataFrame({"a": range(10), "b": np.arange(10.0), "c": [str(number) for number in range(10)]})


def wide_frame() -> Any:
    """Make a table of 1,000 columns, each third of them text."""
    import pandas as pd

    text = [str(number) for number in range(100)]
    return pd.DataFrame({f"c{i}": np.arange(100) if i % 3 else text for i in range(1000)})


def mixed_frame(rows: int, columns: int) -> Any:
    """Make a table of numbers, times, categories, truths and text, a column each in turn."""
    import pandas as pd

    random, start = np.random.default_rng(0), pd.Timestamp("2020")
    text = [f"name {number}" for number in range(min(rows, _MANY))]
    made: dict[str, Any] = {}
    for number in range(columns):
        made[f"c{number}"] = (
            np.arange(rows),
            random.random(rows),
            pd.date_range(start, periods=rows, freq="s"),
            pd.Categorical.from_codes(np.arange(rows) % 3, pd.Index(["x", "y", "z"])),
            np.arange(rows) % 2 == 0,
            text if len(text) == rows else np.arange(rows),
        )[number % 6]
    return pd.DataFrame(made)


def numbers_frame(rows: int, columns: int) -> Any:
    """Make a table of numbers in one piece of memory."""
    import pandas as pd

    names = [f"c{number}" for number in range(columns)]
    return pd.DataFrame(np.random.default_rng(0).random((rows, columns)), columns=names)


def objects_frame() -> Any:
    """Make a table of a column of text, in Python's own strings."""
    import pandas as pd

    return pd.DataFrame({"s": pd.Series(names(), dtype=object)})


def times_frame() -> Any:
    """Make a table of a column of times."""
    import pandas as pd

    return pd.DataFrame({"t": pd.date_range("2020", periods=_MANY, freq="s")})


def categories_frame(names: int) -> Any:
    """Make a table of a column of so many categories."""
    import pandas as pd

    codes = np.random.default_rng(0).integers(0, names, _MANY)
    words = pd.Index([f"name {number}" for number in range(names)])
    return pd.DataFrame({"k": pd.Categorical.from_codes(codes, words)})


def text_frame() -> Any:
    """Make a table of a column of text."""
    import pandas as pd

    return pd.DataFrame({"s": names()})


def arrow_table() -> Any:
    """Make an Arrow table of numbers and text."""
    import pyarrow as pa

    return pa.table({"n": np.arange(_MANY), "s": names()})


def arrow_slice() -> Any:
    """Take 1,000 rows out of it."""
    return arrow_table().slice(100_000, 1000)


def arrow_nested() -> Any:
    """Make an Arrow array of lists of numbers, and structs with a dictionary."""
    import pyarrow as pa

    lists = pa.ListArray.from_arrays(np.arange(0, 2 * _MANY + 1, 2, dtype=np.int32), np.arange(2 * _MANY))
    words = pa.array(["a", "b"] * (_MANY // 2)).dictionary_encode()
    return pa.StructArray.from_arrays([lists, words], ["l", "d"])


def polars_frame() -> Any:
    """Make a polars table of numbers and text."""
    import polars as pl

    return pl.DataFrame({"n": np.arange(_MANY), "s": names()})


def sparse() -> Any:
    """Make a sparse matrix with 12 MB of cells."""
    import scipy.sparse as sp

    return sp.random_array((100_000, 1000), density=0.01, format="csr", random_state=0)


def sparse_cells() -> Any:
    """Make the same as coordinates and values."""
    return sparse().tocoo()


def dataset() -> Any:
    """Make an xarray Dataset of 16 MB with coordinates."""
    import pandas as pd
    import xarray as xr

    field = np.random.default_rng(0).random((10, 100_000))
    coords = {"t": pd.date_range("2020", periods=10), "x": np.arange(100_000.0)}
    return xr.Dataset({"a": (("t", "x"), field), "b": (("t", "x"), field + 1)}, coords, {"unit": "m"})


def small_dataset() -> Any:
    """Take 10 places out of it."""
    return dataset().isel(x=slice(10, 20))


def image() -> Any:
    """Make an image of 1,600 times 1,200 pixels."""
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)
    return Image.fromarray(noise)


def quantity() -> Any:
    """Make 8 MB of lengths."""
    import pint

    return np.random.default_rng(0).random(2**20) * pint.application_registry.Unit("meter")


def cells_tensor() -> Any:
    """Make a sparse tensor with a million cells."""
    import torch

    return torch.sparse_coo_tensor(torch.arange(10**6)[None], torch.rand(10**6), (10**7,)).coalesce()


def module() -> Any:
    """Make a network of torch's with tied weights, 4 MB."""
    import torch

    made = torch.nn.Sequential(torch.nn.Linear(1000, 1000), torch.nn.ReLU(), torch.nn.Linear(1000, 1000))
    made[2].weight = made[0].weight
    return dict(made.state_dict())


def weights() -> Any:
    """Make 100 tensors of 100 KB."""
    import torch

    return {f"layer{i}.weight": torch.rand(160, 160) for i in range(100)}


_BOTH: Final = (Times(1.0, PICKLE), Times(1.0, BEST))
_HALF: Final = (Times(0.5, PICKLE), Times(1.0, BEST))
"""What pickle copies is to take half of its time at most."""
_ROWS: Final[dict[str, tuple[Row, ...]]] = {
    "pandas": (
        Row("frame_10x3", "DataFrame of 10 rows", small_frame, _BOTH),
        Row("frame_10x3_numbers", "DataFrame of 10 x 3 numbers", lambda: numbers_frame(10, 3), _BOTH),
        Row("frame_10x6_mixed", "DataFrame of 10 rows, 6 kinds", lambda: mixed_frame(10, 6), _BOTH),
        Row("frame_1000x50_mixed", "DataFrame of 1,000 x 50", lambda: mixed_frame(1000, 50), _BOTH),
        Row("frame_100kx10_mixed", "DataFrame of 100,000 x 10", lambda: mixed_frame(100_000, 10), _BOTH),
        Row("frame_1Mx50", "DataFrame of 1M x 50 numbers", lambda: numbers_frame(1_000_000, 50), _BOTH),
        Row("frame_1000_columns", "DataFrame of 1,000 columns", wide_frame, _BOTH),
        Row("frame_1000_mixed", "DataFrame of 100 x 1,000", lambda: mixed_frame(100, 1000), _BOTH),
        Row("frame_times", "DataFrame of 200,000 times", times_frame, _HALF),
        Row("frame_categories", "DataFrame of 200,000 categories", lambda: categories_frame(3), _HALF),
        Row("frame_categories_300", "the same, of 300 names", lambda: categories_frame(300), _HALF),
        Row("frame_text", "DataFrame of 200,000 texts", text_frame, _HALF),
        Row("frame_objects", "DataFrame of 200,000 strings", objects_frame, _BOTH),
    ),
    "pyarrow": (
        Row("arrow_table", "Arrow table of 200,000 rows", arrow_table, (Times(1.0, BEST),)),
        Row("arrow_slice", "1,000 rows of it", arrow_slice, (Times(1.0, BEST),)),
        Row("arrow_nested", "Arrow structs of lists, dictionaries", arrow_nested, (Times(1.0, BEST),)),
    ),
    "polars": (Row("polars_frame", "polars DataFrame of 200,000 rows", polars_frame, (Times(1.0, BEST),)),),
    "scipy": (
        Row("sparse_csr", "sparse matrix of 12 MB", sparse, (Times(1.0, BEST),)),
        Row("sparse_coo", "the same as coordinates", sparse_cells, (Times(1.0, BEST),)),
    ),
    "xarray": (
        Row("xarray_dataset", "xarray Dataset of 16 MB", dataset, (Times(1.0, BEST),)),
        Row("xarray_slice", "10 places of it", small_dataset, (Times(1.0, BEST),)),
    ),
    "PIL": (Row("image_8MB", "Pillow image of 8 MB", image, (Times(1.0, BEST),)),),
    "pint": (Row("quantity_8MB", "pint Quantity of 8 MB", quantity, (Times(1.0, BEST),)),),
    "torch": (
        Row("tensors_100x100KB", "100 tensors of 100 KB", weights, (Times(1.0, BEST),)),
        Row("tensor_sparse", "sparse tensor of 1M cells", cells_tensor, (Times(1.0, BEST),)),
        Row("state_dict", "state_dict with tied weights", module, (Times(1.0, BEST),)),
    ),
}
TABLES: Final = tuple(row for package, rows in _ROWS.items() if find_spec(package) for row in rows)
