"""Memory that processes of a Dask cluster share, where both ends of a connection have it open.

When a connection begins, each end tells the other of its arena, and opens the other's. In the head of its own
arena it sees whether the other has done so: then large payloads of that connection go through it. Nothing is
taken for granted from names of hosts. The scheduler, which hands messages on unread, makes no such offer, nor
do processes without canning, and disks: all of these get ordinary frames.

What has arrived stays in its sender's arena for as long as it lives, and counts there as memory of the sender
too. So an arena is small beside what a worker may use, and what finds no room goes as ordinary frames.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Final

import numpy as np

from canning import CanningError, Serializer
from canning.forking import Lock, guarded

from ..shared import SharedArena, default_memory
from ..shared.layout import SIZE, parse, parse_origin
from .arenas import machine_memory, new_arena

FIELD: Final = "canning"
"""Where an end of a connection tells of its arena."""
LARGE: Final = 4 << 20
"""Bytes from which memory is shared: fetching 1 and 2 MB took as long either way, 5 MB 2.1 ms and not 3.1."""
_SHARE: Final = 8
"""An arena has one part in so many of the memory that a process may use."""
_WARM: Final = 64
"""Of each other process's arena so much stays mapped, which Dask takes for memory of the worker."""
_LEASE: Final = 60.0
"""Seconds for which a message may wait to be read after its receiver has died."""


class Sharing:
    """The arena of this process, made when it is first wanted.

    Args:
        plain: the serializer whose frames go into the arena.
    """

    def __init__(self, plain: Serializer) -> None:
        self._plain = plain
        self._lock: Final = Lock()
        self._pid = 0
        self._memory = machine_memory()
        self.arena: SharedArena | None = None

    def heed(self, server: Any) -> None:
        """Heed the limit of a worker's memory; for what else Dask has, that of the machine stands."""
        limit = getattr(getattr(server, "memory_manager", None), "memory_limit", None)
        self._memory = min(limit or self._memory, self._memory)
        default_memory.warm = min(default_memory.warm, self._memory // _WARM)

    def offer(self) -> bytes:
        """Return what the other end needs to open our arena; nothing where there is none."""
        if self._pid != os.getpid():
            self._make_arena()
        if self.arena is None:
            return b""
        found = self.arena.to_held().encode(memoryview(self._door))
        return b"" if found is None else bytes(found)

    def accept(self, offered: Any) -> None:
        """Open the arena of the other end, if that can be done, so that it sees that we have."""
        if isinstance(offered, bytes) and len(offered) == SIZE:
            with contextlib.suppress(CanningError, OSError):  # another host, user or container
                default_memory.decode(memoryview(offered), 1)

    def serializer(self, context: dict[str, Any] | None) -> Serializer:
        """Return the serializer for a connection, of which Dask gives the context; it may give none."""
        offered = (context or {}).get("recipient", {}).get(FIELD, b"")
        if self.arena is None or self._pid != os.getpid() or len(offered) != SIZE:
            return self._plain
        there = parse_origin(parse(offered)[0])
        return self._near if self.arena.is_open_in(there.pid, there.started) else self._plain

    @guarded
    def leave(self) -> None:
        """Let nobody open the arena any more; what lies there stays while somebody has it open."""
        self.arena, self._pid = None, 0

    @guarded
    def _make_arena(self) -> None:
        if self._pid == os.getpid():  # another thread has
            return
        arena = new_arena(self._memory // _SHARE, lease=_LEASE, threshold=LARGE, linger=0)
        if arena is not None:
            self._door = arena.array(np.zeros(1, np.uint8))
            self._near = self._plain.evolve(codec=arena.to(1))
        self.arena, self._pid = arena, os.getpid()
