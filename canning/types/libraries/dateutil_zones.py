"""dateutil: time zones by their names, offsets, and UTC; rules of your own are left to pickle."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final

from dateutil import tz

from ..canner import Canner
from .checks import need, parts

_zones: Any = tz
_NAME: Final = re.compile(r"[A-Z][\w+-]*(/[A-Z][\w+-]*)*", re.ASCII)
"""Names of the time zone database: none leads out of the folder where dateutil looks for its file."""
_FOLDER: Final = "zoneinfo/"
_DAY: Final = dt.timedelta(days=1)


def _named(name: str) -> Any:
    need(len(name) < 100 and _NAME.fullmatch(name), "an invalid name of a time zone")
    zone = _zones.gettz(name)
    need(type(zone) is _zones.tzfile, "a time zone that is not here")
    return zone


def _can_zone(zone: Any) -> Any:
    name = str(zone._filename).rpartition(_FOLDER)[2]
    found = _zones.gettz(name) if _NAME.fullmatch(name) else None
    return (name,) if type(found) is type(zone) and found == zone else NotImplemented


def _zone(state: object) -> Any:
    return _named(*parts(state, str))


def _can_offset(zone: Any) -> Any:
    return zone._name, zone._offset


def _offset(state: object) -> Any:
    name, offset = parts(state, (str, type(None)), dt.timedelta)
    need(-_DAY < offset < _DAY, "an offset of more than a day")
    need(name is None or len(name) < 100, "an invalid name of a time zone")  # dateutil keeps the last eight
    return _zones.tzoffset(name, offset)


def _can_utc(zone: object) -> Any:
    return ()


def _utc(state: object) -> Any:
    return _zones.tzutc()


CANNERS: Final = (
    Canner("dateutil.tz.tzfile", _can_zone, _zone, data=True, exact=True),
    Canner("dateutil.tz.tzoffset", _can_offset, _offset, data=True, exact=True),
    Canner("dateutil.tz.tzutc", _can_utc, _utc, data=True, exact=True),
)
