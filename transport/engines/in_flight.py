"""What was sent to processes that end before they have read it: its memory is to be used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..shared import SharedArena

_MANY: Final = 1000


class Unread:
    """Note what goes through a pipe, and free what nobody has read when all of its readers have ended."""

    def __init__(self) -> None:
        self._arena: SharedArena | None = None
        self._frames: list[Any] = []
        self._many = _MANY

    def note(self, arena: SharedArena | None, frames: Sequence[Any]) -> None:
        """Note a message of this process; frames that are no descriptors do not matter."""
        if arena is None or len(frames) == 1:
            return
        if arena is not self._arena:
            self._arena, self._frames = arena, []
        self._frames += [frame for frame in frames[1:] if type(frame) is bytes]
        if len(self._frames) > self._many:
            self._frames = list(arena.waiting(self._frames))
            self._many = max(_MANY, 2 * len(self._frames))

    def free(self) -> None:
        """Free what was not read: nobody will read it any more."""
        arena, frames = self._arena, self._frames
        self._arena, self._frames = None, []
        if arena is not None and not arena.closed and arena.is_ours:
            arena.lose(frames)
