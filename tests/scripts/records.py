"""Dataclasses, named tuples and slots of a script, each with a question to it."""

from __future__ import annotations

import collections
import dataclasses
import sys
import typing
import weakref
from typing import Any, NamedTuple

import numpy as np

from . import ask, write

LARGE = np.arange(500.0)


@dataclasses.dataclass(slots=True, frozen=True, kw_only=True)
class Frozen:
    a: int
    b: Any = dataclasses.field(default_factory=list)
    c: typing.ClassVar[int] = 3


@dataclasses.dataclass(order=True)
class Ordered:
    x: int
    y: list[int] = dataclasses.field(default_factory=list, compare=False, metadata={"unit": "m"})
    _: dataclasses.KW_ONLY = None
    z: int = 5

    def __post_init__(self) -> None:
        self.y.append(self.x)


@dataclasses.dataclass
class Below(Ordered):
    w: int = dataclasses.field(default=7, kw_only=True)


@dataclasses.dataclass(unsafe_hash=True)
class Started:
    a: int
    times: dataclasses.InitVar[int] = 5
    k: Any = dataclasses.field(default=0, repr=False, compare=False)

    def __post_init__(self, times: int) -> None:
        self.k = times * LARGE


class Row(NamedTuple):
    """Documented."""

    a: int
    b: Any = LARGE

    def total(self) -> float:
        return float(self.b.sum()) + self.a


class Point(collections.namedtuple("Point", "x y")):
    __slots__ = ()

    def total(self) -> Any:
        return self.x + self.y


class Slots:
    __slots__ = ("__c", "_b", "a")

    def __init__(self) -> None:
        self.a, self.__c = LARGE, 3

    def private(self) -> int:
        return self.__c


class MoreSlots(Slots):
    __slots__ = {"d": "documented"}

    def __init__(self) -> None:
        super().__init__()
        self.d = 5


class Both:
    __slots__ = ("__dict__", "__weakref__", "a")

    def __init__(self) -> None:
        self.a, self.other = LARGE, 5


ask(
    "dataclass: frozen slots",
    Frozen(a=1),
    lambda d: (repr(d), hash(type(d)(a=1, b=2)), hasattr(d, "__dict__"), type(d).c, type(d).__slots__),
)
ask("dataclass: many", [Frozen(a=i) for i in range(30)], lambda d: (len(set(map(type, d))), d[3].a))
ask(
    "dataclass: order, metadata, keywords",
    Ordered(1),
    lambda d: (repr(d), d < type(d)(2), dict(dataclasses.fields(d)[1].metadata), repr(type(d)(3, z=1))),
)
ask("dataclass: inherited", Below(1), lambda d: (repr(d), repr(type(d)(2, w=9)), type(d).__mro__[1].__name__))
ask("dataclass: InitVar", Started(1, times=7), lambda d: (d.k[1], repr(d), type(d)(2).k[1]))
ask(
    "named tuple",
    Row(1),
    lambda r: (r.total(), r._fields, r._field_defaults["b"].sum(), r._replace(a=2).a, type(r).__doc__),
)
ask("named tuple: slots", Point(1, 2), lambda p: (p.total(), hasattr(p, "__dict__"), repr(p)))
ask("slots: private", Slots(), lambda s: (s.private(), s.a.sum(), hasattr(s, "__dict__"), hasattr(s, "_b")))
ask("slots: inherited", MoreSlots(), lambda s: (s.private(), s.d, hasattr(s, "__dict__")))
ask("slots: with a dict", Both(), lambda s: (s.a.sum(), vars(s), weakref.ref(s)() is s))

if __name__ == "__main__":
    write(*sys.argv[1:])
