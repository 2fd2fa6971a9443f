"""Enums of a script, each with a question to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import sys
from typing import Any

import numpy as np

from . import ask, write

LARGE = np.arange(500.0)


class Planet(enum.Enum):
    NEAR = (1, "near")
    FAR = (2, "far")

    def __new__(cls, code: int, label: str) -> Planet:
        made = object.__new__(cls)
        made._value_ = code
        made.label = label
        return made


class Sized(enum.Enum):
    SMALL = (1, "s")

    def __init__(self, size: int, short: str) -> None:
        self.size, self.short = size, short


class Alias(enum.Enum):
    A = 1
    B = 1  # noqa: PIE796 - an alias
    C = 2


class Perm(enum.Flag):
    R = 1
    W = 2
    X = 4
    RW = 3

    def can_write(self) -> bool:
        return bool(self & Perm.W)


class Keep(enum.IntFlag, boundary=enum.KEEP):
    A = 1
    B = 2


class Strict(enum.Flag, boundary=enum.STRICT):
    A = 1


class Eject(enum.Flag, boundary=enum.EJECT):
    A = 1


class Lenient(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value: object) -> Lenient:
        return cls.A


class Shout(enum.StrEnum):
    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last: list[Any]) -> str:
        return f"{name.lower()}!"

    AA = enum.auto()
    BB = enum.auto()


class Unhashable(enum.Enum):
    A = [1, 2]  # noqa: RUF012 - the value of a member
    B = {"x": 1}  # noqa: RUF012


class WithMethods(enum.Enum):
    A = 1

    def more(self) -> int:
        return int(self.value) + 1

    @property
    def short(self) -> str:
        return "p"

    @classmethod
    def first(cls) -> WithMethods:
        return cls.A

    def __str__(self) -> str:
        return "custom"


class Named(enum.Enum):
    def lower(self) -> str:
        return self.name.lower()


class OfNamed(Named):
    A = 1


class Money(decimal.Decimal, enum.Enum):
    A = "1.5"


class Day(dt.date, enum.Enum):
    A = 2024, 2, 29


@dataclasses.dataclass(frozen=True)
class Body:
    mass: float
    radius: float


class Star(Body, enum.Enum):
    SUN = (1.0, 2.0)


class Pairs(tuple, enum.Enum):
    A = (1, 2)


class Odd(enum.Enum):
    A = 1
    constant = enum.nonmember(5)

    @enum.member
    def action() -> int:
        return 3


class Chosen(enum.EnumMeta):
    def __len__(cls) -> int:
        return 42


class OfChosen(enum.Enum, metaclass=Chosen):
    A = 1


def refuses(cls: Any, value: Any) -> bool:
    try:
        cls(value)
    except ValueError:
        return True
    return False


ask("enum: __new__", Planet.NEAR, lambda e: (e.value, e.label, type(e)(2).label, len(type(e))))
ask("enum: __init__", Sized.SMALL, lambda e: (e.size, e.short, e.value))
ask("enum: alias", Alias, lambda e: (e.B is e.A, list(e.__members__), e["B"].name, len(e)))
ask(
    "enum: flags",
    [Perm.RW, Perm.R | Perm.X, Perm(0)],
    lambda e: (*map(str, e), e[0].can_write(), list(type(e[0]).__members__), (~e[0]).value, len(type(e[0]))),
)
ask("enum: flags kept", Keep.A | 8, lambda e: (int(e), int(type(e)(16)), type(e)._boundary_.name))
ask("enum: strict flags", Strict, lambda e: refuses(e, 8))
ask("enum: flags that become numbers", Eject, lambda e: (type(e(9)).__name__, e(1).name))
ask("enum: _missing_", Lenient, lambda e: e(77).name)
ask("enum: values made", Shout.AA, lambda e: (e.value, e == "aa!", type(e)("bb!").name, f"{e}"))
ask("enum: unhashable", Unhashable.A, lambda e: (e.value, type(e)([1, 2]).name, type(e)({"x": 1}).name))
ask("enum: methods", WithMethods.A, lambda e: (e.more(), e.short, e.first().name, str(e)))
ask("enum: base", OfNamed.A, lambda e: (e.lower(), type(e).__mro__[1].__name__))
ask("enum: Decimal", Money.A, lambda e: (e + 1, e.value, e.name))
ask("enum: date", Day.A, lambda e: (e.year, e.isoformat(), e.name))
ask("enum: dataclass", Star.SUN, lambda e: (e.mass, e.radius, e.name, e.value.mass))
ask("enum: tuple", Pairs.A, lambda e: (e.value, e[1], e.name))
ask("enum: members", Odd, lambda e: (e.constant, [each.name for each in e], e.action.value()))
ask("enum: metaclass", OfChosen, lambda e: (len(e), type(e).__name__))
ask("enum: functional", enum.Enum("Made", "A B"), lambda e: [each.name for each in e])
ask("enum: keys", {Alias.A: LARGE, Perm.R: 1}, lambda e: [key.name for key in e])

if __name__ == "__main__":
    write(*sys.argv[1:])
