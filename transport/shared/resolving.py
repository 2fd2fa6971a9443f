"""The codec of whoever receives: descriptors to memory, and memory that was received on to others."""

from __future__ import annotations

import os
import threading
from typing import Any, Final

from canning.buffers import Frame, address

from .attached import Attached
from .descriptor import Place, parse, parse_origin
from .errors import SharedMemoryError
from .ledger import UNKNOWN
from .private import WARM

ID: Final = "arena"
"""The codec's name on the wire."""


class SharedMemory:
    """Resolve messages that lie in arenas of other processes; a codec for `canning.Serializer`.

    It keeps every arena that it has seen mapped, until its owner and the last array from it are gone. One
    object serves all threads; ``transport.recv(..., shared_memory=True)`` uses one that all of a process
    share. On its way out it turns what came from an arena into descriptors again, and nothing else.

    Attributes:
        warm: bytes at the low end of each arena, of those that are seen from now on, of which writable views
            stay mapped when they are done with, so that those of the next message are there at once. They
            take no memory, but the system counts them for this process too.

    >>> SharedMemory()
    <SharedMemory of 0 arenas>
    """

    id = ID
    shares = True

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._attached: dict[bytes, Attached] = {}
        self._by_origin: dict[bytes, Attached] = {}
        self.warm = WARM

    def __repr__(self) -> str:
        return f"<SharedMemory of {len(self._attached)} arenas>"

    def encode(self, buffer: memoryview, *, itemsize: int = 1) -> Frame | None:
        """Give the descriptor of memory that was received from an arena; None for any other."""
        return self.forward(address(buffer), buffer.nbytes, UNKNOWN)

    def forward(self, start: int, nbytes: int, readers: int) -> bytes | None:
        """Give such a descriptor, which so many readers may open."""
        if not self._attached:
            return None
        self._check_process()
        for attached in list(self._attached.values()):
            found = attached.forward(start, nbytes, readers)
            if found is not None:
                return found
        return None

    def unforward(self, origin: bytes, place: Place, readers: int) -> None:
        """Say that a message with a descriptor of ours was not sent."""
        for attached in list(self._attached.values()):
            if attached.origin == origin:
                attached.unforward(place, readers)

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Give the memory that a descriptor names.

        It is read-only, as others may read the same, and aligned as it was at the sender; with `writable`
        it is ours, and a page is copied when it is first written to.

        Raises:
            SharedMemoryError: it cannot be reached from here, or is in use for something else by now.
        """
        origin, place = parse(frame)
        if place.length != length:
            raise SharedMemoryError(f"a descriptor of {place.length} bytes where {length} were sent")
        self._check_process()
        attached = self._by_origin.get(origin) or self._find(origin)
        return attached.private(place) if writable else attached.view(place)

    def _find(self, origin: bytes) -> Attached:
        """Give the arena of an origin: several processes may pass on what lies in one."""
        found = parse_origin(origin)
        with self._lock:
            self._tidy()
            if found.token not in self._attached:
                self._attached[found.token] = Attached(found, self.warm)
            attached = self._by_origin[origin] = self._attached[found.token]
            return attached

    def _check_process(self) -> None:
        """Begin anew in a process that was forked: slots and pins are its parent's."""
        if self._pid != os.getpid():
            inherited, self._attached = self._attached, {}
            self._by_origin = {}
            self._lock = threading.Lock()
            self._pid = os.getpid()
            for attached in inherited.values():
                attached.close()  # views that came along keep the mapping

    def _tidy(self) -> None:
        """Let go of arenas that are done with."""
        for token, attached in list(self._attached.items()):
            if attached.idle:
                del self._attached[token]
                attached.close()
        kept = self._attached.values()
        self._by_origin = {origin: each for origin, each in self._by_origin.items() if each in kept}


default_memory: Final = SharedMemory()
"""What ``shared_memory=True`` means."""
