"""Pickle functions and classes by value.

cloudpickle does the splitting; this module decides which objects it handles.
"""

from __future__ import annotations

import builtins
import copyreg
import enum
import functools
import io
import pickle
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import cloudpickle

from .. import calls
from ..errors import SerializationError
from ..provided import provides
from ..types.canned import CannedObject, Namespace, named_in_headers
from ..types.registry import default_registry, dotted_name
from .annotations import without_made
from .by_value_types import BY_VALUE, METACLASSES, WITH_SUBCLASSES, reduce_nameless
from .class_kinds import attributes_of, is_struct, parts_of_enum, parts_of_struct
from .classes import OF_FUNCTIONS, body_of, functions_of, order_of_filling, parts_of_class, registered_with
from .functions import (
    INTERACTIVE,
    MAINS,
    home_of,
    is_found,
    is_local,
    method_by_name,
    reduce_cached,
    state_of,
)
from .rebuild import OF_MODULE, fill_function, make_function
from .stubs import StubType

_NOT_CALLED: Final = 1 << 7
"""The flag of classes that cannot be called: Py_TPFLAGS_DISALLOW_INSTANTIATION of CPython's object.h."""


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickle functions and classes by value if they must be, and all other objects as the C pickler does.

    cloudpickle's own pickler runs Python code for every instance in the graph, through a chain of maps:
    10,000 dataclasses took it 1.3 µs each. This one handles only functions and classes. With `interactive`,
    functions are sent without globals: they use those of the receiver.
    """

    def __init__(
        self,
        file: object,
        table: Mapping[type, Any],
        buffer_callback: object = None,
        *,
        interactive: bool = False,
    ) -> None:
        self._cells: dict[int, CellOf] = {}
        self._bare: set[int] = set()  # functions whose class writes their content
        self._whole: set[int] = set()  # and others, which were written with it
        self._interactive = interactive
        self.dispatch_table = table  # __init__ looks for it
        self._registry: Any = getattr(table, "registry", default_registry)
        self._codes: list[Any] = getattr(table, "codes", [])
        reducers = getattr(table, "reducers", None)
        self._as_source = bool(getattr(reducers, "as_source", False))
        self._by_name = bool(getattr(reducers, "by_name", False))
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def forget(self) -> None:
        """Forget the functions of the last message, and their globals."""
        self.globals_ref.clear()
        self._cells.clear()
        self._bare.clear()
        self._whole.clear()

    def reducer_override(self, obj: object) -> Any:
        """Reduce functions and classes; leave all other objects to the table."""
        kind: Any = type(obj)
        if kind is types.FunctionType:
            return self._reduce_function(obj)
        return self._reduce_class(obj) if issubclass(kind, type) else NotImplemented

    def _reduce_class(self, cls: Any) -> Any:
        kind = type(cls)
        if kind is StubType or kind in copyreg.dispatch_table:
            return NotImplemented  # the table's or registered reducers then apply
        if kind is type and vars(builtins).get(cls.__name__) is cls:
            return NotImplemented
        if cls in METACLASSES:
            return type, (METACLASSES[cls],)
        if kind in METACLASSES and (reduced := reduce_nameless(cls)) is not None:
            return reduced
        if self._registry.goes_by_value(cls):
            return self._take_class_apart(cls)
        if cls in _OF_SINGLETONS:
            return type, (_OF_SINGLETONS[cls],)
        if cls in _BUILTIN_TYPES:
            return cloudpickle.cloudpickle._builtin_type, (_BUILTIN_TYPES[cls],)
        return NotImplemented if cls in _BY_NAME or self._leads_home(cls) else self._take_class_apart(cls)

    def _take_class_apart(self, cls: Any) -> Any:
        if cls.__flags__ & _NOT_CALLED and issubclass(cls, tuple):  # others refuse by themselves
            raise SerializationError(f"nobody can make a {dotted_name(cls)}: send its values instead")
        body = body_of(cls)
        dataclass = without_made(cls, body) if self._as_source else None
        fills: list[list[Any]] = [[], [], []]
        for name, value in body.items():
            for function in functions_of(value) if type(value) in OF_FUNCTIONS else ():
                if self._goes_by_value(function, whole=False):
                    self._bare.add(id(function))
                    state = self._state_of(function)
                    fills[order_of_filling(name, state[1])].append(FillOf(function, state))
        if "__dataclass_fields__" in body and dataclass is None:
            fields = {"__dataclass_fields__": body["__dataclass_fields__"]}
            fills[0].append(AheadOf(cls, fields))
        filled = fills[0] + fills[1] + fills[2]
        if issubclass(cls, enum.Enum):
            parts, rest = parts_of_enum(cls, body)
            content: Any = (filled, rest, None, None), attributes_of(cls)
            return calls.enum, parts, content, None, None, calls.fill_enum
        struct = is_struct(cls)
        parts, rest = (parts_of_struct if struct else parts_of_class)(cls, body)
        content = filled, rest, registered_with(cls), dataclass
        return calls.struct if struct else calls.empty_class, parts, content, None, None, calls.fill_class

    def _goes_by_value(self, function: types.FunctionType, *, whole: bool) -> bool:
        """Tell whether a function is sent by value; unless `whole`, only if not written whole before."""
        if not whole and (id(function) in self._whole or function in _BY_NAME):
            return False
        if self._registry.goes_by_value(function):
            return True
        if self._leads_home(function):
            return False
        if function.__module__ in MAINS and not self._by_name:
            return True  # nor does its class, if it is a method of one
        method = method_by_name(function)
        return method is None or not self._leads_home(method.__self__)

    def _leads_home(self, code: Any) -> bool:
        """Tell whether the name of a function or class finds it where the message is read."""
        if vars(builtins).get(code.__name__) is code:
            return True
        if is_local(code):
            return self._by_name and is_found(code)
        return bool(cloudpickle.cloudpickle._should_pickle_by_reference(code))

    def _reduce_function(self, function: Any) -> Any:
        if function in _BY_NAME:
            return NotImplemented
        if id(function) in self._bare:
            return self._head_of(function)
        if not self._goes_by_value(function, whole=True):
            method = method_by_name(function)
            return NotImplemented if method is None else (getattr, (method, "__func__"))
        self._whole.add(id(function))
        return *self._head_of(function), self._state_of(function), None, None, calls.fill

    def _head_of(self, function: types.FunctionType) -> Any:
        """Return the call that makes a function without its content."""
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
        """Return its content: attributes; defaults, closure, globals and the like."""
        if function.__dict__.get(INTERACTIVE) or (self._interactive and home_of(function) is not None):
            return state_of(function, bare=True)
        return state_of(function)

    def _module_globals(self, function: types.FunctionType, home: str | None) -> Namespace:
        """Return the initial globals of a function on arrival: functions that share globals get the same."""
        theirs = function.__globals__
        if id(theirs) not in self.globals_ref:
            self.globals_ref[id(theirs)] = {name: theirs[name] for name in OF_MODULE[:-1] if name in theirs}
        ours: Namespace = self.globals_ref[id(theirs)]
        if home is None and ours.get("__name__") == "__main__":
            del ours["__name__"]  # a reader runs functions of that name in its own
        return ours


class FillOf:
    """Represent the call that sets the content of a function of a class."""

    def __init__(self, function: types.FunctionType, state: object) -> None:
        self.call = function, state

    def __reduce__(self) -> Any:
        return calls.fill, self.call


class AheadOf:
    """Represent the call that sets attributes of a class before its functions get their content."""

    def __init__(self, cls: type, attributes: dict[str, Any]) -> None:
        self.call = cls, attributes

    def __reduce__(self) -> Any:
        return calls.ahead, self.call


class CellOf:
    """Represent a cell of a closure until its contents are pickled: they may hold the function.

    Functions that share a cell share this object too, and so the cell on arrival.
    """

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def __reduce__(self) -> tuple[type[types.CellType], tuple[()]]:
        return types.CellType, ()


_BY_NAME: Final = frozenset(
    (
        *calls.ALL,
        cloudpickle.cloudpickle._builtin_type,
        cloudpickle.cloudpickle.subimport,
    )
)
"""Names in headers that build code: cloudpickle takes 2 µs to find that each of them can be imported."""
_OF_SINGLETONS: Final = {type(each): each for each in (None, ..., NotImplemented)}
_BUILTIN_TYPES: Final = cloudpickle.cloudpickle._BUILTIN_TYPE_NAMES


class CannedCode(CannedObject):
    """Represent a function or class by its parts."""

    def __init__(self, obj: object) -> None:
        self.buffers = []
        self.code = obj
        reduced = ByValuePickler(io.BytesIO(), {}).reducer_override(obj)
        self.reduced: Any = None if reduced is NotImplemented else reduced

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the class; the class itself if it can be imported."""
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
    """Make a canned function or class from a separate pickle of the standard library's pickler."""
    return {"CannedClass": CannedClass, "CannedFunction": CannedFunction}[kind](pickle.loads(pickled))


@named_in_headers
class CannedClass(CannedCode):
    """Represent a class that is sent by value."""


@named_in_headers
class CannedFunction(CannedCode):
    """Represent a function: by name if other processes can import it, otherwise by value."""

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the function in the namespace `g`, or import it."""
        if self.reduced is None:
            return self.code
        _, (*parts, closure), (attributes, slots), *_ = self.reduced
        cells = None if closure is None else tuple(types.CellType() for _ in closure)
        code, module_globals, name, defaults = parts
        function = make_function(code, module_globals, name, defaults, cells, g=g)
        fill_function(function, (attributes, dict(slots)), g)
        return function


# -- objects that pickle cannot send -----------------------------------------------------------------------


def _refuse_file(file: io.IOBase) -> Any:
    """Refuse open text files: cloudpickle would send a copy of their text, which users do not expect."""
    what = "text" if isinstance(file, io.TextIOBase) else "bytes"
    kind = "text file" if what == "text" else "file"
    raise TypeError(f"cannot pickle an open {kind}: send its {what}, as file.read() gives it, or its path")


TABLE: Final[dict[type, Callable[[Any], Any]]] = {
    **dict.fromkeys(
        (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO), _refuse_file
    ),
    **BY_VALUE,
    functools._lru_cache_wrapper: reduce_cached,
    CellOf: CellOf.__reduce__,
    FillOf: FillOf.__reduce__,
}
"""The reducers of these types alone."""


_CLOUDPICKLES: Final = cloudpickle.Pickler._dispatch_table
"""The reducers of cloudpickle, without those of `copyreg`, which come first here."""


def reducer_of(cls: type) -> Callable[[Any], Any] | None:
    """Return the reducer of the instances of a type that pickle cannot send; None for any other type."""
    return TABLE.get(cls) or _of_base(cls) or _CLOUDPICKLES.get(cls)


def _of_base(cls: Any) -> Callable[[Any], Any] | None:
    """Return the reducer for instances of types that pickle cannot send, and of their subclasses."""
    if cls.__reduce_ex__ is not object.__reduce_ex__ or cls.__reduce__ is not object.__reduce__:
        return None
    return next((WITH_SUBCLASSES[base] for base in cls.__mro__ if base in WITH_SUBCLASSES), None)
