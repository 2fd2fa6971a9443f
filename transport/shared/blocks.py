"""What an arena is cut into: its blocks, the stretches that are free, and sizes as users write them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from canning.arguments import check_whole

from .reclaiming import Ended


class Block:
    """A stretch of the arena in use.

    Attributes:
        number, generation: its name.
        offset, nbytes: where it lies, in whole pages, in bytes from the start of the arena's data.
        ref: tells whether arrays of the owner's look at it.
        readers: how many were promised it, of which `opened` by consumers that are gone have had it.
        sent, until: the monotonic nanoseconds of its last promise, and at which its lease ends.
        queued: whether it is among those that were sent.
        read: whether all who were promised it had opened it when it was taken back; None before that.
    """

    __slots__ = (
        "generation",
        "nbytes",
        "number",
        "offset",
        "opened",
        "queued",
        "read",
        "readers",
        "ref",
        "sent",
        "until",
    )

    def __init__(self, number: int, generation: int, offset: int, nbytes: int, ref: Ended) -> None:
        self.number = number
        self.generation = generation
        self.offset = offset
        self.nbytes = nbytes
        self.ref = ref
        self.readers = 0
        self.opened = 0
        self.sent = 0
        self.until = 0
        self.queued = False
        self.read: bool | None = None

    @property
    def held(self) -> bool:
        """Tell whether arrays of the owner's look at it."""
        return self.ref() is not None


class Space:
    """Give out stretches of a range, always the lowest that is long enough.

    A page that was written before is much cheaper than one that the kernel has to find first: a copy of 200
    MB took 22 ms and 206. Taking from the low end uses the same pages again and again.

    Args:
        nbytes: the length of the range.
        taken: start and length of what is in use already, in order.

    >>> space = Space(100)
    >>> space.take(60), space.take(60), space.take(40)
    (0, None, 60)
    >>> space.give(0, 60)
    >>> space.take(10)
    0
    """

    def __init__(self, nbytes: int, taken: Sequence[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._sizes: list[int] = []
        low = 0
        for start, size in (*taken, (nbytes, 0)):
            if start > low:
                self._starts.append(low)
                self._sizes.append(start - low)
            low = start + size
        self.free = sum(self._sizes)

    def take(self, nbytes: int) -> int | None:
        """Take a stretch; return where it starts, None where no free one is long enough."""
        for number, size in enumerate(self._sizes):
            if size >= nbytes:
                start = self._starts[number]
                if size == nbytes:
                    del self._starts[number], self._sizes[number]
                else:
                    self._starts[number] += nbytes
                    self._sizes[number] -= nbytes
                self.free -= nbytes
                return start
        return None

    def give(self, start: int, nbytes: int) -> None:
        """Give a stretch back, which then is one with the free ones beside it."""
        self.free += nbytes
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and start + nbytes == self._starts[at]:
            nbytes += self._sizes[at]
            del self._starts[at], self._sizes[at]
        if at and self._starts[at - 1] + self._sizes[at - 1] == start:
            self._sizes[at - 1] += nbytes
        else:
            self._starts.insert(at, start)
            self._sizes.insert(at, nbytes)


class Places:
    """Know the places of an arena's blocks, and which are free; made anew from the blocks at any time."""

    def __init__(self, capacity: int, numbers: int, blocks: Iterable[Block] = ()) -> None:
        taken = {block.number: (block.offset, block.nbytes) for block in blocks}
        self._space = Space(capacity, sorted(taken.values()))
        self._numbers = [number for number in range(numbers - 1, -1, -1) if number not in taken]
        self._by_offset = sorted((offset, number) for number, (offset, _) in taken.items())

    @property
    def numbers(self) -> int:
        """Tell how many more blocks there can be."""
        return len(self._numbers)

    def take(self, nbytes: int) -> tuple[int, int] | None:
        """Return the number and the offset of a new block; None where there is no room for it."""
        offset = self._space.take(nbytes) if self._numbers else None
        if offset is None:
            return None
        number = self._numbers.pop()
        insort(self._by_offset, (offset, number))
        return number, offset

    def give(self, block: Block) -> None:
        """Take back the place of a block."""
        del self._by_offset[bisect_right(self._by_offset, (block.offset, -1))]
        self._numbers.append(block.number)
        self._space.give(block.offset, block.nbytes)

    def find(self, offset: int) -> int | None:
        """Return the number of the block that begins there, or last before."""
        at = bisect_left(self._by_offset, (offset + 1, -1)) - 1
        return self._by_offset[at][1] if at >= 0 else None


_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


class ArenaStats(NamedTuple):
    """State of an arena.

    Attributes:
        capacity, used: bytes; a block takes whole pages. Messages that nobody opened in time do not count.
        blocks: those in use: with arrays of this process in them, on their way, or open at a consumer.
        consumers: processes that have the arena mapped.
        copied: payloads that were copied into the arena to be sent.
        in_place: payloads that were sent from where they were, in this arena or another.
        fallbacks: payloads that found no room and went as ordinary frames.
    """

    capacity: int
    used: int
    blocks: int
    consumers: int
    copied: int
    in_place: int
    fallbacks: int


def parse_size(size: int | str) -> int:
    """Read a number of bytes, as ``"1GiB"``, ``"64 MB"`` or an int; raises `ValueError` for anything else.

    >>> parse_size("1.5KiB"), parse_size("2 MB"), parse_size(7)
    (1536, 2000000, 7)
    """
    if isinstance(size, str):
        found = _SIZE.fullmatch(size)
        if found is None:
            raise ValueError(f"capacity={size!r} is not a number of bytes: write it as '1GiB' or '64MB'")
        number, prefix, binary = found.groups()
        power = " kmgt".index(prefix.lower() or " ")
        size = int(float(number) * (1024 if binary else 1000) ** power)
    check_whole("capacity", size, "bytes", least=1)
    return size
