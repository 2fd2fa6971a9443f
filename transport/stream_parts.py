"""The messages of a stream: what they look like, what of it leaves here, and what arrives.

A stream is one message of `transport.send`, all of its frames one after the other, in parts that are
messages of their own. Each begins with a head: what it is, which stream it is of, and three numbers.

| kind | from | numbers | then |
|---|---|---|---|
| OPEN | sender | | a frame with the length of each frame |
| PART | sender | where it begins | its bytes, in one frame or several |
| PROBE | sender | which question it is, from 1 | |
| DROP | sender | | |
| GRANT | receiver | bytes received, how far to send, the question that it answers or 0 | |
| REFUSE | receiver | why | |
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, Final, NamedTuple

import zmq

from canning.memory.buffers import aligned_empty, flat
from canning.reading.early import frames_needed

from .exiting import may_share
from .incoming import OWN_BELOW, STREAM
from .joining import Array
from .windows import Credit, Path

PART: Final = 1024 * 1024
"""Bytes of a part: the C library reuses memory of that size (see `canning.writing.draft.PART`)."""
PIECES: Final = 200
"""Frames of a part, at most."""
OPEN, PART_OF, PROBE, DROP, GRANT, REFUSE = range(6)
UNKNOWN, TOO_LARGE = range(2)
"""Why a stream is refused."""

_HEAD: Final = struct.Struct("<8sB16sQQQ")
_SHARED: Final = 64 * 1024
"""Bytes from which a piece of a part is not copied on sending."""


class Head(NamedTuple):
    """The first frame of each message of a stream."""

    kind: int
    stream: bytes
    first: int = 0
    second: int = 0
    third: int = 0

    def pack(self) -> bytes:
        """Return the bytes of this head."""
        return _HEAD.pack(STREAM, *self)


def grant(head: Head, received: int, limit: int) -> Head:
    """Answer a message of a sender; if it is a question, say which."""
    return Head(GRANT, head.stream, received, limit, head.first if head.kind == PROBE else 0)


def refuse(head: Head, why: int) -> Head:
    """Answer that nothing of a stream is taken."""
    return Head(REFUSE, head.stream, why)


def parse_head(frame: Any) -> Head | None:
    """Read a head; None if the frame is none: no header of an object begins so."""
    if len(frame) != _HEAD.size:
        return None
    mark, *rest = _HEAD.unpack(bytes(frame))
    return Head(*rest) if mark == STREAM else None


class Leaving:
    """A message that leaves as a stream.

    Attributes:
        sent: where the next part begins.
        received: bytes that are known to be there.
        limit: how far the receiver lets us send.
        refused: why the receiver refuses it, None if it does not.
        whole: whether all of it was sent once.
    """

    def __init__(self, leading: list[bytes], frames: Sequence[Any]) -> None:
        self.stream = os.urandom(16)
        self.leading = leading
        self._frames = [flat(frame) for frame in frames]
        self._ends = list(accumulate(frame.nbytes for frame in self._frames))
        self.total = self._ends[-1]
        self.sent = self.received = self.limit = 0
        self.refused: int | None = None
        self.whole = False
        self._probe = 0
        self._probing = False

    def message(self, kind: int, first: int = 0) -> list[Any]:
        """Make the parts of a message with no more than a head."""
        return [*self.leading, Head(kind, self.stream, first).pack()]

    def opening(self) -> list[Any]:
        """Make the message that begins the stream."""
        lengths = struct.pack(f"<{len(self._frames)}Q", *(frame.nbytes for frame in self._frames))
        return [*self.message(OPEN), lengths]

    def probing(self) -> list[Any]:
        """Make the message that asks how much has arrived; before any answer, the first one once more."""
        if not self.limit:
            return self.opening()
        self._probe += 1
        self._probing = True
        return self.message(PROBE, self._probe)

    def next_part(self) -> tuple[list[Any], int]:
        """Make the next part, and tell where it ends."""
        self._probing = False  # an answer tells what had arrived before this part
        at, end = self.sent, min(self.sent + PART, self.limit)
        parts = self.message(PART_OF, at)
        number = bisect_right(self._ends, at)
        while at < end and len(parts) < PIECES:
            frame, stop = self._frames[number], min(self._ends[number], end)
            begin = self._ends[number] - frame.nbytes
            if stop > at:
                piece = frame[at - begin : stop - begin]
                shared = piece.nbytes >= _SHARED and may_share()
                parts.append(zmq.Frame(piece, copy=False) if shared else piece)
            at, number = stop, number + 1
        return parts, at

    def hear(self, head: Head) -> None:
        """Take what the receiver says."""
        if head.kind == REFUSE:
            self.refused = head.first
        if head.kind != GRANT or head.first > self.sent:
            return
        self.received = max(self.received, head.first)
        self.limit = max(self.limit, min(head.second, self.total))
        if self._probing and head.third == self._probe:
            self.sent = head.first  # what was sent since was lost with a connection
            self._probing = False

    def fate(self) -> str:
        """Say what became of it when the time is over: the receiver delivers it once all has come."""
        if not self.limit:
            return "nobody has taken it, which a Receiver with stream=True does; nothing was delivered"
        if not self.whole:
            return "the receiver took no more of it; nothing was delivered"
        return "all of it was sent, but the receiver did not confirm it in time; it may have arrived"

    def why_refused(self, socket: object) -> str:
        """Say why the receiver refuses it."""
        if self.refused == TOO_LARGE:
            why = f"takes no message of {self.total:,} bytes: raise its canning.Limits, or send less"
        else:
            why = (
                "does not know the stream that it was sent: it was restarted, or had given up, or the socket "
                "has several peers and needs one"
            )
        fate = "all of it was sent, and may have arrived" if self.whole else "nothing was delivered"
        return f"the receiver at the other end of {socket!r} {why}; {fate}"


class Arriving:
    """A message that arrives as a stream; each part is copied to its place.

    Attributes:
        credit: how far its sender may send.
        heard: when its sender last said something, by the clock of the receiver.
        moved: when it last moved on, up to its `goal`.
        needed: how many frames have to be there before its object is built; None until that is known.
        ended: why no more of it comes; empty as long as it may.
        leading: the frames before each of its messages.

    Args:
        lengths: the bytes of each frame.
        path: the way by which it comes; its window says what is granted.
        allocate: called for the memory of a frame when it begins.
        into: memory for the first frame of as many bytes.
    """

    def __init__(
        self, lengths: Sequence[int], path: Path, allocate: Callable[[int], Any], into: Array | None = None
    ) -> None:
        self.total = sum(lengths)
        self.count = len(lengths)
        self.received = 0
        self.credit = Credit(path, self.total)
        self.heard = self.moved = 0.0
        self.goal = 0
        self.ended = ""
        self.needed: int | None = None
        self.leading: list[bytes] = []
        self._lengths = lengths
        self._allocate = allocate
        self._into = _flat(into)
        self._borrowed: int | None = None
        self._frames: list[bytearray | memoryview] = []
        self._room = 0  # what is left of the last frame

    def take(self, head: Head, pieces: list[Any]) -> bool:
        """Copy a part to its place, unless parts before it were lost; False if it does not fit."""
        if head.first != self.received:
            return True
        size = sum(map(len, pieces))
        if self.received + size > self.total:
            return False
        pieces.reverse()
        while pieces:  # each is free when it has been copied
            self._write(flat(pieces.pop()))
        self.credit.came(size, self.received)
        return True

    def _write(self, piece: memoryview) -> None:
        while piece.nbytes:
            while not self._room:
                self._begin()
            size = min(piece.nbytes, self._room)
            frame = self._frames[-1]
            at = len(frame) - self._room
            frame[at : at + size] = piece[:size]
            self._room -= size
            self.received += size
            piece = piece[size:]

    def _begin(self) -> None:
        number = len(self._frames)
        self._room = self._lengths[number]
        if self._into is not None and self._room == self._into.nbytes:
            self._frames.append(memoryview(self._into))
            self._into, self._borrowed = None, number
        elif self._room < OWN_BELOW:  # a stranger may say that there are 100,000 of no bytes
            self._frames.append(bytearray(self._room))
        else:
            self._frames.append(memoryview(self._allocate(self._room)))

    @cached_property
    def ends(self) -> list[int]:
        """Where each frame ends."""
        return list(accumulate(self._lengths))

    def is_early(self) -> bool:
        """Tell whether all is there but arrays that can be waited for."""
        if self.received < self._lengths[0]:
            return False
        if self.needed is None:
            self.needed = frames_needed(self.frame(0), self._lengths)
        return self.needed < self.count and self.received >= self.ends[self.needed - 1]

    def give_back(self) -> None:
        """Use no memory of the caller from here on."""
        self._into = None
        if self._borrowed is not None:
            own = memoryview(aligned_empty(self._lengths[self._borrowed]))
            own[:] = self._frames[self._borrowed]
            self._frames[self._borrowed], self._borrowed = own, None

    def frame(self, number: int) -> Any:
        """Return a frame that has arrived."""
        while len(self._frames) <= number:  # empty ones
            self._begin()
        frame = self._frames[number]
        return bytes(frame) if not number and len(frame) < OWN_BELOW else frame

    def frames(self) -> list[Any]:
        """Return the frames of the message, which has arrived."""
        return [self.frame(number) for number in range(self.count)]


def _flat(into: Array | None) -> Any:
    """View the memory of the caller's array in its own order, if it is in one piece."""
    if into is None or not into.flags.forc or not into.nbytes:
        return None
    return into.reshape(-1, order="A").view("u1")
