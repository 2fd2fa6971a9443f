"""The names that headers call, as plain data, for code that analyses a header and calls nothing."""

from __future__ import annotations

from typing import Final

CALLS: Final = "canning.calls"
"""The module that headers name."""
NAMED: Final = (CALLS, "named")
"""Called with a name that could not be found where the message was written."""
PURPOSES: Final = {
    "array": "an array",
    "objects": "an array of objects",
    "structures": "an array of structures that hold objects",
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
    "stub": "what stands for an object whose class was not there",
    "items": "what an array of objects holds",
    "attributes": "attributes",
    "stdlib_array": "an array.array",
    "function": "a function by value: its code comes with the message",
    "function_of": "a function by value, in a module that is imported: its code comes with the message",
    "fill": "what belongs to a function by value",
    "source": "code by value, which comes as source",
    "code": "a canned function or class: its code comes with the message",
    "empty_class": "a class by value: its code comes with the message",
    "fill_class": "what belongs to a class by value",
    "ahead": "what belongs to a class by value",
    "enum": "an enum by value: its code comes with the message",
    "fill_enum": "what belongs to an enum by value",
    "struct": "a Struct by value: its code comes with the message",
    "exception": "an exception",
    "fill_exception": "what belongs to an exception: attributes, cause, context, notes, traceback",
    "traceback": "a traceback: files, functions and lines",
    "cached": "a function by value, with a cache",
    "dispatching": "a method by value, which dispatches by class",
    "forward_ref": "an annotation",
    "typing_form": "a type variable or an alias by value",
    "alias": "an alias of a type statement by value",
    "fill_alias": "what such an alias stands for",
    "state": "the attributes of an instance",
}
"""The meaning of each of them, as reports and errors describe it."""
SUBIMPORT: Final = ("cloudpickle.cloudpickle", "subimport")
"""The calls that import a module which a message needs."""
