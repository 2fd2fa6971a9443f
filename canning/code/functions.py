"""Questions about a function before it is sent: can others import it, and which module has its globals?"""

from __future__ import annotations

import dis
import functools
import importlib
import inspect
import operator
import sys
import types
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, TypeVar

import cloudpickle

from .. import calls
from ..provided import provides
from .annotations import copy_of, with_annotations
from .rebuild import OF_MODULE, make_function

F = TypeVar("F", bound=Callable[..., Any])

INTERACTIVE: Final = "__canning_interactive__"


def interactive(function: F) -> F:
    """Mark a function to run as if it had been typed at the receiver.

    It is sent by value without its globals: on arrival it sees only the namespace `g` of
    `deserialize_object`. The returned function is marked; the given one is not changed.

    >>> from canning import deserialize_object, serialize_object
    >>> frames = serialize_object(interactive(lambda: answer))
    >>> deserialize_object(frames, {"answer": 42})[0]()
    42
    """
    if not isinstance(function, types.FunctionType):
        return function
    marked = copy_of(function)
    marked.__module__ = "__main__"  # like code typed there, and so never sent by reference
    setattr(marked, INTERACTIVE, True)
    return marked  # type: ignore[return-value]


def submodules_of(code: types.CodeType, seen: list[Any]) -> list[types.ModuleType]:
    """List the modules that code, and code defined in it, reaches as attributes of packages."""
    packages = [each for each in seen if isinstance(each, types.ModuleType)]
    if not packages:
        return []
    rest, found = [code], []
    while rest:
        each = rest.pop()
        found += cloudpickle.cloudpickle._find_imported_submodules(each, packages)
        rest += [constant for constant in each.co_consts if isinstance(constant, types.CodeType)]
    return found


def names_in_bodies(code: types.CodeType) -> list[str]:
    """List the names that bodies of classes in code look up, there or in globals.

    >>> def make():
    ...     class Made:
    ...         limit = LIMIT
    >>> names_in_bodies(make.__code__)
    ['LIMIT']
    """
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    found = [name for each in inner for name in names_in_bodies(each)]
    if not code.co_flags & inspect.CO_OPTIMIZED:
        steps = dis.get_instructions(code)
        found += [step.argval for step in steps if step.opname in _LOOKED_UP and step.argval not in OF_MODULE]
    return found


def state_of(function: types.FunctionType, *, bare: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the content of a function: its attributes; its name, defaults, closure, globals and the like.

    With `bare`, globals are left out.
    """
    function, code, cells = with_annotations(function), function.__code__, function.__closure__
    contents = [contents_of(cell) for cell in cells] if cells else []
    theirs, names = function.__globals__, cloudpickle.cloudpickle._extract_code_globals(code)
    used = {name: theirs[name] for name in names if name in theirs}
    if types.CodeType in map(type, code.co_consts) or not code.co_flags & inspect.CO_OPTIMIZED:
        used |= {name: theirs[name] for name in names_in_bodies(code) if name in theirs}
    seen = [*used.values(), *chain(*contents)]
    slots = {
        # new strings: the pickle must not depend on which strings code shares
        "__name__": "".join(function.__name__),
        "__qualname__": "".join(function.__qualname__),
        "__annotations__": function.__annotations__,
        "__kwdefaults__": function.__kwdefaults__,
        "__defaults__": function.__defaults__,
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "__closure__": cells and contents,
        "_cloudpickle_submodules": submodules_of(code, seen) if seen else seen,
        "__globals__": {} if bare else used,
    }
    if getattr(function, "__type_params__", ()):
        slots["__type_params__"] = function.__type_params__
    own = function.__dict__
    return {"".join(name): value for name, value in own.items()} if own else {}, slots


def contents_of(cell: types.CellType) -> tuple[Any, ...]:
    """Return the contents of a cell as a tuple of one; an empty tuple if nothing is bound yet."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


_LOOKED_UP: Final = frozenset(("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))


def method_by_name(function: types.FunctionType) -> Any:
    """Return the method of a class that a function's name finds, if its function is this one; else None."""
    try:
        found: Any = operator.attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except (AttributeError, KeyError, TypeError):
        return None
    same = type(found) is types.MethodType and found.__func__ is function and isinstance(found.__self__, type)
    return found if same else None


def home_of(function: types.FunctionType) -> str | None:
    """Name the module that has a function's globals; None if no module has.

    ``__main__`` means every namespace of that name. Generated code has globals of no module, or a copy of
    some module's, as in attrs.
    """
    theirs = function.__globals__
    name: Any = theirs.get("__name__")
    if vars(sys.modules.get(name, _NOTHING)) is theirs:
        return str(name)
    return "__main__" if name == "__main__" and "__spec__" not in theirs else None


_NOTHING: Final = types.ModuleType("nothing")


def reduce_cached(cached: Any) -> Any:
    """Reduce a function of `functools.lru_cache`, by value if it must be; its cache is not sent."""
    if not is_local(cached):
        return cached.__reduce__()
    return calls.cached, (cached.__wrapped__, *cached.cache_parameters().values())


@provides("cached")
def make_cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Callable[..., Any]:
    """Wrap a function with an empty cache again."""
    return functools.lru_cache(maxsize, typed)(function)


def is_local(code: Any) -> bool:
    """Tell whether no other process can import a function or class.

    This holds in ``__main__``, in a function, and for a lambda.
    """
    return code.__module__ in MAINS or "<" in code.__qualname__


MAINS: Final = frozenset(("__main__", "__mp_main__"))
"""The names of a process's script; the second is that of multiprocessing."""


def is_found(code: Any) -> bool:
    """Tell whether this process has this very function or class under its name."""
    try:
        return operator.attrgetter(code.__qualname__)(sys.modules[code.__module__]) is code
    except (AttributeError, KeyError):
        return False


@provides("function_of")
def make_function_of(home: str, *parts: Any) -> types.FunctionType:
    """Make a function sent by value in its module, which is imported."""
    return make_function(*parts, g=vars(importlib.import_module(home)))
