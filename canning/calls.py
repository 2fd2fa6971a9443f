"""The functions that headers call; no header calls any other name of this package.

A plain unpickler finds these functions and builds the *skeleton* of an object: canned objects, whose buffers
are None. Readers that make live objects at once replace every name of this module by constructors of their
own, and no other name. So the classes themselves, `CannedArray` and its like, can be part of a user's object,
like any class, and every other module may have any name. Code sent by value needs modules of higher layers,
which `provided` finds.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from .provided import provided
from .types.arrays import (
    CannedArray,
    CannedDtype,
    CannedMasked,
    CannedObjects,
    CannedScalar,
    CannedStrings,
    CannedStructures,
    CannedSubclass,
    fill_objects,
    fill_structures,
    make_stdlib_array,
)
from .types.canned import (
    CannedBytes,
    CannedMemoryView,
    CannedMessage,
    CannedObject,
    CannedParts,
    CannedRegistered,
    Reference,
    open_canned,
    set_attributes,
)


def array(*args: Any) -> CannedArray:
    """Represent an array; see `CannedArray`."""
    return CannedArray(*args)


def objects(*args: Any) -> CannedObjects:
    """Represent an array of Python objects."""
    return CannedObjects(*args)


def structures(*args: Any) -> CannedStructures:
    """Represent an array of structures that hold objects."""
    return CannedStructures(*args)


def strings(*args: Any) -> CannedStrings:
    """Represent an array of variable-width strings."""
    return CannedStrings(*args)


def subclass(*args: Any) -> CannedSubclass:
    """Represent an instance of a subclass of arrays."""
    return CannedSubclass(*args)


def masked(*args: Any) -> CannedMasked:
    """Represent a masked array."""
    return CannedMasked(*args)


def scalar(*args: Any) -> CannedScalar:
    """Represent a numpy scalar."""
    return CannedScalar(*args)


def dtype(*args: Any) -> CannedDtype:
    """Represent a dtype."""
    return CannedDtype(*args)


def raw(*args: Any) -> CannedBytes:
    """Represent `bytes`, or a `bytearray`."""
    return CannedBytes(*args)


def view(*args: Any) -> CannedMemoryView:
    """Represent a `memoryview`."""
    return CannedMemoryView(*args)


def message(*args: Any) -> CannedMessage:
    """Represent an object that was serialized before."""
    return CannedMessage(*args)


def reference(*args: Any) -> Reference:
    """Represent a name in the reader's namespace."""
    return Reference(*args)


def canned(*args: Any) -> CannedObject:
    """Represent the object of a canned object."""
    return open_canned(*args)


def registered(*args: Any) -> CannedRegistered:
    """Represent an object of a registered type."""
    return CannedRegistered(*args)


def named(module: str, name: str) -> Any:
    """Return the object of a name that could not be found where the message was written; see `Stub`."""
    return provided("named")(module, name)


def stub(blob: bytes) -> Any:
    """Read the stub of an object whose class was missing, from a message of its own."""
    return provided("stub")(blob)


def items(array: object, state: tuple[list[Any], bool]) -> None:
    """Put the elements into an array of objects, or the fields into one of structures."""
    holds_fields = isinstance(array, CannedStructures) or (
        isinstance(array, np.ndarray) and array.dtype.names is not None
    )
    (fill_structures if holds_fields else fill_objects)(array, state)


def attributes(obj: object, given: dict[str, Any]) -> None:
    """Set the attributes of a new object to those it had at the sender."""
    set_attributes(obj, given)


def stdlib_array(typecode: str, itemsize: int, memory: object) -> Any:
    """Make an `array.array`."""
    return make_stdlib_array(typecode, itemsize, memory)


# -- code by value -----------------------------------------------------------------------------------------


def function(*parts: Any) -> types.FunctionType:
    """Make a function that was sent by value."""
    made: types.FunctionType = provided("function")(*parts)
    return made


def function_of(home: str, *parts: Any) -> types.FunctionType:
    """Make such a function in its own module, which is imported."""
    made: types.FunctionType = provided("function_of")(home, *parts)
    return made


def fill(made: types.FunctionType, state: object) -> None:
    """Set the attributes, closure and globals of such a function."""
    provided("fill")(made, state)


def source(text: str, way: tuple[str, ...], name: str) -> types.CodeType:
    """Make a code object from source that arrived."""
    made: types.CodeType = provided("source")(text, way, name)
    return made


def code(kind: str, pickled: bytes) -> CannedObject:
    """Make a canned function or class again."""
    made: CannedObject = provided("code")(kind, pickled)
    return made


def enum(*parts: Any) -> Any:
    """Make an enum that was sent by value, with its members."""
    return provided("enum")(*parts)


def fill_enum(made: object, state: object) -> None:
    """Set the methods of such an enum, and the attributes of its members."""
    provided("fill_enum")(made, state)


def empty_class(*parts: Any) -> Any:
    """Make a class that was sent by value, with the first part of its body."""
    return provided("empty_class")(*parts)


def fill_class(made: object, state: object) -> None:
    """Set the rest of the body of such a class."""
    provided("fill_class")(made, state)


def ahead(made: object, attributes: object) -> None:
    """Set the attributes of such a class that make and hash instances, before its functions are filled."""
    provided("ahead")(made, attributes)


def struct(*parts: Any) -> Any:
    """Make a Struct of msgspec's that was sent by value."""
    return provided("struct")(*parts)


def exception(*parts: Any) -> BaseException:
    """Make an exception without its ``__init__``."""
    made: BaseException = provided("exception")(*parts)
    return made


def fill_exception(made: BaseException, state: object) -> None:
    """Set the attributes, cause, context, notes and traceback of an exception."""
    provided("fill_exception")(made, state)


def traceback(steps: object) -> types.TracebackType:
    """Make a traceback that shows the same places."""
    made: types.TracebackType = provided("traceback")(steps)
    return made


def cached(*parts: Any) -> Any:
    """Wrap a function with an empty cache again."""
    return provided("cached")(*parts)


def dispatching(*parts: Any) -> Any:
    """Make a method that dispatches by the class of its argument."""
    return provided("dispatching")(*parts)


def forward_ref(*parts: Any) -> Any:
    """Make an annotation that is still text."""
    return provided("forward_ref")(*parts)


def typing_form(*parts: Any) -> Any:
    """Make a type variable, an alias or a new type."""
    return provided("typing_form")(*parts)


def alias(*parts: Any) -> Any:
    """Make an alias of a `type` statement, without its value yet."""
    return provided("alias")(*parts)


def fill_alias(made: Any, state: Any) -> None:
    """Set the value of such an alias."""
    provided("fill_alias")(made, state)


def state(made: Any, given: Any) -> None:
    """Set the attributes of an instance, without a look for `__setstate__`, which its class does not have."""
    provided("state")(made, given)


ALL: Final = (
    *(array, objects, structures, strings, subclass, masked, scalar, dtype, raw),
    *(view, message, reference, canned, registered, named, stub, items, attributes, stdlib_array),
    *(function, function_of, fill, source, code, empty_class, fill_class, ahead, enum, fill_enum, struct),
    *(
        exception,
        fill_exception,
        traceback,
        cached,
        dispatching,
        forward_ref,
        typing_form,
        alias,
        fill_alias,
        state,
    ),
)
PARTS: Final[Mapping[Any, type[CannedParts]]] = {
    objects: CannedObjects,
    structures: CannedStructures,
    strings: CannedStrings,
    subclass: CannedSubclass,
    masked: CannedMasked,
    scalar: CannedScalar,
    dtype: CannedDtype,
    view: CannedMemoryView,
    registered: CannedRegistered,
}
"""The classes of objects made from parts, by the call for each."""
MAKERS: Final = {call.__name__: cls.make for call, cls in PARTS.items()}
"""The functions that make the object itself from the same parts, by name."""
