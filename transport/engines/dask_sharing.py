"""Memory that processes of a Dask cluster share, if both ends of a connection can open it.

When a connection begins, each end sends the other its arena's descriptor, and opens the other's arena. The
head of its own arena shows whether the other end has opened it: if so, large payloads of that connection go
through it. Host names are not relied upon. The scheduler, which forwards messages unread, makes no such
offer; it gets ordinary frames, as do processes without canning, and disks.

Received data stays in its sender's arena as long as it is in use, and counts as the sender's memory too. So
an arena is small compared with a worker's memory limit, and payloads that do not fit are sent as ordinary
frames.
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
"""The key under which an end of a connection offers its arena."""
LARGE: Final = 4 << 20
"""Bytes from which memory is shared: fetching 1 and 2 MB took equally long, 5 MB 2.1 ms instead of 3.1."""
_SHARE: Final = 8
"""The memory that a process may use, divided by this, is the size of its arena."""
_WARM: Final = 64
"""That memory divided by this stays mapped of each other arena; Dask counts it as the worker's memory."""
_LEASE: Final = 60.0
"""Seconds for which a message may wait to be read after its receiver has died."""


class Sharing:
    """The arena of this process, made on first use.

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
        """Respect a worker's memory limit; for other processes the limit is the machine's memory."""
        limit = getattr(getattr(server, "memory_manager", None), "memory_limit", None)
        self._memory = min(limit or self._memory, self._memory)
        default_memory.warm = min(default_memory.warm, self._memory // _WARM)

    def offer(self) -> bytes:
        """Return the descriptor by which the other end opens our arena; empty if there is none."""
        if self._pid != os.getpid():
            self._make_arena()
        if self.arena is None:
            return b""
        found = self.arena.to_held().encode(memoryview(self._door))
        return b"" if found is None else bytes(found)

    def accept(self, offered: Any) -> None:
        """Open the arena of the other end, if possible; its head shows this to its owner."""
        if isinstance(offered, bytes) and len(offered) == SIZE:
            with contextlib.suppress(CanningError, OSError):  # another host, user or container
                default_memory.decode(memoryview(offered), 1)

    def serializer(self, context: dict[str, Any] | None) -> Serializer:
        """Return the serializer for a connection, by its Dask context, which may be None."""
        offered = (context or {}).get("recipient", {}).get(FIELD, b"")
        if self.arena is None or self._pid != os.getpid() or len(offered) != SIZE:
            return self._plain
        there = parse_origin(parse(offered)[0])
        return self._near if self.arena.is_open_in(there.pid, there.started) else self._plain

    @guarded
    def leave(self) -> None:
        """Let nobody open the arena any more; its payloads stay while a process has them open."""
        self.arena, self._pid = None, 0

    @guarded
    def _make_arena(self) -> None:
        if self._pid == os.getpid():  # another thread has made it
            return
        arena = new_arena(self._memory // _SHARE, lease=_LEASE, threshold=LARGE, linger=0)
        if arena is not None:
            self._door = arena.array(np.zeros(1, np.uint8))
            self._near = self._plain.evolve(codec=arena.to(1))
        self.arena, self._pid = arena, os.getpid()
