"""Classes sent by value: made empty, filled once, and not changed by any later message.

First come the class with its bases, its functions without their content, and its constants: so instances
in the rest of the class, also in sets and dicts, find the methods that make and hash them. Then comes the
content of the functions, those that reading calls before the others, and then the rest. No metaclass and no
``__init_subclass__`` that was sent by value runs again: their effects are part of the state.
"""

from __future__ import annotations

import abc
import contextlib
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cloudpickle import cloudpickle

from ..errors import is_of_signal
from ..forking import Lock
from ..provided import provides
from .annotations import STORED, Dataclass, add_made, annotations_of
from .by_value_types import FIELD, own_attributes

_DESCRIPTORS: Final = frozenset((types.MemberDescriptorType, types.GetSetDescriptorType, FIELD))
_LIGHT: Final = frozenset((int, float, complex, bool, str, bytes, type(None), type(...)))
"""Types whose instances cannot be part of a cycle."""
_DATA: Final = frozenset((tuple, list, dict, set, frozenset))
_INERT: Final = frozenset((types.ModuleType, types.BuiltinFunctionType))
_CALLED_ON_READING: Final = frozenset(
    ("__hash__", "__eq__", "__setstate__", "__new__", "__setattr__", "__getattribute__", "__setitem__")
)
_WRAPPERS: Final = frozenset((classmethod, staticmethod, property))
OF_FUNCTIONS: Final = _WRAPPERS | {types.FunctionType}
"""Types of attributes that may consist of functions alone."""
_NOT_KEPT: Final = frozenset(
    (
        *("__dict__", "__weakref__", "__slotnames__", "__classdictcell__", *STORED),
        *("_abc_impl", "_abc_registry", "_abc_cache", "_abc_negative_cache", "_abc_negative_cache_version"),
    )
)
"""Attributes of a class that are set again when it is made, or computed on demand."""
_GIVEN: Final = ("__module__", "__slots__", "_pack_", "_align_", "_layout_", "_anonymous_")
"""Attributes it is made with; the fields of a structure come later, since they may point to it."""
_LOCK: Final = Lock()
_RECEIVED: Final[weakref.WeakKeyDictionary[type, bool]] = weakref.WeakKeyDictionary()
"""The classes that came with messages, and whether they were filled."""
_MAKING: Final = frozenset(("__new__", "__init__"))
"""Offset of a metaclass's own data in a class: that of ctypes was in the first part up to Python 3.12, and is
in the second since: https://docs.python.org/3.13/whatsnew/3.13.html#ctypes."""
_ORDINARY: Final = frozenset((type, abc.ABCMeta))
"""Metaclasses that take a body unchanged."""
T = TypeVar("T")
State = tuple[list[Any], dict[str, Any], list[type] | None, Dataclass | None]


def body_of(cls: type) -> dict[str, Any]:
    """List the attributes from the body of a class, in its order; descriptors of slots are made again.

    >>> class Point:
    ...     __slots__ = ("x",)
    ...     def norm(self): ...
    >>> [name for name in body_of(Point) if name[:2] != "__"]
    ['norm']
    """
    body = {
        "".join(name): value  # a new string: the pickle must not depend on which strings code shares
        for name, value in list(vars(cls).items())
        if name not in _NOT_KEPT and not (type(value) in _DESCRIPTORS and _is_made(cls, value))
    }
    if sys.version_info >= (3, 14) or "__annotations__" in vars(cls):
        annotations = annotations_of(cls)
        if annotations or "__annotations__" in vars(cls):
            body["__annotations__"] = annotations
    return body


def _is_made(cls: type, descriptor: Any) -> bool:
    """Tell whether the descriptor of a slot, or of a field of ctypes, is made with the class."""
    return type(descriptor) is FIELD or descriptor.__objclass__ is cls


def functions_of(value: Any) -> list[Any]:
    """List the functions of an attribute that consists of functions alone; None for all others."""
    kind = type(value)
    if kind is types.FunctionType:
        return [value]
    if kind not in _WRAPPERS or own_attributes(value):
        return []
    parts = (value.fget, value.fset, value.fdel) if kind is property else (value.__func__,)
    found = [part for part in parts if part is not None]
    return found if all(type(part) is types.FunctionType for part in found) else []


def is_light(value: Any, depth: int = 4) -> bool:
    """Tell whether a value cannot be part of a cycle: a number or text, or plain data of a few levels.

    >>> is_light({"a": [1, 2]}), is_light([object()])
    (True, False)
    """
    if type(value) in _LIGHT:
        return True
    if depth == 0 or type(value) not in _DATA:
        return False
    items = [*value, *value.values()] if type(value) is dict else value
    return all(is_light(item, depth - 1) for item in items)


def order_of_filling(name: str, content: dict[str, Any]) -> int:
    """Return when a function of a class gets its content: 0, 1, or 2.

    The content of a function may hold instances, also in sets, which are made and hashed when it is read: so
    functions that need only plain data come first, then those that Python calls during reading.
    """
    for seen in (content["__globals__"].values(), *(content["__closure__"] or ())):
        for each in seen:
            if type(each) not in _INERT and not is_light(each):
                return 1 if name in _CALLED_ON_READING else 2
    return 0


def parts_of_class(cls: Any, body: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of `make_class`, and the rest of a class's body."""
    given: dict[str, Any] = {name: body.pop(name) for name in _GIVEN if name in body}
    given["__qualname__"] = cls.__qualname__
    if isinstance(vars(cls).get("__dict__"), property):
        given["__dict__"] = vars(cls)["__dict__"]
    first, rest = split_body(body)
    return (type(cls), cls.__name__, cls.__bases__, given, first, mark_of(cls)), rest


def split_body(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first attributes of a class, with placeholders for the others in order; and the others."""
    rest = {
        name: value
        for name, value in body.items()
        if (kind := type(value)) is not types.FunctionType
        and kind not in _LIGHT
        and not (kind in _DATA and name[:2] != "__" and is_light(value))
        and not functions_of(value)
    }
    if not rest and "_fields_" not in body:
        return body, rest
    called = [name for name in rest if name[:2] == "__" and type(rest[name]) not in _DATA]  # by Python
    placed = [name for name in body if name not in called]
    return {name: None if name in rest else body[name] for name in placed if name != "_fields_"}, rest


def mark_of(cls: type) -> str:
    """Return the mark that identifies a class in every process that it reaches."""
    mark: str = cloudpickle._get_or_create_tracker_id(cls)
    return mark


def registered_with(cls: type) -> list[type] | None:
    """List the classes registered with an abstract class; None for other classes."""
    if not isinstance(cls, abc.ABCMeta):
        return None
    return [other for ref in abc._get_dump(cls)[0] if (other := ref()) is not None]  # type: ignore[attr-defined]


@provides("empty_class")
def make_class(
    metaclass: object,
    name: str,
    bases: tuple[type, ...],
    given: dict[str, Any],
    first: dict[str, Any],
    mark: str,
) -> Any:
    """Make a class with the first part of its body, or return the one that came before with the same mark."""
    if (known := class_of(mark)) is not None:
        return with_more(known, {name: value for name, value in first.items() if value is not None})
    if metaclass in _ORDINARY:
        made = without_hooks(bases, lambda: metaclass(name, bases, {**given, **first}))
        return track(mark, made)
    if "_pack_" in given and sys.version_info >= (3, 14):
        # this was the meaning before, and must be stated since:
        # https://docs.python.org/3.14/library/ctypes.html#ctypes.Structure._layout_
        given.setdefault("_layout_", "ms")
    made = without_hooks(bases, lambda: _new_class(metaclass, name, bases, given))
    set_all(made, first)
    return track(mark, made)


def class_of(mark: str) -> Any:
    """Return the class that was sent, or received, with this mark; None if there is none."""
    return cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(mark)


def track(mark: str, made: Any) -> Any:
    """Remember a new class; return the one that another thread has made meanwhile, if any."""
    _RECEIVED[made] = False
    return cloudpickle._lookup_class_or_track(mark, made)


def with_more(cls: Any, attributes: dict[str, Any]) -> Any:
    """Add new attributes to a class that came before; one that was made here stays unchanged."""
    if cls in _RECEIVED:
        has = vars(cls)
        set_all(cls, {name: value for name, value in attributes.items() if name not in has})
    return cls


def is_filled(cls: type) -> bool:
    """Tell whether a class is complete, like those that existed before a message came."""
    return _RECEIVED.get(cls, True)


@provides("ahead")
def place_ahead(cls: Any, attributes: dict[str, Any]) -> None:
    """Set the attributes of a class that its instances need; a complete class has them."""
    if not is_filled(cls):
        set_all(cls, attributes)


@provides("fill_class")
def fill_class(cls: Any, state: State) -> None:
    """Set the rest of a class's body; for one that existed before the message, only new attributes.

    The content of the class's functions was read, and so set, before this is called.
    """
    _, rest, registered, dataclass = state
    if is_filled(cls):
        with_more(cls, rest)
        return
    set_all(cls, rest)
    if dataclass is not None:
        add_made(cls, dataclass)
    for other in registered or ():
        cls.register(other)
    _tell_bases(cls)
    _RECEIVED[cls] = True


def _new_class(metaclass: Any, name: str, bases: tuple[type, ...], given: dict[str, Any]) -> Any:
    """Make an empty class with the nearest metaclass that was not sent by value and accepts an empty body."""
    failure: Exception | None = None
    for each in metaclass.__mro__:
        if came_by_value(each) or _MAKING.isdisjoint(vars(each)):
            continue
        try:
            if each is metaclass:
                return metaclass(name, bases, dict(given))
            made = each.__new__(metaclass, name, bases, dict(given))
            each.__init__(made, name, bases, dict(given))
            return made
        except Exception as error:  # it needs keywords, or attributes that come later
            if is_of_signal(error):
                raise
            failure = failure or error
    raise failure or TypeError(f"{metaclass!r} makes no classes")


def came_by_value(cls: Any) -> bool:
    """Tell whether a class was sent or received by value."""
    return cls in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS


def set_all(cls: Any, attributes: dict[str, Any]) -> None:
    """Set attributes of a class, bypassing its metaclass."""
    for name, value in attributes.items():
        try:
            type.__setattr__(cls, name, value)
        except TypeError:  # the metaclass is written in C
            setattr(cls, name, value)


def without_hooks(bases: tuple[type, ...], make: Callable[[], T], of: Callable[[type], bool] = bool) -> T:
    """Let this thread make a class without the ``__init_subclass__`` of its bases, or some of them."""
    owners = {
        owner: vars(owner)["__init_subclass__"]
        for base in bases
        for owner in base.__mro__[:-1]
        if "__init_subclass__" in vars(owner) and of(owner)
    }
    return _LOCK.run(lambda: _silently(owners, make)) if owners else make()


def _silently(owners: dict[type, Any], make: Callable[[], T]) -> T:
    silent = [threading.get_ident()]
    try:
        for owner, hook in owners.items():
            with contextlib.suppress(TypeError):  # the class is written in C
                type.__setattr__(owner, "__init_subclass__", _quiet(hook, silent))
        return make()
    finally:
        silent.clear()  # so that a stand-in left behind by an interrupt acts like the hook
        for owner, hook in owners.items():
            with contextlib.suppress(TypeError):
                type.__setattr__(owner, "__init_subclass__", hook)


def _quiet(hook: Any, silent: list[int]) -> Any:
    def not_here(cls: type, *args: Any, **keywords: Any) -> None:
        if threading.get_ident() not in silent:
            hook.__get__(None, cls)(*args, **keywords)

    return classmethod(not_here)


def _tell_bases(cls: Any) -> None:
    """Call the ``__init_subclass__`` of bases that were not sent by value: they do not know the class yet.

    Their effects on its body came with it; what the calls set now is dropped.
    """
    owners = [base for base in cls.__mro__[1:-1] if "__init_subclass__" in vars(base)]
    if all(map(came_by_value, owners)):
        return
    body = dict(vars(cls))
    with contextlib.suppress(Exception):  # they may need keywords, which no class remembers
        without_hooks(cls.__bases__, super(cls, cls).__init_subclass__, came_by_value)
    now = vars(cls)
    set_all(cls, {name: value for name, value in body.items() if now.get(name) is not value})
    for name in now.keys() - body.keys() - _NOT_KEPT:
        with contextlib.suppress(AttributeError, TypeError):
            type.__delattr__(cls, name)
