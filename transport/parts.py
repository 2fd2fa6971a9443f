"""Buffers that come in parts: each part is copied to its place in one buffer, and let go of at once.

A large frame in one piece arrives in memory that the system has just handed out, page by page, which takes
most of its time. Parts of `canning.packing.PART` bytes arrive in memory that is used again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from canning.buffers import aligned_empty, flat
from canning.codecs import CODECS
from canning.errors import DeserializationError
from canning.wire import Trailer, parse

from .pool import Pool, long_empty

Allocate = Callable[[int], Any]
"""Give writable memory of so many bytes."""
Array = npt.NDArray[Any]


def check_into(into: Array, many: bool) -> None:
    """Insist on an array that can be received into."""
    if not isinstance(into, np.ndarray):
        raise TypeError(f"into={type(into).__name__} is no numpy.ndarray")
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


def join_parts(
    received: list[Any], allocate: Allocate = aligned_empty, joined: Callable[[int], object] = lambda _: None
) -> None:
    """Replace the parts of buffers in received frames by views of one buffer each, side by side.

    `received` holds the frames of one or more objects. What is not in order stays as it is, for the reader
    to say what is wrong. `joined` is called with the bytes of each part.
    """
    at = 0
    while at < len(received):
        try:
            trailer = parse(flat(received[at]))
        except DeserializationError:
            return
        if trailer is None:
            return
        encoded = CODECS in trailer.extensions  # what is stated are lengths that have yet to come true
        if trailer.table is not None and not encoded and at + trailer.frames <= len(received):
            _join(received, at, trailer, allocate, joined)
        at += trailer.frames


def _join(
    received: list[Any], at: int, trailer: Trailer, allocate: Allocate, joined: Callable[[int], object]
) -> None:
    for first, count, _, length in trailer.table or ():
        places = range(at + first, at + first + count)
        if count == 1 or any(len(received[i]) != trailer.lengths[i - at - 1] for i in places):
            continue
        room = memoryview(allocate(length))
        end = 0
        for i in places:
            part = flat(received[i])
            begin, end = end, end + part.nbytes
            room[begin:end] = part
            del part
            received[i] = room[begin:end]
            joined(end - begin)
