"""Seal the containers of a message that must not change any more, since an object relies on their content.

An array of objects takes no part in Python's garbage collection, and neither do some objects of other
libraries: a message that put one of them into itself would be kept forever. And a decoder has checked
its state, and relies on the result. So the content of such an object is *sealed* first: a container cannot
grow any more, one without content yet is refused, and its depth stays true. A pickler writes the content of
an object before its container, except in a cycle, so that no other message is refused.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...limits import Limits
from ...types.allowed import kind_of
from ...types.budget import Work
from ...types.fields import field_names

LEAVES: Final = frozenset((int, str, float, bool, bytes, type(None)))
_ITEM: Final = 30
_TIME, _MEMORY = 800, 250
"""Nanoseconds to check one item; nanoseconds and bytes to record that an object is sealed."""
_HELD: Final[dict[type, Callable[[Any], Any]]] = {
    **dict.fromkeys((list, tuple, set, frozenset, collections.deque), lambda held: held),
    **dict.fromkeys((dict, collections.defaultdict, collections.Counter), lambda held: held.values()),
    collections.OrderedDict: lambda held: [*held.values(), *vars(held).values()],
    types.SimpleNamespace: lambda held: vars(held).values(),
    slice: lambda held: (held.start, held.stop, held.step),
}
"""The items that objects hold, by type; the keys of a dict cannot grow."""


def check_depth(depth: int, limits: Limits) -> None:
    """Raise `DeserializationError` if an object is deeper than the reader allows."""
    if depth > limits.depth:
        raise DeserializationError(f"nested deeper than this reader's limit, depth={limits.depth}")


class Seals:
    """Record which objects are sealed, and the depth of each container.

    Attributes:
        sealed: the sealed objects by identity, each kept until its message is read.
        depths: the depth of containers that hold others, by identity.
        unfilled: arrays of objects without elements yet, by identity.
        unbuilt: instances without state yet, by identity.
        classes: allowed classes that may have instances.
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
        """Raise `DeserializationError` if a sealed object is about to grow."""
        if id(holder) in self.sealed:
            raise DeserializationError("a container that grows after it was found to be complete")

    def seal(self, items: Iterable[Any]) -> int:
        """Seal everything that some items hold; return the depth of the deepest, 0 if none holds anything."""
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
        """Seal one object; return its depth as far as known, and the items to check next."""
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
        self.depths[id(item)] = 1  # for a cycle that leads here again
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
        """Return the depth of an array, or of the base of a view; seal the objects in it."""
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
    """List the values in the fields of an instance, without calling anything of its class."""
    if kind_of(cls) == "namedtuple":
        return list(tuple.__iter__(obj))
    return [object.__getattribute__(obj, name) for name in field_names(cls) if _has(obj, name)]


def _has(obj: Any, name: str) -> bool:
    try:
        object.__getattribute__(obj, name)
    except AttributeError:
        return False
    return True
