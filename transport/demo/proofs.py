"""The claims of the demo and their evidence: the arrays and columns of an object, and their frames."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeGuard

import numpy as np

from .samples import Sample

Leaf: TypeAlias = Any
"""An array, a column of a pandas table, or a table's index."""
Range: TypeAlias = tuple[int, int]
"""The first address, and the one after the last."""


def find(obj: object) -> dict[str, Leaf]:
    """Find all arrays and table columns in dicts, lists and tuples, each object once, by its path.

    >>> list(find({"a": np.zeros(2), "b": [1, (np.ones(3),)]}))
    ["['a']", "['b'][1][0]"]
    """
    return dict(_walk(obj, "", set()))


def _walk(obj: object, path: str, seen: set[int]) -> Iterator[tuple[str, Leaf]]:
    if id(obj) in seen:
        return
    seen.add(id(obj))
    if isinstance(obj, np.ndarray):
        yield path, obj
    elif is_table(obj):
        for number, name in enumerate(obj.columns):
            yield f"{path}[{name!r}]", obj.iloc[:, number]
        # A RangeIndex has no memory, and an index of several levels has more than one array.
        if obj.index.nlevels == 1 and type(obj.index).__name__ != "RangeIndex":
            yield f"{path}.index", obj.index
    elif isinstance(obj, dict | list | tuple):
        for key, value in obj.items() if isinstance(obj, dict) else enumerate(obj):
            yield from _walk(value, f"{path}[{key!r}]", seen)


def is_table(obj: object) -> TypeGuard[Any]:
    """Tell whether an object is a pandas DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(obj, pandas.DataFrame)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The properties of a leaf in one process."""

    content: tuple[str, str, tuple[int, ...], str]  # type, dtype, shape, digest of the values
    axes: tuple[int, ...]  # longer than 1, from the widest stride to the narrowest
    writable: bool | None  # None for a column: its table decides
    aligned: bool | None  # None for a column that is not an array

    def __str__(self) -> str:
        _, dtype, shape, _ = self.content
        words = ["structured" if dtype.startswith(("[", "{")) else dtype, str(shape)]
        if self.writable is not None:
            words.append("writable" if self.writable else "read-only")
        if self.aligned is not None:
            words.append("aligned" if self.aligned else "NOT ALIGNED")
        return " ".join(words)


def arrivals_of(obj: object) -> dict[str, Arrival]:
    """Describe every array and column in an object, by its path.

    >>> print(arrivals_of({"a": np.zeros((2, 3), ">i2").T})["['a']"])
    >i2 (3, 2) writable aligned
    """
    return {path: _describe(leaf) for path, leaf in find(obj).items()}


def _describe(leaf: Leaf) -> Arrival:
    array = _array(leaf)
    values = array.tobytes() if array is not None and in_numpy(array) else repr(leaf.tolist()).encode()
    digest = hashlib.blake2b(values, digest_size=16).hexdigest()
    content = (type(leaf).__name__, str(leaf.dtype), leaf.shape, digest)
    if array is None:
        return Arrival(content, axes=(0,), writable=None, aligned=None)
    long = [axis for axis, length in enumerate(array.shape) if length > 1]  # others' strides are irrelevant
    axes = tuple(sorted(long, key=lambda axis: -abs(array.strides[axis])))
    return Arrival(content, axes, array.flags.writeable if array is leaf else None, array.flags.aligned)


def _array(leaf: Leaf) -> np.ndarray[Any, Any] | None:
    """Return the array of a leaf; None for columns of which `to_numpy` would make a new one."""
    if isinstance(leaf, np.ndarray):
        return leaf
    return leaf.to_numpy() if isinstance(leaf.dtype, np.dtype) else None


def in_numpy(leaf: Leaf) -> bool:
    """Tell whether an array, or the column of a table, keeps its values in numpy's own memory.

    >>> in_numpy(np.zeros(3)), in_numpy(np.array([{}, None]))
    (True, False)
    """
    return isinstance(leaf.dtype, np.dtype) and not leaf.dtype.hasobject and leaf.dtype.kind != "T"


def shared_pairs(obj: object) -> set[frozenset[str]]:
    """Find the pairs of arrays in an object whose memory overlaps, by their paths.

    >>> base = np.zeros(9)
    >>> [sorted(pair) for pair in shared_pairs([base, base[2:5], np.ones(3)])]
    [['[0]', '[1]']]
    """
    arrays = [(path, leaf) for path, leaf in find(obj).items() if isinstance(leaf, np.ndarray)]
    pairs = itertools.combinations(arrays, 2)
    return {frozenset((path, other)) for (path, one), (other, two) in pairs if np.may_share_memory(one, two)}


def ranges(leaf: Leaf) -> list[Range]:
    """Return the memory ranges of a leaf; [] if they cannot be known."""
    array = _array(leaf)
    if array is not None:
        if not array.nbytes or array.dtype.hasobject:  # pointers are not data
            return []
        low = high = array.__array_interface__["data"][0]
        for length, stride in zip(array.shape, array.strides, strict=True):
            low, high = low + min(0, (length - 1) * stride), high + max(0, (length - 1) * stride)
        return [(low, high + array.itemsize)]
    for integers in ("codes", "asi8"):  # the arrays of categories and of dates with a time zone
        if hasattr(leaf.array, integers):
            return ranges(getattr(leaf.array, integers))
    if not hasattr(leaf.array, "__arrow_array__"):
        return []
    arrow = leaf.array.__arrow_array__()
    buffers = (buffer for chunk in getattr(arrow, "chunks", [arrow]) for buffer in chunk.buffers())
    return [(buffer.address, buffer.address + buffer.size) for buffer in buffers if buffer]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame of a message: its size, its address, and the paths of the leaves in its memory."""

    nbytes: int
    start: int
    holds: tuple[str, ...]


def place(frames: list[Any], leaves: dict[str, Leaf]) -> list[Frame]:
    """Compare the address of each frame with those of the leaves.

    >>> a, b = np.zeros(100), np.ones(100)
    >>> [frame.holds for frame in place([a.tobytes(), memoryview(b)], {"a": a, "b": b})]
    [(), ('b',)]
    """
    known = [(path, low, high) for path, leaf in leaves.items() for low, high in ranges(leaf)]
    places = []
    for frame in frames:
        nbytes = memoryview(frame).nbytes
        start, end = ranges(np.frombuffer(frame, np.uint8))[0] if nbytes else (0, 0)
        holds = dict.fromkeys(path for path, low, high in known if low < end and start < high)
        places.append(Frame(nbytes, start, tuple(holds)))
    return places


# -- proofs ----------------------------------------------------------------------------------------------

THRESHOLD: Final = 1024
"""Bytes from which memory gets a separate frame by default."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The engine's report of a call: the received payload, its description there, the function's result."""

    pid: int
    function_name: str
    result: object
    arrivals: dict[str, Arrival]
    shared: set[frozenset[str]]


Proof: TypeAlias = tuple[str, bool]
"""A claim in words, with its numbers, and whether it holds."""


def prove(sample: Sample, frames: list[Frame], reply: Reply, back: object) -> list[Proof]:
    """Compare the sent object and its frames with the engine's report and the returned object."""
    here, there = arrivals_of(sample.payload), reply.arrivals
    equal = [path for path in here if path in there and here[path].content == there[path].content]
    names = ", ".join(sample.function.__code__.co_freevars)
    writable = [path for path in here if here[path].writable]
    still = [path for path in writable if path in there and there[path].writable]
    pairs = shared_pairs(sample.payload)
    path, window = f"[{sample.window!r}]", sample.payload[sample.window]
    gaps = not (window.flags.c_contiguous or window.flags.f_contiguous)
    return [
        (f"two processes: {os.getpid()} here, {reply.pid} there", reply.pid != os.getpid()),
        (
            f"the lambda ran there with a local variable of the sender ({names}), and its result is right",
            reply.function_name == sample.function.__qualname__
            and same(reply.result, sample.function(sample.payload)),
        ),
        (
            f"{len(equal)} of {len(here)} arrays and columns arrived equal: type, dtype, shape, values",
            len(equal) == len(here) == len(there),
        ),
        _uncopied(sample, frames),
        (
            f"{sample.window!r} is not contiguous (shape {window.shape}, strides {window.strides}):"
            " it kept its values, shape and order of axes",
            gaps and path in equal and here[path].axes == there[path].axes,
        ),
        (
            f"every array arrived aligned, and {len(still)} of {len(writable)} writable ones writable",
            still == writable and all(told.aligned is not False for told in there.values()),
        ),
        (
            f"arrays that share memory here share it there: {len(pairs & reply.shared)} of {len(pairs)}",
            pairs == reply.shared,
        ),
        (
            "the whole payload came home again, equal, its containers and shared objects too",
            same(sample.payload, back) and pairs == shared_pairs(back),
        ),
    ]


def _uncopied(sample: Sample, frames: list[Frame]) -> Proof:
    header, *payload = frames
    total = sum(frame.nbytes for frame in payload)
    aliased = sum(frame.nbytes for frame in payload if frame.holds)
    framed = {path for frame in payload for path in frame.holds}
    leaves = find(sample.payload)
    # Small memory belongs in the header; larger memory that no frame holds was copied somewhere.
    sizes = {path: sum(high - low for low, high in ranges(leaf)) for path, leaf in leaves.items()}
    large = {path for path, leaf in leaves.items() if in_numpy(leaf) and sizes[path] >= THRESHOLD}
    others = sum(not in_numpy(leaf) for leaf in leaves.values())
    claim = (
        f"{aliased:,} of {total:,} payload bytes are uncopied: their frames are the sender's own memory"
        f" (and the header is {header.nbytes:,} bytes)"
    )
    if others:
        claim += f"; pandas itself copies when it pickles columns that numpy does not keep, {others} here"
    return (claim, large <= framed and (aliased == total or others > 0))


def same(one: Any, other: Any) -> bool:
    """Tell whether two objects have the same types, containers, arrays and tables.

    >>> same({"a": [1, {2}]}, {"a": [1, {2}]}), same([1], [True]), same((1,), [1])
    (True, False, False)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_table(one) or isinstance(one, np.ndarray):
        return (not is_table(one) or bool(one.equals(other))) and _contents(one) == _contents(other)
    return bool(one == other)


def _contents(obj: object) -> dict[str, object]:
    return {path: told.content for path, told in arrivals_of(obj).items()}
