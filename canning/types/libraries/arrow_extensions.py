"""pyarrow: the extension types that Arrow itself defines, as plain data beside what they are stored in.

A schema with an extension type runs code when it is read: that of the class which is registered under its
name. So of the types that are known here the name and the parameters go beside a schema of plain types, as
``(text, {column: (name, parameters)})``, and are read by a constructor from a closed list.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from .checks import need, parts

_MOST: Final = 1 << 31
"""Items of one tensor, at most, of which Arrow says its size in 32 bits."""


def described(kind: pa.DataType) -> tuple[Any, ...] | None:
    """Give the name and the parameters of an extension type; None of one that is not known here."""
    name = kind.extension_name
    if name not in _MADE or type(kind) is not getattr(pa, _MADE[name][0], None):
        return None
    if name == "arrow.opaque":
        return name, kind.type_name, kind.vendor_name
    if name == "arrow.fixed_shape_tensor":
        names, order = kind.dim_names, kind.permutation
        return name, list(kind.shape), names and list(names), order and list(order)
    return (name,)


def with_extensions(schema: pa.Schema, columns: Any) -> Any:
    """Give a schema the extension types of some of its columns; raises for what a stranger made up."""
    need(type(columns) is dict, "extension types of no columns")
    for at, description in columns.items():
        need(type(at) is int and 0 <= at < len(schema), "an extension type of no column")
        need(type(description) is tuple and description, "an extension type that is none")
        name, *parameters = description
        need(type(name) is str and name in _MADE, "an extension type of Arrow that is not known here")
        storage = schema.field(at).type
        made = _MADE[name][1](storage, tuple(parameters))
        need(made.storage_type == storage, "an extension type over another type")
        schema = schema.set(at, schema.field(at).with_type(made))
    return schema


def _tensor(storage: Any, parameters: object) -> Any:
    shape, names, order = parts(parameters, list, (list, type(None)), (list, type(None)))
    need(pa.types.is_fixed_size_list(storage), "tensors of no fixed size")
    need(all(type(n) is int and 0 <= n < _MOST for n in shape), "a shape that is none")
    need(math.prod(shape) == storage.list_size, "a shape of another size")
    need(names is None or (all(type(n) is str for n in names) and len(names) == len(shape)), "odd names")
    need(order is None or sorted(order) == list(range(len(shape))), "axes in no order")
    return pa.fixed_shape_tensor(storage.value_type, shape, names, order)


def _opaque(storage: object, parameters: object) -> Any:
    return pa.opaque(storage, *parts(parameters, str, str))


def _plain(make: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(storage: object, parameters: object) -> Any:
        parts(parameters)
        return make(storage)

    return checked


_MADE: Final[dict[str, tuple[str, Callable[[Any, Any], Any]]]] = {
    "arrow.uuid": ("UuidType", _plain(lambda storage: pa.uuid())),
    "arrow.bool8": ("Bool8Type", _plain(lambda storage: pa.bool8())),
    "arrow.json": ("JsonType", _plain(lambda storage: pa.json_(storage))),
    "arrow.opaque": ("OpaqueType", _opaque),
    "arrow.fixed_shape_tensor": ("FixedShapeTensorType", _tensor),
}
"""By name: the class, which older versions of pyarrow may not have, and what makes one of its storage."""
