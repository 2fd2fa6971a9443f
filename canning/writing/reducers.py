"""Reducers for each type of this package: metadata into the header, memory set aside.

A `Reducers` belongs to one writer and is filled by one message at a time. Its methods are entries of the
pickler's private dispatch table: each takes an object and returns the result of ``__reduce__``.
"""

from __future__ import annotations

import array as stdarray
import copyreg
import ctypes
import enum
import operator
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any, Final

import cloudpickle
import numpy as np

from .. import calls, code
from ..code.stubs import Stub, is_stub_class, made_by_us, reduce_stub, versions_of
from ..code.versions import note_class
from ..errors import SerializationError
from ..memory.buffers import flat
from ..memory.layout import dense_bytes
from ..types.arrays import words_of
from ..types.canned import IN_HEADERS, MARKS, CannedObject, CannedParts, PrePickled, Reference, ctypes_formats
from ..types.canner import Canner, canned_state
from .array_reducers import ArrayReducers, Reduced

_NATIVE: Final = frozenset("bBhHiIlLqQnNfd?cP")
"""Formats that `memoryview.cast` knows."""


class Reducers(ArrayReducers):
    """Add the reducers of all other types of this package to those of arrays."""

    def memoryview(self, view: memoryview) -> Reduced:
        """Reduce a memoryview of any format, shape and layout."""
        self.named = True
        if view.format[0] in MARKS and view.format in ctypes_formats():
            raw = pickle.PickleBuffer(view).raw() if view.c_contiguous else view.tobytes()
            memory = np.frombuffer(raw, np.uint8) if view.nbytes else np.empty(0, np.uint8)
            return calls.view, (memory, view.format, view.shape, view.readonly)
        if view.format.lstrip("@") not in _NATIVE or (not view.nbytes and view.ndim != 1):
            return calls.view, (_array_over(view), None, None, view.readonly)
        if not view.c_contiguous and view.format != "P":
            memory = np.asarray(view)
            if memoryview(np.empty(0, memory.dtype.str)).format == view.format:
                return calls.view, (memory, None, None, view.readonly)
        elif view.nbytes:
            raw = view.cast("B") if view.c_contiguous else view.tobytes()
            memory = np.frombuffer(raw, f"u{view.itemsize}")  # its dtype has the byte order
        else:
            memory = np.empty(0, np.uint8)
        return calls.view, (memory, view.format, view.shape, view.readonly)

    def stdlib_array(self, array: stdarray.array[Any]) -> Reduced:
        """Reduce an `array.array`; the reader copies it, since it owns its memory."""
        self.named = True
        if type(array) is not stdarray.array:
            return array.__reduce_ex__(5)
        return calls.stdlib_array, (
            array.typecode,
            array.itemsize,
            np.frombuffer(memoryview(array).cast("B"), words_of(array.typecode, array.itemsize)),
        )

    def method(self, method: types.MethodType) -> Reduced:
        """Reduce a bound method: by name if that name gives this very function at its owner.

        Without this, pickle asks for the name alone, and may get another function: for one from ``super()``,
        a private one, or one set under another name. A bound method that a module offers as a function,
        such as `random.choice`, is sent by that name, without its owner's state.
        """
        function, owner = method.__func__, method.__self__
        name: str = getattr(function, "__name__", "")
        if named_in_module(method, name):
            return name
        if self.by_value and not is_importable(owner if isinstance(owner, type) else type(owner)):
            return types.MethodType, (function, owner)  # its class may not have it yet
        if name not in getattr(owner, "__dict__", ()) or isinstance(owner, type):
            for base in (owner if isinstance(owner, type) else type(owner)).__mro__:
                own = _mangled(name, base)
                if own in vars(base):
                    found = vars(base)[own]
                    if found is function or getattr(found, "__func__", None) is function:
                        return getattr, (owner, own)
                    break
        return types.MethodType, (function, owner)

    def exception(self, error: BaseException) -> Reduced:
        """Reduce an exception, with its attributes and links."""
        reduced = code.exceptions.reduce_exception(error, bare=self.bare)
        if type(reduced) is tuple and reduced[-1] is calls.fill_exception:
            self.named = True
            self.linked = self.linked or error.__cause__ is not None or error.__context__ is not None
        return reduced

    def builtin(self, function: Any) -> Reduced:
        """Reduce a function written in C: a method by its module's name, if the module offers it."""
        owner, name = function.__self__, function.__name__
        module = type(owner).__module__
        if module == "builtins" or getattr(sys.modules.get(module), name, None) is not function:
            return function.__reduce__()
        self.named = True
        return calls.named, (module, name)

    def canned(self, canned: CannedObject) -> Reduced:
        """Reduce a canned object of any class: it arrives as the object that it represents."""
        self.named = True
        state = canned.__getstate__()
        state.pop("buffers", None)
        buffers = () if isinstance(canned, CannedParts) else canned.buffers
        cls = type(canned)
        kind = cls.__name__ if IN_HEADERS.get(cls.__name__) is cls else cls
        return calls.canned, (kind, state, *map(self._aside, buffers))

    def reference(self, reference: Reference) -> Reduced:
        """Reduce a reference, which the reader looks up."""
        self.named = True
        if type(reference) is not Reference:
            return reference.__reduce_ex__(5)
        return calls.reference, (reference.name,)

    def prepickled(self, ready: PrePickled) -> Reduced:
        """Reduce an object that was serialized before."""
        self.named = True
        return calls.message, tuple(map(self._aside, ready.frames))

    def code(self, body: types.CodeType) -> Reduced:
        """Reduce a code object, as source if that is asked for."""
        if self.as_source:
            self.named = True
            return code.code_source.reduce_code(body)
        self.bytecode = True
        reduced: Reduced = cloudpickle.Pickler.dispatch_table[types.CodeType](body)
        return reduced

    def stub(self, stub: Stub) -> Reduced:
        """Reduce a stub of an object whose class is missing to the steps that made it."""
        self.named = self.named or made_by_us(stub)
        return reduce_stub(stub, self._aside)

    def stub_class(self, cls: type) -> Reduced:
        """Reduce a name that could not be found, which no pickler writes, to a call that looks it up."""
        if cls is Stub:
            return cls.__qualname__  # as in pickle, the name by which it is found
        if not is_stub_class(cls):
            raise TypeError(f"cannot pickle {cls.__qualname__!r} class, one of whose bases is a stub")
        self.named = True
        self.versions.update(versions_of(cls))
        return calls.named, (cls.__module__, cls.__qualname__)

    def _aside(self, buffer: Any) -> Any:
        view = dense_bytes(buffer) if isinstance(buffer, np.ndarray) else memoryview(buffer)
        if view.nbytes < self.threshold:
            return view.tobytes()
        self.entries.append(flat(view))
        return len(self.entries) - 1

    def registered(self, canner: Canner) -> Callable[[Any], Reduced]:
        """Return the reducer of the types of a `canner`."""
        if self.portable:
            canner = self.registry.specified(canner)

        def reduce_registered(obj: object) -> Reduced:
            state = canned_state(canner, obj)
            if state is NotImplemented:
                note_class(type(obj), self.versions)
                return reduce_by_itself(obj)
            if type(state) is not tuple and isinstance(state, CannedObject):
                return self.canned(state)
            self.named = True
            cls = type(obj) if canner.wants_class else None
            if cls is not None:
                note_class(cls, self.versions)
            return calls.registered, (canner.name, state, cls)

        return reduce_registered


def _array_over(view: memoryview) -> Any:
    """View a memoryview as an array of its items."""
    item: Any = type(view.obj)
    while issubclass(item, ctypes.Array):
        item = item._type_
    if issubclass(item, ctypes.Structure) and view.c_contiguous and view.nbytes:
        # numpy would use the format, and warn before Python 3.12 that its padding is missing
        return np.frombuffer(pickle.PickleBuffer(view).raw(), np.dtype(item)).reshape(view.shape)
    try:
        return np.asarray(view)
    except (ValueError, TypeError) as error:
        raise SerializationError(f"a memoryview of format {view.format!r} cannot be sent") from error


def _mangled(name: str, cls: type) -> str:
    """Return the attribute name of a method in its class: Python mangles private ones."""
    if not name.startswith("__") or name.endswith("__"):
        return name
    return f"_{cls.__name__.lstrip('_')}{name}"


def named_in_module(method: object, name: str) -> bool:
    """Tell whether a module has this bound method under its name."""
    module: Any = getattr(method, "__module__", None)
    return module != "__main__" and getattr(sys.modules.get(module), name, None) is method


def is_importable(cls: type) -> bool:
    """Tell whether a class has a name that finds it in any process."""
    return bool(cloudpickle.cloudpickle._should_pickle_by_reference(cls))


def reduce_by_itself(obj: object) -> Reduced:
    """Reduce an object as pickle does without a registration."""
    reduce = copyreg.dispatch_table.get(type(obj))
    return obj.__reduce_ex__(5) if reduce is None else reduce(obj)


# -- instances without a registration --------------------------------------------------------------------

# They reduce as their class would do it, in half the time. ``object.__reduce_ex__`` looks for five methods
# and for slots in each instance, though the class answers once for the whole message: 10,000 small
# dataclasses took the C pickler 8.9 ms that way, and 6.8 ms this way. The result is the same.

_NEW: Final[Callable[..., Any]] = copyreg.__newobj__  # type: ignore[attr-defined]
_ASKED: Final = frozenset(
    (
        *("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs_ex__", "__getnewargs__"),
        *("__getattribute__", "__getattr__"),
    )
)
"""Methods by which a class decides how its instances are reduced."""
_BY_THEMSELVES: Final[Callable[[Any], Any]] = operator.methodcaller("__reduce_ex__", 5)


_OF_ENUMS: Final[tuple[Any, ...]] = (enum.Enum.__reduce_ex__, enum.Flag.__reduce_ex__)
"""Up to Python 3.11.3 these name the member, by a call of ``getattr``; from 3.11.4 on they give its value."""


class _Ordinary:
    """An ordinary class: its instances have attributes and nothing else."""


def reducer_of_instances(cls: type, known: set[type]) -> Callable[[Any], Any]:
    """Return the reducer of instances of a class that is not registered: a function, or their own method.

    `known` are the classes that this message has met: before the next message their methods may change.
    """
    if cls.__reduce_ex__ in _OF_ENUMS:
        return _reduce_member
    if not is_ordinary(cls):
        return _BY_THEMSELVES
    known.add(cls)
    args = (cls,)

    def reduce_ordinary(obj: object) -> Any:
        if cls not in known:
            if not _has_no_methods(cls):
                return obj.__reduce_ex__(5)
            known.add(cls)
        attributes = obj.__dict__
        if (  # an instance may have its own method; written out, since a loop would take twice as long
            "__reduce_ex__" in attributes
            or "__getstate__" in attributes
            or "__getnewargs_ex__" in attributes
            or "__getnewargs__" in attributes
        ):
            return obj.__reduce_ex__(5)
        return _NEW, args, attributes or None

    return reduce_ordinary


def _reduce_member(member: enum.Enum) -> Any:
    return type(member), (member._value_,)


def is_ordinary(cls: type) -> bool:
    """Tell whether instances of a class have only attributes, and reduce as `object` does.

    >>> class Point:
    ...     pass
    >>> is_ordinary(Point), is_ordinary(dict)
    (True, False)
    """
    layout = (cls.__basicsize__, cls.__itemsize__, cls.__dictoffset__)
    return (
        layout == (_Ordinary.__basicsize__, 0, _Ordinary.__dictoffset__)
        and not copyreg._slotnames(cls)  # type: ignore[attr-defined]
        and _has_no_methods(cls)
    )


def _has_no_methods(cls: Any) -> bool:
    return all(vars(base).keys().isdisjoint(_ASKED) for base in cls.__mro__[:-1]) and _has_ordinary_dict(cls)


def _has_ordinary_dict(cls: type) -> bool:
    for base in cls.__mro__:
        if "__dict__" in vars(base):
            return isinstance(vars(base)["__dict__"], types.GetSetDescriptorType)
    return False
