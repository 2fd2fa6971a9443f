"""Memory that processes of one host share, so that messages carry only descriptors.

``docs/same-host.md`` explains how it works and what it guarantees.
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
