"""The fields of plain classes: those of new instances are set, and others than the class has are named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from ..errors import DeserializationError, name_for_errors
from .registry import dotted_name

AS_WRITTEN: Final = "read it with the version of the class that wrote it, and write it anew from there"
"""The way out if a class is not the one whose instances were written."""
_NAMED: Final = 8
"""Fields that an error names."""


def other_fields(cls: type, theirs: Iterable[object], ours: Sequence[str]) -> DeserializationError:
    """Make the error for an instance with other fields than its class has here.

    >>> print(other_fields(slice, ["start", "end"], ["start", "stop"]))
    the fields of slice differ: this message has end, and the class here has stop: read it with ...
    """
    names, known = list(theirs), set(ours)
    more = _shown([name for name in names if name not in known])
    fewer = _shown([name for name in ours if name not in names])
    said = ", and ".join(
        [f"this message has {more}"] * bool(more) + [f"the class here has {fewer}"] * bool(fewer)
    )
    return DeserializationError(f"the fields of {dotted_name(cls)} differ: {said}: {AS_WRITTEN}")


def other_count(cls: type, count: int, names: Sequence[str]) -> DeserializationError:
    """Make the error for an instance with more or fewer values than its class has fields here.

    >>> print(other_count(slice, 1, ["start", "stop"]))
    1 value for the fields of slice, which are start, stop here: read it with the version of ...
    """
    values = f"{count} value{'' if count == 1 else 's'}"
    fields = f"which are {_shown(names)} here"
    return DeserializationError(f"{values} for the fields of {dotted_name(cls)}, {fields}: {AS_WRITTEN}")


def _shown(names: Sequence[object]) -> str:
    """Show names of fields; a stranger's text that is no name is not shown."""
    shown = [
        name_for_errors("", name)[1:] if type(name) is str and name.isidentifier() else "something unnamed"
        for name in names[:_NAMED]
    ]
    return ", ".join([*shown, f"{len(names) - _NAMED} more"] if len(names) > _NAMED else shown)


def field_names(cls: type) -> list[str]:
    """List the fields of a dataclass or attrs class."""
    attributes = getattr(cls, "__attrs_attrs__", None)
    if attributes is not None:
        return [attribute.name for attribute in attributes]
    return [field.name for field in dataclasses.fields(cls)]


def _may_be_missing(cls: type) -> set[str]:
    """List the fields that keep the class's value unless they are set."""
    if hasattr(cls, "__attrs_attrs__"):
        return set()
    return {
        field.name
        for field in dataclasses.fields(cls)
        if not field.init and field.default is not dataclasses.MISSING
    }


class Fields:
    """Hold the fields of a dataclass or attrs class, and set those of new instances.

    Attributes:
        names, known: the names of the fields, in their order and as a set.
    """

    __slots__ = ("_missing", "known", "names")

    def __init__(self, cls: type) -> None:
        self.names = field_names(cls)
        self.known = frozenset(self.names)
        self._missing = _may_be_missing(cls)

    def set(self, obj: object, state: object) -> None:
        """Set the fields, and nothing that is not a field."""
        names, known = self.names, self.known
        if type(state) is tuple and len(state) == 2 and state[0] is None:  # the form of classes with slots
            state = state[1]
        if type(state) is list or type(state) is tuple:
            if len(state) != len(names):
                raise other_count(type(obj), len(state), names)
            state = dict(zip(names, state, strict=True))
        if type(state) is dict and len(state) < len(names):
            names = [name for name in names if name in state or name not in self._missing]
            known = frozenset(names)
        if type(state) is not dict:
            raise other_count(type(obj), 0, names)
        if state.keys() != known:
            raise other_fields(type(obj), state, names)
        for name in names:
            object.__setattr__(obj, name, state[name])
