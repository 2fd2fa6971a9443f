"""The shape of a message: its writer decides it once, and its reader finds it in frame 0."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal
from zlib import crc32

from .trailer import (
    BIG_ENDIAN,
    FOLD,
    FOOTER,
    LIVE,
    LONE,
    NARROW,
    NATIVE,
    PLAIN,
    SIZES,
    STAMP,
    SUM_OF_ALL,
    VERSION,
    checksum,
)

Shape = Literal["plain", "named", "single", "general"]
"""The content of a message: its writer decides it once, and its reader finds it in frame 0.

- ``plain``: a pickle that uses no name of this package.
- ``named``: a pickle that uses such names, and has no buffers.
- ``single``: one array or one bytes object, in the pickle or in frame 1.
- ``general``: any other, with buffers, a table, extensions, a signature, code.
"""


def shape_of(head: bytes | memoryview) -> Shape:
    """Return the shape of a message by its frame 0; ``general`` for an invalid one, which `parse` reports.

    Frame 0 of any other shape holds a pickle and the footer, and adds up to its checksum.
    """
    sizes = head[-36:-12] if type(head) is bytes else bytes(head[-36:-12])
    shape = _OF_HERE.get(sizes) or _shape(sizes)
    if shape == "general" or len(head) <= FOOTER.size:
        return "general"
    if crc32(head) == SUM_OF_ALL if len(head) < FOLD else _is_whole(head):
        return shape
    return "general"


@lru_cache(maxsize=256)
def _shape(sizes: bytes) -> Shape:
    """Find the shape from the bytes between the length and the checksum."""
    frames, table, outside, more, stamp, flags, rest = SIZES.unpack(sizes.rjust(SIZES.size, b"\xff"))
    if table or outside or more or rest or stamp[4] != VERSION:
        return "general"
    return _SHAPES.get((frames, flags & ~(BIG_ENDIAN | NARROW)), "general")


_SHAPES: Final[dict[tuple[int, int], Shape]] = {
    (1, PLAIN): "plain",
    (1, 0): "named",
    (1, LIVE): "named",
    (1, LONE): "single",
    (2, LONE): "single",
}


_OF_HERE: Final[dict[bytes, Shape]] = {
    SIZES.pack(frames, 0, 0, 0, STAMP, flags | NATIVE, 0): shape for (frames, flags), shape in _SHAPES.items()
}
"""The usual bytes there: those of this machine."""


def _is_whole(head: bytes | memoryview) -> bool:
    length, *_, stated, _ = FOOTER.unpack_from(head, len(head) - FOOTER.size)
    whole = memoryview(head)
    return bool(length == len(head) - FOOTER.size and checksum(whole[:length], whole[length:-12]) == stated)
