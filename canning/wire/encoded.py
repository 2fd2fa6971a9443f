"""The extension of the trailer that lists the codec of each encoded frame, and its decoded length."""

from __future__ import annotations

import struct
from typing import Final

from ..errors import DeserializationError

CODECS: Final = 3
"""Tag of the extension that names the codec of each encoded frame."""

ENTRY: Final = struct.Struct("<IQB")
_ID: Final = b"abcdefghijklmnopqrstuvwxyz0123456789._+-"


def is_id(name: bytes) -> bool:
    """Tell whether this may be the id of a codec: 1 to 32 of a-z 0-9 . _ + -, no sign first.

    >>> is_id(b"zstd"), is_id(b"-lz4"), is_id(b"LZ4"), is_id(b"")
    (True, False, False, False)
    """
    return len(name) <= 32 and name[:1].isalnum() and not name.strip(_ID)


Encoded = tuple[int, str, int]
"""An encoded frame, its codec and its decoded length; frames count from 1, as in the table."""


def parse_encoded(content: bytes, frames: int) -> tuple[Encoded, ...]:
    """Read the extension of a message with `frames` frames behind frame 0; nothing of it is kept.

    Raises `DeserializationError` if it names a frame that does not exist, or is out of order.
    """
    found: list[Encoded] = []
    at = last = 0
    while at < len(content):
        frame, length, size = ENTRY.unpack_from(content, at) if at + ENTRY.size <= len(content) else (0, 0, 0)
        at += ENTRY.size + size
        name = content[at - size : at]
        if not last < frame <= frames or at > len(content) or not is_id(name):
            raise DeserializationError("frame 0 contradicts itself: what it says of codecs does not fit")
        found.append((frame, name.decode(), length))
        last = frame
    return tuple(found)


def decoded_lengths(lengths: tuple[int, ...], encoded: tuple[Encoded, ...]) -> tuple[int, ...]:
    """Return the decoded lengths of the frames behind frame 0."""
    if not encoded:
        return lengths
    room = list(lengths)
    for frame, _, length in encoded:
        room[frame - 1] = length
    return tuple(room)
