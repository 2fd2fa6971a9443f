"""Buffers that are used again: memory that the system need not hand out anew, page by page.

A large block that is free has been offered to the kernel (``MADV_FREE``, 0.1 ms for 200 MB of huge pages): it
stays warm for the next message, and is taken when memory gets short anywhere.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
import threading
import weakref
from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np

from canning.buffers import ByteArray, aligned_empty, span

from .shared.sizes import parse_size

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
    """What a pool holds, in bytes, and how often it had what was asked for."""

    capacity: int
    in_use: int
    free: int
    hits: int
    misses: int


class Pool:
    """Keep the buffers that large messages arrive in, and use each again when its last view is gone.

    Give it to `transport.recv`, which otherwise uses a common one of 256 MiB for arrays of 16 MiB and more.
    It serves messages that come in parts: what is sent over ``tcp://`` and ``ipc://`` in buffers of
    `canning.packing.LARGE` bytes and more, and slices that come in runs. Threads may share it.

    Args:
        capacity: bytes that are kept, in use and free, as a number or as ``"1GiB"``. What is asked for
            beyond that is memory of its own. Free blocks count as this process's memory; those of 16 MiB
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

    def __init__(self, capacity: int | str = "256MiB") -> None:
        self.capacity = parse_size(capacity)
        self._lock = threading.Lock()
        self._free: list[_Block] = []  # the one used last is the last, and the warmest
        self._out: dict[int, tuple[weakref.ref[ByteArray], _Block]] = {}
        self._returned: deque[int] = deque()  # filled wherever the last view of a buffer ends
        self._hits = self._misses = 0

    def __repr__(self) -> str:
        stats = self.stats()
        return f"Pool(capacity={stats.capacity:,}, in_use={stats.in_use:,}, free={stats.free:,})"

    def allocate(self, nbytes: int) -> ByteArray:
        """Give a buffer of `nbytes` bytes, aligned to 64, which comes back when its last view is gone."""
        size = -(-nbytes // _GRAIN) * _GRAIN
        # Another thread has the lock, or had it when it forked this process: memory is to be had without.
        if not self._lock.acquire(blocking=False):
            return aligned_empty(nbytes)
        try:
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
            self._out[id(block)] = weakref.ref(lease, _Return(self._returned, block)), block
            return lease
        finally:
            self._lock.release()

    def stats(self) -> PoolStats:
        """Tell what the pool holds."""
        with self._lock:
            self._take_back()
            return PoolStats(self.capacity, self._in_use(), self._unused(), self._hits, self._misses)

    def _in_use(self) -> int:
        return sum(block.array.nbytes for _, block in self._out.values())

    def _unused(self) -> int:
        return sum(block.array.nbytes for block in self._free)

    def _take_back(self) -> None:
        while self._returned:
            self._free.append(self._out.pop(self._returned.popleft())[1])

    def _found(self, size: int) -> _Block | None:
        """Take the free block of that size that was used last, or one up to a quarter larger."""
        for index in range(len(self._free) - 1, -1, -1):
            if size <= self._free[index].array.nbytes <= size + size // 4:
                return self._free.pop(index)
        return None

    def _make_room(self, size: int) -> bool:
        """Give up free blocks until another one fits, the one first that was not used for longest."""
        room = self.capacity - self._in_use() - size
        if room < 0:
            return False
        while self._unused() > room:
            self._free.pop(0)
        return True


class _Return:
    """Take a block back when its last view is gone, wherever that is."""

    def __init__(self, returned: deque[int], block: _Block) -> None:
        self.returned = returned
        self.block = block

    def __call__(self, _: object) -> None:
        self.block.offer()
        self.returned.append(id(self.block))


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
_SENT: Final = 256 * 1024
"""Bytes from which it is used: less is copied once more on sending, and free at once."""


def long_empty(nbytes: int) -> Any:
    """Give memory to receive into, of a common pool where there is much of it.

    200 MB over tcp took 61 ms with it and 76 without, 64 MB 18 and 25, 40 MB 23 and 30; over ipc 78 and 86,
    28 and 33, 18 and 20 (medians, until read, 2 cores of an AMD EPYC).
    """
    return _RECEIVING.allocate(nbytes) if nbytes >= _RECEIVED else aligned_empty(nbytes)


def warm_empty(nbytes: int) -> Any:
    """Give memory to send from, of a common pool unless there is little of it."""
    return _SENDING.allocate(nbytes) if nbytes >= _SENT else aligned_empty(nbytes)
