"""Classes and functions that tests send: at module level, and so by reference."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from canning import CannedObject


@dataclass
class Point:
    x: Any = None
    y: Any = None


@dataclass(frozen=True, slots=True)
class Frozen:
    x: Any
    y: Any = None


@dataclass(slots=True, weakref_slot=True)
class Slotted:
    x: Any = None


class Pair(NamedTuple):
    x: Any
    y: Any = None


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class OnlySlots:
    __slots__ = ("x", "y")

    def __init__(self, x: Any) -> None:
        self.x = x


class SlotsAndDict(OnlySlots):
    __slots__ = ("__dict__",)


class Stateful:
    """Say by itself what its state is."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __getstate__(self) -> tuple[str, Any]:
        return ("state", self.x)

    def __setstate__(self, state: tuple[str, Any]) -> None:
        self.x = state[1]


class Color(enum.Enum):
    RED = 1
    BLUE = (2, "b")


class Access(enum.IntFlag):
    READ = 1
    WRITE = 2


class Sum(list[Any]):
    """A list with attributes."""

    total: Any = None


class Table(dict[str, Any]):
    name: str = ""


@dataclass
class Tree:
    value: Any
    parent: Tree | None = None
    children: list[Tree] = field(default_factory=list)

    def add(self, value: Any) -> Tree:
        child = Tree(value, self)
        self.children.append(child)
        return child


class InfoArray(np.ndarray[Any, Any]):
    """The subclass that numpy's manual shows, with attributes in its instances."""

    info: Any

    def __new__(cls, array: Any, info: Any = None) -> InfoArray:
        obj = np.asarray(array).view(cls)
        obj.info = info
        return obj

    def __array_finalize__(self, obj: Any) -> None:
        if obj is not None:
            self.info = getattr(obj, "info", None)


class BareArray(np.ndarray[Any, Any]):
    """A subclass that adds nothing but its name."""


class PickyArray(np.ndarray[Any, Any]):
    """A subclass that pickles in a way of its own."""

    unit: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        make, args, state = super().__reduce__()
        return make, args, (*state, self.unit)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        *rest, self.unit = state
        super().__setstate__(tuple(rest))


class MyRecord(np.record):
    pass


class MyMasked(np.ma.MaskedArray):  # type: ignore[type-arg]
    pass


class Offers:
    """Give pickle an out-of-band buffer, as a library with buffers of its own does."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        import pickle

        return Offers, (pickle.PickleBuffer(self.memory),)


class Signal:
    """What a user may register: samples and a rate, and a pickle that copies."""

    def __init__(self, samples: Any, rate: int) -> None:
        self.samples, self.rate = samples, rate

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (np.asarray(self.samples).tolist(), self.rate)


class LoudSignal(Signal):
    pass


class CannedSignal(CannedObject):
    """A canned object of the user's own."""

    def __init__(self, signal: Signal) -> None:
        self.buffers = [signal.samples]
        self.rate = signal.rate
        self.shape = signal.samples.shape

    def get_object(self, g: dict[str, Any] | None = None) -> Signal:
        return Signal(np.frombuffer(self.buffers[0]).reshape(self.shape).copy(), self.rate)


class Trace:
    """Leave a trace when it is unpickled."""

    calls: ClassVar[list[str]] = []

    def __init__(self, label: str = "ran") -> None:
        self.label = label

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        return leave_trace, (self.label,)


def leave_trace(label: str) -> str:
    Trace.calls.append(label)
    return label


def double(x: Any) -> Any:
    return x * 2


@functools.wraps(double)
def wrapped(x: Any) -> Any:
    return double(x)


def give(x: Any) -> Callable[[], Any]:
    """Make a closure."""
    return lambda: x
