"""pyarrow: rebuild arrays from the nodes of `arrow_nodes`.

A *shape* is a type with the parts of its arrays: ``(type, shapes of the children, shape of the words)``. It
is computed once for each type, since reading its fields takes longer than rebuilding an array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...errors import DeserializationError
from ...memory.buffers import aligned_copy
from ..budget import charge
from .arrow_nodes import NESTED, UNUSUAL, VIEWS, WIDTHS, Node, checked, storage
from .checks import need, private_copy

Shape = Any
_lib: Any = pa.lib
restore: Final[Any] = _lib._restore_array
_py_buffer: Final[Any] = pa.py_buffer

_TEXTS: Final = VIEWS | {
    *(_lib.Type_STRING, _lib.Type_BINARY, _lib.Type_LARGE_STRING, _lib.Type_LARGE_BINARY),
}
"""Types whose bytes, after the first two buffers, may be anywhere."""


def shape_of(kind: object) -> Shape:
    """Return the shape of a type.

    >>> shape_of(pa.list_(pa.int8()))
    (ListType(list<item: int8>), ((DataType(int8), (), None),), None)
    """
    stored = storage(kind)
    if stored.id == _lib.Type_DICTIONARY:
        return kind, (), shape_of(stored.value_type)
    return kind, tuple(shape_of(stored.field(number).type) for number in range(stored.num_fields)), None


def data_of(shape: Shape, node: Node) -> Any:
    """Return the input of pyarrow's own unpickling of an array; nothing is checked."""
    kind, parts, words = shape
    length, nulls, offset, buffers, children, dictionary = node
    made: list[Any] = []
    for state in buffers:
        buffer = None if state is None else _py_buffer(state)
        if buffer is not None and buffer.address % 8 and not (len(made) > 1 and kind.id in _TEXTS):
            buffer = _py_buffer(aligned_copy(memoryview(state)))
        made.append(buffer)
    below = [data_of(part, child) for part, child in zip(parts, children, strict=True)] if children else []
    return kind, length, nulls, offset, made, below, words and data_of(words, dictionary)


def array_of(shape: Shape, node: Node) -> Any:
    """Rebuild an array as pyarrow unpickles one; nothing is checked."""
    return restore(data_of(shape, node))


def chunked_of(kind: object, nodes: list[Node], make: Callable[[Node], Any]) -> Any:
    """Rebuild a chunked array, its chunks with `make`."""
    return pa.chunked_array(list(map(make, nodes)), kind)


def to_buffer(state: object) -> Any:
    """Make an Arrow buffer of a stranger's memory, aligned to 8 bytes at least; None stays None."""
    if state is None:
        return None
    if type(state) is not np.ndarray and type(state) is not bytes:
        raise DeserializationError("an invalid buffer of Arrow")
    if type(state) is np.ndarray and (state.dtype.hasobject or state.dtype.names):
        raise DeserializationError("a buffer of Arrow of something other than numbers")
    buffer = _py_buffer(state)
    return buffer if buffer.address % 8 == 0 else _py_buffer(aligned_copy(memoryview(state)))


# -- a stranger's arrays ---------------------------------------------------------------------------------
#
# Arrow, and libraries that trust Arrow, use some data unchecked: offsets, views, codes, bits of validity,
# text, times. These are checked here, on private copies. Plain numbers and bytes are not copied.

_SHARED: Final[dict[int, int]] = {
    **dict.fromkeys(
        (
            *(_lib.Type_INT8, _lib.Type_INT16, _lib.Type_INT32, _lib.Type_INT64),
            *(_lib.Type_UINT8, _lib.Type_UINT16, _lib.Type_UINT32, _lib.Type_UINT64),
            *(_lib.Type_HALF_FLOAT, _lib.Type_FLOAT, _lib.Type_DOUBLE, _lib.Type_FIXED_SIZE_BINARY),
        ),
        1,
    ),
    **dict.fromkeys((_lib.Type_BINARY, _lib.Type_LARGE_BINARY), 2),
}
"""By type, the number of the buffer in which any value is valid.

Bits are not included: polars counts those of a column once, and writes as many elements as it counted.
"""
_UTF8: Final = frozenset((_lib.Type_STRING, _lib.Type_LARGE_STRING))
_DEEPEST: Final = 64
_STEP: Final = 1 << 16
"""Bits that are checked in one step: each then takes a byte. A multiple of 8."""
_ARRAY: Final = 200
"""The cost of one array, in items of 50 ns."""
_NOTHING: Final = _py_buffer(bytes(128))
"""Used for any buffer of an array without elements: offsets of 0, up to the eighth."""


_SECONDS: Final = 200_000 * 31_556_952
"""Seconds from 1970 to the last year, in either direction, that polars can show; beyond it panics."""
_PER_SECOND: Final = {"s": 1, "ms": 1000, "us": 1_000_000}
_FARTHEST: Final[dict[int, Callable[[Any], int]]] = {
    _lib.Type_DATE32: lambda kind: _SECONDS // 86400,
    _lib.Type_DATE64: lambda kind: _SECONDS * 1000,
    _lib.Type_TIMESTAMP: lambda kind: _SECONDS * _PER_SECOND.get(kind.unit, 1 << 60),
    _lib.Type_DURATION: lambda kind: (1 << 63) // 1_000_000 * _PER_SECOND.get(kind.unit, 1 << 60),
}
"""By type, the largest number that other libraries accept as a time."""


def checked_array_of(kind: object, node: Node, depth: int = 0) -> Any:
    """Rebuild a stranger's array; raises if any of its numbers is wrong."""
    if isinstance(kind, pa.BaseExtensionType):  # of those that `described` knows
        return pa.ExtensionArray.from_storage(kind, checked_array_of(kind.storage_type, node, depth))
    array = _built(kind, node, depth)
    array.validate(full=True)
    return array


def _own_buffer(state: object) -> Any:
    """Copy memory into a buffer that nobody else can write to."""
    if type(state) is not np.ndarray:
        return to_buffer(state)
    copied = private_copy(state)
    copied.flags.writeable = False
    return _py_buffer(copied)


def _built(kind: pa.DataType, node: Node, depth: int, *, private: bool = False) -> Any:
    need(type(node) is tuple and len(node) == 6 and depth < _DEEPEST, "an invalid array of Arrow")
    charge(_ARRAY, 5 * _ARRAY)
    length, nulls, offset, buffers, children, dictionary = node
    need(all(type(n) is int for n in (length, nulls, offset)), "an invalid array of Arrow")
    need(0 <= length < 1 << 48 and 0 <= offset < 8, "an array of Arrow of no possible length")
    need(type(buffers) is tuple and type(children) is tuple, "an invalid array of Arrow")
    need(not isinstance(kind, pa.BaseExtensionType), "a type of Arrow that a stranger may not send")
    shared = -1 if private else _SHARED.get(kind.id, -1)
    made = [
        to_buffer(state) if number == shared else _own_buffer(state) for number, state in enumerate(buffers)
    ]
    if not length:  # Arrow allows an empty buffer, but reads the first offset all the same
        made = [None if number == 0 else _NOTHING for number in range(len(made))]
    if kind.id == _lib.Type_DICTIONARY:
        need(len(made) == 2 and not children, "an invalid dictionary of Arrow")
        words = checked_array_of(kind.value_type, dictionary, depth + 1)
        made[1] = _without_missing(made, 1, kind.index_type.bit_width // 8, length, offset)
        return pa.DictionaryArray.from_buffers(kind, length, made, words, -1, offset)
    need(dictionary is None, "a dictionary where none belongs")
    if kind.id in VIEWS:
        need(len(made) >= 2 and not children, "invalid views of Arrow")
        made[1] = _without_missing(made, 1, 16, length, offset)
        return restore((kind, length, -1, offset, made, [], None))
    need(kind.num_fields == len(children), "an invalid array of Arrow")
    parts = [
        _built(kind.field(number).type, child, depth + 1, private=kind.id in UNUSUAL)
        for number, child in enumerate(children)
    ]
    if kind.id in WIDTHS:
        need(len(made) == 3, "an invalid view of lists")
        for number in (1, 2):
            made[number] = _without_missing(made, number, WIDTHS[kind.id], length, offset)
    if kind.id in UNUSUAL:
        return checked(kind, length, offset, made, parts)
    need(len(made) == kind.num_buffers, "an invalid array of Arrow")
    if kind.id in _FARTHEST:
        made[1] = _without_missing(made, 1, kind.bit_width // 8, length, offset)
        times = np.frombuffer(made[1], f"<i{kind.bit_width // 8}")
        far = _FARTHEST[kind.id](kind)
        need(not times.size or (-far <= int(times.min()) and int(times.max()) <= far), "a time out of range")
    if kind.id in NESTED:  # Arrow's own check multiplies beyond 32 bits
        each = 1 if kind.id == _lib.Type_STRUCT else kind.list_size
        need(each >= 0, "lists of no possible length")
        need(all((offset + length) * each <= len(part) for part in parts), "an array beyond its children")
    if kind.id == _lib.Type_MAP:  # of which Arrow ends the process
        keys = restore(parts[0].__reduce__()[1][0][5][0])
        need(parts[0].null_count == 0 and keys.null_count == 0, "a key that is missing")
    if not any(buffer is not None and buffer.size for buffer in made[1:]):
        charge(length)  # it takes no memory yet
    if (
        kind.id in _UTF8 and made[0] is not None
    ):  # what is missing must be text, too: not all look at the bits
        pa.Array.from_buffers(kind, length, [None, *made[1:]], 0, offset).validate(full=True)
    return pa.Array.from_buffers(kind, length, made, -1, offset, parts)


def _without_missing(buffers: list[Any], number: int, width: int, length: int, offset: int) -> Any:
    """Copy values of a fixed width into private memory, with zeros for missing ones."""
    valid, values = buffers[0], buffers[number]
    end = offset + length
    need(values is not None and values.size >= end * width, "a buffer that is too short")
    if valid is None:
        return values.slice(0, end * width)
    need(valid.size * 8 >= end, "a buffer that is too short")
    bits = np.frombuffer(valid, np.uint8)
    rows = np.frombuffer(values, f"V{width}", end).copy()
    for low in range(0, end, _STEP):
        part = rows[low : low + _STEP]
        there = np.unpackbits(bits[low // 8 : (low + _STEP) // 8], count=len(part), bitorder="little")
        part[there == 0] = np.zeros((), rows.dtype)
    rows[:offset] = np.zeros((), rows.dtype)
    rows.flags.writeable = False
    return _py_buffer(rows)
