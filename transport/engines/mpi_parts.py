"""A message in the form that MPI sends: one envelope, and the frames that do not fit into it.

An envelope is one message of MPI of at most `ENVELOPE` bytes, so that a receiver can provide memory without
asking for its length first. In most cases it is frame 0, the whole message. Otherwise it holds the frames
that fit, one after the other, and ends with the length of frame 0 and the tag of the frames that do not fit.
Both sides go through the frames in order, and decide by length which ones still fit into the envelope; frame
0 states the lengths of all others.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final, Protocol

from canning import DeserializationError, Limits
from canning.limits import check_count, check_size
from canning.wire.trailer import MAGIC, parse

from ..pool import long_empty

ENVELOPE: Final = 4000
"""Bytes of an envelope, at most: enough for most headers and the descriptors of a few arrays in an arena, and
less than what MPICH and Open MPI send before a receiver asks for it."""
LONGEST: Final = 1 << 30
"""Bytes of one MPI message, at most: before MPI 4 counts end at 2**31 - 1."""
_LENGTH: Final = 2
EQUAL: Final = _LENGTH + ENVELOPE
"""Bytes that each rank sends in a collective call: a length, and room for the longest envelope."""
_END: Final = struct.Struct("<QI4s")
_MARK: Final = b"cMPI"
_MAGIC: Final = -len(MAGIC)
_FRAMES_ROOM: Final = ENVELOPE - _END.size

Steps = Generator[list[Any], list[Any], Any]
"""A generator that yields MPI requests to complete before it continues, is sent the status of each, and
returns the result."""


class Source(Protocol):
    """The source of the frames that do not fit into an envelope."""

    def fill(self, memory: Any, tag: int) -> list[Any]:
        """Return requests that fill memory; none if it is filled already.

        Raises `DeserializationError` for a tag that no sender uses.
        """

    def check(self, statuses: list[Any], nbytes: int) -> None:
        """Raise `DeserializationError` if requests received another number of bytes."""


def pack(frames: Sequence[Any], tag: int) -> tuple[Any, list[Any]]:
    """Return the envelope of a message, and the frames that do not fit into it.

    >>> envelope, outside = pack([b"header", bytes(5000), b"short"], 7)
    >>> len(envelope), list(map(len, outside))
    (27, [5000])
    """
    if len(frames) == 1 and len(frames[0]) <= ENVELOPE:
        return frames[0], []
    inside, outside, room = [], [], _FRAMES_ROOM
    for frame in frames:
        if len(frame) <= room:
            inside.append(frame)
            room -= len(frame)
        else:
            outside.append(frame)
    return b"".join((*inside, _END.pack(len(frames[0]), tag, _MARK))), outside


def is_whole(envelope: bytes) -> bool:
    """Tell whether an envelope is frame 0, and the whole message."""
    return envelope[_MAGIC:] == MAGIC


def unpack(envelope: bytes, limits: Limits | None, source: Source) -> Steps:
    """Return the frames of a message; memory is taken only for lengths within `limits`, if there are any.

    Raises:
        DeserializationError: the message contradicts itself, or is beyond the limits.
    """
    if is_whole(envelope):
        return [envelope]
    inside = len(envelope) - _END.size
    size, tag, mark = _END.unpack_from(envelope, inside) if inside >= 0 else (0, 0, b"")
    if mark != _MARK:
        raise DeserializationError(f"{len(envelope)} bytes that no transport.engines.mpi.Comm has sent")
    if limits is not None:
        check_size(size, limits)
    places = _Places(envelope, inside)
    head = places.next(size)
    yield from _filled(source, places, tag)
    trailer = parse(head)
    if trailer is None:
        raise DeserializationError("frame 0 of a message through MPI has no trailer")
    if limits is not None:
        check_count(trailer.frames, limits)
        check_size(size + sum(trailer.lengths), limits)
    frames = [head, *map(places.next, trailer.lengths)]
    yield from _filled(source, places, tag)
    return frames


def _filled(source: Source, places: _Places, tag: int) -> Steps:
    """Fill the memory that was handed out since the last call."""
    memory, places.outside = places.outside, []
    if memory:
        statuses = yield [request for each in memory for request in source.fill(each, tag)]
        source.check(statuses, sum(map(len, memory)))


class _Places:
    """Go through the frames of a message in the writer's order, and return the memory of each.

    Attributes:
        outside: memory that was handed out and has to be filled.
    """

    def __init__(self, envelope: bytes, inside: int) -> None:
        self.outside: list[Any] = []
        self._envelope = memoryview(envelope)[:inside]
        self._at = 0

    def next(self, length: int) -> Any:
        """Return the next frame."""
        if length <= _FRAMES_ROOM - self._at:
            start, self._at = self._at, self._at + length
            if self._at > len(self._envelope):
                raise DeserializationError("an envelope is shorter than the frames that it should hold")
            return bytes(self._envelope[start : self._at])
        try:
            memory = memoryview(long_empty(length))
        except (MemoryError, ValueError, OverflowError) as error:
            raise DeserializationError(f"no memory for a frame of {length:,} bytes") from error
        self.outside.append(memory)
        return memory


def pieces(frame: Any) -> Iterator[Any]:
    """Cut memory into pieces that fit into one MPI message.

    >>> [len(piece) for piece in pieces(b"abc")]
    [3]
    """
    flat = memoryview(frame)
    return (flat[start : start + LONGEST] for start in range(0, len(flat), LONGEST))


_SPIN: Final = 200e-6
_SLEEP: Final = 1e-3


def poll(look: Callable[[], Any], timeout: float) -> Any:
    """Call `look` until it returns something, and return that; None after so many seconds.

    It calls without pause at first, then at growing intervals, in the end every ms.
    """
    start = time.monotonic()
    while True:
        found = look()
        if found:
            return found
        waited = time.monotonic() - start
        if waited > timeout:
            return None
        time.sleep(0 if waited < _SPIN else min(waited / 8, _SLEEP))


def drive(steps: Steps, wait: Callable[[list[Any]], list[Any]]) -> Any:
    """Run all steps, and wait for each."""
    try:
        requests = next(steps)
        while True:
            requests = steps.send(wait(requests))
    except StopIteration as end:
        return end.value


def laid_out(envelope: Any) -> bytearray:
    """Lay out an envelope for a collective call, in which all ranks send equally many bytes.

    >>> len(laid_out(b"short")) == EQUAL, envelope_in(laid_out(b"short"))
    (True, b'short')
    """
    room = bytearray(EQUAL)
    room[:_LENGTH] = len(envelope).to_bytes(_LENGTH, "little")
    room[_LENGTH : _LENGTH + len(envelope)] = envelope
    return room


def envelope_in(room: bytearray | memoryview) -> bytes:
    """Return the envelope that a rank has laid out."""
    length = int.from_bytes(room[:_LENGTH], "little")
    return bytes(room[_LENGTH : _LENGTH + length])


def copied(frames: list[Any]) -> list[Any]:
    """Copy those frames that may be the object's own memory, which frame 0 never is."""
    return [frames[0], *map(_copy, frames[1:])]


def _copy(frame: Any) -> memoryview:
    room = memoryview(long_empty(len(frame)))
    room[:] = frame
    return room
