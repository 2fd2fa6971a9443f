"""Reduce objects of the standard library that no other module sends, and that are sent by value with code.

Objects made by `typing` are sent by name like classes, and in whole if no name finds them.

Python evaluates an alias of the `type` statement on demand, and it may be part of its own value. Nothing else
can make one whose value comes later: so a `type` statement makes the alias, and its value follows. The
statement makes its parameters too, and they are marked, so that the value finds them.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import operator
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any, Final

from cloudpickle import cloudpickle

from .. import calls
from ..provided import provides

Parameter = tuple[str, str, str, int, bool, bool]
"""Stars before its name; its name, its mark; the number of its constraints, whether a bound and a default."""
_STARS: Final = {"TypeVar": "", "TypeVarTuple": "*", "ParamSpec": "**"}
_PARTS: Final = "__canning_parts__"


def is_of_statement(alias: Any) -> bool:
    """Tell whether an alias may be of a `type` statement, whose parameters declare no variance."""
    variables = [each for each in alias.__type_params__ if type(each) is typing.TypeVar]
    return all(each.__infer_variance__ for each in variables)  # type: ignore[attr-defined, unused-ignore]


def reduce_alias(alias: Any, module: str, same: str | None) -> tuple[Any, ...]:
    """Reduce an alias to the statement that makes it, and to its value."""
    room: list[Any] = []
    parts = [alias.__value__]
    parameters = [_described(each, parts) for each in alias.__type_params__]
    made = alias.__name__, module, same, parameters, room
    return calls.alias, made, (room, parts), None, None, calls.fill_alias


def _described(parameter: Any, parts: list[Any]) -> Parameter:
    constraints = getattr(parameter, "__constraints__", ())
    bound = getattr(parameter, "__bound__", None)
    default = hasattr(parameter, "has_default") and parameter.has_default()
    parts += constraints
    parts += [bound] if bound is not None else []
    parts += [parameter.__default__] if default else []
    mark = cloudpickle._get_or_create_tracker_id(parameter)
    stars = _STARS[type(parameter).__name__]
    return stars, parameter.__name__, mark, len(constraints), bound is not None, default


@provides("alias")
def make_alias(name: str, module: str, same: str | None, parameters: list[Parameter], room: list[Any]) -> Any:
    """Make an alias that finds its value in `room`, once it is there."""
    if sys.version_info < (3, 12):
        raise ImportError(f"the alias {name} is of a statement that came with Python 3.12", name="typing")
    known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(same)
    if known is not None:
        return known
    if not all(map(str.isidentifier, (name, *(each[1] for each in parameters)))):
        raise ValueError("an alias with an invalid name")
    at, written = 1, list[str]()
    for stars, parameter, _, constraints, bound, default in parameters:
        text = stars + parameter
        if constraints:
            text += f": ({', '.join(f'{_PARTS}[{at + n}]' for n in range(constraints))})"
        if bound:
            text += f": {_PARTS}[{at + constraints}]"
        at += constraints + bound + default
        if default and sys.version_info >= (3, 13):
            text += f" = {_PARTS}[{at - 1}]"
        written.append(text)
    space = {"__name__": module, _PARTS: room}
    listed = f"[{', '.join(written)}]" if written else ""
    exec(f"type {name}{listed} = {_PARTS}[0]", space)
    made: Any = space[name]
    for parameter, described in zip(made.__type_params__, parameters, strict=True):
        cloudpickle._lookup_class_or_track(described[2], parameter)
    return made if same is None else cloudpickle._lookup_class_or_track(same, made)


@provides("fill_alias")
def fill_alias(alias: Any, state: tuple[list[Any], list[Any]]) -> None:
    """Store the value of an alias, and the bounds of its parameters."""
    room, parts = state
    room[:] = parts


Reduced = tuple[Any, ...] | str


class _Structure(ctypes.Structure):
    _fields_ = (("field", ctypes.c_int),)


FIELD: Final = type(_Structure.field)
_LITTLE: Final = sys.byteorder == "little"
ARRAY_TYPE: Final = type(ctypes.c_int * 1)
"""The metaclass of ctypes arrays, whose name does not find it."""
METACLASSES: Final = {
    type(cls): cls
    for cls in (
        *(ctypes.Structure, ctypes.Union, ctypes.Array, ctypes.c_int.__base__),
        *(ctypes._Pointer, ctypes._CFuncPtr),  # type: ignore[attr-defined, unused-ignore]
    )
}
"""Types made by ctypes, whose names do not find them, and the metaclass of each."""


def reduce_array_type(cls: Any) -> Reduced:
    """Reduce the type of a ctypes array to its item's type and its length; one with a name, to that."""
    return (operator.mul, (cls._type_, cls._length_)) if is_nameless(cls) else cls.__qualname__


def reduce_nameless(cls: Any) -> Reduced | None:
    """Reduce a type that ctypes made from another one, and that no name finds; None for all others."""
    kind = METACLASSES.get(type(cls))
    if kind is ctypes.Array and is_nameless(cls):
        return operator.mul, (cls._type_, cls._length_)
    if kind is ctypes._Pointer and hasattr(cls, "_type_") and ctypes.POINTER(cls._type_) is cls:
        return ctypes.POINTER, (cls._type_,)
    if kind is ctypes._CFuncPtr and cls.__qualname__.endswith("<locals>.CFunctionType"):  # type: ignore[attr-defined, unused-ignore]
        parts = (cls._restype_, *cls._argtypes_)
        return (ctypes.CFUNCTYPE, parts) if ctypes.CFUNCTYPE(*parts) is cls else None
    here, there = f"__ctype_{sys.byteorder[0]}e__", "__ctype_be__" if _LITTLE else "__ctype_le__"
    native = getattr(cls, here, cls)
    swapped = native is not cls and getattr(native, there, None) is cls
    return (getattr, (native, there)) if swapped else None


def is_nameless(cls: Any) -> bool:
    """Tell whether a type of ctypes arrays is the product of its item's type and its length."""
    return cls is not ctypes.Array and cls is cls._type_ * cls._length_


def reduce_cached_property(cached: Any) -> Reduced:
    """Reduce a `functools.cached_property`, which has a lock in Python 3.11, or one of a subclass."""
    state = {name: value for name, value in vars(cached).items() if name not in ("func", "lock", "__doc__")}
    return type(cached), (cached.func,), state


def reduce_partial_method(method: Any) -> Reduced:
    """Reduce a `functools.partialmethod`: since Python 3.14 its class asks for the function when called.

    See https://github.com/python/cpython/issues/119127. Its arguments may be placeholders since then, which
    another partial must not hold.
    """
    state = {name: value for name, value in vars(method).items() if name not in _OF_PARTIAL_METHODS}
    cls: Callable[..., Any] = type(method)
    return functools.partial(cls, method.func, **method.keywords), method.args, state or None


def reduce_property(prop: Any) -> Reduced:
    """Reduce a property of any class."""
    return type(prop), (prop.fget, prop.fset, prop.fdel, prop.__doc__), own_attributes(prop)


def reduce_method_of_class(method: Any) -> Reduced:
    """Reduce a `classmethod` or `staticmethod`, or one of a subclass."""
    return type(method), (method.__func__,), own_attributes(method)


def own_attributes(wrapper: object) -> dict[str, Any] | None:
    """List the attributes of a wrapper besides those copied from its function; None if there are none."""
    return {
        name: value for name, value in getattr(wrapper, "__dict__", {}).items() if name not in _TAKEN_OVER
    } or None


def reduce_module(module: Any) -> Reduced:
    """Reduce a module of any class: by its name if that finds it."""
    name = module.__name__
    if type(module) is types.ModuleType or sys.modules.get(name) is module:
        reduced: Reduced = cloudpickle._module_reduce(module)
        return reduced
    return type(module), (name,), {key: value for key, value in vars(module).items() if key != "__builtins__"}


def reduce_dispatching(method: Any) -> Reduced:
    """Reduce a `functools.singledispatchmethod`, which has other attributes in every version of Python."""
    return calls.dispatching, (method.func, dict(method.dispatcher.registry))


@provides("dispatching")
def make_dispatching(function: Callable[..., Any], registry: dict[type, Callable[..., Any]]) -> Any:
    """Make a method that dispatches to these functions."""
    made: Any = functools.singledispatchmethod(function)
    for cls, implementation in registry.items():
        made.dispatcher.register(cls, implementation)
    return made


def reduce_weak(mapping: Any) -> Reduced:
    """Reduce a weak dictionary, such as that of `functools.singledispatch`, to its current items."""
    return type(mapping), (dict(mapping.items()),)


def reduce_forward_ref(ref: Any) -> Reduced:
    """Reduce an annotation that is still text; it holds that text's code too."""
    is_class = getattr(ref, "__forward_is_class__", False)
    return calls.forward_ref, (
        ref.__forward_arg__,
        getattr(ref, "__forward_is_argument__", True),
        ref.__forward_module__,
        is_class,
    )


@provides("forward_ref")
def make_forward_ref(text: str, is_argument: bool, module: object, is_class: bool) -> Any:
    """Make an annotation from its text."""
    return typing.ForwardRef(text, is_argument=is_argument, module=module, is_class=is_class)


# -- objects of typing -----------------------------------------------------------------------------------


def reduce_typing(obj: Any) -> Reduced:
    """Reduce a type variable, an alias or a new type: by its name if another process finds it by that."""
    module, name = obj.__module__, obj.__name__
    home = sys.modules.get(module)
    if (
        module != "__main__"
        and getattr(home, name, None) is obj
        and cloudpickle._should_pickle_by_reference(home)
    ):
        return str(name)
    try:
        same = cloudpickle._get_or_create_tracker_id(obj)
    except TypeError:  # aliases take no weak references before Python 3.14
        same = None
    if type(obj).__name__ == "TypeAliasType" and is_of_statement(obj):
        return reduce_alias(obj, module, same)
    return calls.typing_form, (type(obj).__name__, same, module, name, _parts_of(obj))


def _parts_of(obj: Any) -> dict[str, Any]:
    kind = type(obj).__name__
    if kind == "NewType":
        return {"tp": obj.__supertype__}
    if kind == "TypeAliasType":
        return {"value": obj.__value__, "type_params": obj.__type_params__}
    parts: dict[str, Any] = {}
    if kind == "TypeVar":
        parts["constraints"] = obj.__constraints__
    parts.update({name: getattr(obj, f"__{name}__", None) for name in _OF_VARIABLES})
    if hasattr(obj, "has_default") and obj.has_default():
        parts["default"] = obj.__default__
    return {name: part for name, part in parts.items() if part not in (None, False, ())}


@provides("typing_form")
def make_typing(kind: str, same: str | None, module: str, name: str, parts: dict[str, Any]) -> Any:
    """Make an object of `typing`; arguments that this version of Python does not support are dropped."""
    make = getattr(typing, kind, None)
    if make is None:
        raise ImportError(f"typing.{kind} (for {name}) is not in this version of Python", name="typing")
    if sys.version_info < (3, 12):
        parts.pop("infer_variance", None)
    if sys.version_info < (3, 15) and kind == "TypeVarTuple":
        # it has these since: https://docs.python.org/3.15/library/typing.html#typing.TypeVarTuple
        parts = {name: part for name, part in parts.items() if name not in _OF_VARIABLES}
    if sys.version_info < (3, 13):
        parts.pop("default", None)
    made = make(name, *parts.pop("constraints", ()), **parts)
    with contextlib.suppress(AttributeError, TypeError):  # of an alias
        made.__module__ = module
    return made if same is None else cloudpickle._lookup_class_or_track(same, made)


_TAKEN_OVER: Final = frozenset((*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "__isabstractmethod__"))
_OF_VARIABLES: Final = ("bound", "covariant", "contravariant", "infer_variance")
_OF_PARTIAL_METHODS: Final = frozenset(("func", "args", "keywords", "_phcount", "_merger"))
WITH_SUBCLASSES: Final[dict[type, Callable[[Any], Any]]] = {
    property: reduce_property,
    classmethod: reduce_method_of_class,
    staticmethod: reduce_method_of_class,
    functools.cached_property: reduce_cached_property,
    functools.partialmethod: reduce_partial_method,
    types.ModuleType: reduce_module,
}
"""The reducers of instances of these types and of their subclasses."""
BY_VALUE: Final[dict[type, Callable[[Any], Any]]] = {
    functools.singledispatchmethod: reduce_dispatching,
    weakref.WeakKeyDictionary: reduce_weak,
    weakref.WeakValueDictionary: reduce_weak,
    typing.ForwardRef: reduce_forward_ref,
    **{
        getattr(typing, name): reduce_typing
        for name in ("TypeVar", "ParamSpec", "TypeVarTuple", "NewType", "TypeAliasType")
        if hasattr(typing, name)
    },
}
