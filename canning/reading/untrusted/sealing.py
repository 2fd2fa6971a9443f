"""What a header may add nothing more to, since something holds it that must not change any more.

An array of objects takes no part in Python's garbage collection, and neither do some objects of other
libraries: a message that put one of them into itself would be kept forever. And a decoder has looked at
its state, and relies on what it found. So whatever such a thing is to hold is *sealed* before: what can grow
grows no more, what has no content yet is refused, and how deep it all is stays true. A pickler writes the
content of an object before whatever holds it, except in a circle, so that no other message is refused.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...limits import Limits
from ...types.allowed import field_names, kind_of
from ...types.budget import Work

LEAVES: Final = frozenset((int, str, float, bool, bytes, type(None)))
_ITEM: Final = 30
_TIME, _MEMORY = 800, 250
"""Nanoseconds of a look at one item; nanoseconds and bytes of keeping that an object is sealed."""
_HELD: Final[dict[type, Callable[[Any], Any]]] = {
    **dict.fromkeys((list, tuple, set, frozenset, collections.deque), lambda held: held),
    **dict.fromkeys((dict, collections.defaultdict, collections.Counter), lambda held: held.values()),
    collections.OrderedDict: lambda held: [*held.values(), *vars(held).values()],
    types.SimpleNamespace: lambda held: vars(held).values(),
    slice: lambda held: (held.start, held.stop, held.step),
}
"""What objects hold, by their type; the keys of a dict cannot grow."""


def check_depth(depth: int, limits: Limits) -> None:
    """Raise `DeserializationError` where something is deeper than a reader allows."""
    if depth > limits.depth:
        raise DeserializationError(f"nested deeper than this reader's limit, depth={limits.depth}")


class Seals:
    """Know what is sealed, and how deep everything is that holds something.

    Attributes:
        sealed: what is sealed, by identity, each kept as long as its message is read.
        depths: how deep containers are that hold others, by identity.
        unfilled: arrays of objects that have none yet, by identity.
        unbuilt: instances that have no state yet, by identity.
        classes: allowed classes of which there may be instances.
    """

    def __init__(self, limits: Limits, work: Work) -> None:
        self.limits = limits
        self.work = work
        self.sealed: dict[int, Any] = {}
        self.depths: dict[int, int] = {}
        self.unfilled: dict[int, Any] = {}
        self.unbuilt: dict[int, Any] = {}
        self.classes: set[type] = set()

    def check_open(self, holder: object) -> None:
        """Raise `DeserializationError` where something is about to grow that is sealed."""
        if id(holder) in self.sealed:
            raise DeserializationError("a container that grows after it was found to be complete")

    def seal(self, items: Iterable[Any]) -> int:
        """Seal all that some items hold; give how deep the deepest is, 0 where none holds anything."""
        path: list[tuple[Any, Iterator[Any]]] = [(None, iter(items))]
        depths = [0]
        while True:
            holder, rest = path[-1]
            for item in rest:
                depth, held = (0, ()) if type(item) in LEAVES else self._enter(item)
                depths[-1] = max(depths[-1], depth)
                if held:
                    check_depth(len(path), self.limits)
                    path.append((item, iter(held)))
                    depths.append(0)
                    break
            else:
                path.pop()
                depth = depths.pop()
                if not path:
                    return depth
                self.depths[id(holder)] = depth + 1
                depths[-1] = max(depths[-1], depth + 1)

    def _enter(self, item: Any) -> tuple[int, Any]:
        """Seal one object; give how deep it is as far as that is known, and what is to be looked at."""
        kind = type(item)
        if id(item) in self.unbuilt:
            raise DeserializationError("an object without a state, within what has to be complete")
        if issubclass(kind, np.ndarray):
            return self._depth_of_array(item), ()
        held = None if id(item) in self.sealed else self._held(item, kind)
        if held is None:
            return self.depths.get(id(item), 1), ()
        self.work.spend(_TIME + _ITEM * len(held), _MEMORY)
        self.sealed[id(item)] = item
        self.depths[id(item)] = 1  # for a circle that leads here again
        return 1, () if LEAVES.issuperset(map(type, held)) else held

    def _held(self, item: Any, kind: type) -> Any:
        known = _HELD.get(kind)
        if known is not None:
            return known(item)
        if kind in self.classes:
            return _fields(item, kind)
        if issubclass(kind, BaseException):
            return [*item.args, item.__cause__, item.__context__, *vars(item).values()]
        return None

    def _depth_of_array(self, array: Any) -> int:
        """Give the depth of an array, or of the one of which it is a view; objects are sealed in there."""
        if not array.dtype.hasobject:
            return 0
        depth, part = 1, array
        while part is not None:
            if id(part) in self.unfilled:
                raise DeserializationError("an array of objects without any, within what has to be complete")
            depth = max(depth, self.depths.get(id(part), 1))
            part = getattr(part, "base", None)
        return depth


def _fields(obj: Any, cls: type) -> list[Any]:
    """List what the fields of an instance hold, without calling anything of its class."""
    if kind_of(cls) == "namedtuple":
        return list(tuple.__iter__(obj))
    return [object.__getattribute__(obj, name) for name in field_names(cls) if _has(obj, name)]


def _has(obj: Any, name: str) -> bool:
    try:
        object.__getattribute__(obj, name)
    except AttributeError:
        return False
    return True
