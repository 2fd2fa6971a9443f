"""The standard library: mapped memory, ctypes, and small types that need code or that pickle cannot send."""

from __future__ import annotations

import ctypes
import functools
import io
import mmap
import re
import struct
import zoneinfo
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ..budget import charge, is_counted
from ..canner import Canner
from .checks import need, one_dimensional, parts

# -- memory ----------------------------------------------------------------------------------------------


def _can_mmap(mapped: mmap.mmap) -> Any:
    return np.frombuffer(mapped, np.uint8), mapped.tell()


def _mmap(state: object) -> mmap.mmap:
    """Make an anonymous mapping with the same bytes, without the file."""
    memory, position = parts(state, np.ndarray, int)
    need(one_dimensional(memory, "u").dtype == np.uint8 and memory.size, "a mapping of no bytes")
    mapped = mmap.mmap(-1, memory.size)
    np.frombuffer(mapped, np.uint8)[:] = memory
    mapped.seek(position)
    return mapped


def _can_bytes_io(file: io.BytesIO) -> Any:
    return NotImplemented if vars(file) else (file.getvalue(), file.tell())


def _bytes_io(state: object) -> io.BytesIO:
    content, position = parts(state, bytes, int)
    need(position <= len(content), "a place beyond the end of a file")  # a write there would fill the gap
    file = io.BytesIO(content)
    file.seek(position)
    return file


# -- ctypes ----------------------------------------------------------------------------------------------

_Data: Any = ctypes.Array.__base__
_POINTERS: Final = frozenset("PzZOX")


def _describe(cls: Any) -> Any:
    """Describe a ctypes type: numbers by their code, arrays by their item, others by their class.

    Raises `TypeError` for a type with pointers, which are not valid in another process.
    """
    if issubclass(cls, ctypes.Array):
        item = _describe(cls._type_)
        return (item, cls._length_) if cls is cls._type_ * cls._length_ else cls
    code = getattr(cls, "_type_", "")
    if not code and not issubclass(cls, ctypes.Structure | ctypes.Union):
        raise TypeError
    if code in _POINTERS or any(_holds_pointers(field[1]) for field in getattr(cls, "_fields_", ())):
        raise TypeError
    orders = ("", ">", "<")  # byte orders; that of this machine first
    return next((order + code for order in orders if code and _SIMPLE.get(order + code) is cls), cls)


def _holds_pointers(cls: Any) -> bool:
    try:
        _describe(cls)
    except TypeError:
        return True
    return False


def _simple_types() -> dict[str, Any]:
    found: list[Any] = [value for value in vars(ctypes).values() if isinstance(value, type)]
    simple: Any = ctypes.c_int.__base__
    types = {cls._type_: cls for cls in found if cls.__base__ is simple}
    big = {f">{code}": cls.__ctype_be__ for code, cls in types.items() if hasattr(cls, "__ctype_be__")}
    little = {f"<{code}": cls.__ctype_le__ for code, cls in types.items() if hasattr(cls, "__ctype_le__")}
    return {**types, **big, **little}


_SIMPLE: Final = _simple_types()
_CLASS: Final = 1000, 2000
"""The cost of a class, in items of 50 ns, and in bytes."""
_TYPES: Final = 1024
_KEPT: Final[set[tuple[Any, int]]] = set()
"""Types of arrays that strangers' messages made by ``item * length``, up to `_TYPES`."""
_APART: Final = "Array"


def _class_of(description: object, depth: int = 0) -> Any:
    need(depth < 16, "a ctypes array of too many axes")
    if type(description) is tuple:
        item, length = parts(description, object, int)
        cls = _class_of(item, depth + 1)
        need(0 <= length < 1 << 40 and ctypes.sizeof(cls) * length < 1 << 40, "a ctypes array out of range")
        return _array_of(cls, length)
    if type(description) is str:
        need(description in _SIMPLE and description not in _POINTERS, "an invalid ctypes type")
        return _SIMPLE[description]
    if not isinstance(description, type) or not issubclass(description, _Data):
        raise DeserializationError("an invalid ctypes type")
    return description


def _array_of(item: Any, length: int) -> Any:
    """Return the type of an array; too many of a stranger's become classes that can be freed.

    ctypes keeps every type that was made by ``item * length``, and the type of its items, forever.
    """
    if is_counted() and (item, length) not in _KEPT:
        charge(*_CLASS)
        if len(_KEPT) >= _TYPES or item.__name__ == _APART:
            return type(_APART, (ctypes.Array,), {"_type_": item, "_length_": length})
        _KEPT.add((item, length))
    return item * length


def _can_ctypes(data: Any) -> Any:
    try:
        description = _describe(type(data))
    except TypeError:
        return NotImplemented
    if getattr(data, "__dict__", None) or not ctypes.sizeof(data):
        return NotImplemented
    return description, np.frombuffer(data, np.uint8)


def _ctypes(state: object) -> Any:
    description, memory = parts(state, object, np.ndarray)
    size, alignment = _size_of(description)
    need(memory.dtype == np.uint8 and memory.flags.c_contiguous, "ctypes data of something other than bytes")
    need(memory.nbytes == size > 0, "ctypes data that does not fit its type")
    cls = _class_of(description)
    if memory.flags.writeable and memory.ctypes.data % alignment == 0:
        return cls.from_buffer(memory)
    return cls.from_buffer_copy(memory)


def _size_of(description: object) -> tuple[int, int]:
    """Return size and alignment before a class is made: ctypes keeps classes forever."""
    count = 1
    while type(description) is tuple:
        item, length = parts(description, object, int)
        need(0 <= length < 1 << 40, "a ctypes array out of range")
        description, count = item, count * length
    cls = _class_of(description)
    return ctypes.sizeof(cls) * count, ctypes.alignment(cls)


# -- small ones ------------------------------------------------------------------------------------------

_KEY: Final = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")


def _can_zone(zone: zoneinfo.ZoneInfo) -> Any:
    key = zone.key
    return (key,) if key and zoneinfo.ZoneInfo(key) is zone else NotImplemented


def _zone(state: object) -> zoneinfo.ZoneInfo:
    (key,) = parts(state, str)
    need(len(key) < 100 and _KEY.fullmatch(key), "an invalid name of a time zone")
    return zoneinfo.ZoneInfo(key)


def _can_struct(packer: struct.Struct) -> Any:
    return (packer.format,)


def _struct(state: tuple[Any, ...]) -> struct.Struct:
    (code,) = state
    return _packer(code)


def _checked_struct(state: object) -> struct.Struct:
    (code,) = parts(state, str)
    need(len(code) < 10_000, "a format of a Struct that is too long")
    charge(40 * len(code))  # it keeps 32 bytes for each letter
    return struct.Struct(code)


@functools.lru_cache(maxsize=16)
def _packer(code: str) -> struct.Struct:
    """Make a Struct; return the same one for a format used before."""
    return struct.Struct(code)


CANNERS: Final = (
    Canner("mmap.mmap", _can_mmap, _mmap, data=True, exact=True),
    Canner("io.BytesIO", _can_bytes_io, _bytes_io, data=True, exact=True),
    Canner("ctypes.Array", _can_ctypes, _ctypes, data=True),
    Canner("ctypes.Structure", _can_ctypes, _ctypes, data=True),
    Canner("ctypes.Union", _can_ctypes, _ctypes, data=True),
    Canner("ctypes._SimpleCData", _can_ctypes, _ctypes, data=True),
    Canner("zoneinfo.ZoneInfo", _can_zone, _zone, data=True, exact=True),
    Canner("struct.Struct", _can_struct, _struct, data=_checked_struct, exact=True),
)
