"""Memory that processes of one host share, so that of a message only descriptors travel.

``docs/same-host.md`` tells how it works and what it promises.
"""

from __future__ import annotations

from .arena import SharedArena
from .errors import ArenaError, ArenaFull, SharedMemoryError
from .readers import ForReaders
from .resolving import SharedMemory, default_memory
from .sizes import ArenaStats

__all__ = [
    "ArenaError",
    "ArenaFull",
    "ArenaStats",
    "ForReaders",
    "SharedArena",
    "SharedMemory",
    "SharedMemoryError",
    "default_memory",
]
