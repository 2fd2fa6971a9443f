"""Plain data that pickle has no opcodes for, built from arguments that a stranger may have chosen.

Each function here checks its arguments before it builds anything, and uses public constructors only.
`CONSTRUCTORS` lists them under the names by which messages call them.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import functools
import ipaddress
import pathlib
import re
import types
import uuid
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...types.allowed import kind_of
from ...types.libraries.checks import check
from .plain_exceptions import CONSTRUCTORS as EXCEPTION_CONSTRUCTORS

_NUMBER: Final = re.compile(
    r"[+-]?(\d{1,4300}(\.\d{0,4300})?|\.\d{1,4300})([eE][+-]?\d{1,6})?|[+-]?(Infinity|s?NaN\d{0,4300})"
)
_RATIO: Final = re.compile(r"-?\d{1,4300}(/\d{1,4300})?")


def make_datetime(*args: Any) -> dt.datetime:
    """Make a datetime from pickle's ten bytes; a time zone may follow."""
    raw = _exactly(*_with_zone(args), 10)
    fold, month = raw[2] >> 7, raw[2] & 127
    micro = raw[7] << 16 | raw[8] << 8 | raw[9]
    zone = args[1] if len(args) > 1 else None
    day, hour, minute, second = raw[3:7]
    return dt.datetime(raw[0] << 8 | raw[1], month, day, hour, minute, second, micro, zone, fold=fold)


def make_date(*args: Any) -> dt.date:
    """Make a date from its four bytes."""
    check(args, bytes)
    raw = _exactly(args[0], 4)
    return dt.date(raw[0] << 8 | raw[1], raw[2], raw[3])


def make_time(*args: Any) -> dt.time:
    """Make a time from its six bytes; a time zone may follow."""
    raw = _exactly(*_with_zone(args), 6)
    micro = raw[3] << 16 | raw[4] << 8 | raw[5]
    zone = args[1] if len(args) > 1 else None
    return dt.time(raw[0] & 127, raw[1], raw[2], micro, zone, fold=raw[0] >> 7)


def _with_zone(args: tuple[Any, ...]) -> tuple[bytes]:
    """Check bytes that a time zone may follow: an offset, or the result of a registered decoder."""
    check(args[:1], bytes)
    if len(args) > 2 or not all(
        isinstance(zone, dt.tzinfo) and kind_of(type(zone)) is None for zone in args[1:]
    ):
        raise DeserializationError("a time with something other than a time zone")
    return args[:1]


def _exactly(raw: bytes, size: int) -> bytes:
    if len(raw) != size:
        raise DeserializationError(f"{len(raw)} bytes where a date or time has {size}")
    return raw


def make_timedelta(*args: Any) -> dt.timedelta:
    """Make a timedelta from days, seconds, microseconds."""
    check(args, int, int, int)
    return dt.timedelta(*args)


def make_timezone(*args: Any) -> dt.timezone:
    """Make a time zone from its offset; the name may follow."""
    check(args, dt.timedelta, str, optional=1)
    return dt.timezone(*args)


def make_decimal(*args: Any) -> decimal.Decimal:
    """Make a Decimal from its digits."""
    check(args, str)
    if not _NUMBER.fullmatch(args[0]):
        raise DeserializationError("a Decimal that is not a number of at most 4300 digits, 6 of its exponent")
    return decimal.Decimal(args[0])


def make_fraction(*args: Any) -> fractions.Fraction:
    """Make a Fraction from two ints, or from their text."""
    if len(args) == 1:
        check(args, str)
        if not _RATIO.fullmatch(args[0]):
            raise DeserializationError("a Fraction that is not a ratio of at most 4300 digits")
        return fractions.Fraction(args[0])
    check(args, int, int)
    return fractions.Fraction(*args)


def make_range(*args: Any) -> range:
    """Make a range from start, stop, step."""
    check(args, int, int, int)
    return range(*args)


def make_slice(*args: Any) -> slice:
    """Make a slice from start, stop, step."""
    if len(args) != 3:
        raise DeserializationError(f"{len(args)} arguments for a slice")
    return slice(*args)


def make_complex(*args: Any) -> complex:
    """Make a complex from two floats."""
    check(args, float, float)
    return complex(*args)


def make_ordered_dict(*args: Any) -> collections.OrderedDict[Any, Any]:
    """Make an empty OrderedDict."""
    check(args)
    return collections.OrderedDict()


def make_deque(*args: Any) -> collections.deque[Any]:
    """Make an empty deque, with its maximum length if it has one."""
    if not args:
        return collections.deque()
    check(args, tuple, int)
    if args[0]:
        raise DeserializationError("a deque that starts with items")
    return collections.deque(maxlen=args[1])


def make_counter(*args: Any) -> collections.Counter[Any]:
    """Make a Counter from its counts."""
    check(args, dict)
    made: collections.Counter[Any] = collections.Counter()
    dict.update(made, args[0])
    return made


def make_default_dict(*args: Any) -> collections.defaultdict[Any, Any]:
    """Make an empty defaultdict, whose factory is a builtin type."""
    if len(args) > 1 or (args and args[0] is not None and getattr(args[0], "cls", None) not in _FACTORIES):
        raise DeserializationError(
            "a defaultdict whose values are made by something other than a builtin type"
        )
    return collections.defaultdict(getattr(args[0], "cls", None) if args else None)


make_default_dict.takes_classes = True  # type: ignore[attr-defined]


def make_namespace(*args: Any) -> types.SimpleNamespace:
    """Make a SimpleNamespace, without attributes yet."""
    check(args)
    return types.SimpleNamespace()


def fill_namespace(obj: types.SimpleNamespace, state: object) -> None:
    """Set the attributes of a namespace, except names that protocols look for."""
    if type(state) is not dict or any(type(name) is not str or name.startswith("_") for name in state):
        raise DeserializationError("a namespace with attributes of unusual names")
    vars(obj).update(state)


def make_masked(*args: Any) -> Any:
    """Return `numpy.ma.masked`."""
    check(args)
    return np.ma.masked


def make_address(name: str, *args: Any) -> Any:
    """Make an address or a network from its text; `name` is the name of the class."""
    check(args, (str, int))
    if type(args[0]) is str and len(args[0]) > 100:
        raise DeserializationError("an address that is too long")
    return getattr(ipaddress, name)(args[0])


def make_path(*args: Any) -> pathlib.PurePath:
    """Make a path from its parts, for the reader's operating system."""
    if any(type(arg) is not str for arg in args):
        raise DeserializationError("a path of something other than text")
    return pathlib.Path(*args)


def make_pure_posix_path(*args: Any) -> pathlib.PurePath:
    """Make a pure POSIX path from its parts."""
    make_path(*args)
    return pathlib.PurePosixPath(*args)


def make_pure_windows_path(*args: Any) -> pathlib.PurePath:
    """Make a pure Windows path from its parts."""
    make_path(*args)
    return pathlib.PureWindowsPath(*args)


def set_uuid(obj: uuid.UUID, state: object) -> None:
    """Set the number of a new UUID."""
    if type(state) is not dict or set(state) - {"int", "is_safe"} or type(state.get("int")) is not int:
        raise DeserializationError("the state of a UUID that is not one")
    if not 0 <= state["int"] < 1 << 128:
        raise DeserializationError("a UUID out of range")
    object.__setattr__(obj, "int", state["int"])
    object.__setattr__(obj, "is_safe", uuid.SafeUUID.unknown)


_FACTORIES: Final = (list, dict, set, int, float, complex, str, bytes, bool, tuple)
FACTORIES: Final = {("builtins", cls.__name__): cls for cls in _FACTORIES}
"""Types that a message may name only as the factory of a defaultdict."""
_ADDRESSES: Final = (
    *("IPv4Address", "IPv4Network", "IPv4Interface", "IPv6Address", "IPv6Network", "IPv6Interface"),
)
_PATHS: Final = {
    "PosixPath": make_path,
    "WindowsPath": make_pure_windows_path,
    "PurePosixPath": make_pure_posix_path,
    "PureWindowsPath": make_pure_windows_path,
}

CONSTRUCTORS: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("datetime", "datetime"): make_datetime,
    ("datetime", "date"): make_date,
    ("datetime", "time"): make_time,
    ("datetime", "timedelta"): make_timedelta,
    ("datetime", "timezone"): make_timezone,
    ("decimal", "Decimal"): make_decimal,
    ("fractions", "Fraction"): make_fraction,
    ("builtins", "range"): make_range,
    ("builtins", "slice"): make_slice,
    ("builtins", "complex"): make_complex,
    ("collections", "OrderedDict"): make_ordered_dict,
    ("collections", "deque"): make_deque,
    ("collections", "Counter"): make_counter,
    ("collections", "defaultdict"): make_default_dict,
    ("types", "SimpleNamespace"): make_namespace,
    **{("builtins", cls.__name__): make for cls, make in EXCEPTION_CONSTRUCTORS.items()},
    **{(module, "MaskedConstant"): make_masked for module in ("numpy.ma", "numpy.ma.core")},
    **{("ipaddress", name): functools.partial(make_address, name) for name in _ADDRESSES},
    **{(module, name): make for module in ("pathlib", "pathlib._local") for name, make in _PATHS.items()},
}
"""The functions that messages may call, by name: no others are ever called."""
SINGLETONS: Final = {("builtins", "Ellipsis"): ..., ("builtins", "NotImplemented"): NotImplemented}
"""Immutable objects that messages may name."""
