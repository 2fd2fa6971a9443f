"""The file that a pickler writes to: large objects become buffers, all other bytes the header.

A short header is the one chunk that the pickler writes. A long one grows in an `io.BytesIO`, which also
receives the trailer and then gives up its memory as `bytes`: this takes 10 ms for a million ints. Keeping
the chunks and joining them, once with each other and once with the trailer, took 16.
"""

from __future__ import annotations

import io
from typing import Any, Final

from ..memory.buffers import Body
from ..pickles.headers import ARRAYS, FILLED, MAIN, NO_ARRAYS, PROTO, announcement, announces_bytes, call_raw

DIRECT: Final = 64 * 1024
"""Bytes from which the C pickler passes an object on instead of copying it."""


class Sink:
    """Take the output of a pickler, and make buffers of the large objects that it passes on.

    The C pickler writes a chunk for every 64 KiB: one FRAME. Before an object of 64 KiB and more it writes
    its pending bytes and, after that frame, the opcode that announces the object; then the object itself.
    That opcode is replaced by the call of `calls.raw` with the number of a buffer. Smaller objects are copied
    into the frame and stay in the header: finding them there took longer than sending them.
    https://peps.python.org/pep-3154/#framing

    Attributes:
        only: the first chunk, which is the whole of most headers.
        body: the header so far, with room for its first bytes, once there is more than one chunk.
        entries: the list that receives the large objects.
        names_main: whether a pickle seems to use a name in ``__main__``, where no other process will find it.
            Each chunk is searched on arrival: searching a file would mean taking its memory out.
    """

    __slots__ = ("_first", "_last", "body", "entries", "names_main", "only", "threshold")

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
        """Take a chunk, or an object that the chunk before it has announced."""
        last = self._last
        self._last = chunk
        if last is not None:
            self._write_behind(last, chunk)
        elif self.body is None:  # the only chunk of most messages
            self.only = chunk
        else:
            self._append(chunk)

    def open(self) -> io.BytesIO:
        """Start a header of more than one chunk, and return the file for it."""
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
        """Write the common start of all headers; return the header as `bytes` if it is short."""
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
            self.names_main = chunk.rfind(MAIN) >= 0  # from the end, which takes half as long for bytes

    def set_aside(self, obj: bytes | bytearray) -> bytes:
        """Make a buffer of an object, and return the opcodes that refer to it."""
        self.entries.append(obj)
        return call_raw(len(self.entries) - 1, mutable=isinstance(obj, bytearray))
