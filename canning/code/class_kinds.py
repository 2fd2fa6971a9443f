"""Classes sent by value that are more than an empty class that is filled: enums, and msgspec's Structs.

cloudpickle makes an enum from the values of its members, before it has its methods. So it loses aliases,
names for several flags, attributes that an ``__init__`` or ``__new__`` set, and members that are functions;
and it fails if the mixed-in class takes other arguments than the value. Here a member is made by the
``__new__`` of the mixed-in class, gets its value, and then its attributes.

A Struct that cloudpickle makes has no fields. `msgspec.defstruct` makes one complete, and nothing changes it.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from ..provided import provides
from .annotations import annotations_of
from .classes import (
    State,
    class_of,
    fill_class,
    is_filled,
    mark_of,
    set_all,
    split_body,
    track,
    without_hooks,
)

_ENUMS_OWN: Final = frozenset(("_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"))
"""Attributes of a member that the enum sets."""
_FOUND_ANEW: Final = frozenset(
    (
        *("_generate_next_value_", "_member_names_", "_member_map_", "_member_type_", "_value2member_map_"),
        *(
            "_unhashable_values_",
            "_hashable_values_",
            "_unhashable_values_map_",
            "_value_repr_",
            "__module__",
        ),
    )
)
"""Attributes that every enum computes. One that shows the value may be a dataclass's, without source."""
Members = dict[str, tuple[tuple[Any, ...], Any]]
"""By the names of members and aliases: the arguments of the mixed-in type, and the value."""


def parts_of_enum(cls: Any, body: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of `make_enum`, and the rest of an enum's body."""
    named = cls.__members__
    members: Members = {each: (_newargs(member), member._value_) for each, member in named.items()}
    own = {key: value for key, value in body.items() if key not in named and key not in _FOUND_ANEW}
    first, rest = split_body(own)
    boundary = getattr(cls, "_boundary_", None)
    parts = (type(cls), cls.__bases__, cls.__name__, cls.__qualname__, cls.__module__)
    return (*parts, members, boundary, first, mark_of(cls)), rest


def attributes_of(cls: Any) -> dict[str, dict[str, Any]]:
    """List the members' own attributes."""
    attributes = {
        each: {key: value for key, value in vars(member).items() if key not in _ENUMS_OWN}
        for each, member in cls.__members__.items()
        if member._name_ == each
    }
    return {each: given for each, given in attributes.items() if given}


def _newargs(member: Any) -> tuple[Any, ...]:
    """Return the arguments from which the ``__new__`` of the mixed-in type made a member."""
    kind = type(member)._member_type_
    if kind.__new__ is object.__new__:
        return ()
    if hasattr(kind, "__getnewargs__"):
        args: tuple[Any, ...] = kind.__getnewargs__(member)
        return args
    reduced = kind.__reduce__(member)
    return reduced[1] if reduced[0] is type(member) else ()


@provides("enum")
def make_enum(
    metaclass: Any,
    bases: tuple[type, ...],
    name: str,
    qualname: str,
    module: str,
    members: Members,
    boundary: object,
    first: dict[str, Any],
    mark: str,
) -> Any:
    """Make an enum with its members, which have no attributes of their own yet."""
    if (known := class_of(mark)) is not None:
        return known

    def make_member(cls: Any, *parts: Any) -> Any:
        args, value = parts if len(parts) == 2 else parts[0]  # a mixed-in tuple
        member = cls._member_type_.__new__(cls, *args)
        member._value_ = value
        return member

    body = metaclass.__prepare__(name, bases)
    body["__new__"] = make_member
    body["__init__"] = lambda self, *parts: None
    for each, parts in members.items():
        body[each] = enum.member(parts)
    options = {} if boundary is None else {"boundary": boundary}
    made = without_hooks(bases, lambda: metaclass.__new__(metaclass, name, bases, body, **options))
    for added in ("__init__", "__new_member__"):
        if added in vars(made):
            delattr(made, added)
    made.__module__, made.__qualname__ = module, qualname
    set_all(made, first)
    return track(mark, made)


@provides("fill_enum")
def fill_enum(cls: Any, state: tuple[State, dict[str, dict[str, Any]]]) -> None:
    """Set the rest of a new enum's body, and the attributes of its members."""
    of_class, attributes = state
    if is_filled(cls):
        return
    fill_class(cls, of_class)
    for name, values in attributes.items():
        vars(cls.__members__[name]).update(values)


# -- Structs of msgspec's --------------------------------------------------------------------------------

_OPTIONS: Final = (
    *("tag", "tag_field", "omit_defaults", "forbid_unknown_fields", "frozen", "eq", "order"),
    *("repr_omit_defaults", "array_like", "gc", "weakref", "dict", "cache_hash"),
)
_FIRST: Final = "__post_init__"
"""Attributes that a Struct must have when it is made."""


def is_struct(cls: type) -> bool:
    """Tell whether a class is a Struct of msgspec's, which then has been imported."""
    return type(cls).__module__ == "msgspec._core" and hasattr(cls, "__struct_config__")


def parts_of_struct(cls: Any, body: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of `make_struct`, and the rest of a Struct's body."""
    options = {option: getattr(cls.__struct_config__, option) for option in _OPTIONS}
    fields = _fields_of(cls)
    options["kw_only"] = bool({field[0] for field in fields} - set(cls.__match_args__))
    given = {_FIRST: body.pop(_FIRST)} if _FIRST in body else {}
    first, rest = split_body(
        {name: value for name, value in body.items() if name not in ("__slots__", "__module__")}
    )
    return (cls.__name__, cls.__module__, cls.__bases__, fields, options, given, first, mark_of(cls)), rest


def _fields_of(cls: Any) -> list[tuple[str, Any, str, dict[str, Any]]]:
    """List the fields that a Struct adds to its bases: name, type, name on the wire, default."""
    from msgspec import NODEFAULT

    names, defaults = cls.__struct_fields__, cls.__struct_defaults__
    default_of = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    encoded = dict(zip(names, cls.__struct_encode_fields__, strict=True))
    fields = []
    for name, kind in annotations_of(cls).items():
        if name not in encoded:  # a class variable
            continue
        default = default_of.get(name, NODEFAULT)
        said: dict[str, Any] = {}
        if type(default).__name__ == "Factory":
            said = {"default_factory": default.factory}
        elif default is not NODEFAULT:
            said = {"default": default}
        fields.append((name, kind, encoded[name], said))
    return fields


@provides("struct")
def make_struct(
    name: str,
    module: str,
    bases: tuple[type, ...],
    fields: list[tuple[str, Any, str, dict[str, Any]]],
    options: dict[str, Any],
    given: dict[str, Any],
    first: dict[str, Any],
    mark: str,
) -> Any:
    """Make a Struct, or return the one that came before with the same mark."""
    if (known := class_of(mark)) is not None:
        return known
    import msgspec

    made = msgspec.defstruct(
        name,
        [(field, kind, msgspec.field(name=encoded, **said)) for field, kind, encoded, said in fields],
        bases=bases,
        module=module,
        namespace=given,
        **options,
    )
    set_all(made, first)
    return track(mark, made)
