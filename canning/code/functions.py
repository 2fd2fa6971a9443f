"""Functions and classes that travel by value, and the namespace in which they run on arrival.

cloudpickle takes code apart; what stands here decides what it is asked for, and puts functions
together again, in a namespace of the receiver's where there is one.
"""

from __future__ import annotations

import builtins
import copyreg
import dis
import enum
import functools
import importlib
import inspect
import io
import operator
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import cloudpickle

from .. import calls
from ..provided import provides
from ..types.canned import CannedObject, Namespace, own
from ..types.registry import default_registry
from .annotations import with_annotations
from .by_value_types import METACLASSES, reduce_nameless
from .classes import body_of, functions_of, order_of_filling, parts_of_class, registered_with
from .dataclass_source import without_made
from .enums import attributes_of, parts_of_enum
from .rebuild import OF_MODULE, fill_function, make_function
from .structs import is_struct, parts_of_struct
from .stubs import StubType

F = TypeVar("F", bound=Callable[..., Any])

INTERACTIVE: Final = "__canning_interactive__"


def interactive(function: F) -> F:
    """Mark a function to run as if it had been typed at the receiver.

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
        file: object,
        table: Mapping[type, Any],
        buffer_callback: object = None,
        *,
        interactive: bool = False,
    ) -> None:
        self._kinds: dict[type, Callable[..., Any] | None] = {types.FunctionType: type(self)._reduce_function}
        self._cells: dict[int, CellOf] = {}
        self._bare: set[int] = set()  # functions that a class brings what they need
        self._whole: set[int] = set()  # and others, which were written with it
        self._interactive = interactive
        self.dispatch_table = table  # __init__ looks for it
        self._registry: Any = getattr(table, "registry", default_registry)
        self._codes: list[Any] = getattr(table, "codes", [])
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, obj: object) -> Any:
        """Reduce functions and classes; leave all else to the table."""
        kind = type(obj)
        try:
            reduce = self._kinds[kind]
        except KeyError:
            is_class = issubclass(kind, type) and kind is not StubType
            reduce = self._kinds[kind] = type(self)._reduce_class if is_class else None
        return NotImplemented if reduce is None else reduce(self, obj)

    def _reduce_class(self, cls: Any) -> Any:
        if type(cls) in copyreg.dispatch_table and type(cls) is not StubType:
            return NotImplemented  # which leads to what somebody has said there
        if cls in METACLASSES:
            return type, (METACLASSES[cls],)
        if type(cls) in METACLASSES and (reduced := reduce_nameless(cls)) is not None:
            return reduced
        if self._registry.goes_by_value(cls):
            return self._take_class_apart(cls)
        if cls in _OF_SINGLETONS:
            return type, (_OF_SINGLETONS[cls],)
        if cls in _BUILTIN_TYPES:
            return cloudpickle.cloudpickle._builtin_type, (_BUILTIN_TYPES[cls],)
        return NotImplemented if cls in _BY_NAME or self._leads_home(cls) else self._take_class_apart(cls)

    def _take_class_apart(self, cls: Any) -> Any:
        body = body_of(cls)
        as_source = getattr(getattr(self.dispatch_table, "reducers", None), "as_source", False)
        dataclass = without_made(cls, body) if as_source else None
        found = [(name, function) for name, value in body.items() for function in functions_of(value)]
        own = [each for each in found if self._goes_by_value(each[1], whole=False)]
        self._bare.update(id(function) for _, function in own)
        own.sort(key=lambda each: order_of_filling(*each))
        fills: list[Any] = [FillOf(function, self._state_of(function)) for _, function in own]
        if "__dataclass_fields__" in body and dataclass is None:
            fields = {"__dataclass_fields__": body["__dataclass_fields__"]}
            fills.insert(sum(order_of_filling(*each) == 0 for each in own), AheadOf(cls, fields))
        if issubclass(cls, enum.Enum):
            parts, rest = parts_of_enum(cls, body)
            state: Any = (fills, rest, None, None), attributes_of(cls)
            return calls.enum, parts, state, None, None, calls.fill_enum
        struct = is_struct(cls)
        parts, rest = (parts_of_struct if struct else parts_of_class)(cls, body)
        state = fills, rest, registered_with(cls), dataclass
        return calls.struct if struct else calls.empty_class, parts, state, None, None, calls.fill_class

    def _goes_by_value(self, function: types.FunctionType, *, whole: bool) -> bool:
        """Tell whether a function goes by value; and, where not `whole`, was not written in whole before."""
        if function in _BY_NAME or (not whole and id(function) in self._whole):
            return False
        if self._registry.goes_by_value(function):
            return True
        if self._leads_home(function):
            return False
        method = method_by_name(function)
        return method is None or not self._leads_home(method.__self__)

    def _leads_home(self, code: Any) -> bool:
        """Tell whether the name of a function or class leads to it where the message is read."""
        if vars(builtins).get(code.__name__) is code:
            return True
        if is_local(code):
            reducers = getattr(self.dispatch_table, "reducers", None)
            return bool(getattr(reducers, "by_name", False)) and is_found(code)
        return bool(cloudpickle.cloudpickle._should_pickle_by_reference(code))

    def _reduce_function(self, function: types.FunctionType) -> Any:
        if id(function) in self._bare:
            return self._head_of(function)
        if not self._goes_by_value(function, whole=True):
            method = None if function in _BY_NAME else method_by_name(function)
            return NotImplemented if method is None else (getattr, (method, "__func__"))
        self._whole.add(id(function))
        return *self._head_of(function), self._state_of(function), None, None, calls.fill

    def _head_of(self, function: types.FunctionType) -> Any:
        """Give the call that makes a function without what it needs."""
        code, cells = function.__code__, function.__closure__
        self._codes.append((code, function))
        closure: Any = cells and tuple([self._cells.setdefault(id(cell), CellOf(cell)) for cell in cells])
        home = home_of(function)
        bare = (home is not None and self._interactive) or function.__dict__.get(INTERACTIVE)
        module_globals = {"__name__": "__main__"} if bare else self._module_globals(function, home)
        parts = (code, module_globals, None, None, closure)
        if home is None or home == "__main__" or not self._interactive:
            return calls.function, parts
        return calls.function_of, (home, *parts)

    def _state_of(self, function: types.FunctionType) -> Any:
        """Give what it needs: attributes; defaults, closure, globals and the like."""
        cells, theirs = function.__closure__, function.__globals__
        attributes, slots = cloudpickle.cloudpickle._function_getstate(with_annotations(function))
        contents = cells and [contents_of(cell) for cell in cells]
        slots["__closure__"] = contents
        shipped = slots["__globals__"]
        shipped |= {name: theirs[name] for name in names_in_bodies(function.__code__) if name in theirs}
        seen = [*shipped.values(), *(each for cell in contents or () for each in cell)]
        slots["_cloudpickle_submodules"] = submodules_of(function.__code__, seen)
        if getattr(function, "__type_params__", ()):
            slots["__type_params__"] = function.__type_params__
        if function.__dict__.get(INTERACTIVE) or (self._interactive and home_of(function) is not None):
            slots["__globals__"] = {}
        return attributes, slots

    def _module_globals(self, function: types.FunctionType, home: str | None) -> Namespace:
        """Give what a function's globals start with on arrival: the same for functions that share theirs."""
        theirs = function.__globals__
        if id(theirs) not in self.globals_ref:
            self.globals_ref[id(theirs)] = {name: theirs[name] for name in OF_MODULE[:-1] if name in theirs}
        ours: Namespace = self.globals_ref[id(theirs)]
        if home is None and ours.get("__name__") == "__main__":
            del ours["__name__"]  # by which a reader knows what may run in its own
        return ours


def submodules_of(code: types.CodeType, seen: list[Any]) -> list[types.ModuleType]:
    """List the modules that code, and what is defined in it, reaches as attributes of packages."""
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


_LOOKED_UP: Final = frozenset(("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))


def method_by_name(function: types.FunctionType) -> Any:
    """Give the method of a class that a function's name leads to, and whose function it is; else None."""
    try:
        found: Any = operator.attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except (AttributeError, KeyError, TypeError):
        return None
    same = type(found) is types.MethodType and found.__func__ is function and isinstance(found.__self__, type)
    return found if same else None


def home_of(function: types.FunctionType) -> str | None:
    """Name the module whose globals a function has; None where they are of no module.

    ``__main__`` stands for every namespace that calls itself so. Generated code has globals of no module, or
    a copy of some module's, as attrs makes them.
    """
    theirs = function.__globals__
    name: Any = theirs.get("__name__")
    if vars(sys.modules.get(name, _NOTHING)) is theirs:
        return str(name)
    return "__main__" if name == "__main__" and "__spec__" not in theirs else None


_NOTHING: Final = types.ModuleType("nothing")


class FillOf:
    """Stand for the call that gives a function of a class what it needs."""

    def __init__(self, function: types.FunctionType, state: object) -> None:
        self.call = function, state

    def __reduce__(self) -> Any:
        return calls.fill, self.call


class AheadOf:
    """Stand for the call that gives a class attributes before its functions get what they need."""

    def __init__(self, cls: type, attributes: dict[str, Any]) -> None:
        self.call = cls, attributes

    def __reduce__(self) -> Any:
        return calls.ahead, self.call


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
    return calls.cached, (cached.__wrapped__, *cached.cache_parameters().values())


@provides("cached")
def make_cached(function: Callable[..., Any], maxsize: int | None, typed: bool) -> Callable[..., Any]:
    """Wrap a function with a cache again, which is empty."""
    return functools.lru_cache(maxsize, typed)(function)


def is_local(code: Any) -> bool:
    """Tell whether no other process can import a function or class.

    It stands in ``__main__``, in a function, or is a lambda.
    """
    return code.__module__ in _MAINS or "<" in code.__qualname__


_MAINS: Final = frozenset(("__main__", "__mp_main__"))
"""How a process calls its script; the second is multiprocessing's word for it."""


def is_found(code: Any) -> bool:
    """Tell whether a function or class is what this process has under its name."""
    try:
        return operator.attrgetter(code.__qualname__)(sys.modules[code.__module__]) is code
    except (AttributeError, KeyError):
        return False


@provides("function_of")
def make_function_of(home: str, *parts: Any) -> types.FunctionType:
    """Make a function that came by value in the module that it is of, which is imported."""
    return make_function(*parts, g=vars(importlib.import_module(home)))


_BY_NAME: Final = frozenset(
    (
        *calls.ALL,
        cloudpickle.cloudpickle._builtin_type,
        cloudpickle.cloudpickle.subimport,
    )
)
"""What headers name to build code: cloudpickle takes 2 µs to find that each of them can be imported."""
_OF_SINGLETONS: Final = {type(each): each for each in (None, ..., NotImplemented)}
_BUILTIN_TYPES: Final = cloudpickle.cloudpickle._BUILTIN_TYPE_NAMES


class CannedCode(CannedObject):
    """Stand for a function or class by the parts that it is made of."""

    def __init__(self, obj: object) -> None:
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
        return calls.code, (type(self).__name__, cloudpickle.dumps(self.code, 5))


@provides("code")
def can_again(kind: str, pickled: bytes) -> CannedCode:
    """Make a canned function or class of what was pickled on its own, by the standard library's pickle."""
    return {"CannedClass": CannedClass, "CannedFunction": CannedFunction}[kind](pickle.loads(pickled))


@own
class CannedClass(CannedCode):
    """Stand for a class that travels by value."""


@own
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
