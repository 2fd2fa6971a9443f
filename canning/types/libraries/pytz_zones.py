"""pytz: the time zones of pandas 2, by their names."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import pytz

from ..canner import Canner
from .checks import need, parts

_zones: Any = pytz


def _can_zone(zone: Any) -> Any:
    if zone.zone not in _zones.all_timezones_set:
        return NotImplemented
    shift = (zone._utcoffset, zone._dst, zone._tzname) if hasattr(zone, "_dst") else ()
    return zone.zone, *shift


def _zone(state: tuple[Any, ...]) -> Any:
    need(type(state) is tuple and state and type(state[0]) is str, "an invalid time zone")
    name, *shift = state
    need(name in _zones.all_timezones_set, "a time zone that pytz does not have")
    zone = _zones.timezone(name)
    return zone._tzinfos[parts(tuple(shift), dt.timedelta, dt.timedelta, str)] if shift else zone


def _can_utc(zone: object) -> Any:
    return ()


def _utc(state: object) -> Any:
    return _zones.utc


def _can_fixed(zone: Any) -> Any:
    return (zone._minutes,)


def _fixed(state: object) -> Any:
    return _zones.FixedOffset(*parts(state, int))


CANNERS: Final = (
    Canner("pytz.tzinfo.DstTzInfo", _can_zone, _zone, data=True),
    Canner("pytz.tzinfo.StaticTzInfo", _can_zone, _zone, data=True),
    Canner("pytz.UTC", _can_utc, _utc, data=True, exact=True),
    Canner("pytz.FixedOffset", _can_fixed, _fixed, data=True, exact=True),
)
