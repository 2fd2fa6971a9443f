"""The codecs of both ends: descriptors to memory, and an arena with a number of receivers."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from canning import Serializer, default_serializer
from canning.memory.buffers import Frame, address

from ..errors import SharedMemoryError
from .attached import Attached
from .layout import Place, parse, parse_origin, token_of
from .ledger import UNKNOWN
from .private import WARM

ID: Final = "arena"
"""The codec's name on the wire."""


class SharedMemory:
    """Open payloads in arenas of other processes; a codec for `canning.Serializer`.

    It keeps every known arena mapped, until the arena's owner and the last array from it are gone. One object
    serves all threads; ``transport.recv(..., shared_memory=True)`` uses one for the whole process. When
    sending, it only turns memory from an arena into descriptors again.

    Attributes:
        warm: bytes at the low end of each arena (of arenas that are first seen from now on) whose writable
            views stay mapped after use, ready for the next message. They take no memory, but the system
            counts them for this process too.

    >>> SharedMemory()
    <SharedMemory of 0 arenas>
    """

    id = ID
    shares = True

    def __init__(self) -> None:
        self._arenas = _Arenas()
        self.warm = WARM

    def __repr__(self) -> str:
        return f"<SharedMemory of {len(self._arenas.known)} arenas>"

    def encode(self, buffer: memoryview, *, itemsize: int = 1) -> Frame | None:
        """Return the descriptor of memory that was received from an arena; None for any other."""
        return self.forward(address(buffer), buffer.nbytes, UNKNOWN)

    def forward(self, start: int, nbytes: int, readers: int) -> bytes | None:
        """Return such a descriptor for so many readers."""
        if not self._arenas.known:
            return None
        for attached in list(self._of_this_process().values()):
            found = attached.forward(start, nbytes, readers)
            if found is not None:
                return found
        return None

    def unforward(self, origin: bytes, place: Place, readers: int) -> None:
        """Withdraw one of our descriptors: its message was not sent."""
        attached = self._of_this_process().get(token_of(origin))
        if attached is not None and attached.origin == origin:
            attached.unforward(place, readers)

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Return the memory of a descriptor.

        It is read-only, since others may read the same memory, and aligned as at the sender; with `writable`
        it is private, and a page is copied when it is first written to.

        Raises:
            SharedMemoryError: it cannot be reached from here, or was reused in the meantime.
        """
        origin, place = parse(frame)
        if place.length != length:
            raise SharedMemoryError(f"a descriptor of {place.length} bytes where {length} were sent")
        # Several processes may forward memory of one arena; its token identifies it.
        attached = self._of_this_process().get(token_of(origin)) or self._attach(origin)
        return attached.private(place) if writable else attached.view(place)

    def _attach(self, origin: bytes) -> Attached:
        """Open an unknown arena; without a lock, since a signal handler may call this too."""
        known = self._arenas.known
        for token, each in list(known.items()):
            if each.close_if_idle():
                known.pop(token, None)
        made = Attached(parse_origin(origin), self.warm)
        attached = known.setdefault(made.token, made)
        if attached is not made:
            made.close()  # another thread has opened it first
        return attached

    def _of_this_process(self) -> dict[bytes, Attached]:
        """Return the arenas of this process; a forked child starts with none: the slots are its parent's."""
        arenas = self._arenas
        if arenas.pid != os.getpid():
            inherited, self._arenas = arenas, _Arenas()
            for attached in inherited.known.values():
                attached.close()  # inherited views keep the mapping
            return self._arenas.known
        return arenas.known


class _Arenas:
    """The arenas that one process has attached, by token."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.known: dict[bytes, Attached] = {}


default_memory: Final = SharedMemory()
"""The codec for ``shared_memory=True``."""


if TYPE_CHECKING:
    from .arena import SharedArena


class _Promised(threading.local):
    """The descriptors of the message that this thread is making for `send`."""

    frames: list[bytes] | None = None


_PROMISED: Final = _Promised()


def promised(frame: bytes) -> bytes:
    """Note a descriptor, and return it."""
    if _PROMISED.frames is not None:
        _PROMISED.frames.append(frame)
    return frame


class ForReaders:
    """An arena together with the number of readers of a message; a codec like the arena."""

    id = ID
    shares = True

    def __init__(self, arena: SharedArena, readers: int) -> None:
        self.arena = arena
        self.readers = readers
        self._serializers: tuple[Serializer, Serializer] | None = None

    def encode(self, buffer: memoryview, *, itemsize: int = 1) -> Frame | None:
        """Do the same as `SharedArena.encode`."""
        return self.arena.share(buffer, self.readers)

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Do the same as `SharedArena.decode`."""
        return self.arena.decode(frame, length, writable=writable)

    def serializer(self, base: Serializer | None) -> Serializer:
        """Return a serializer like `base` with this codec; the last one is cached."""
        wanted = base or default_serializer
        kept = self._serializers
        if kept is None or kept[0] is not wanted:
            kept = self._serializers = wanted, wanted.evolve(codec=self)
        return kept[1]

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Withdraw the promises of a message if making it fails, for any reason."""
        outer, _PROMISED.frames = _PROMISED.frames, []
        try:
            yield
        except BaseException:
            self.revoke(_PROMISED.frames or ())
            raise
        finally:
            _PROMISED.frames = outer

    def receipt(self, frames: Sequence[Any]) -> Callable[[], bool] | None:
        """Return a function that tells whether a message's payloads were opened; None if it has none here."""
        receipts = self.arena.receipts(frames)
        return partial(all, receipts) if receipts else None

    def revoke(self, frames: Sequence[Any]) -> None:
        """Do the same as `SharedArena.revoke`."""
        self.arena.revoke(frames, self.readers)

    def __repr__(self) -> str:
        return f"{self.arena!r}.to({self.readers})"
