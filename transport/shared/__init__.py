"""Memory that processes of one host share, so that of a message only descriptors travel.

``docs/same-host.md`` tells how it works and what it promises.
"""

from __future__ import annotations

from ..errors import ArenaError, ArenaFull, SharedMemoryError
from .arena import SharedArena
from .blocks import ArenaStats
from .codecs import ForReaders, SharedMemory, default_memory

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
