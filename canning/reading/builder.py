"""Header to object: each name in the header becomes a live constructor over the buffers that arrived."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..calls import ALL, MAKERS
from ..code.rebuild import fill_function, make_function
from ..code.renaming import look_up
from ..memory.buffers import address, aligned_copy, joined_already
from ..memory.coming import Coming
from ..memory.dtypes import BY_NAME, build
from ..memory.layout import clusters
from ..types.arrays import make_array
from ..types.canned import CannedObject, Namespace, Reference, make_bytes, open_canned
from ..types.registry import Registry, rebuild
from ..wire.names import CALLS
from ..wire.trailer import Trailer

if TYPE_CHECKING:
    from ..code.finding import Finder

_SAFE: Final = 16
"""Bytes to which shared memory is aligned before arrays view it: the strictest of numpy's dtypes."""
PINNED: Final = 4
"""A buffer is copied out of a shared frame that is at least this many times its size."""


class Buffers:
    """Return the buffers of one message by number, as its table lists them; joined or copied where needed."""

    def __init__(self, trailer: Trailer, head: memoryview, frames: Sequence[Any], *, writable: bool) -> None:
        self.trailer = trailer
        self.head = head
        self.frames = frames
        self.writable = writable
        self.table = trailer.table
        self.given = 0  # counts pickle's own buffers
        self.spend: Callable[[int], object] = _free  # called with the number of bytes before each copy
        self._own: dict[int, memoryview] = {}
        self._inline: dict[int, memoryview] | None = None
        self._kept: dict[int, memoryview] | None = None

    def __getitem__(self, number: int) -> memoryview:
        if self.table is None:
            return self.frames[number] if not self.writable else self._writable(number)
        first, count, offset, length = self.table[number]
        if count > 1:
            return self._joined(number)
        if first == 0:
            return self._from_inline(number)
        if self._kept is None:
            self._kept = self._copy_small()
        kept = self._kept.get(number)
        return self._shared(first)[offset : offset + length] if kept is None else kept

    def outside(self) -> Iterator[memoryview]:
        """Yield pickle's own out-of-band buffers, which are the last ones."""
        for number in range(len(self) - self.trailer.outside, len(self)):
            self.given += 1
            buffer = self[number]
            yield buffer if address(buffer) % 8 == 0 else self._copy(buffer)

    def _copy(self, *parts: memoryview) -> memoryview:
        self.spend(sum(part.nbytes for part in parts))
        return aligned_copy(*parts)

    def __len__(self) -> int:
        return len(self.frames) if self.table is None else len(self.table)

    def _writable(self, number: int) -> memoryview:
        if number not in self._own:
            frame = self.frames[number]
            self._own[number] = self._copy(frame) if frame.readonly else frame
        return self._own[number]

    def _joined(self, number: int) -> memoryview:
        if number not in self._own:
            assert self.table is not None
            first, count, _, _ = self.table[number]
            parts = list(self.frames[first - 1 : first - 1 + count])
            side_by_side = joined_already(parts)
            if side_by_side is None or (self.writable and side_by_side.readonly):
                side_by_side = self._copy(*parts)
            self._own[number] = side_by_side
        return self._own[number]

    def _shared(self, first: int) -> Any:
        """Return a frame that several arrays may view, aligned and made writable once for all of them."""
        key = -first
        if key not in self._own:
            frame = self.frames[first - 1]
            if type(frame) is Coming:
                return frame
            fit = address(frame) % _SAFE == 0 and not (self.writable and frame.readonly)
            self._own[key] = frame if fit else self._copy(frame)
        return self._own[key]

    def _from_inline(self, number: int) -> memoryview:
        """Copy inline data out of frame 0."""
        if self._inline is None:
            assert self.table is not None
            numbers = [n for n, entry in enumerate(self.table) if entry[0] == 0]
            inline = self.head[self.trailer.pickle_length :]
            self._inline = self._copied_out(numbers, inline, len(inline))
        return self._inline[number]

    def _copy_small(self) -> dict[int, memoryview]:
        """Copy small buffers out of frames that hold several, so that one does not keep the whole frame."""
        assert self.table is not None
        within: dict[int, list[int]] = {}
        for number, (first, count, _, _) in enumerate(self.table):
            if first and count == 1:
                within.setdefault(first, []).append(number)
        kept: dict[int, memoryview] = {}
        for first, numbers in within.items():
            frame = self.frames[first - 1]
            if len(numbers) > 1 and type(frame) is not Coming:
                kept.update(self._copied_out(numbers, frame, len(frame) // PINNED))
        return kept

    def _copied_out(self, numbers: list[int], memory: memoryview, most: int) -> dict[int, memoryview]:
        """Copy buffers out of memory that holds several; overlapping ones together, others one by one.

        A copy of more than `most` bytes is not made.
        """
        assert self.table is not None
        entries = [self.table[number] for number in numbers]
        self.spend(400 * len(entries))
        extents = [(offset, offset + length) for _, _, offset, length in entries]
        copies: dict[int, memoryview] = {}
        if all(one[1] <= two[0] for one, two in pairwise(extents)):  # as joined frames are
            for number, (low, high) in zip(numbers, extents, strict=True):
                if high - low <= most:
                    self.spend(high - low)
                    copies[number] = memoryview(bytearray(memory[low:high]))
            return copies
        for group in clusters(extents):
            low, high = min(extents[i][0] for i in group), max(extents[i][1] for i in group)
            if high - low <= most:
                self.spend(high - low)
                copy = memoryview(bytearray(memory[low:high]))
                copies.update({numbers[i]: copy[extents[i][0] - low : extents[i][1] - low] for i in group})
        return copies


def _free(nbytes: int) -> None:
    """Count nothing: a trusted sender may have as much copied as the message says."""


class Builder:
    """Build objects where a header names canned ones.

    Attributes:
        buffers: the message's buffers by number.
        registry: builds objects that were canned by registration.
        g: the namespace for functions and references; None if the receiver passed none.
        deserialize: reads a message inside this one.
        finder: finds the names in the header; None if names are looked up unchanged.
    """

    __slots__ = ("buffers", "deserialize", "finder", "g", "registry")

    def __init__(
        self,
        buffers: Any,
        registry: Registry,
        g: Namespace | None,
        deserialize: Callable[..., Any],
        finder: Finder | None = None,
    ) -> None:
        self.buffers = buffers
        self.finder = finder
        self.registry = registry
        self.g = g
        self.deserialize = deserialize

    def array(
        self, source: Any, shape: Any, dtype: object, layout: Any = None, readonly: bool = False
    ) -> Any:
        """Build an array over its buffer; over new memory if its bytes are in the header."""
        memory = self.buffers[source] if type(source) is int else bytearray(source)
        if type(memory) is Coming:
            return memory.array(shape, build(dtype), layout, readonly)
        if layout is None and not readonly and type(dtype) is str and dtype in BY_NAME:
            array: Any = np.ndarray(shape, BY_NAME[dtype], memory)
            if array.flags.aligned:
                return array
        return make_array(memory, shape, dtype, layout, readonly)

    def raw(self, source: Any, mutable: bool = False) -> Any:
        """Build `bytes`; return the frame itself if it is a `bytes` object."""
        return make_bytes(self.buffers[source] if type(source) is int else source, mutable)

    def canned(self, cls: type[CannedObject], state: dict[str, Any], *sources: Any) -> Any:
        """Build the object from a `CannedObject` of the user's own class."""
        canned = open_canned(cls, state, *sources)
        if sources:
            canned.buffers = [self.buffers[s] if type(s) is int else s for s in sources]
        return canned.get_object(self.g)

    def message(self, *sources: Any) -> Any:
        """Read an object that was serialized before it was put into this message."""
        return self.deserialize([self.buffers[s] if type(s) is int else s for s in sources], self.g)[0]

    def registered(self, name: str, state: object, cls: type | None) -> Any:
        """Build an object that was canned by registration."""
        return rebuild(self.registry, name, state, cls)

    def reference(self, name: str) -> Any:
        """Look a reference up; return it unchanged if there is no namespace."""
        reference = Reference(name)
        return reference if self.g is None else reference.get_object(self.g)

    def named(self, module: str, name: str) -> Any:
        """Look up a name that could not be found where the message was written."""
        return look_up(module, name) if self.finder is None else self.finder.find(module, name)

    def function(self, *parts: Any) -> Any:
        """Make a function that was sent by value, in the receiver's namespace if it is from ``__main__``."""
        special = None if self.finder is None else self.finder.builtins
        g = self.g if parts[1].get("__name__") == "__main__" else None
        return make_function(*parts, g=g, special=special)

    def fill(self, function: Any, state: object) -> None:
        """Set the attributes, closure and globals of such a function."""
        fill_function(function, state, self.g if function.__globals__ is self.g else None)

    def call(self, name: str) -> Any:
        """Return the function that builds the objects for a name of `calls`."""
        if name in _METHODS:
            return getattr(self, name)
        return _MAKERS[name]


_METHODS: Final = frozenset(
    ("array", "raw", "canned", "message", "registered", "reference", "named", "function", "fill")
)
"""Names of `calls` that each builder implements in its own way."""
_MAKERS: Final = {**{call.__name__: call for call in ALL}, **MAKERS}
"""The functions that build all other objects."""


class Reader(pickle.Unpickler):
    """The C unpickler, with live constructors where a header names what it calls.

    Set `builder` before `load`; an ``__init__`` in Python would double the cost.
    """

    builder: Builder

    def find_class(self, module: str, name: str) -> Any:
        """Return the live constructor for a name of this package, and look up all others."""
        builder = self.builder
        if module == CALLS:
            return builder.call(name)
        if (module, name) == ("__builtin__", "__main__"):  # dill's name for the namespace of a script
            return vars(sys.modules["__main__"]) if builder.g is None else builder.g
        return super().find_class(module, name)


class FindingReader(Reader):
    """Find names with the builder's finder, which renames some and may return stubs for others."""

    def find_class(self, module: str, name: str) -> Any:
        """Return the live constructor for a name of this package, and let the finder find all others."""
        builder, finder = self.builder, self.builder.finder
        assert finder is not None
        ordinary = super().find_class
        ours = module.startswith("canning.") or (module, name) == ("__builtin__", "__main__")
        found = ordinary(module, name) if ours else finder.find(module, name, ordinary)
        return finder.guard(module, name, found, builder.buffers)


def read(head: bytes | memoryview, builder: Builder, outside: Iterator[memoryview] | None) -> Any:
    """Read a header with a builder; `outside` yields pickle's own out-of-band buffers."""
    make = Reader if builder.finder is None else FindingReader
    reader = make(io.BytesIO(head), buffers=outside)
    reader.builder = builder
    return reader.load()


def read_plain(
    head: bytes | memoryview, outside: Iterator[Any], finder: Finder | None = None
) -> tuple[Any, int]:
    """Read a pickle that this package did not write; return the object and the offset of the pickle's end."""
    file = io.BytesIO(head)
    reader = pickle.Unpickler(file, buffers=outside) if finder is None else finder.reader(file, outside)
    return reader.load(), file.tell()
