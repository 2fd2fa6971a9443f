"""Buffers that come in parts: each part is copied to its place in one buffer, and let go of at once.

A large frame in one piece arrives in memory that the system has just handed out, page by page, which takes
most of its time. Parts of `canning.packing.PART` bytes arrive in memory that is used again and again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canning.buffers import aligned_empty, flat
from canning.errors import DeserializationError
from canning.wire import Trailer, parse

Allocate = Callable[[int], Any]
"""Give writable memory of so many bytes."""


def join_parts(received: list[Any], allocate: Allocate = aligned_empty) -> None:
    """Replace the parts of buffers in received frames by views of one buffer each, side by side.

    `received` holds the frames of one or more objects. What is not in order stays as it is, for the reader
    to say what is wrong.
    """
    at = 0
    while at < len(received):
        try:
            trailer = parse(flat(received[at]))
        except DeserializationError:
            return
        if trailer is None:
            return
        if trailer.table is not None and at + trailer.frames <= len(received):
            _join(received, at, trailer, allocate)
        at += trailer.frames


def _join(received: list[Any], at: int, trailer: Trailer, allocate: Allocate) -> None:
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
