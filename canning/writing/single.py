"""One array or one bytes object that is all of a message: sent without a pickler, read without an unpickler.

The frame 0 is the same as that of the pickler, except for opcodes that only serve a pickler. If the
memory has a frame of its own, frame 0 depends only on shape, dtype and strides: the next object of that kind
reuses it. An array of 1 MB takes 4 µs at the sender and 6 at the reader this way, and 23 and 21 as the only
item of a list; one of 800 bytes, which is in the header, 7 and 12 instead of 21 and 21.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any, Final, NamedTuple

import numpy as np

from ..memory.buffers import flat
from ..memory.dtypes import BY_DTYPE, BY_NAME
from ..memory.layout import Array, dense_bytes
from ..pickles.headers import BYTES, INLINE, OF_FRAME, array_rest, read_array_rest
from ..types.canned import make_bytes
from ..wire.trailer import COUNT, FOOTER, LONE, pack, pack_alone
from .draft import LARGE, Draft, Message

_LONGEST: Final = 1024
"""Bytes up to which a frame 0 is cached."""
_SIZE: Final = struct.Struct("<I")
_LENGTHS: Final = struct.Struct("<QQ").unpack_from
"""The length of frame 1, and that of the pickle, which starts the footer."""


class Kind(NamedTuple):
    """The description of a single object, shared by equal ones; bytes have no dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    strides: tuple[int, ...] | None
    nbytes: int


def write_single(obj: Any, threshold: int) -> Message | None:
    """Turn a plain array, or a large bytes object, into its message; None for any other."""
    if type(obj) is bytes:
        size = len(obj)
        if size >= LARGE:
            return Draft(BYTES, [memoryview(obj)], flags=LONE)
        return [_bytes_head(size), memoryview(obj)] if size >= threshold else None
    dtype, flags = BY_DTYPE.get(id(obj.dtype)), obj.flags
    if dtype is None or not flags.forc or not flags.writeable:
        return None
    strides = None if flags.c_contiguous else obj.strides
    size = obj.nbytes
    if size >= LARGE:
        return Draft(OF_FRAME + array_rest(obj.shape, dtype, strides), [dense_bytes(obj)], flags=LONE)
    if size >= threshold:
        return [_array_head(obj.shape, dtype, strides, size), dense_bytes(obj)]
    data = obj.tobytes("A")
    body = b"".join((INLINE, _SIZE.pack(size), data, array_rest(obj.shape, dtype, strides)))
    return [pack_alone(body, LONE)]


@lru_cache(maxsize=256)
def _bytes_head(size: int) -> bytes:
    return pack(BYTES, len(BYTES), [size], flags=LONE)


@lru_cache(maxsize=256)
def _array_head(shape: tuple[int, ...], dtype: str, strides: tuple[int, ...] | None, size: int) -> bytes:
    body = OF_FRAME + array_rest(shape, dtype, strides)
    return pack(body, len(body), [size], flags=LONE)


def read_single(head: bytes, frames: Sequence[Any], writable: bool, *, keep: bool = True) -> Any:
    """Build the object of a message whose frame 0 has the shape of a single one; None for any other content.

    `frames` are those of the message, frame 0 included, and possibly others. With `keep`, the description
    is remembered for the next message; a stranger's is not.
    """
    if head[COUNT] == 1:
        if not head.startswith(INLINE):
            return None
        start = len(INLINE) + _SIZE.size
        end = start + _SIZE.unpack_from(head, len(INLINE))[0]
        rest = head[end : -FOOTER.size]
        kind = _read_rest(rest) if keep else _read_rest.__wrapped__(rest)
        memory: Any = bytearray(head[start:end])
    else:
        if len(head) > _LONGEST or len(frames) < 2:
            return None
        kind = _read_head(head) if keep else _read_head.__wrapped__(head)
        memory = frames[1]
    if kind is None:
        return None
    if not hasattr(memory, "__len__") or len(memory) != kind.nbytes:
        memory = flat(memory)
        if len(memory) != kind.nbytes:
            return None
    if kind.dtype is None:
        return make_bytes(memory)
    if kind.strides is None:
        array: Array = np.ndarray(kind.shape, kind.dtype, memory)
    else:
        array = np.ndarray(kind.shape, kind.dtype, memory, 0, kind.strides)
    flags = array.flags
    return array if flags.aligned and (flags.writeable or not writable) else None


@lru_cache(maxsize=256)
def _read_head(head: bytes) -> Kind | None:
    """Parse a frame 0 of an object in frame 1; the cache's key is all its bytes, which were checked."""
    end = len(head) - FOOTER.size - 8
    if end < 0:
        return None
    nbytes, length = _LENGTHS(head, end)
    if head.startswith(OF_FRAME):
        kind = _read_rest.__wrapped__(head[len(OF_FRAME) : end])
    else:
        kind = Kind((nbytes,), None, None, nbytes) if head[:end] == BYTES else None
    return kind if kind is not None and (kind.nbytes, end) == (nbytes, length) else None


@lru_cache(maxsize=256)
def _read_rest(rest: bytes) -> Kind | None:
    """Parse the opcodes behind the source of an array; None if it has another layout, or no items."""
    found = read_array_rest(rest)
    if found is None:
        return None
    shape, name, strides = found
    dtype = BY_NAME.get(name)
    if dtype is None or min(shape, default=1) <= 0:
        return None
    if strides is not None and strides != tuple(accumulate(shape[:-1], mul, initial=dtype.itemsize)):
        return None
    return Kind(shape, dtype, strides, dtype.itemsize * prod(shape))
