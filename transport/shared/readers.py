"""An arena together with how many receivers its messages have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from canning import Serializer, default_serializer
from canning.memory.buffers import Frame

from .resolving import ID

if TYPE_CHECKING:
    from .arena import SharedArena


class _Promised(threading.local):
    """Note the descriptors of the message that this thread is making, where it is to be sent by `send`."""

    frames: list[bytes] | None = None


_PROMISED: Final = _Promised()


def promised(frame: bytes) -> bytes:
    """Note a descriptor, and give it."""
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
        """Give a serializer like `base` with this codec; the last one is kept."""
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
        """Give what tells whether the payloads of a message were opened; None where none is in this arena."""
        receipts = self.arena.receipts(frames)
        return partial(all, receipts) if receipts else None

    def revoke(self, frames: Sequence[Any]) -> None:
        """Do as `SharedArena.revoke`."""
        self.arena.revoke(frames, self.readers)

    def __repr__(self) -> str:
        return f"{self.arena!r}.to({self.readers})"
