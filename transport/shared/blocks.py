"""The parts of an arena: its blocks, its free ranges, and sizes as users write them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .reclaiming import Ended


class Block:
    """A range of the arena in use.

    Attributes:
        number, generation: together they identify it.
        offset, nbytes: its place, in whole pages, in bytes from the start of the arena's data.
        ref: tells whether arrays of the owner use it.
        readers: how many readers it was promised to; `opened` counts those that opened it and are gone.
        sent, until: the monotonic nanoseconds of its last promise, and of the end of its lease.
        queued: whether it is in the queue of sent blocks.
        read: whether all promised readers had opened it when it was reclaimed; None before that.
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
        """Tell whether arrays of the owner use it."""
        return self.ref() is not None


class Space:
    """Allocate parts of a range, always the lowest free one that is long enough.

    A page that was written before is much cheaper than one that the kernel has to provide first: a copy of
    200 MB took 22 ms instead of 206. Allocating from the low end reuses the same pages.

    Args:
        nbytes: the length of the range.
        taken: start and length of the parts in use, in order.

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
        """Allocate a part; return its start, or None if no free one is long enough."""
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
        """Free a part, and merge it with the free ones beside it."""
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
    """The places of an arena's blocks, used and free; can be rebuilt from the blocks at any time."""

    def __init__(self, capacity: int, numbers: int, blocks: Iterable[Block] = ()) -> None:
        taken = {block.number: (block.offset, block.nbytes) for block in blocks}
        self._space = Space(capacity, sorted(taken.values()))
        self._numbers = [number for number in range(numbers - 1, -1, -1) if number not in taken]
        self._by_offset = sorted((offset, number) for number, (offset, _) in taken.items())

    @property
    def numbers(self) -> int:
        """Return how many more blocks can be made."""
        return len(self._numbers)

    def take(self, nbytes: int) -> tuple[int, int] | None:
        """Return the number and the offset of a new block; None if there is no room for it."""
        offset = self._space.take(nbytes) if self._numbers else None
        if offset is None:
            return None
        number = self._numbers.pop()
        insort(self._by_offset, (offset, number))
        return number, offset

    def give(self, block: Block) -> None:
        """Free the place of a block."""
        del self._by_offset[bisect_right(self._by_offset, (block.offset, -1))]
        self._numbers.append(block.number)
        self._space.give(block.offset, block.nbytes)

    def find(self, offset: int) -> int | None:
        """Return the number of the block that begins at this offset, or else of the last one before it."""
        at = bisect_left(self._by_offset, (offset + 1, -1)) - 1
        return self._by_offset[at][1] if at >= 0 else None


class ArenaStats(NamedTuple):
    """State of an arena.

    Attributes:
        capacity, used: bytes; a block takes whole pages. Messages that were not opened in time do not count.
        blocks: blocks in use: they hold arrays of this process, are on their way, or are open at a consumer.
        consumers: processes that have the arena mapped.
        copied: payloads that were copied into the arena to be sent.
        in_place: payloads that were sent without a copy, from this arena or another.
        fallbacks: payloads that found no room and were sent as ordinary frames.
    """

    capacity: int
    used: int
    blocks: int
    consumers: int
    copied: int
    in_place: int
    fallbacks: int
