"""Annotations of functions and classes that are sent by value, and dataclasses sent as source.

Since Python 3.14 annotations are kept as code that runs on demand, may fail forever, and serves nothing else:
https://peps.python.org/pep-0649/. Their values at the sender are sent, in the form of earlier versions.

`dataclasses` writes ``__init__`` and its like as text, executes it, and drops it. So a class is sent without
them, and without the attributes of `dataclasses` in it, which differ between versions of Python. The
receiver's own `dataclasses` adds all of them to the received class.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import types
from typing import Any, Final

from ..errors import is_of_signal

STORED: Final = ("__annotations__", "__annotations_cache__", "__annotate__", "__annotate_func__")
"""Attributes of a class that hold its annotations, in all versions: the last three since 3.14."""


def annotations_of(obj: object) -> dict[str, Any]:
    """Return the annotations of a function, or of a class without its bases; one without a value as its text.

    >>> def add(a: int): ...
    >>> add.__annotations__ = {"a": int}
    >>> annotations_of(add)
    {'a': <class 'int'>}
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        for way in (Format.VALUE, Format.FORWARDREF, Format.STRING):
            with contextlib.suppress(Exception):  # an expression may raise anything
                return get_annotations(obj, format=way)
        return {}
    own = vars(obj) if isinstance(obj, type) else {"__annotations__": obj.__annotations__}
    return dict(own.get("__annotations__", {}))


def with_annotations(function: types.FunctionType) -> types.FunctionType:
    """Return a function whose annotations can be read: itself, or a copy without them."""
    try:
        function.__annotations__  # noqa: B018
    except Exception as error:
        if is_of_signal(error):
            raise
        copy = copy_of(function)
        copy.__annotations__ = annotations_of(function)
        return copy
    return function


def copy_of(function: types.FunctionType) -> types.FunctionType:
    """Copy a function without its annotations."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__dict__.update(function.__dict__)
    copy.__kwdefaults__, copy.__doc__ = function.__kwdefaults__, function.__doc__
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return copy


_OPTIONS: Final = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD: Final = ("default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")
_KEPT: Final = ("__dataclass_fields__", "__dataclass_params__")
_MADE: Final = "__create_fn__.<locals>."
"""The file name in the code of functions that `dataclasses` made."""
Fields = dict[str, tuple[bool, Any, dict[str, Any]]]
"""For each of the class's own fields: whether it is an `InitVar`, its type, arguments of its `field`."""


Dataclass = tuple[dict[str, Any], Fields]
"""The options of a dataclass, and its fields."""


def without_made(cls: type, body: dict[str, Any]) -> Dataclass | None:
    """Remove the attributes that `dataclasses` made from the body of a class; None if there are none."""
    if "__dataclass_params__" not in body:
        return None
    options = {option: getattr(body["__dataclass_params__"], option) for option in _OPTIONS}
    for name, value in list(body.items()):
        if name in _KEPT or is_made(value):
            del body[name]
    return options, _fields_of(cls)


def _fields_of(cls: type) -> Fields:
    inherited = {
        id(field) for base in cls.__mro__[1:] for field in vars(base).get("__dataclass_fields__", {}).values()
    }
    fields: Fields = {}
    for name, found in vars(cls)["__dataclass_fields__"].items():
        kind = found._field_type.name
        if id(found) not in inherited and kind in ("_FIELD", "_FIELD_INITVAR"):
            said = {part: getattr(found, part) for part in _FIELD}
            said = {part: value for part, value in said.items() if value is not dataclasses.MISSING}
            said["metadata"] = dict(found.metadata)
            fields[name] = kind == "_FIELD_INITVAR", found.type, said
    return fields


def add_made(cls: Any, dataclass: Dataclass) -> None:
    """Make a class a dataclass again."""
    options, fields = dataclass
    own = dict(vars(cls))
    # A text with InitVar or ClassVar is looked up in the module, which may be missing here.
    init: Any = dataclasses.InitVar(object)
    cls.__annotations__ = {name: init if is_init else object for name, (is_init, _, _) in fields.items()}
    for name, (_, _, said) in fields.items():
        setattr(cls, name, dataclasses.field(**said))
    dataclasses.dataclass(**options)(cls)
    for name, (_, kind, _) in fields.items():
        vars(cls)["__dataclass_fields__"][name].type = kind
    for name in (*fields, "__match_args__", "__doc__", "__annotations__"):
        if name in own:  # a default, or the descriptor of a slot
            setattr(cls, name, own[name])
        elif name in vars(cls):
            delattr(cls, name)


def is_made(value: object) -> bool:
    """Tell whether `dataclasses` made a function, which then has no source."""
    value = getattr(value, "__wrapped__", value) if type(value) is types.FunctionType else None
    if type(value) is not types.FunctionType:
        return False
    # Python 3.13 adds a function to every dataclass that older versions do not have.
    return value.__code__.co_qualname.startswith(_MADE) or value is getattr(dataclasses, "_replace", None)
