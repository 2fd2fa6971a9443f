"""pandas: the dtypes that numpy does not have, by their names."""

from __future__ import annotations

import functools
from typing import Any, Final

import pandas

from ..registry import Canner
from .checks import need, parts

pd: Any = pandas
_NAMED: Final = (
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype, pd.Float32Dtype, pd.Float64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype, pd.BooleanDtype),
    *(pd.PeriodDtype, pd.IntervalDtype, pd.SparseDtype, pd.DatetimeTZDtype),
)
"""Dtypes of which a name may say all."""


def _can(dtype: Any) -> Any:
    if type(dtype) is pd.StringDtype:
        return dtype.storage, dtype.na_value is pd.NA
    if type(dtype) is pd.ArrowDtype:
        return (dtype.pyarrow_dtype,)
    if type(dtype) not in _NAMED:
        return NotImplemented  # whoever made that class knows how to send it
    text = str(dtype)
    return text if _says_all(dtype, text) else NotImplemented


def _says_all(dtype: Any, text: str) -> bool:
    try:
        return bool(_of_name(text) == dtype)
    except (TypeError, ValueError, ImportError):
        return False


@functools.lru_cache(maxsize=256)
def _of_name(text: str) -> Any:
    for cls in _NAMED:
        try:
            return cls.construct_from_string(text)
        except TypeError:
            pass
    raise TypeError("a dtype that pandas does not have")


def _dtype(state: Any) -> Any:
    if type(state) is str:
        need(len(state) < 200, "a dtype that is none")
        return _of_name(state)
    need(type(state) is tuple and state, "a dtype that is none")
    if len(state) == 1:
        import pyarrow as pa

        need(isinstance(state[0], pa.DataType), "a type of Arrow that is none")
        return pd.ArrowDtype(state[0])
    storage, missing = parts(state, str, bool)
    need(storage in ("python", "pyarrow"), "text that is none")
    return pd.StringDtype(storage, na_value=pd.NA if missing else float("nan"))


CANNERS: Final = (Canner("pandas.api.extensions.ExtensionDtype", _can, _dtype, data=True),)
