"""Keys of dicts and elements of sets from a stranger: what hashing and comparing them may cost."""

from __future__ import annotations

import collections
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
from . import Limits, kind_of
from .probing import Watch

_SAFE: Final = frozenset((str, bytes, bool, float, type(None)))
"""Types whose hash a stranger cannot steer, or only for a few values."""
_PRIME: Final = (1 << 61) - 1
"""Ints below this are their own hash."""
_COLLISIONS: Final = 64
"""Keys of one container that may have the same hash; honest data has two or three."""
_SEEDED: Final = frozenset((str, bytes, bool, type(None)))
"""Types of keys of which nobody can choose where in a container they come to lie, or only for a few."""
_MANY: Final = 5000
"""Keys from which a container is watched: of fewer, that all lie in each other's way costs 20 ms at most."""
_WEIGHT: Final = 64
"""Bytes of a number that weigh as much as one value: to hash a Decimal of 4300 digits takes 30 µs."""
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
    """Refuse keys whose hashing or comparing could take longer than they are.

    `size` is that of the header: all keys together may weigh some 16 times as much.
    """

    def __init__(self, limits: Limits, size: int) -> None:
        self.limits = limits
        self.budget = 1000 + 16 * size
        self.hashes: dict[int, collections.Counter[int]] = {}
        self.watches: dict[int, Watch] = {}

    def forget(self, container: Any) -> None:
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

    def check(self, container: Any, key: Any) -> None:
        """Raise `DeserializationError` unless a key may go into a container."""
        kind = type(key)
        if kind in _SAFE or (kind is int and -_PRIME < key < _PRIME):
            return
        weight, hashed = weigh(key, self.limits), 0
        if weight <= self.budget:
            counts = self.hashes.setdefault(id(container), collections.Counter())
            hashed = hash(key)
            counts[hashed] += 1
            if counts[hashed] > _COLLISIONS:
                raise DeserializationError("keys that were made to collide")
            weight *= counts[hashed]  # it is compared with the others
        self.budget -= weight
        if self.budget < 0:
            raise DeserializationError("keys that weigh more than the whole header")


def weigh(key: Any, limits: Limits) -> int:
    """Count the values that a key consists of, shared ones each time; refuse what may be no key.

    Hashing a tuple goes into all that it holds, and remembers nothing.
    """
    weight, bulk, rest = 0, 0, [(key, 1)]
    while rest:
        item, depth = rest.pop()
        weight += 1
        kind = type(item)
        if kind in (tuple, frozenset) or kind_of_tuple(kind):
            rest.extend((part, depth + 1) for part in item)
        elif isinstance(item, np.dtype) and item.fields:
            rest.extend((field[0].base, depth + 1) for field in item.fields.values())
        elif kind not in _SEEDED:
            bulk += sys.getsizeof(item) // _WEIGHT
        if not may_be_key(kind):
            raise DeserializationError(f"a key of type {kind.__name__}")
        if weight + len(rest) > limits.key_weight or depth > limits.depth:
            raise DeserializationError(
                f"a key heavier than this reader's limit, key_weight={limits.key_weight}"
            )
    return weight + bulk


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
