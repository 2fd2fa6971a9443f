"""The arena of an engine's process, and its payloads for processes that end before they read them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final

from ..errors import ArenaError
from ..shared import SharedArena

_MANY: Final = 1000


def new_arena(capacity: int = 0, **options: Any) -> SharedArena | None:
    """Make an arena with options of `SharedArena`, by default of half the machine's memory.

    Pages are taken when they are first used. Returns None if the system has no such memory.
    """
    try:
        return SharedArena(capacity or machine_memory() // 2, **options)
    except ArenaError:
        return None


def machine_memory() -> int:
    """Return the bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Unread:
    """Note the payloads sent through a pipe, and free the unread ones when all of its readers have ended."""

    def __init__(self) -> None:
        self._arena: SharedArena | None = None
        self._frames: list[Any] = []
        self._many = _MANY

    def note(self, arena: SharedArena | None, frames: Sequence[Any]) -> None:
        """Note a message of this process; frames that are not descriptors are ignored."""
        if arena is None or len(frames) == 1:
            return
        if arena is not self._arena:
            self._arena, self._frames = arena, []
        self._frames += [frame for frame in frames[1:] if type(frame) is bytes]
        if len(self._frames) > self._many:
            self._frames = list(arena.waiting(self._frames))
            self._many = max(_MANY, 2 * len(self._frames))

    def free(self) -> None:
        """Free the payloads that were not read, and never will be."""
        arena, frames = self._arena, self._frames
        self._arena, self._frames = None, []
        if arena is not None and not arena.closed and arena.is_ours:
            arena.lose(frames)
