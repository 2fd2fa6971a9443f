"""Dataclasses sent as source: their methods are generated again, since their source is not kept.

`dataclasses` writes ``__init__`` and its like as text, executes it, and drops it. So a class is sent without
them, and without the attributes of `dataclasses` in it, which differ between versions of Python. The
receiver's own `dataclasses` adds all of them to the received class.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Final

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
