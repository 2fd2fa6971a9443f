"""What an object holds, as JSON that any language can say: what only Python tells apart is the same here.

- None, flags and text are themselves, and so are numbers: an int and a float of one value are the same.
- Beyond 2**53 - 1 an int is ``{"int": "digits"}``; a float is a number however large, or ``{"float": …}``
  with ``"nan"``, ``"inf"``, ``"-inf"`` or ``"-0"``. Below, INT and FLOAT are numbers by these rules.
- Lists, tuples and deques are arrays. ``{"dict": [[key, value], …]}`` (of Counters and the like too) and
  ``{"set": […]}`` (frozen ones too) have no order.
- Bytes of all kinds are ``{"bytes": "hexadecimal digits"}``.
- ``{"complex": [FLOAT, FLOAT]}``; ``{"decimal": text}``, ``{"uuid": text}``, and ``{"fraction": "n/d"}``
  also where d is 1, as in portable messages; ``{"range": [INT, INT, INT]}``; ``{"slice": [start, stop,
  step]}``; ``{"constant": "Ellipsis"}`` or ``"NotImplemented"``; ``{"namespace": {"dict": …}}``.
- ``{"date": text}``, ``{"time": text}``, ``{"datetime": text}``: ISO 8601 as in portable messages, with 6
  digits of fraction or none; beside it ``"fold": 1`` and ``"zone": …`` where there are such.
  ``{"timedelta": [days, seconds, microseconds]}``; ``{"timezone": {"timedelta": …}}``, beside it
  ``"name": text`` where it has one; ``{"zoneinfo": key}``.
- Arrays of numbers, flags, text, bytes, times and structures, those of subclasses and of Python's ``array``,
  memoryviews and tensors: ``{"array": digits, "dtype": …, "shape": […]}``, the memory in C order,
  little-endian but in structures. ``{"objects": […], "shape": […]}``: arrays of objects and of texts of any
  length, in C order. ``{"masked": array, "mask": array}``: the data under the mask too; ``"mask": false``
  where nothing is masked. What is read-only, the fill value and ``hard_mask`` are not said.
- ``{"dtype": …}``: text, or objects, as in portable messages, but without ``title``, ``aligned`` and
  ``record``, and little-endian but in structures.
- numpy's scalars are what Python has for them: numbers, flags, ``complex``, text, ``bytes``; a structure is a
  ``dict`` of its fields. Those of time are ``{"datetime64": INT, "unit": unit}`` and ``{"timedelta64": …}``:
  the count times the number before the unit, null for not-a-time; a unit that is not there is ``"generic"``.
- A table is ``{"table": columns, "names": […]}``, each column an array of its values, null where one is
  missing, and of pandas also ``"index": […]``; a column by itself is ``{"column": […], "name": …}``, a Series
  of pandas also with ``"index"``. Times of pandas are as numpy's scalars of the column's unit, beside them
  ``"zone"`` where there is one; those of polars and Arrow are ``date``, ``datetime`` and ``timedelta``.
- A list, dict, set, array, or tuple that is not empty, which was there already is ``{"again": path}``: the
  way to where it was first, from the outermost object in. Of Counters, deques and other relatives none is.
  A step is the number of an item of a list, deque, tuple or array of objects (in C order); of a value in a
  dict or a namespace its key, if that is text, a number or a flag, else null; null for a key, an item of a
  set, a mask. What a column of a table holds is said by itself.
"""

from __future__ import annotations

import array as stdarray
import collections
import datetime as dt
import decimal
import fractions
import math
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

_SAFE: Final = 2**53 - 1
Path = list[Any]


def neutral(obj: Any) -> Any:
    """Say what an object holds.

    >>> neutral({"a": (1, 2.5), "b": b"x"})
    {'dict': [['a', [1, 2.5]], ['b', {'bytes': '78'}]]}
    """
    return _Saying().say(obj, [])


class _Saying:
    """Say one object; remember what was there already."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.paths: dict[int, Path] = {}

    def say(self, obj: Any, path: Path) -> Any:
        if obj is None or type(obj) in (bool, str):
            return obj
        if type(obj) in _SCALARS:
            return _SCALARS[type(obj)](obj)
        if type(obj) in (list, tuple, dict, set, frozenset, np.ndarray) and not (
            type(obj) is tuple and not obj
        ):
            if id(obj) in self.paths:
                return {"again": self.paths[id(obj)]}
            self.paths[id(obj)] = path
            self.kept.append(obj)
        if isinstance(obj, list | tuple | collections.deque):
            return self.all(obj, path)
        if type(obj) is types.SimpleNamespace:
            return {"namespace": self.say(vars(obj), path)}
        if isinstance(obj, dict):
            steps = (key if isinstance(key, str | float | int) else None for key in obj)
            pairs = [(self.say(key, [*path, None]), value) for key, value in obj.items()]
            said = zip(steps, pairs, strict=True)
            return {"dict": [[key, self.say(value, [*path, step])] for step, (key, value) in said]}
        if isinstance(obj, set | frozenset):
            return {"set": [self.say(item, [*path, None]) for item in obj]}
        if type(obj) is np.ma.MaskedArray:
            mask = obj.mask if obj.mask is not np.ma.nomask else False
            return {"masked": self.say(obj.data, path), "mask": self.say(mask, [*path, None])}
        if isinstance(obj, stdarray.array):
            return self.array(np.frombuffer(obj, obj.typecode), path)
        if isinstance(obj, np.ndarray | np.generic):
            return self.array(obj, path)
        return self.of_package(obj, path)

    def all(self, items: Iterable[Any], path: Path) -> list[Any]:
        return [self.say(item, [*path, number]) for number, item in enumerate(items)]

    def array(self, obj: Any, path: Path) -> Any:
        if isinstance(obj, np.generic):
            return _scalar(obj)
        if obj.dtype.kind in "OT":
            return {"objects": self.all(obj.ravel().tolist(), path), "shape": list(obj.shape)}
        memory = np.ascontiguousarray(obj).reshape(obj.shape)
        if memory.dtype.names is None:
            memory = memory.astype(memory.dtype.newbyteorder("<"))
        return {"array": memory.tobytes().hex(), "dtype": dtype_of(obj.dtype), "shape": list(obj.shape)}

    def of_package(self, obj: Any, path: Path) -> Any:
        package = type(obj).__module__.partition(".")[0]
        return _PACKAGES[package](self, obj, path)


def _int(number: int) -> Any:
    return number if -_SAFE <= number <= _SAFE else {"int": str(number)}


def _float(number: float) -> Any:
    if math.isfinite(number) and (number or math.copysign(1, number) > 0):
        return number
    return {"float": "-0" if not number else str(number)}


def _zoned(name: str) -> Callable[[Any], Any]:
    def say(moment: Any) -> Any:
        fold = {"fold": 1} if moment.fold else {}
        said = {name: moment.replace(tzinfo=None).isoformat(), **fold}
        return (
            said if moment.tzinfo is None else {**said, "zone": _SCALARS[type(moment.tzinfo)](moment.tzinfo)}
        )

    return say


def _timezone(zone: dt.timezone) -> Any:
    said = {"timezone": _SCALARS[dt.timedelta](zone.utcoffset(None))}
    args = zone.__getinitargs__()  # type: ignore[attr-defined]
    return {**said, "name": args[1]} if len(args) > 1 else said


def _fraction(number: fractions.Fraction) -> Any:
    return {"fraction": f"{number.numerator}/{number.denominator}"}


_SCALARS: Final[dict[type, Callable[[Any], Any]]] = {
    int: _int,
    float: _float,
    complex: lambda number: {"complex": [_float(number.real), _float(number.imag)]},
    bytes: lambda memory: {"bytes": memory.hex()},
    bytearray: lambda memory: {"bytes": memory.hex()},
    dt.date: lambda day: {"date": day.isoformat()},
    dt.datetime: _zoned("datetime"),
    dt.time: _zoned("time"),
    dt.timedelta: lambda span: {"timedelta": [span.days, span.seconds, span.microseconds]},
    dt.timezone: _timezone,
    zoneinfo.ZoneInfo: lambda zone: {"zoneinfo": zone.key},
    decimal.Decimal: lambda number: {"decimal": str(number)},
    fractions.Fraction: _fraction,
    uuid.UUID: lambda number: {"uuid": str(number)},
    slice: lambda obj: {"slice": [obj.start, obj.stop, obj.step]},
    type(...): lambda obj: {"constant": "Ellipsis"},
    type(NotImplemented): lambda obj: {"constant": "NotImplemented"},
    range: lambda obj: {"range": [_int(obj.start), _int(obj.stop), _int(obj.step)]},
    memoryview: lambda view: neutral(np.asarray(view)),
}
for _dtype in (np.dtype("f8"), np.dtype("M8[s]"), np.dtype([("a", "i4")])):
    _SCALARS[type(_dtype)] = lambda dtype: {"dtype": dtype_of(dtype)}


def _scalar(obj: Any) -> Any:
    if obj.dtype.kind in "mM":
        unit, count = np.datetime_data(obj.dtype)
        missing = bool(np.isnat(obj))
        name = "datetime64" if obj.dtype.kind == "M" else "timedelta64"
        return {name: None if missing else _int(int(obj.view(np.int64)) * count), "unit": unit}
    if obj.dtype.names is not None:
        return {"dict": [[name, neutral(obj[name])] for name in obj.dtype.names]}
    if obj.dtype.kind == "V" and obj.dtype.name != "void" and not obj.dtype.name.startswith("void"):
        return _float(float(obj))  # of ml_dtypes
    return neutral(obj.item())


def dtype_of(dtype: np.dtype[Any]) -> Any:
    """Say a dtype as the header of a portable message does, little-endian but in structures."""
    if dtype.subdtype is not None:
        return {"dtype": _in_structure(dtype.subdtype[0]), "shape": list(dtype.shape)}
    if dtype.names is not None:
        fields = [(name, *dtype.fields[name][:2]) for name in dtype.names]  # type: ignore[index]
        said = [{"name": name, "offset": offset, "dtype": _in_structure(of)} for name, of, offset in fields]
        return {"itemsize": dtype.itemsize, "fields": said}
    return _in_structure(dtype).replace(">", "<")


def _in_structure(dtype: np.dtype[Any]) -> Any:
    if dtype.names is not None or dtype.subdtype is not None:
        return dtype_of(dtype)
    return dtype.name if dtype.type.__module__ == "ml_dtypes" else dtype.str


# -- packages ---------------------------------------------------------------------------------------------


def _pandas(saying: _Saying, obj: Any, path: Path) -> Any:
    pd: Any = sys.modules["pandas"]
    if isinstance(obj, pd.DataFrame):
        columns = [_rows(obj.iloc[:, number]) for number in range(obj.shape[1])]
        names = saying.all(obj.columns.tolist(), path)
        return {"table": columns, "names": names, "index": _rows(obj.index)}
    index = {} if isinstance(obj, pd.Index) else {"index": _rows(obj.index)}
    return {"column": _rows(obj), "name": neutral(obj.name), **index}


def _rows(values: Any) -> list[Any]:
    """Say each value of a Series or an index."""
    dtype = values.dtype
    if getattr(dtype, "kind", "") in "mM" and hasattr(values.array, "asi8"):
        zone = getattr(dtype, "tz", None)
        raw = np.asarray(values.array.asi8).view(f"{dtype.kind}8[{values.array.unit}]")
        in_zone = {} if zone is None else {"zone": neutral(zone)}
        return [None if np.isnat(item) else {**_scalar(item), **in_zone} for item in raw]
    missing = [False] * len(values) if isinstance(dtype, np.dtype) else list(values.isna())
    return [None if gone else neutral(item) for item, gone in zip(values.tolist(), missing, strict=True)]


def _polars(saying: _Saying, obj: Any, path: Path) -> Any:
    if hasattr(obj, "columns"):
        return {"table": [neutral(column.to_list()) for column in obj], "names": list(obj.columns)}
    return {"column": neutral(obj.to_list()), "name": obj.name}


def _pyarrow(saying: _Saying, obj: Any, path: Path) -> Any:
    return {"table": [neutral(column.to_pylist()) for column in obj.columns], "names": list(obj.column_names)}


def _torch(saying: _Saying, obj: Any, path: Path) -> Any:
    return saying.array(obj.detach().numpy(), path)


_PACKAGES: Final = {"pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow, "torch": _torch}


# -- comparing --------------------------------------------------------------------------------------------


def same(stated: Any, given: Any, where: str = "") -> str | None:
    """Say where two neutral values differ first; None where they are the same.

    >>> same([1, {"set": [1, 2]}], [1.0, {"set": [2, 1]}])
    >>> same({"bytes": "00"}, {"bytes": "01"})
    "['bytes']: '01' instead of '00'"
    """
    differs = f"{where}: {given!r:.80} instead of {stated!r:.80}"
    if isinstance(stated, list) and isinstance(given, list):
        if len(stated) != len(given):
            return f"{where}: {len(given)} items instead of {len(stated)}"
        pairs = [(f"[{number}]", *pair) for number, pair in enumerate(zip(stated, given, strict=True))]
    elif isinstance(stated, dict) and isinstance(given, dict):
        if stated.keys() != given.keys():
            return differs
        pairs = [
            (f"[{name!r}]", _in_order(name, stated[name]), _in_order(name, given[name])) for name in stated
        ]
    elif isinstance(stated, bool) or isinstance(given, bool) or not _equal(stated, given):
        return None if stated is given else differs
    else:
        return None
    return next((found for step, *pair in pairs if (found := same(*pair, where + step))), None)


def _equal(stated: Any, given: Any) -> bool:
    """Compare what holds nothing; a float may be written as an int, of other digits beyond 2**53."""
    both = isinstance(stated, int | float) and isinstance(given, int | float)
    return float(stated) == float(given) if both else stated == given


def _in_order(name: str, value: Any) -> Any:
    """Sort what has no order."""
    return sorted(value, key=_spelled) if name in ("set", "dict") and isinstance(value, list) else value


def _spelled(value: Any) -> str:
    """Spell a value, a number as the float that it is the same as."""
    if isinstance(value, list):
        return f"[{','.join(map(_spelled, value))}]"
    return repr(float(value)) if type(value) is int else repr(value)
