"""Classes that tell when any code of theirs runs, as those of applications would run theirs."""

from __future__ import annotations

import dataclasses
import enum
import sys
import typing
from typing import Any

import numpy as np

from canning import CannedObject

from .assembly import FIRED


def fire(*args: Any, **kwargs: Any) -> Any:
    """Raise the event that shows an attack has worked."""
    sys.audit(FIRED)
    return args[0] if args else None


class Plain:
    """Has nothing."""


class Maker:
    """Runs code when it is made without being initialised."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Maker:
        fire()
        return super().__new__(cls)


class Starter:
    """Runs code when it is initialised."""

    def __init__(self, *args: Any) -> None:
        fire()


class Stateful:
    """Runs code when it is given a state."""

    def __setstate__(self, state: Any) -> None:
        fire()


class Attributed:
    """Runs code when an attribute is set."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        fire()


class Hashed:
    """Runs code when it becomes a key."""

    def __hash__(self) -> int:
        fire()
        return 1


class Equal:
    """Runs code when it is compared with a key of the same hash."""

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        fire()
        return False


class Dropped:
    """Runs code when it goes."""

    def __del__(self) -> None:
        fire()


class Listed(list[Any]):
    """Runs code when items come."""

    append = extend = fire  # type: ignore[assignment]


class Mapped(dict[Any, Any]):
    """Runs code when items come."""

    __setitem__ = fire  # type: ignore[assignment]


class Added:
    """Runs code when items come."""

    add = fire


class Copied(np.ndarray[Any, Any]):
    """Runs code when an array is viewed as one."""

    def __array_finalize__(self, obj: Any) -> None:
        fire()


class Reached:
    """Runs code when an attribute is looked up on the class."""

    class Meta(type):
        def __getattr__(cls, name: str) -> Any:
            return fire

    class Door(metaclass=Meta):
        pass


class Opened(CannedObject):
    """Runs code when it is opened."""

    def get_object(self, g: Any = None) -> Any:
        fire()


class Registered:
    """Is registered by `child`, without ``data=True``."""


@dataclasses.dataclass
class Point:
    """Has plain fields, and code wherever a class can have any."""

    x: Any = 0
    y: Any = 0

    def __new__(cls, *args: Any) -> Point:
        fire()
        return super().__new__(cls)

    __init__ = __post_init__ = __setstate__ = fire  # type: ignore[assignment]
    __setattr__ = __getattr__ = __reduce__ = __repr__ = fire  # type: ignore[assignment]
    __hash__ = __eq__ = __bool__ = __len__ = fire  # type: ignore[assignment]


class Pair(typing.NamedTuple):
    """Has code of its own behind what tuples do."""

    a: Any
    b: Any

    def __hash__(self) -> int:
        fire()
        return 1

    def __eq__(self, other: object) -> bool:
        fire()
        return False


def _make_pair(cls: Any, *args: Any) -> Any:
    fire()
    return tuple.__new__(cls, args)


Pair.__new__ = _make_pair  # type: ignore[method-assign,assignment]


class Colour(enum.Enum):
    """Has code of its own behind what enums do."""

    RED = 1
    BLUE = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        fire()

    def __hash__(self) -> int:
        fire()
        return 1

    def __eq__(self, other: object) -> bool:
        fire()
        return self is other


class Guarded:
    """Stands for a field that is a property."""

    def __set__(self, obj: Any, value: Any) -> None:
        fire()

    def __get__(self, obj: Any, cls: Any = None) -> Any:
        return 0


@dataclasses.dataclass
class Proper:
    """Has a field that runs code when it is set."""

    x: Any = Guarded()


ALLOWED = (Point, Pair, Colour)
