"""Portable dtypes, for the tree of a portable message: their names state size and encoding."""

from __future__ import annotations

import re
import struct
import sys
from typing import Any, Final

from .nodes import Node

_PLAIN: Final = re.compile(
    r"\|b1|\|[iu]1|[<>]([iu][248]|f[248]|c(8|16))|\|[SV]\d+|[<>]U\d+"
    r"|[<>][mM]8\[\d*(Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as)\]"
)
"""Not long doubles, which differ between machines, nor times without a unit."""
NAMED: Final = {
    "bfloat16": 2,
    **dict.fromkeys(
        (
            *("float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn", "float8_e4m3fnuz"),
            *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "int2", "uint2", "int4", "uint4"),
        ),
        1,
    ),
}
"""Dtypes of ``ml_dtypes`` by name, and the bytes of an item."""
_KINDS: Final = {
    **dict.fromkeys("bhilqn", "i"),
    **dict.fromkeys("BHILQN", "u"),
    **dict.fromkeys("efd", "f"),
    "?": "b",
    "c": "S",
}


def tell_dtype(description: Any) -> Any:
    """Return the portable name of a dtype by its description in the pickle; None if there is none.

    >>> tell_dtype("<f8"), tell_dtype("<f16")
    ('<f8', None)
    """
    if type(description) is str:
        return description if _PLAIN.fullmatch(description) else None
    kind, *parts = description.items or (None,)
    if kind == "named" and parts[0] == "ml_dtypes" and parts[1] in NAMED:
        return parts[1]
    if kind == "metadata":  # it does not affect the memory
        return tell_dtype(parts[0])
    if kind == "array":
        item = tell_dtype(parts[0])
        return None if item is None else {"dtype": item, "shape": list(parts[1].items or ())}
    return _tell_struct(*parts) if kind == "struct" else None


def _tell_struct(itemsize: int, aligned: bool, record: bool, fields: Node) -> Any:
    told = []
    for field in fields.items or ():
        name, title, offset, description = field.items
        dtype = tell_dtype(description)
        if dtype is None or type(name) is not str or type(title) not in (str, type(None)):  # too long a text
            return None
        told.append({"name": name, "offset": offset, "dtype": dtype})
        if title is not None:
            told[-1]["title"] = title
    more = {key: True for key, value in (("aligned", aligned), ("record", record)) if value}
    return {"itemsize": itemsize, "fields": told, **more}


def dtype_of_format(code: str) -> str | None:
    """Return the dtype of a memoryview's native format; None if there is none.

    >>> dtype_of_format("b"), dtype_of_format("P")
    ('|i1', None)
    """
    letter = code.lstrip("@")
    if letter not in _KINDS:
        return None
    size = struct.calcsize(letter)
    order = "|" if size == 1 else "<" if sys.byteorder == "little" else ">"
    return f"{order}{_KINDS[letter]}{size}"
