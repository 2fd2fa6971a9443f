"""What the trailer says of frames that went through a codec: which one, and how long they were."""

from __future__ import annotations

import re
import struct
from typing import Final, NamedTuple

from ..errors import DeserializationError

CODECS: Final = 3
"""Tag of the extension that names the codec of each frame that went through one."""

ENTRY: Final = struct.Struct("<IQB")
ID: Final = re.compile(rb"[a-z0-9][a-z0-9._+-]{0,31}")


class Encoded(NamedTuple):
    """Say of a frame which codec made it of how many bytes; frames count from 1, as in the table."""

    frame: int
    codec: str
    length: int


def parse_encoded(content: bytes, frames: int) -> tuple[Encoded, ...]:
    """Read the extension of a message with so many frames behind frame 0; nothing of it is kept.

    Raises `DeserializationError` where it names a frame that there is not, or not in order.
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
    """Give the lengths of the frames behind frame 0 as they are when they have been decoded."""
    if not encoded:
        return lengths
    room = list(lengths)
    for frame, _, length in encoded:
        room[frame - 1] = length
    return tuple(room)
