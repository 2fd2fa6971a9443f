"""Dataclasses that travel as source: their methods are made again, since nobody keeps the source of these.

`dataclasses` writes ``__init__`` and its like as text, executes it, and forgets it. So a class goes without
them, and without what `dataclasses` keeps in it, which differs between versions of Python. The receiver's own
`dataclasses` adds all that to the class which came.
"""

from __future__ import annotations

import dataclasses
import types
from typing import Any, Final

_OPTIONS: Final = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD: Final = ("default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")
_KEPT: Final = ("__dataclass_fields__", "__dataclass_params__")
_MADE: Final = "__create_fn__.<locals>."
"""How `dataclasses` calls the code of what it makes."""
Fields = dict[str, tuple[bool, Any, dict[str, Any]]]
"""Of each field of a class its own: whether it is an `InitVar`, its type, what `dataclasses.field` takes."""


Dataclass = tuple[dict[str, Any], Fields]
"""The options of a dataclass, and its fields."""


def without_made(cls: type, body: dict[str, Any]) -> Dataclass | None:
    """Take what `dataclasses` has made out of the body of a class; None where it has made nothing."""
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
    """Give a class what makes it a dataclass."""
    options, fields = dataclass
    own = dict(vars(cls))
    # What a text says of InitVar or ClassVar is looked up in the module, which may not be here.
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
    """Tell whether `dataclasses` has made a function, whose source nobody has."""
    value = getattr(value, "__wrapped__", value) if type(value) is types.FunctionType else None
    if type(value) is not types.FunctionType:
        return False
    # Python 3.13 adds a function to every dataclass that older ones do not have.
    return value.__code__.co_qualname.startswith(_MADE) or value is getattr(dataclasses, "_replace", None)
