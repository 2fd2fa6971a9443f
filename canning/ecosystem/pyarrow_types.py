"""pyarrow: Array, ChunkedArray, RecordBatch, Table, Scalar, Buffer, Schema, Field, DataType, Tensor.

Schemas go as Arrow's own IPC message, arrays as `arrow_nodes` takes them apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..registry import Canner
from .arrow_nodes import (
    array_of,
    buffer_state,
    checked_array_of,
    chunked_of,
    node_of,
    to_buffer,
)
from .checks import need, parts

_LONG: Final = 16 * 1024
"""Bytes of a schema from which on it is not remembered."""
_EXTENSION: Final = b"ARROW:extension:name"
"""What stands in a serialized schema wherever a type is an extension's."""


def _text_of(schema: Any) -> Any:
    """Serialize a schema; NotImplemented where it would not come back as it is."""
    text = schema.serialize().to_pybytes()
    if _EXTENSION in text and not pa.ipc.read_schema(pa.py_buffer(text)).equals(schema, check_metadata=True):
        return NotImplemented  # of an extension type that nobody has registered with Arrow
    return text


@functools.lru_cache(maxsize=256)
def _text_of_plain(kind: Any) -> bytes:
    text: bytes = _text_of(pa.schema([pa.field("", kind)]))
    return text


def _text_of_type(kind: Any) -> Any:
    if isinstance(kind, pa.BaseExtensionType):
        return _text_of(pa.schema([pa.field("", kind)]))
    return _text_of_plain(kind)


def _schema(text: Any) -> Any:
    """Read a schema, as one of a stranger's: extension types run code of theirs, and are refused."""
    need(type(text) is bytes and _EXTENSION not in text, "a schema of Arrow with an extension type, or none")
    return pa.ipc.read_schema(pa.py_buffer(text))


def _any_schema(text: bytes) -> Any:
    return pa.ipc.read_schema(pa.py_buffer(text))


@functools.lru_cache(maxsize=256)
def _plain_type(text: bytes) -> Any:
    return _schema(text).field(0).type


def _type(text: Any) -> Any:
    return _any_schema(text).field(0).type if _EXTENSION in text else _plain_type(text)


def _checked_type(text: Any) -> Any:
    schema = _schema(text)
    need(len(schema) == 1, "a type of Arrow that is none")
    return schema.field(0).type


def _with_text(text: Any, *more: Any) -> Any:
    return NotImplemented if text is NotImplemented else (text, *more)


@functools.lru_cache(maxsize=64)
def _plain_schema(text: bytes) -> tuple[Any, list[Any]]:
    schema = _schema(text)
    return schema, schema.types


def _known_schema(text: bytes) -> tuple[Any, list[Any]]:
    """Read a schema, and list its types; the last are remembered: 1 µs in place of 4."""
    if len(text) > _LONG or _EXTENSION in text:
        schema = _any_schema(text)
        return schema, schema.types
    return _plain_schema(text)


# -- arrays ----------------------------------------------------------------------------------------------


def _can_array(array: Any) -> Any:
    return _with_text(_text_of_type(array.type), node_of(array))


def _array(state: Any) -> Any:
    return array_of(_type(state[0]), state[1])


def _checked_array(state: Any) -> Any:
    text, node = parts(state, bytes, tuple)
    return checked_array_of(_checked_type(text), node)


def _can_chunked(array: Any) -> Any:
    return _with_text(_text_of_type(array.type), [node_of(chunk) for chunk in array.chunks])


def _chunked(state: Any) -> Any:
    return chunked_of(_type(state[0]), state[1])


def _checked_chunked(state: Any) -> Any:
    text, nodes = parts(state, bytes, list)
    return chunked_of(_checked_type(text), nodes, checked_array_of)


def _can_scalar(scalar: Any) -> Any:
    return _can_array(pa.repeat(scalar, 1))


def _scalar(state: Any) -> Any:
    return _array(state)[0]


def _checked_scalar(state: Any) -> Any:
    array = _checked_array(state)
    need(len(array) == 1, "a scalar of Arrow that is none")
    return array[0]


# -- tables ----------------------------------------------------------------------------------------------


def _can_batch(batch: Any) -> Any:
    nodes = [node_of(column) for column in batch.columns]
    return _with_text(_text_of(batch.schema), batch.num_rows, nodes)


def _can_table(table: Any) -> Any:
    nodes = [[node_of(chunk) for chunk in column.chunks] for column in table.columns]
    return _with_text(_text_of(table.schema), table.num_rows, nodes)


def _batch(state: Any) -> Any:
    text, rows, nodes = state
    schema, kinds = _known_schema(text)
    if not nodes and rows:
        return _only_rows(schema, rows)
    columns = list(map(array_of, kinds, nodes))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _table(state: Any) -> Any:
    text, rows, nodes = state
    schema, kinds = _known_schema(text)
    if not nodes and rows:
        return pa.Table.from_batches([_only_rows(schema, rows)])
    columns = [
        array_of(kind, chunks[0]) if len(chunks) == 1 else chunked_of(kind, chunks)
        for kind, chunks in zip(kinds, nodes, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _only_rows(schema: Any, rows: int) -> Any:
    """Make a batch without columns, whose length none of them can tell."""
    need(0 <= rows < 1 << 48, "a batch of no possible length")
    nulls = pa.RecordBatch.from_arrays([pa.nulls(rows)], [""])
    return nulls.select([]).replace_schema_metadata(schema.metadata)


def _checked_batch(state: Any) -> Any:
    schema, rows, nodes = _checked_parts(state)
    if not nodes and rows:
        return _only_rows(schema, rows)
    columns = list(map(checked_array_of, schema.types, nodes))
    need(all(len(column) == rows for column in columns), "columns of different lengths")
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _checked_table(state: Any) -> Any:
    schema, rows, nodes = _checked_parts(state)
    if not nodes and rows:
        return pa.Table.from_batches([_only_rows(schema, rows)])
    columns = [
        chunked_of(kind, chunks, checked_array_of) for kind, chunks in zip(schema.types, nodes, strict=True)
    ]
    need(all(len(column) == rows for column in columns), "columns of different lengths")
    return pa.Table.from_arrays(columns, schema=schema)


def _checked_parts(state: Any) -> tuple[Any, int, list[Any]]:
    text, rows, nodes = parts(state, bytes, int, list)
    schema = _schema(text)
    need(len(schema) == len(nodes), "columns of Arrow that are not those of their schema")
    return schema, rows, nodes


# -- what describes, and bare memory ---------------------------------------------------------------------


def _can_schema(schema: Any) -> Any:
    text = _text_of(schema)
    return text if text is NotImplemented else (text,)


def _can_field(field: Any) -> Any:
    return _can_schema(pa.schema([field]))


def _can_type(kind: Any) -> Any:
    return _can_schema(pa.schema([pa.field("", kind)]))


def _can_buffer(buffer: Any) -> Any:
    if not buffer.is_cpu:
        return NotImplemented
    state = buffer_state(buffer)
    if type(state) is np.ndarray:
        state.flags.writeable = buffer.is_mutable
    return (state,)


def _buffer(state: Any) -> Any:
    return to_buffer(parts(state, (np.ndarray, bytes))[0])


def _can_tensor(tensor: Any) -> Any:
    return tensor.to_numpy(), tuple(tensor.dim_names)


def _tensor(state: Any) -> Any:
    array, names = parts(state, np.ndarray, tuple)
    need(not names or (len(names) == array.ndim and all(type(name) is str for name in names)), "odd names")
    return pa.Tensor.from_numpy(array, names or None)


def _both(make: Callable[[Any, Any], Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    return lambda state: make(_any_schema(state[0]), state), lambda state: make(_schema(state[0]), state)


def _schema_of(schema: Any, state: Any) -> Any:
    return schema


def _field_of(schema: Any, state: Any) -> Any:
    return schema.field(0)


def _type_of(schema: Any, state: Any) -> Any:
    return schema.field(0).type


def _row(name: str, can: Any, uncan: Any, data: Any) -> Canner:
    return Canner(f"pyarrow.{name}", can, uncan, data=data)


CANNERS: Final = (
    _row("Array", _can_array, _array, _checked_array),
    _row("ChunkedArray", _can_chunked, _chunked, _checked_chunked),
    _row("Scalar", _can_scalar, _scalar, _checked_scalar),
    _row("RecordBatch", _can_batch, _batch, _checked_batch),
    _row("Table", _can_table, _table, _checked_table),
    _row("Schema", _can_schema, *_both(_schema_of)),
    _row("Field", _can_field, *_both(_field_of)),
    _row("DataType", _can_type, *_both(_type_of)),
    _row("Buffer", _can_buffer, _buffer, True),
    _row("Tensor", _can_tensor, _tensor, True),
)
