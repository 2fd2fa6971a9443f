"""Where the data of an object lies: its leaves, their addresses, and which frames alias them."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Range = tuple[int, int]
"""First address, and the one behind the last."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An array, or one column of a table, somewhere in an object.

    Attributes:
        path: the way to it, as Python would write it.
        value: the array or the pandas Series.
    """

    path: str
    value: Any


def leaves(obj: Any, path: str = "", seen: set[int] | None = None) -> Iterator[Leaf]:
    """Find every array and every column of a table in dicts, lists and tuples, each object once.

    >>> [leaf.path for leaf in leaves({"a": np.zeros(2), "b": [1, (np.ones(3),)]})]
    ["['a']", "['b'][1][0]"]
    """
    seen = set() if seen is None else seen
    if id(obj) in seen:
        return
    seen.add(id(obj))
    if isinstance(obj, np.ndarray):
        yield Leaf(path, obj)
    elif is_table(obj):
        yield from _columns(obj, path)
    elif isinstance(obj, dict):
        for key, value in obj.items():
            yield from leaves(value, f"{path}[{key!r}]", seen)
    elif isinstance(obj, list | tuple):
        for index, value in enumerate(obj):
            yield from leaves(value, f"{path}[{index}]", seen)


def _columns(table: Any, path: str) -> Iterator[Leaf]:
    # By position: a name may be there twice.
    for column in range(table.shape[1]):
        yield Leaf(f"{path}[{table.columns[column]!r}]", table.iloc[:, column])
    # A counted index has no memory, and one of several levels has more than one.
    if table.index.nlevels == 1 and type(table.index).__name__ != "RangeIndex":
        yield Leaf(f"{path}.index", table.index)


def is_table(obj: Any) -> bool:
    """Tell whether an object is a pandas DataFrame, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(obj, pandas.DataFrame)


def shared_pairs(obj: Any) -> set[frozenset[str]]:
    """Find the pairs of arrays in an object whose memory overlaps, by their paths.

    >>> base = np.zeros(9)
    >>> [sorted(pair) for pair in shared_pairs([base, base[2:5], np.ones(3)])]
    [['[0]', '[1]']]
    """
    arrays = [leaf for leaf in leaves(obj) if isinstance(leaf.value, np.ndarray)]
    return {
        frozenset((one.path, other.path))
        for one, other in itertools.combinations(arrays, 2)
        if np.may_share_memory(one.value, other.value)
    }


def ranges(value: Any) -> list[Range]:
    """Tell where the memory of an array or of a Series lies; [] where that is not to be known."""
    if isinstance(value, np.ndarray):
        return _array_ranges(value)
    if isinstance(value.dtype, np.dtype):
        return ranges(value.to_numpy())
    for integers in ("codes", "asi8"):  # what categories and dates with a time zone are kept as
        if hasattr(value.array, integers):
            return ranges(getattr(value.array, integers))
    if hasattr(value.array, "__arrow_array__"):
        return _arrow_ranges(value.array.__arrow_array__())
    return []


def _array_ranges(array: np.ndarray[Any, Any]) -> list[Range]:
    if not array.nbytes or array.dtype.hasobject:  # pointers are no data
        return []
    low = high = array.__array_interface__["data"][0]
    for length, stride in zip(array.shape, array.strides, strict=True):
        low += min(0, (length - 1) * stride)
        high += max(0, (length - 1) * stride)
    return [(low, high + array.itemsize)]


def _arrow_ranges(array: Any) -> list[Range]:
    chunks = getattr(array, "chunks", [array])
    buffers = (buffer for chunk in chunks for buffer in chunk.buffers())
    return [(buffer.address, buffer.address + buffer.size) for buffer in buffers if buffer]


def in_numpy(value: Any) -> bool:
    """Tell whether an array, or the column of a table, keeps its values in numpy's own memory.

    >>> in_numpy(np.zeros(3)), in_numpy(np.array([{}, None]))
    (True, False)
    """
    return isinstance(value.dtype, np.dtype) and not value.dtype.hasobject and value.dtype.kind != "T"


@dataclass(frozen=True, slots=True)
class FramePlace:
    """One frame of a message, and the leaves whose memory it is.

    Attributes:
        nbytes: its size.
        start: its address.
        holds: paths of the leaves that it shares memory with.
    """

    nbytes: int
    start: int
    holds: tuple[str, ...]

    @property
    def aliases(self) -> bool:
        """Tell whether this is the sender's own memory."""
        return bool(self.holds)


def place(frames: list[Any], found: list[Leaf]) -> list[FramePlace]:
    """Compare the address of each frame with those of the leaves.

    >>> a, b = np.zeros(100), np.ones(100)
    >>> [frame.holds for frame in place([a.tobytes(), memoryview(b)], [Leaf("a", a), Leaf("b", b)])]
    [(), ('b',)]
    """
    known = [(leaf.path, low, high) for leaf in found for low, high in ranges(leaf.value)]
    places = []
    for frame in frames:
        start, end = _frame_range(frame)
        holds = dict.fromkeys(path for path, low, high in known if low < end and start < high)
        places.append(FramePlace(end - start, start, tuple(holds)))
    return places


def _frame_range(frame: Any) -> Range:
    found = _array_ranges(np.frombuffer(frame, np.uint8)) if memoryview(frame).nbytes else []
    return found[0] if found else (0, 0)
