"""pyarrow: nodes, as `arrow_nodes` takes arrays apart into, put together again.

A *shape* is a type with what its arrays consist of: ``(type, shapes of the children, shape of the words)``.
It is found once for each type, since to ask for its fields takes longer than to put an array together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..buffers import aligned_copy
from ..errors import DeserializationError
from .arrow_nodes import NESTED, VIEWS, Node, storage
from .arrow_unusual import UNUSUAL, checked
from .checks import need

Shape = Any
_lib: Any = pa.lib
restore: Final[Any] = _lib._restore_array
_py_buffer: Final[Any] = pa.py_buffer

_TEXTS: Final = VIEWS | {
    *(_lib.Type_STRING, _lib.Type_BINARY, _lib.Type_LARGE_STRING, _lib.Type_LARGE_BINARY),
}
"""Types whose bytes, behind the first two buffers, may lie anywhere."""


def shape_of(kind: Any) -> Shape:
    """Give the shape of a type.

    >>> shape_of(pa.list_(pa.int8()))
    (ListType(list<item: int8>), ((DataType(int8), (), None),), None)
    """
    stored = storage(kind)
    if stored.id == _lib.Type_DICTIONARY:
        return kind, (), shape_of(stored.value_type)
    return kind, tuple(shape_of(stored.field(number).type) for number in range(stored.num_fields)), None


def data_of(shape: Shape, node: Node) -> Any:
    """Give what pyarrow's own unpickling makes an array of; nothing is checked."""
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
    """Put an array together, the way pyarrow unpickles one; nothing is checked."""
    return restore(data_of(shape, node))


def chunked_of(kind: Any, nodes: list[Node], make: Callable[[Node], Any]) -> Any:
    """Put a chunked array together, its chunks by `make`."""
    return pa.chunked_array(list(map(make, nodes)), kind)


def to_buffer(state: Any) -> Any:
    """Make an Arrow buffer of what a stranger sent, aligned to 8 bytes at least; None stays None."""
    if state is None:
        return None
    if type(state) is not np.ndarray and type(state) is not bytes:
        raise DeserializationError("a buffer of Arrow that is none")
    buffer = _py_buffer(state)
    return buffer if buffer.address % 8 == 0 else _py_buffer(aligned_copy(memoryview(state)))


def checked_array_of(kind: Any, node: Node) -> Any:
    """Put together an array of a stranger's; raises where any of its numbers is wrong."""
    if isinstance(kind, pa.BaseExtensionType):  # of those that `arrow_extensions` knows
        return pa.ExtensionArray.from_storage(kind, checked_array_of(kind.storage_type, node))
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
    if kind.id in VIEWS:
        need(len(made) >= 2 and made[1] is not None and not children, "views of Arrow that are none")
        return restore((kind, length, -1, offset, made, [], None))
    need(kind.num_fields == len(children), "an array of Arrow that is none")
    need(dictionary is None, "a dictionary where none belongs")
    parts = [_built(kind.field(number).type, child, depth + 1) for number, child in enumerate(children)]
    if kind.id in UNUSUAL:
        return checked(kind, length, offset, made, parts)
    need(len(made) == kind.num_buffers, "an array of Arrow that is none")
    if kind.id in NESTED:  # Arrow's own check multiplies beyond 32 bits
        covered = (offset + length) * (1 if kind.id == _lib.Type_STRUCT else kind.list_size)
        need(all(0 <= covered <= len(part) for part in parts), "an array of Arrow beyond its children")
    return pa.Array.from_buffers(kind, length, made, -1, offset, parts)
