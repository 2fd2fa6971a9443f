"""pandas: scalars, dtypes by their names, and frequencies, with the cost of checking times against one."""

from __future__ import annotations

import functools
import re
from typing import Any, Final

import numpy as np
import pandas
from pandas.tseries.frequencies import to_offset

from ..budget import charge
from ..canner import Canner
from .checks import need, parts, time_zone
from .pandas_texts import text_dtype

pd: Any = pandas  # its stubs lack the internals used here
_SLOW: Final = {
    "B": 20_000,
    "bh": 30_000,
    "C": 35_000,
    "cbh": 90_000,
    "CBMS": 120_000,
    "CBME": 120_000,
    "WOM": 30_000,
    "LWOM": 30_000,
    "RE": 35_000,
    "REQ": 350_000,
}
"""Nanoseconds in which pandas steps from one time to the next: two to three times the measured ones."""
_STEP: Final = 7000
"""The same of all others: calendar months, quarters, years and halves of months."""
_TICK: Final = 200
_LETTER: Final = 300
"""The cost of a letter of a frequency, in items of 50 ns."""
_MULTIPLE: Final = 50
"""Nanoseconds for each unit in a step."""


@functools.lru_cache(maxsize=64)
def freq_text(freq: Any) -> str | None:
    """Return the text of a frequency; None if it does not describe all of it."""
    text: str = freq.freqstr
    try:
        return text if to_offset(text) == freq else None
    except ValueError:
        return None


def to_freq(text: str) -> Any:
    """Make a frequency from its text."""
    need(type(text) is str and len(text) <= 64, "an invalid frequency")
    charge(_LETTER * len(text), 100 * len(text))  # it may be a long sum of fractions
    return to_offset(text)


def period_dtype(text: str) -> Any:
    """Make the dtype of periods of a frequency, which pandas then does not cache forever."""
    freq = to_freq(text)
    kept: dict[Any, Any] = getattr(pd.PeriodDtype, "_cache_dtypes", {})
    known = freq in kept
    made = pd.PeriodDtype(freq)
    if not known:
        kept.pop(freq, None)
    return made


def charge_frequency(freq: object, count: int) -> None:
    """Charge the time in which pandas checks that so many times follow a frequency, step by step.

    Raises `DeserializationError` if that is more than the account allows for what arrived.
    """
    charge(_price(freq) * count // 50, 40 * count)


def _price(freq: Any) -> int:
    if isinstance(freq, pd.offsets.Tick):
        return _TICK
    prefix = freq.rule_code.partition("-")[0]
    slow = prefix in _SLOW and not (prefix == "B" and freq.n == 1)
    times: int = abs(freq.n)
    return (_SLOW[prefix] if slow else _STEP) + _MULTIPLE * times


_NAMED: Final = (
    *(pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype, pd.Float32Dtype, pd.Float64Dtype),
    *(pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype, pd.BooleanDtype),
    *(pd.PeriodDtype, pd.IntervalDtype, pd.SparseDtype),
)
"""Dtypes that a name can describe completely."""
_PERIOD: Final = re.compile(r"[Pp]eriod\[(.*)\]")
_NUMBER: Final = r"[uU]?[iI]nt(?:8|16|32|64)|[fF]loat(?:16|32|64)|bool|complex(?:64|128)"
_ZONE: Final = r"(?!dateutil)[\w+:-]{1,60}(?:/[\w+-]{1,60}){0,3}"
"""The name of a time zone; after ``dateutil/``, pandas would open any path."""
_TIME: Final = rf"(?:datetime64|timedelta64)\[(?:s|ms|us|ns)(?:, {_ZONE})?\]"
_TEXT: Final = re.compile(
    rf"{_NUMBER}|boolean|interval(?:\[(?:{_NUMBER}|{_TIME})(?:, (?:right|left|both|neither))?\])?"
    rf"|Sparse\[(?:{_NUMBER}|{_TIME})(?:, [\w+.()-]{{1,60}})?\]",
    re.ASCII,
)
"""Names of dtypes that strangers may use; pandas parses more."""


def _can_dtype(dtype: Any) -> Any:
    if type(dtype) is pd.StringDtype:
        return dtype.storage.removesuffix("_numpy"), dtype.na_value is pd.NA
    if type(dtype) is pd.ArrowDtype:
        return (dtype.pyarrow_dtype,)
    if type(dtype) is pd.DatetimeTZDtype:  # its name does not say which package its zone comes from
        return dtype.unit, dtype.tz, None
    if type(dtype) not in _NAMED:
        return NotImplemented  # its class sends it in its own way
    # pandas 3 reads this alias of a frequency only in the text of a period
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
        need(len(state) < 200, "an invalid dtype")
        return _of_name(state)
    need(type(state) is tuple and state, "an invalid dtype")
    if len(state) == 1:
        import pyarrow as pa

        need(isinstance(state[0], pa.DataType), "an invalid type of Arrow")
        return pd.ArrowDtype(state[0])
    if len(state) == 3:
        unit, zone, _ = parts(state, str, object, type(None))
        return pd.DatetimeTZDtype(unit, time_zone(zone))
    storage, missing = parts(state, str, bool)
    return text_dtype(storage, missing)


UNITS: Final = ("s", "ms", "us", "ns")


def _can_timestamp(stamp: Any) -> Any:
    return stamp._value, stamp.unit, stamp.tz


def _timestamp(state: object) -> Any:
    value, unit, zone = parts(state, int, str, object)
    need(unit in UNITS, "an invalid unit of time")
    made = pd.Timestamp(np.datetime64(value, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(time_zone(zone))


def _can_timedelta(delta: Any) -> Any:
    return delta._value, delta.unit


def _timedelta(state: object) -> Any:
    value, unit = parts(state, int, str)
    need(unit in UNITS, "an invalid unit of time")
    return pd.Timedelta(np.timedelta64(value, unit))


def _can_period(period: Any) -> Any:
    freq = freq_text(period.freq)
    return NotImplemented if freq is None else (period.ordinal, freq)


def _period(state: object) -> Any:
    ordinal, freq = parts(state, int, str)
    return pd.Period(ordinal=ordinal, freq=to_freq(freq))


def _can_interval(interval: Any) -> Any:
    return interval.left, interval.right, interval.closed


def _interval(state: object) -> Any:
    left, right, closed = parts(state, object, object, str)
    return pd.Interval(left, right, closed)


def _nat(state: object) -> Any:
    return pd.NaT


def _na(state: object) -> Any:
    return pd.NA


def _nothing(obj: object) -> None:
    return None


CANNERS: Final = (
    Canner("pandas.Timestamp", _can_timestamp, _timestamp, data=True, exact=True),
    Canner("pandas.Timedelta", _can_timedelta, _timedelta, data=True, exact=True),
    Canner("pandas.Period", _can_period, _period, data=True, exact=True),
    Canner("pandas.Interval", _can_interval, _interval, data=True, exact=True),
    Canner("pandas.NaT", _nothing, _nat, data=True, exact=True),
    Canner("pandas.NA", _nothing, _na, data=True, exact=True),
    Canner("pandas.api.extensions.ExtensionDtype", _can_dtype, _dtype, data=True),
)
