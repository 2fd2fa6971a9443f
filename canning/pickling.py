"""Object to header: the C pickler with a private dispatch table, memory set aside on the way.

The plain C pickler goes first, since it asks Python only for the types that the table names. Some things
it cannot know, and when one of them shows, the object is pickled once more, by a `Plan` that says so:

* memory that small arrays share (`ShareAgain`);
* an instance of a class that must go by value (`ByValueClass`): the class is written *ahead* of the
  object, into the pickler's memo, and the instances stay at the C pickler's speed;
* a function or module that must go by value: `ByValuePickler` takes over;
* bytes between the threshold and 64 KiB, which the C pickler copies into its stream: they go ahead too.

Bytes of 64 KiB and more the C pickler hands to its file as the very object; `Sink` makes buffers of them.
"""

from __future__ import annotations

import array as stdarray
import copyreg
import operator
import pickle
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import cloudpickle
import numpy as np

from .arrays import CannedArray
from .canned import CannedObject, PrePickled
from .functions import ByValuePickler, is_local
from .reducers import Reducers, ShareAgain

_DIRECT: Final = 64 * 1024
"""Bytes from which the C pickler hands an object on instead of copying it (`FRAME_SIZE_TARGET`)."""
_ARRAYS: Final = b"\x80\x05\x8c\x0ecanning.arrays\x8c\x0bCannedArray\x93\x940"
_NO_ARRAYS: Final = b"\x80\x05N\x940"
"""What stands first in every header: memo entry 0, `CannedArray` where the message has arrays. It is
there before the pickler starts, which saves it the search for that name: 2.9 of 5.5 µs for one array."""
_FRAME: Final = 0x95
_LENGTH: Final = struct.Struct("<xQ")
_BYTES: Final = b"ccanning.canned\nCannedBytes\n"
_MAIN: Final = b"\x8c\x08__main__"
_TYPES: Final = 4096
"""Types that a table remembers; they may be made by the thousand, and it keeps them alive."""
CLASSES_AHEAD: Final = 8
"""Classes that are put ahead one by one; with more of them `ByValuePickler` takes over."""


class ByValueClass(Exception):
    """Ask for a class to be written ahead of the object."""

    def __init__(self, cls: type) -> None:
        self.cls = cls


@dataclass(slots=True)
class Plan:
    """How to pickle an object, as far as earlier attempts have shown.

    Attributes:
        share, whole: what `Reducers.reset` takes.
        ahead: bytes and bytearrays to be set aside before the object is looked at.
        classes: classes to be written by value before it.
        by_value: whether `ByValuePickler` does all.
        watch: whether to look for bytes that the pickler copies.
    """

    share: bool = False
    whole: frozenset[Any] = frozenset()
    ahead: list[Any] = field(default_factory=list)
    classes: list[type] = field(default_factory=list)
    by_value: bool = False
    watch: bool = True


class Sink:
    """Be the file that a pickler writes to; make buffers of the large objects that it hands on.

    The C pickler writes a chunk whenever 64 KiB have come together: one FRAME. Before a large object it
    writes what it has and, behind that frame, the opcode that announces the object; then the object.
    That opcode is replaced by the call of `CannedBytes` with the number of a buffer.
    https://peps.python.org/pep-3154/#framing
    """

    __slots__ = ("announced", "chunks", "entries", "fresh", "suspicious", "threshold", "watch")

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self.reset([], watch=False)

    def reset(self, entries: list[Any], *, watch: bool) -> None:
        """Start a header whose buffers go to `entries`."""
        self.chunks: list[bytes] = []
        self.entries = entries
        self.watch = watch
        self.suspicious = False
        self.announced = 0
        self.fresh = True

    def write(self, chunk: bytes) -> None:
        """Take a chunk, or an object that the chunk before has announced."""
        if self.announced:
            self._take_object(chunk)
            return
        if self.fresh:
            self.fresh = False
            chunk = chunk[2:]  # PROTO, which stands in front of all
        if len(chunk) >= self.threshold and self.watch and holds_bytes(chunk, self.threshold):
            self.suspicious = True
        self.announced = announcement(chunk)
        if not self.suspicious:  # else this attempt is for nothing but the memo: keep no copies
            self.chunks.append(chunk)

    def _take_object(self, obj: Any) -> None:
        size, self.announced = self.announced, 0
        if self.suspicious:
            return
        before = self.chunks[-1]
        if before[-size] not in b"B\x8e\x96" or len(obj) < self.threshold:
            self.chunks.append(obj)
            return
        self.chunks[-1] = before[:-size]
        self.chunks.append(self.call(obj))

    def call(self, obj: bytes | bytearray) -> bytes:
        """Set an object aside, and give the opcodes that stand for it."""
        self.entries.append(obj)
        number = b"J" + struct.pack("<i", len(self.entries) - 1)
        return _BYTES + number + (b"\x88\x86R" if isinstance(obj, bytearray) else b"\x85R")


def announcement(chunk: bytes) -> int:
    """Tell how many bytes at the end of a chunk announce the object to come: 5, 9, or 0 for none.

    What stands behind the frame is an announcement. Less than 4 bytes come without a frame around them,
    so that what is left then says it by its length.
    """
    rest = len(chunk)
    if chunk[0] == _FRAME:
        rest -= 9 + _LENGTH.unpack_from(chunk)[0]
    return 9 if rest >= 9 else 5 if rest >= 5 else 0


def holds_bytes(chunk: bytes, threshold: int) -> bool:
    """Tell whether a chunk seems to hold a bytes or bytearray object of `threshold` bytes or more.

    Looks for the opcode, a length under 64 KiB, and the opcode that must follow the object.
    """
    codes = np.frombuffer(chunk, np.uint8)
    for at in np.flatnonzero(codes[:-5] == ord("B")).tolist() if b"\0\0" in chunk else ():
        if chunk[at + 3 : at + 5] == b"\0\0" and _is_object(chunk, at + 5, chunk[at + 1 : at + 3], threshold):
            return True
    at = chunk.find(b"\0\0\0\0\0\0")
    while at >= 0:
        if chunk[at - 3 : at - 2] == b"\x96" and _is_object(chunk, at + 6, chunk[at - 2 : at], threshold):
            return True
        at = chunk.find(b"\0\0\0\0\0\0", at + 1)
    return False


def _is_object(chunk: bytes, start: int, length: bytes, threshold: int) -> bool:
    size = int.from_bytes(length, "little")
    return size >= threshold and chunk[start + size : start + size + 1] == b"\x94"


class Table(dict[type, Callable[[Any], Any]]):
    """Find the reducer of a type, once.

    The nearest of a type's bases that anyone has registered, or that this package knows, decides; after
    them `copyreg`, and cloudpickle where `by_value`. All others reduce themselves, by a C function that
    stands in the table so that the next instance is not looked up again.
    """

    _PLAIN: Final = operator.methodcaller("__reduce_ex__", 5)

    def __init__(self, reducers: Reducers, *, by_value: bool, main: bool) -> None:
        super().__init__()
        self.reducers = reducers
        self.by_value = by_value
        self.main = main
        self.ahead: list[type] = []
        self.registry = reducers.registry
        self.version = self.known = -1
        self.own: dict[type, Callable[[Any], Any]] = {
            np.generic: reducers.scalar,
            np.dtype: reducers.dtype,
            memoryview: reducers.memoryview,
            stdarray.array: reducers.stdlib_array,
            CannedObject: reducers.canned,
            PrePickled: reducers.prepickled,
        }

    def refresh(self) -> None:
        """Forget what was found before somebody registered something."""
        version, known = self.registry.version, len(copyreg.dispatch_table)
        if version != self.version or known != self.known or len(self) > _TYPES:
            self.clear()
            self.version, self.known = version, known

    def __missing__(self, cls: type) -> Callable[[Any], Any]:
        reducer = self._find(cls)
        self[cls] = reducer
        return reducer

    def get(self, cls: type, default: Any = None) -> Any:  # picklers written in Python ask this way
        try:
            return self[cls]
        except KeyError:
            return default

    def _find(self, cls: type) -> Callable[[Any], Any]:
        if issubclass(cls, type):
            raise KeyError(cls)  # a class: by name, or by value where the pickler sees to that
        found = self._find_ours(cls) or copyreg.dispatch_table.get(cls)
        if found is None and self.by_value:
            found = cloudpickle.Pickler.dispatch_table.get(cls)
        if found is not None:
            return found
        if self.main and not self.by_value and is_local(cls) and cls not in self.ahead:
            raise ByValueClass(cls)
        return self._PLAIN

    def _find_ours(self, cls: type) -> Callable[[Any], Any] | None:
        registry = self.registry
        nearest = registry.find(cls)
        for base in cls.__mro__:
            if nearest is not None and registry.find_exact(base) is nearest:
                return self.reducers.registered(nearest)
            if base is np.ndarray:
                return self.reducers.array if cls is base else self.reducers.subclass
            if base is cls and base in copyreg.dispatch_table:
                return None
            if base in self.own and (base is not np.generic or np.dtype(cls).type is cls):
                return self.own[base]
        return None

    def put_ahead(self, classes: list[type]) -> None:
        """Let instances of these classes, which are in the memo already, reduce themselves."""
        for cls in self.ahead:
            self.pop(cls, None)
        self.ahead = list(classes)


class Writer:
    """Write one message at a time: a pickler with its sink, its table, its reducers.

    Making these takes longer than pickling a small object, so that a `Serializer` keeps its writers.
    """

    def __init__(self, reducers: Reducers, *, main: bool = True) -> None:
        self.reducers = reducers
        self.main = main
        self.watch = reducers.threshold < _DIRECT
        self.sink = Sink(reducers.threshold)
        self.table = Table(reducers, by_value=False, main=main)
        self.by_value_table = Table(reducers, by_value=True, main=main)
        self.pickler = self._new_pickler()
        self._empty = self._new_pickler().memo

    def _new_pickler(self) -> Any:
        pickler: Any = pickle.Pickler(self.sink, 5, buffer_callback=self.reducers.outside_buffer)
        pickler.dispatch_table = self.table
        pickler.memo = _first_memo()
        return pickler

    def write(self, obj: Any, plan: Plan | None = None) -> list[bytes]:
        """Pickle an object by a plan; return the header's chunks, leave its buffers in `reducers`.

        Raises whatever the object's own methods raise, and one of `ShareAgain`, `ByValueClass`, `Ahead`,
        `ByName` where the plan was not enough. None is the plan for an object of which nothing is known.
        """
        reducers, sink, pickler = self.reducers, self.sink, self.pickler
        before = 0
        if plan is None:
            reducers.reset()
            sink.reset(reducers.entries, watch=self.watch)
            self.table.refresh()
        else:
            pickler = self._prepare(plan)
            before = len(sink.chunks)
        try:
            pickler.dump(obj)
            if sink.suspicious:
                raise Ahead(copied_bytes(pickler, reducers.threshold))
        finally:
            pickler.memo = self._empty
        chunks = sink.chunks
        if self.main and pickler is self.pickler and names_main(chunks[before:] if before else chunks):
            raise ByName
        chunks.insert(0, _ARRAYS if reducers.used else _NO_ARRAYS)
        return chunks

    def _prepare(self, plan: Plan) -> pickle.Pickler:
        reducers, sink = self.reducers, self.sink
        reducers.reset(plan.share, plan.whole)
        sink.reset(reducers.entries, watch=plan.watch and self.watch)
        self.by_value_table.refresh()
        self.table.refresh()
        self.table.put_ahead(plan.classes)
        pickler: Any = self.pickler
        if plan.by_value:
            pickler = ByValuePickler(sink, self.by_value_table, reducers.outside_buffer)
        pickler.memo = self._write_ahead(plan)
        sink.fresh = True
        return pickler  # type: ignore[no-any-return]

    def _write_ahead(self, plan: Plan) -> Any:
        """Write what goes ahead of the object, and give the memo that knows it."""
        memo = _first_memo()
        for obj in plan.ahead:
            self.sink.chunks.append(self.sink.call(obj) + b"\x940")
            memo[id(obj)] = (len(memo), obj)
        if not plan.classes:
            return memo
        pickler: Any = ByValuePickler(self.sink, self.by_value_table, self.reducers.outside_buffer)
        pickler.memo = memo
        for cls in plan.classes:
            self.sink.fresh = True
            pickler.dump(cls)
            self.sink.chunks[-1] = self.sink.chunks[-1][:-1] + b"0"  # POP in the place of STOP
        return pickler.memo


def names_main(chunks: list[bytes]) -> bool:
    """Tell whether a header seems to name something in ``__main__``, where no other process will find it."""
    for chunk in chunks:  # noqa: SIM110 - a generator costs a microsecond more
        if _MAIN in chunk:
            return True
    return False


def _first_memo() -> dict[int, tuple[int, Any]]:
    """Give the memo that every header starts with."""
    return {id(CannedArray): (0, CannedArray)}


class Ahead(Exception):
    """Ask for bytes to be set aside that the pickler has copied; none where there were none after all."""

    def __init__(self, objects: list[Any]) -> None:
        self.objects = objects


class ByName(Exception):
    """Ask for `ByValuePickler`, since the header names something in ``__main__``."""


def copied_bytes(pickler: pickle.Pickler, threshold: int) -> list[Any]:
    """List the bytes and bytearrays that a pickler has copied into its stream and somebody still holds.

    What an object's ``__reduce__`` made only for the pickler is another one the next time.
    """
    memo: dict[int, tuple[int, Any]] = pickler.memo.copy()
    pickler.memo = {}  # type: ignore[assignment]
    objects = [
        obj
        for _, obj in sorted(memo.values(), key=operator.itemgetter(0))
        if type(obj) in (bytes, bytearray) and threshold <= len(obj) < _DIRECT
    ]
    memo.clear()
    return [obj for obj in objects if sys.getrefcount(obj) > 3]  # the list, the loop, the call itself
