"""Functions and classes that travel by value, and the namespace in which they run on arrival.

cloudpickle takes code apart; what stands here decides what it is asked for, and puts functions
together again, in a namespace of the receiver's where there is one.
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import cloudpickle

from . import calls
from .canned import CannedObject, Namespace
from .code.by_value_types import ARRAY_TYPE, METACLASSES, is_nameless, move_fields
from .code.enums import fill_enum, make_enum, reduce_enum
from .code.making import OF_MODULE, fill_function, make_function
from .code.structs import is_struct, reduce_struct
from .code.stubs import StubType
from .registry import default_registry

F = TypeVar("F", bound=Callable[..., Any])

INTERACTIVE: Final = "__canning_interactive__"


def interactive(function: F) -> F:
    """Mark a function to run as if it had been typed where it arrives.

    It travels by value without the globals that it had here: on arrival the namespace `g` of
    `deserialize_object` is all that it sees. The function given stays as it is; the one returned is
    marked.

    >>> from canning import deserialize_object, serialize_object
    >>> frames = serialize_object(interactive(lambda: answer))
    >>> deserialize_object(frames, {"answer": 42})[0]()
    42
    """
    if not isinstance(function, types.FunctionType):
        return function
    marked = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    marked.__kwdefaults__ = function.__kwdefaults__
    marked.__dict__.update(function.__dict__)
    marked.__doc__ = function.__doc__
    marked.__module__ = "__main__"  # as what is typed there, and so never by reference
    setattr(marked, INTERACTIVE, True)
    return marked  # type: ignore[return-value]


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickle functions and classes by value where they must be, and the rest as the C pickler does.

    cloudpickle's own pickler asks Python for every instance in the graph, through a chain of maps: 10,000
    dataclasses took it 1.3 µs each. This one looks only at functions and classes. With `interactive`
    functions take no globals along: they run in what they find where they arrive.
    """

    def __init__(
        self,
        file: Any,
        table: Mapping[type, Any],
        buffer_callback: Any = None,
        *,
        interactive: bool = False,
    ) -> None:
        self._kinds: dict[type, Callable[..., Any] | None] = {types.FunctionType: type(self)._reduce_function}
        self._cells: dict[int, CellOf] = {}
        self._interactive = interactive
        self.dispatch_table = table  # __init__ looks for it
        self._registry: Any = getattr(table, "registry", default_registry)
        self._codes: list[Any] = getattr(table, "codes", [])
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, obj: Any) -> Any:
        """Reduce functions and classes; leave all else to the table."""
        kind = type(obj)
        try:
            reduce = self._kinds[kind]
        except KeyError:
            is_class = issubclass(kind, type) and kind is not StubType
            reduce = self._kinds[kind] = type(self)._reduce_class if is_class else None
        return NotImplemented if reduce is None else reduce(self, obj)

    def _reduce_class(self, cls: Any) -> Any:
        if type(cls) is ARRAY_TYPE and is_nameless(cls):
            return NotImplemented
        if cls in METACLASSES:
            return type, (METACLASSES[cls],)
        if self._registry.goes_by_value(cls):
            reduced = cloudpickle.cloudpickle._dynamic_class_reduce(cls)
        else:
            reduced = super().reducer_override(cls)
        return reduced if type(reduced) is not tuple else self._complete(cls, reduced)

    def _complete(self, cls: Any, reduced: Any) -> Any:
        """Add the slots to a class that cloudpickle has reduced, and what makes it a dataclass as source.

        A structure of ctypes gets its fields when it is made.
        """
        if is_struct(cls) and reduced[-1] is cloudpickle.cloudpickle._class_setstate:
            return reduce_struct(cls, reduced)
        own = vars(cls)
        skeleton = reduced[0] is cloudpickle.cloudpickle._make_skeleton_class
        if skeleton and "__slots__" in own and NamedTuple not in own.get("__orig_bases__", ()):
            reduced[1][3]["__slots__"] = own["__slots__"]
        if skeleton and cls.__qualname__ != cls.__name__:
            reduced[1][3]["__qualname__"] = cls.__qualname__
        if reduced[0] is cloudpickle.cloudpickle._make_skeleton_enum:
            return reduce_enum(cls, reduced)
        if reduced[-1] is not cloudpickle.cloudpickle._class_setstate:
            return reduced
        if "_fields_" in own and type(cls) in METACLASSES:
            move_fields(reduced[1][3], reduced[2][0])
        if not getattr(getattr(self.dispatch_table, "reducers", None), "as_source", False):
            return reduced
        from .code.dataclass_source import without_made

        return without_made(cls, reduced)

    def _reduce_function(self, function: types.FunctionType) -> Any:
        if function in _BY_NAME:
            return NotImplemented
        by_value = is_local(function) or self._registry.goes_by_value(function)
        if not by_value and cloudpickle.cloudpickle._should_pickle_by_reference(function):
            return NotImplemented
        code, cells = function.__code__, function.__closure__
        attributes, slots = cloudpickle.cloudpickle._function_getstate(function)
        self._codes.append((code, function))
        closure: Any = cells and tuple([self._cells.setdefault(id(cell), CellOf(cell)) for cell in cells])
        slots["__closure__"] = cells and [contents_of(cell) for cell in cells]
        if getattr(function, "__type_params__", ()):
            slots["__type_params__"] = function.__type_params__
        home = home_of(function) if self._interactive else None
        if home is not None or function.__dict__.get(INTERACTIVE):
            module_globals: Namespace = {}
            slots["__globals__"] = {}
        else:
            module_globals = self._module_globals(function)
        parts = (code, module_globals, None, None, closure)
        if home is None or home == "__main__":
            return calls.function, parts, (attributes, slots), None, None, calls.fill
        return make_function_of, (home, *parts), (attributes, slots), None, None, calls.fill

    def _module_globals(self, function: types.FunctionType) -> Namespace:
        """Give what a function's globals start with on arrival: the same for functions that share theirs."""
        theirs = function.__globals__
        if id(theirs) not in self.globals_ref:
            self.globals_ref[id(theirs)] = {name: theirs[name] for name in OF_MODULE[:-1] if name in theirs}
        ours: Namespace = self.globals_ref[id(theirs)]
        return ours


def home_of(function: types.FunctionType) -> str | None:
    """Name the module whose globals a function has; None where they are of no module.

    ``__main__`` stands for every namespace that calls itself so, and for one without a name.
    """
    name: str = function.__globals__.get("__name__") or "__main__"
    if name == "__main__":
        return name
    return name if vars(sys.modules.get(name, _NOTHING)) is function.__globals__ else None


_NOTHING: Final = types.ModuleType("nothing")


class CellOf:
    """Stand for a cell of a closure while its contents are not looked at: they may hold the function.

    Functions that share a cell share the one object of this class too, and so the cell on arrival.
    """

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def __reduce__(self) -> tuple[type[types.CellType], tuple[()]]:
        return types.CellType, ()


def contents_of(cell: types.CellType) -> tuple[Any, ...]:
    """Give the contents of a cell as a tuple of one; of none where nothing is bound yet."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def reduce_cached(cached: Any) -> Any:
    """Reduce what `functools.lru_cache` made, by value where it must be; its cache stays behind."""
    if not is_local(cached):
        return cached.__reduce__()
    return make_cached, (cached.__wrapped__, *cached.cache_parameters().values())


def make_cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Callable[..., Any]:
    """Wrap a function with a cache again, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def is_local(code: Any) -> bool:
    """Tell whether no other process can import a function or class.

    It stands in ``__main__``, in a function, or is a lambda.
    """
    return code.__module__ == "__main__" or "<" in code.__qualname__


def make_function_of(home: str, *parts: Any) -> types.FunctionType:
    """Make a function that came by value in the module that it is of, which is imported."""
    return make_function(*parts, g=vars(importlib.import_module(home)))


_BY_NAME: Final = frozenset(
    (
        *calls.ALL,
        make_function_of,
        make_cached,
        make_enum,
        fill_enum,
        cloudpickle.cloudpickle._builtin_type,
        cloudpickle.cloudpickle._make_skeleton_class,
        cloudpickle.cloudpickle._class_setstate,
        cloudpickle.cloudpickle.subimport,
    )
)
"""What headers name to build code: cloudpickle takes 2 µs to find that each of them can be imported."""


class CannedCode(CannedObject):
    """Stand for a function or class by the parts that it is made of."""

    def __init__(self, obj: Any) -> None:
        self.buffers = []
        self.code = obj
        reduced = ByValuePickler(io.BytesIO(), {}).reducer_override(obj)
        self.reduced = None if reduced is NotImplemented else reduced

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the class; the class itself where it can be imported."""
        if self.reduced is None:
            return self.code
        make, parts, state, *_, fill = self.reduced
        obj = make(*parts)
        if state is not None:
            fill(obj, state)
        return obj

    def __reduce__(self) -> tuple[Any, ...]:
        return can_again, (type(self), cloudpickle.dumps(self.code, 5))


def can_again(cls: type[CannedCode], pickled: bytes) -> CannedCode:
    """Make a canned function or class of what was pickled on its own, by the standard library's pickle."""
    return cls(pickle.loads(pickled))


class CannedClass(CannedCode):
    """Stand for a class that travels by value."""


class CannedFunction(CannedCode):
    """Stand for a function: by value where no other process can import it, by name elsewhere."""

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the function in the namespace `g`; the function itself where it can be imported."""
        if self.reduced is None:
            return self.code
        _, (*parts, closure), (attributes, slots), *_ = self.reduced
        cells = None if closure is None else tuple(types.CellType() for _ in closure)
        code, module_globals, name, defaults = parts
        function = make_function(code, module_globals, name, defaults, cells, g=g)
        fill_function(function, (attributes, dict(slots)), g)
        return function
