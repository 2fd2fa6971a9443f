"""Buffers that arrive in parts: each part is copied to its place in one buffer, and released at once.

A large frame in one piece arrives in memory that the system hands out page by page, which takes most of the
time. Parts of `canning.writing.draft.PART` bytes arrive in memory that is reused.
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
    """Check that an array can be received into."""
    if not isinstance(into, np.ndarray):
        raise TypeError(f"into={type(into).__name__} is not a numpy.ndarray")
    if many:
        raise ValueError("into= takes the array of one object, and many=True asks for all of them")
    if not into.flags.writeable or into.dtype.hasobject or into.dtype.kind == "T":
        raise ValueError(f"into= is an array of {into.dtype} that cannot be received into, or read-only")


def allocator(into: Array | None, pool: Pool | None) -> Allocate:
    """Return the function that provides memory for joined buffers."""
    allocate = long_empty if pool is None else pool.allocate
    if into is None or not into.flags.forc or not into.nbytes:
        return allocate
    memory = into.reshape(-1, order="A").view(np.uint8)
    return lambda size: memory if size == memory.nbytes else allocate(size)


def fill(into: Array, obj: Any) -> bool:
    """Copy a received array into `into`, unless it is there already; False if it does not fit."""
    if not isinstance(obj, np.ndarray) or obj.dtype != into.dtype or obj.shape != into.shape:
        return False
    where, there = obj.__array_interface__, into.__array_interface__
    if where["data"] != there["data"] or obj.strides != into.strides:
        np.copyto(into, obj)
    return True


_PATIENCE: Final = 5e-10
"""Seconds per byte that returning memory to the system may take: 0.1 for 200 MB."""


class _Freed:
    """Return the memory of small parts to the system while they are joined: the C library would keep it.

    The C library keeps freed memory as long as any memory above it is in use: a receiver of 200 MB in runs of
    16 KiB reached 2.03 times the data without this, 1.08 with it, and 1.18 with a call after each eighth.
    Runs of 24 KiB took 282 ms over tcp instead of 258. Each call searches all free memory of the process: 29
    ms in one with 50,000 holes, and 115 the first time, so the calls stop if they take too long.
    """

    def __init__(self, length: int, part: int) -> None:
        self.trim = _malloc_trim() if length >= LARGE and part < PART else None
        self.step = length // 25
        self.bytes = 0
        self.seconds = length * _PATIENCE

    def add(self, nbytes: int) -> None:
        """Count a freed part."""
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
    """Return `malloc_trim` of the C library; None if it has none, as on macOS and with musl."""
    try:
        trim: Callable[[int], object] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # Windows refuses None
        return None
    return trim


def join_parts(
    received: list[Any], allocate: Allocate = aligned_empty, joined: Callable[[int], object] = lambda _: None
) -> list[Trailer | None]:
    """Replace the parts of buffers in received frames by views of one buffer each, side by side.

    `received` holds the frames of one or more objects. Returns their trailers, for the reader; None for an
    object whose shape needs none. Invalid frames are left as they are, so that the reader reports the error.
    `joined` is called with the bytes of each part.
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
    """Yield the places of buffers that came in parts or become `bytes`, their length, and whether `bytes`.

    With a codec, the stated lengths are those after decoding, which are not verified yet.
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
    """Write into existing memory of fixed size, with the interface of `io.BytesIO`."""

    def __init__(self, memory: Any) -> None:
        self._memory = memoryview(memory)
        self._end = 0

    def write(self, part: memoryview) -> None:
        """Append a copy of a part."""
        begin, self._end = self._end, self._end + part.nbytes
        self._memory[begin : self._end] = part

    def getvalue(self) -> memoryview:
        """Return the whole memory."""
        return self._memory


def _join(
    received: list[Any], places: range, room: Any, length: int, joined: Callable[[int], object]
) -> None:
    """Concatenate parts, and replace each by a view of the result."""
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
