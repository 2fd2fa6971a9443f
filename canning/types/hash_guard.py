"""Keys of dicts and elements of sets from a stranger: limit the cost of hashing, comparing and collisions.

CPython finds a free slot by the hash alone, and the hash of a number is the number: a sender can choose
numbers so that each new one probes most of the others. 86,000 of them, 600 kB, took 5 s, and a million would
take many minutes. Checking every key beforehand takes longer than inserting it (0.8 µs), so keys are inserted
a few at a time, and the time is measured. Time alone refuses nothing, since a machine may be slow: if it took
long, `judge` follows the probes of all keys over a table of bytes, and counts.

The probes are those of ``Objects/dictobject.c`` and ``Objects/setobject.c``, equal from Python 3.11 to 3.14.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import pathlib
import sys
import time
import types
import uuid
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import numpy as np

from ..errors import DeserializationError
from ..limits import Limits
from .allowed import kind_of
from .budget import Work

_AT_ONCE: Final = 100
"""Keys that are inserted between two readings of the clock."""
_PATIENCE: Final = 0.02
_PER_KEY: Final = 2e-6
"""Seconds of this thread that all keys, and each of them, may take before they are judged; 1e-7 is usual."""
_WORD: Final = (1 << 64) - 1
_STEPS: Final = 128
"""Slots of one table that a key may probe, on average: random numbers probe 2, multiples of powers of
two up to 42."""
_FREE: Final = 10_000
_NEIGHBOURS: Final = 9
"""Slots that a set probes in sequence before it jumps; a dict probes none."""


class Watch:
    """Insert keys into one container, and measure the time."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0.0

    def put(self, container: Any, keys: list[Any], values: list[Any] | None) -> None:
        """Insert keys; `values` for a dict, None for a set."""
        clock = time.thread_time
        pairs = iter(keys) if values is None else zip(keys, values, strict=True)
        for _ in range(0, len(keys), _AT_ONCE):
            began = clock()
            container.update(islice(pairs, _AT_ONCE))
            self.spent += clock() - began
            if self.spent > _PATIENCE + _PER_KEY * len(container):
                judge(map(hash, container), is_set=values is None)
                self.spent = -self.spent  # so that the next check comes after as much time again, and more


def judge(hashes: Iterable[int], *, is_set: bool) -> None:
    """Raise `DeserializationError` for keys with these hashes, if they were chosen to collide.

    >>> judge(range(10_000), is_set=False)
    """
    found = list(hashes)
    table, held = bytearray(8), 0
    while held < len(found):
        size = len(table)
        held = -(-(size - 1) * 3 // 5) if is_set else size * 2 // 3
        if not _fill(table, found[:held], is_set=is_set):
            raise DeserializationError("keys that were made to collide")
        least = held * 3 if not is_set else 1 + held * (2 if held > 50_000 else 4)
        while size < least:
            size *= 2
        table = bytearray(size)


def _fill(table: bytearray, hashes: list[int], *, is_set: bool) -> bool:
    """Fill a table; tell whether that stayed within the limit."""
    mask, left = len(table) - 1, _FREE + _STEPS * len(hashes)
    for value in hashes:
        slot, perturb = value & mask, value & _WORD
        while table[slot]:
            near = table.find(0, slot + 1, slot + 1 + _NEIGHBOURS) if is_set else -1
            if near >= 0:
                slot = near
                break
            perturb >>= 5
            slot = (slot * 5 + 1 + perturb) & mask
            left -= 1
            if not left:
                return False
        table[slot] = 1
    return True


_SAFE: Final = frozenset((str, bytes, bool, float, type(None)))
"""Types whose hash a stranger cannot choose, or only for a few values."""
_PRIME: Final = (1 << 61) - 1
"""Ints below this are their own hash."""
_COLLISIONS: Final = 64
"""Keys of one container that may have the same hash; honest data has two or three."""
_TEXT: Final = frozenset((str, bytes))
_COUNTS: Final = 400
_COUNTED: Final = 150
"""Bytes to count the keys of one container by their hashes, and for each key."""
_MANY: Final = 1000
"""Keys from which a container is watched. A header can look up one key again and again, at 3 bytes each, and
each time it walks past the others with which it collides: past 1000 in 1.5 µs."""
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
"""Types with the same property, by name: their modules are imported if there are instances."""


class KeyGuard:
    """Refuse keys whose hashing or comparing could take longer than their size allows; `work` is charged."""

    def __init__(self, limits: Limits, work: Work) -> None:
        self.limits = limits
        self.work = work
        self.hashes: dict[int, dict[int, int]] = {}
        self.watches: dict[int, Watch] = {}

    def forget(self, container: object) -> None:
        """Start counting anew for a new container, which may have the identity of an old one."""
        if self.hashes:
            self.hashes.pop(id(container), None)
        if self.watches:
            self.watches.pop(id(container), None)

    def put(self, container: Any, keys: list[Any], values: list[Any] | None = None) -> None:
        """Insert keys that passed `check` into a container, with their values if it is a dict.

        Raises `DeserializationError` if the keys were chosen to make this slow.
        """
        if len(container) + len(keys) >= _MANY:
            self.watches.setdefault(id(container), Watch()).put(container, keys, values)
        elif values is None:
            container.update(keys)
        else:
            container.update(zip(keys, values, strict=True))

    def check(self, container: object, keys: list[Any]) -> None:
        """Raise `DeserializationError` unless keys may be inserted into a container.

        Text is charged by its letters: an equal text in the container is compared to its end.
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
        self.work.spend(price * count, 0)  # each is compared with the others


def weigh(key: Any, limits: Limits) -> int:
    """Price hashing or comparing a key, in nanoseconds, shared parts each time; refuse what cannot be a key.

    Hashing a tuple visits all its items, and caches nothing.
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
    """Price hashing or comparing one part of a key by its size, beyond the 200 nanoseconds of any part."""
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
    """Tell whether instances are hashed and compared by known code."""
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
