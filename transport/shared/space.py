"""Which stretches of an arena are free."""

from __future__ import annotations

from bisect import bisect_left


class Space:
    """Give out stretches of a range, always the lowest that is long enough.

    A page that was written before is much cheaper than one that the kernel has to find first: a copy of 200
    MB took 22 ms and 206. Taking from the low end uses the same pages again and again.

    >>> space = Space(100)
    >>> space.take(60), space.take(60), space.take(40)
    (0, None, 60)
    >>> space.give(0, 60)
    >>> space.take(10)
    0
    """

    def __init__(self, nbytes: int) -> None:
        self.free = nbytes
        self._starts = [0]
        self._sizes = [nbytes]

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
