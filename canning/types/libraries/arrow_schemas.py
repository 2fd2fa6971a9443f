"""pyarrow: schemas and types as Arrow's own IPC messages; those of the last messages are cached.

A schema is a message of FlatBuffers, in which offsets locate tables, text and vectors. A stranger can name
one part many times: a schema of 200 KB named its one long text a thousand times, and took 200 MB. So
`check_parts` goes first: Arrow's own writer writes each part once.
https://arrow.apache.org/docs/format/Columnar.html

Reading a schema with an extension type runs code of the class registered under its name. So the names and
parameters of the known extension types go beside a schema of plain types, as
``(text, {column: (name, parameters)})``, and are read by a constructor from a closed list.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from ...errors import DeserializationError
from .arrow_building import Shape, shape_of
from .checks import need, parts

_u16: Final = struct.Struct("<H").unpack_from
_u32: Final = struct.Struct("<I").unpack_from
_i32: Final = struct.Struct("<i").unpack_from
_CONTINUES: Final = b"\xff\xff\xff\xff"
_HEADER: Final = 2
_FIELDS, _METADATA_OF_SCHEMA, _FEATURES = 1, 2, 3
_NAME, _KIND, _TYPE, _DICTIONARY, _CHILDREN, _METADATA = 0, 2, 3, 4, 5, 6
_INDEX: Final = 1
_WITH_PARTS: Final = {10: 1, 14: 4}
"""By the number of a type, the bytes of an item of its second slot: a time zone's name, codes of a union."""


def check_parts(text: bytes) -> None:
    """Check that the parts of a schema, counted as often as they are named, are no larger than the schema."""
    _Parts(text).check()


class _Parts:
    """Follow the offsets of one schema; `left` is the size that its parts may still add."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.left = len(text)

    def check(self) -> None:
        """Follow all parts that Arrow reads."""
        start = 8 if self.text.startswith(_CONTINUES) else 4
        schema = self._table(self._slot(self._table(start), _HEADER))
        need(schema, "an invalid schema of Arrow")
        self._pairs(self._slot(schema, _METADATA_OF_SCHEMA))
        self._items(self._slot(schema, _FEATURES), 8)
        rest = self._tables(self._slot(schema, _FIELDS))
        while rest:
            field = rest.pop()
            self._items(self._slot(field, _NAME), 1)
            self._pairs(self._slot(field, _METADATA))
            kind, made = self._slot(field, _KIND), self._table(self._slot(field, _TYPE))
            width = _WITH_PARTS.get(self.text[kind]) if kind else None
            if width and made:
                self._items(self._slot(made, 1), width)
            dictionary = self._table(self._slot(field, _DICTIONARY))
            if dictionary:
                self._table(self._slot(dictionary, _INDEX))
            rest += self._tables(self._slot(field, _CHILDREN))

    def _take(self, size: int) -> None:
        self.left -= size
        need(self.left >= 0, "a schema of Arrow that says one thing many times")

    def _follow(self, at: int) -> int:
        found: int = at + _u32(self.text, at)[0]
        return found

    def _slot(self, table: int, number: int) -> int:
        """Return the offset of a slot of a table, or 0 if it has none."""
        named = table - _i32(self.text, table)[0]
        need(named >= 0, "an invalid schema of Arrow")
        at = 4 + 2 * number
        offset: int = _u16(self.text, named + at)[0] if at < _u16(self.text, named)[0] else 0
        return table + offset if offset else 0

    def _table(self, at: int) -> int:
        if at:
            self._take(4)
        return self._follow(at) if at else 0

    def _items(self, at: int, width: int) -> tuple[int, int]:
        """Take a vector, or a text; return the offset of its items, and their number."""
        if not at:
            return 0, 0
        vector = self._follow(at)
        count = _u32(self.text, vector)[0]
        self._take(4 + width * count)
        return vector + 4, count

    def _tables(self, at: int) -> list[int]:
        start, count = self._items(at, 4)
        return [self._table(start + 4 * number) for number in range(count)]

    def _pairs(self, at: int) -> None:
        for pair in self._tables(at):
            self._items(self._slot(pair, 0), 1)
            self._items(self._slot(pair, 1), 1)


_MOST: Final = 1 << 31
"""Items of one tensor, at most; Arrow stores its size in 32 bits."""


def described(kind: pa.DataType) -> tuple[Any, ...] | None:
    """Return the name and the parameters of an extension type; None if it is not known here."""
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
    """Give some columns of a schema their extension types; raises if a stranger's are invalid."""
    need(type(columns) is dict, "extension types of no columns")
    for at, description in columns.items():
        need(type(at) is int and 0 <= at < len(schema), "an extension type of no column")
        need(type(description) is tuple and description, "an invalid extension type")
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
    need(all(type(n) is int and 0 <= n < _MOST for n in shape), "an invalid shape")
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
"""By name: the class, which older versions of pyarrow may lack, and its constructor from the storage."""


_LONG: Final = 16 * 1024
"""Bytes of a schema from which it is not cached."""
_MANY: Final = 64
"""Schemas cached by their texts."""
_EXTENSION: Final = b"ARROW:extension:name"
"""Present in a serialized schema if any of its types is an extension type."""


class Recent:
    """Cache the texts of the last few schemas or types.

    Comparing two takes 0.1 µs; serializing one, or hashing it, which would ignore metadata, takes 1.2.
    """

    def __init__(self) -> None:
        self.pairs: tuple[tuple[Any, bytes], ...] = ()

    def find(self, described: Any) -> bytes | None:
        """Return the text of a schema or a type; None if it is not among the last ones."""
        for known, text in self.pairs:
            if described.equals(known, check_metadata=True):
                return text
        return None

    def keep(self, described: object, text: bytes) -> None:
        """Cache one, unless it is long, or an extension type, whose class may change."""
        if len(text) < _LONG and _EXTENSION not in text:
            self.pairs = ((described, text), *self.pairs[:3])


_schemas: Final = Recent()
_types: Final = Recent()
_known: Final[dict[bytes, tuple[Any, Any, tuple[Shape, ...]]]] = {}


def text_of(schema: pa.Schema) -> Any:
    """Serialize a schema; NotImplemented if it would not come back unchanged.

    One with extension types that Arrow itself defines returns the result of `described`.
    """
    known = _schemas.find(schema)
    if known is not None:
        return known
    text = schema.serialize().to_pybytes()
    made: Any = _with_extensions(schema) if _EXTENSION in text else text
    for found in (made, text):  # the second of extensions that this process has registered with Arrow
        if found is not None and _comes_back(found, schema):
            if found is text:
                _schemas.keep(schema, text)
            return found
    return NotImplemented


def _comes_back(text: object, schema: object) -> bool:
    """Tell whether a schema is read unchanged: Arrow's message has no dictionaries of dictionaries."""
    try:
        return bool(any_schema(text).equals(schema, check_metadata=True))
    except (pa.ArrowException, DeserializationError):
        return False


def _with_extensions(schema: pa.Schema) -> Any:
    columns = {}
    plain = schema
    for at, kind in enumerate(schema.types):
        if isinstance(kind, pa.BaseExtensionType):
            columns[at] = described(kind)
            plain = plain.set(at, schema.field(at).with_type(kind.storage_type))
    stored = plain.serialize().to_pybytes()
    return (stored, columns) if None not in columns.values() and _EXTENSION not in stored else None


def text_of_type(kind: object) -> Any:
    """Serialize a type, as a schema of one field without a name."""
    known = _types.find(kind)
    if known is not None:
        return known
    text = text_of(pa.schema([pa.field("", kind)]))
    if type(text) is bytes:
        _types.keep(kind, text)
    return text


# -- reading ---------------------------------------------------------------------------------------------


def checked_schema(text: Any) -> Any:
    """Read a stranger's schema: extension types that run code of their own are refused."""
    if type(text) is tuple:
        text, columns = parts(text, bytes, dict)
        return with_extensions(checked_schema(text), columns)
    need(type(text) is bytes, "an invalid schema of Arrow")
    need(
        _EXTENSION not in text,
        "an extension type of Arrow, whose class runs code of its own: send what it is stored in",
    )
    check_parts(text)
    return any_schema(text)


def any_schema(text: object) -> Any:
    """Read a schema."""
    if type(text) is tuple:
        return with_extensions(any_schema(text[0]), text[1])
    return pa.ipc.read_schema(pa.py_buffer(text))


def checked_type(text: object) -> Any:
    """Read a stranger's type."""
    schema = checked_schema(text)
    need(len(schema) == 1, "an invalid type of Arrow")
    return schema.field(0).type


def known_schema(text: object) -> tuple[Any, Any, tuple[Shape, ...]]:
    """Read a schema; return it, the struct that has its columns, and their shapes."""
    found = _known.get(text) if type(text) is bytes else None
    if found is None:
        schema = any_schema(text)
        found = schema, pa.struct(list(schema)), tuple(map(shape_of, schema.types))
        if type(text) is bytes and len(text) < _LONG and _EXTENSION not in text:
            if len(_known) >= _MANY:
                _known.clear()
            _known[text] = found
    return found


def known_type(text: object) -> Shape:
    """Read a type; return it and its shape."""
    return known_schema(text)[2][0]
