"""The file that a pickler writes to: large objects become buffers, the rest the chunks of a header."""

from __future__ import annotations

import struct
import sys
from typing import Any, Final

import numpy as np

DIRECT: Final = 64 * 1024
"""Bytes from which the C pickler hands an object on instead of copying it (`FRAME_SIZE_TARGET`)."""
_FRAME: Final = 0x95
_LENGTH: Final = struct.Struct("<Q")
_SOME: Final = 64
"""Places of an opcode in a chunk up to which they are looked at one by one. In 64 KiB without any, that
took 3 µs, and numpy 40."""
_FEW: Final = 4096
"""Bytes that a pickler takes whose memo has at most 128 entries: that many can be looked at afterwards."""
CALL_BYTES: Final = b"ccanning.calls\nraw\n"


class Sink:
    """Take what a pickler writes, and make buffers of the large objects that it hands on.

    The C pickler writes a chunk whenever 64 KiB have come together: one FRAME. Before a large object it
    writes what it has and, behind that frame, the opcode that announces the object; then the object.
    That opcode is replaced by the call of `calls.raw` with the number of a buffer.
    https://peps.python.org/pep-3154/#framing

    Attributes:
        pickler: the one that writes here.
        chunks: the header so far, PROTO at the start of each pickle.
        entries: where the large objects go.
        watch: whether to look for smaller bytes that the pickler copied.
        suspicious: whether some seem to be there. No more chunks are kept then: this attempt is good for
            nothing but the pickler's memo, and 10,000 of 10 KB would be 100 MB.
        unseen: whether chunks were not looked at, as the memo, which is small, will tell more cheaply.
    """

    __slots__ = (
        "_first",
        "_last",
        "chunks",
        "entries",
        "pickler",
        "suspicious",
        "threshold",
        "unseen",
        "watch",
    )

    def __init__(self, threshold: int, entries: list[Any]) -> None:
        self.threshold = threshold
        self.entries = entries
        self.chunks: list[bytes] = []
        self.pickler: Any = None
        self._last: bytes | None = None
        self.reset()

    def reset(self, *, watch: bool = True) -> None:
        """Start a header."""
        self.chunks.clear()
        self.watch = watch
        self.suspicious = False
        self.unseen = False
        self._last = None
        self._first = True

    def next_pickle(self) -> None:
        """Start another pickle behind what is there."""
        self._last = None
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

    def _write_behind(self, last: bytes, chunk: Any) -> None:
        self._look_at(last)
        size = announcement(last, self._first)
        self._first = False
        if size:
            self._last = None
            if not isinstance(chunk, bytes | bytearray):  # a PickleBuffer that was to stay in the header
                chunk = bytes(chunk)
        if self.suspicious:
            return
        if size and last[-size] in b"B\x8e\x96" and len(chunk) >= self.threshold:
            self.chunks[-1] = last[:-size]
            chunk = self.set_aside(chunk)
        self.chunks.append(chunk)

    def _look_at(self, chunk: bytes) -> None:
        if not self.watch or len(chunk) < self.threshold or self.suspicious or self.threshold >= DIRECT:
            return
        if len(chunk) >= DIRECT and sys.getsizeof(self.pickler) < _FEW:
            self.unseen = True
        elif holds_bytes(chunk, self.threshold):
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

    Looks for the opcode (C with a length of 1 byte, B with one of 4, 0x96 with one of 8), for a length
    under 64 KiB, and behind the object for the opcode that must follow.
    """
    short = threshold < 256 and _holds(chunk, b"C", 1, threshold)
    return short or _holds(chunk, b"B", 4, threshold) or _holds(chunk, b"\x96", 8, threshold)


def _holds(chunk: bytes, opcode: bytes, width: int, threshold: int) -> bool:
    for at in _places(chunk, opcode, width, threshold):
        start = at + 1 + width
        size = int.from_bytes(chunk[at + 1 : start], "little")
        if size >= threshold and chunk[start + size : start + size + 1] == b"\x94":
            return True
    return False


def _places(chunk: bytes, opcode: bytes, width: int, threshold: int) -> list[int]:
    """List where an opcode seems to stand before a length from `threshold` up to 64 KiB."""
    places: list[int] = []
    at = chunk.find(opcode)
    while at >= 0:
        places.append(at)
        if len(places) > _SOME:
            return _sifted(np.frombuffer(chunk, np.uint8), opcode[0], width, threshold)
        at = chunk.find(opcode, at + 1)
    return places


def _sifted(codes: Any, opcode: int, width: int, threshold: int) -> list[int]:
    found = np.flatnonzero(codes[: -1 - width] == opcode)
    sizes = codes[found + 1].astype(np.int64)
    if width > 1:
        sizes += codes[found + 2] * np.int64(256)
        sizes[(codes[found + 3] != 0) | (codes[found + 4] != 0)] = 0
    places: list[int] = found[sizes >= threshold].tolist()
    return places
