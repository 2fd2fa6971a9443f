"""Enums that go by value: their members as they are, whatever made them.

cloudpickle makes an enum of the values of its members, before it has its methods. So it loses aliases, names
for several flags, what an ``__init__`` or ``__new__`` gave a member, and members that are functions; and it
fails where the class that is mixed in is made of something else than the value. Here a member is made by the
``__new__`` of what is mixed in, gets the value that it has, and then its attributes.
"""

from __future__ import annotations

import enum
from typing import Any, Final

from cloudpickle import cloudpickle

_ENUMS_OWN: Final = frozenset(("_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"))
"""Attributes of a member that the enum gives it."""
_SHOWS: Final = "_value_repr_"
"""What shows a value; where a dataclass is mixed in, a function without source. Every enum finds it anew."""
Members = dict[str, tuple[tuple[Any, ...], Any]]
"""By the names of members and aliases: the arguments of what is mixed in, and the value."""


def reduce_enum(cls: Any, reduced: Any) -> Any:
    """Reduce an enum that cloudpickle has reduced."""
    _, (bases, name, qualname, _, module, tracker, _), (state, slots), *rest, _ = reduced
    named = cls.__members__
    members: Members = {each: (_newargs(member), member._value_) for each, member in named.items()}
    attributes = {
        each: {key: value for key, value in vars(member).items() if key not in _ENUMS_OWN}
        for each, member in named.items()
        if member._name_ == each
    }
    own = {key: value for key, value in state.items() if key not in named and key != _SHOWS}
    given = {key: value for key, value in attributes.items() if value}
    boundary = getattr(cls, "_boundary_", None)
    args = (type(cls), bases, name, qualname, module, members, boundary, tracker)
    return make_enum, args, (own, slots, given), *rest, fill_enum


def _newargs(member: Any) -> tuple[Any, ...]:
    """Give what the ``__new__`` of the type that is mixed in made a member of."""
    kind = type(member)._member_type_
    if kind.__new__ is object.__new__:
        return ()
    if hasattr(kind, "__getnewargs__"):
        args: tuple[Any, ...] = kind.__getnewargs__(member)
        return args
    reduced = kind.__reduce__(member)
    return reduced[1] if reduced[0] is type(member) else ()


def make_enum(
    metaclass: Any,
    bases: tuple[type, ...],
    name: str,
    qualname: str,
    module: str,
    members: Members,
    boundary: Any,
    tracker: str,
) -> Any:
    """Make an enum with its members, which are still without attributes of their own."""

    def make_member(cls: Any, *parts: Any) -> Any:
        args, value = parts if len(parts) == 2 else parts[0]  # where a tuple is mixed in
        member = cls._member_type_.__new__(cls, *args)
        member._value_ = value
        return member

    body = metaclass.__prepare__(name, bases)
    body["__new__"] = make_member
    body["__init__"] = lambda self, *parts: None
    for each, parts in members.items():
        body[each] = enum.member(parts)
    options = {} if boundary is None else {"boundary": boundary}
    made = metaclass.__new__(metaclass, name, bases, body, **options)
    for added in ("__init__", "__new_member__"):
        if added in vars(made):
            delattr(made, added)
    made.__module__, made.__qualname__ = module, qualname
    return cloudpickle._lookup_class_or_track(tracker, made)


def fill_enum(cls: Any, state: tuple[dict[str, Any], Any, dict[str, dict[str, Any]]]) -> None:
    """Give an enum that was just made its methods, and its members their attributes."""
    own, slots, attributes = state
    cloudpickle._class_setstate(cls, (own, slots))
    for name, values in attributes.items():
        vars(cls.__members__[name]).update(values)
