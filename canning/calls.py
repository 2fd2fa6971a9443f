"""What headers call, each by a name that stands for nothing else.

A plain unpickler finds these functions and gets the *skeleton* of an object: canned objects, whose buffers
are None. Readers that make live objects at once put constructors of their own in the place of every name of
this module, and of no other. So the classes themselves, `CannedArray` and its like, can be part of somebody's
object, as any other class.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final

from .arrays import (
    CannedArray,
    CannedDtype,
    CannedMasked,
    CannedObjects,
    CannedScalar,
    CannedStrings,
    CannedSubclass,
)
from .canned import (
    CannedBytes,
    CannedMemoryView,
    CannedMessage,
    CannedObject,
    CannedParts,
    CannedRegistered,
    Reference,
    open_canned,
)
from .code.making import fill_function, make_function
from .code.renaming import look_up

CALLS: Final = __name__
"""The module that headers name."""
NAMED: Final = (CALLS, "named")
"""What is called with a name that led nowhere where the message was written."""


def array(*args: Any) -> CannedArray:
    """Stand for an array; see `CannedArray`."""
    return CannedArray(*args)


def objects(*args: Any) -> CannedObjects:
    """Stand for an array of Python objects."""
    return CannedObjects(*args)


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
    return look_up(module, name)


def function(*parts: Any) -> types.FunctionType:
    """Make a function that came by value."""
    return make_function(*parts)


def fill(made: types.FunctionType, state: Any) -> None:
    """Give such a function its attributes, closure and globals."""
    fill_function(made, state)


ALL: Final = (
    *(array, objects, strings, subclass, masked, scalar, dtype, raw),
    *(view, message, reference, canned, registered, named, function, fill),
)
PURPOSES: Final = {
    "array": "an array",
    "objects": "an array of objects",
    "strings": "an array of strings",
    "subclass": "an array of a subclass",
    "masked": "a masked array",
    "scalar": "a numpy scalar",
    "dtype": "a dtype",
    "raw": "bytes in a frame",
    "view": "a memoryview",
    "message": "a message within the message",
    "reference": "a name in the reader's namespace",
    "canned": "an object of a canned class",
    "registered": "an object of a registered type",
    "named": "a name that led nowhere at the writer",
    "function": "a function by value: its code comes with the message",
    "fill": "what belongs to a function by value",
}
"""What each of them stands for, in the words of reports and errors."""
PARTS: Final[Mapping[Any, type[CannedParts]]] = {
    objects: CannedObjects,
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

_OLD_MODULES: Final = {
    "canning.arrays": {
        "CannedArray": "array",
        "CannedObjects": "objects",
        "CannedStrings": "strings",
        "CannedSubclass": "subclass",
        "CannedMasked": "masked",
        "CannedScalar": "scalar",
        "CannedDtype": "dtype",
    },
    "canning.canned": {
        "CannedBytes": "raw",
        "CannedMemoryView": "view",
        "CannedMessage": "message",
        "Reference": "reference",
        "open_canned": "canned",
    },
    "canning.reducers": {"CannedRegistered": "registered"},
    "canning.functions": {"make_function": "function", "fill_function": "fill"},
}
OLD: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    (module, old): (CALLS, new) for module, names in _OLD_MODULES.items() for old, new in names.items()
}
"""The names of today, by those that version 1 of the format called."""
NONE: Final[Mapping[tuple[str, str], tuple[str, str]]] = {}


def old_names(stamp: bytes) -> Mapping[tuple[str, str], tuple[str, str]]:
    """Give the names of today by those of the version that a stamp tells; none where they are the same."""
    return OLD if stamp[4:] == b"\x01" else NONE
