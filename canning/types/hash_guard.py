"""Keys of dicts and elements of sets from a stranger: what hashing and comparing them may cost."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import pathlib
import sys
import types
import uuid
from typing import Any, Final

import numpy as np

from ..errors import DeserializationError
from ..limits import Limits
from .allowed import kind_of
from .budget import Work
from .hash_flooding import Watch

_SAFE: Final = frozenset((str, bytes, bool, float, type(None)))
"""Types whose hash a stranger cannot steer, or only for a few values."""
_PRIME: Final = (1 << 61) - 1
"""Ints below this are their own hash."""
_COLLISIONS: Final = 64
"""Keys of one container that may have the same hash; honest data has two or three."""
_TEXT: Final = frozenset((str, bytes))
_COUNTS: Final = 400
_COUNTED: Final = 150
"""Bytes of counting the keys of one container by their hashes, and of each."""
_MANY: Final = 5000
"""Keys from which a container is watched: of fewer, that all lie in each other's way costs 20 ms at most."""
_KEYS: Final = frozenset(
    (
        *(str, bytes, bool, float, type(None), int, complex, range, uuid.UUID, tuple, frozenset),
        *(dt.datetime, dt.date, dt.time, dt.timedelta, dt.timezone, decimal.Decimal, fractions.Fraction),
    )
)
_KEY_BASES: Final = (np.generic, np.dtype, pathlib.PurePath)
_ELSEWHERE: Final = frozenset(
    (
        *("zoneinfo.ZoneInfo", "pandas._libs.interval.Interval", "pandas._libs.tslibs.period.Period"),
        *("pandas._libs.tslibs.timestamps.Timestamp", "pandas._libs.tslibs.timedeltas.Timedelta"),
        *("pandas._libs.tslibs.nattype.NaTType", "pandas._libs.missing.NAType"),
        *("pandas.Timestamp", "pandas.Timedelta", "pandas.Period", "pandas.Interval"),
        *("pandas.api.typing.NaTType", "pandas.api.typing.NAType"),
        *(f"ipaddress.IPv{n}{kind}" for n in (4, 6) for kind in ("Address", "Network", "Interface")),
    )
)
"""Types of which the same is known, by name: their modules are imported where there are instances."""


class KeyGuard:
    """Refuse keys whose hashing or comparing could take longer than they are; `work` is the account."""

    def __init__(self, limits: Limits, work: Work) -> None:
        self.limits = limits
        self.work = work
        self.hashes: dict[int, dict[int, int]] = {}
        self.watches: dict[int, Watch] = {}

    def forget(self, container: object) -> None:
        """Start counting anew for a container that was just made, maybe where another one was."""
        if self.hashes:
            self.hashes.pop(id(container), None)
        if self.watches:
            self.watches.pop(id(container), None)

    def put(self, container: Any, keys: list[Any], values: list[Any] | None = None) -> None:
        """Put keys that have passed `check` into a container, with their values into a dict.

        Raises `DeserializationError` where the keys were chosen so that this takes long.
        """
        if len(container) + len(keys) >= _MANY:
            self.watches.setdefault(id(container), Watch()).put(container, keys, values)
        elif values is None:
            container.update(keys)
        else:
            container.update(zip(keys, values, strict=True))

    def check(self, container: object, keys: list[Any]) -> None:
        """Raise `DeserializationError` unless keys may go into a container.

        Text is on the account by its letters: where it is there already, the two are compared to their end.
        """
        if _TEXT.issuperset(map(type, keys)):
            self.work.time -= sum(map(len, keys))
            if self.work.time < 0:
                self.work.refuse()
            return
        letters = 0
        for key in keys:
            kind = type(key)
            if kind in _TEXT:
                letters += len(key)
            elif kind not in _SAFE and not (kind is int and -_PRIME < key < _PRIME):
                self._check(container, key)
        self.work.spend(letters, 0)

    def _check(self, container: object, key: object) -> None:
        price = weigh(key, self.limits)
        counts = self.hashes.get(id(container))
        if counts is None:
            counts = self.hashes[id(container)] = {}
        self.work.spend(price, _COUNTED if counts else _COUNTS)
        hashed = hash(key)
        count = counts[hashed] = counts.get(hashed, 0) + 1
        if count > _COLLISIONS:
            raise DeserializationError("keys that were made to collide")
        self.work.spend(price * count, 0)  # it is compared with the others


def weigh(key: Any, limits: Limits) -> int:
    """Price hashing or comparing a key, in nanoseconds, shared parts each time; refuse what may be none.

    Hashing a tuple goes into all that it holds, and remembers nothing.
    """
    weight, price, rest = 0, 0, [(key, 1)]
    while rest:
        item, depth = rest.pop()
        weight += 1
        kind = type(item)
        if not may_be_key(kind):
            raise DeserializationError(f"a key of type {kind.__name__}")
        price += 200 + price_of(item, kind)
        if issubclass(kind, tuple):
            rest.extend([(part, depth + 1) for part in tuple.__iter__(item)])
        elif kind is frozenset:
            rest.extend([(part, depth + 1) for part in item])
        elif issubclass(kind, np.dtype) and item.base.fields:
            rest.extend([(field[0].base, depth + 1) for field in item.base.fields.values()])
        if weight + len(rest) > limits.key_weight or depth > limits.depth:
            raise DeserializationError(
                f"a key heavier than this reader's limit, key_weight={limits.key_weight}"
            )
    return price


def price_of(item: Any, kind: type[Any]) -> int:
    """Price hashing or comparing one part of a key beyond the 200 nanoseconds of any, by its size."""
    if kind in _TEXT:
        return len(item)
    if kind is int:
        return int(item.bit_length()) >> 3
    if kind is fractions.Fraction:  # its hash is a power modulo a prime
        bits = int(item.numerator.bit_length() + item.denominator.bit_length())
        return 5000 + (bits >> 2)
    if kind is range:
        bits = sum(abs(end).bit_length() for end in (item.start, item.stop, item.step))
        return 500 + (bits >> 1) + bits * bits // 1000
    if issubclass(kind, pathlib.PurePath):
        return 5000 + 20 * len(str(item))
    if kind in _SAFE or issubclass(kind, tuple):
        return 0
    return 2000 + 4 * sys.getsizeof(item)


def may_be_key(kind: type) -> bool:
    """Tell whether instances are hashed and compared by code that is known."""
    if kind in _KEYS or issubclass(kind, _KEY_BASES) or _is_known_elsewhere(kind):
        return True
    if not issubclass(kind, enum.Enum) and not kind_of_tuple(kind):
        return False
    return all(
        isinstance(method, types.WrapperDescriptorType) or method is enum.Enum.__hash__
        for method in (kind.__hash__, kind.__eq__)  # an allowed class may have its own
    )


def _is_known_elsewhere(kind: type) -> bool:
    return f"{kind.__module__}.{kind.__qualname__}" in _ELSEWHERE and kind is getattr(
        sys.modules.get(kind.__module__), kind.__name__, None
    )


def kind_of_tuple(kind: type) -> bool:
    """Tell whether instances are named tuples, which hash as tuples do."""
    return issubclass(kind, tuple) and kind_of(kind) == "namedtuple"
