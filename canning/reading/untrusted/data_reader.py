"""Read a header of plain data: pickle's opcodes for it, and nothing that imports, calls or alters.

This replaces the C unpickler under ``trust="data"``. It is a loop over a closed set of opcodes of
protocol 5 (https://docs.python.org/3/library/pickletools.html). A name in the header is looked up in one
table of constructors that check their arguments; for any other name the message is refused before
anything is built of it. Names and argument lists stay on the stack: they can be consumed by REDUCE and
NEWOBJ and never become part of an object. Time and memory are bounded by what arrived: see `Limits`.
"""

from __future__ import annotations

import collections
import datetime as dt
import functools
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...limits import Limits
from ...types.allowed import Allowed, Fields, enum_member, kind_of, new_instance, refuse, refuse_name
from ...types.budget import Work
from ...types.hash_guard import KeyGuard
from ...wire.names import CALLS
from .array_calls import MakeArray
from .opcodes import TOKENS, Arguments, Name, StackMachine
from .plain import (
    CONSTRUCTORS,
    FACTORIES,
    SINGLETONS,
    fill_namespace,
    make_default_dict,
    set_uuid,
)
from .plain_exceptions import EXCEPTIONS, fill_exception
from .prices import PRICES
from .sealing import Seals, check_depth

_CONTAINERS: Final = frozenset(
    (
        *(list, dict, tuple, set, frozenset, slice, types.SimpleNamespace),
        *(collections.OrderedDict, collections.deque, collections.defaultdict),
    )
)
_LEAVES: Final = frozenset(
    (int, str, float, bool, bytes, type(None), np.ndarray, zoneinfo.ZoneInfo, dt.timezone)
)
"""What the state of a registered type may hold that makes it no deeper."""
_NESTED: Final = 160
"""Bytes of keeping how deep one container is."""
_PAIR: Final = 105
"""Bytes of a place in a dict that has just grown."""
_FIRST: Final = 170
"""Bytes of a dict that has items, beyond an empty one."""
_ELEMENT: Final = 130
"""Bytes of a place in a set that has just grown."""
_DICTS: Final = frozenset((dict, collections.OrderedDict, collections.defaultdict))
_FRAIL: Final = frozenset((slice, collections.deque, collections.defaultdict))
"""Containers that Python takes down by recursion: a chain of 100,000 deques ends the process (up to 3.13)."""
_LATE: Final = 8
"""How often a deque may get another one when it stands in one already, as in a cycle of deques."""
_NOT_ALONE: Final = _CONTAINERS | TOKENS
"""What a tuple may hold that makes it more than one value deep, or no value."""
ARRAY: Final = (CALLS, "array")
_NESTING: Final = frozenset(
    (
        *(("builtins", "slice"), ("collections", "Counter")),
        *((CALLS, called) for called in ("registered", "masked", "subclass", "exception")),
        *(("builtins", cls.__name__) for cls in EXCEPTIONS),
    )
)
"""Names of what makes objects that hold those they are made of."""
_EACH: Final = 30
"""Nanoseconds for each item or letter of an argument."""
_INSTANCE: Final = 120
"""Bytes of an instance of an allowed class."""
_FIELD: Final = 40
_FIELD_TIME: Final = 400
"""Bytes and nanoseconds of each of its fields."""
_SIZED: Final = frozenset((str, bytes, list, tuple, dict))
CLASSES: Final[dict[tuple[str, str], type]] = {
    ("uuid", "UUID"): uuid.UUID,
    ("numpy", "matrix"): np.matrix,
    ("numpy.matrixlib.defmatrix", "matrix"): np.matrix,
    ("numpy", "recarray"): np.recarray,
    ("numpy.rec", "recarray"): np.recarray,
    ("numpy", "memmap"): np.memmap,
    ("numpy.ma", "MaskedArray"): np.ma.MaskedArray,
    ("numpy.ma.core", "MaskedArray"): np.ma.MaskedArray,
}
"""Classes that a message may name for what `calls.subclass`, `calls.masked` and NEWOBJ make of them."""


def _is_leaf(item: Any) -> bool:
    return type(item) in _LEAVES and not (type(item) is np.ndarray and item.dtype.hasobject)


def _to_look(cls: Any, args: tuple[Any, ...]) -> tuple[int, int]:
    """Price a look for the member of an enum that has a value."""
    return 300 * len(cls.__members__), 0


class DataReader(StackMachine):
    """Read one header.

    Args:
        data: the header, up to and with STOP.
        constructor: gives what may be asked for by name besides `CONSTRUCTORS`.
        allowed: classes that may be made field by field.
        limits: bounds.
        outside: pickle's own out-of-band buffers.
        work: the account of what reading takes.
        plain_array: makes arrays that are read in one step.
        seals: what the header may add nothing to.
    """

    def __init__(
        self,
        data: bytes,
        constructor: Callable[[str, str], Callable[..., Any] | None],
        allowed: Allowed,
        limits: Limits,
        outside: Iterator[memoryview],
        work: Work,
        *,
        plain_array: MakeArray,
        seals: Seals,
    ) -> None:
        super().__init__(data, limits, outside, work)
        self.seals = seals
        self.depths = seals.depths
        self.unbuilt = seals.unbuilt
        self.constructor = constructor
        self.plain_array = plain_array
        self.allowed = allowed
        self.keys = KeyGuard(limits, work)
        self.fields: dict[type, Fields] = {}
        self.held: set[int] = set()
        self.late = 0
        self.containers = _CONTAINERS
        self.frail = _FRAIL
        self.not_alone = _NOT_ALONE

    def _finish(self) -> Any:
        if self.unbuilt:
            raise DeserializationError("the header ends with an object that has no state yet")
        return super()._finish()

    # -- containers ------------------------------------------------------------------------------------

    def _push_new(self, container: object) -> None:
        if self.depths:
            self.depths.pop(id(container), None)  # of one that is gone
            self.held.discard(id(container))
        self.keys.forget(container)
        self.stack.append(container)

    def _note_depth(self, container: object, items: Any) -> None:
        """Keep how deep a container is; one that holds no containers is 1 deep, and not listed."""
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
        """Count how deep instances of a type are from now on."""
        if kind not in self.containers:
            self.containers |= {kind}
            self.not_alone |= {kind}

    def note_filled(self, obj: object, items: list[Any]) -> None:
        """Keep how deep an exception is, and from now on all others of its type."""
        self._nests(type(obj))
        self.frail |= {type(obj)}
        self._note_depth(obj, items)

    def note_array(self, array: Any, items: list[Any]) -> None:
        """Keep how deep an array of objects is, and from now on that of all arrays."""
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
        """Let a deque or slice hold others, whose depth is known, unless one gets more once it is held."""
        self.late += id(container) in self.held
        if self.late > _LATE:
            raise DeserializationError("deques or exceptions that are filled from the outside in")
        self.held.update(id(item) for item in items if type(item) in self.frail)
        self.depths.setdefault(id(container), 1)

    def _empty_list(self) -> None:
        self._push_new([])

    def _empty_dict(self) -> None:
        self._push_new({})

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
        self.work.memory -= _PAIR * len(keys) + (0 if target else _FIRST)
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
        frozen = frozenset(items)  # of a set it would take slots of its own
        self.work.memory += _ELEMENT * len(items)
        self._push_new(frozen)
        if depth is not None:
            self.depths[id(frozen)] = depth

    def _fill_set(self, target: set[Any], items: list[Any]) -> None:
        self._note_depth(target, items)
        self.work.memory -= _ELEMENT * len(items)
        self.keys.check(target, items)
        self.keys.put(target, items)

    # -- calls -----------------------------------------------------------------------------------------

    def _global(self) -> None:
        module = self._line()
        self._push_name(module, self._line())

    def _line(self) -> str:
        end = self.data.index(b"\n", self.at, self.at + 256)
        line, self.at = self.data[self.at : end].decode(), end + 1
        return line

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError
        self._push_name(module, name)

    def _push_name(self, module: str, name: str) -> None:
        if (module, name) in SINGLETONS:
            self.stack.append(SINGLETONS[module, name])
            return
        make = CONSTRUCTORS.get((module, name)) or self.constructor(module, name)
        if make is not None:
            array = self.plain_array if (module, name) == ARRAY else None
            found = Name(make, None, array, PRICES.get((module, name)), (module, name) in _NESTING)
        elif (module, name) in CLASSES:
            found = Name(None, CLASSES[module, name])
        elif (module, name) in FACTORIES and self._makes_default_dict():
            found = Name(None, FACTORIES[module, name])
        else:
            cls = self.allowed.find(module, name)
            if cls is None:
                raise refuse_name(module, name)
            if kind_of(cls) == "enum":
                found = Name(functools.partial(enum_member, cls), cls, None, functools.partial(_to_look, cls))
            else:
                found = Name(None, cls)
                self._nests(cls)
                self.seals.classes.add(cls)
        self.named = True
        self.stack.append(found)

    def _makes_default_dict(self) -> bool:
        return bool(self.stack) and type(self.stack[-1]) is Name and self.stack[-1].make is make_default_dict

    def _call_of(self) -> tuple[Name, Any]:
        args, name = self._pop(), self._pop()
        if type(name) is not Name or type(args) not in (tuple, Arguments):
            raise refuse("a call of something that is not a name")
        return name, args

    def _reduce(self) -> None:
        name, args = self._call_of()
        if name.make is None or (type(args) is Arguments and not hasattr(name.make, "takes_classes")):
            raise refuse("a call of a class")
        size = len(args)
        for arg in args:
            if type(arg) in _SIZED:
                size += len(arg)
        time, memory = (0, 0) if name.price is None else name.price(args)
        self.work.spend(time + _EACH * size, memory + 2 * size)
        made = name.make(*args)
        self._push_new(made)
        if name.nests:
            self._note_made(made, args)

    def _note_made(self, made: object, args: tuple[Any, ...]) -> None:
        """Keep how deep is what a call has made of its arguments."""
        held = [item for arg in args for item in (arg if type(arg) is tuple else (arg,))]
        if not all(map(_is_leaf, held)):
            self._nests(type(made))
            self._note_depth(made, args)

    def _newobj(self) -> None:
        name, args = self._call_of()
        if name.cls is None or type(args) is not tuple:
            raise refuse("an instance of something that is not a class")
        if name.cls is uuid.UUID:
            made: Any = object.__new__(uuid.UUID)
        else:
            self.work.spend(0, _INSTANCE + 8 * len(args))
            made = new_instance(name.cls, args)
        self._push_new(made)
        if type(made) is uuid.UUID or kind_of(name.cls) == "fields":
            self.unbuilt[id(made)] = made
        else:
            self._note_depth(made, args)

    def _build(self) -> None:
        state, obj = self._pop(), self.stack[-1]
        self._no_tokens((state,))
        self.seals.check_open(obj)
        if type(obj) is collections.OrderedDict and type(state) is dict and list(state) == ["_metadata"]:
            self.work.spend(0, _INSTANCE + 8 * len(state))
            self._note_depth(obj, (state,))
            obj._metadata = state["_metadata"]  # type: ignore[attr-defined] # of torch's state_dict
            return
        if type(obj) is types.SimpleNamespace:
            fill_namespace(obj, state)
            self.work.spend(0, _FIRST + _PAIR * len(state))
            self._note_depth(obj, state.values())
            return
        if type(obj) in EXCEPTIONS:
            notes = state.get("__notes__") if type(state) is dict else None
            count = len(notes) if type(notes) is list else 0
            held = len(state) if type(state) is dict else 0
            self.work.spend(700 * (1 + count + held), 300 + 40 * count + _PAIR * held)
            self.note_filled(obj, fill_exception(obj, state))
            return
        if self.unbuilt.pop(id(obj), None) is None:
            raise refuse("the state of an object that has none")
        if type(obj) is uuid.UUID:
            set_uuid(obj, state)
            return
        kind = type(obj)
        fields = self.fields.get(kind) or self.fields.setdefault(kind, Fields(kind))
        self.work.spend(_FIELD_TIME * len(fields.names), _FIELD * len(fields.names))
        fields.set(obj, state)
        self._set_depth(obj, self.depths.get(id(state), 1))


_STEPS: Final[dict[int, str]] = {
    0x80: "_proto",
    0x95: "_frame",
    0x4E: "_none",
    0x88: "_true",
    0x89: "_false",
    0x8A: "_long1",
    0x8B: "_long4",
    0x43: "_bytes1",
    0x42: "_bytes4",
    0x8E: "_bytes8",
    0x96: "_bytearray8",
    0x58: "_text4",
    0x8D: "_text8",
    0x97: "_next_buffer",
    0x98: "_readonly_buffer",
    0x28: "_mark",
    0x30: "_drop",
    0x31: "_drop_to_mark",
    0x6A: "_long_get",
    0x5D: "_empty_list",
    0x7D: "_empty_dict",
    0x8F: "_empty_set",
    0x29: "_empty_tuple",
    0x74: "_tuple",
    0x85: "_tuple1",
    0x86: "_tuple2",
    0x87: "_tuple3",
    0x61: "_append",
    0x65: "_appends",
    0x73: "_setitem",
    0x75: "_setitems",
    0x90: "_add_items",
    0x91: "_frozenset",
    0x63: "_global",
    0x93: "_stack_global",
    0x52: "_reduce",
    0x81: "_newobj",
    0x62: "_build",
}
"""The opcodes that are read, besides those in the loop itself; any other refuses the message."""
_TAKES: Final[dict[str, int]] = {
    "_empty_list": 64,
    "_empty_dict": 72,
    "_empty_set": 232,
    "_frozenset": 232,
    "_tuple": 56,
    "_tuple1": 56,
    "_tuple2": 64,
    "_tuple3": 72,
    "_append": 40,
    "_reduce": 72,
}
"""Bytes that opcodes take, besides 8 for each item, where they are more than their own bytes are good for."""
DataReader.STEPS = {code: (getattr(DataReader, name), _TAKES.get(name, 0)) for code, name in _STEPS.items()}
