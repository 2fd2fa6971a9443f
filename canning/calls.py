"""What headers call, each by a name that stands for nothing else.

A plain unpickler finds these functions and gets the *skeleton* of an object: canned objects, whose buffers
are None. Readers that make live objects at once put constructors of their own instead of every name of
this module, and of no other. So the classes themselves, `CannedArray` and its like, can be part of somebody's
object, as any other class, and every other module may be called what it likes. What code needs that came by
value is made by modules above, which `provided` finds.
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
    """Stand for an array; see `CannedArray`."""
    return CannedArray(*args)


def objects(*args: Any) -> CannedObjects:
    """Stand for an array of Python objects."""
    return CannedObjects(*args)


def structures(*args: Any) -> CannedStructures:
    """Stand for an array of structures that hold objects."""
    return CannedStructures(*args)


def strings(*args: Any) -> CannedStrings:
    """Stand for an array of variable-width strings."""
    return CannedStrings(*args)


def subclass(*args: Any) -> CannedSubclass:
    """Stand for an instance of a subclass of arrays."""
    return CannedSubclass(*args)


def masked(*args: Any) -> CannedMasked:
    """Stand for a masked array."""
    return CannedMasked(*args)


def scalar(*args: Any) -> CannedScalar:
    """Stand for a numpy scalar."""
    return CannedScalar(*args)


def dtype(*args: Any) -> CannedDtype:
    """Stand for a dtype."""
    return CannedDtype(*args)


def raw(*args: Any) -> CannedBytes:
    """Stand for `bytes`, or a `bytearray`."""
    return CannedBytes(*args)


def view(*args: Any) -> CannedMemoryView:
    """Stand for a `memoryview`."""
    return CannedMemoryView(*args)


def message(*args: Any) -> CannedMessage:
    """Stand for an object that was serialized before."""
    return CannedMessage(*args)


def reference(*args: Any) -> Reference:
    """Stand for a name in the reader's namespace."""
    return Reference(*args)


def canned(*args: Any) -> CannedObject:
    """Stand for what a canned object stands for."""
    return open_canned(*args)


def registered(*args: Any) -> CannedRegistered:
    """Stand for an object of a registered type."""
    return CannedRegistered(*args)


def named(module: str, name: str) -> Any:
    """Give what a name stands for that led nowhere where the message was written; see `Stub`."""
    return provided("named")(module, name)


def stub(blob: bytes) -> Any:
    """Read what stands for an object whose class was not here, from a message of its own."""
    return provided("stub")(blob)


def items(array: object, state: tuple[list[Any], bool]) -> None:
    """Put the elements of an array of objects in, or the fields of one of structures."""
    holds_fields = isinstance(array, CannedStructures) or (
        isinstance(array, np.ndarray) and array.dtype.names is not None
    )
    (fill_structures if holds_fields else fill_objects)(array, state)


def attributes(obj: object, given: dict[str, Any]) -> None:
    """Give an object that was just made the attributes which it had."""
    set_attributes(obj, given)


def stdlib_array(typecode: str, itemsize: int, memory: object) -> Any:
    """Make an `array.array`."""
    return make_stdlib_array(typecode, itemsize, memory)


# -- code by value -----------------------------------------------------------------------------------------


def function(*parts: Any) -> types.FunctionType:
    """Make a function that came by value."""
    made: types.FunctionType = provided("function")(*parts)
    return made


def function_of(home: str, *parts: Any) -> types.FunctionType:
    """Make such a function in the module that it is of, which is imported."""
    made: types.FunctionType = provided("function_of")(home, *parts)
    return made


def fill(made: types.FunctionType, state: object) -> None:
    """Give such a function its attributes, closure and globals."""
    provided("fill")(made, state)


def source(text: str, way: tuple[str, ...], name: str) -> types.CodeType:
    """Make a code object of source that arrived."""
    made: types.CodeType = provided("source")(text, way, name)
    return made


def code(kind: str, pickled: bytes) -> CannedObject:
    """Make a canned function or class again."""
    made: CannedObject = provided("code")(kind, pickled)
    return made


def enum(*parts: Any) -> Any:
    """Make an enum that came by value, with its members."""
    return provided("enum")(*parts)


def fill_enum(made: object, state: object) -> None:
    """Give such an enum its methods, and its members their attributes."""
    provided("fill_enum")(made, state)


def empty_class(*parts: Any) -> Any:
    """Make a class that came by value, with the first part of its body."""
    return provided("empty_class")(*parts)


def fill_class(made: object, state: object) -> None:
    """Give such a class the rest of its body."""
    provided("fill_class")(made, state)


def ahead(made: object, attributes: object) -> None:
    """Give such a class what its instances need to be made and hashed, before its functions are filled."""
    provided("ahead")(made, attributes)


def struct(*parts: Any) -> Any:
    """Make a Struct of msgspec's that came by value."""
    return provided("struct")(*parts)


def exception(*parts: Any) -> BaseException:
    """Make an exception without its ``__init__``."""
    made: BaseException = provided("exception")(*parts)
    return made


def fill_exception(made: BaseException, state: object) -> None:
    """Give an exception its attributes, cause, context, notes and traceback."""
    provided("fill_exception")(made, state)


def traceback(steps: object) -> types.TracebackType:
    """Make a traceback that shows the same places."""
    made: types.TracebackType = provided("traceback")(steps)
    return made


def cached(*parts: Any) -> Any:
    """Wrap a function with a cache again, which is empty."""
    return provided("cached")(*parts)


def dispatching(*parts: Any) -> Any:
    """Make a method that dispatches by the class of its argument."""
    return provided("dispatching")(*parts)


def forward_ref(*parts: Any) -> Any:
    """Make an annotation that is a text yet."""
    return provided("forward_ref")(*parts)


def typing_form(*parts: Any) -> Any:
    """Make a type variable, an alias or a new type."""
    return provided("typing_form")(*parts)


def alias(*parts: Any) -> Any:
    """Make an alias of a `type` statement, without what it stands for yet."""
    return provided("alias")(*parts)


def fill_alias(made: Any, state: Any) -> None:
    """Give such an alias what it stands for."""
    provided("fill_alias")(made, state)


def state(made: Any, given: Any) -> None:
    """Give an instance its attributes without asking it for a way of its own, which its class has not."""
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
"""The classes of what is made of parts, by what is called in their place."""
MAKERS: Final = {call.__name__: cls.make for call, cls in PARTS.items()}
"""What makes the object itself of the same parts, by name."""
