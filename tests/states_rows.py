"""More objects for `tests.test_states`: of parts of states that no row of `tests.types` has, by package."""

from __future__ import annotations

import ctypes
import datetime as dt
import io
from collections.abc import Callable
from typing import Any, Final

import numpy as np


class Either(ctypes.Union):
    """A union of numbers."""

    _fields_ = (("number", ctypes.c_int), ("half", ctypes.c_short))


def _pandas() -> list[Any]:
    import pandas as pd
    import pyarrow  # noqa: F401 - which joins long texts

    frame = pd.DataFrame({"a": [1.0], "b": [1], "c": [2.0], "d": [3.0]})
    days = pd.date_range("2024", periods=3)
    long = np.array([f"{number} " * 20 for number in range(600)], object)
    levels = pd.MultiIndex.from_arrays([["a", "b"], [1, 2]])
    plain = pd.Index([1, 2, 3])
    new = "_na_value" in pd.StringDtype._metadata  # from pandas 2.3 on
    texts = [pd.StringDtype("python", na_value=np.nan)] if new else []
    spans, ranges = pd.to_timedelta([1, 2]), pd.interval_range(0, 2)
    indexes = [pd.period_range("2024", periods=2), spans, ranges, pd.CategoricalIndex(["a", "b"])]
    return [
        [frame, frame["a"], pd.DataFrame({"b": frame["b"]})],
        [plain, pd.Series(plain, copy=False)],
        *([index, pd.Series(index, copy=False)] for index in indexes),
        [days, pd.Series(days, copy=False), days[[0, 2, 1]]],
        pd.MultiIndex(levels=levels.levels, codes=levels.codes, sortorder=0),
        *(pd.Series(0, index) for index in (levels, *indexes[1:])),
        pd.Series(long, dtype=object),
        pd.array(long, pd.StringDtype("python")),
        pd.Series(pd.Index(["a"], dtype="string[pyarrow]").array, copy=False),
        *(pd.array(["a", None], text) for text in texts),
        pd.array(["a", None], "string[pyarrow]"),
        pd.array([dt.timedelta(1)]),
        pd.Timestamp("2024").as_unit("s"),
        pd.Timestamp("2024").as_unit("ms"),
        pd.CategoricalDtype(),
        pd.StringDtype("pyarrow"),
    ]


def _told() -> list[Any]:
    """Make tables that are portable, with columns and indexes of all kinds."""
    import pandas as pd
    import pyarrow as pa

    days = pd.date_range("2024", periods=2, name="days")
    indexes = [
        pd.Index([1.5, 2], name="x"),
        pd.Index(pd.array([1, 2], "Int64"), name="x"),
        pd.Index(pd.array([1.5, None], "Float64"), name="x"),
        pd.Index(pd.array([1, 2], "UInt8"), name="x"),
        pd.Index(pd.array([True, None], "boolean"), name="x"),
        days,
        days.tz_localize("Europe/Berlin"),
        pd.Index(["a", None], dtype="string", name="x"),
        pd.CategoricalIndex(["a", "b"], name="x"),
        pd.Index([b"a", None], dtype=object, name="x"),
        pd.RangeIndex(2, name="x"),
    ]
    series = [pd.Series(index) for index in indexes]
    frame = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    frame.attrs["unit"] = series[1].attrs["unit"] = "m"
    one = series[0].set_flags(allows_duplicate_labels=False)
    labels = [pd.Index([label], dtype=object) for label in (None, "a", 1, 1.5, True)]
    frames = [pd.DataFrame([[1]], columns=label) for label in labels]
    words = pa.table({"c": pa.array(["a"]).dictionary_encode()})
    return [words, *indexes, *series, one, *(pd.Series([1, 2], index) for index in indexes), frame, *frames]


def _polars() -> list[Any]:
    import polars as pl

    return [pl.DataFrame({"a": [1]})]


def _pyarrow() -> list[Any]:
    import pyarrow as pa

    return [pa.fixed_shape_tensor(pa.int8(), [2, 3], dim_names=["x", "y"])]


def _xarray() -> list[Any]:
    import pandas as pd
    import xarray as xr

    return [xr.DataArray([1, 2], coords={"x": pd.CategoricalIndex(["a", "b"])}, dims="x")]


def _pillow() -> list[Any]:
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, "png")
    return [Image.open(file)]


def _pytz() -> list[Any]:
    import pytz

    return [pytz.utc, pytz.timezone("Etc/GMT+3")]


def _dateutil() -> list[Any]:
    from dateutil import tz

    return [tz.tzoffset(None, 3600)]


def _geopandas() -> list[Any]:
    import geopandas
    import shapely

    return [geopandas.array.from_shapely([shapely.box(0, 0, 1, 1)])]


def _torch() -> list[Any]:
    import torch

    shared = torch.zeros(1000)
    named = torch.zeros(3)
    named.unit = "m"  # type: ignore[attr-defined]
    parameter = torch.nn.Parameter(torch.zeros(3))
    parameter.unit = "m"  # type: ignore[attr-defined]
    return [[shared, shared.view(10, 100)], named, parameter, torch.device("cpu"), torch.device("cpu", 0)]


MORE: Final[dict[str, Callable[[], list[Any]]]] = {
    "": lambda: [Either()],
    "pandas": lambda: [*_pandas(), *_told()],
    "polars": _polars,
    "pyarrow": _pyarrow,
    "xarray": _xarray,
    "PIL": _pillow,
    "pytz": _pytz,
    "dateutil": _dateutil,
    "geopandas": _geopandas,
    "torch": _torch,
}
