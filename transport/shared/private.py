"""Private copy-on-write views of an arena.

Mapping 200 MB anew for every message cost the reader 13 ms of page faults at the first access, and 8 ms to
unmap. So the low end of an arena, which its owner reuses, is mapped once and lent out piece by piece. When a
piece comes back, its written pages, which the kernel reports, are discarded. Then the piece shows the present
contents of the arena again, through pages that are mapped already: the next first access takes 1.2 ms.

A piece that overlaps a lent one, or lies beyond the low end, gets a mapping of its own.
"""

from __future__ import annotations

import _thread
import contextlib
import os
from bisect import bisect_left
from collections import deque
from typing import Final

import numpy as np

from .blocks import BOOKS
from .memory import PAGE, SLOW, Mapping, forget_pages

WARM: Final = 512 * 1024 * 1024
"""Bytes at the low end of each arena that may stay mapped, and then count as memory of the reader too."""
_BATCH: Final = 1 << 15
"""Pages to query from the kernel at a time."""
_IN_MEMORY: Final = 0b100
_SWAPPED: Final = 0b010
"""The three highest bits of a private page in ``/proc/self/pagemap``; a file's page also has the lowest."""


class Lent:
    """A piece of the common mapping, returned when this object dies."""

    __slots__ = ("address", "lender", "low", "nbytes")

    def __init__(self, lender: Lender, address: int, low: int, nbytes: int) -> None:
        self.lender = lender
        self.address = address
        self.low = low
        self.nbytes = nbytes

    def __del__(self) -> None:
        self.lender.take_back(self)


class Lender:
    """Map pieces of an arena's data privately.

    Args:
        start: the offset of the data in the file.
        warm: bytes from there on that stay mapped: whole pages, at most the length of the data.
    """

    def __init__(self, start: int, warm: int) -> None:
        self._start = start
        self._warm = warm
        self._pid = os.getpid()
        self._common: Mapping | None = None
        self._lent: list[tuple[int, int]] = []
        self._cleared: deque[tuple[int, int]] = deque()

    def lend(self, fd: int, low: int, nbytes: int) -> Lent | Mapping:
        """Return private memory that shows the file's data, so many bytes from the page at `low` on."""
        if BOOKS.inside:  # a signal handler or a finalizer has interrupted us
            return self._map(fd, low, nbytes)
        return BOOKS.run(lambda: self._lend_warm(fd, low, nbytes)) or self._map(fd, low, nbytes)

    def _lend_warm(self, fd: int, low: int, nbytes: int) -> Lent | None:
        while self._cleared:
            with contextlib.suppress(ValueError):
                self._lent.remove(self._cleared.popleft())
        if low + nbytes > self._warm or not self._is_free(low, low + nbytes) or not self._has_common(fd):
            return None
        assert self._common is not None
        lent = Lent(self, self._common.address + low, low, nbytes)  # first, so that it is surely returned
        self._lent.insert(bisect_left(self._lent, (low, 0)), (low, low + nbytes))
        return lent

    def _has_common(self, fd: int) -> bool:
        if self._common is None:
            try:
                self._common = self._map(fd, 0, self._warm)
            except OSError:  # the process may not map so much
                self._warm = 0
                return False
        return True

    def _map(self, fd: int, low: int, nbytes: int) -> Mapping:
        return Mapping(fd, nbytes, self._start + low, writable=True, private=True)

    def _is_free(self, low: int, high: int) -> bool:
        at = bisect_left(self._lent, (low, 0))
        if at < len(self._lent) and self._lent[at][0] < high:
            return False
        return not at or self._lent[at - 1][1] <= low

    def take_back(self, piece: Lent) -> None:
        """Clear a piece. The garbage collector may call this anywhere, so it takes no lock."""
        if os.getpid() != self._pid:
            return  # a forked child lends nothing
        if piece.nbytes < SLOW:
            self._clear(piece.address, piece.low, piece.nbytes)
            return
        with contextlib.suppress(RuntimeError):  # no thread can be started any more
            _thread.start_new_thread(self._clear, (piece.address, piece.low, piece.nbytes))

    def _clear(self, address: int, low: int, nbytes: int) -> None:
        if has_own_pages(address, nbytes):
            forget_pages(address, nbytes)
        self._cleared.append((low, low + nbytes))


def has_own_pages(address: int, nbytes: int) -> bool:
    """Tell whether pages of a private mapping were written to; True if the system does not report it.

    It took 0.1 ms for 10 MB and 4 ms for 200 MB.
    """
    page, last = address // PAGE, -(-(address + nbytes) // PAGE)
    try:
        fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while page < last:
                raw = os.pread(fd, 8 * min(_BATCH, last - page), 8 * page)
                said = np.frombuffer(raw, np.uint64) >> np.uint64(61)
                if not len(said) or np.any((said == _IN_MEMORY) | (said == _SWAPPED)):
                    return True
                page += len(said)
        finally:
            os.close(fd)
    except OSError:
        return True
    return False
