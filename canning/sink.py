"""The file that a pickler writes to: large objects become buffers, the rest the header.

A short header is the one chunk that the pickler writes. A long one grows in an `io.BytesIO`, which the
trailer is written to as well and which then gives up its memory as `bytes`: to keep the chunks and to join
them, once with each other and once with the trailer, took 16 ms for a million ints, and this takes 10.
"""

from __future__ import annotations

import io
import struct
import sys
from typing import Any, Final

import numpy as np

from .buffers import Body
from .naming import MAIN

ARRAYS: Final = b"\x80\x05\x8c\x0dcanning.calls\x8c\x05array\x93\x940"
NO_ARRAYS: Final = b"\x80\x05N\x940"
"""What stands first in every header: memo entry 0, `calls.array` where the message has arrays. It is
there before the pickler starts, which saves it the search for that name: 2.9 of 5.5 µs for one array."""
_FILL: Final = len(ARRAYS) - len(NO_ARRAYS) - 3
_FILLED: Final = NO_ARRAYS + bytes((0x8C, _FILL)) + b" " * _FILL + b"0"
"""The same, as long as `ARRAYS`, by a text that is thrown away: which it is to be shows at the end."""
_PROTO: Final = 2
"""Bytes of PROTO, with which each pickle starts."""

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
        only: the first chunk, which is all there is of most headers.
        body: the header so far, its first bytes left open, once there is more than that.
        entries: where the large objects go.
        watch: whether to look for smaller bytes that the pickler copied.
        suspicious: whether some seem to be there. No more chunks are kept then: this attempt is good for
            nothing but the pickler's memo, and 10,000 of 10 KB would be 100 MB.
        unseen: whether chunks were not looked at, as the memo, which is small, will tell more cheaply.
        names_main: whether a pickle seems to name something in ``__main__``, where no other process will find
            it. Each chunk is searched when it comes: to search a file its memory would have to be taken out.
    """

    __slots__ = (
        "_first",
        "_last",
        "body",
        "entries",
        "names_main",
        "only",
        "pickler",
        "suspicious",
        "threshold",
        "unseen",
        "watch",
    )

    def __init__(self, threshold: int, entries: list[Any]) -> None:
        self.threshold = threshold
        self.entries = entries
        self.pickler: Any = None
        self.reset()

    def reset(self, *, watch: bool = True) -> None:
        """Start a header."""
        self.only = b""
        self.body: io.BytesIO | None = None
        self.watch = watch
        self.suspicious = False
        self.unseen = False
        self.names_main = False
        self._last: bytes | None = None
        self._first = True

    def write(self, chunk: bytes) -> None:
        """Take a chunk, or an object that the chunk before has announced."""
        last = self._last
        self._last = chunk
        if last is not None:
            self._write_behind(last, chunk)
        elif self.body is None:  # the only chunk of most messages
            self.only = chunk
        elif not self.suspicious:
            self._append(chunk)

    def open(self) -> io.BytesIO:
        """Start a header of more than one chunk, and give the file that takes it."""
        if self.body is None:
            self.body = io.BytesIO()
            self.body.write(ARRAYS)
            if self.only:
                self._append(self.only)
        return self.body

    def _append(self, chunk: bytes) -> None:
        body = self.open()
        body.write(memoryview(chunk)[_PROTO:] if self._first else chunk)

    def close(self, *, arrays: bool) -> Body:
        """Put in front what stands first in every header; give it as `bytes` if it is short."""
        if self.body is None:
            return (ARRAYS if arrays else NO_ARRAYS) + self.only[_PROTO:]
        self.body.seek(0)
        self.body.write(ARRAYS if arrays else _FILLED)
        self.body.seek(0, io.SEEK_END)
        return self.body

    def finish(self) -> None:
        """Look at the last chunk too."""
        if self._last is not None:
            self._look_at(self._last)

    def _write_behind(self, last: bytes, chunk: Any) -> None:
        self._look_at(last)
        body = self.open()
        size = announcement(last, self._first)
        self._first = False
        if size:
            self._last = None
            if not isinstance(chunk, bytes | bytearray):  # a PickleBuffer that was to stay in the header
                chunk = bytes(chunk)
        if self.suspicious:
            return
        if size and last[-size] in b"B\x8e\x96" and len(chunk) >= self.threshold:
            body.seek(-size, io.SEEK_CUR)
            chunk = self.set_aside(chunk)
        self._append(chunk)

    def _look_at(self, chunk: bytes) -> None:
        if not (self.unseen or self.names_main):
            self.names_main = chunk.rfind(MAIN) >= 0  # from the end, which takes bytes half as long
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
    """Tell whether a chunk holds a bytes or bytearray object of `threshold` bytes or more.

    Looks for the opcode (C with a length of 1 byte, B with one of 4, 0x96 with one of 8), for a length
    under 64 KiB, and behind the object for the opcode that must follow; where all that is there, the
    chunk is followed up to it, since any data may look so: 100,000 geometries of 21 bytes, each in a bytes
    object, took 500 ms when that was believed, and 16 ms to be pickled.
    """
    short = threshold < 256 and _holds(chunk, b"C", 1, threshold)
    return short or _holds(chunk, b"B", 4, threshold) or _holds(chunk, b"\x96", 8, threshold)


def _holds(chunk: bytes, opcode: bytes, width: int, threshold: int) -> bool:
    found = []
    for at in _places(chunk, opcode, width, threshold):
        start = at + 1 + width
        size = int.from_bytes(chunk[at + 1 : start], "little")
        if size >= threshold and chunk[start + size : start + size + 1] == b"\x94":
            found.append(at)
    return bool(found) and any_opcode_at(chunk, found)


def any_opcode_at(chunk: bytes, places: list[int]) -> bool:
    """Tell whether an opcode stands at any of these places of a chunk, which ascend.

    Follows the chunk from its start; what it cannot follow counts as one.
    """
    at = 0
    for place in places:
        while at < place:
            width = _WIDTHS[chunk[at]]
            if width == _UNKNOWN:
                return True
            if width >= 0:
                at += 1 + width
            else:
                start = at + 1 - width
                at = start + int.from_bytes(chunk[at + 1 : start], "little")
        if at == place:
            return True
    return False


_UNKNOWN: Final = 127


def _widths() -> tuple[int, ...]:
    """List the bytes of an opcode's argument, and below 0 those of the length that says how many there are.

    Of the opcodes that the C pickler writes by protocol 5.
    """
    widths = [_UNKNOWN] * 256
    for width, codes in {
        0: b"()t.]}N\x85\x86\x87\x88\x89\x8f\x90\x91\x93\x94aesu0121bRdlo\x81\x92\x97\x98Q",
        1: b"Khq\x80\x82",
        2: b"M\x83",
        4: b"Jjr\x84",
        8: b"G\x95",
        -1: b"CU\x8c\x8a",
        -4: b"BTX\x8b",
        -8: b"\x8d\x8e\x96",
    }.items():
        for code in codes:
            widths[code] = width
    return tuple(widths)


_WIDTHS: Final = _widths()


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
