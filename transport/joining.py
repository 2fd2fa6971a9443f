"""Buffers that come in parts: each part is copied to its place in one buffer, and let go of at once.

A large frame in one piece arrives in memory that the system has just handed out, page by page, which takes
most of its time. Parts of `canning.writing.draft.PART` bytes arrive in memory that is used again and again.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Callable, Iterator
from functools import cache
from time import perf_counter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from canning.errors import DeserializationError
from canning.memory.buffers import aligned_empty, flat
from canning.wire.encoded import CODECS
from canning.wire.shapes import shape_of
from canning.wire.trailer import BYTES, COUNT, Trailer, parse
from canning.writing.draft import LARGE, PART

from .pool import Pool, long_empty

Allocate = Callable[[int], Any]
"""Return writable memory of so many bytes."""
Array = npt.NDArray[Any]


def check_into(into: Array, many: bool) -> None:
    """Insist on an array that can be received into."""
    if not isinstance(into, np.ndarray):
        raise TypeError(f"into={type(into).__name__} is not a numpy.ndarray")
    if many:
        raise ValueError("into= takes the array of one object, and many=True asks for all of them")
    if not into.flags.writeable or into.dtype.hasobject or into.dtype.kind == "T":
        raise ValueError(f"into= is an array of {into.dtype} that cannot be received into, or read-only")


def allocator(into: Array | None, pool: Pool | None) -> Allocate:
    """Say where the parts of buffers are to be joined."""
    allocate = long_empty if pool is None else pool.allocate
    if into is None or not into.flags.forc or not into.nbytes:
        return allocate
    memory = into.reshape(-1, order="A").view(np.uint8)
    return lambda size: memory if size == memory.nbytes else allocate(size)


def fill(into: Array, obj: Any) -> bool:
    """Put a received array where it is wanted, unless it is there already; False where it does not fit."""
    if not isinstance(obj, np.ndarray) or obj.dtype != into.dtype or obj.shape != into.shape:
        return False
    where, there = obj.__array_interface__, into.__array_interface__
    if where["data"] != there["data"] or obj.strides != into.strides:
        np.copyto(into, obj)
    return True


_PATIENCE: Final = 5e-10
"""Seconds for each byte that handing memory back may take: 0.1 for 200 MB."""


class _Freed:
    """Hand memory back to the system while small parts are joined, whose memory the C library would keep.

    It keeps what is freed as long as anything above is in use: 200 MB in runs of 16 KiB took a receiver to
    2.03 times the data so, and this way to 1.08; in turns of an eighth to 1.18. Runs of 24 KiB took 282 ms
    over tcp instead of 258. Each turn goes through all that is free in the process: 29 ms in one with
    50,000 holes, and 115 the first time, so that it is given up where that takes too long.
    """

    def __init__(self, length: int, part: int) -> None:
        self.trim = _malloc_trim() if length >= LARGE and part < PART else None
        self.step = length // 25
        self.bytes = 0
        self.seconds = length * _PATIENCE

    def add(self, nbytes: int) -> None:
        """Count a part that is free."""
        self.bytes += nbytes
        if self.trim is not None and self.bytes >= self.step:
            self.bytes = 0
            start = perf_counter()
            self.trim(0)
            self.seconds -= perf_counter() - start
            if self.seconds < 0:
                self.trim = None


@cache
def _malloc_trim() -> Callable[[int], object] | None:
    """Return the function of the C library; None where it has none, as on macOS and with musl."""
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # Windows takes no None
        return None
    return trim


def join_parts(
    received: list[Any], allocate: Allocate = aligned_empty, joined: Callable[[int], object] = lambda _: None
) -> list[Trailer | None]:
    """Replace the parts of buffers in received frames by views of one buffer each, side by side.

    `received` holds the frames of one or more objects. Gives the trailers of these, for the reader, and None
    for each of a shape that needs none. What is not in order stays as it is, for the reader to say what is
    wrong. `joined` is called with the bytes of each part.
    """
    at = 0
    trailers: list[Trailer | None] = []
    while at < len(received):
        head = flat(received[at])
        if shape_of(head) != "general":
            trailers.append(None)
            at += head[COUNT]
            continue
        try:
            trailer = parse(head)
        except DeserializationError:
            break
        if trailer is None:
            break
        trailers.append(trailer)
        if CODECS not in trailer.extensions and at + trailer.frames <= len(received):
            for places, length, whole in _to_do(trailer, at):
                if all(len(received[i]) == trailer.lengths[i - at - 1] for i in places):
                    room = io.BytesIO() if whole else _Room(allocate(length))
                    _join(received, places, room, length, joined)
        at += trailer.frames
    return trailers


def _to_do(trailer: Trailer, at: int) -> Iterator[tuple[range, int, bool]]:
    """Yield the places of buffers that came in parts or become `bytes`, their length, whether `bytes`.

    Where a codec is named, the lengths that are stated are such as have yet to come true.
    """
    said = trailer.extensions.get(BYTES, b"")
    whole = frozenset(int.from_bytes(said[i : i + 4], "little") for i in range(0, len(said), 4))
    table = trailer.table
    if table is None and whole:
        table = tuple((number, 1, 0, length) for number, length in enumerate(trailer.lengths, 1))
    done: set[int] = set()  # many buffers may lie in one frame, which is copied once
    for number, (first, count, _, length) in enumerate(table or ()):
        becomes = number in whole and (count > 1 or (first > 0 and trailer.lengths[first - 1] == length))
        if (count > 1 or becomes) and done.isdisjoint(range(first, first + count)):
            done.update(range(first, first + count))
            yield range(at + first, at + first + count), length, becomes


class _Room:
    """Take what is written into memory that is there, as `io.BytesIO` takes it into memory that grows."""

    def __init__(self, memory: Any) -> None:
        self._memory = memoryview(memory)
        self._end = 0

    def write(self, part: memoryview) -> None:
        """Copy a part behind those before."""
        begin, self._end = self._end, self._end + part.nbytes
        self._memory[begin : self._end] = part

    def getvalue(self) -> memoryview:
        """Return all of it."""
        return self._memory


def _join(
    received: list[Any], places: range, room: Any, length: int, joined: Callable[[int], object]
) -> None:
    """Copy parts behind each other, and put views of what comes of it in their places."""
    freed = _Freed(length, len(received[places[0]]))
    ends = [0]
    for i in places:
        part = flat(received[i])
        size = part.nbytes
        received[i] = None
        room.write(part)
        del part
        ends.append(ends[-1] + size)
        freed.add(size)
        joined(size)
    whole = memoryview(room.getvalue())
    for i, begin, end in zip(places, ends, ends[1:], strict=False):
        received[i] = whole[begin:end]
