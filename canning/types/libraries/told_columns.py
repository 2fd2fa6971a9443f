"""Columns of tables as every language can read them: a dict of arrays, by the kind of the column.

``docs/wire-format.md`` lists the kinds. Text has the form of Arrow's large strings: UTF-8, and the offset of
each text.
https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-layout
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError, SerializationError
from ...memory.layout import Array
from ..budget import charge
from .checks import need, one_dimensional, private_copy

Column = dict[str, Any]
_TEXT: Final = 10, 60
"""The cost of a text besides its letters, in items of 50 ns, and in bytes."""


def text_column(texts: Iterable[Any]) -> Column:
    """Describe texts; any other object is a missing one.

    >>> {name: part.tolist() for name, part in text_column(["a", None, "bc"]).items() if name != "kind"}
    {'offsets': [0, 1, 1, 3], 'data': [97, 98, 99], 'mask': [False, True, False]}
    """
    try:
        encoded = [text.encode() if type(text) is str else None for text in texts]
    except UnicodeEncodeError:
        raise SerializationError("text with half of a pair of surrogates is not portable") from None
    mask = np.fromiter((text is None for text in encoded), bool, len(encoded))
    sizes = np.fromiter((0 if text is None else len(text) for text in encoded), np.int64, len(encoded))
    offsets = np.zeros(len(encoded) + 1, "<i8")
    np.cumsum(sizes, out=offsets[1:])
    data = np.frombuffer(bytearray().join(filter(None, encoded)), np.uint8)
    return _text(offsets, data, mask if mask.any() else None)


def arrow_column(array: Any) -> Column:
    """Describe an array of Arrow's large strings, without a copy of its text."""
    _, bounds, text = array.buffers()
    offsets = np.frombuffer(bounds, "<i8", len(array) + 1, array.offset * 8) if bounds else np.zeros(1, "<i8")
    low, high = int(offsets[0]), int(offsets[-1])
    data = np.frombuffer(text, np.uint8, high - low, low) if high > low else np.empty(0, np.uint8)
    mask = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    return _text(offsets - low if low else offsets, data, mask)


def _text(offsets: Array, data: Array, mask: Array | None) -> Column:
    told = {"kind": "text", "offsets": offsets, "data": data}
    return told if mask is None else {**told, "mask": mask}


def texts_of(column: Column, missing: object) -> Array:
    """Return the texts of a column as an array of objects, with `missing` for missing ones."""
    offsets, data, mask = checked_text(column)
    charge(_TEXT[0] * offsets.size, _TEXT[1] * offsets.size)
    whole = data.tobytes()
    texts = [str(whole[low:high], "utf-8") for low, high in itertools.pairwise(offsets.tolist())]
    made: Array = np.fromiter(texts, object, len(texts))
    if mask is not None:
        made[mask] = missing
    return made


def checked_text(column: Column) -> tuple[Array, Array, Array | None]:
    """Check the offsets and the mask of a column of text; copy both."""
    offsets, data, mask = text_parts(column)
    owned = private_copy(offsets)
    need(owned[0] >= 0 and (owned[1:] >= owned[:-1]).all(), "offsets out of order")
    need(owned[-1] <= data.size, "too little text")
    return owned, data, mask


def text_parts(column: Column) -> tuple[Array, Array, Array | None]:
    """Check the arrays of a column of text, and return them; only the mask is a copy."""
    offsets, data = one_dimensional(column.get("offsets"), "i"), one_dimensional(column.get("data"), "u")
    need(offsets.itemsize == 8 and len(offsets), "invalid offsets")
    need(data.itemsize == 1, "invalid text")
    return offsets, data, mask_of(column, len(offsets) - 1)


def mask_of(column: Column, length: int) -> Array | None:
    """Check the mask of missing values, if a column has one; copy it."""
    mask = column.get("mask")
    return None if mask is None else private_copy(one_dimensional(mask, "b", length))


def values_of(column: Column, kinds: str) -> Array:
    """Check the values of a column; return them in the byte order of this machine."""
    values = one_dimensional(column.get("values"), kinds)
    return values if values.dtype.isnative else private_copy(values)


def fields_of(state: object, *names: str) -> Any:
    """Return the fields of a state by name, None for missing ones."""
    if type(state) is not dict or any(type(name) is not str for name in state):
        raise DeserializationError("a state that is not made of fields")
    return [state.get(name) for name in names]


def columns_of(names: object, columns: object) -> list[tuple[Any, Column]]:
    """Check a table's names and columns; return them in pairs."""
    need(type(names) is list and type(columns) is list and len(names) == len(columns), "invalid columns")
    need(all(type(column) is dict for column in columns), "invalid columns")  # type: ignore[attr-defined]
    charge(200 * len(columns), 1500 * len(columns))  # type: ignore[arg-type]
    return list(zip(names, columns, strict=True))  # type: ignore[call-overload]
