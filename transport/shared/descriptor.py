"""What stands on the wire in the place of a payload: where it lies, and how to tell that it still does.

The first part, the origin, is the same for all payloads of one arena that come from one process.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from canning.errors import DeserializationError

from .memory import Host

MAGIC: Final = b"\x93ARENA1\n"
_ORIGIN: Final = struct.Struct("<8sIII4xQ16sQ16sQ")
_PLACE: Final = struct.Struct("<QQQQ")
SIZE: Final = _ORIGIN.size + _PLACE.size
_TOKEN: Final = slice(56, 72)


class Origin(NamedTuple):
    """Say which arena, and how to come by it.

    Attributes:
        user, pid, fd: whose descriptor of the arena can be opened; it need not be the owner's.
        started: when that process started, in ticks since the kernel did.
        boot, namespace: the machine and the PID namespace in which that is so.
        token: 16 random bytes of the arena.
        inode: the memfd's.
    """

    user: int
    pid: int
    fd: int
    started: int
    boot: bytes
    namespace: int
    token: bytes
    inode: int

    @property
    def host(self) -> Host:
        """Give what must be the same at the reader."""
        return Host(self.user, self.boot, self.namespace)

    def pack(self) -> bytes:
        """Give the first part of the bytes that go on the wire."""
        return _ORIGIN.pack(MAGIC, *self)


class Place(NamedTuple):
    """Say where in the arena: which use of which block, and which bytes of the data."""

    block: int
    generation: int
    offset: int
    length: int

    def pack(self) -> bytes:
        """Give the second part."""
        return _PLACE.pack(*self)


def parse(frame: memoryview | bytes) -> tuple[bytes, Place]:
    """Cut a descriptor into its origin, still packed, and the place.

    Raises `DeserializationError` for a frame that is none.
    """
    raw = bytes(frame[: SIZE + 1])
    if len(raw) != SIZE or raw[:8] != MAGIC:
        raise DeserializationError(f"a frame of {len(frame)} bytes that is no descriptor of shared memory")
    return raw[: _ORIGIN.size], Place._make(_PLACE.unpack_from(raw, _ORIGIN.size))


def parse_origin(raw: bytes) -> Origin:
    """Read the first part of a descriptor."""
    return Origin._make(_ORIGIN.unpack(raw)[1:])


def token_of(raw: bytes) -> bytes:
    """Read from the first part of a descriptor which arena it means."""
    return raw[_TOKEN]
