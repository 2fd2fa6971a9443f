"""Arrays from descriptions that a stranger made up: every number is checked before numpy sees it."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .arrays import view_array
from .buffers import flat
from .dtypes import struct_of
from .errors import DeserializationError
from .layout import Array
from .plain import check
from .trust import refuse

_UNITS: Final = "generic|Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as"
_SIMPLE: Final = re.compile(
    rf"\|b1|[|<>](i1|u1)|[<>]([iu][248]|f(2|4|8|12|16)|c(8|16|24|32))|[|<>][SUV]\d{{1,9}}|[<>][mM]8(\[(\d{{1,9}})?({_UNITS})\])?"
)
_LENGTH: Final = 1 << 62
_FIELDS: Final = 10_000
_NESTING: Final = 32
_ITEM: Final = 2**31 - 1
"""Bytes of one element at most, as for numpy itself."""
_NAMED: Final = re.compile(r"b?float\d\w{0,20}|bfloat16|u?int[1-4]")
_CANNOT: Final = "an array of objects"

Shape = tuple[int, ...]


def checked_dtype(description: Any, depth: int = 0) -> np.dtype[Any]:
    """Build the dtype of a description by a closed grammar; raises `DeserializationError` for any other."""
    if type(description) is str:
        if description == "|O":
            raise refuse(_CANNOT)
        if not _SIMPLE.fullmatch(description):
            raise DeserializationError("a dtype that is not in the grammar")
        return _bounded(np.dtype(description))
    if type(description) is not tuple or not description or depth > _NESTING:
        raise DeserializationError("a description of a dtype that is none, or too deep")
    kind, *parts = description
    if kind == "struct":
        return _struct(tuple(parts), depth)
    if kind == "array":
        check(tuple(parts), (str, tuple), tuple)
        shape = checked_shape(parts[1])
        item = checked_dtype(parts[0], depth + 1)
        if math.prod(shape) * max(item.itemsize, 1) > _ITEM:
            raise DeserializationError("a dtype whose elements are larger than numpy allows")
        return np.dtype((item, shape))
    if kind == "named":
        return _named(tuple(parts))
    raise DeserializationError("a kind of dtype that a stranger may not send")


def _bounded(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.itemsize > _ITEM:
        raise DeserializationError("a dtype whose elements are larger than numpy allows")
    return dtype


def _struct(parts: tuple[Any, ...], depth: int) -> np.dtype[Any]:
    check(parts, int, bool, bool, tuple)
    itemsize, aligned, record, fields = parts
    if not 0 <= itemsize <= _ITEM or len(fields) > _FIELDS:
        raise DeserializationError("a structured dtype that is too large")
    names: set[str] = set()
    items = []
    for field in fields:
        if type(field) is not tuple or len(field) != 4:
            raise DeserializationError("a field of a dtype that is none")
        check(field, str, (str, type(None)), int, (str, tuple))
        name, title, offset, description = field
        if name in names or (title is not None and title in names) or not name:
            raise DeserializationError("two fields of a dtype with one name")
        names.update({name} if title is None else {name, title})
        item = checked_dtype(description, depth + 1)
        if offset < 0 or offset + item.itemsize > itemsize:
            raise DeserializationError("a field that lies outside its dtype")
        items.append((name, title, offset, item))
    return struct_of(itemsize, aligned, record, items)


def _named(parts: tuple[Any, ...]) -> np.dtype[Any]:
    check(parts, str, str)
    module, name = parts
    if module != "ml_dtypes" or not _NAMED.fullmatch(name):
        raise DeserializationError("a dtype of a package that a stranger may not name")
    package = sys.modules.get("ml_dtypes")
    found = None if package is None else vars(package).get(name)
    if not isinstance(found, type):
        raise DeserializationError(f"the dtype ml_dtypes.{name} is not here: import ml_dtypes first")
    dtype: np.dtype[Any] = np.dtype(found)
    return dtype


def checked_shape(shape: Any) -> Shape:
    """Check a shape: a tuple of at most 32 lengths."""
    if type(shape) is not tuple or len(shape) > 32:
        raise DeserializationError("a shape that is none, or has too many axes")
    for length in shape:
        if type(length) is not int or not 0 <= length < _LENGTH:
            raise DeserializationError("a shape with something else than lengths")
    return shape


def plain_array(memory: Any, shape: Any, dtype: np.dtype[Any]) -> Array:
    """View memory as an array in C order of one of numpy's own dtypes."""
    size = len(memory)
    if math.prod(checked_shape(shape)) * dtype.itemsize != size:
        raise DeserializationError(f"an array that does not fit its {size} bytes")
    return np.ndarray(shape, dtype, memory)


def checked_array(memory: Any, args: tuple[Any, ...], spend: Callable[[int], None]) -> Any:
    """View memory as the array that `args` describe: shape, dtype, layout, read-only flag.

    `spend` is told of bytes that must be copied for the sake of alignment.
    """
    check(args, tuple, (str, tuple), (tuple, type(None)), bool, optional=2)
    shape, dtype = checked_shape(args[0]), checked_dtype(args[1])
    layout = args[2] if len(args) > 2 else None
    size = flat(memory).nbytes
    if layout is None:
        if math.prod(shape) * dtype.itemsize != size:
            raise DeserializationError(f"an array that does not fit its {size} bytes")
    else:
        _check_layout(layout, shape, dtype.itemsize, size)
    readonly = len(args) > 3 and args[3]
    array = np.ndarray(shape, dtype, memory if size else bytearray(1), *(layout or ()))
    if not array.flags.aligned:
        spend(2 * size)
    return view_array(memory if size else bytearray(1), shape, dtype, layout, readonly)


def _check_layout(layout: Any, shape: Shape, itemsize: int, size: int) -> None:
    if len(layout) != 2 or type(layout[0]) is not int or type(layout[1]) is not tuple:
        raise DeserializationError("a layout of an array that is none")
    offset, strides = layout
    if len(strides) != len(shape) or any(type(stride) is not int for stride in strides):
        raise DeserializationError("strides that do not belong to their shape")
    low = high = offset
    for length, stride in zip(shape, strides, strict=True):
        reach = (length - 1) * stride
        low, high = (low + reach, high) if reach < 0 else (low, high + reach)
    if low < 0 or high + itemsize > size:
        raise DeserializationError(f"an array that reaches outside its {size} bytes")


def checked_scalar(args: tuple[Any, ...]) -> Any:
    """Make a numpy scalar of its dtype and its bytes."""
    check(args, (str, tuple), (bytes, str))
    dtype, value = args
    if dtype == "U" and type(value) is str:
        return np.str_(value)
    if dtype == "S" and type(value) is bytes:
        return np.bytes_(value)
    kind = checked_dtype(dtype)
    if type(value) is not bytes or len(value) != kind.itemsize:
        raise DeserializationError("a scalar that does not fit its bytes")
    return np.ndarray((), kind, bytearray(value))[()]
