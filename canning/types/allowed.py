"""The limits and the classes that a reader allows in a stranger's message."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import sys
import types
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from ..errors import SHOWN, DeserializationError, name_for_errors
from ..wire.names import CALLS, PURPOSES
from .fields import AS_WRITTEN, field_names, other_count
from .libraries.known import public_name
from .registry import dotted_name

_COMBINATIONS: Final = 1024
"""Members of one enum, with the combinations of its flags made so far."""
_HOOKS: Final = (
    *("_missing_", "_iter_member_by_value_", "_iter_member_by_def_", "_numeric_repr_"),
    *("__setattr__", "__getattribute__", "__getattr__", "__eq__", "__hash__"),
)
"""Methods that flags may define, and that Python would call to combine them."""
_CLOUDPICKLE: Final = "cloudpickle.cloudpickle"
SKELETONS: Final = frozenset(
    (
        *((_CLOUDPICKLE, "_make_skeleton_class"), (_CLOUDPICKLE, "_make_skeleton_enum")),
        *((CALLS, "empty_class"), (CALLS, "enum")),
    )
)
"""Functions that make a class by value."""
_CLASS: Final = "a class by value: its code comes with the message, as that of __main__'s classes does"
_BY_NAME: Final = (
    "if it is a dataclass, an attrs class, a named tuple or an enum, define it in a module that both sides "
    'import, or pass pickler="named" at the sender, and read the message with allow={"package.Class"}'
)
_OF_ARRAYS: Final = ("_reconstruct", "_frombuffer", "_mareconstruct", "scalar")
"""Functions that numpy's own pickles call."""
AS_CODE: Final = (
    'look at it with canning.inspect, and read it with trust="code" only if you trust its sender to run any '
    "code here"
)
"""How errors end: the way out that is not safe."""
REFUSED: Final = "this message needs "
"""How errors begin that name what a stranger's message may not hold."""
NAMELESS: Final = f"{REFUSED}a function or class as an object"
"""How the error begins for a function or class that the message holds as an object."""
_AS_TEXT: Final = "data holds no functions and no classes, so let its sender send the name as text"
NO_HEADER: Final = "frame 0 is neither a header of canning's nor a pickle of protocol 2 or later"


def refuse(what: str) -> DeserializationError:
    """Make the error for an object that a stranger's message may not hold."""
    return DeserializationError(f"{REFUSED}{what}: {AS_CODE}")


def refuse_value(module: str = "", name: str = "") -> DeserializationError:
    """Make the error for a function or class that is not called, but sent as an object."""
    what = f"{REFUSED}{describe_name(module, name)}" if name else NAMELESS
    return DeserializationError(f"{what}: {_AS_TEXT}; {AS_CODE}")


def describe_name(module: str, name: str) -> str:
    """Describe the object of a name, as far as that is known without an import."""
    if (module, name) in SKELETONS:
        return f"{name_for_errors(module, name)} ({_CLASS})"
    if module == CALLS and name in PURPOSES:
        return f"{name_for_errors(module, name)} ({PURPOSES[name]})"
    found = _imported(module, name)
    kind = "a class" if isinstance(found, type) else "a function" if callable(found) else "a name"
    return f"{name_for_errors(module, name)} ({kind})"


def _imported(module: str, name: str) -> Any:
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def refuse_name(module: str, name: str) -> DeserializationError:
    """Make the error for a name that this reader does not know; it names the safe way out first.

    >>> print(refuse_name("collections", "ChainMap"))
    this message needs collections.ChainMap (a class): register it with data=True ...
    """
    what = describe_name(module, name)
    dotted = f"{module}.{name}"
    plain = all(part.isidentifier() for part in dotted.split(".")) and len(dotted) <= SHOWN
    if (module, name) in SKELETONS:
        return DeserializationError(f"{REFUSED}{what}: {_BY_NAME}; {AS_CODE}")
    package = module.partition(".")[0]
    if not plain or package in ("canning", "builtins"):
        return refuse(what)
    found = _imported(module, name)
    allow = f'allow={{"{dotted}"}}'
    if module == "__main__":
        way = "move it to a module that both sides import, and name it in allow="
    elif found is None:
        way = f"if it is a class of plain fields, import {module} and read the message with {allow}"
    elif public_name(dotted) or (package == "numpy" and name in _OF_ARRAYS):
        way = "let its sender write it with canning, which sends it as data"
    elif not isinstance(found, type):
        return refuse(what)
    elif kind_of(found) is None:
        way = "register it with data=True and a decoder of plain data"
    else:
        way = f"read the message with {allow}"
    return DeserializationError(f"{REFUSED}{what}: {way}; {AS_CODE}")


def names_of(allow: Iterable[type | str] | type | str) -> frozenset[type | str]:
    """List the classes of the option ``allow``, which may be a single one; raises `TypeError` otherwise."""
    if isinstance(allow, str | type):
        return frozenset((allow,))
    if not isinstance(allow, Iterable):
        raise TypeError(f"allow= takes classes and dotted names, not {type(allow).__name__}")
    return frozenset(allow)


class Allowed:
    """Know the classes that a reader lets a message make, and make their instances field by field.

    Dataclasses, attrs classes, named tuples and enums, given as classes or by dotted name; a name is looked
    up among the imported modules, and nothing is imported. No method of the class is called: not
    ``__init__``, not ``__new__``, not ``__setstate__``.

    >>> import collections
    >>> Point = collections.namedtuple("Point", "x y")
    >>> Allowed([Point]).find("canning.types.allowed", "Point") is Point
    True
    """

    def __init__(self, classes: Iterable[type | str] = ()) -> None:
        self._names: dict[str, type | None] = {}
        for cls in classes:
            if isinstance(cls, str):
                self._names[cls] = _find_named(cls)
            elif isinstance(cls, type):
                self._names[dotted_name(cls)] = _checked(cls)
            else:
                raise TypeError(f"allow= takes classes and dotted names, not {type(cls).__name__}")

    def has(self, cls: type) -> bool:
        """Tell whether a class is allowed and a message has asked for it."""
        return cls in self._names.values()

    def find(self, module: str, name: str) -> type | None:
        """Return the class of this name, if it is allowed."""
        dotted = f"{module}.{name}"
        if dotted not in self._names:
            return None
        cls = self._names[dotted]
        if cls is None:
            found = _imported(module, name)
            if not isinstance(found, type) or dotted_name(found) != dotted:
                raise DeserializationError(
                    f"{name_for_errors(module, name)} is allowed, but not imported here"
                )
            try:
                cls = self._names[dotted] = _checked(found)
            except TypeError as error:
                raise DeserializationError(str(error)) from None
        return cls


def _find_named(dotted: str) -> type | None:
    """Find the class of a name among the imported modules; None if its module may be imported later.

    Raises `ValueError` for a name that matches nothing, now or later.
    """
    parts = dotted.split(".")
    if len(parts) < 2 or not all(map(str.isidentifier, parts)):
        raise ValueError(f"allow={dotted!r} is not a dotted name of a class, such as 'package.module.Class'")
    names = [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    name = next((name for name in names if name in sys.modules), "")
    if not name:
        if importlib.util.find_spec(parts[0]) is None:
            raise ValueError(f"allow={dotted!r}: there is no module {parts[0]}")
        return None
    found: Any = sys.modules[name]
    for part in parts[name.count(".") + 1 :]:
        if part not in vars(found):
            if hasattr(found, "__path__") and importlib.util.find_spec(f"{name}.{part}") is not None:
                return None
            raise ValueError(f"allow={dotted!r}: {name} has no {part}")
        found = vars(found)[part]
        name = f"{name}.{part}"
        if not isinstance(found, type | types.ModuleType):
            raise ValueError(f"allow={dotted!r}: {name} is not a class")
    if not isinstance(found, type) or dotted_name(found) != dotted:
        other = f"goes by the name of {dotted_name(found)}" if isinstance(found, type) else "is a module"
        raise ValueError(f"allow={dotted!r}: that {other}")
    return _checked(found)


def _checked(cls: type) -> type:
    if kind_of(cls) is None:
        raise TypeError(
            f"allow= takes dataclasses, attrs classes, named tuples and enums: {dotted_name(cls)} is not; "
            "register it with data=True and a decoder of plain data"
        )
    own = [base for base in cls.__mro__ if base.__module__ not in ("builtins", "typing")]
    for name in _CALLED[kind_of(cls)]:
        if any(name in vars(base) for base in own):
            raise TypeError(
                f"allow= takes classes that run nothing by themselves: {dotted_name(cls)}.{name} would run "
                "with fields of a stranger's choice; register it with data=True and a decoder of plain data"
            )
    for name in field_names(cls) if kind_of(cls) == "fields" else ():
        if _runs_code(cls, name):
            raise TypeError(
                f"allow= takes classes whose fields are plain: {dotted_name(cls)}.{name} is a descriptor, "
                "and a message that sets it would run its code"
            )
    return cls


_ALWAYS: Final = ("__del__", "__getattribute__", "__class__")
_CALLED: Final[dict[str | None, tuple[str, ...]]] = {
    "enum": (),
    "fields": _ALWAYS,
    "namedtuple": (*_ALWAYS, "__iter__", "__len__", "__getitem__", "__contains__"),
}
"""Methods that Python calls implicitly, or code that treats an instance as a tuple."""


def _runs_code(cls: type, name: str) -> bool:
    """Tell whether setting an attribute of this name runs the code of a descriptor."""
    found = next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)
    return hasattr(type(found), "__set__") and not isinstance(found, types.MemberDescriptorType)


def kind_of(cls: type) -> str | None:
    """Return the kind of a class of plain fields."""
    if issubclass(cls, enum.Enum):
        return "enum"
    if issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return "namedtuple"
    if dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__"):
        return "fields"
    return None


def new_instance(cls: type, kind: str | None, values: tuple[Any, ...]) -> Any:
    """Make an instance as NEWOBJ asks for it: a named tuple with its values, others with no field set yet."""
    if kind == "namedtuple":
        if len(values) != len(cls._fields):  # type: ignore[attr-defined]
            raise other_count(cls, len(values), cls._fields)  # type: ignore[attr-defined]
        return tuple.__new__(cls, values)
    if values or kind != "fields":
        raise refuse(f"{dotted_name(cls)}.__new__ with arguments")
    return object.__new__(cls)


def enum_member(cls: type, value: object) -> Any:
    """Find the member of an enum by its value, or a combination of flags; call no method of the enum's."""
    for member in cls.__members__.values():  # type: ignore[attr-defined]
        known = member._value_
        if type(known) is type(value) and _is_comparable(value) and known == value:
            return member
    if issubclass(cls, enum.Flag) and type(value) is int:
        return _combined(cls, value)
    raise no_member(cls)


def no_member(cls: type) -> DeserializationError:
    """Make the error for an enum that lacks the value in a message."""
    return DeserializationError(
        f"{dotted_name(cls)} has no member of the value in this message: {AS_WRITTEN}"
    )


def _is_comparable(value: Any) -> bool:
    """Tell whether comparing a value calls only Python's own code, and is fast."""
    rest, left = [value], _PARTS
    while rest and left:
        part = rest.pop()
        left -= 1
        if type(part) in (tuple, list, frozenset, set, dict):
            left -= len(part)
            rest += [*part.keys(), *part.values()] if type(part) is dict else part if left > 0 else ()
        elif type(part).__module__ not in _STANDARD:
            return False
    return left > 0


_PARTS: Final = 1000
"""Parts of the value of an enum member, at most."""
_STANDARD: Final = frozenset(("builtins", "datetime", "decimal", "fractions", "uuid", "numpy"))


def _combined(cls: type[enum.Flag], value: int) -> Any:
    """Make a combination of flags, which Python keeps as long as the class; their number is limited."""
    known = cls._value2member_map_
    if value in known:
        return known[value]
    theirs = [base for base in cls.__mro__ if base.__module__ not in ("enum", "builtins")]
    own = any(name in vars(base) for base in theirs for name in _HOOKS)
    if own or type(cls) is not enum.EnumType or cls._member_type_ not in (object, int):  # type: ignore[attr-defined]
        raise refuse(f"{dotted_name(cls)}'s own way of combining flags")
    if len(known) >= _COMBINATIONS or value.bit_length() > 64:
        raise DeserializationError(
            f"a combination of {dotted_name(cls)} that is new here, beyond {_COMBINATIONS}"
        )
    with suppress(ValueError):
        made = cls(value)
        if made._value_ == value:  # Python 3.11.2 drops bits that no flag has
            return made
    raise DeserializationError(f"{dotted_name(cls)} has no flags of the value in this message")
