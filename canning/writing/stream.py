"""The file that a pickler writes to: large objects become buffers, the rest the header.

A short header is the one chunk that the pickler writes. A long one grows in an `io.BytesIO`, which the
trailer is written to as well and which then gives up its memory as `bytes`: to keep the chunks and to join
them, once with each other and once with the trailer, took 16 ms for a million ints, and this takes 10.
"""

from __future__ import annotations

import io
from typing import Any, Final

from ..memory.buffers import Body
from ..pickles.headers import ARRAYS, FILLED, MAIN, NO_ARRAYS, PROTO, announcement, announces_bytes, call_raw

DIRECT: Final = 64 * 1024
"""Bytes from which the C pickler hands an object on instead of copying it."""


class Sink:
    """Take what a pickler writes, and make buffers of the large objects that it hands on.

    The C pickler writes a chunk whenever 64 KiB have come together: one FRAME. Before an object of 64 KiB
    and more it writes what it has and, behind that frame, the opcode that announces the object; then the
    object itself. That opcode is replaced by the call of `calls.raw` with the number of a buffer. Smaller
    ones are copied into the frame and stay in the header: to find them there took longer than to send them.
    https://peps.python.org/pep-3154/#framing

    Attributes:
        only: the first chunk, which is all there is of most headers.
        body: the header so far, its first bytes left open, once there is more than that.
        entries: where the large objects go.
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
        "threshold",
    )

    def __init__(self, threshold: int, entries: list[Any]) -> None:
        self.threshold = threshold
        self.entries = entries
        self.reset()

    def reset(self) -> None:
        """Start a header."""
        self.only = b""
        self.body: io.BytesIO | None = None
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
        else:
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
        body.write(memoryview(chunk)[PROTO:] if self._first else chunk)

    def close(self, *, arrays: bool) -> Body:
        """Put in front what stands first in every header; give it as `bytes` if it is short."""
        if self.body is None:
            return (ARRAYS if arrays else NO_ARRAYS) + self.only[PROTO:]
        self.body.seek(0)
        self.body.write(ARRAYS if arrays else FILLED)
        self.body.seek(0, io.SEEK_END)
        return self.body

    def finish(self) -> None:
        """Look at the last chunk too."""
        if self._last is not None:
            self._look_at(self._last)

    def _write_behind(self, last: bytes, chunk: Any) -> None:
        self._look_at(last)
        body = self.open()
        if not isinstance(chunk, bytes | bytearray):  # a PickleBuffer that was to stay in the header
            chunk = self._last = bytes(chunk)
        size = announcement(last, len(chunk), self._first)
        self._first = False
        if size:
            self._last = None
            if announces_bytes(last, size) and len(chunk) >= self.threshold:
                body.seek(-size, io.SEEK_CUR)
                chunk = self.set_aside(chunk)
        self._append(chunk)

    def _look_at(self, chunk: bytes) -> None:
        if not self.names_main:
            self.names_main = chunk.rfind(MAIN) >= 0  # from the end, which takes bytes half as long

    def set_aside(self, obj: bytes | bytearray) -> bytes:
        """Make a buffer of an object, and give the opcodes that stand for it."""
        self.entries.append(obj)
        return call_raw(len(self.entries) - 1, mutable=isinstance(obj, bytearray))
