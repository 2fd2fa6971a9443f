"""pandas: the dtypes that numpy does not have, by their names."""

from __future__ import annotations

import functools
import re
from typing import Any, Final

import pandas

from ..canner import Canner
from .checks import need, parts, time_zone
from .pandas_frequencies import freq_text, period_dtype
from .pandas_texts import text_dtype

pd: Any = pandas
_NAMED: Final = (
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype, pd.Float32Dtype, pd.Float64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype, pd.BooleanDtype),
    *(pd.PeriodDtype, pd.IntervalDtype, pd.SparseDtype),
)
"""Dtypes of which a name may say all."""
_PERIOD: Final = re.compile(r"[Pp]eriod\[(.*)\]")
_NUMBER: Final = r"[uU]?[iI]nt(?:8|16|32|64)|[fF]loat(?:16|32|64)|bool|complex(?:64|128)"
_ZONE: Final = r"(?!dateutil)[\w+:-]{1,60}(?:/[\w+-]{1,60}){0,3}"
"""The name of a time zone; behind ``dateutil/`` pandas takes any path for one."""
_TIME: Final = rf"(?:datetime64|timedelta64)\[(?:s|ms|us|ns)(?:, {_ZONE})?\]"
_TEXT: Final = re.compile(
    rf"{_NUMBER}|boolean|interval(?:\[(?:{_NUMBER}|{_TIME})(?:, (?:right|left|both|neither))?\])?"
    rf"|Sparse\[(?:{_NUMBER}|{_TIME})(?:, [\w+.()-]{{1,60}})?\]",
    re.ASCII,
)
"""Names of dtypes: whatever else pandas parses is not for strangers."""


def _can(dtype: Any) -> Any:
    if type(dtype) is pd.StringDtype:
        return dtype.storage.removesuffix("_numpy"), dtype.na_value is pd.NA
    if type(dtype) is pd.ArrowDtype:
        return (dtype.pyarrow_dtype,)
    if type(dtype) is pd.DatetimeTZDtype:  # whose name leaves open of which package its zone is
        return dtype.unit, dtype.tz, None
    if type(dtype) not in _NAMED:
        return NotImplemented  # whoever made that class knows how to send it
    # a period's own text is an alias of its frequency, which pandas 3 reads nowhere else
    text = f"period[{freq_text(dtype.freq)}]" if type(dtype) is pd.PeriodDtype else str(dtype)
    return text if _says_all(dtype, text) else NotImplemented


@functools.lru_cache(maxsize=256)
def _says_all(dtype: object, text: str) -> bool:
    try:
        return bool(_of_name(text) == dtype)
    except (TypeError, ValueError, ImportError):
        return False


def _of_name(text: str) -> Any:
    found = _PERIOD.fullmatch(text)
    if found:
        return period_dtype(found[1])
    for cls in _NAMED if _TEXT.fullmatch(text) else ():
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
    if len(state) == 3:
        unit, zone, _ = parts(state, str, object, type(None))
        return pd.DatetimeTZDtype(unit, time_zone(zone))
    storage, missing = parts(state, str, bool)
    return text_dtype(storage, missing)


CANNERS: Final = (Canner("pandas.api.extensions.ExtensionDtype", _can, _dtype, data=True),)
