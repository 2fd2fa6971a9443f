"""The layout of an array in memory, and the bytes of it that must be sent.

An array of any strides lies within one *extent*, from its lowest byte to its highest. There are three
ways to send it, and `plan` chooses one (figures in ``docs/copies.md``):

* **span**: the whole extent, and the array's own strides over it. Nothing is copied on either side.
  For arrays that are dense in any order of axes or direction (C, F, permuted, reversed), for broadcast and
  sliding-window arrays, whose extent is smaller than their shape, and for slices that use most of it.
* **runs**: the contiguous stretches of a sparser slice, one view each; the reader joins them.
* **gathered**: a compact copy, for sparse arrays with runs too short for a frame each.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from math import prod
from typing import Any, Final

import numpy as np

from .buffers import flat, span

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
ArrayKey = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Address of the first element, the shape and the strides."""
Axes = tuple[int, ...]
"""The shape of an array, or its strides."""
Layout = tuple[int, Axes]
"""Offset of the first element in the buffer, in bytes, and the strides; None means C order from 0."""

MOST: Final = 2 / 3
"""A slice with runs of `RUN` bytes is sent as a span if it uses this part of its extent: for 64 MB over TCP
the span then took 74 ms, runs of 16 KiB 137 ms, a compact copy 71 ms."""
HALF: Final = 0.5
"""A slice with shorter runs (every other element, say) is sent as a span from here: 64 MB took 117 ms,
and a compact copy 95 ms, and as much memory again."""
RUN: Final = 16 * 1024
"""Bytes from which a run gets a frame of its own: 64 MB in runs of 16 KiB took 147 ms over TCP, in runs of
4 KiB 345 ms, as a compact copy 75 ms."""


class Block:
    """A future buffer: an extent of memory, or the pieces that make it up.

    Attributes:
        low, high: the extent's first address, and the one behind its last.
        array: keeps the memory alive.
        start: the address of the array's first element.
        run: the bytes of each run, if the runs are sent; 0 if the extent is.
    """

    __slots__ = ("array", "high", "low", "run", "start")

    def __init__(self, low: int, high: int, array: Array, start: int, run: int = 0) -> None:
        self.low = low
        self.high = high
        self.array = array
        self.start = start
        self.run = run

    @property
    def nbytes(self) -> int:
        """The number of bytes that are sent."""
        return distinct(self.array).nbytes if self.run else self.high - self.low

    def pieces(self) -> list[memoryview]:
        """View the bytes that are sent, or a compact copy of them, as pieces that the reader joins."""
        if not self.run:
            return [span(self.low, self.high, self.array, readonly=not self.array.flags.writeable)]
        core = distinct(self.array)
        return list(_runs(core, self.run)) if self.run >= RUN else [_gathered(core)]

    @property
    def key(self) -> ArrayKey:
        """A key for this array that stays valid after the object is gone."""
        return (self.start, self.array.shape, self.array.strides)


def start_of(array: Array) -> int:
    """Return the address of an array's first element."""
    start: int = array.__array_interface__["data"][0]
    return start


def extent(array: Array) -> tuple[int, int]:
    """Return the lowest address of an array, and the address after its highest.

    >>> low, high = extent(np.arange(10, dtype="i8")[::-3])
    >>> high - low
    80
    """
    start = start_of(array)
    below, above = _reach(array.shape, array.strides, array.itemsize)
    return start + below, start + above


def _reach(shape: Axes, strides: Axes, itemsize: int) -> tuple[int, int]:
    """Return where an array begins and ends, seen from its first element."""
    below = above = 0
    for length, stride in zip(shape, strides, strict=True):
        reach = (length - 1) * stride
        if reach < 0:
            below += reach
        else:
            above += reach
    return below, above + itemsize


def native(array: Array) -> Array:
    """Return an array of numbers in this machine's byte order; the array itself if it has that order.

    >>> native(np.array([1, 2], ">u2")).tobytes() == np.array([1, 2], "u2").tobytes()
    True
    """
    return array if array.dtype.isnative or array.dtype.kind not in "iuf" else array.byteswap()


def distinct(array: Array) -> Array:
    """Reduce broadcast axes to one element each: the result has each element of memory once.

    >>> distinct(np.broadcast_to(np.arange(3), (1000, 3))).shape
    (1, 3)
    """
    if 0 not in array.strides:
        return array
    return array[tuple(slice(None, 1) if stride == 0 else slice(None) for stride in array.strides)]


def plan(array: Array, *, whole: Collection[ArrayKey] = ()) -> tuple[Block, Layout]:
    """Choose how an array that is not in C order is sent.

    `array` has at least one element. If its key is in `whole`, its extent is sent, however sparse: other
    arrays of the message lie inside it and share its memory.

    Returns the block, and the layout of the array in the block's buffer.
    """
    start, shape, strides = start_of(array), array.shape, array.strides
    below, above, run, dense = _way(shape, strides, array.itemsize)
    low, high = start + below, start + above
    if not run or (whole and (start, shape, strides) in whole):
        return Block(low, high, array, start), (-below, strides)
    return Block(low, high, array, start, run), (0, dense)


@lru_cache(maxsize=256)
def _way(shape: Axes, strides: Axes, itemsize: int) -> tuple[int, int, int, Axes]:
    """Choose how arrays of one shape and strides are sent, which views of one memory often share.

    Returns where their extent begins and ends, seen from their first element; the bytes of a run, or 0 if
    the extent is sent; and the strides of the runs without gaps.
    """
    below, above = _reach(shape, strides, itemsize)
    lengths = tuple(1 if stride == 0 else length for length, stride in zip(shape, strides, strict=True))
    used = prod(lengths) * itemsize / (above - below)
    run, _ = run_and_steps(lengths, strides, itemsize)
    if used >= MOST or (used >= HALF and run < RUN):
        return below, above, 0, ()
    dense, step = [0] * len(shape), itemsize
    for axis in reversed(_axes_by_stride(strides)):
        dense[axis] = step if strides[axis] else 0
        step *= lengths[axis]
    return below, above, run, tuple(dense)


def _gathered(array: Array) -> memoryview:
    """Copy an array compactly, with its axes in the order of its memory."""
    if array.ndim > 1:
        array = array.transpose(_axes_by_stride(array.strides))
    return dense_bytes(np.ascontiguousarray(array))


def dense_bytes(array: Array) -> memoryview:
    """View an array that is dense in some order of axes as flat bytes."""
    try:
        return flat(array)  # numpy's own buffer: half the time, but only for plain C arrays
    except (ValueError, TypeError, BufferError):
        pass
    in_order = array if array.flags.c_contiguous else array.T
    if array.ndim and in_order.flags.c_contiguous:
        return flat(in_order.view(np.uint8))
    low, high = extent(array)
    return span(low, high, array, readonly=not array.flags.writeable)


def _axes_by_stride(strides: Axes) -> list[int]:
    """Order the axes from the widest step to the narrowest; equal steps keep their order."""
    return sorted(range(len(strides)), key=lambda axis: -abs(strides[axis]))


def run_and_steps(shape: Axes, strides: Axes, itemsize: int) -> tuple[int, list[int]]:
    """Return the bytes of one contiguous run, and the strides from one run to the others.

    >>> array = np.zeros((4, 6), "i2")[:, 1:3]
    >>> run_and_steps(array.shape, array.strides, array.itemsize)
    (4, [12])
    """
    run = itemsize
    steps: list[int] = []
    for axis in reversed(_axes_by_stride(strides)):
        if not steps and (shape[axis] == 1 or strides[axis] == run):
            run *= shape[axis]
        elif shape[axis] > 1:
            steps.append(strides[axis])
    return run, steps


def _runs(array: Array, run: int) -> Iterator[memoryview]:
    """View the contiguous runs of an array one by one, in the order of its dense layout."""
    low, high = extent(array)
    whole = span(low, high, array, readonly=not array.flags.writeable)
    start = start_of(array) - low
    outer, inside = [], array.itemsize
    for axis in reversed(_axes_by_stride(array.strides)):
        if inside < run:
            inside *= array.shape[axis]
        else:
            outer.append(axis)
    steps = [
        range(0, array.strides[axis] * array.shape[axis], array.strides[axis])
        for axis in reversed(outer)
        if array.shape[axis] > 1
    ]
    for offsets in itertools.product(*steps):
        at = start + sum(offsets)
        yield whole[at : at + run]  # 0.5 µs and 270 B; a separate span takes 3.8 µs and 1,040 B


def clusters(extents: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Group overlapping extents by their numbers; the groups are in the order of memory.

    >>> clusters([(10, 20), (0, 5), (15, 30), (5, 6)])
    [[1], [3], [0, 2]]
    """
    numbered = sorted((low, high, number) for number, (low, high) in enumerate(extents))
    groups: list[list[int]] = []
    top = -1
    for low, high, number in numbered:
        if low < top:
            groups[-1].append(number)
        else:
            groups.append([number])
        top = max(top, high)
    return groups
