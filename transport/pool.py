"""Reused buffers: memory that the system need not hand out again, page by page.

A large block that is free has been offered to the kernel (``MADV_FREE``, 0.1 ms for 200 MB of huge pages): it
stays mapped for the next message, and the kernel reclaims it when memory gets short.
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

from canning.arguments import check_whole, parse_size
from canning.errors import shortened
from canning.memory.buffers import ByteArray, aligned_empty, span

_GRAIN: Final = 1024 * 1024
"""The sizes of blocks are multiples of so many bytes, so that messages of similar size share them."""


class _Block(NamedTuple):
    """A range of memory, and its mapping; None if the system has no such mappings."""

    array: ByteArray
    mapping: mmap.mmap | None

    def offer(self) -> None:
        """Let the kernel have the pages if it needs them."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_FREE)


_OFFERED: Final = 16 * 1024 * 1024
"""Bytes from which a block is a mapping that is offered to the kernel. Smaller blocks have small pages: 200
MB of these took 6.6 ms to offer, and then 28 ms instead of 19 to write."""


def _new_block(size: int) -> _Block:
    if sys.platform != "linux" or size < _OFFERED:
        return _Block(aligned_empty(size), None)
    mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without huge pages
        mapping.madvise(mmap.MADV_HUGEPAGE)
    return _Block(np.frombuffer(mapping, np.uint8), mapping)


class PoolStats(NamedTuple):
    """The contents of a pool, in bytes, and how often it had a free buffer."""

    capacity: int
    in_use: int
    free: int
    hits: int
    misses: int


class Pool:
    """Keep the buffers of large received messages, and reuse each when its last view is gone.

    Pass it to `transport.recv`, which otherwise uses a common pool of 256 MiB for arrays of 16 MiB and more.
    It serves messages that arrive in parts: buffers of `canning.writing.draft.LARGE` bytes and more over
    ``tcp://`` and ``ipc://``, and sparse slices. Threads may share it.

    Args:
        capacity: bytes to keep, in use and free, as a number or as ``"1GiB"``. Requests beyond that get
            ordinary memory. Free blocks count as this process's memory; those of 16 MiB and more only until
            the kernel reclaims them, which it does before memory runs out.

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
        # No lock guards these: a signal handler or a finalizer may run here in the middle of a call, or the
        # process may fork. Every change is one step, and the memory of a block that an exception drops
        # between two steps returns to the system.
        self._free: dict[int, _Block] = {}  # the most recently used is last
        self._out: dict[int, _Out] = {}
        self._returned: deque[int] = deque()  # filled by whichever thread drops the last view of a buffer
        self._numbers = itertools.count()
        self._hits = self._misses = 0

    def __repr__(self) -> str:
        stats = self.stats()
        return f"Pool(capacity={stats.capacity:,}, in_use={stats.in_use:,}, free={stats.free:,})"

    def allocate(self, nbytes: int) -> ByteArray:
        """Return a buffer of `nbytes` bytes, aligned to 64; it comes back when its last view is gone."""
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
        """Return the state of the pool."""
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
        """Take the most recently used free block of that size, or one up to a quarter larger."""
        for number, block in reversed(list(self._free.items())):
            if size <= block.array.nbytes <= size + size // 4:
                taken = self._free.pop(number, None)
                if taken is not None:  # no other thread took it first
                    return taken
        return None

    def _make_room(self, size: int) -> bool:
        """Release free blocks, the least recently used first, until another one fits."""
        for number, out in list(self._out.items()):
            if out.lease() is None:  # an exception interrupted its return
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
    """A block in use, and a weak reference that tells whether it still is."""

    lease: weakref.ref[ByteArray]
    block: _Block


class _Return:
    """Take a block back when its last view is gone, in whichever thread."""

    def __init__(self, returned: deque[int], block: _Block, number: int) -> None:
        self.returned = returned
        self.block = block
        self.number = number

    def __call__(self, _: object) -> None:
        self.block.offer()
        self.returned.append(self.number)


def _lease(block: ByteArray, nbytes: int) -> ByteArray:
    """View a block through an array that all views of it keep alive.

    Views of a slice would keep only the block alive: numpy follows the bases of arrays to the last one.
    """
    low = block.__array_interface__["data"][0]
    lease: Any = span(low, low + nbytes, block, readonly=False).obj
    return lease  # type: ignore[no-any-return]


_RECEIVING: Final = Pool("256MiB")
_RECEIVED: Final = 16 * 1024 * 1024
"""Bytes from which the pool is used: small arrays may be many, and be kept for long."""
_SENDING: Final = Pool("16MiB")
_COPYING: Final = Pool("256MiB")
_SENT: Final = 256 * 1024
"""Bytes from which the pool is used: smaller memory is copied once more on sending, and free at once."""


def long_empty(nbytes: int) -> Any:
    """Return memory to receive into, from a common pool if it is large.

    200 MB over tcp took 61 ms with it and 76 without, 64 MB 18 and 25, 40 MB 23 and 30; over ipc 78 and 86,
    28 and 33, 18 and 20 (medians, until read, 2 cores of an AMD EPYC).
    """
    return _RECEIVING.allocate(nbytes) if nbytes >= _RECEIVED else aligned_empty(nbytes)


def warm_empty(nbytes: int) -> Any:
    """Return memory to send from, from a common pool unless it is small."""
    return _SENDING.allocate(nbytes) if nbytes >= _SENT else aligned_empty(nbytes)


def send_empty(nbytes: int) -> Any:
    """Return memory for a copy to send, from a common pool; every message under way may hold one."""
    return _COPYING.allocate(nbytes)
