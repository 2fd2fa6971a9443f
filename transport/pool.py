"""Buffers that are used again: memory that the system need not hand out anew, page by page.

A large block that is free has been offered to the kernel (``MADV_FREE``, 0.1 ms for 200 MB of huge pages): it
stays warm for the next message, and is taken when memory gets short anywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import sys
import weakref
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np

from canning.arguments import check_whole
from canning.errors import shortened
from canning.memory.buffers import ByteArray, aligned_empty, span

from .shared.blocks import parse_size

_GRAIN: Final = 1024 * 1024
"""Bytes of which blocks are multiples, so that messages of about one size share them."""


class _Block(NamedTuple):
    """A stretch of memory, and the mapping that it is of; None where the system has no such mappings."""

    array: ByteArray
    mapping: mmap.mmap | None

    def offer(self) -> None:
        """Let the kernel have the pages if it needs them."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_FREE)


_OFFERED: Final = 16 * 1024 * 1024
"""Bytes from which a block is a mapping that is offered. Of small pages, which smaller ones are of, 200 MB
took 6.6 ms to offer, and 28 ms instead of 19 to be written to afterwards."""


def _new_block(size: int) -> _Block:
    if sys.platform != "linux" or size < _OFFERED:
        return _Block(aligned_empty(size), None)
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return _Block(np.frombuffer(mapping, np.uint8), mapping)


class PoolStats(NamedTuple):
    """What a pool holds, in bytes, and how often it had a free buffer."""

    capacity: int
    in_use: int
    free: int
    hits: int
    misses: int


class Pool:
    """Keep the buffers that large messages arrive in, and use each again when its last view is gone.

    Give it to `transport.recv`, which otherwise uses a common one of 256 MiB for arrays of 16 MiB and more.
    It serves messages that arrive in parts: buffers of `canning.writing.draft.LARGE` bytes and more over
    ``tcp://`` and ``ipc://``, and sparse slices. Threads may share it.

    Args:
        capacity: bytes that are kept, in use and free, as a number or as ``"1GiB"``. Requests
            beyond that get ordinary memory. Free blocks count as this process's memory; those of 16 MiB
            and more only until the kernel takes them, which it does before it gets short of any.

    >>> import numpy as np
    >>> pool = Pool("64 MiB")
    >>> lease = pool.allocate(5_000_000)
    >>> pool.stats().in_use
    5242880
    >>> del lease
    >>> pool.stats().free
    5242880
    """

    @shortened
    def __init__(self, capacity: int | str = "256MiB") -> None:
        self.capacity = parse_size(capacity)
        # No lock guards these. A signal handler or a finalizer may come here in the middle of a call, and a
        # process be forked: every change is one step, and a block that an exception drops in between two of
        # them is memory that goes back to the system.
        self._free: dict[int, _Block] = {}  # the one used last is the last, and the warmest
        self._out: dict[int, _Out] = {}
        self._returned: deque[int] = deque()  # filled wherever the last view of a buffer ends
        self._numbers = itertools.count()
        self._hits = self._misses = 0

    def __repr__(self) -> str:
        stats = self.stats()
        return f"Pool(capacity={stats.capacity:,}, in_use={stats.in_use:,}, free={stats.free:,})"

    def allocate(self, nbytes: int) -> ByteArray:
        """Return a buffer of `nbytes` bytes, aligned to 64, which comes back when its last view is gone."""
        check_whole("nbytes", nbytes, "bytes")
        size = -(-nbytes // _GRAIN) * _GRAIN
        self._take_back()
        block = self._found(size)
        if block is None:
            self._misses += 1
            if not self._make_room(size):
                return aligned_empty(nbytes)
            block = _new_block(size)
        else:
            self._hits += 1
        lease = _lease(block.array, nbytes)
        number = next(self._numbers)
        self._out[number] = _Out(weakref.ref(lease, _Return(self._returned, block, number)), block)
        return lease

    def stats(self) -> PoolStats:
        """Tell what the pool holds."""
        self._take_back()
        return PoolStats(self.capacity, self._in_use(), self._unused(), self._hits, self._misses)

    def _in_use(self) -> int:
        return sum(out.block.array.nbytes for out in list(self._out.values()) if out.lease() is not None)

    def _unused(self) -> int:
        return sum(block.array.nbytes for block in list(self._free.values()))

    def _take_back(self) -> None:
        while self._returned:
            with contextlib.suppress(IndexError):  # another thread took the last one
                number = self._returned.popleft()
                out = self._out.pop(number, None)
                if out is not None:
                    self._free[next(self._numbers)] = out.block

    def _found(self, size: int) -> _Block | None:
        """Take the free block of that size that was used last, or one up to a quarter larger."""
        for number, block in reversed(list(self._free.items())):
            if size <= block.array.nbytes <= size + size // 4:
                taken = self._free.pop(number, None)
                if taken is not None:  # no other thread was faster
                    return taken
        return None

    def _make_room(self, size: int) -> bool:
        """Give up free blocks until another one fits, the one first that was not used for longest."""
        for number, out in list(self._out.items()):
            if out.lease() is None:  # an exception came in between when it was to be taken back
                self._out.pop(number, None)
        room = self.capacity - self._in_use() - size
        if room < 0:
            return False
        for number in list(self._free):
            if self._unused() <= room:
                break
            self._free.pop(number, None)
        return True


class _Out(NamedTuple):
    """A block that is in use, and what tells whether it still is."""

    lease: weakref.ref[ByteArray]
    block: _Block


class _Return:
    """Take a block back when its last view is gone, wherever that is."""

    def __init__(self, returned: deque[int], block: _Block, number: int) -> None:
        self.returned = returned
        self.block = block
        self.number = number

    def __call__(self, _: object) -> None:
        self.block.offer()
        self.returned.append(self.number)


def _lease(block: ByteArray, nbytes: int) -> ByteArray:
    """View a block by an array that all views of it keep.

    Of a slice they would keep the block alone: numpy looks through arrays for the one at the end.
    """
    low = block.__array_interface__["data"][0]
    lease: Any = span(low, low + nbytes, block, readonly=False).obj
    return lease  # type: ignore[no-any-return]


_RECEIVING: Final = Pool("256MiB")
_RECEIVED: Final = 16 * 1024 * 1024
"""Bytes from which it is used: small arrays may be many, and be kept for long."""
_SENDING: Final = Pool("16MiB")
_COPYING: Final = Pool("256MiB")
_SENT: Final = 256 * 1024
"""Bytes from which it is used: less is copied once more on sending, and free at once."""


def long_empty(nbytes: int) -> Any:
    """Return memory to receive into, of a common pool where there is much of it.

    200 MB over tcp took 61 ms with it and 76 without, 64 MB 18 and 25, 40 MB 23 and 30; over ipc 78 and 86,
    28 and 33, 18 and 20 (medians, until read, 2 cores of an AMD EPYC).
    """
    return _RECEIVING.allocate(nbytes) if nbytes >= _RECEIVED else aligned_empty(nbytes)


def warm_empty(nbytes: int) -> Any:
    """Return memory to send from, of a common pool unless there is little of it."""
    return _SENDING.allocate(nbytes) if nbytes >= _SENT else aligned_empty(nbytes)


def send_empty(nbytes: int) -> Any:
    """Return memory for a copy to send, of a common pool: as many as are under way may be in use at once."""
    return _COPYING.allocate(nbytes)
