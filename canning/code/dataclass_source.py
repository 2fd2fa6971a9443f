"""Dataclasses that travel as source: their methods are made again, since nobody keeps the source of these.

`dataclasses` writes ``__init__`` and its like as text, executes it, and forgets it. So a class goes without
them, and without what `dataclasses` keeps in it, which differs between versions of Python. The receiver's own
`dataclasses` adds all that to the class which came.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from cloudpickle import cloudpickle

from ..culprit import is_made

_OPTIONS: Final = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
_FIELD: Final = ("default", "default_factory", "init", "repr", "hash", "compare", "metadata", "kw_only")
_KEPT: Final = ("__dataclass_fields__", "__dataclass_params__")
Fields = dict[str, tuple[bool, Any, dict[str, Any]]]
"""Of each field of a class its own: whether it is an `InitVar`, its type, what `dataclasses.field` takes."""


def without_made(cls: type, reduced: Any) -> Any:
    """Leave what `dataclasses` has made out of a reduced class; give `reduced` where it has made nothing."""
    make, args, (attributes, slots), *rest, _ = reduced
    if "__dataclass_params__" not in vars(cls):
        return reduced
    kept = {name: value for name, value in attributes.items() if name not in _KEPT and not is_made(value)}
    options = {option: getattr(vars(cls)["__dataclass_params__"], option) for option in _OPTIONS}
    return make, args, (kept, slots, options, _fields_of(cls)), *rest, fill_dataclass


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


def fill_dataclass(cls: Any, state: tuple[dict[str, Any], Any, dict[str, Any], Fields]) -> None:
    """Give a class that was just made its attributes, and all that makes it a dataclass."""
    attributes, slots, options, fields = state
    cloudpickle._class_setstate(cls, (attributes, slots))
    if "__dataclass_params__" in vars(cls):  # it was here before
        return
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
