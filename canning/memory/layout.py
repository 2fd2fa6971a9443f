"""How an array lies in memory, and which stretch of it has to travel.

An array of any strides lies within one *extent*, from its lowest byte to its highest. Three ways lead
from there to buffers, and `plan` chooses (figures in ``docs/copies.md``):

* **span**: the extent as it is, and the array's own strides over it. Nothing is copied on either side.
  For all that is dense in any order of axes or direction (C, F, permuted, reversed), for broadcast and
  sliding-window arrays, whose extent is smaller than their shape says, and for slices that use most of it.
* **runs**: the contiguous stretches of a sparser slice, one view each; the reader joins them.
* **gathered**: a compact copy, for sparse arrays whose runs are too short to be worth a frame each.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .buffers import flat, span

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]
Key = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Where in memory the first element stands, the shape and the strides."""
Layout = tuple[int, tuple[int, ...]]
"""Where in the buffer the first element stands, in bytes, and the strides; None means C order from 0."""

MOST: Final = 2 / 3
"""A slice with runs of `RUN` bytes goes as a span when it uses this part of its extent: of 64 MB over TCP,
the span took 74 ms then, runs of 16 KiB 137 ms, a compact copy 71 ms."""
HALF: Final = 0.5
"""A slice with shorter runs (every other element, say) goes as a span from here: 64 MB took 117 ms, where
a compact copy took 95 ms, and as much memory again."""
RUN: Final = 16 * 1024
"""Bytes that a run must have to go as a frame of its own: 64 MB in runs of 16 KiB took 147 ms over TCP, in
runs of 4 KiB 345 ms, as a compact copy 75 ms."""


@dataclass(slots=True, eq=False)
class Block:
    """One buffer to be: an extent of memory, or the pieces that make it up.

    Attributes:
        low, high: the extent's first address, and the one behind its last.
        array: what keeps the memory alive.
        start: the address of the array's first element.
        run: the bytes of each stretch that goes, if the extent does not go as it is; else 0.
    """

    low: int
    high: int
    array: Array
    start: int
    run: int = 0

    @property
    def nbytes(self) -> int:
        """The bytes that travel."""
        return distinct(self.array).nbytes if self.run else self.high - self.low

    def pieces(self) -> list[memoryview]:
        """View the bytes that travel, or a compact copy of them, as pieces that the reader joins."""
        if not self.run:
            return [span(self.low, self.high, self.array, readonly=not self.array.flags.writeable)]
        core = distinct(self.array)
        return list(_runs(core, self.run)) if self.run >= RUN else [_gathered(core)]

    @property
    def key(self) -> Key:
        """Tell this array from all others in a way that lasts longer than the object itself."""
        return (self.start, self.array.shape, self.array.strides)


def start_of(array: Array) -> int:
    """Tell the address of an array's first element."""
    start: int = array.__array_interface__["data"][0]
    return start


def extent(array: Array) -> tuple[int, int]:
    """Tell the lowest address of an array, and the one behind its highest.

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
    """Give an array of numbers whose bytes are in this machine's order; the array itself where they are.

    >>> native(np.array([1, 2], ">u2")).tobytes() == np.array([1, 2], "u2").tobytes()
    True
    """
    return array if array.dtype.isnative or array.dtype.kind not in "iuf" else array.byteswap()


def distinct(array: Array) -> Array:
    """Cut broadcast axes down to one element: what is left is the memory that there is.

    >>> distinct(np.broadcast_to(np.arange(3), (1000, 3))).shape
    (1, 3)
    """
    if 0 not in array.strides:
        return array
    return array[tuple(slice(None, 1) if stride == 0 else slice(None) for stride in array.strides)]


def plan(array: Array, *, whole: Collection[Key] = ()) -> tuple[Block, Layout]:
    """Choose how an array that is not in C order travels.

    `array` has at least one element. If its key is among those of `whole`, its extent goes as it is, however
    sparse: other arrays of the message lie in between and share its memory.

    Returns the block, and the layout that the array has in the block's buffer.
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
    """Copy an array compactly, its axes in the order in which they lie in memory."""
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
    """Order the axes from the widest step to the narrowest; equal ones keep their order."""
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def _dense_strides(array: Array) -> list[int]:
    strides, step = [0] * array.ndim, array.itemsize
    for axis in reversed(_axes_by_stride(array)):
        strides[axis] = step
        step *= array.shape[axis]
    return strides


def run_and_steps(array: Array) -> tuple[int, list[int]]:
    """Tell how many bytes lie side by side, and the strides that lead from one such run to the others.

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
        yield whole[at : at + run]  # 0.5 µs and 270 B; as a span of its own 3.8 µs and 1,040 B


def clusters(extents: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Group the extents that overlap, by their numbers; groups in the order of memory.

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
