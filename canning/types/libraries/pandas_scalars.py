"""pandas: Timestamp, Timedelta, Period, Interval, NaT, NA."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from ..canner import Canner
from .checks import need, parts, time_zone
from .pandas_frequencies import freq_text, to_freq

UNITS: Final = ("s", "ms", "us", "ns")


def _can_timestamp(stamp: Any) -> Any:
    return stamp._value, stamp.unit, stamp.tz


def _timestamp(state: object) -> Any:
    value, unit, zone = parts(state, int, str, object)
    need(unit in UNITS, "a unit of time that is none")
    made = pd.Timestamp(np.datetime64(value, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(time_zone(zone))


def _can_timedelta(delta: Any) -> Any:
    return delta._value, delta.unit


def _timedelta(state: object) -> Any:
    value, unit = parts(state, int, str)
    need(unit in UNITS, "a unit of time that is none")
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
)
