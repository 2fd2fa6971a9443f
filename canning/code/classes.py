"""Classes that go by value: made empty, filled once, and left as they are by all messages that come later.

First come the class with its bases, its functions without what these need, and its constants: so instances
that stand in the rest of it, in sets and dicts too, find the methods that they are made and hashed by. Then
what the functions need, those that reading calls before the others, and the rest. Neither a metaclass nor an
``__init_subclass__`` that came by value runs again: what they did is part of the state.
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
from .annotations import STORED, annotations_of
from .by_value_types import FIELD, own_attributes
from .dataclass_source import Dataclass, add_made

_LIGHT: Final = frozenset((int, float, complex, bool, str, bytes, type(None), type(...)))
"""Types whose instances can be part of no cycle."""
_DATA: Final = frozenset((tuple, list, dict, set, frozenset))
_INERT: Final = frozenset((types.ModuleType, types.BuiltinFunctionType))
_CALLED_ON_READING: Final = frozenset(
    ("__hash__", "__eq__", "__setstate__", "__new__", "__setattr__", "__getattribute__", "__setitem__")
)
_WRAPPERS: Final = frozenset((classmethod, staticmethod, property))
_NOT_KEPT: Final = frozenset(
    (
        *("__dict__", "__weakref__", "__slotnames__", "__classdictcell__", *STORED),
        *("_abc_impl", "_abc_registry", "_abc_cache", "_abc_negative_cache", "_abc_negative_cache_version"),
    )
)
"""What a class gets again when it is made, or asked."""
_GIVEN: Final = ("__module__", "__slots__", "_pack_", "_align_", "_layout_", "_anonymous_")
"""What it is made with; the fields of a structure come later, since they may point at it."""
_LOCK: Final = Lock()
_RECEIVED: Final[weakref.WeakKeyDictionary[type, bool]] = weakref.WeakKeyDictionary()
"""The classes that came with messages, and whether they were filled."""
_MAKING: Final = frozenset(("__new__", "__init__"))
"""Where a metaclass has its part in a class: those of ctypes had it in the first up to Python 3.12, and
have it in the second since: https://docs.python.org/3.13/whatsnew/3.13.html#ctypes."""
_ORDINARY: Final = frozenset((type, abc.ABCMeta))
"""Metaclasses that take a body as it is."""
T = TypeVar("T")
State = tuple[list[Any], dict[str, Any], list[type] | None, Dataclass | None]


def body_of(cls: type) -> dict[str, Any]:
    """List what the body of a class has left in it, in its order; descriptors of slots are made again.

    >>> class Point:
    ...     __slots__ = ("x",)
    ...     def norm(self): ...
    >>> [name for name in body_of(Point) if name[:2] != "__"]
    ['norm']
    """
    body = {
        "".join(name): value  # no string that code has too: the pickle would depend on which are one
        for name, value in list(vars(cls).items())
        if name not in _NOT_KEPT and not _is_made(cls, value)
    }
    annotations = annotations_of(cls)
    if annotations or "__annotations__" in vars(cls):
        body["__annotations__"] = annotations
    return body


def _is_made(cls: type, value: Any) -> bool:
    kind = type(value)
    if kind is types.MemberDescriptorType or kind is types.GetSetDescriptorType:
        return value.__objclass__ is cls
    return kind is FIELD


def functions_of(value: Any) -> list[Any]:
    """List the functions that an attribute of a class consists of, and nothing else; none for all others."""
    kind = type(value)
    if kind is types.FunctionType:
        return [value]
    if kind not in _WRAPPERS or own_attributes(value):
        return []
    parts = (value.fget, value.fset, value.fdel) if kind is property else (value.__func__,)
    found = [part for part in parts if part is not None]
    return found if all(type(part) is types.FunctionType for part in found) else []


def is_light(value: Any, depth: int = 4) -> bool:
    """Tell whether a value can be part of no cycle: a number or text, or plain data of a few levels.

    >>> is_light({"a": [1, 2]}), is_light([object()])
    (True, False)
    """
    if type(value) in _LIGHT:
        return True
    if depth == 0 or type(value) not in _DATA:
        return False
    items = [*value, *value.values()] if type(value) is dict else value
    return all(is_light(item, depth - 1) for item in items)


def order_of_filling(name: str, function: types.FunctionType) -> int:
    """Tell when a function of a class gets what it needs.

    Instances may stand in what a function needs, in sets too, and be made and hashed when it is read: so
    first come functions that need plain data only, and then those that Python calls to read.
    """
    seen = [cell.cell_contents for cell in function.__closure__ or () if _is_bound(cell)]
    seen += [function.__globals__.get(each) for each in function.__code__.co_names]
    if all(is_light(each) or type(each) in _INERT for each in seen):
        return 0
    return 1 if name in _CALLED_ON_READING else 2


def _is_bound(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def parts_of_class(cls: Any, body: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give what `make_class` takes, and the rest of a class's body."""
    given: dict[str, Any] = {name: body.pop(name) for name in _GIVEN if name in body}
    given["__qualname__"] = cls.__qualname__
    if isinstance(vars(cls).get("__dict__"), property):
        given["__dict__"] = vars(cls)["__dict__"]
    first, rest = split_body(body)
    return (type(cls), cls.__name__, cls.__bases__, given, first, mark_of(cls)), rest


def split_body(body: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what a class gets first, with places for all else in their order; and all else."""
    rest = {
        name: value
        for name, value in body.items()
        if not is_light(value, 0 if name[:2] == "__" else 4) and not functions_of(value)
    }
    called = [name for name in rest if name[:2] == "__" and type(rest[name]) not in _DATA]  # by Python
    placed = [name for name in body if name not in called]
    return {name: None if name in rest else body[name] for name in placed if name != "_fields_"}, rest


def mark_of(cls: type) -> str:
    """Give what tells a class from all others, in all processes that it comes to."""
    mark: str = cloudpickle._get_or_create_tracker_id(cls)
    return mark


def registered_with(cls: type) -> list[type] | None:
    """List the classes that were registered with an abstract one; None for others."""
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
    """Make a class with the first part of its body, or give the one that came before and is the same."""
    if (known := class_of(mark)) is not None:
        return with_more(known, {name: value for name, value in first.items() if value is not None})
    if metaclass in _ORDINARY:
        made = without_hooks(bases, lambda: metaclass(name, bases, {**given, **first}))
        return track(mark, made)
    if "_pack_" in given and sys.version_info >= (3, 14):
        # what was meant by it everywhere, and has to be said since:
        # https://docs.python.org/3.14/library/ctypes.html#ctypes.Structure._layout_
        given.setdefault("_layout_", "ms")
    made = without_hooks(bases, lambda: _new_class(metaclass, name, bases, given))
    set_all(made, first)
    return track(mark, made)


def class_of(mark: str) -> Any:
    """Give the class that was sent, or came, with this mark; None where none is here."""
    return cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(mark)


def track(mark: str, made: Any) -> Any:
    """Remember a class that was just made; give the one that another thread has made meanwhile."""
    _RECEIVED[made] = False
    return cloudpickle._lookup_class_or_track(mark, made)


def with_more(cls: Any, attributes: dict[str, Any]) -> Any:
    """Give a class that came before what was added to it since; one that was made here stays as it is."""
    if cls in _RECEIVED:
        has = vars(cls)
        set_all(cls, {name: value for name, value in attributes.items() if name not in has})
    return cls


def is_filled(cls: type) -> bool:
    """Tell whether a class is complete, as those that were here before a message came."""
    return _RECEIVED.get(cls, True)


@provides("ahead")
def place_ahead(cls: Any, attributes: dict[str, Any]) -> None:
    """Give a class attributes by which its instances are made; one that is complete has its own."""
    if not is_filled(cls):
        set_all(cls, attributes)


@provides("fill_class")
def fill_class(cls: Any, state: State) -> None:
    """Give a class the rest of its body; one that was here before the message came, what is new in it.

    What the functions of the class need was read, and so given to them, before this is called.
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
    """Make an empty class, by the nearest metaclass that did not come by value and takes so little."""
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
        except Exception as error:  # it asks for keywords, or for what is not there yet
            if is_of_signal(error):
                raise
            failure = failure or error
    raise failure or TypeError(f"{metaclass!r} makes no classes")


def came_by_value(cls: Any) -> bool:
    """Tell whether a class was sent by value, or came so."""
    return cls in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS


def set_all(cls: Any, attributes: dict[str, Any]) -> None:
    """Set attributes of a class, whatever its metaclass thinks of that."""
    for name, value in attributes.items():
        try:
            type.__setattr__(cls, name, value)
        except TypeError:  # of a metaclass written in C
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
            with contextlib.suppress(TypeError):  # of a class written in C
                type.__setattr__(owner, "__init_subclass__", _quiet(hook, silent))
        return make()
    finally:
        silent.clear()  # so that what an interrupt leaves in place does as the hook does
        for owner, hook in owners.items():
            with contextlib.suppress(TypeError):
                type.__setattr__(owner, "__init_subclass__", hook)


def _quiet(hook: Any, silent: list[int]) -> Any:
    def not_here(cls: type, *args: Any, **keywords: Any) -> None:
        if threading.get_ident() not in silent:
            hook.__get__(None, cls)(*args, **keywords)

    return classmethod(not_here)


def _tell_bases(cls: Any) -> None:
    """Call the ``__init_subclass__`` of bases that did not come by value: they know nothing of the class.

    What they have made of its body came with it; what they would make of what stands there now is left out.
    """
    owners = [base for base in cls.__mro__[1:-1] if "__init_subclass__" in vars(base)]
    if all(map(came_by_value, owners)):
        return
    body = dict(vars(cls))
    with contextlib.suppress(Exception):  # what they want of keywords no class remembers
        without_hooks(cls.__bases__, super(cls, cls).__init_subclass__, came_by_value)
    now = vars(cls)
    set_all(cls, {name: value for name, value in body.items() if now.get(name) is not value})
    for name in now.keys() - body.keys() - _NOT_KEPT:
        with contextlib.suppress(AttributeError, TypeError):
            type.__delattr__(cls, name)
