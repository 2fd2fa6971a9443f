"""Private copy-on-write pages of Ray's object store.

Each process maps the store as shared memory, and objects in it must not change. Its file has been unlinked,
but Ray's daemon on this machine has it open, and its owner can reach it through ``/proc/PID/fd``. Objects
that were spilled to disk are left out: their files come and go.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from canning.memory.buffers import address, flat, span

from ..shared.memory import PAGE
from ..shared.private import WARM, Lender

LARGE: Final = 1 << 20
"""Bytes from which pages are mapped and memory is not copied."""
_LINE: Final = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+)"
    r" +/dev/shm/plasma\w+ \(deleted\)$",
    re.MULTILINE,
)
"""In ``/proc/self/maps``: the addresses of a mapping, its offset in the file, and which file that is."""


class _Store:
    """A file of the object store, open as long as this object lives."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.lender = Lender(0, WARM)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


class Pages:
    """Memory of one object in the store; `lend` returns private pages of it.

    Args:
        buffers: memory of that object; they keep it in the store.
    """

    def __init__(self, buffers: Sequence[Any]) -> None:
        views = [flat(buffer) for buffer in buffers]
        self.buffers = buffers
        self.starts = [address(view) for view in views]
        self.low = min(self.starts)
        self.high = max(start + view.nbytes for start, view in zip(self.starts, views, strict=True))
        self._lent: memoryview | None = None

    def lend(self) -> memoryview | None:
        """Return all of it as writable memory, the same each time; None if the system refuses."""
        if self._lent is None:
            with contextlib.suppress(OSError):
                for low, high, offset, store in _mapped():
                    if low <= self.low and self.high <= high:
                        self._lent = self._lend(store, offset + self.low - low)
        return self._lent

    def _lend(self, store: _Store, place: int) -> memoryview:
        page = place // PAGE * PAGE
        nbytes = place + self.high - self.low - page
        piece = store.lender.lend(store.fd, page, -(-nbytes // PAGE) * PAGE)
        start = piece.address + place - page
        return span(start, start + self.high - self.low, (piece, self.buffers), readonly=False)


def views_of(frames: Sequence[Any], *, writable: bool) -> list[Any]:
    """View frames that lie in the store; with `writable`, large ones as private pages.

    Without it, tensors, which cannot be read-only, ask their owner for such pages.
    """
    large = [frame for frame in frames if len(frame) >= LARGE]
    if not large:
        return list(frames)
    pages = Pages(large)
    memory = pages.lend() if writable else None
    starts = iter(pages.starts)
    return [
        frame if len(frame) < LARGE else _view(pages, memory, next(starts), len(frame)) for frame in frames
    ]


def _view(pages: Pages, memory: memoryview | None, start: int, nbytes: int) -> memoryview:
    if memory is None:
        return span(start, start + nbytes, pages, readonly=True, root=pages)
    return memory[start - pages.low : start - pages.low + nbytes]


def _mapped() -> Iterator[tuple[int, int, int, _Store]]:
    """Yield the mapped files of the store: start address, end address, offset in the file, and the file.

    They are looked up each time, since another Ray may have started and reuse the same addresses.
    """
    if sys.platform != "linux":
        return
    with open("/proc/self/maps") as file:
        for low, high, offset, major, minor, inode in _LINE.findall(file.read()):
            store = _store(os.makedev(int(major, 16), int(minor, 16)), int(inode))
            if store is not None:
                yield int(low, 16), int(high, 16), int(offset, 16), store


@lru_cache(maxsize=2)
def _store(device: int, inode: int) -> _Store | None:
    """Open a file of the store that another process of this user has open."""
    for path in _open_in_daemons():
        with contextlib.suppress(OSError):
            found = os.stat(path)
            if (found.st_dev, found.st_ino) == (device, inode):
                return _Store(path)
    return None


def _open_in_daemons() -> Iterator[str]:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/comm") as file:
                name = file.read()
            if name == "raylet\n":
                yield from (f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd"))
