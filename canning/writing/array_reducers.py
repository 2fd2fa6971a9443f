"""Reducers for arrays and everything else of numpy, which also set their memory aside."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from .. import calls
from ..memory.buffers import owner_key
from ..memory.dtypes import BY_DTYPE, describe
from ..memory.layout import Array, ArrayKey, Block, plan
from ..types.registry import Registry
from .retries import ShareAgain

Reduced = Any
_MASKED_STATE: Final = frozenset(
    ["_mask", "_fill_value", "_hardmask", "_sharedmask", "_isfield", "_baseclass", "_optinfo", "_basedict"]
)
_OF_MATRICES: Final = {"_getitem": False}
"""What numpy notes in every matrix: it does so again where one is made."""


def array_call() -> None:
    """Stand in the pickler's memo for `calls.array`, from the start."""


class ArrayReducers:
    """Collect the buffers of one message while its header is pickled.

    Attributes:
        entries: the buffers in the order of their numbers: arrays in C order, `Block`, bytes.
        outside: pickle's own out-of-band buffers.
        classes: those whose instances were reduced; see `reducers`.
        named: whether the header uses names of this package other than `calls.array`.
        descriptions: those of dtypes with parts, by identity: the header has each once.
        bare: whether exceptions are sent without their causes and contexts.
        linked: whether one was sent with a cause or context.
        by_name: whether names of ``__main__`` mean the same where the message is read.
        by_value: whether the header may also use the names that make functions and classes.
        portable: whether registered types are sent as their specified states.
        small: arrays that went into the header, by identity.
        owners: the owners of all memory so far, by identity, and whether they own small arrays; None
            until the first view comes. Most messages hold no views, and do not need this.
        versions: those of the packages whose types were met, by import name.
        views: whether two arrays view memory of one owner.
        share: whether small arrays are set aside too, since they share memory.
        apart: whether arrays are known not to share memory.
        whole: keys of sparse arrays that must be sent with their whole extent.
    """

    def __init__(self, registry: Registry, threshold: int) -> None:
        self.registry = registry
        self.threshold = threshold
        self.entries: list[Any] = []
        self.outside: list[memoryview] = []
        self.small: dict[int, Array] = {}
        self.descriptions: dict[int, tuple[np.dtype[Any], Any]] = {}
        self.codes: list[Any] = []
        self.versions: dict[str, str] = {}
        self.as_source = False
        self.by_name = False
        self.portable = False
        self.classes: set[type] = set()
        self.reset()

    def reset(
        self,
        *,
        share: bool = False,
        whole: frozenset[ArrayKey] = frozenset(),
        apart: bool = False,
        bare: bool = False,
    ) -> None:
        """Forget the last message, and start a new one."""
        self.entries.clear()
        self.outside.clear()
        self.small.clear()
        self.descriptions.clear()
        self.codes.clear()
        self.classes.clear()
        self.bytecode = False
        self.named = False
        self.by_value = False
        self.owners: dict[int, bool] | None = None
        self.views = share
        self.share = share
        self.apart = apart
        self.whole = whole
        self.bare = bare
        self.linked = False

    def array(self, array: Array) -> Reduced:
        """Reduce an exact `numpy.ndarray`: the fast path for common ones, with `any_array` for the rest."""
        dtype, flags = BY_DTYPE.get(id(array.dtype)), array.flags
        if dtype is None or not (flags.c_contiguous and flags.writeable):
            return self.any_array(array)
        small = array.nbytes < self.threshold
        if array.base is not None or self.owners is not None:
            self._note_owner(array, small)
        if small and not (self.share and array.size):
            self.small[id(array)] = array
            return array_call, (array.tobytes(), array.shape, dtype)
        entries = self.entries
        entries.append(array)
        return array_call, (len(entries) - 1, array.shape, dtype)

    def any_array(self, array: Array) -> Reduced:
        """Reduce an exact `numpy.ndarray` of any dtype, layout and owner."""
        dtype, flags = array.dtype, array.flags
        if dtype.hasobject or dtype.kind == "T" or dtype.type is None:
            return self._without_memory(array)
        readonly = () if flags.writeable else (True,)
        if array.size == 0 or dtype.itemsize == 0:
            self.small[id(array)] = array
            order = None if flags.c_contiguous else (0, array.strides)  # items of zero bytes
            return array_call, (b"", array.shape, self._describe(dtype), order, *readonly)
        entry: Array | Block = array
        layout = None
        if array.nbytes < self.threshold and not self.share and in_rows(array):
            self._note_owner(array, True)
            self.small[id(array)] = array
            more = (None, True) if readonly else ()
            return array_call, (array.tobytes(), array.shape, self._describe(dtype), *more)
        if not flags.c_contiguous:
            layout = (0, array.strides)
            if not flags.f_contiguous:
                entry, layout = plan(array, whole=self.whole)
        small = entry.nbytes < self.threshold
        self._note_owner(array, small)
        rest: tuple[Any, ...] = (array.shape, self._describe(dtype))
        if layout is not None or readonly:
            rest += (layout, *readonly)
        if small and not self.share:
            self.small[id(array)] = array
            return array_call, (small_bytes(entry), *rest)
        self.entries.append(entry)
        return array_call, (len(self.entries) - 1, *rest)

    def _describe(self, dtype: np.dtype[Any]) -> Any:
        """Describe a dtype; the same dtype always gives the same object, which the header then has once."""
        known = self.descriptions.get(id(dtype))
        if known is None:
            known = self.descriptions[id(dtype)] = dtype, describe(dtype)
        return known[1]

    def _note_owner(self, array: Array, small: bool) -> None:
        """Record the owner of an array's memory; a small array that shares memory may not be copied."""
        base = array.base
        if self.share or self.apart or (self.owners is None and base is None):
            return
        self._note(id(base) if type(base) is np.ndarray and base.base is None else owner_key(array), small)

    def _note(self, owner: int, small: bool) -> None:
        if self.owners is None:
            self.owners = {owner_key(provider_of(entry)): False for entry in self.entries}
            self.owners.update((owner_key(other), True) for other in self.small.values())
        before = self.owners.get(owner)
        if before is None:
            self.owners[owner] = small
        elif small or before:
            raise ShareAgain
        else:
            self.views = True

    def _without_memory(self, array: Array) -> Reduced:
        """Reduce an array whose elements are objects, hold objects, or are strings in numpy's own memory."""
        self.named = True
        readonly = not array.flags.writeable
        axes, in_order = None, array
        if not array.flags.c_contiguous:
            axes = tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
            in_order = array.transpose(axes)
        if array.dtype.kind == "T":
            items = in_order.ravel().tolist()
            return calls.strings, (describe(array.dtype), array.shape, items, axes or False, readonly)
        if array.dtype.names is not None:
            fields = [array[name] for name in array.dtype.names]
            parts = describe(array.dtype), array.shape, axes
            return calls.structures, parts, (fields, readonly), None, None, calls.items
        if array.dtype.char != "O" or array.dtype.metadata:
            return array.__reduce_ex__(5)
        return (
            calls.objects,
            (array.shape, axes),
            (in_order.ravel().tolist(), readonly),
            None,
            None,
            calls.items,
        )

    def subclass(self, array: Array) -> Reduced:
        """Reduce an instance of a subclass of `numpy.ndarray`."""
        self.named = True
        cls = type(array)
        if pickles_as(cls, np.ma.MaskedArray):
            return self._masked(array)
        if not pickles_as(cls, np.ndarray):
            return array.__reduce_ex__(5)
        base = array.view(np.ndarray)
        attributes = {} if issubclass(cls, np.memmap) else dict(getattr(array, "__dict__", {}))
        if not attributes or attributes == _OF_MATRICES:
            return calls.subclass, (cls, base)
        return calls.subclass, (cls, base), attributes, None, None, calls.attributes

    def _masked(self, masked: Any) -> Reduced:
        mask = None if masked._mask is np.ma.nomask else masked._mask
        parts = (type(masked), masked._data, mask, masked._fill_value, masked._hardmask)
        attributes = {name: value for name, value in vars(masked).items() if name not in _MASKED_STATE}
        if masked._optinfo and masked._optinfo != _OF_MATRICES:
            attributes["_optinfo"] = masked._optinfo
        if not attributes or attributes == _OF_MATRICES:
            return calls.masked, parts
        return calls.masked, parts, attributes, None, None, calls.attributes

    def scalar(self, scalar: Any) -> Reduced:
        """Reduce a numpy scalar."""
        self.named = True
        if isinstance(scalar, np.str_):
            return calls.scalar, ("U", str.__str__(scalar))  # numpy's own text drops NULs at the end
        if isinstance(scalar, np.bytes_):
            return calls.scalar, ("S", bytes.__getitem__(scalar, slice(None)))
        if scalar.dtype.hasobject:
            return scalar.__reduce_ex__(5)
        return calls.scalar, (describe(scalar.dtype), scalar.tobytes())

    def dtype(self, dtype: np.dtype[Any]) -> Reduced:
        """Reduce a dtype."""
        kind: Any = dtype.type
        if kind is None:  # an experimental dtype of the user's
            return dtype.__reduce__()
        self.named = True
        return calls.dtype, (describe(dtype),)

    def outside_buffer(self, buffer: Any) -> bool:
        """Take a buffer that an object's own ``__reduce_ex__(5)`` offers; True leaves it in the header."""
        view: memoryview = buffer.raw()
        if view.nbytes < self.threshold:
            return True
        if not self.share and not self.apart:
            self._note(owner_key(view), small=False)
        self.outside.append(view)
        return False


def in_rows(array: Array) -> bool:
    """Tell whether an array is in C order, with or without gaps: a copy of it needs no layout.

    >>> in_rows(np.zeros((3, 4))[:, 1:3]), in_rows(np.zeros((3, 4)).T)
    (True, False)
    """
    reach = array.itemsize
    for length, stride in zip(reversed(array.shape), reversed(array.strides), strict=True):
        if length > 1:
            if stride < reach:
                return False
            reach = stride * length
    return True


def pickles_as(cls: type, base: type) -> bool:
    """Tell whether instances of `cls` pickle with the methods of `base`."""
    return all(
        getattr(cls, name, None) is getattr(base, name, None)
        for name in ("__reduce__", "__reduce_ex__", "__setstate__", "__getstate__")
    )


def provider_of(entry: object) -> Any:
    """Return the object that owns the memory of an entry."""
    return entry.array if isinstance(entry, Block) else entry


def small_bytes(entry: Array | Block) -> bytes:
    """Copy a small entry: an array in C or Fortran order, or a block; a sparse one is compact already."""
    if not isinstance(entry, Block):
        return entry.tobytes("A")
    return b"".join(entry.pieces())
