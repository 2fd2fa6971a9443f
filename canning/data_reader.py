"""Read a header of plain data: pickle's opcodes for it, and nothing that imports, calls or alters.

This takes the place of the C unpickler under ``trust="data"``. It is a loop over a closed set of opcodes of
protocol 5 (https://docs.python.org/3/library/pickletools.html). A name in the header is looked up in one
table of constructors that check their arguments; for any other name the message is refused before
anything is built of it. Names and argument lists stay on the stack: they can be consumed by REDUCE and
NEWOBJ and never become part of an object. Time and memory are bounded by what arrived: see `Limits`.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import pathlib
import struct
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from .errors import CanningError, DeserializationError
from .plain import CONSTRUCTORS, set_uuid
from .trust import Allowed, Limits, describe_name, enum_member, kind_of, new_instance, refuse, set_fields

_U16: Final = struct.Struct("<H")
_U8: Final = struct.Struct("<B")
_I32: Final = struct.Struct("<i")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")
_F64: Final = struct.Struct(">d")
_SAFE_KEYS: Final = frozenset((str, bytes, bool, float, type(None)))
"""Types whose hash a stranger cannot steer, or only for a few values."""
_PRIME: Final = (1 << 61) - 1
"""Ints below this are their own hash."""
_COLLISIONS: Final = 64
"""Keys of one container that may have the same hash; honest data has two or three."""


class Name(NamedTuple):
    """A name that the header asked for and the reader knows: what makes the object, or a class to make."""

    make: Callable[..., Any] | None
    cls: type | None


class Arguments(list[Any]):
    """A tuple with a `Name` in it: good for a call, and for nothing else."""


_TOKENS: Final = frozenset((Name, Arguments))
_CONTAINERS: Final = frozenset(
    (list, dict, tuple, set, frozenset, collections.OrderedDict, collections.deque)
)
_SIZED: Final = frozenset((str, bytes, list, tuple, dict))
_KEYS: Final = frozenset(
    (str, bytes, bool, float, type(None), int, complex, range, dt.datetime, dt.date, dt.time, dt.timedelta)
    + (dt.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID)
)
_KEY_BASES: Final = (np.generic, np.dtype, pathlib.PurePath, enum.Enum)
CLASSES: Final[dict[tuple[str, str], type]] = {
    ("uuid", "UUID"): uuid.UUID,
    ("numpy", "matrix"): np.matrix,
    ("numpy", "recarray"): np.recarray,
    ("numpy", "memmap"): np.memmap,
    ("numpy.ma", "MaskedArray"): np.ma.MaskedArray,
    ("numpy.ma.core", "MaskedArray"): np.ma.MaskedArray,
}
"""Classes that a message may name for what `CannedSubclass`, `CannedMasked` and NEWOBJ make of them."""


class DataReader:
    """Read one header.

    Args:
        data: the header, up to and with STOP.
        constructors: what may be asked for by name besides `CONSTRUCTORS`.
        allowed: classes that may be made field by field.
        limits: bounds.
        outside: pickle's own out-of-band buffers.
    """

    def __init__(
        self,
        data: bytes,
        constructors: dict[tuple[str, str], Callable[..., Any]],
        allowed: Allowed,
        limits: Limits,
        outside: Iterator[memoryview],
    ) -> None:
        self.data = data
        self.at = 0
        self.constructors = constructors
        self.allowed = allowed
        self.limits = limits
        self.outside = outside
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: list[Any] = []
        self.tokens = 0
        self.depths: dict[int, int] = {}
        self.unbuilt: dict[int, Any] = {}
        self.key_budget = 1000 + 16 * len(data)
        self.work_budget = (1 << 20) + 16 * len(data)
        self.hashes: dict[int, collections.Counter[int]] = {}
        self._steps = {code: getattr(self, name) for code, name in _STEPS.items()}

    def read(self) -> Any:
        """Read the object; raises `DeserializationError` for whatever is not plain data in good order."""
        try:
            return self._run()
        except CanningError:
            raise
        except (IndexError, struct.error, StopIteration) as error:
            raise DeserializationError(f"the header breaks off at byte {self.at}") from error
        except (ValueError, TypeError, OverflowError, ArithmeticError, KeyError, UnicodeDecodeError) as error:
            raise DeserializationError(f"the header is damaged before byte {self.at}") from error
        except RecursionError as error:
            raise DeserializationError("the message is nested too deeply") from error

    def _run(self) -> Any:
        data, stack, memo, steps = self.data, self.stack, self.memo, self._steps
        most, push, remember = self.limits.nodes, self.stack.append, self.memo.append
        at, nodes, size = 0, 0, len(data)
        while True:
            code = data[at]
            at += 1
            # What long lists consist of comes first, and in place: a million ints take half the time.
            if code == 0x4B:  # BININT1
                push(data[at])
                at += 1
            elif code == 0x4A:  # BININT
                push(_I32.unpack_from(data, at)[0])
                at += 4
            elif code == 0x94:  # MEMOIZE
                remember(stack[-1])
                continue
            elif code == 0x4D:  # BININT2
                push(_U16.unpack_from(data, at)[0])
                at += 2
            elif code == 0x47:  # BINFLOAT
                push(_F64.unpack_from(data, at)[0])
                at += 8
            elif code == 0x8C:  # SHORT_BINUNICODE
                end = at + 1 + data[at]
                if end > size:
                    raise IndexError
                push(str(data[at + 1 : end], "utf-8", "surrogatepass"))
                at = end
            elif code == 0x68:  # BINGET
                self._push_again(memo[data[at]])
                at += 1
            elif code == 0x2E:  # STOP
                self.at = at
                return self._finish()
            else:
                step = steps.get(code)
                if step is None:
                    raise refuse(f"pickle's opcode 0x{code:02x}, which is not one of plain data")
                self.at = at
                step()
                at = self.at
            nodes += 1
            if nodes > most or len(memo) > self.limits.memo:
                raise DeserializationError(f"more values than this reader's limit, nodes={most}")

    def _finish(self) -> Any:
        if len(self.stack) != 1 or self.marks or self.unbuilt:
            raise DeserializationError("the header ends with something unfinished")
        self._no_tokens(self.stack)
        return self.stack[0]

    # -- tokens: names and argument lists, which may be no part of an object ---------------------------

    def _push_again(self, obj: Any) -> None:
        if type(obj) in _TOKENS:
            self.tokens += 1
        self.stack.append(obj)

    def _no_tokens(self, items: Any) -> None:
        if self.tokens and any(type(item) in _TOKENS for item in items):
            raise refuse("a function or class as an object")

    def _pop(self) -> Any:
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise IndexError
        obj = self.stack.pop()
        if type(obj) in _TOKENS:
            self.tokens -= 1
        return obj

    def _items(self) -> list[Any]:
        """Take what is above the last mark; tokens among it count until somebody refuses or drops them."""
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # -- scalars ---------------------------------------------------------------------------------------

    def _bytes(self, width: struct.Struct) -> bytes:
        start = self.at + width.size
        end = start + width.unpack_from(self.data, self.at)[0]
        if end > len(self.data):
            raise IndexError
        self.at = end
        return self.data[start:end]

    def _proto(self) -> None:
        if self.data[self.at] > 5:
            raise refuse("a protocol of pickle later than 5")
        self.at += 1

    def _frame(self) -> None:
        self.at += 8

    def _none(self) -> None:
        self.stack.append(None)

    def _true(self) -> None:
        self.stack.append(True)

    def _false(self) -> None:
        self.stack.append(False)

    def _integer(self, raw: bytes) -> None:
        if len(raw) > self.limits.integer_bytes:
            raise DeserializationError(
                f"an int of {len(raw)} bytes: this reader's limit is integer_bytes={self.limits.integer_bytes}"
            )
        self.stack.append(int.from_bytes(raw, "little", signed=True))

    def _long1(self) -> None:
        self._integer(self._bytes(_U8))

    def _long4(self) -> None:
        self._integer(self._bytes(_U32))

    def _bytes1(self) -> None:
        self.stack.append(self._bytes(_U8))

    def _bytes4(self) -> None:
        self.stack.append(self._bytes(_U32))

    def _bytes8(self) -> None:
        self.stack.append(self._bytes(_U64))

    def _bytearray8(self) -> None:
        self.stack.append(bytearray(self._bytes(_U64)))

    def _text4(self) -> None:
        self.stack.append(str(self._bytes(_U32), "utf-8", "surrogatepass"))

    def _text8(self) -> None:
        self.stack.append(str(self._bytes(_U64), "utf-8", "surrogatepass"))

    def _next_buffer(self) -> None:
        self.stack.append(next(self.outside))

    def _readonly_buffer(self) -> None:
        if type(self.stack[-1]) is not memoryview:
            raise TypeError
        self.stack[-1] = self.stack[-1].toreadonly()

    # -- stack and memo --------------------------------------------------------------------------------

    def _mark(self) -> None:
        self.marks.append(len(self.stack))
        self._check_depth(len(self.marks))

    def _drop(self) -> None:
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self._pop()

    def _drop_to_mark(self) -> None:
        self.tokens -= sum(type(item) in _TOKENS for item in self._items())

    def _long_get(self) -> None:
        self._push_again(self.memo[_U32.unpack_from(self.data, self.at)[0]])
        self.at += 4

    # -- containers ------------------------------------------------------------------------------------

    def _check_depth(self, depth: int) -> None:
        if depth > self.limits.depth:
            raise DeserializationError(f"nested deeper than this reader's limit, depth={self.limits.depth}")

    def _push_new(self, container: Any) -> None:
        if self.depths:
            self.depths.pop(id(container), None)  # of one that is gone
        self.hashes.pop(id(container), None)
        self.stack.append(container)

    def _note_depth(self, container: Any, items: Any) -> None:
        """Keep how deep a container is; one that holds no containers is 1 deep, and not listed."""
        if _CONTAINERS.isdisjoint(map(type, items)):
            return
        depth = 1 + max(self.depths.get(id(item), 1) for item in items if type(item) in _CONTAINERS)
        self._check_depth(depth)
        self.depths[id(container)] = max(depth, self.depths.get(id(container), 1))

    def _empty_list(self) -> None:
        self._push_new([])

    def _empty_dict(self) -> None:
        self._push_new({})

    def _empty_set(self) -> None:
        self._push_new(set())

    def _empty_tuple(self) -> None:
        self.stack.append(())

    def _push_tuple(self, items: list[Any]) -> None:
        if self.tokens:
            found = sum(type(item) in _TOKENS for item in items)
            if found:
                self.tokens += 1 - found
                self.stack.append(Arguments(items))
                return
        made = tuple(items)
        self.depths.pop(id(made), None)
        self._note_depth(made, items)
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
        if (type(target) is not dict and type(target) is not collections.OrderedDict) or len(items) % 2:
            raise TypeError
        self._note_depth(target, items)
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._check_key(target, key)
            target[key] = value

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
        self._fill_set(made, items)
        self._push_new(frozenset(made))

    def _fill_set(self, target: set[Any], items: list[Any]) -> None:
        self._note_depth(target, items)
        for item in items:
            self._check_key(target, item)
            target.add(item)

    def _check_key(self, container: Any, key: Any) -> None:
        """Refuse keys whose hashing or comparing could take longer than they are."""
        kind = type(key)
        if kind in _SAFE_KEYS or (kind is int and -_PRIME < key < _PRIME):
            return
        self.key_budget -= weigh(key, self.limits)
        if self.key_budget < 0:
            raise DeserializationError("keys that weigh more than the whole header")
        counts = self.hashes.setdefault(id(container), collections.Counter())
        counts[hash(key)] += 1
        if counts[hash(key)] > _COLLISIONS:
            raise DeserializationError("keys that were made to collide")

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
        make = CONSTRUCTORS.get((module, name)) or self.constructors.get((module, name))
        if make is not None:
            found = Name(make, None)
        elif (module, name) in CLASSES:
            found = Name(None, CLASSES[module, name])
        else:
            cls = self.allowed.find(module, name)
            if cls is None:
                raise refuse(describe_name(module, name))
            found = (
                Name(functools.partial(enum_member, cls), cls) if kind_of(cls) == "enum" else Name(None, cls)
            )
        self.tokens += 1
        self.stack.append(found)

    def _call_of(self) -> tuple[Name, Any]:
        args, name = self._pop(), self._pop()
        if type(name) is not Name or type(args) not in (tuple, Arguments):
            raise refuse("a call of something that is no name")
        return name, args

    def _reduce(self) -> None:
        name, args = self._call_of()
        if name.make is None or (type(args) is Arguments and not hasattr(name.make, "takes_classes")):
            raise refuse("a call of a class")
        self._spend(len(args) + sum(len(arg) for arg in args if type(arg) in _SIZED))
        self._push_new(name.make(*args))

    def _spend(self, work: int) -> None:
        """Count what constructors have to go through: a header can name the same argument again and again."""
        self.work_budget -= work
        if self.work_budget < 0:
            raise DeserializationError("calls that go through more than the whole header, time and again")

    def _newobj(self) -> None:
        name, args = self._call_of()
        if name.cls is None or type(args) is not tuple:
            raise refuse("an instance of something that is no class")
        if name.cls is uuid.UUID:
            made: Any = object.__new__(uuid.UUID)
        else:
            made = new_instance(name.cls, args)
        if type(made) is uuid.UUID or kind_of(name.cls) == "fields":
            self.unbuilt[id(made)] = made
        self._push_new(made)

    def _build(self) -> None:
        state, obj = self._pop(), self.stack[-1]
        self._no_tokens((state,))
        if self.unbuilt.pop(id(obj), None) is None:
            raise refuse("the state of an object that has none")
        (set_uuid if type(obj) is uuid.UUID else set_fields)(obj, state)


def weigh(key: Any, limits: Limits) -> int:
    """Count the values that a key consists of, shared ones each time; refuse what may be no key.

    Hashing a tuple goes into all that it holds, and remembers nothing.
    """
    weight, rest = 0, [(key, 1)]
    while rest:
        item, depth = rest.pop()
        weight += 1
        kind = type(item)
        if kind in (tuple, frozenset) or kind_of_tuple(kind):
            rest.extend((part, depth + 1) for part in item)
        elif kind not in _KEYS and not isinstance(item, _KEY_BASES):
            raise DeserializationError(f"a key of type {kind.__name__}")
        if weight + len(rest) > limits.key_weight or depth > limits.depth:
            raise DeserializationError(
                f"a key heavier than this reader's limit, key_weight={limits.key_weight}"
            )
    return weight


def kind_of_tuple(kind: type) -> bool:
    """Tell whether instances are named tuples, which hash as tuples do."""
    return issubclass(kind, tuple) and kind_of(kind) == "namedtuple"


_STEPS: Final = {
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
