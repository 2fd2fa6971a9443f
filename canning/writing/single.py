"""One array or one bytes object that is all of a message: sent without a pickler, read without an unpickler.

The frame 0 is the same as that of the pickler, except for opcodes that only serve a pickler. If the
memory has a frame of its own, frame 0 depends only on shape, dtype and strides: the next object of that kind
reuses it. An array of 1 MB takes 4 µs at the sender and 6 at the reader this way, and 23 and 21 as the only
item of a list; one of 800 bytes, which is in the header, 7 and 12 instead of 21 and 21.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from ..memory.buffers import flat
from ..memory.dtypes import BY_DTYPE, BY_NAME
from ..memory.layout import Array, Layout, dense_bytes
from ..pickles.headers import BYTES, INLINE, OF_FRAME, array_rest
from ..types.arrays import CannedArray
from ..types.canned import CannedBytes, make_bytes
from ..wire.trailer import COUNT, FOOTER, LONE, pack, pack_alone, parse
from .draft import LARGE, Draft, Message

_LONGEST: Final = 1024
"""Bytes up to which a frame 0 is cached."""
_SIZE: Final = struct.Struct("<I")


class Kind(NamedTuple):
    """The description in the frame 0 of a single object, shared by equal ones; bytes have no dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    layout: Layout | None
    size: int


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


def read_single(head: bytes, frames: Sequence[Any], writable: bool) -> Array | bytes | bytearray | None:
    """Build the object of a message whose frame 0 has the shape of a single one; None for any other content.

    `frames` are those of the message, frame 0 included, and possibly others.
    """
    if head[COUNT] == 1:
        if not head.startswith(INLINE):
            return None
        start = len(INLINE) + _SIZE.size
        end = start + _SIZE.unpack_from(head, len(INLINE))[0]
        kind = _read_rest(head[end : -FOOTER.size])
        return None if kind is None else _make(kind, bytearray(head[start:end]), False)
    if len(head) > _LONGEST or len(frames) < 2:
        return None
    kind = _read_head(head)
    if kind is None:
        return None
    frame = frames[1]
    memory = frame if hasattr(frame, "__len__") and len(frame) == kind.size else flat(frame)
    if len(memory) != kind.size:
        return None
    return make_bytes(memory) if kind.dtype is None else _make(kind, memory, writable)


def _make(kind: Kind, memory: Any, writable: bool) -> Array:
    if kind.layout is None:
        array: Array = np.ndarray(kind.shape, kind.dtype, memory)
    else:
        array = np.ndarray(kind.shape, kind.dtype, memory, *kind.layout)
    flags = array.flags
    return array if flags.aligned and (flags.writeable or not writable) else array.copy("K")


@lru_cache(maxsize=256)
def _read_head(head: bytes) -> Kind | None:
    """Parse a frame 0; the cache key is all its bytes, which were checked like any others."""
    trailer = parse(head)
    if trailer is None or trailer.frames != 2:
        return None
    return _kind_of(pickle.loads(head), trailer.lengths[0])


@lru_cache(maxsize=256)
def _read_rest(rest: bytes) -> Kind | None:
    return _kind_of(pickle.loads(OF_FRAME + rest), 0)


def _kind_of(canned: object, size: int) -> Kind | None:
    if type(canned) is CannedBytes and not canned.mutable:
        return Kind((size,), None, None, size)
    if type(canned) is CannedArray and type(canned.dtype) is str and not canned.readonly:
        dtype = BY_NAME.get(canned.dtype)
        return None if dtype is None else Kind(canned.shape, dtype, canned.layout, size)
    return None
