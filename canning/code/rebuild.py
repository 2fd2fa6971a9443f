"""Build functions sent by value, and set the state of instances that cannot be asked for it yet.

Functions run in the receiver's namespace if there is one. An instance with a general `__getattr__` would
answer for `__setstate__` too, before it has the attributes for its answers.
"""

from __future__ import annotations

import builtins
import types
from typing import Any, Final

from .. import calls
from ..provided import provides

Namespace = dict[str, Any]

_SHIPPED: Final = "__canning_shipped__"
"""Key under which a namespace remembers the names that came with functions, so that a newer function
replaces them, and its user's own names stay."""
OF_MODULE: Final = ("__package__", "__name__", "__path__", "__file__", "__builtins__")
"""Globals of the module itself."""


@provides("function")
def make_function(
    code: types.CodeType,
    module_globals: Namespace,
    name: str | None,
    defaults: tuple[Any, ...] | None,
    closure: tuple[types.CellType, ...] | None,
    *,
    g: Namespace | None = None,
    special: Namespace | None = None,
) -> types.FunctionType:
    """Make a function sent by value, with its globals `g`, or its own globals that came along.

    `special` is its own ``__builtins__``, which a function takes from its globals when it is made, and keeps.
    """
    namespace = module_globals if g is None else g
    if special is not None:
        ordinary = namespace.get("__builtins__", builtins)
        namespace["__builtins__"] = special
        function = types.FunctionType(code, namespace, name, defaults, closure)
        if g is not None:
            namespace["__builtins__"] = ordinary
        return function
    namespace.setdefault("__builtins__", builtins)
    return types.FunctionType(code, namespace, name, defaults, closure)


@provides("fill")
def fill_function(function: types.FunctionType, state: Any, g: Namespace | None = None) -> None:
    """Set the attributes, closure and globals of a new function.

    In a namespace `g`, a global that came along is stored if `g` has no such name, or one that came along
    earlier; a name that its user has set stays, and the function sees it.
    """
    attributes, slots = state
    if attributes:
        function.__dict__.update(attributes)
    shipped = slots.pop("__globals__")
    closure = slots.pop("__closure__")
    slots.pop("_cloudpickle_submodules", None)
    if g is None:
        function.__globals__.update(shipped)
    else:
        _ship(shipped, g)
    if closure or function.__closure__:
        for cell, contents in zip(function.__closure__ or (), closure or (), strict=True):
            if contents:
                cell.cell_contents = contents[0]
    for name, value in slots.items():
        setattr(function, name, value)


def _ship(shipped: Namespace, g: Namespace) -> None:
    before = g.setdefault(_SHIPPED, {}) if shipped else {}
    for name, value in shipped.items():
        if name in OF_MODULE:
            continue
        if name not in g or (name in before and before[name] is g[name]):
            g[name] = before[name] = value


def answers_for_all(cls: Any) -> bool:
    """Tell whether pickle would ask the `__getattr__` of an empty instance for `__setstate__`.

    >>> class Proxy:
    ...     def __getattr__(self, name):
    ...         return getattr(self.inner, name)
    >>> answers_for_all(Proxy), answers_for_all(dict)
    (True, False)
    """
    return (
        hasattr(cls, "__getattr__")
        and not hasattr(cls, "__setstate__")
        and cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__reduce__ is object.__reduce__
    )


def reduce_answering(obj: Any) -> Any:
    """Reduce such an instance as it does itself, with a call that sets its attributes without a look-up."""
    reduced = obj.__reduce_ex__(5)
    make, args, given, items, pairs = (*reduced, None, None, None)[:5]
    return (make, args, given, items, pairs, calls.state) if type(given) is dict else reduced


@provides("state")
def set_state(obj: Any, given: dict[str, Any]) -> None:
    """Set the attributes of an instance; through `__setstate__` if its class has one by now, or is a stub."""
    own = getattr(type(obj), "__setstate__", None)
    if own is None:
        obj.__dict__.update(given)
    else:
        own(obj, given)
