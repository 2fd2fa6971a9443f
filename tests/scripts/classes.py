"""Classes of a script, each with a question to it."""

from __future__ import annotations

import abc
import functools
import sys
import typing
from typing import Any, Generic, TypeVar

import numpy as np

from . import ask, write

LARGE = np.arange(500.0)

T = TypeVar("T")


class Meta(type):
    def __new__(cls, name: str, bases: Any, body: Any, **options: Any) -> Any:
        made = super().__new__(cls, name, bases, body)
        if options:
            made.options = options
        return made

    def __len__(cls) -> int:
        return 42


class OfMeta(metaclass=Meta, tag=1):
    value = LARGE


class Outer:
    class Inner:
        def name(self) -> str:
            return type(self).__qualname__


class Descriptor:
    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        return self if obj is None else obj.__dict__.get(self.name, "nothing")

    def __set__(self, obj: Any, value: Any) -> None:
        obj.__dict__[self.name] = value


class Full:
    """Documented."""

    a: int = 1
    seen = Descriptor()

    def __init__(self) -> None:
        self.__p = 4
        self.seen = LARGE

    def __class_getitem__(cls, item: Any) -> Any:
        return cls.__name__, item

    def private(self) -> int:
        return self.__p

    def own_class(self) -> str:
        return __class__.__name__

    def from_above(self) -> str:
        return super().__repr__()[:2]

    static = staticmethod(lambda: 5)
    of_class = classmethod(lambda cls: cls.__name__)

    @functools.cached_property
    def once(self) -> float:
        return float(LARGE.sum())

    @functools.singledispatchmethod
    def kind(self, x: Any) -> str:
        return "other"

    @kind.register
    def _(self, x: int) -> str:
        return "int"


class Abstract(abc.ABC):
    @abc.abstractmethod
    def f(self) -> None: ...


class Virtual:
    pass


Abstract.register(Virtual)


class Concrete(Abstract):
    def f(self) -> Any:
        return super().__class__


class Boxed(Generic[T]):
    def __init__(self, a: Any) -> None:
        self.a = a


class Typed(typing.TypedDict, total=False):
    a: int


@typing.runtime_checkable
class Runs(typing.Protocol):
    def f(self) -> int: ...


class Dynamic:
    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


def is_abstract(cls: Any) -> bool:
    try:
        cls()
    except TypeError:
        return True
    return False


ask("class: metaclass", OfMeta(), lambda o: (len(type(o)), type(type(o)).__name__, type(o).options))
ask("class: nested", Outer.Inner(), lambda o: o.name())
ask(
    "class: a cell, private names", Full(), lambda o: (o.private(), o.own_class(), o.from_above(), o.static())
)
ask("class: what stands in it", Full(), lambda o: (o.of_class(), type(o)[3], type(o).__doc__, o.seen.sum()))
ask("class: cached and dispatching", Full(), lambda o: (o.once, o.kind(1), o.kind("")))
ask("class: abstract", [Abstract, Virtual], lambda c: (is_abstract(c[0]), issubclass(c[1], c[0])))
ask("class: concrete", Concrete, lambda c: (c.__abstractmethods__, c().f().__name__))
ask("class: generic", Boxed[int](LARGE), lambda o: (o.a.sum(), str(o.__orig_class__.__args__)))
ask("class: typed dict", Typed, lambda c: (c.__total__, sorted(c.__optional_keys__)))
ask("class: protocol", Runs, lambda c: isinstance(type("Z", (), {"f": lambda self: 1})(), c))
ask("class: __getattr__", Dynamic(), lambda o: o.anything)

if __name__ == "__main__":
    write(*sys.argv[1:])
