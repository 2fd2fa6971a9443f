"""Arrays from descriptions that a stranger may have chosen: each number is checked before numpy uses it."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...memory.buffers import flat
from ...types.arrays import view_array
from ...types.budget import Work
from ...types.libraries.checks import check
from .plain_dtypes import Dtypes, Shape, checked_shape


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
    size = flat(memory).nbytes
    check_fit(shape, layout, dtype.itemsize, size)
    readonly = len(args) > 3 and args[3]
    charge_unreal((*shape, *dtype.shape), dtype.base.itemsize, size, work)
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
