"""Ray's object store as pages of our own, which are copied when they are written to, and only then.

Each process has the store mapped for all to see, and what lies in it must not change. The file behind it has
no name any more, but Ray's daemon on this machine has it open, as ``/proc/PID/fd`` shows to its owner.
Objects on disk, for which the store had no room, are left out: such files come and go.
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
"""Of ``/proc/self/maps``: the ends of a mapping, where in the file it starts, and which file that is."""


class _Store:
    """A file of the object store, open for as long as this object lives."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.lender = Lender(0, WARM)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)


class Pages:
    """Memory of one object in the store, of which `lend` gives pages of our own.

    Args:
        buffers: memory of that object, which keeps it in the store.
    """

    def __init__(self, buffers: Sequence[Any]) -> None:
        views = [flat(buffer) for buffer in buffers]
        self.buffers = buffers
        self.starts = [address(view) for view in views]
        self.low = min(self.starts)
        self.high = max(start + view.nbytes for start, view in zip(self.starts, views, strict=True))
        self._lent: memoryview | None = None

    def lend(self) -> memoryview | None:
        """Return all of it to write to, the same each time; None where the system does not let us."""
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
    """View frames that lie in the store: the large ones as pages of our own with `writable`.

    Without it tensors, which cannot be read-only, ask their owner for such pages.
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
    """Yield the files of the store that this process has mapped: from, to, where in the file, and the file.

    It is looked up each time, since another Ray may have begun, whose memory lies at the same place.
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
    """Open a file of the store, which another process of ours has open."""
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
