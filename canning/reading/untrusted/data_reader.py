"""Read a header of plain data: only opcodes that import nothing, call nothing and change nothing.

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
import itertools
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...limits import Limits
from ...types.allowed import Allowed, enum_member, kind_of, new_instance, refuse, refuse_name
from ...types.budget import Work
from ...types.fields import Fields
from ...wire.names import CALLS
from .alike import LEAST, read_alike, read_rows
from .filling import FIRST, PAIR, Containers
from .opcodes import Arguments, Name, steps_of
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
from .short_cuts import LONGEST_INT, MakeArray

_LEAVES: Final = frozenset(
    (int, str, float, bool, bytes, type(None), np.ndarray, zoneinfo.ZoneInfo, dt.timezone)
)
"""Types that the state of a registered type may hold without becoming deeper."""
ARRAY: Final = (CALLS, "array")
_NESTING: Final = frozenset(
    (
        *(("builtins", "slice"), ("collections", "Counter")),
        *((CALLS, called) for called in ("registered", "masked", "subclass", "exception")),
        *(("builtins", cls.__name__) for cls in EXCEPTIONS),
    )
)
"""The names of functions whose result holds their arguments."""
_EACH: Final = 30
"""Nanoseconds for each item or letter of an argument."""
_INSTANCE: Final = 120
"""Bytes of an instance of an allowed class."""
_EMPTY_DICT: Final = 72
_FIELD: Final = 40
_FIELD_TIME: Final = 400
"""Bytes and nanoseconds of each field of such an instance."""
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
"""Classes that a message may name as arguments of `calls.subclass`, `calls.masked` and NEWOBJ."""


def _is_leaf(item: Any) -> bool:
    return type(item) in _LEAVES and not (type(item) is np.ndarray and item.dtype.hasobject)


def _to_look(cls: Any, args: tuple[Any, ...]) -> tuple[int, int]:
    """Price the search for the enum member with a given value."""
    return 300 * len(cls.__members__), 0


class DataReader(Containers):
    """Read one header.

    Args:
        data: the header, up to and including STOP.
        constructor: returns the functions that may be named besides `CONSTRUCTORS`.
        allowed: classes whose instances may be made field by field.
        limits: bounds.
        outside: pickle's own out-of-band buffers.
        work: the account of the time and memory that reading takes.
        plain_array: makes arrays that are read in one step.
        seals: the containers that must not grow.
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
        super().__init__(data, limits, outside, work, seals)
        self.unbuilt = seals.unbuilt
        self.constructor = constructor
        self.plain_array = plain_array
        self.allowed = allowed
        self.fields: dict[type, Fields] = {}
        self.odd = limits.integer_bytes < LONGEST_INT  # or a run of instances or dicts was no use

    def _finish(self) -> Any:
        if self.unbuilt:
            raise DeserializationError("the header ends with an object that has no state yet")
        return super()._finish()

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
            kind = kind_of(cls)
            if kind == "enum":
                found = Name(functools.partial(enum_member, cls), cls, None, functools.partial(_to_look, cls))
            else:
                found = Name(None, cls, kind=kind)
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
        """Record the depth of the result of a call, by its arguments."""
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
            made = new_instance(name.cls, name.kind, args)
        self._push_new(made)
        if name.kind == "fields" or type(made) is uuid.UUID:
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
            self.work.spend(0, FIRST + PAIR * len(state))
            self._note_depth(obj, state.values())
            return
        if type(obj) in EXCEPTIONS:
            notes = state.get("__notes__") if type(state) is dict else None
            count = len(notes) if type(notes) is list else 0
            held = len(state) if type(state) is dict else 0
            self.work.spend(700 * (1 + count + held), 300 + 40 * count + PAIR * held)
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

    def _build_alike(self) -> int:
        """Make the instances of the same class that follow one; return the number of their values."""
        kind = type(self.stack[-1])
        fields = self.fields.get(kind)
        at = self.at
        if fields is None or self.odd or len(self.data) - at < LEAST:
            return 0
        try:
            entries, self.at = read_alike(
                self.data, at, self.memo, lambda item: type(item) is Name and item.cls is kind, fields.known
            )
        except ValueError:  # the loop says what is wrong, or reads it
            self.odd = True
            return 0
        if not entries:
            return 0
        check_depth(len(self.marks) + 1, self.limits)
        made: Any = None
        count, width = entries.count(None), len(fields.names)
        self.work.spend(
            count * (_FIELD_TIME * width + sum(map(len, fields.names))),
            count * (_INSTANCE + _EMPTY_DICT + FIRST + (PAIR + _FIELD) * width),
        )
        for entry in entries:
            if type(entry) is dict:
                self._forget(entry)
                fields.set(made, entry)
                self._set_depth(made, 1)
            elif entry is None:
                entry = made = object.__new__(kind)
                self._push_new(made)
            self.memo.append(entry)
        return count * (7 + 2 * width)

    def _new_dicts(self) -> int:
        """Make a dict, or a run of dicts of scalars, as in a list of rows; return the number of values."""
        rows: list[dict[str, Any]] = []
        at = self.at - 1
        if self.marks and not self.odd and len(self.data) - at > LEAST:
            try:
                rows, entries, at = read_rows(self.data, at, self.memo)
            except ValueError:  # the loop says what is wrong, or reads it
                self.odd = True
        if not rows:
            self.work.spend(0, _EMPTY_DICT)
            self._push_new({})
            return 0
        check_depth(len(self.marks) + 1, self.limits)
        pairs = sum(map(len, rows))
        letters = sum(map(len, itertools.chain.from_iterable(rows)))
        self.work.spend(letters, len(rows) * (_EMPTY_DICT + FIRST) + PAIR * pairs)
        self._forget_all(rows)
        self.stack += rows
        self.memo += entries
        if len(self.memo) > self.limits.memo:
            self._too_much()
        self.at = at
        return 3 * len(rows) + 2 * pairs


DataReader.STEPS = steps_of(DataReader)
