"""The file that a pickler writes to: large objects become buffers, the rest the chunks of a header."""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

DIRECT: Final = 64 * 1024
"""Bytes from which the C pickler hands an object on instead of copying it (`FRAME_SIZE_TARGET`)."""
_FRAME: Final = 0x95
_LENGTH: Final = struct.Struct("<Q")
CALL_BYTES: Final = b"ccanning.canned\nCannedBytes\n"


class Sink:
    """Take what a pickler writes, and make buffers of the large objects that it hands on.

    The C pickler writes a chunk whenever 64 KiB have come together: one FRAME. Before a large object it
    writes what it has and, behind that frame, the opcode that announces the object; then the object.
    That opcode is replaced by the call of `CannedBytes` with the number of a buffer.
    https://peps.python.org/pep-3154/#framing

    Attributes:
        chunks: the header so far, PROTO at the start of each pickle.
        entries: where the large objects go.
        watch: whether to look for smaller bytes that the pickler copied.
        suspicious: whether some seem to be there. No more chunks are kept then: this attempt is good for
            nothing but the pickler's memo, and 10,000 of 10 KB would be 100 MB.
    """

    __slots__ = ("_first", "_last", "chunks", "entries", "suspicious", "threshold", "watch")

    def __init__(self, threshold: int, entries: list[Any]) -> None:
        self.threshold = threshold
        self.entries = entries
        self.chunks: list[bytes] = []
        self.reset()

    def reset(self, *, watch: bool = True) -> None:
        """Start a header."""
        self.chunks.clear()
        self.watch = watch and self.threshold < DIRECT
        self.suspicious = False
        self.next_pickle()

    def next_pickle(self) -> None:
        """Start another pickle behind what is there."""
        self._last: bytes | None = None
        self._first = True

    def write(self, chunk: bytes) -> None:
        """Take a chunk, or an object that the chunk before has announced."""
        last = self._last
        self._last = chunk
        if last is not None:
            self._write_behind(last, chunk)
        elif not self.suspicious:  # the only chunk of most messages
            self.chunks.append(chunk)

    def finish(self) -> None:
        """Look at the last chunk too."""
        if self._last is not None:
            self._look_at(self._last)

    def _write_behind(self, last: bytes, chunk: bytes) -> None:
        self._look_at(last)
        size = announcement(last, self._first)
        self._first = False
        if size:
            self._last = None
        if self.suspicious:
            return
        if size and last[-size] in b"B\x8e\x96" and len(chunk) >= self.threshold:
            self.chunks[-1] = last[:-size]
            chunk = self.set_aside(chunk)
        self.chunks.append(chunk)

    def _look_at(self, chunk: bytes) -> None:
        if self.watch and len(chunk) >= self.threshold and holds_bytes(chunk, self.threshold):
            self.suspicious = True

    def set_aside(self, obj: bytes | bytearray) -> bytes:
        """Make a buffer of an object, and give the opcodes that stand for it."""
        self.entries.append(obj)
        number = b"J" + struct.pack("<i", len(self.entries) - 1)
        return CALL_BYTES + number + (b"\x88\x86R" if isinstance(obj, bytearray) else b"\x85R")


def announcement(chunk: bytes, first: bool) -> int:
    """Tell how many bytes at the end of a chunk announce the object to come: 5, 9, or 0 for none.

    What stands behind the frame is an announcement. Less than 4 bytes come without a frame around them,
    so that what is left then says it by its length. PROTO stands before the `first` frame.
    """
    start = 2 if first else 0
    rest = len(chunk) - start
    if rest and chunk[start] == _FRAME:
        rest -= 9 + _LENGTH.unpack_from(chunk, start + 1)[0]
    return 9 if rest >= 9 else 5 if rest >= 5 else 0


def holds_bytes(chunk: bytes, threshold: int) -> bool:
    """Tell whether a chunk seems to hold a bytes or bytearray object of `threshold` bytes or more.

    Looks for the opcode, a length under 64 KiB, and the opcode that must follow the object.
    """
    codes = np.frombuffer(chunk, np.uint8)
    for at in np.flatnonzero(codes[:-5] == ord("B")).tolist() if b"\0\0" in chunk else ():
        if chunk[at + 3 : at + 5] == b"\0\0" and _is_object(chunk, at + 5, chunk[at + 1 : at + 3], threshold):
            return True
    at = chunk.find(b"\0\0\0\0\0\0")
    while at >= 0:
        if chunk[at - 3 : at - 2] == b"\x96" and _is_object(chunk, at + 6, chunk[at - 2 : at], threshold):
            return True
        at = chunk.find(b"\0\0\0\0\0\0", at + 1)
    return False


def _is_object(chunk: bytes, start: int, length: bytes, threshold: int) -> bool:
    size = int.from_bytes(length, "little")
    return size >= threshold and chunk[start + size : start + size + 1] == b"\x94"
