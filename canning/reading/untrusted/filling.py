"""Make and fill containers of plain data; record the depth of each and the cost of its keys."""

from __future__ import annotations

import collections
import types
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...limits import Limits
from ...types.budget import Work
from ...types.hash_guard import KeyGuard
from .opcodes import TOKENS, Arguments, StackMachine
from .sealing import Seals, check_depth

_CONTAINERS: Final = frozenset(
    (
        *(list, dict, tuple, set, frozenset, slice, types.SimpleNamespace),
        *(collections.OrderedDict, collections.deque, collections.defaultdict),
    )
)
_NESTED: Final = 160
"""Bytes to record the depth of one container."""
PAIR: Final = 105
"""Bytes of a slot in a dict that has just grown."""
FIRST: Final = 170
"""Bytes of a dict with items, beyond those of an empty one."""
_ELEMENT: Final = 130
"""Bytes of a slot in a set that has just grown."""
_DICTS: Final = frozenset((dict, collections.OrderedDict, collections.defaultdict))
_FRAIL: Final = frozenset((slice, collections.deque, collections.defaultdict))
"""Containers that Python frees by recursion: a chain of 100,000 deques crashes the process (up to 3.13)."""
_LATE: Final = 8
"""How often a deque that is in another one may get a further one, as in a cycle of deques."""
_NOT_ALONE: Final = _CONTAINERS | TOKENS
"""Types whose instances make a tuple that holds them more than one value deep, or not a plain value."""


class Containers(StackMachine):
    """Run the opcodes that make and fill containers; `DataReader` adds those that look up names.

    Attributes:
        seals: the containers that must not grow.
        keys: checks the keys of dicts and sets.
        containers, frail, not_alone: the types whose depth is recorded; those of them that Python frees by
            recursion; those that make a tuple more than one value deep. All three may grow.
        held, late: deques and the like inside others, and how often one of them got more items.
    """

    def __init__(
        self, data: bytes, limits: Limits, outside: Iterator[memoryview], work: Work, seals: Seals
    ) -> None:
        super().__init__(data, limits, outside, work)
        self.seals = seals
        self.depths = seals.depths
        self.keys = KeyGuard(limits, work)
        self.held: set[int] = set()
        self.late = 0
        self.containers: Any = _CONTAINERS
        self.frail = _FRAIL
        self.not_alone: Any = _NOT_ALONE

    def _push_new(self, container: object) -> None:
        self._forget(container)
        self.stack.append(container)

    def _forget(self, container: object) -> None:
        """Forget what is known of a container that was freed, and had the identity of a new one."""
        if self.depths:
            self.depths.pop(id(container), None)
            self.held.discard(id(container))
        self.keys.forget(container)

    def _forget_all(self, containers: list[Any]) -> None:
        """Do the same for many new containers."""
        known: dict[int, Any]
        for known in (self.depths, self.keys.hashes, self.keys.watches):
            for number in filter(known.__contains__, map(id, containers)):
                del known[number]
        self.held.difference_update(map(id, containers))

    def _note_depth(self, container: object, items: Any) -> None:
        """Record the depth of a container; one that holds no containers is 1 deep, and is not listed."""
        self.seals.check_open(container)
        containers = self.containers
        if containers.isdisjoint(map(type, items)):
            return
        known = self.depths
        self._set_depth(
            container, 1 + max([known.get(id(item), 1) for item in items if type(item) in containers])
        )
        if type(container) in self.frail and not self.frail.isdisjoint(map(type, items)):
            self._hold(container, items)

    def _nests(self, kind: type) -> None:
        """Record the depth of instances of a type from now on."""
        if kind not in self.containers:
            if self.containers is _CONTAINERS:  # copied once, however many types a message adds
                self.containers, self.not_alone = set(_CONTAINERS), set(_NOT_ALONE)
            self.containers.add(kind)
            self.not_alone.add(kind)

    def note_filled(self, obj: object, items: list[Any]) -> None:
        """Record the depth of an exception, and from now on that of all others of its type."""
        self._nests(type(obj))
        self.frail |= {type(obj)}
        self._note_depth(obj, items)

    def note_array(self, array: Any, items: list[Any]) -> None:
        """Record the depth of an array of objects, and from now on that of all such arrays."""
        self._nests(np.ndarray)
        self._set_depth(array, 1 + self.seals.seal(items))

    def _set_depth(self, container: object, depth: int) -> None:
        check_depth(depth, self.limits)
        before = self.depths.get(id(container), 0)
        if depth > before:
            self.depths[id(container)] = depth
            if not before:
                self.work.spend(0, _NESTED)

    def _hold(self, container: object, items: Any) -> None:
        """Let a deque or slice hold items of known depth, unless it gets more once it is held."""
        self.late += id(container) in self.held
        if self.late > _LATE:
            raise DeserializationError("deques or exceptions that are filled from the outside in")
        self.held.update(id(item) for item in items if type(item) in self.frail)
        self.depths.setdefault(id(container), 1)

    def _empty_list(self) -> None:
        self._push_new([])

    def _empty_set(self) -> None:
        self._push_new(set())

    def _empty_tuple(self) -> None:
        self.stack.append(())

    def _push_tuple(self, items: list[Any]) -> None:
        made = tuple(items)
        if not self.not_alone.isdisjoint(map(type, items)):
            if self.named and not TOKENS.isdisjoint(map(type, items)):
                self.stack.append(Arguments(items))
                return
            self.depths.pop(id(made), None)
            self._note_depth(made, items)
        elif self.depths:
            self.depths.pop(id(made), None)
        self.stack.append(made)

    def _tuple(self) -> None:
        self._push_tuple(self._items())

    def _tuple_of(self, count: int) -> None:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        self._push_tuple(items)

    def _tuple1(self) -> None:
        self._tuple_of(1)

    def _tuple2(self) -> None:
        self._tuple_of(2)

    def _tuple3(self) -> None:
        self._tuple_of(3)

    def _extend(self, items: list[Any]) -> None:
        self._no_tokens(items)
        target = self.stack[-1]
        if type(target) is not list and type(target) is not collections.deque:
            raise TypeError
        self._note_depth(target, items)
        target.extend(items)

    def _extend_by_run(self, items: list[Any]) -> None:
        """Append scalars alone, of which a container does not get deeper."""
        self.marks.pop()
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError
        self.seals.check_open(target)
        target += items

    def _append(self) -> None:
        self._extend([self._pop()])

    def _appends(self) -> None:
        self._extend(self._items())

    def _set_items(self, items: list[Any]) -> None:
        self._no_tokens(items)
        target = self.stack[-1]
        if type(target) not in _DICTS or len(items) % 2:
            raise TypeError
        self._note_depth(target, items)
        keys = items[::2]
        self.work.memory -= PAIR * len(keys) + (0 if target else FIRST)
        self.keys.check(target, keys)
        self.keys.put(target, keys, items[1::2])

    def _setitem(self) -> None:
        value = self._pop()
        self._set_items([self._pop(), value])

    def _setitems(self) -> None:
        self._set_items(self._items())

    def _add_items(self) -> None:
        items = self._items()
        self._no_tokens(items)
        if type(self.stack[-1]) is not set:
            raise TypeError
        self._fill_set(self.stack[-1], items)

    def _frozenset(self) -> None:
        items = self._items()
        self._no_tokens(items)
        made: set[Any] = set()
        self.keys.forget(made)
        self.work.spend(0, _ELEMENT * len(items))
        self._fill_set(made, items)
        depth = self.depths.pop(id(made), None)
        frozen = frozenset(items)  # a frozenset made of a set would take more slots
        self.work.memory += _ELEMENT * len(items)
        self._push_new(frozen)
        if depth is not None:
            self.depths[id(frozen)] = depth

    def _fill_set(self, target: set[Any], items: list[Any]) -> None:
        self._note_depth(target, items)
        self.work.memory -= _ELEMENT * len(items)
        self.keys.check(target, items)
        self.keys.put(target, items)
