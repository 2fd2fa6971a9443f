"""Arrays and other numpy objects: can them, and build them again over the memory that arrived."""

from __future__ import annotations

import array as stdarray
from typing import Any

import numpy as np

from ..memory.buffers import aligned_copy, flat
from ..memory.dtypes import BY_NAME, Description, build
from ..memory.layout import Array, Layout, distinct, native
from .canned import CannedObject, CannedParts, Namespace, named_in_headers, uncan_in
from .skeletons import memory_of, without


@named_in_headers
class CannedArray(CannedObject):
    """Represent an array: its shape, dtype and layout, and its memory in `buffers`.

    A header calls it with the number of the array's buffer in the message, or, for small arrays, with
    the bytes themselves: ``CannedArray(0, (2048,), "<f8")``. Several buffers are joined.

    Attributes:
        shape: a tuple of ints.
        dtype: its description by `canning.memory.dtypes`, which is plain data.
        layout: None for C order, else ``(offset, strides)`` in bytes.
        readonly: whether the array was read-only at the sender.
    """

    def __init__(
        self,
        source: object,
        shape: tuple[int, ...],
        dtype: Description,
        layout: Layout | None = None,
        readonly: bool = False,
    ) -> None:
        self.buffers = [None if isinstance(source, int) else source]
        self.shape = shape
        self.dtype = dtype
        self.layout = layout
        self.readonly = readonly

    def get_object(self, g: Namespace | None = None) -> Array:
        """Build the array as a view of its buffer, or of a copy if the buffer is not aligned."""
        buffers = [flat(buffer) for buffer in memory_of(self)]
        memory = buffers[0] if len(buffers) == 1 else aligned_copy(*buffers)
        return make_array(memory, self.shape, self.dtype, self.layout, self.readonly)

    def __repr__(self) -> str:
        return f"<CannedArray of {self.dtype!r} {self.shape}{without(self)}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.get_object(), dtype, copy=copy)


def make_array(
    memory: object,
    shape: tuple[int, ...],
    dtype: Description,
    layout: Layout | None = None,
    readonly: bool = False,
) -> Array:
    """View memory as an array; memory that is not aligned is copied first.

    >>> make_array(bytearray(16), (2,), "<f8")
    array([0., 0.])
    """
    kind = BY_NAME.get(dtype) if type(dtype) is str else None
    return view_array(memory, shape, build(dtype) if kind is None else kind, layout, readonly)


def view_array(
    memory: Any, shape: tuple[int, ...], dtype: np.dtype[Any], layout: Layout | None, readonly: bool
) -> Array:
    """View memory as an array of a dtype, as `make_array` does."""
    if layout is not None and not dtype.itemsize:  # strides of zero bytes do not show the order
        array: Array = np.ndarray(shape, dtype, order="F")
        array.flags.writeable = not readonly
        return array
    at = layout or ()
    array = np.ndarray(shape, dtype, memory, *at)
    if not array.flags.aligned:
        array = np.ndarray(shape, dtype, aligned_copy(flat(memory)), *at)  # keeps the strides
    if not array.flags.aligned:
        array = _compact(array)
    if readonly:
        array.flags.writeable = False
    return array


def _compact(array: Array) -> Array:
    """Copy an array; of a broadcast one, only its distinct elements, since its shape may be huge."""
    core = distinct(array).copy(order="K")
    return core if core.shape == array.shape else np.broadcast_to(core, array.shape)


def _in_order(array: Array, axes: tuple[int, ...]) -> Array:
    """Restore the axes of an array, which are sorted from the widest stride to the narrowest."""
    return array.transpose(np.argsort(axes))


@named_in_headers
class CannedObjects(CannedParts):
    """Represent an array of Python objects; its elements follow as a list, and may hold the array itself."""

    @staticmethod
    def make(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> Array:
        """Make the empty array; `axes` from the widest stride to the narrowest, None for C order."""
        if axes is None:
            return np.empty(shape, object)
        return _in_order(np.empty([shape[axis] for axis in axes], object), axes)

    def get_object(self, g: Namespace | None = None) -> Array:
        """Build the array with its elements."""
        array: Array = self.make(*self.parts)
        fill_objects(array, (uncan_in(self.attributes["items"], g), self.attributes["readonly"]))
        return array


def fill_objects(array: Any, state: tuple[list[Any], bool]) -> None:
    """Put the elements into an object array, in the order of its memory."""
    items, readonly = state
    if isinstance(array, CannedObjects):
        array.attributes = {"items": items, "readonly": readonly}
        return
    in_memory = (
        array if array.flags.c_contiguous else array.transpose(np.argsort([-s for s in array.strides]))
    )
    in_memory.reshape(-1)[...] = np.fromiter(items, object, len(items))
    if readonly:
        array.flags.writeable = False


@named_in_headers
class CannedStructures(CannedParts):
    """Represent an array of structures that hold objects; its fields follow, each as an array."""

    @staticmethod
    def make(dtype: Description, shape: tuple[int, ...], axes: tuple[int, ...] | None) -> Array:
        """Make the array, filled with zeros and None; `axes` as for `CannedObjects`."""
        if axes is None:
            return np.zeros(shape, build(dtype))
        return _in_order(np.zeros([shape[axis] for axis in axes], build(dtype)), axes)

    def get_object(self, g: Namespace | None = None) -> Array:
        """Build the array with its fields."""
        array: Array = self.make(*self.parts)
        fill_structures(array, (uncan_in(self.attributes["fields"], g), self.attributes["readonly"]))
        return array


def fill_structures(array: Any, state: tuple[list[Array], bool]) -> None:
    """Copy the fields of an array of structures into it."""
    fields, readonly = state
    if isinstance(array, CannedStructures):
        array.attributes = {"fields": fields, "readonly": readonly}
        return
    for name, field in zip(array.dtype.names, fields, strict=True):
        array[name] = field
    if readonly:
        array.flags.writeable = False


@named_in_headers
class CannedStrings(CannedParts):
    """Represent an array of variable-width strings, whose memory is numpy's own: they are sent as a list."""

    @staticmethod
    def make(
        dtype: Description,
        shape: tuple[int, ...],
        items: list[Any],
        axes: tuple[int, ...] | bool,
        readonly: bool,
    ) -> Array:
        """Make the array from its strings; `axes` as in `CannedObjects`, False for C order, True for F."""
        if axes is True:
            axes = tuple(reversed(range(len(shape))))
        strings: Array = np.array(items, build(dtype))
        if axes is False:
            array = strings.reshape(shape)
        else:
            array = _in_order(strings.reshape([shape[axis] for axis in axes]), axes)
        if readonly:
            array.flags.writeable = False
        return array


@named_in_headers
class CannedSubclass(CannedParts):
    """Represent an instance of a subclass of `numpy.ndarray` that pickles as arrays do."""

    @staticmethod
    def make(cls: type[Array], array: Array) -> Array:
        """View an array as an instance of the subclass."""
        return array.view(cls)


@named_in_headers
class CannedMasked(CannedParts):
    """Represent a masked array: its data, its mask, its fill value."""

    @staticmethod
    def make(cls: type[Any], data: Array, mask: Array | None, fill_value: object, hard: bool) -> Any:
        """Make the masked array over its data and its mask."""
        masked: Any = np.ma.MaskedArray(
            data, np.ma.nomask if mask is None else mask, copy=False, hard_mask=hard
        )
        masked = masked if cls is np.ma.MaskedArray else masked.view(cls)
        if fill_value is not None:
            masked._fill_value = fill_value
        masked._sharedmask = False
        return masked


@named_in_headers
class CannedScalar(CannedParts):
    """Represent one numpy scalar: its dtype and its bytes, or its text."""

    @staticmethod
    def make(dtype: Description, value: bytes | str) -> Any:
        """Make the scalar; dtypes "S" and "U" mean `numpy.bytes_` and `numpy.str_`."""
        if dtype == "S":
            return np.bytes_(value)
        if dtype == "U":
            return np.str_(value)
        return np.ndarray((), build(dtype), bytearray(value))[()]  # type: ignore[arg-type]


@named_in_headers
class CannedDtype(CannedParts):
    """Represent a dtype."""

    make = staticmethod(build)


def words_of(typecode: str, itemsize: int) -> np.dtype[Any]:
    """Give the unsigned ints that hold the items of an `array.array`: two for a complex number.

    >>> words_of("d", 8), words_of("Zd", 16)
    (dtype('uint64'), dtype('uint64'))
    """
    return np.dtype(f"u{itemsize // (1 + typecode.startswith('Z'))}")


def make_stdlib_array(typecode: str, itemsize: int, memory: Any) -> stdarray.array[Any]:
    """Build an `array.array`; raises `ValueError` if its items have another size here."""
    array = stdarray.array(typecode)
    if array.itemsize != itemsize:
        raise ValueError(
            f"array({typecode!r}) has items of {itemsize} bytes at the sender, {array.itemsize} here"
        )
    array.frombytes(flat(native(memory)))
    return array
