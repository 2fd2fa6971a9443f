"""What can go wrong with memory that processes share."""

from __future__ import annotations

from canning.errors import DeserializationError

from ..errors import TransportError


class ArenaError(TransportError):
    """Say that an arena cannot be used like this: it is closed, of another process, or of another system."""


class ArenaFull(ArenaError, MemoryError):
    """Say that an arena has no room for an array now."""


class SharedMemoryError(TransportError, DeserializationError):
    """Say that a message lies in shared memory which cannot be reached from here, or is no more."""
