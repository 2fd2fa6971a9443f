"""The time and memory that calls take beyond what the bytes of the call pay for: nanoseconds and bytes.

A call whose name and arguments are in the memo takes 5 bytes of a header, which pay for 5 µs and 325
bytes. The calls listed here take more, always or depending on their arguments.
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ...types.allowed import Allowed
from ...wire.names import CALLS
from .plain_exceptions import EXCEPTIONS
from .sealing import LEAVES

Price = Callable[[tuple[Any, ...]], tuple[int, int]]
"""Returns the nanoseconds and the bytes that a call takes, by its arguments."""

_NUMBERS: Final = LEAVES - {str, bytes}
_WALKED: Final = frozenset(
    (
        *(list, tuple, dict, set, frozenset),
        *(collections.deque, collections.OrderedDict, collections.defaultdict),
    )
)
_WORD: Final = 200
"""Bits squared whose greatest common divisor takes a nanosecond, at most."""
_DIGIT: Final = 3.33


def _always(time: int, memory: int) -> Price:
    price = time, memory
    return lambda args: price


def _bits(arg: object) -> int:
    if type(arg) is int:
        return arg.bit_length()
    return int(_DIGIT * len(arg)) if type(arg) is str else 0


def _fraction(args: tuple[Any, ...]) -> tuple[int, int]:
    """Price a greatest common divisor, or reading ints from text: both grow with the square of the digits."""
    bits = sum(map(_bits, args[:2]))
    return 2000 + bits * bits // (2 * _WORD), 200 + bits // 4


def _path(args: tuple[Any, ...]) -> tuple[int, int]:
    letters = sum(len(arg) for arg in args if type(arg) is str)
    return 5000 + 500 * len(args) + 100 * letters, 600 + 80 * len(args) + 40 * letters


def _counter(args: tuple[Any, ...]) -> tuple[int, int]:
    held = args[0] if args and type(args[0]) is dict else {}
    return 100 * len(held), 100 + sys.getsizeof(held)


def _exception(args: tuple[Any, ...]) -> tuple[int, int]:
    """Price an exception, which copies its arguments; a group also copies its list of exceptions."""
    held = len(args) + sum([len(arg) for arg in args if type(arg) is list or type(arg) is tuple])
    return 4000 + 300 * held, 500 + 16 * held


def _raised(args: tuple[Any, ...]) -> tuple[int, int]:
    return _exception(args[1] if len(args) == 2 and type(args[1]) is tuple else ())


def _filled(args: tuple[Any, ...]) -> tuple[int, int]:
    """Price the state of an exception: attributes, notes and links."""
    parts = [part for part in args[-1] if type(part) is dict] if args and type(args[-1]) is tuple else []
    notes = [part["__notes__"] for part in parts if type(part.get("__notes__")) is list]
    held = sum(map(len, parts)) + sum(map(len, notes))
    return 4000 + 700 * held, 600 + 110 * held


_NETWORKS: Final = ("IPv4Network", "IPv4Interface", "IPv6Network", "IPv6Interface")
_PATHS: Final = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
PRICES: Final[dict[tuple[str, str], Price]] = {
    ("fractions", "Fraction"): _fraction,
    ("collections", "Counter"): _counter,
    ("collections", "deque"): _always(1000, sys.getsizeof(collections.deque()) + 40),
    ("collections", "OrderedDict"): _always(1000, 300),
    ("collections", "defaultdict"): _always(1000, 300),
    ("types", "SimpleNamespace"): _always(1000, 300),
    **{("builtins", cls.__name__): _exception for cls in EXCEPTIONS},
    **{("ipaddress", name): _always(5000, 400) for name in ("IPv4Address", "IPv6Address")},
    **{("ipaddress", name): _always(20_000, 1500) for name in _NETWORKS},
    **{(module, name): _path for module in ("pathlib", "pathlib._local") for name in _PATHS},
    (CALLS, "array"): _always(8000, 350),
    (CALLS, "view"): _always(5000, 600),
    (CALLS, "objects"): _always(5000, 350),
    (CALLS, "strings"): _always(10_000, 400),
    (CALLS, "masked"): _always(50_000, 2000),
    (CALLS, "subclass"): _always(20_000, 600),
    (CALLS, "message"): _always(60_000, 400),
    (CALLS, "stdlib_array"): _always(5000, 200),
    (CALLS, "exception"): _raised,
    (CALLS, "fill_exception"): _filled,
}
"""By the name in the header. `DECODERS` has the prices of registered types."""

_ZONE: Final = 300_000, 12_000
_ANY: Final = 20_000, 1000
_LIBRARIES: Final[dict[str, tuple[int, int]]] = {
    "pandas": (50_000, 1500),
    "polars": (300_000, 4000),
    "pyarrow": (100_000, 1500),
    "xarray": (60_000, 1500),
    "PIL": (60_000, 1500),
    "scipy": (70_000, 2000),
    "torch": (20_000, 1500),
    "ctypes": (15_000, 2000),
    "zoneinfo": _ZONE,
    "pytz": _ZONE,
    "dateutil": _ZONE,
    "pint": (100_000, 2000),
    "astropy": (300_000, 6000),
}
"""Nanoseconds and bytes of one call of a decoder with almost nothing to decode, by the package of its
type: two to three times the measured values."""
_DECODERS: Final[dict[str, tuple[int, int]]] = {
    "pandas.DataFrame": (60_000, 3000),
    "pandas.DataFrame/1": (120_000, 3000),
    "pandas.DatetimeIndex": (150_000, 3000),
    "pandas.TimedeltaIndex": (150_000, 3000),
    "pandas.MultiIndex": (150_000, 4500),
    "pandas.arrays.IntervalArray": (100_000, 1500),
    "pandas.arrays.SparseArray": (60_000, 1500),
    "xarray.DataTree": (300_000, 2500),
    "mmap.mmap": (40_000, 16_384),
}
"""The same for types that take more, by the name of the type."""


def price_of_decoder(name: str) -> tuple[int, int]:
    """Price one call of a decoder, beyond what the size of its state pays for."""
    return _DECODERS.get(name) or _LIBRARIES.get(name.partition(".")[0], _ANY)


ITEM: Final = 200
"""Nanoseconds that a decoder takes for each item of its state, at most; it charges for more itself."""


def weigh(state: Any, allowed: Allowed, most: int) -> tuple[int, int]:
    """Count the items and bytes that decoders may visit; stop if there are more items than `most`.

    Counted are items of containers and bytes of arrays by their shape, shared ones each time; letters of
    text once; and a fraction of the length of the results of other decoders, which are visited as a whole.

    >>> weigh([(1, 2), np.zeros(4)], Allowed(), 1000)
    (9, 32)
    """
    items, nbytes, rest, texts = 0, 0, [state], set()
    while rest and items <= most:
        part = rest.pop()
        items += 1
        kind = type(part)
        if kind in _NUMBERS:
            continue
        if kind is str:
            nbytes += 0 if id(part) in texts else len(part)
            texts.add(id(part))
        elif kind in _WALKED:
            items += len(part)
            if items <= most:
                rest.extend(part.values() if isinstance(part, dict) else part)
        elif kind is bytes:
            nbytes += len(part)
        elif issubclass(kind, np.ndarray):
            nbytes += part.nbytes
            if part.dtype.hasobject:
                items += part.size
                if items <= most:
                    rest.extend(part.ravel().tolist())
        elif hasattr(kind, "__len__") and not allowed.has(kind):
            items += _length(part) >> 6
    return items, nbytes


def _length(part: Any) -> int:
    try:
        return len(part)
    except Exception:  # another library's object may measure itself in its own way, or not at all
        return 0
