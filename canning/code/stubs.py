"""Stubs for objects whose class is missing; they become the original objects when they are sent on.

The unpickler makes an object in a few steps: a name, a call or ``__new__``, a state, items. A `Stub` records
each, and `reduce_stub` returns them to the pickler. A missing name becomes a class of its own, a `StubType`;
it is sent on as a call of `calls.named`, since no pickler writes a name that it cannot find.
"""

from __future__ import annotations

import copyreg
import functools
import reprlib
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Final

from .. import calls
from ..errors import DeserializationError
from ..provided import provided
from ..wire.names import CALLS
from .renaming import look_up

_SHOWN: Final = reprlib.Repr()
_MISSING: Final = object()


class StubType(type):
    """The class of missing classes; the missing object may be a function as well."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Record a call in a message; code that calls the class later gets an error that names it."""
        stubs = cls.__dict__.get("_stubs")
        if stubs is None or stubs.closed:
            raise TypeError(f"{cls.__module__}.{cls.__qualname__} is not here: this is a stub of it")
        stub: Any = cls.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]
        stub.__dict__["_maker"] = cls
        if len(args) == 2 and isinstance(args[0], Stub):
            args[0].__dict__["_call"] = (weakref.ref(stub), cls, args[1])
        return stub

    def __repr__(cls) -> str:
        return f"<stub of {class_name(cls)}>"


class Stub(metaclass=StubType):
    """Represent an object whose class, or the function that makes it, is missing.

    ``stub["name"]`` and ``stub.name`` return an attribute of its state, ``stub[0]`` an item of its contents
    (if there are none, one of its arguments), ``stub[key]`` the value of a dictionary's key.

    Attributes:
        class_name: the dotted name of the missing class or function.
        args, kwargs: the arguments of the call that made the object.
        state: the state that pickle sets afterwards, mostly a dict; None if there is none.
        contents: the items of a list, the pairs of a dict.
    """

    _maker: Any = None
    _args: tuple[Any, ...] = ()
    _kwargs: dict[str, Any] = {}  # noqa: RUF012 - never written to
    _state: Any = _MISSING
    _setter: Any = None
    _buffers: list[Any] | None = None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Record the arguments."""
        stub = object.__new__(cls)
        named = {sys.intern(name): value for name, value in kwargs.items()}
        stub.__dict__.update(_args=args, _kwargs=named)
        return stub

    @property
    def class_name(self) -> str:
        """The dotted name of what is missing."""
        return class_name(type(self))

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments of the call that made the object."""
        return self._args

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments of that call."""
        return self._kwargs

    @property
    def state(self) -> Any:
        """The state that was set; a dict if the object had attributes, those in slots included."""
        state, _ = _set_state(self)
        if state is _MISSING:
            return None
        if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
            attributes, slots = state
            if attributes is None or isinstance(attributes, dict):
                return {**(attributes or {}), **slots}
        return state

    @property
    def contents(self) -> list[Any]:
        """The items of a list, the pairs of a dict."""
        return [*self.__dict__.get("_items", ()), *self.__dict__.get("_pairs", ())]

    def __setstate__(self, state: object) -> None:
        for part in state if type(state) is tuple else (state,):
            if type(part) is dict and all(type(name) is str for name in part):
                pairs = [(sys.intern(name), value) for name, value in part.items()]
                part.clear()
                part.update(
                    pairs
                )  # attributes are called by interned names, of which a pickler knows the same
        self.__dict__["_state"] = state

    def append(self, item: object) -> None:
        """Record an item of a list."""
        self.__dict__.setdefault("_items", []).append(item)

    def __setitem__(self, key: object, value: object) -> None:
        self.__dict__.setdefault("_pairs", []).append((key, value))

    def __getitem__(self, key: object) -> Any:
        for known, value in self.__dict__.get("_pairs", ()):
            if known == key:
                return value
        if isinstance(key, int):
            items = self.__dict__.get("_items")
            return (items if items is not None else self._args)[key]
        state = self.state
        if isinstance(state, dict) and key in state:
            return state[key]
        raise KeyError(key)

    def __getattr__(self, name: str) -> Any:
        state = None if name.startswith("__") else self.state
        if isinstance(state, dict) and name in state:
            return state[name]
        raise AttributeError(f"the stub of {self.class_name} has no {name!r}")

    def __dir__(self) -> Iterator[str]:
        state = self.state
        yield from object.__dir__(self)
        yield from (name for name in (state if isinstance(state, dict) else ()) if isinstance(name, str))

    @reprlib.recursive_repr("...")
    def __repr__(self) -> str:
        parts = {"args": self.args, "kwargs": self.kwargs, "state": self.state, "contents": self.contents}
        shown = "".join(f", {name}={_SHOWN.repr(part)}" for name, part in parts.items() if part)
        return f"Stub({self.class_name}{shown})"

    def __reduce_ex__(self, protocol: object) -> Any:
        """Let other picklers send the stub as a message of its own, which is read with stubs again."""
        return calls.stub, (provided("dumps")(self),)


def _reduce_class(cls: Any) -> Any:
    return calls.stub, (provided("dumps")(cls),)


def class_name(cls: type) -> str:
    """Return the dotted name of the class that a stub's class represents."""
    return f"{cls.__module__}.{cls.__qualname__}".rstrip(".")


def type_of(stub: object) -> StubType:
    """Return the class of a stub; a stub class itself if it is given one."""
    cls: Any = stub if isinstance(stub, StubType) else type(stub)
    return cls  # type: ignore[no-any-return]


def is_stub_class(obj: object) -> bool:
    """Tell whether an object represents a missing class or function."""
    return type(obj) is StubType and "_stubs" in vars(obj)


def made_by_us(stub: Stub) -> bool:
    """Tell whether a function of this package made the object that a stub represents."""
    return str(getattr(stub._maker, "__module__", "")).startswith("canning.")


def versions_of(cls: Any) -> dict[str, str]:
    """Return the version of the package of a missing name, as its message states it."""
    top = cls.__module__.partition(".")[0]
    versions = cls._stubs.versions
    return {top: versions[top]} if top in versions else {}


class Stubs:
    """Make the stubs of one message.

    Attributes:
        closed: whether the message has been read, so that further calls are not its own.
        versions: those of the packages that the message names, as far as its writer knew.
    """

    def __init__(self) -> None:
        self.closed = False
        self.versions: dict[str, str] = {}
        self._made: dict[tuple[str, str], StubType] = {}

    def make(self, module: str, name: str) -> StubType:
        """Return the stub of a name, the same each time."""
        made = self._made.get((module, name))
        if made is None:
            copyreg.pickle(StubType, _reduce_class)  # for other picklers, which would look for the name
            fields = {"__module__": module, "__qualname__": name, "_stubs": self}
            made = self._made[module, name] = StubType(name.rpartition(".")[2], (Stub,), fields)
        return made

    def guard(self, name: tuple[str, str], call: Any, buffers: Any = ()) -> Any:
        """Return a function that makes a stub if a call that inspects classes is given one.

        `name` is the call in the message, `call` the function here, `buffers` are those of the message.
        """
        if name in _SETTERS:
            return _guarded_setter(call)
        if name not in _MAKERS:
            return call

        def make(*args: Any) -> Any:
            cls: Any = next(filter(is_stub_class, args), None)
            if name[1] == "getattr" and args and (cls is args[0] or isinstance(args[0], Stub)):
                cls = self.make(args[0].__module__, f"{type_of(args[0]).__qualname__}.{args[1]}")
                if is_stub_class(args[0]):  # attributes of a class have names
                    return cls
            if cls is None:
                try:
                    return call(*args)
                except (DeserializationError, ImportError) as error:
                    cls = self._missing_in(name, args, error)
                    if cls is None:
                        raise
            if name == (CALLS, "canned"):
                args, sources = args[:2], args[2:]
            stub = cls.__new__(cls, *args)
            stub.__dict__["_maker"] = look_up(*name) if name[0].startswith("canning.") else call
            if name == (CALLS, "canned"):
                stub.__dict__["_buffers"] = [buffers[s] if type(s) is int else s for s in sources]
            return stub

        return make

    def _missing_in(self, name: tuple[str, str], args: tuple[Any, ...], error: Exception) -> Any:
        """Return the stub of the missing object that a call needs; None if it failed for another reason."""
        unknown = isinstance(error, DeserializationError) and error.__cause__ is None
        if name == (CALLS, "registered") and unknown:
            module, _, qualname = args[0].rpartition(".")
            return self.make(module, qualname)
        if name[1] == "subimport" and isinstance(error, ImportError):
            return self.make(args[0], "")
        return None


def _guarded_setter(setter: Callable[..., Any]) -> Callable[..., Any]:
    def set_state(obj: object, state: object) -> Any:
        if not isinstance(obj, Stub):
            return setter(obj, state)
        obj.__dict__.update(_state=state, _setter=setter)
        return None

    return set_state


def _set_state(stub: Stub) -> tuple[Any, Any]:
    """Return the state of a stub, and the function that set it, which may be missing too.

    The function was called with stub and state, like any other, but its result was dropped at once.
    """
    call = vars(stub).get("_call")
    if call is not None and call[0]() is None:
        return call[2], call[1]
    return stub._state, stub._setter


def reduce_stub(stub: Stub, aside: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Return the steps that made a stub to the pickler; `aside` sets memory aside."""
    fields = vars(stub)
    args = stub._args
    state, setter = _set_state(stub)
    head: tuple[Any, tuple[Any, ...]]
    if stub._maker is not None and stub._kwargs:
        head = (functools.partial(stub._maker, *args, **stub._kwargs), ())
    elif stub._maker is not None:
        head = (stub._maker, (*args, *map(aside, fields.get("_buffers") or ())))
    elif stub._kwargs:
        head = (copyreg.__newobj_ex__, (type(stub), args, stub._kwargs))  # type: ignore[attr-defined]
    else:
        head = (copyreg.__newobj__, (type(stub), *args))  # type: ignore[attr-defined]
    items, pairs = fields.get("_items"), fields.get("_pairs")
    return (
        *head,
        None if state is _MISSING else state,
        None if items is None else iter(items),
        None if pairs is None else iter(pairs),
        setter,
    )


_MAKERS: Final = frozenset(
    (
        ("numpy.ma.core", "_mareconstruct"),
        ("copyreg", "_reconstructor"),
        ("copy_reg", "_reconstructor"),
        ("builtins", "getattr"),
        ("__builtin__", "getattr"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("cloudpickle.cloudpickle", "subimport"),
        (CALLS, "subclass"),
        (CALLS, "masked"),
        (CALLS, "canned"),
        (CALLS, "registered"),
    )
)
"""Calls that inspect a class, and so cannot be made if it is missing."""
_SETTERS: Final = frozenset([(CALLS, "attributes")])
