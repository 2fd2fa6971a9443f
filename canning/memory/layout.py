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
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .buffers import flat, span

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
ArrayKey = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Address of the first element, the shape and the strides."""
Layout = tuple[int, tuple[int, ...]]
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


@dataclass(slots=True, eq=False)
class Block:
    """A future buffer: an extent of memory, or the pieces that make it up.

    Attributes:
        low, high: the extent's first address, and the one behind its last.
        array: keeps the memory alive.
        start: the address of the array's first element.
        run: the bytes of each run, if the runs are sent; 0 if the extent is.
    """

    low: int
    high: int
    array: Array
    start: int
    run: int = 0

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
    return _extent(array, start_of(array))


def _extent(array: Array, start: int) -> tuple[int, int]:
    low = high = start
    for length, stride in zip(array.shape, array.strides, strict=True):
        reach = (length - 1) * stride
        if reach < 0:
            low += reach
        else:
            high += reach
    return low, high + array.itemsize


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
    start = start_of(array)
    low, high = _extent(array, start)
    if whole and (start, array.shape, array.strides) in whole:
        return Block(low, high, array, start), (start - low, array.strides)
    core = distinct(array)
    used = core.nbytes / (high - low)
    run, _ = run_and_steps(core)
    if used >= MOST or (used >= HALF and run < RUN):
        return Block(low, high, array, start), (start - low, array.strides)
    dense = tuple(_dense_strides(core))
    layout = (0, tuple(0 if old == 0 else new for old, new in zip(array.strides, dense, strict=True)))
    return Block(low, high, array, start, run), layout


def _gathered(array: Array) -> memoryview:
    """Copy an array compactly, with its axes in the order of its memory."""
    if array.ndim > 1:
        array = array.transpose(_axes_by_stride(array))
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


def _axes_by_stride(array: Array) -> list[int]:
    """Order the axes from the widest step to the narrowest; equal steps keep their order."""
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def _dense_strides(array: Array) -> list[int]:
    strides, step = [0] * array.ndim, array.itemsize
    for axis in reversed(_axes_by_stride(array)):
        strides[axis] = step
        step *= array.shape[axis]
    return strides


def run_and_steps(array: Array) -> tuple[int, list[int]]:
    """Return the bytes of one contiguous run, and the strides from one run to the others.

    >>> run_and_steps(np.zeros((4, 6), "i2")[:, 1:3])
    (4, [12])
    """
    run = array.itemsize
    steps: list[int] = []
    for axis in reversed(_axes_by_stride(array)):
        if not steps and (array.shape[axis] == 1 or array.strides[axis] == run):
            run *= array.shape[axis]
        elif array.shape[axis] > 1:
            steps.append(array.strides[axis])
    return run, steps


def _runs(array: Array, run: int) -> Iterator[memoryview]:
    """View the contiguous runs of an array one by one, in the order of its dense layout."""
    low, high = extent(array)
    whole = span(low, high, array, readonly=not array.flags.writeable)
    start = start_of(array) - low
    outer, inside = [], array.itemsize
    for axis in reversed(_axes_by_stride(array)):
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
