"""The content of a portable message as a tree of JSON, for readers without an unpickler.

The pickle is followed, not run, and its objects are written as ``docs/wire-format.md`` specifies. So the
tree and the pickle cannot differ, and an object that no other language has is found here, with its path.
Memory is not written out: JSON has the number of its buffer, or its place in frame 0.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable
from typing import Any, Final

from ..errors import SerializationError, name_for_errors
from ..wire.names import CALLS
from .machine import PickleMachine, PlacingMachine
from .nodes import Blob, Node
from .outline import in_words
from .paths import Paths, parts_of
from .told_dtypes import dtype_of_format, tell_dtype
from .values import DIGITS

SCHEMA: Final = 1
"""Version of the tree's format."""
_SAFE: Final = 2**53 - 1
"""The largest int that a JavaScript number holds exactly."""
_DEEP: Final = 100
_AS_IT_IS: Final = frozenset((str, bool, type(None)))
_INSTEAD: Final = (
    "a portable message holds plain data, arrays of numbers and text, dates, and types of docs/states.md: "
    "send it as these, or without portable=True"
)
Told = dict[str, Any]


def tree_of(body: bytes, is_users: Callable[[str], bool]) -> bytes:
    """Convert a pickle to JSON; `is_users` tells whether a registered type is the user's.

    Raises `SerializationError`, with the path, for an object that a portable message cannot hold.

    >>> import pickle
    >>> tree_of(pickle.dumps({"a": [1, 2.5, b"xyz"]}, 5), lambda name: False)
    b'{"portable":1,"object":{"a":[1,2.5,{"$":"bytes","at":33,"length":3}]}}'
    """
    machine = PlacingMachine(memoryview(body)).run()
    if machine.broken is not None:
        raise SerializationError(f"its pickle cannot be followed ({machine.broken}): {_INSTEAD}", "obj")
    if machine.depth > _DEEP:
        raise SerializationError(f"nested more than {_DEEP} deep, as portable messages may be", "obj")
    try:
        tree = {"portable": SCHEMA, "object": _Teller(machine, is_users).tell(machine.root)}
    except _Odd as odd:
        raise SerializationError(f"{odd.what} is not portable: {_INSTEAD}", odd.path(machine.root)) from None
    text = json.dumps(tree, ensure_ascii=False, check_circular=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only escape
        return json.dumps(tree, check_circular=False, separators=(",", ":")).encode()


class _Odd(Exception):
    """Raised for an object that is not portable, with the node that it is, or is in."""

    def __init__(self, what: str, part: object = ...) -> None:
        super().__init__(what)
        self.what = what
        self.node: Node | None = None
        self.part = part

    def path(self, root: object) -> str:
        """Return the path to it."""
        path = Paths(root).of(self.node) or "obj"
        if self.node is not None and self.part is not ...:
            path += next((step for step, part in parts_of(self.node) if part is self.part), "")
        return path


class _Teller:
    """Convert one pickle that was followed."""

    def __init__(self, machine: PickleMachine, is_users: Callable[[str], bool]) -> None:
        self.data = machine.data
        self.is_users = is_users
        kept = (machine.memo[index] for index in machine.fetched)
        self.shared = {id(node) for node in kept if type(node) is Node}
        self.ids: dict[int, int] = {}
        self.fills = {
            id(call.args[0]): call.args[1]
            for call in machine.calls
            if call.target == (CALLS, "items") and len(call.args) == 2
        }

    def tell(self, value: Any) -> Any:
        """Convert any value."""
        kind = type(value)
        if kind in _AS_IT_IS:
            return value
        if kind is int:
            return value if -_SAFE <= value <= _SAFE else {"$": "int", "v": _digits(value)}
        if kind is float:
            whole = not math.isfinite(value) or value.is_integer()
            return {"$": "float", "v": _real(value)} if whole else value
        if kind is Blob:
            return {"$": value.kind, **self.source(value)}
        return self.node(value)

    def node(self, node: Node) -> Any:
        """Convert a container or a call: the first time in full, then by its number."""
        if id(node) not in self.shared:
            try:
                return self._natural(node)
            except _Odd as odd:
                odd.node = odd.node or node
                raise
        number = self.ids.get(id(node))
        if number is not None:
            return {"$": "ref", "id": number}
        number = self.ids[id(node)] = len(self.ids)
        try:
            told = self._tagged(node)
        except _Odd as odd:
            odd.node = odd.node or node
            raise
        told["id"] = number
        return told

    def _natural(self, node: Node) -> Any:
        items = node.items or ()
        if node.kind == "list":
            return self._all(items)
        if node.kind == "dict" and all(map(_is_plain_key, items[::2])):
            return dict(zip(items[::2], self._all(items[1::2]), strict=True))
        return self._tagged(node)

    def _tagged(self, node: Node) -> Told:
        if node.more or (node.states and node.target != ("uuid", "UUID")):
            raise _odd(node)
        if node.kind in ("list", "tuple", "set", "frozenset", "dict"):
            return {"$": node.kind, "items": self._all(node.items or ())}
        if node.kind == "bytearray":
            return {"$": "bytearray", **self.source(node.value)}
        tell = _CALLS.get(node.target or ("", "")) if node.kind in ("call", "new") else None
        told = None if tell is None else tell(self, node, *node.args)
        if told is None:
            raise _odd(node)
        return told

    def _all(self, items: Any) -> list[Any]:
        tell = self.tell
        return [item if type(item) in _AS_IT_IS else tell(item) for item in items]

    # -- memory ----------------------------------------------------------------------------------------

    def source(self, source: Any) -> Told:
        """Return the place of memory."""
        if type(source) is int:
            return {"buffer": source}
        if type(source) is not Blob:
            raise _Odd("memory of another kind")
        return {"at": source.at, "length": source.nbytes}

    def content(self, blob: Any) -> bytes:
        """Read bytes in the pickle."""
        return bytes(self.data[blob.at : blob.at + blob.nbytes])

    def text(self, text: Any) -> str:
        """Return text; a long one is read from the pickle."""
        return text if type(text) is str else str(self.content(text), "utf-8")

    def array(self, node: Node, source: Any, shape: Node, dtype: Any, *rest: Any) -> Told:
        told = {"$": "array", "dtype": _dtype(dtype), "shape": _numbers(shape), **self.source(source)}
        layout, readonly = (*rest, None, None)[:2]
        if layout is not None and 0 not in told["shape"]:
            offset, strides = layout.items
            told.update(offset=offset, strides=_numbers(strides))
        return {**told, "readonly": True} if readonly else told

    def raw(self, node: Node, source: Any, mutable: bool = False) -> Told:
        return {"$": "bytearray" if mutable else "bytes", **self.source(source)}

    def view(self, node: Node, array: Node, code: str | None, shape: Node | None, readonly: bool) -> Told:
        told = self.array(array, *array.args)
        if code is not None and shape is not None:
            dtype = dtype_of_format(code)
            if dtype is None or "strides" in told:
                raise _Odd(f"a memoryview of format {code}")
            told.update(dtype=dtype, shape=_numbers(shape))
        told.pop("readonly", None)
        return {**told, "$": "memoryview", **({"readonly": True} if readonly else {})}

    def objects(self, node: Node, shape: Node, axes: Node | None) -> Told:
        items, readonly = self.fills[id(node)].items
        told: Told = {"$": "objects", "shape": _numbers(shape)}
        if axes is not None:
            told["axes"] = _numbers(axes)
        told["items"] = self._all(items.items or ())
        return {**told, "readonly": True} if readonly else told

    def strings(self, node: Node, dtype: Node, shape: Node, items: Node, axes: Any, readonly: bool) -> Told:
        told = {"$": "strings", "shape": _numbers(shape), "items": self._all(items.items or ())}
        if axes is not False:
            told["axes"] = list(range(len(told["shape"])))[::-1] if axes is True else _numbers(axes)
        return {**told, "readonly": True} if readonly else told

    def masked(self, node: Node, cls: Node, data: Node, mask: Any, fill: Any, hard: bool) -> Told | None:
        if cls.kind != "name" or cls.value.name != "MaskedArray" or cls.value.module not in _MASKED:
            return None
        parts = {"data": self.tell(data), "mask": self.tell(mask), "fill_value": self.tell(fill)}
        return {"$": "masked", **parts, "hard_mask": hard}

    def scalar(self, node: Node, dtype: Any, value: Any) -> Told:
        if dtype == "U":
            return {"$": "scalar", "dtype": "U", "v": self.tell(value)}
        described = "S" if dtype == "S" else _dtype(dtype)
        return {"$": "scalar", "dtype": described, **self.source(value)}

    def dtype(self, node: Node, dtype: Any) -> Told:
        return {"$": "dtype", "dtype": _dtype(dtype)}

    # -- numbers, dates --------------------------------------------------------------------------------

    def complex(self, node: Node, real: float, imag: float) -> Told:
        return {"$": "complex", "real": _real(real), "imag": _real(imag)}

    def decimal(self, node: Node, text: Any) -> Told:
        return {"$": "decimal", "v": self.text(text)}

    def fraction(self, node: Node, number: int, below: int) -> Told:
        return {"$": "fraction", "v": f"{_digits(number)}/{_digits(below)}"}

    def range(self, node: Node, *bounds: int) -> Told:
        return {"$": "range", **dict(zip(("start", "stop", "step"), map(self.tell, bounds), strict=True))}

    def unique(self, node: Node, *args: Any) -> Told | None:
        (state,) = node.states or (None,)
        items = state.items if type(state) is Node and state.kind == "dict" else ()
        number = dict(zip(items[::2], items[1::2], strict=True)).get("int")
        return {"$": "uuid", "v": str(uuid.UUID(int=number))} if type(number) is int else None

    def date(self, node: Node, raw: Any) -> Told:
        content = self.content(raw)
        return {"$": "date", "v": dt.date(int.from_bytes(content[:2], "big"), *content[2:]).isoformat()}

    def datetime(self, node: Node, raw: Any, zone: Any = None) -> Told:
        content = self.content(raw)
        fold, month = content[2] >> 7, content[2] & 127
        day, hour, minute, second = content[3:7]
        year, micro = int.from_bytes(content[:2], "big"), int.from_bytes(content[7:], "big")
        clock = dt.datetime(year, month, day, hour, minute, second, micro)
        return self._timed("datetime", clock, fold, zone)

    def time(self, node: Node, raw: Any, zone: Any = None) -> Told:
        content = self.content(raw)
        hour, minute, second = content[:3]
        clock = dt.time(hour & 127, minute, second, int.from_bytes(content[3:], "big"))
        return self._timed("time", clock, content[0] >> 7, zone)

    def _timed(self, kind: str, clock: dt.datetime | dt.time, fold: int, zone: Any) -> Told:
        told: Told = {"$": kind, "v": clock.isoformat()}
        if fold:
            told["fold"] = 1
        return told if zone is None else {**told, "zone": self.tell(zone)}

    def timedelta(self, node: Node, *parts: int) -> Told:
        return {"$": "timedelta", **dict(zip(("days", "seconds", "microseconds"), parts, strict=True))}

    def timezone(self, node: Node, offset: Any, name: Any = None) -> Told:
        told = {"$": "timezone", "offset": self.tell(offset)}
        return told if name is None else {**told, "name": self.text(name)}

    # -- registered types ------------------------------------------------------------------------------

    def registered(self, node: Node, name: str, state: Any, cls: object) -> Told | None:
        """Convert an object of a type whose state is specified, or is the user's own."""
        if cls is not None:
            return None
        if name == "zoneinfo.ZoneInfo":
            return {"$": "zoneinfo", "key": state.items[0]}
        kind, _, version = name.partition("/")
        if version and type(state) is Node and state.kind == "dict":
            return {"$": "object", "type": kind, "version": int(version), "fields": self._natural(state)}
        if self.is_users(name):
            return {"$": "object", "type": name, "version": 0, "state": self.tell(state)}
        raise _Odd(f"a {name_for_errors('', name)[1:]}, whose state is not specified,")


_MASKED: Final = ("numpy.ma", "numpy.ma.core")
_CALLS: Final[dict[tuple[str, str], Callable[..., Told | None]]] = {
    (CALLS, "array"): _Teller.array,
    (CALLS, "raw"): _Teller.raw,
    (CALLS, "view"): _Teller.view,
    (CALLS, "objects"): _Teller.objects,
    (CALLS, "strings"): _Teller.strings,
    (CALLS, "masked"): _Teller.masked,
    (CALLS, "scalar"): _Teller.scalar,
    (CALLS, "dtype"): _Teller.dtype,
    (CALLS, "registered"): _Teller.registered,
    ("builtins", "complex"): _Teller.complex,
    ("builtins", "range"): _Teller.range,
    ("decimal", "Decimal"): _Teller.decimal,
    ("fractions", "Fraction"): _Teller.fraction,
    ("uuid", "UUID"): _Teller.unique,
    ("datetime", "date"): _Teller.date,
    ("datetime", "datetime"): _Teller.datetime,
    ("datetime", "time"): _Teller.time,
    ("datetime", "timedelta"): _Teller.timedelta,
    ("datetime", "timezone"): _Teller.timezone,
}
"""The names that a portable message may use, besides containers and numbers; their converters."""


def _odd(node: Node) -> _Odd:
    return _Odd(in_words(node, str))


def _is_plain_key(key: object) -> bool:
    """Tell whether a key can be one of a JSON object: JavaScript moves keys of digits to the front."""
    return type(key) is str and not key.startswith("$") and not key.isdigit()


def _digits(number: int) -> str:
    if number.bit_length() <= DIGITS * 3:  # 10 of them are 33.2 bits
        with contextlib.suppress(ValueError):  # more digits than sys.set_int_max_str_digits was told
            return str(number)
    raise _Odd(f"an int of {number.bit_length():,} bits", number)


def _real(number: float) -> float | str:
    return number if math.isfinite(number) else str(number)


def _numbers(holder: Any) -> list[int]:
    return list(holder.items or ())


def _dtype(description: Any) -> Any:
    told = tell_dtype(description)
    if told is None:
        raise _Odd(
            "an array or a number whose dtype does not state its size and encoding, or has a long name"
        )
    return told
