"""The codecs of both ends: descriptors to memory, and an arena with how many receivers its messages have."""

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

    It keeps every arena that it has seen mapped, until its owner and the last array from it are gone. One
    object serves all threads; ``transport.recv(..., shared_memory=True)`` uses one that all of a process
    share. When it sends, it turns memory from an arena into descriptors again, and nothing else.

    Attributes:
        warm: bytes at the low end of each arena (of arenas that are first seen from now on) whose writable
            views stay mapped after use, so that the next message finds them mapped. They take no memory, but
            the system counts them for this process too.

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
        """Return such a descriptor, which so many readers may open."""
        if not self._arenas.known:
            return None
        for attached in list(self._of_this_process().values()):
            found = attached.forward(start, nbytes, readers)
            if found is not None:
                return found
        return None

    def unforward(self, origin: bytes, place: Place, readers: int) -> None:
        """Say that a message with a descriptor of ours was not sent."""
        attached = self._of_this_process().get(token_of(origin))
        if attached is not None and attached.origin == origin:
            attached.unforward(place, readers)

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Return the memory that a descriptor names.

        It is read-only, as others may read the same, and aligned as it was at the sender; with `writable`
        it is ours, and a page is copied when it is first written to.

        Raises:
            SharedMemoryError: it cannot be reached from here, or is in use for something else by now.
        """
        origin, place = parse(frame)
        if place.length != length:
            raise SharedMemoryError(f"a descriptor of {place.length} bytes where {length} were sent")
        # Several processes may pass on what lies in one arena; its token is what tells it from others.
        attached = self._of_this_process().get(token_of(origin)) or self._attach(origin)
        return attached.private(place) if writable else attached.view(place)

    def _attach(self, origin: bytes) -> Attached:
        """Open an arena that is not known; without a lock, since a signal handler may come here as well."""
        known = self._arenas.known
        for token, each in list(known.items()):
            if each.close_if_idle():
                known.pop(token, None)
        made = Attached(parse_origin(origin), self.warm)
        attached = known.setdefault(made.token, made)
        if attached is not made:
            made.close()  # another thread was faster
        return attached

    def _of_this_process(self) -> dict[bytes, Attached]:
        """Return what is known, of which a process that was forked knows nothing: slots are its parent's."""
        arenas = self._arenas
        if arenas.pid != os.getpid():
            inherited, self._arenas = arenas, _Arenas()
            for attached in inherited.known.values():
                attached.close()  # views that came along keep the mapping
            return self._arenas.known
        return arenas.known


class _Arenas:
    """Keep what one process has attached, by token."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.known: dict[bytes, Attached] = {}


default_memory: Final = SharedMemory()
"""What ``shared_memory=True`` means."""


if TYPE_CHECKING:
    from .arena import SharedArena


class _Promised(threading.local):
    """Note the descriptors of the message that this thread is making, where it is to be sent by `send`."""

    frames: list[bytes] | None = None


_PROMISED: Final = _Promised()


def promised(frame: bytes) -> bytes:
    """Note a descriptor, and return it."""
    if _PROMISED.frames is not None:
        _PROMISED.frames.append(frame)
    return frame


class ForReaders:
    """An arena together with how many readers a message has; a codec like the arena."""

    id = ID
    shares = True

    def __init__(self, arena: SharedArena, readers: int) -> None:
        self.arena = arena
        self.readers = readers
        self._serializers: tuple[Serializer, Serializer] | None = None

    def encode(self, buffer: memoryview, *, itemsize: int = 1) -> Frame | None:
        """Do as `SharedArena.encode`."""
        return self.arena.share(buffer, self.readers)

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Do as `SharedArena.decode`."""
        return self.arena.decode(frame, length, writable=writable)

    def serializer(self, base: Serializer | None) -> Serializer:
        """Return a serializer like `base` with this codec; the last one is kept."""
        wanted = base or default_serializer
        kept = self._serializers
        if kept is None or kept[0] is not wanted:
            kept = self._serializers = wanted, wanted.evolve(codec=self)
        return kept[1]

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back what a message has been promised where it cannot be made, whatever the reason."""
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
        """Do as `SharedArena.revoke`."""
        self.arena.revoke(frames, self.readers)

    def __repr__(self) -> str:
        return f"{self.arena!r}.to({self.readers})"
