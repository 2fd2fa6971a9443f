"""pyarrow: Array, ChunkedArray, RecordBatch, Table, Scalar, Buffer, Schema, Field, DataType, Tensor.

Schemas are sent as Arrow's own IPC messages, arrays as the nodes of `arrow_nodes`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa

from ..budget import charge
from ..canner import Canner
from .arrow_building import array_of, checked_array_of, chunked_of, data_of, restore, to_buffer
from .arrow_nodes import buffer_state, node_of, nodes_of
from .arrow_schemas import (
    any_schema,
    checked_schema,
    checked_type,
    known_schema,
    known_type,
    text_of,
    text_of_type,
)
from .checks import need, parts


def _with_text(text: object, *more: Any) -> Any:
    return NotImplemented if text is NotImplemented else (text, *more)


# -- arrays ----------------------------------------------------------------------------------------------


def _can_array(array: pa.Array) -> Any:
    return _with_text(text_of_type(array.type), node_of(array))


def _array(state: Any) -> Any:
    return array_of(known_type(state[0]), state[1])


def _checked_array(state: object) -> Any:
    text, node = parts(state, (bytes, tuple), tuple)
    return checked_array_of(checked_type(text), node)


def _can_chunked(array: pa.Array) -> Any:
    return _with_text(text_of_type(array.type), [node_of(chunk) for chunk in array.chunks])


def _chunked(state: tuple[Any, ...]) -> Any:
    shape = known_type(state[0])
    return chunked_of(shape[0], state[1], partial(array_of, shape))


def _checked_chunked(state: object) -> Any:
    text, nodes = parts(state, (bytes, tuple), list)
    kind = checked_type(text)
    return chunked_of(kind, nodes, partial(checked_array_of, kind))


def _can_scalar(scalar: object) -> Any:
    return _can_array(pa.repeat(scalar, 1))


def _scalar(state: object) -> Any:
    return _array(state)[0]


def _checked_scalar(state: object) -> Any:
    array = _checked_array(state)
    need(len(array) == 1, "an invalid scalar of Arrow")
    return array[0]


# -- tables ----------------------------------------------------------------------------------------------


def _can_batch(batch: pa.RecordBatch) -> Any:
    return _with_text(text_of(batch.schema), batch.num_rows, nodes_of(batch))


def _can_table(table: pa.Table) -> Any:
    batches = table.to_batches()  # one for each chunk
    if len(batches) == 1:
        nodes = [[node] for node in nodes_of(batches[0])]
    else:
        nodes = [list(map(node_of, column.chunks)) for column in table.columns]
    return _with_text(text_of(table.schema), table.num_rows, nodes)


def _batch(state: tuple[Any, ...]) -> Any:
    text, rows, nodes = state
    schema, struct, shapes = known_schema(text)
    if not nodes:
        return _only_rows(schema, rows)
    made = _batch_of(struct, rows, list(map(data_of, shapes, nodes)))
    return made.replace_schema_metadata(schema.metadata) if schema.metadata else made


def _table(state: tuple[Any, ...]) -> Any:
    text, rows, nodes = state
    schema, struct, shapes = known_schema(text)
    if not nodes:
        return pa.Table.from_batches([_only_rows(schema, rows)])
    if list(map(len, nodes)).count(1) == len(nodes):
        columns = list(map(data_of, shapes, [node for (node,) in nodes]))
        return pa.Table.from_batches([_batch_of(struct, rows, columns)], schema)
    columns = [
        chunked_of(shape[0], chunks, partial(array_of, shape))
        for shape, chunks in zip(shapes, nodes, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _batch_of(struct: object, rows: int, columns: list[Any]) -> Any:
    """Make a batch of columns, as the parts of a struct: one call rebuilds all of them."""
    return pa.RecordBatch.from_struct_array(restore((struct, rows, 0, 0, [None], columns, None)))


def _only_rows(schema: pa.Schema, rows: int) -> Any:
    """Make a batch that has a length, and no columns."""
    need(0 <= rows < 1 << 48, "a batch of no possible length")
    charge(rows)
    nulls = pa.RecordBatch.from_arrays([pa.nulls(rows)], [""])
    return nulls.select([]).replace_schema_metadata(schema.metadata)


def _checked_batch(state: object) -> Any:
    schema, rows, nodes = _checked_parts(state)
    if not nodes and rows:
        return _only_rows(schema, rows)
    columns = list(map(checked_array_of, schema.types, nodes))
    need(all(len(column) == rows for column in columns), "columns of different lengths")
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _checked_table(state: object) -> Any:
    schema, rows, nodes = _checked_parts(state)
    if not nodes and rows:
        return pa.Table.from_batches([_only_rows(schema, rows)])
    columns = [
        chunked_of(kind, chunks, partial(checked_array_of, kind))
        for kind, chunks in zip(schema.types, nodes, strict=True)
    ]
    need(all(len(column) == rows for column in columns), "columns of different lengths")
    return pa.Table.from_arrays(columns, schema=schema)


def _checked_parts(state: object) -> tuple[Any, int, list[Any]]:
    text, rows, nodes = parts(state, (bytes, tuple), int, list)
    schema = checked_schema(text)
    need(len(schema) == len(nodes), "columns of Arrow that are not those of their schema")
    return schema, rows, nodes


# -- schemas, types and bare memory ----------------------------------------------------------------------


def _can_schema(schema: object) -> Any:
    text = text_of(schema)
    return text if text is NotImplemented else (text,)


def _can_field(field: object) -> Any:
    return _can_schema(pa.schema([field]))


def _can_type(kind: object) -> Any:
    return _can_schema(pa.schema([pa.field("", kind)]))


def _can_buffer(buffer: pa.Buffer) -> Any:
    if not buffer.is_cpu:
        return NotImplemented
    state = buffer_state(buffer)
    if type(state) is np.ndarray:
        state.flags.writeable = buffer.is_mutable
    return (state,)


def _buffer(state: object) -> Any:
    return to_buffer(parts(state, (np.ndarray, bytes))[0])


def _can_tensor(tensor: pa.Tensor) -> Any:
    return tensor.to_numpy(), tuple(tensor.dim_names)


def _tensor(state: object) -> Any:
    array, names = parts(state, np.ndarray, tuple)
    need(not names or (len(names) == array.ndim and all(type(name) is str for name in names)), "odd names")
    return pa.Tensor.from_numpy(array, names or None)


def _checked_tensor(state: object) -> Any:
    array, _ = parts(state, np.ndarray, tuple)
    # Arrow would end the process.
    need(array.ndim and array.dtype.isnative, "a tensor that Arrow takes for another")
    return _tensor(state)


def _both(make: Callable[[Any, Any], Any]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    def checked(state: tuple[Any, ...]) -> Any:
        return make(checked_schema(state[0]), state)

    return lambda state: make(any_schema(state[0]), state), checked


def _schema_of(schema: object, state: object) -> Any:
    return schema


def _field_of(schema: pa.Schema, state: object) -> Any:
    return schema.field(0)


def _type_of(schema: pa.Schema, state: object) -> Any:
    return schema.field(0).type


def _row(name: str, can: Callable[[Any], Any], uncan: Callable[[Any], Any], data: Any) -> Canner:
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
    _row("Tensor", _can_tensor, _tensor, _checked_tensor),
)
