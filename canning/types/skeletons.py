"""What a canned object says if its memory was never set: a plain unpickler has read the header alone."""

from __future__ import annotations

from typing import Any, Final

from ..errors import DeserializationError

_WAY_OUT: Final = (
    "pickle has read frame 0 of a message and nothing else: read all frames with transport.recv or "
    "canning.deserialize_object"
)


def memory_of(canned: Any) -> list[Any]:
    """Return the buffers of a canned object; raises `DeserializationError` if one is not set."""
    if _lacks(canned):
        raise DeserializationError(f"this {type(canned).__name__} has no memory: {_WAY_OUT}")
    buffers: list[Any] = canned.buffers
    return buffers


def without(canned: Any) -> str:
    """Say in a representation that a buffer is not set, and what to do; empty if all are."""
    return f" without its memory: {_WAY_OUT}" if _lacks(canned) else ""


def _lacks(canned: Any) -> bool:
    return any(buffer is None for buffer in canned.buffers)
