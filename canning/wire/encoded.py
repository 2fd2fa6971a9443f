"""The extension of the trailer that lists the codec of each encoded frame, and its decoded length."""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

from ..errors import DeserializationError

CODECS: Final = 3
"""Tag of the extension that names the codec of each encoded frame."""

ENTRY: Final = struct.Struct("<IQB")
ID: Final = re.compile(rb"[a-z0-9][a-z0-9._+-]{0,31}")


class Encoded(NamedTuple):
    """Describe an encoded frame: its codec and its decoded length; frames count from 1, as in the table."""

    frame: int
    codec: str
    length: int


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
        if not last < frame <= frames or at > len(content) or not ID.fullmatch(name):
            raise DeserializationError("frame 0 contradicts itself: what it says of codecs does not fit")
        found.append(Encoded(frame, name.decode(), length))
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
