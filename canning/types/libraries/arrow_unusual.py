"""pyarrow: arrays whose parts are not adjacent: unions, runs, and views of lists.

A slice of one has the whole of its children, so it is copied, compactly, before it is sent. A stranger's
arrays are checked here, since Arrow's own check of these types came late.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import numpy as np
import pyarrow as pa

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
