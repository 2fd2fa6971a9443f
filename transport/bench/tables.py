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


def times_frame() -> Any:
    """Make a table of a column of times."""
    import pandas as pd

    return pd.DataFrame({"t": pd.date_range("2020", periods=_MANY, freq="s")})


def categories_frame() -> Any:
    """Make a table of a column of categories."""
    import pandas as pd

    codes = np.random.default_rng(0).integers(0, 3, _MANY)
    return pd.DataFrame({"k": pd.Categorical.from_codes(codes, pd.Index(["x", "y", "z"]))})


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


def polars_frame() -> Any:
    """Make a polars table of numbers and text."""
    import polars as pl

    return pl.DataFrame({"n": np.arange(_MANY), "s": names()})


def sparse() -> Any:
    """Make a sparse matrix with 12 MB of cells."""
    import scipy.sparse as sp

    return sp.random_array((100_000, 1000), density=0.01, format="csr", random_state=0)


def weights() -> Any:
    """Make 100 tensors of 100 KB."""
    import torch

    return {f"layer{i}.weight": torch.rand(160, 160) for i in range(100)}


_ROWS: Final[dict[str, tuple[Row, ...]]] = {
    "pandas": (
        Row("frame_10x3", "DataFrame of 10 rows", small_frame, (Times(1.0, PICKLE),)),
        Row("frame_1000_columns", "DataFrame of 1,000 columns", wide_frame, (Times(1.0, PICKLE),)),
        Row("frame_times", "DataFrame of 200,000 times", times_frame, (Times(0.5, PICKLE),)),
        Row("frame_categories", "DataFrame of 200,000 categories", categories_frame, (Times(1.0, PICKLE),)),
        Row("frame_text", "DataFrame of 200,000 texts", text_frame, (Times(0.5, PICKLE),)),
    ),
    "pyarrow": (
        Row("arrow_table", "Arrow table of 200,000 rows", arrow_table, (Times(1.0, BEST),)),
        Row("arrow_slice", "1,000 rows of it", arrow_slice, (Times(1.0, BEST),)),
    ),
    "polars": (Row("polars_frame", "polars DataFrame of 200,000 rows", polars_frame, (Times(1.0, BEST),)),),
    "scipy": (Row("sparse_csr", "sparse matrix of 12 MB", sparse, (Times(1.0, BEST),)),),
    "torch": (Row("tensors_100x100KB", "100 tensors of 100 KB", weights, (Times(1.0, BEST),)),),
}
TABLES: Final = tuple(row for package, rows in _ROWS.items() if find_spec(package) for row in rows)
