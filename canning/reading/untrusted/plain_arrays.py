"""Dtypes and arrays from descriptions that a stranger may have chosen.

Dtypes follow a closed grammar; each number of an array is checked before numpy uses it.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...memory.buffers import flat
from ...memory.coming import Coming
from ...memory.dtypes import BY_NAME, parted, struct_of
from ...types.allowed import refuse
from ...types.arrays import view_array
from ...types.budget import Work
from ...types.libraries.checks import check

_UNITS: Final = "generic|Y|M|W|D|h|m|s|ms|us|ns|ps|fs|as"
_SIMPLE: Final = re.compile(
    rf"\|b1|[|<>](i1|u1)|[<>]([iu][248]|f(2|4|8|12|16)|c(8|16|24|32))|[|<>][SUV]\d{{1,9}}|[<>][mM]8(\[(\d{{1,9}})?({_UNITS})\])?"
)
_LENGTH: Final = 1 << 62
_PARTS: Final = 10_000
"""Fields of one dtype, nested ones included: numpy visits all of them whenever it compares dtypes."""
_NESTING: Final = 32
_ITEM: Final = 2**31 - 1
"""Bytes of one element at most: numpy's own limit."""
_NAMED: Final = re.compile(r"b?float\d\w{0,20}|bfloat16|u?int[1-4]")
_NOTES: Final = 1000
"""Parts of the metadata of one dtype, which may be nested this deep:"""
_DEEP: Final = 8
_NOTE: Final = 1000, 250
"""Nanoseconds and bytes of one part: numpy copies the metadata for each dtype."""
_PLAIN: Final = frozenset((str, bytes, int, float, bool, type(None)))
_CANNOT: Final = "an array of objects"

Shape = tuple[int, ...]
Built = tuple["np.dtype[Any]", int, int]
"""A dtype, the number of its parts, and their depth."""


class Dtypes:
    """Build the dtypes of one message, each description once: one may hold another twice, and so on.

    With `objects`, also those of Python objects, which serve only to report a dtype and never to view
    memory. `work` is the account of the message.
    """

    def __init__(self, work: Work, *, objects: bool = False) -> None:
        self._work = work
        self._objects = objects
        self._simple: dict[str, np.dtype[Any]] = {}
        self._built: dict[int, tuple[Any, Built]] = {}

    def build(self, description: object) -> np.dtype[Any]:
        """Build the dtype of a description; raises `DeserializationError` for any that is not in the grammar.

        >>> from canning import Limits
        >>> Dtypes(Work(Limits())).build(("array", "<i2", (2,)))
        dtype(('<i2', (2,)))
        """
        if type(description) is str:
            found = BY_NAME.get(description) or self._simple.get(description)
            return self._of_text(description) if found is None else found
        return self._parts(description, 0)[0]

    def _parts(self, description: object, depth: int) -> Built:
        if type(description) is str:
            return self._simple.get(description) or self._of_text(description), 1, 1
        if type(description) is not tuple or not description or depth > _NESTING:
            raise DeserializationError("a description of a dtype that is invalid, or too deep")
        known = self._built.get(id(description))
        if known is not None:
            return known[1]
        kind, *parts = description
        if kind == "struct":
            built = self._struct(tuple(parts), depth)
        elif kind == "array":
            built = self._array(tuple(parts), depth)
        elif kind == "named":
            built = _named(tuple(parts)), 1, 1
        elif kind == "metadata":
            built = self._metadata(tuple(parts), depth)
        elif kind == "parted":
            built = self._parted(tuple(parts), depth)
        else:
            raise DeserializationError("a kind of dtype that a stranger may not send")
        if built[1] > _PARTS or built[2] > _NESTING:
            raise DeserializationError("a dtype of too many parts, or too deep")
        self._built[id(description)] = description, built  # keeps the id unique
        return built

    def _of_text(self, text: str) -> np.dtype[Any]:
        if text == "|O":
            if not self._objects:
                raise refuse(_CANNOT)
            return np.dtype(object)
        if not _SIMPLE.fullmatch(text):
            raise DeserializationError("a dtype that is not in the grammar")
        dtype: np.dtype[Any] = np.dtype(text)
        if dtype.itemsize > _ITEM:
            raise DeserializationError("a dtype whose elements are larger than numpy allows")
        self._simple[text] = dtype
        return dtype

    def _array(self, parts: tuple[Any, ...], depth: int) -> Built:
        check(parts, (str, tuple), tuple)
        shape = checked_shape(parts[1])
        item, count, height = self._parts(parts[0], depth + 1)
        if math.prod(shape) * max(item.itemsize, 1) > _ITEM:
            raise DeserializationError("a dtype whose elements are larger than numpy allows")
        if not item.itemsize:  # numpy visits elements of zero bytes, too
            count *= max(1, math.prod(shape))
            if count > _PARTS:
                raise DeserializationError("a dtype of too many parts, or too deep")
        return np.dtype((item, shape)), count + 1, height + 1

    def _metadata(self, parts: tuple[Any, ...], depth: int) -> Built:
        check(parts, (str, tuple), dict)
        item, count, height = self._parts(parts[0], depth + 1)
        left = [_NOTES]
        notes = _copied(parts[1], left, 0)
        self._work.spend(*((_NOTES - left[0]) * price for price in _NOTE))
        return np.dtype(item, metadata=notes), count, height + 1

    def _parted(self, parts: tuple[Any, ...], depth: int) -> Built:
        check(parts, tuple, str)
        structure, count, height = self._parts(parts[0], depth + 1)
        whole = self._of_text(parts[1])
        if structure.names is None or structure.itemsize != whole.itemsize or whole.hasobject:
            raise DeserializationError("fields that do not fit their dtype")
        return parted(structure, parts[1]), count, height + 1

    def _struct(self, parts: tuple[Any, ...], depth: int) -> Built:
        check(parts, int, bool, bool, tuple)
        itemsize, aligned, record, fields = parts
        if not 0 <= itemsize <= _ITEM or len(fields) > _PARTS:
            raise DeserializationError("a structured dtype that is too large")
        names: set[str] = set()
        items = []
        total, highest = 1, 0
        for field in fields:
            if type(field) is not tuple or len(field) != 4:
                raise DeserializationError("an invalid field of a dtype")
            check(field, str, (str, type(None)), int, (str, tuple))
            name, title, offset, description = field
            if name in names or (title is not None and title in names) or not name:
                raise DeserializationError("two fields of a dtype with one name")
            names.update({name} if title is None else {name, title})
            item, count, height = self._parts(description, depth + 1)
            total, highest = total + count, max(highest, height)
            if offset < 0 or offset + item.itemsize > itemsize:
                raise DeserializationError("a field that lies outside its dtype")
            items.append((name, title, offset, item))
        return struct_of(itemsize, aligned, record, items), total, highest + 1


def _copied(note: Any, left: list[int], depth: int) -> Any:
    """Copy metadata, which must be plain: Python never frees a dtype that is part of its own metadata."""
    kind = type(note)
    left[0] -= 1
    if left[0] < 0 or depth > _DEEP:
        raise DeserializationError("metadata of a dtype that are too many, or too deep")
    if kind is dict:
        if not _PLAIN.issuperset(map(type, note)):
            raise DeserializationError(_ODD)
        return {key: _copied(part, left, depth + 1) for key, part in note.items()}
    if kind is list or kind is tuple:
        return kind([_copied(part, left, depth + 1) for part in note])
    if kind not in _PLAIN:
        raise DeserializationError(_ODD)
    return note


_ODD: Final = (
    "metadata of a dtype that are not plain data: text, numbers, and lists, tuples and dicts of them"
)


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


def checked_shape(shape: object) -> Shape:
    """Check a shape: a tuple of at most 64 lengths, as many as numpy allows."""
    if type(shape) is not tuple or len(shape) > 64:
        raise DeserializationError("a shape that is invalid, or has too many axes")
    for length in shape:
        if type(length) is not int or not 0 <= length < _LENGTH:
            raise DeserializationError("a shape with something other than lengths")
    return shape


def checked_axes(axes: object, shape: Shape) -> None:
    """Check that a tuple of axes lists each axis of the shape once, in any order."""
    if type(axes) is tuple and sorted(axes) != list(range(len(shape))):
        raise DeserializationError("invalid axes of an array")


def count_parts(dtype: np.dtype[Any]) -> int:
    """Count the fields of a dtype, nested ones included.

    >>> count_parts(np.dtype([("x", "f4"), ("y", [("z", "i2")], (3,))]))
    4
    """
    total, rest = 0, [dtype]
    while rest:
        total += 1
        item = rest.pop().base
        rest += [field[0] for field in item.fields.values()] if item.fields else []
    return total


# -- arrays ----------------------------------------------------------------------------------------------


def check_fit(shape: object, layout: object, itemsize: int, size: int) -> None:
    """Check that an array of this shape fits `size` bytes: exactly in C order, or within its layout."""
    if layout is not None:
        check_layout(layout, checked_shape(shape), itemsize, size)
    elif math.prod(checked_shape(shape)) * itemsize != size:
        raise DeserializationError(f"an array that does not fit its {size} bytes")


def charge_unreal(shape: Shape, itemsize: int, size: int, work: Work) -> None:
    """Count the elements that an array has beyond its memory, and that copies and lists of it will have.

    These are the elements of broadcast axes, elements of zero bytes, and the rows of arrays without elements.
    """
    total = math.prod(shape)
    if total and itemsize:
        unreal = max(0, total * itemsize - size)
    else:
        unreal = _NOTHING * math.prod(length for length in shape if length) if len(shape) > 1 or total else 0
    if unreal:
        work.spend(unreal, unreal)


_NOTHING: Final = 8
"""Bytes counted for an element of zero bytes."""


def checked_array(memory: Any, args: tuple[Any, ...], dtypes: Dtypes, work: Work) -> Any:
    """View memory as the array that `args` describe: shape, dtype, layout, read-only flag."""
    check(args, tuple, (str, tuple), (tuple, type(None)), bool, optional=2)
    shape, dtype = checked_shape(args[0]), dtypes.build(args[1])
    layout = args[2] if len(args) > 2 else None
    coming = type(memory) is Coming
    size = len(memory) if coming else flat(memory).nbytes
    check_fit(shape, layout, dtype.itemsize, size)
    readonly = len(args) > 3 and args[3]
    charge_unreal((*shape, *dtype.shape), dtype.base.itemsize, size, work)
    if coming and size:
        if not memory.is_aligned(dtype, layout):
            work.spend(50_000 + 2 * size, 1000 + 2 * size)
        return memory.array(shape, dtype, layout, readonly)
    array = np.ndarray(shape, dtype, memory if size else bytearray(1), *(layout or ()))
    if not array.flags.aligned or (layout is not None and not dtype.itemsize):
        work.spend(50_000 + 2 * size, 1000 + 2 * size)
        return view_array(memory if size else bytearray(1), shape, dtype, layout, readonly)
    if readonly:
        array.flags.writeable = False
    return array


def check_layout(layout: Any, shape: Shape, itemsize: int, size: int) -> None:
    """Check that an offset and strides of this shape stay within `size` bytes."""
    if len(layout) != 2 or type(layout[0]) is not int or type(layout[1]) is not tuple:
        raise DeserializationError("an invalid layout of an array")
    offset, strides = layout
    if len(strides) != len(shape):
        raise DeserializationError("strides that do not belong to their shape")
    low = high = offset
    for length, stride in zip(shape, strides, strict=True):
        if type(stride) is not int:
            raise DeserializationError("strides that are not numbers")
        reach = (length - 1) * stride
        if reach < 0:
            low += reach
        else:
            high += reach
    if low < 0 or high + itemsize > size:
        raise DeserializationError(f"an array that reaches outside its {size} bytes")


def checked_scalar(args: tuple[Any, ...], dtypes: Dtypes) -> Any:
    """Make a numpy scalar from its dtype and its bytes."""
    check(args, (str, tuple), (bytes, str))
    dtype, value = args
    if dtype == "U" and type(value) is str:
        return np.str_(value)
    if dtype == "S" and type(value) is bytes:
        return np.bytes_(value)
    kind = dtypes.build(dtype)
    if type(value) is not bytes or len(value) != kind.itemsize:
        raise DeserializationError("a scalar that does not fit its bytes")
    return np.ndarray((), kind, bytearray(value))[()]
