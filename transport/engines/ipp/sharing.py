"""Memory that a client and its engines share: who can open which arena, and how long payloads are kept.

A call's memory stays until all of its answers have arrived, even if an engine dies and another takes its
task. This needs no counts and no lease: the client holds the payload.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from canning import Serializer
from canning.errors import DeserializationError
from canning.memory.buffers import Frame

from ...shared import ArenaError, SharedArena
from ..arenas import new_arena
from .formats import ENVELOPE, SERIALIZER

IN_ARENA: Final = 256 * 1024
"""Bytes from which a frame goes into an arena that the other side can open."""
_LEASE: Final = 120.0
"""Seconds after which an unopened reply in an arena is given up."""
THREAD: Final = threading.local()
"""`.call` is the `Call` that this thread writes; None, or unset, for ipyparallel's format."""


class Call:
    """How to write a call, and its payload.

    Attributes:
        near: the codec that writes into an arena; None for ordinary frames.
        serializer: writes a call in ordinary frames.
        kept: the memory of this call in the arena.
    """

    def __init__(self, near: Near | None = None, serializer: Serializer = SERIALIZER) -> None:
        self.near = near
        self.serializer = serializer
        self.kept: list[Any] = []

    def keep(self, futures: list[Any]) -> None:
        """Keep the payload until the last of these futures is done."""
        if not self.kept:
            return
        left = set(map(id, futures))

        def answered(future: Any) -> None:
            left.discard(id(future))
            if not left:
                self.kept.clear()

        for future in futures:
            future.add_done_callback(answered)


class Near:
    """The arena of a client as a codec: for large payloads of the call that a thread writes."""

    id = SharedArena.id
    shares = True

    def __init__(self, arena: SharedArena, serializer: Serializer = SERIALIZER) -> None:
        self.arena = arena
        self._held = arena.to_held()
        self.serializer: Serializer = serializer.evolve(codec=self)
        self.envelope: Serializer = ENVELOPE.evolve(codec=self)

    def encode(self, buffer: memoryview, *, itemsize: int = 1) -> Frame | None:
        """Return the descriptor of a large payload; None leaves it as it is."""
        if buffer.nbytes < IN_ARENA:
            return None
        held = buffer
        found = self._held.encode(buffer)
        if found is None:
            held = self.into(buffer)
            found = self._held.encode(held)
        if found is not None:
            THREAD.call.kept.append(held)
        return found

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Do the same as `SharedArena.decode`."""
        return self.arena.decode(frame, length, writable=writable)

    def into(self, frame: Any) -> Any:
        """Copy large memory into the arena; if that is full, return it as it is."""
        if len(frame) < IN_ARENA:
            return frame
        try:
            return memoryview(self.arena.array(np.frombuffer(frame, np.uint8)))
        except ArenaError:
            return frame


@contextmanager
def writing(call: Call | None) -> Iterator[None]:
    """Let this thread write a call as `call` says; None means ipyparallel's own format."""
    before = getattr(THREAD, "call", None)
    THREAD.call = call
    try:
        yield
    finally:
        THREAD.call = before


def client_arena() -> SharedArena | None:
    """Make an arena; None if the system has no such memory."""
    return new_arena(lease=_LEASE, threshold=IN_ARENA, linger=0)


def probe(arena: SharedArena | None, readers: int = 1) -> list[bytes]:
    """Make a message by which others test whether they can open an arena; empty without an arena."""
    if arena is None:
        return []
    frames = SERIALIZER.evolve(codec=arena.to(readers)).serialize_object(bytes(IN_ARENA))
    return [bytes(frame) for frame in frames]


def opens(probe: list[bytes]) -> bool:
    """Tell whether an arena can be opened, by trying."""
    try:
        return bool(probe) and len(SERIALIZER.deserialize_object(probe)[0]) == IN_ARENA
    except DeserializationError:
        return False
