"""Build canned objects under ``trust="data"`` as `Builder` does, with every argument checked."""

from __future__ import annotations

import array as stdarray
import math
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError, is_of_signal
from ...limits import Limits
from ...memory.buffers import flat
from ...memory.coming import Coming
from ...memory.layout import native
from ...types.allowed import Allowed, refuse
from ...types.arrays import (
    CannedMasked,
    CannedObjects,
    CannedStrings,
    fill_objects,
    make_stdlib_array,
    words_of,
)
from ...types.budget import Work
from ...types.canned import make_bytes
from ...types.libraries.checks import check
from ...types.registry import Registry
from ...wire.names import CALLS
from .data_reader import DataReader
from .opcodes import Name
from .plain_arrays import (
    Dtypes,
    charge_unreal,
    check_fit,
    checked_array,
    checked_axes,
    checked_scalar,
    checked_shape,
    count_parts,
)
from .plain_exceptions import fill_raised, make_raised
from .prices import ITEM, price_of_decoder, weigh
from .sealing import Seals

_TYPECODES: Final = frozenset(stdarray.typecodes) - frozenset("uw")
_FORMATS: Final = frozenset("bBhHiIlLqQnNfd?c")
_MARK: Final = "<" if sys.byteorder == "little" else ">"
_MASKABLE: Final = (np.ndarray, np.matrix, np.recarray)


class DataBuilder:
    """Build the objects that a stranger's header may hold.

    Args:
        buffers: the message's buffers by number.
        registry: decoders registered with ``data=True`` are called with plain data.
        allowed, limits: the classes and sizes that the reader allows.
        work: the account of the time and memory that reading takes.
        deserialize: reads a message inside this one, with the same trust.
    """

    def __init__(
        self,
        buffers: Any,
        registry: Registry,
        allowed: Allowed,
        limits: Limits,
        work: Work,
        deserialize: Callable[[list[Any]], Any],
    ) -> None:
        self.buffers = buffers
        self.count = len(buffers)
        self.registry = registry
        self.allowed = allowed
        self.limits = limits
        self.deserialize = deserialize
        self.work = work
        self.dtypes = Dtypes(work)
        self.told_dtypes = Dtypes(work, objects=True)
        self.fitting: Any = None
        self.seals = Seals(limits, work)
        self.note_array: Callable[[Any, list[Any]], None]
        self.note_filled: Callable[[Any, list[Any]], None]

    def read(self, data: bytes, outside: Any) -> Any:
        """Read a header."""
        reader = DataReader(
            *(data, self.constructor, self.allowed, self.limits, outside, self.work),
            plain_array=self.plain_array,
            seals=self.seals,
        )
        self.note_array, self.note_filled = reader.note_array, reader.note_filled
        try:
            made = reader.read()
        finally:
            del self.note_array, self.note_filled  # a cycle with the reader, which would keep the objects
        if self.seals.unfilled:
            raise DeserializationError("the header ends with an array of objects without any")
        return made

    def constructor(self, module: str, name: str) -> Callable[..., Any] | None:
        """Return the function for a name of this package, if the header may call it."""
        found = CALLED.get((module, name))
        if isinstance(found, str):
            method: Callable[..., Any] = getattr(self, found)
            return method
        return found

    def _memory(self, source: Any) -> Any:
        if type(source) is bytes:
            return source
        if type(source) is not int or not 0 <= source < self.count:
            raise DeserializationError("a buffer that the message does not have")
        return self.buffers[source]

    def plain_array(
        self, source: object, shape: Any, description: object, layout: Any = None, readonly: bool = False
    ) -> Any:
        """Build an array as `ArrayCalls` matches it: most arrays take this path."""
        if type(source) is bytes:
            self.work.copy(len(source))
            memory: Any = bytearray(source)
        else:
            memory = self._memory(source)
        dtype = self.dtypes.build(description)
        if layout is not None or not dtype.itemsize or 0 in shape or type(memory) is Coming:
            return checked_array(memory, (shape, description, layout, readonly), self.dtypes, self.work)
        size = len(memory)
        sizes = shape, dtype.itemsize, size
        if sizes != self.fitting:  # many arrays of a message have the size of the one before
            check_fit(shape, None, dtype.itemsize, size)
            self.fitting = sizes
        array = np.ndarray(shape, dtype, memory)
        flags = array.flags
        if not flags.aligned:
            return checked_array(memory, (shape, description, None, readonly), self.dtypes, self.work)
        if readonly:
            flags.writeable = False
        return array

    def array(self, *args: Any) -> Any:
        """Build an array."""
        memory = self._memory(args[0])
        if type(memory) is bytes and memory is args[0]:
            self.work.copy(len(memory))
            memory = bytearray(memory)
        return checked_array(memory, args[1:], self.dtypes, self.work)

    def raw(self, *args: Any) -> Any:
        """Build bytes, or a bytearray."""
        check(args, (int, bytes), bool, optional=1)
        memory = self._memory(args[0])
        self.work.copy(len(memory))
        return make_bytes(memory, len(args) > 1 and args[1])

    def objects(self, *args: Any) -> Any:
        """Make an array of objects; its elements follow later."""
        check(args, tuple, (tuple, type(None)))
        shape, axes = checked_shape(args[0]), args[1]
        checked_axes(axes, shape)
        self.work.copy(8 * math.prod(shape))
        charge_unreal(shape, 8, 8 * math.prod(shape), self.work)
        array = CannedObjects.make(shape, axes)
        self.seals.unfilled[id(array)] = array
        return array

    def fill_objects(self, *args: Any) -> Any:
        """Put the elements into such an array, once."""
        array, (items, readonly) = args
        check((items, readonly), list, bool)
        if id(array) not in self.seals.unfilled or array.size != len(items):
            raise DeserializationError("objects that do not fit their array")
        self.note_array(array, items)  # raises if the array is one of its own elements
        del self.seals.unfilled[id(array)]
        fill_objects(array, (items, readonly))

    def exception(self, *args: Any) -> Any:
        """Make a builtin exception that was raised."""
        if len(args) != 2 or type(args[0]) is not Name:
            raise refuse("an exception that is not builtin")
        return make_raised(args[0].make, args[1])

    exception.takes_classes = True  # type: ignore[attr-defined]

    def fill_exception(self, *args: Any) -> None:
        """Set the attributes and links of an exception, once all of them are there."""
        obj, state = args
        self.seals.check_open(obj)
        self.note_filled(obj, fill_raised(obj, state))

    def strings(self, *args: Any) -> Any:
        """Build an array of variable-width strings."""
        check(args, tuple, tuple, list, (tuple, bool), bool)
        description, shape, items, axes, readonly = args
        checked_axes(axes, checked_shape(shape))
        if description[:1] != ("string",) or len(description) != 4:
            raise DeserializationError("an invalid array of strings")
        check(description[1:], bool, bool, (str, float, type(None)))
        if any(type(item) not in (str, float, type(None)) for item in items):
            raise DeserializationError("an array of strings with something else in it")
        letters = sum(len(item) for item in items if type(item) is str)
        self.work.spend(300 * len(items) + letters, 32 * len(items) + 4 * letters)
        charge_unreal(shape, 16, 16 * len(items), self.work)
        return CannedStrings.make(description, shape, items, axes, readonly)

    def scalar(self, *args: Any) -> Any:
        """Make a numpy scalar."""
        return checked_scalar(args, self.dtypes)

    def dtype(self, *args: Any) -> Any:
        """Make a dtype."""
        check(args, (str, tuple))
        return self.told_dtypes.build(args[0])

    def view(self, *args: Any) -> memoryview:
        """View an array that was built before as a memoryview."""
        check(args, np.ndarray, (str, type(None)), (tuple, type(None)), bool)
        array, code, shape, readonly = args
        if array.dtype.hasobject:
            raise DeserializationError("a memoryview of objects")
        padding = array.dtype.itemsize if array.dtype.base.names else 0  # each padding byte is in the format
        self.work.spend(
            2000 * (count_parts(array.dtype) + array.ndim) + 8 * padding, 100 * array.ndim + 3 * padding
        )
        made: memoryview = memoryview(array)
        if code is not None:
            code = code.removeprefix(_MARK)  # ctypes adds this mark, and only ctypes can set it again
            if code.lstrip("@") not in _FORMATS or shape is None:
                raise DeserializationError("an invalid format of a memoryview")
            if not array.flags.c_contiguous:
                self.work.copy(array.nbytes)
                array = array.copy(order="C")
            if not array.dtype.isnative:
                self.work.copy(array.nbytes)
            made = (
                flat(native(array)).cast(code, checked_shape(shape))
                if array.size
                else memoryview(b"").cast(code)
            )
        return made.toreadonly() if readonly else made

    def stdlib_array(self, *args: Any) -> Any:
        """Build an `array.array`."""
        check(args, str, int, np.ndarray)
        typecode, itemsize, memory = args
        if typecode not in _TYPECODES or stdarray.array(typecode).itemsize != itemsize:
            raise DeserializationError("an array.array of items that this machine does not have")
        if memory.dtype.newbyteorder("=") != words_of(typecode, itemsize) or not memory.flags.c_contiguous:
            raise DeserializationError("an array.array of something other than its bytes")
        self.work.copy(memory.nbytes if memory.dtype.isnative else 2 * memory.nbytes)
        return make_stdlib_array(typecode, itemsize, memory)

    def masked(self, *args: Any) -> Any:
        """Build a masked array."""
        cls, data, mask, fill, hard = _class_of(args, 5), *args[1:]
        if cls is not np.ma.MaskedArray or type(data) not in _MASKABLE or type(hard) is not bool:
            raise DeserializationError("an invalid masked array")
        self.seals.seal((data, mask, fill))
        for part, shape in ((mask, data.shape), (fill, ())):
            if part is not None and (type(part) is not np.ndarray or part.shape != shape):
                raise DeserializationError("a masked array whose parts do not fit")
        if data.dtype.names:
            parts = count_parts(data.dtype)
            self.work.spend(20_000 * parts, 400 * parts)
        if mask is not None and mask.dtype != np.ma.make_mask_descr(data.dtype):
            raise DeserializationError("an invalid mask")
        if fill is not None and fill.dtype != data.dtype:
            raise DeserializationError("a fill value of another dtype")
        return CannedMasked.make(cls, data, mask, fill, hard)

    def subclass(self, *args: Any) -> Any:
        """View an array as a matrix or a record array."""
        cls, array = _class_of(args, 2), args[1]
        if type(array) is not np.ndarray or cls is np.ma.MaskedArray:
            raise DeserializationError("an invalid subclass of an array")
        self.seals.seal((array,))
        return array.view(cls)

    def message(self, *args: Any) -> Any:
        """Read a message inside this one."""
        return self.deserialize([self._memory(source) for source in args])

    def registered(self, *args: Any) -> Any:
        """Call a decoder that was registered as safe."""
        if len(args) != 3 or type(args[0]) is not str or args[2] is not None:
            raise refuse("an object of a registered type with a class of its own")
        canner = self.registry.by_name(args[0][:200], imports=False)
        uncan = canner.uncan if canner.data is True else canner.data
        if not uncan:
            raise DeserializationError(
                f"{canner.name} is registered without data=True: if its uncan is safe with whatever state a "
                'stranger makes up, register it so; else load the message with trust="code"'
            )
        self._charge_decoder(canner.name, args[1])
        try:
            with self.work.decoding():
                return uncan(args[1])
        except Exception as error:
            if is_of_signal(error):
                raise
            why = str(error) if isinstance(error, DeserializationError) else type(error).__name__
            raise DeserializationError(f"the decoder of {canner.name} refused its data: {why}") from error

    def _charge_decoder(self, name: str, state: object) -> None:
        time, memory = price_of_decoder(name)
        self.work.spend(time, memory)
        items, nbytes = weigh(state, self.allowed, self.work.time // ITEM)
        self.work.spend(ITEM * items + nbytes, 8 * items + nbytes)
        self.seals.seal((state,))


def _class_of(args: tuple[Any, ...], count: int) -> type:
    if len(args) != count or type(args[0]) is not Name or args[0].cls is None:
        raise DeserializationError("a class is missing where one belongs")
    cls: type = args[0].cls
    if not issubclass(cls, np.ndarray) or any(type(arg) is Name for arg in args[1:]):
        raise refuse("a class in an unusual place")
    return cls


for _method in (DataBuilder.subclass, DataBuilder.masked):
    _method.takes_classes = True  # type: ignore[attr-defined]


def set_attributes(*args: Any) -> None:
    """Accept objects without attributes of their own."""
    if len(args) != 2 or type(args[1]) is not dict or not isinstance(args[0], np.ndarray):
        raise refuse("attributes of something that has none")
    if args[1]:
        raise refuse("attributes of an array")


CALLED: Final[dict[tuple[str, str], str | Callable[..., Any]]] = {
    **{(CALLS, name): name for name in ("array", "strings", "masked", "scalar", "dtype", "raw", "view")},
    (CALLS, "objects"): "objects",
    (CALLS, "items"): "fill_objects",
    **{(CALLS, name): name for name in ("exception", "fill_exception")},
    **{(CALLS, name): name for name in ("message", "registered")},
    (CALLS, "subclass"): "subclass",
    (CALLS, "attributes"): set_attributes,
    (CALLS, "stdlib_array"): "stdlib_array",
}
"""The names of this package that a header may call: functions, and methods of `DataBuilder` by name."""
