"""pyarrow: arrays as trees of buffers, each trimmed to the range that the array covers.

A *node* has the parts of one array in Arrow's columnar format: ``(length, nulls, offset, buffers, children,
dictionary)``. Its type is kept beside it. Buffers are viewed in place; bytes outside a slice are left
out, down to whole bytes of validity bits. https://arrow.apache.org/docs/format/Columnar.html

The parts of unions, runs and views of lists are not adjacent: a slice of one has the whole of its children,
so it is copied, compactly, before it is sent. A stranger's are checked here, since Arrow's own check of these
types came late.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ...errors import SerializationError
from ...memory.buffers import foreign
from ...memory.layout import Array
from ..budget import charge
from .checks import need

_lib: Any = pa.lib
_NONE: Final = -1
_SPARSE, _DENSE, _RUNS, _LIST_VIEW, _LARGE_LIST_VIEW = (
    getattr(_lib, f"Type_{name}", _NONE)
    for name in ("SPARSE_UNION", "DENSE_UNION", "RUN_END_ENCODED", "LIST_VIEW", "LARGE_LIST_VIEW")
)
UNUSUAL: Final = frozenset((_SPARSE, _DENSE, _RUNS, _LIST_VIEW, _LARGE_LIST_VIEW))
WIDTHS: Final = {_LIST_VIEW: 4, _LARGE_LIST_VIEW: 8}
"""Bytes of a start, or a size, in views of lists."""
_STEP: Final = 1 << 16


def compact(kind: pa.DataType, data: Any, start: int, length: int) -> Any:
    """Copy the range of a slice; return the data of an array unchanged if the slice is all of it.

    >>> union = pa.UnionArray.from_sparse(pa.array([0] * 9, pa.int8()), [pa.array(range(9))])
    >>> compact(union.type, union[4:6].__reduce__()[1][0], 0, 2)[5][0][1]
    2
    """
    if not data[3] and length == data[1]:
        return data
    array = _lib._restore_array((kind, *data[1:])).slice(start, length)
    if kind.id == _DENSE:
        return _compact_dense(kind, array)
    with contextlib.suppress(pa.ArrowNotImplementedError):  # an older Arrow cannot copy it: it is sent whole
        array = pa.concat_arrays([array, array[:0]])
    return array.__reduce__()[1][0]


def _compact_dense(kind: pa.DataType, array: Any) -> Any:
    _, length, _, offset, buffers, children, _ = array.__reduce__()[1][0]
    codes = np.frombuffer(buffers[1], "i1")[offset : offset + length]
    places = np.frombuffer(buffers[2], "<i4")[offset : offset + length].copy()
    parts = []
    for code, child in zip(kind.type_codes, children, strict=True):
        mine = places[codes == code]
        low, high = (int(mine.min()), int(mine.max()) + 1) if len(mine) else (0, 0)
        places[codes == code] -= low
        parts.append(_lib._restore_array(child).slice(low, high - low).__reduce__()[1][0])
    buffers = [None, pa.py_buffer(codes.tobytes()), pa.py_buffer(places)]
    return kind, length, 0, 0, buffers, parts, None


def checked(kind: pa.DataType, length: int, offset: int, buffers: list[Any], parts: list[Any]) -> Any:
    """Rebuild a stranger's array of such a type, from checked parts."""
    need(offset == 0, "an array of Arrow that begins somewhere within")
    charge(length)  # it may take no memory yet
    _CHECKS[kind.id](kind, length, buffers, parts)
    data = [part.__reduce__()[1][0] for part in parts]
    return _lib._restore_array((kind, length, _NONE if kind.id in WIDTHS else 0, 0, buffers, data, None))


def _numbers(buffer: pa.Buffer, dtype: str, length: int) -> Any:
    need(
        buffer is not None and buffer.size >= length * np.dtype(dtype).itemsize, "a buffer that is too short"
    )
    return np.frombuffer(buffer, dtype, length) if length else np.empty(0, dtype)


def _check_union(kind: pa.DataType, length: int, buffers: list[Any], parts: list[Any]) -> None:
    need(len(buffers) == (2 if kind.id == _SPARSE else 3) and buffers[0] is None, "an invalid union")
    need(len(parts) == len(set(kind.type_codes)), "a union of other parts")
    need(all(0 <= code < 128 for code in kind.type_codes), "a union of other parts")
    codes = _numbers(buffers[1], "i1", length)
    others = codes.tobytes().translate(None, bytes(kind.type_codes))
    need(not others, "a union with an index that names none of its parts")
    if kind.id == _SPARSE:
        need(all(len(part) >= length for part in parts), "a union whose parts are too short")
        return
    places = _numbers(buffers[2], "<i4", length)
    for code, part in zip(kind.type_codes, parts, strict=True):
        mine = places[codes == code]
        need(not mine.size or (mine.min() >= 0 and mine.max() < len(part)), "a place beyond its part")


def _check_runs(kind: object, length: int, buffers: list[Any], parts: list[Any]) -> None:
    need(buffers == [None] and len(parts) == 2 and len(parts[0]) == len(parts[1]), "invalid runs")
    need(parts[0].null_count == 0, "a run that ends nowhere")
    ends = parts[0].to_numpy()
    need(not length or (ends.size and ends[0] > 0 and int(ends[-1]) >= length), "runs that are too short")
    need((ends[1:] > ends[:-1]).all(), "runs out of order")


def _check_list_view(kind: pa.DataType, length: int, buffers: list[Any], parts: list[Any]) -> None:
    need(len(buffers) == 3 and len(parts) == 1, "an invalid view of lists")
    starts, sizes = (_numbers(buffer, f"<i{WIDTHS[kind.id]}", length) for buffer in buffers[1:])
    items = np.int64(len(parts[0]))
    for low in range(0, length, _STEP):  # all at once would take copies
        these, counts = starts[low : low + _STEP], sizes[low : low + _STEP]
        need((these >= 0).all() and (counts >= 0).all(), "a list that begins nowhere")
        need((counts <= items - these).all(), "a list beyond its items")


_CHECKS: Final = {
    _SPARSE: _check_union,
    _DENSE: _check_union,
    _RUNS: _check_runs,
    _LIST_VIEW: _check_list_view,
    _LARGE_LIST_VIEW: _check_list_view,
}


Node = Any
SMALL: Final = 1024
"""Bytes under which a buffer goes into the header."""
_BYTE: Final = np.dtype(np.uint8)
_OFFSETS: Final[dict[int, int]] = {
    **dict.fromkeys((_lib.Type_STRING, _lib.Type_BINARY, _lib.Type_LIST, _lib.Type_MAP), 4),
    **dict.fromkeys((_lib.Type_LARGE_STRING, _lib.Type_LARGE_BINARY, _lib.Type_LARGE_LIST), 8),
}
"""Bytes of one offset of the types that have offsets."""
_ONE_OFFSET: Final = {4: struct.Struct("=i").unpack_from, 8: struct.Struct("=q").unpack_from}
_WIDTHS: Final[dict[int, int]] = {
    **dict.fromkeys((_lib.Type_INT8, _lib.Type_UINT8), 1),
    **dict.fromkeys((_lib.Type_INT16, _lib.Type_UINT16), 2),
    **dict.fromkeys((_lib.Type_INT32, _lib.Type_UINT32, _lib.Type_FLOAT, _lib.Type_DATE32), 4),
    **dict.fromkeys((_lib.Type_INT64, _lib.Type_UINT64, _lib.Type_DOUBLE, _lib.Type_TIMESTAMP), 8),
}
"""Bytes of a value of the most common types, which saves asking the type."""
NESTED: Final = frozenset((_lib.Type_STRUCT, _lib.Type_FIXED_SIZE_LIST))
VIEWS: Final = frozenset((_lib.Type_STRING_VIEW, _lib.Type_BINARY_VIEW))
_INLINE: Final = 12
"""Bytes of text that fit in a view itself."""
_MUCH: Final = 256
"""Bytes of text for each view from which checking the views of a whole array pays."""
_OTHERS: Final = NESTED | UNUSUAL | VIEWS | {_lib.Type_DICTIONARY, _lib.Type_NA}


def buffer_state(buffer: pa.Buffer) -> Any:
    """View an Arrow buffer as an array of bytes; copy it where it is small; None stays None."""
    return None if buffer is None else _part(buffer, 0, buffer.size)


def _part(buffer: pa.Buffer, low: int, high: int) -> Any:
    """View the bytes from `low` up to `high` of a buffer, or copy them if they are few."""
    if not buffer.is_cpu:
        raise SerializationError("memory of a device: copy it to the CPU first, with copy_to")
    size = high - low
    if size < SMALL:
        return buffer.slice(low, size).to_pybytes()
    if buffer.is_mutable:  # most are: 0.3 µs, instead of 1 below
        return np.frombuffer(buffer, _BYTE, size, low)
    root = buffer
    while root.parent is not None:
        root = root.parent
    return foreign(buffer.address + low, (size,), buffer, root.address)


def node_of(array: object) -> Node:
    """Convert an array to a node.

    >>> node_of(pa.array([1, 2, 3])[1:])[:3]
    (2, 0, 1)
    """
    return trimmed(array.__reduce__()[1][0])


def nodes_of(batch: pa.RecordBatch) -> list[Node]:
    """Convert the columns of a batch to nodes: as those of a struct, whose parts one call returns."""
    if not batch.num_columns:
        return []
    return list(map(trimmed, batch.to_struct_array().__reduce__()[1][0][5]))


def trimmed(data: Any, start: int = 0, length: int | None = None) -> Node:
    """Convert `length` elements from `start` on, counted after the array's own offset, to a node.

    `data` is pyarrow's own pickled form of an array; without a length, all of it is covered.
    """
    kind, all_of_it, nulls, own_offset, buffers, children, dictionary = data
    length = all_of_it if length is None else length
    number = kind.id
    first = own_offset + start
    offset = first % 8
    base, end = first - offset, first + length
    if length and buffers and buffers[0] is None:  # nothing is missing
        width = _WIDTHS.get(number)
        if width is not None:
            return length, 0, offset, (None, _part(buffers[1], base * width, end * width)), (), None
        if number in _OFFSETS:
            return _with_offsets(_OFFSETS[number], length, 0, offset, base, buffers, children)
    kind = storage(kind)
    if kind.id in UNUSUAL:
        data = compact(kind, data, start, length)
        return length, data[2], 0, tuple(map(buffer_state, data[4])), tuple(map(trimmed, data[5])), None
    nulls = nulls if length == all_of_it or nulls == 0 else -1
    words = None if dictionary is None else trimmed(dictionary)
    width = _bits(kind.index_type if dictionary is not None else kind)
    if width is not None:
        values = [_bits_of(buffer, width, base, end) for buffer in buffers[1:]]
        return length, nulls, offset, (_bits_of(buffers[0], 1, base, end), *values), (), words
    if kind.id in _OFFSETS:
        if length:
            return _with_offsets(_OFFSETS[kind.id], length, nulls, offset, base, buffers, children)
        parts = tuple(trimmed(child, 0, 0) for child in children)
        return 0, 0, 0, (None, *[b""] * (len(buffers) - 1)), parts, None
    valid = _bits_of(buffers[0], 1, base, end) if buffers else None
    if kind.id == _lib.Type_STRUCT:
        parts = tuple(trimmed(child, base, offset + length) for child in children)
        return length, nulls, offset, (valid,), parts, None
    if kind.id == _lib.Type_FIXED_SIZE_LIST:
        size = kind.list_size
        parts = (trimmed(children[0], base * size, (offset + length) * size),)
        return length, nulls, offset, (valid,), parts, None
    if kind.id in VIEWS:
        views = buffers[1].slice(base * 16, (end - base) * 16)
        views, texts = _viewed(views, buffers[2:], offset, cut=views.size < buffers[1].size)
        return length, nulls, offset, (valid, views, *map(buffer_state, texts)), (), None
    whole = tuple(map(buffer_state, buffers))
    parts = tuple(map(trimmed, children))
    return length, nulls, 0 if kind.id == _lib.Type_NA else first, whole, parts, words


def _with_offsets(
    item: int, length: int, nulls: int, offset: int, base: int, buffers: list[Any], children: list[Any]
) -> Node:
    """Convert lists or text, whose offsets have `item` bytes each, from element `base` on."""
    valid, bounds = buffers[:2]
    end = base + offset + length
    if not bounds.is_cpu:
        buffer_state(bounds)  # which says what to do
    at = _ONE_OFFSET[item]
    (low,), (high,) = at(bounds, (base + offset) * item), at(bounds, end * item)
    if low <= (end + 1 - base) * item:
        low, head = 0, _part(bounds, base * item, (end + 1) * item)
    else:  # they start at 0, by a copy of them, where that leaves out more than they take
        numbers = np.frombuffer(bounds, f"=i{item}", end + 1 - base, base * item) - low
        if offset:
            numbers[:offset] = 0
        head = numbers.view(_BYTE) if numbers.nbytes >= SMALL else numbers.tobytes()
        high -= low
    valid = _bits_of(valid, 1, base, end)
    if children:
        return length, nulls, offset, (valid, head), (trimmed(children[0], low, high),), None
    text = None if buffers[2] is None else _part(buffers[2], low, low + high)
    return length, nulls, offset, (valid, head, text), (), None


def storage(kind: object) -> Any:
    """Return the storage type of an extension type, and any other type unchanged."""
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind


def _bits(kind: pa.DataType) -> int | None:
    """Return the bits of one value of a type of fixed width; None for all others."""
    return None if kind.id in _OTHERS or kind.id in _OFFSETS else kind.bit_width


def _bits_of(buffer: pa.Buffer, width: int, base: int, end: int) -> Any:
    """View the values from `base`, a multiple of 8, up to `end`, of `width` bits each."""
    if buffer is None:
        return None
    low, high = base * width // 8, min(-(-end * width // 8), buffer.size)
    return _part(buffer, low, max(high, low))


def _viewed(views: Array, texts: list[Any], offset: int, *, cut: bool) -> tuple[Any, list[Any]]:
    """Leave out the text that no view refers to; the views, which hold its offsets, are then a copy."""
    total = sum(text.size for text in texts)
    if total <= SMALL or not (cut or total > _MUCH * (views.size // 16)):
        return buffer_state(views), texts
    rows = np.frombuffer(views, "<i4").reshape(-1, 4).copy()
    rows[:offset] = 0
    long = rows[:, 0] > _INLINE  # shorter ones are in their view
    kept = []
    for number, text in enumerate(texts):
        which = np.flatnonzero(long & (rows[:, 2] == number))
        if len(which):
            kept.append((which, *_shown(text, rows[which, 3].astype(np.int64), rows[which, 0])))
    if sum(text.size for _, _, text in kept) > 0.75 * total:
        return buffer_state(views), texts
    for number, (which, starts, _) in enumerate(kept):
        rows[which, 2] = number
        rows[which, 3] = starts
    memory = rows.view(np.uint8).reshape(-1)
    return memory if memory.nbytes >= SMALL else memory.tobytes(), [text for _, _, text in kept]


def _shown(text: Any, starts: Array, sizes: Array) -> tuple[Any, Any]:
    """Extract the text of the views, and return their new offsets in it; a copy if they are far apart."""
    low, high = max(int(starts.min()), 0), min(int((starts + sizes).max()), text.size)
    if 2 * int(sizes.sum()) >= high - low:
        return starts - low, text.slice(low, max(high - low, 0))
    memory = memoryview(text)
    pieces = [
        memory[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))  # a missing one may have any size
    return np.cumsum(lengths) - lengths, pa.py_buffer(b"".join(pieces))
