"""Bodies of classes that reach their own class again, or that ran something when they were made."""

from __future__ import annotations

import abc
import ctypes
import dataclasses
import functools
import sys
import types
from random import Random, choice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import xml.dom.minidom  # isort: skip
import attrs
import numpy as np

from . import ask, write

T = TypeVar("T")
LARGE = np.arange(500.0)


# -- methods that a class reaches again ------------------------------------------------------------------


class Shape:
    def __init__(self, side: int) -> None:
        self.side = side

    @classmethod
    def unit(cls) -> Shape:
        return cls(1)

    def square(self) -> int:
        return self.side**2

    def built(self, name: str) -> Any:
        return BUILDERS[name](), BUILT[0]()

    MAKERS: dict[str, Any] = {}  # noqa: RUF012 - as scripts have it


BUILDERS = {"unit": Shape.unit}
BUILT = [Shape(5).square]
Shape.MAKERS["unit"] = Shape.unit
Shape.made_by = lambda self, make=Shape.unit: make()  # type: ignore[attr-defined]
Shape.three = functools.partial(Shape.square, Shape(3))  # type: ignore[attr-defined]


# -- instances that a class or its functions reach -------------------------------------------------------


class Symbol:
    known: set[Symbol] = set()  # noqa: RUF012
    weights: dict[Symbol, int] = {}  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbol) and self.name == other.name

    def __hash__(self) -> int:
        return hash(key_of(self))

    def is_known(self) -> bool:
        return self in Symbol.known and self in KNOWN and self.weights.get(self) == 2


def key_of(symbol: Symbol) -> str:
    return symbol.name + PREFIX


PREFIX = "symbol "
KNOWN = {Symbol("a"), Symbol("b")}
Symbol.known.update(KNOWN)
Symbol.weights[Symbol("a")] = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    name: str

    def is_known(self) -> bool:
        return self in UNITS


UNITS = {Unit("m"), Unit("s")}


@attrs.frozen
class Label:
    def is_known(self) -> bool:
        return self in LABELS

    name: str


LABELS = {Label("a"): 1}


class Keyed:
    def is_known(self) -> bool:
        return self in KEYED

    def __init__(self, name: str) -> None:
        self.name, self.number = name, 1

    def __hash__(self) -> int:
        return hash(self.key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyed) and self.key() == other.key()

    def key(self) -> tuple[str, ...]:
        return tuple([PREFIXES[name] + str(getattr(self, name)) for name in self.NAMES])

    NAMES = ["name", "number"]  # noqa: RUF012


PREFIXES = {"name": "", "number": "no. "}
KEYED = {Keyed("a")}


def class_of_its_own() -> list[Any]:
    class Inner:
        prefix = PREFIX
        parser = xml.dom.minidom.__name__

    return [Inner.prefix, Inner.parser]


class Slotted:
    __slots__ = ("__hidden", "x")

    def __init__(self, x: int) -> None:
        self.x, self.__hidden = x, -x

    def __setstate__(self, state: Any) -> None:
        self.x, self.__hidden = state

    def __getstate__(self) -> Any:
        return self.x, self.__hidden

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slotted) and self.x == other.x

    def __hash__(self) -> int:
        return hash(self.x)

    def both(self) -> Any:
        return self.x, self.__hidden, self in self.pool, sorted(each.x for each in self.pool)


Slotted.pool = {Slotted(1), Slotted(2)}  # type: ignore[attr-defined]


class Point(NamedTuple):
    x: int
    y: int = 7

    def from_origin(self) -> Any:
        return ORIGIN, self.x - ORIGIN.x, POINTS[self]


ORIGIN = Point(0)
POINTS = {Point(1, 2): "here", ORIGIN: "there"}
Point.corner = Point(9, 9)  # type: ignore[attr-defined]


class Node(NamedTuple, Generic[T]):  # type: ignore[misc, unused-ignore]
    value: T


@runtime_checkable
class Named(Protocol):
    def name(self) -> str: ...


class NamedError(Named, Exception):
    pass


KNOWN_ERRORS = {NamedError("one")}
NamedError.count = lambda self: len(KNOWN_ERRORS)  # type: ignore[attr-defined]


# -- the order of a body, and what bases have too --------------------------------------------------------


class Flag:
    needs_fit = True


class Special:
    needs_fit = False


class Mine(Special, Flag):
    zebra = 1
    needs_fit = Flag.needs_fit
    apple = [1]  # noqa: RUF012
    middle: int = 3

    def method(self) -> None: ...

    banana = 2


# -- what ran when a class was made ----------------------------------------------------------------------


class Registered:
    names: list[str] = []  # noqa: RUF012
    kind = "none"

    def __init_subclass__(cls, /, kind: str, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls.kind = kind
        cls.names.append(f"{cls.__name__} {cls.label} {kind}")


class First(Registered, kind="one"):
    label = "first"


class Second(First, kind="two"):
    label = "second"


class Counting(type):
    made: list[str] = []  # noqa: RUF012

    def __new__(cls, name: str, bases: Any, body: Any, *, unit: str) -> Any:
        made = super().__new__(cls, name, bases, {**body, "unit": unit})
        cls.made.append(f"{name} {made.unit} {made.label}")  # type: ignore[attr-defined]
        return made

    def __init__(cls, name: str, bases: Any, body: Any, *, unit: str) -> None:
        super().__init__(name, bases, body)
        cls.made.append(f"{cls.label} is there")  # type: ignore[attr-defined]

    def __call__(cls, *args: Any) -> Any:
        made = super().__call__(*args)
        made.counted = True
        return made


class Counted(metaclass=Counting, unit="m"):
    label = "counted"


class AbstractMeta(abc.ABCMeta):
    def __new__(cls, name: str, bases: Any, body: Any, *, tag: str = "") -> Any:
        if not tag:
            raise TypeError("every class has a tag")
        return super().__new__(cls, name, bases, {**body, "tag": tag})


class Tagged(metaclass=AbstractMeta, tag="t"):
    @abc.abstractmethod
    def f(self) -> None: ...


class TaggedMore(Tagged, tag="more"):
    def f(self) -> str:
        return self.tag  # type: ignore[attr-defined, no-any-return]


# -- descriptors of other classes than those of Python ---------------------------------------------------


class Loud(property):
    """A property that says so."""

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        return self if obj is None else f"{super().__get__(obj, owner)}!"


class OfClass(classmethod):  # type: ignore[type-arg]
    extra = 3


class Static(staticmethod):  # type: ignore[type-arg]
    pass


class Once(functools.cached_property):  # type: ignore[type-arg]
    unit = "s"


class Described:
    def __init__(self) -> None:
        self._x = 4

    @Loud
    def x(self) -> int:
        return self._x

    @x.setter
    def x(self, value: int) -> None:
        self._x = value

    @OfClass
    def name(cls) -> str:  # noqa: N805
        return cls.__name__  # type: ignore[attr-defined, no-any-return]

    @Static
    def five() -> int:  # type: ignore[misc]
        return 5

    @Once
    def once(self) -> int:
        return self._x * 10

    def set_to(self, value: int) -> Any:
        self.x = value
        return self.x, self.name(), self.five(), self.once, type(type(self).once).unit


# -- the rest --------------------------------------------------------------------------------------------


class Wire(ctypes.BigEndianStructure):
    _pack_, _layout_ = 1, "ms"  # https://docs.python.org/3.14/library/ctypes.html#ctypes.Structure._layout_
    _fields_ = (("kind", ctypes.c_uint8), ("size", ctypes.c_uint32), ("parts", ctypes.c_uint16 * 2))

    def total(self) -> int:
        return self.size + sum(self.parts)


class Either(ctypes.BigEndianUnion if sys.version_info >= (3, 11) else ctypes.Union):  # type: ignore[misc]
    _fields_ = (("small", ctypes.c_uint16), ("wire", Wire))


class Linked(ctypes.Structure):
    pass


Linked._fields_ = [("value", ctypes.c_int), ("next", ctypes.POINTER(Linked))]


class Module(types.ModuleType):
    """What some packages put in the place of a module of theirs."""

    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return f"asked for {name}"


def main() -> None:
    ask("methods of its own", Shape(2), lambda s: [(a.side, b) for a, b in [s.built("unit")]])
    ask("a method in a body", Shape, lambda cls: (cls.MAKERS["unit"]().side, cls.three()))
    ask("a method as a default", Shape(2), lambda s: s.made_by().side)
    ask("symbols", [Symbol("a"), Symbol("c")], lambda got: [each.is_known() for each in got])
    ask("units", [Unit("m"), Unit("kg")], lambda got: [each.is_known() for each in got])
    ask("labels", [Label("a"), Label("b")], lambda got: [each.is_known() for each in got])
    ask("keys", [Keyed("a"), Keyed("b")], lambda got: [each.is_known() for each in got])
    ask("a body in a function", class_of_its_own, lambda f: f())
    ask("symbols of a class", Symbol, lambda cls: [Symbol(n) in cls.known for n in "abc"])
    ask("a known one", next(iter(KNOWN)), lambda got: got.is_known() or got.name == "b")
    ask("slots and a state", Slotted(2), lambda got: got.both())
    ask("a pool", Slotted, lambda cls: sorted((*each.both(),) for each in cls.pool))
    ask("tuples in their class", Point(1, 2), lambda p: (p.from_origin(), p.corner, p._asdict()))
    ask("a generic tuple", Node(3), lambda n: (n, type(n).__orig_bases__[0].__name__, n.value))
    ask("a protocol that an exception keeps", NamedError("two"), lambda e: (e.count(), str(e)))
    ask("the order of a body", Mine, lambda cls: [name for name in vars(cls) if name[:2] != "__"])
    ask("what a base has too", Mine(), lambda m: (m.needs_fit, "needs_fit" in vars(type(m))))
    ask("a hook with a keyword", [First, Second], lambda got: [(c.kind, sorted(c.names)) for c in got])
    ask("a hook that looks", Second(), lambda got: (got.kind, got.label, len(got.names)))
    ask("a metaclass with a keyword", Counted(), lambda c: (c.counted, c.unit, type(type(c)).made))
    ask("a metaclass that refuses", TaggedMore(), lambda t: (t.tag, t.f(), type(t).__mro__[1].tag))
    ask("an abstract class", Tagged, lambda cls: sorted(cls.__abstractmethods__))
    ask("descriptors", Described(), lambda d: d.set_to(6))
    ask("their classes", Described, lambda cls: [type(vars(cls)[n]).__name__ for n in ("x", "name", "five")])
    ask("big-endian", Wire(1, 2, (3, 4)), lambda w: (bytes(w), w.total(), w.size))
    ask("its class", Wire, lambda cls: (cls.size.offset, ctypes.sizeof(cls), bytes(cls(1, 2))))
    ask("a big-endian union", Either(7), lambda e: (bytes(e), e.small, e.wire.kind))
    ask("a structure that points at itself", Linked, lambda cls: [name for name, _ in cls._fields_])
    ask(
        "a submodule within a lambda",
        lambda: [xml.dom.minidom.parseString(f"<{x}/>").documentElement.tagName for x in "ab"],
        lambda f: f(),
    )
    ask("a module of a class of its own", lambda: np.ma.masked, lambda f: f().__class__.__name__)
    ask("a bound method by its name", choice, lambda f: f is choice)
    ask("one of an object of one's own", Random(5).random, lambda f: f())


if __name__ == "__main__":
    main()
    write(sys.argv[1], sys.argv[2])
