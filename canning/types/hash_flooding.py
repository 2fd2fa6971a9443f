"""Keys that were chosen so that a dict or a set takes long to hold them, told from those that just are many.

CPython finds a free slot by the hash alone, and the hash of a number is the number: who chooses the numbers
can choose them so that each new one walks past most of the others. 86,000 of them, 600 kB, took 5 s, and a
million would take many minutes. To look at every key beforehand takes longer than to put it in (0.8 µs), so
keys go in a few at a time, and the time that it takes is watched. That alone refuses nothing, since a machine
may be slow: where it took long, `judge` walks the way of all keys over a table of bytes, and counts.

The way is that of ``Objects/dictobject.c`` and ``Objects/setobject.c``, the same from Python 3.11 to 3.14.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from ..errors import DeserializationError

_AT_ONCE: Final = 100
"""Keys that go in between two looks at the clock."""
_PATIENCE: Final = 0.05
_PER_KEY: Final = 5e-6
"""Seconds of this thread that keys may take, all and each of them, before they are judged; usual are 1e-7."""
_WORD: Final = (1 << 64) - 1
_STEPS: Final = 128
"""Slots of one table that a key may look at, on the average: numbers at random look at 2, multiples of powers
of two at up to 42."""
_FREE: Final = 10_000
_NEIGHBOURS: Final = 9
"""Slots that a set looks at before it jumps; a dict looks at none."""


class Watch:
    """Put keys into one container, and see how long that takes."""

    __slots__ = ("spent",)

    def __init__(self) -> None:
        self.spent = 0.0

    def put(self, container: Any, keys: list[Any], values: list[Any] | None) -> None:
        """Put keys in; `values` for a dict, None for a set."""
        clock = time.thread_time
        pairs = iter(keys) if values is None else zip(keys, values, strict=True)
        for _ in range(0, len(keys), _AT_ONCE):
            began = clock()
            container.update(islice(pairs, _AT_ONCE))
            self.spent += clock() - began
            if self.spent > _PATIENCE + _PER_KEY * len(container):
                judge(map(hash, container), is_set=values is None)
                self.spent = -self.spent  # so that the next time comes after as much again, and more


def judge(hashes: Iterable[int], *, is_set: bool) -> None:
    """Raise `DeserializationError` for keys with these hashes, where they were made to collide.

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
    """Fill a table; tell whether that took no longer than it may."""
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
