"""pyarrow: arrays as trees of buffers, each trimmed to what the array covers.

A *node* is what Arrow's columnar format has for one array: ``(length, nulls, offset, buffers, children,
dictionary)``. Its type stands beside it. Buffers are looked at where they lie; what a slice does not cover is
left out, down to whole bytes of validity bits. https://arrow.apache.org/docs/format/Columnar.html
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..buffers import aligned_copy, foreign
from ..errors import DeserializationError
from .arrow_unusual import UNUSUAL, checked, compact
from .checks import need

Node = Any
SMALL: Final = 1024
"""Bytes under which a buffer goes into the header."""
_lib: Any = pa.lib
_restore: Final[Any] = _lib._restore_array
_OFFSETS: Final[dict[int, int]] = {
    **dict.fromkeys((_lib.Type_STRING, _lib.Type_BINARY, _lib.Type_LIST, _lib.Type_MAP), 4),
    **dict.fromkeys((_lib.Type_LARGE_STRING, _lib.Type_LARGE_BINARY, _lib.Type_LARGE_LIST), 8),
}
"""Bytes of one offset of the types that have them."""
_WIDTHS: Final[dict[int, int]] = {
    **dict.fromkeys((_lib.Type_INT8, _lib.Type_UINT8), 1),
    **dict.fromkeys((_lib.Type_INT16, _lib.Type_UINT16), 2),
    **dict.fromkeys((_lib.Type_INT32, _lib.Type_UINT32, _lib.Type_FLOAT, _lib.Type_DATE32), 4),
    **dict.fromkeys((_lib.Type_INT64, _lib.Type_UINT64, _lib.Type_DOUBLE, _lib.Type_TIMESTAMP), 8),
}
"""Bytes of a value of the types that most columns are of: see `_common`."""
_TEXTS: Final = (_lib.Type_STRING, _lib.Type_BINARY, _lib.Type_LARGE_STRING, _lib.Type_LARGE_BINARY)
_COMMON: Final = frozenset((*_WIDTHS, *_TEXTS))
_NESTED: Final = frozenset((_lib.Type_STRUCT, _lib.Type_FIXED_SIZE_LIST))
_VIEWS: Final = frozenset((_lib.Type_STRING_VIEW, _lib.Type_BINARY_VIEW))
_INLINE: Final = 12
"""Bytes of text that stand in a view itself."""
_MUCH: Final = 256
"""Bytes of text for each view, from which on a look at the views of a whole array pays."""
_OTHERS: Final = _NESTED | UNUSUAL | _VIEWS | {_lib.Type_DICTIONARY, _lib.Type_NA}


def buffer_state(buffer: Any) -> Any:
    """View an Arrow buffer as an array of bytes; copy it where it is small; None stays None."""
    if buffer is None:
        return None
    if not buffer.is_cpu:
        raise ValueError("memory of another device than the CPU: copy it to the CPU first, with copy_to")
    if buffer.size < SMALL:
        return buffer.to_pybytes()
    root = buffer
    while root.parent is not None:
        root = root.parent
    return foreign(buffer.address, (buffer.size,), buffer, root.address)


def to_buffer(state: Any) -> Any:
    """Make an Arrow buffer of what arrived, aligned to 8 bytes at least."""
    if state is None:
        return None
    if type(state) is not np.ndarray and type(state) is not bytes:
        raise DeserializationError("a buffer of Arrow that is none")
    buffer = pa.py_buffer(state)
    return buffer if buffer.address % 8 == 0 else pa.py_buffer(aligned_copy(memoryview(state)))


# -- taking apart ----------------------------------------------------------------------------------------


def node_of(array: Any) -> Node:
    """Take an array apart.

    >>> node_of(pa.array([1, 2, 3])[1:])[:3]
    (2, 0, 1)
    """
    kind, length = array.type.id, len(array)
    if length and kind in _COMMON:
        buffers = array.buffers()
        if buffers[0] is None:
            return _common(kind, length, array.offset, buffers)
    data = array.__reduce__()[1][0]
    return _trimmed(data, 0, data[1])


def _common(kind: int, length: int, first: int, buffers: list[Any]) -> Node:
    """Take apart what most columns are: numbers, times or text, with nothing missing; 2 µs in place of 5."""
    offset = first % 8
    low, high = first - offset, first + length
    width = _WIDTHS.get(kind)
    if width is not None:
        return length, 0, offset, (None, buffer_state(_cut(buffers[1], low * width, high * width))), (), None
    item = _OFFSETS[kind]
    bounds = _cut(buffers[1], low * item, (high + 1) * item)
    low, high = _ends(bounds, item, offset)
    bounds, low, high = _rebased(bounds, item, offset, low, high)
    head = bounds if type(bounds) is np.ndarray else buffer_state(bounds)
    text = None if buffers[2] is None else buffer_state(_cut(buffers[2], low, high))
    return length, 0, offset, (None, head, text), (), None


def _cut(buffer: Any, low: int, high: int) -> Any:
    return buffer if low == 0 and high == buffer.size else buffer.slice(low, high - low)


def text_of(kind: Any, node: Node) -> Any:
    """Put an array of text together, as `array_of` does."""
    length, nulls, offset, buffers, _, _ = node
    return _restore((kind, length, nulls, offset, list(map(to_buffer, buffers)), [], None))


def _trimmed(data: Any, start: int, length: int) -> Node:
    """Take apart what `length` elements from `start` on cover, which counts behind the array's own offset."""
    kind, all_of_it, nulls, own_offset, buffers, children, dictionary = data
    if length and kind.id in _COMMON and buffers[0] is None:
        return _common(kind.id, length, own_offset + start, buffers)
    kind = _storage(kind)
    if kind.id in UNUSUAL:
        data = compact(kind, data, start, length)
        parts = tuple(_trimmed(child, 0, child[1]) for child in data[5])
        return length, data[2], 0, tuple(map(buffer_state, data[4])), parts, None
    first = own_offset + start
    offset = first % 8
    base, end = first - offset, first + length
    nulls = nulls if length == all_of_it or nulls == 0 else -1
    words = None if dictionary is None else _trimmed(dictionary, 0, dictionary[1])
    width = _bits(kind.index_type if dictionary is not None else kind)
    if width is not None:
        buffers = [_bits_of(buffers[0], 1, base, end), *(_bits_of(b, width, base, end) for b in buffers[1:])]
        return length, nulls, offset, tuple(map(buffer_state, buffers)), (), words
    valid = _bits_of(buffers[0], 1, base, end) if buffers else None
    if kind.id == _lib.Type_STRUCT:
        parts = tuple(_trimmed(child, base, offset + length) for child in children)
        return length, nulls, offset, (buffer_state(valid),), parts, None
    if kind.id == _lib.Type_FIXED_SIZE_LIST:
        size = kind.list_size
        parts = (_trimmed(children[0], base * size, (offset + length) * size),)
        return length, nulls, offset, (buffer_state(valid),), parts, None
    if kind.id in _VIEWS:
        views = _bits_of(buffers[1], 128, base, end)
        views, texts = _viewed(views, buffers[2:], offset, cut=views.size < buffers[1].size)
        states = (buffer_state(valid), views, *map(buffer_state, texts))
        return length, nulls, offset, states, (), None
    item = _OFFSETS.get(kind.id, 0)
    if item and not length:
        parts = tuple(_trimmed(child, 0, 0) for child in children)
        return 0, 0, 0, (None, *[b""] * (len(buffers) - 1)), parts, None
    if item:
        bounds = _bits_of(buffers[1], 8 * item, base, end + 1)
        low, high = _ends(bounds, item, offset)
        bounds, low, high = _rebased(bounds, item, offset, low, high)
        head = (buffer_state(valid), bounds if isinstance(bounds, np.ndarray) else buffer_state(bounds))
        if children:
            return length, nulls, offset, head, (_trimmed(children[0], low, high - low),), None
        values = None if buffers[2] is None else buffers[2].slice(low, high - low)
        return length, nulls, offset, (*head, buffer_state(values)), (), None
    whole = tuple(map(buffer_state, buffers))
    parts = tuple(_trimmed(child, 0, child[1]) for child in children)
    return length, nulls, 0 if kind.id == _lib.Type_NA else first, whole, parts, words


def _bits(kind: Any) -> int | None:
    """Tell the bits of one value of a type of fixed width; None for all others."""
    return None if kind.id in _OTHERS or kind.id in _OFFSETS else kind.bit_width


def _bits_of(buffer: Any, width: int, base: int, end: int) -> Any:
    """Slice a buffer to the values from `base`, a multiple of 8, up to `end`, of `width` bits each."""
    if buffer is None:
        return None
    low, high = base * width // 8, min(-(-end * width // 8), buffer.size)
    return buffer if low == 0 and high == buffer.size else buffer.slice(low, max(high - low, 0))


def _ends(bounds: Any, item: int, offset: int) -> tuple[int, int]:
    numbers = np.frombuffer(bounds, f"<i{item}")
    return int(numbers[offset]), int(numbers[-1])


def _rebased(bounds: Any, item: int, offset: int, low: int, high: int) -> tuple[Any, int, int]:
    """Let offsets start at 0, by a copy of them, where that leaves out more than they take."""
    if low <= bounds.size:
        return bounds, 0, high
    numbers = np.frombuffer(bounds, f"<i{item}") - low
    numbers[:offset] = 0
    return numbers.view(np.uint8) if numbers.nbytes >= SMALL else pa.py_buffer(numbers.tobytes()), low, high


def _viewed(views: Any, texts: list[Any], offset: int, *, cut: bool) -> tuple[Any, list[Any]]:
    """Leave out the text that no view looks at; the views, which say where it is, are then a copy."""
    total = sum(text.size for text in texts)
    if total <= SMALL or not (cut or total > _MUCH * (views.size // 16)):
        return buffer_state(views), texts
    rows = np.frombuffer(views, "<i4").reshape(-1, 4).copy()
    rows[:offset] = 0
    long = rows[:, 0] > _INLINE  # a shorter one stands in its view
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


def _shown(text: Any, starts: Any, sizes: Any) -> tuple[Any, Any]:
    """Take out of text what views show, and say where in that they begin; a copy where they are far apart."""
    low, high = max(int(starts.min()), 0), min(int((starts + sizes).max()), text.size)
    if 2 * int(sizes.sum()) >= high - low:
        return starts - low, text.slice(low, max(high - low, 0))
    memory = memoryview(text)
    pieces = [
        memory[start : start + size] for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
    ]
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))  # a missing one may have any size
    return np.cumsum(lengths) - lengths, pa.py_buffer(b"".join(pieces))


# -- putting together ------------------------------------------------------------------------------------


def array_of(kind: Any, node: Node) -> Any:
    """Put an array together, the way pyarrow unpickles one; nothing is checked."""
    return _restore(_data_of(kind, node))


def chunked_of(kind: Any, nodes: list[Node], make: Any = array_of) -> Any:
    """Put a chunked array together, its chunks by `array_of` or by `checked_array_of`."""
    return pa.chunked_array([make(kind, node) for node in nodes], kind)


def _data_of(kind: Any, node: Node) -> Any:
    length, nulls, offset, buffers, children, dictionary = node
    if not children and dictionary is None:
        return kind, length, nulls, offset, list(map(to_buffer, buffers)), [], None
    kinds = _kinds(kind)
    parts = [_data_of(part, child) for part, child in zip(kinds, children, strict=True)]
    words = None if dictionary is None else _data_of(_words(kind), dictionary)
    return kind, length, nulls, offset, list(map(to_buffer, buffers)), parts, words


def _storage(kind: Any) -> Any:
    while isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind


def _words(kind: Any) -> Any:
    return _storage(kind).value_type


def _kinds(kind: Any) -> list[Any]:
    kind = _storage(kind)
    if kind.id == _lib.Type_DICTIONARY:
        return []
    return [kind.field(number).type for number in range(kind.num_fields)]


def checked_array_of(kind: Any, node: Node) -> Any:
    """Put together an array of a stranger's; raises where any of its numbers is wrong."""
    array = _built(kind, node, 0)
    array.validate(full=True)
    return array


def _built(kind: Any, node: Node, depth: int) -> Any:
    need(type(node) is tuple and len(node) == 6 and depth < 64, "an array of Arrow that is none")
    length, nulls, offset, buffers, children, dictionary = node
    need(all(type(n) is int for n in (length, nulls, offset)), "an array of Arrow that is none")
    need(0 <= length < 1 << 48 and 0 <= offset < 8, "an array of Arrow of no possible length")
    need(type(buffers) is tuple and type(children) is tuple, "an array of Arrow that is none")
    need(not isinstance(kind, pa.BaseExtensionType), "a type of Arrow that a stranger may not send")
    made = [to_buffer(buffer) for buffer in buffers]
    if kind.id == _lib.Type_DICTIONARY:
        need(len(made) == 2 and not children, "a dictionary of Arrow that is none")
        words = checked_array_of(kind.value_type, dictionary)
        return pa.DictionaryArray.from_buffers(kind, length, made, words, -1, offset)
    if kind.id in _VIEWS:
        need(len(made) >= 2 and made[1] is not None and not children, "views of Arrow that are none")
        return _restore((kind, length, -1, offset, made, [], None))
    kinds = _kinds(kind)
    need(len(kinds) == len(children), "an array of Arrow that is none")
    need(dictionary is None, "a dictionary where none belongs")
    parts = [_built(part, child, depth + 1) for part, child in zip(kinds, children, strict=True)]
    if kind.id in UNUSUAL:
        return checked(kind, length, offset, made, parts)
    need(len(made) == kind.num_buffers, "an array of Arrow that is none")
    if kind.id in _NESTED:  # Arrow's own check multiplies beyond 32 bits
        covered = (offset + length) * (1 if kind.id == _lib.Type_STRUCT else kind.list_size)
        need(all(0 <= covered <= len(part) for part in parts), "an array of Arrow beyond its children")
    return pa.Array.from_buffers(kind, length, made, -1, offset, parts)
