"""Files of numpy's own format, recognized by their headers: bare memory, or a pickle of objects."""

from __future__ import annotations

import ast
import math
import re
from typing import Any, Final, NamedTuple

from .room import Uneven

MAGIC: Final = b"\x93NUMPY"
_LENGTHS: Final = {b"\1\0": 2, b"\2\0": 4, b"\3\0": 4}
_LONGEST: Final = 10_000
"""Bytes up to which numpy reads a header by default."""
_SCALAR: Final = re.compile(
    r"[<>|=]?(?:(?P<one>b1|\?)|(?P<number>[iu][1248]|f(?:2|4|8|12|16)|c(?:8|16|24|32))"
    r"|(?P<text>U\d{1,9})|(?P<bytes>[SaV]\d{1,9})|(?P<time>[mM]8(?:\[[\da-zA-Z/]{1,20}\])?))"
)
_OBJECT: Final = re.compile(r"[<>|=]?O\d*")


class Npy(NamedTuple):
    """One array in a file: the start of its content, and its end; None if the content is a pickle."""

    start: int
    end: int | None


def array_at(data: memoryview, at: int) -> Npy:
    """Read the header of the array at an offset; raises `Uneven` if its content is ambiguous."""
    width = _LENGTHS.get(bytes(data[at + 6 : at + 8]))
    if width is None:
        raise Uneven("a numpy file of an unknown version")
    start = at + 8 + width
    end = start + int.from_bytes(data[at + 8 : start], "little")
    if end > len(data) or end - start > _LONGEST:
        raise Uneven("a numpy file whose header breaks off, or is too long")
    said = _parsed(bytes(data[start:end]), "utf-8" if data[at + 6] == 3 else "latin-1")
    size = _item_size(said["descr"])
    if size is None:
        return Npy(end, None)
    behind = end + math.prod(said["shape"]) * size
    if behind > len(data):
        raise Uneven("a numpy file that breaks off")
    return Npy(end, behind)


def _parsed(header: bytes, encoding: str) -> dict[str, Any]:
    try:
        said = ast.literal_eval(header.decode(encoding).strip(" \n"))
    except Exception:  # a stranger's text may make the parser raise anything
        raise Uneven("a numpy file with an invalid header") from None
    if type(said) is not dict or set(said) != {"descr", "fortran_order", "shape"}:
        raise Uneven("a numpy file with an invalid header")
    shape = said["shape"]
    if type(shape) is not tuple or any(type(length) is not int or length < 0 for length in shape):
        raise Uneven("a numpy file without a shape")
    return said


def _item_size(descr: Any) -> int | None:
    """Count the bytes of an item; None if items are, or hold, objects."""
    if type(descr) is str:
        found = _SCALAR.fullmatch(descr)
        if found is None and _OBJECT.fullmatch(descr) is None:
            raise Uneven("a numpy file of items that are not plain memory")
        if found is None:
            return None
        if found["text"] or found["bytes"]:
            return int((found["text"] or found["bytes"])[1:]) * (4 if found["text"] else 1)
        return int(found["number"][1:]) if found["number"] else 8 if found["time"] else 1
    if type(descr) is not list:
        raise Uneven("a numpy file of items that are not plain memory")
    total, objects = 0, False
    for field in descr:
        if type(field) is not tuple or len(field) not in (2, 3):
            raise Uneven("a numpy file of items that are not plain memory")
        shape = field[2] if len(field) == 3 else ()
        shape = (shape,) if type(shape) is int else shape
        size = _item_size(field[1])
        if type(shape) is not tuple or any(type(length) is not int or length < 0 for length in shape):
            raise Uneven("a numpy file of items that are not plain memory")
        objects |= size is None
        total += (size or 0) * math.prod(shape)
    return None if objects else total
