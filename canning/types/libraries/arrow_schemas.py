"""pyarrow: schemas and types as Arrow's own IPC message, those of the last messages remembered."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from ...errors import DeserializationError
from .arrow_building import Shape, shape_of
from .arrow_extensions import described, with_extensions
from .arrow_flat import check_parts
from .checks import need, parts

_LONG: Final = 16 * 1024
"""Bytes of a schema from which on it is not remembered."""
_MANY: Final = 64
"""Schemas that are remembered by their texts."""
_EXTENSION: Final = b"ARROW:extension:name"
"""What stands in a serialized schema wherever a type is an extension's."""


class Recent:
    """Remember the texts of the last few schemas or types.

    To compare two takes 0.1 µs, and 1.2 to serialize one, or to hash it, which would forget metadata.
    """

    def __init__(self) -> None:
        self.pairs: tuple[tuple[Any, bytes], ...] = ()

    def find(self, described: Any) -> bytes | None:
        """Give the text of a schema or a type; None where it is not among the last ones."""
        for known, text in self.pairs:
            if described.equals(known, check_metadata=True):
                return text
        return None

    def keep(self, described: object, text: bytes) -> None:
        """Remember one, unless it is long, or an extension type, which may mean another class by then."""
        if len(text) < _LONG and _EXTENSION not in text:
            self.pairs = ((described, text), *self.pairs[:3])


_schemas: Final = Recent()
_types: Final = Recent()
_known: Final[dict[bytes, tuple[Any, Any, tuple[Shape, ...]]]] = {}


def text_of(schema: pa.Schema) -> Any:
    """Serialize a schema; NotImplemented where it would not come back as it is.

    One that has extension types which Arrow itself defines gives what `arrow_extensions` makes of it.
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
    """Tell whether a schema is read as it was: Arrow's message has no dictionaries of dictionaries."""
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


# -- back ------------------------------------------------------------------------------------------------


def checked_schema(text: Any) -> Any:
    """Read a schema, as one of a stranger's: extension types that run code of theirs are refused."""
    if type(text) is tuple:
        text, columns = parts(text, bytes, dict)
        return with_extensions(checked_schema(text), columns)
    need(type(text) is bytes, "a schema of Arrow that is none")
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
    """Read a type, as one of a stranger's."""
    schema = checked_schema(text)
    need(len(schema) == 1, "a type of Arrow that is none")
    return schema.field(0).type


def known_schema(text: object) -> tuple[Any, Any, tuple[Shape, ...]]:
    """Read a schema; give it, the struct that has its columns, and their shapes."""
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
    """Read a type, and give its shape."""
    return known_schema(text)[2][0]
