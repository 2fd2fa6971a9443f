"""Assign each buffer of a message its place: a frame, a part of one, several, or the end of frame 0."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from math import gcd
from typing import Any, Final

import numpy as np

from ..memory.buffers import span
from ..memory.layout import Array, ArrayKey, Block, clusters, dense_bytes, distinct, run_and_steps, start_of
from ..wire.trailer import Entry
from .retries import ShareAgain

Packed = tuple[list[memoryview], list[Entry] | None, list[memoryview]]
"""The frames behind frame 0; an entry for each buffer, or None if buffer i is all of frame i + 1; and the
bytes that follow the pickle in frame 0."""
NOTHING: Final[Packed] = ([], None, [])


def pack_buffers(entries: list[Any], threshold: int, *, views: bool) -> Packed:
    """Lay the buffers of a message out.

    `views` tells whether any array is a view of memory that another one may view too; if so, the bytes
    that they cover together are sent once. Raises `ShareAgain` if sparse arrays share memory, which they can
    do only if they are sent with their gaps.
    """
    if views and overlap(entries):
        return _pack_shared([_block_of(entry) for entry in entries], threshold)
    if views and any(entry.nbytes < threshold for entry in entries if hasattr(entry, "nbytes")):
        raise ShareAgain(apart=True)
    try:  # most messages have only plain arrays and bytes
        return [memoryview(entry).cast("B") for entry in entries], None, []
    except (TypeError, ValueError, BufferError):
        pass
    frames: list[memoryview] = []
    table: list[Entry] = []
    for entry in entries:
        pieces = _pieces(entry)
        table.append((len(frames) + 1, len(pieces), 0, sum(piece.nbytes for piece in pieces)))
        frames += pieces
    return frames, None if len(frames) == len(entries) else table, []


def overlap(entries: list[Any]) -> bool:
    """Tell whether the extents of any two buffers overlap."""
    top = 0
    for low, high in sorted(map(_extent_of, entries)):
        if low < top:
            return True
        top = max(top, high)
    return False


def _extent_of(entry: Any) -> tuple[int, int]:
    if isinstance(entry, Block):
        return entry.low, entry.high
    array = entry if isinstance(entry, np.ndarray) else np.frombuffer(entry, np.uint8)
    low = start_of(array)
    return low, low + array.nbytes


def _pieces(entry: Any) -> list[memoryview]:
    return entry.pieces() if isinstance(entry, Block) else [dense_bytes(entry)]


def _block_of(entry: Any) -> Block:
    if isinstance(entry, Block):
        return entry
    array = entry if isinstance(entry, np.ndarray) else np.frombuffer(entry, np.uint8)
    low = start_of(array)
    return Block(low, low + array.nbytes, array, low)


def _pack_shared(blocks: list[Block], threshold: int) -> Packed:
    whole = sharing(blocks)
    if whole:
        raise ShareAgain(whole)
    frames: list[memoryview] = []
    inline: list[memoryview] = []
    table: list[Entry] = [(0, 0, 0, 0)] * len(blocks)
    dense = [number for number, block in enumerate(blocks) if not block.run]
    groups = [
        [dense[member] for member in group]
        for group in clusters([(blocks[number].low, blocks[number].high) for number in dense])
    ]
    groups += [[number] for number, block in enumerate(blocks) if block.run]
    at = 0
    for group in sorted(groups, key=min):  # frames in the order of the pickle, where possible
        members = [blocks[number] for number in group]
        pieces = _group_pieces(members)
        nbytes = sum(piece.nbytes for piece in pieces)
        if nbytes < threshold:
            inline += pieces
            first, count, start = 0, 1, at
            at += nbytes
        else:
            first, count, start = len(frames) + 1, len(pieces), 0
            frames += pieces
        low = min(block.low for block in members)
        for number, block in zip(group, members, strict=True):
            table[number] = (first, count, start + (block.low - low if len(group) > 1 else 0), block.nbytes)
    return frames, None if not inline and _is_plain(table, frames) else table, inline


def _group_pieces(members: list[Block]) -> list[memoryview]:
    if len(members) == 1 and members[0].run:
        return members[0].pieces()
    low, high = min(block.low for block in members), max(block.high for block in members)
    whole: Any = next((block.array.base for block in members if _is_bytes(block, low, high)), None)
    if whole is not None:
        return [memoryview(whole)]  # the whole object marks it as bytes
    readonly = not any(block.array.flags.writeable for block in members)
    return [span(low, high, [block.array for block in members], readonly=readonly)]


def _is_bytes(block: Block, low: int, high: int) -> bool:
    """Tell whether a block is all of a `bytes` object, from address `low` up to `high`."""
    base: object = block.array.base
    return type(base) is bytes and len(base) == high - low and (block.low, block.high) == (low, high)


def _is_plain(table: list[Entry], frames: list[memoryview]) -> bool:
    return table == [(number, 1, 0, frame.nbytes) for number, frame in enumerate(frames, 1)]


# -- sparse arrays that share memory: the memory that they span is sent once -----------------------------
#
# Arrays are compared in pairs only if they may share: not if their bytes add up to more than the memory
# they span, which proves it, and not if they lie between each other's items, as columns of one table do.

PAIRS: Final = 20_000
"""Pairs of sparse arrays that are tested for a common byte, at some 1.5 µs each; further pairs count as
not sharing, unless they are the same slice."""


def sharing(blocks: list[Block]) -> frozenset[ArrayKey]:
    """Return the keys of sparse blocks that share a byte with another, or with memory sent anyway."""
    counts = Counter(block.key for block in blocks if block.run)
    if not counts:
        return frozenset()
    whole = {key for key, count in counts.items() if count > 1}
    left = PAIRS
    for group in clusters([(block.low, block.high) for block in blocks]):
        left = _find(_Group([blocks[number] for number in group]), whole, left)
    return frozenset(whole)


class _Group:
    """Blocks whose extents overlap: those that are sent with their gaps, and sparse ones."""

    def __init__(self, blocks: list[Block]) -> None:
        self.dense = [block for block in blocks if not block.run]
        self.sparse = {block.key: block for block in blocks if block.run}
        self.stretches = _merged((block.low, block.high) for block in self.dense)
        self.sums = [0, *accumulate(end - start for start, end in self.stretches)]

    def is_crowded(self) -> bool:
        """Tell whether the sparse arrays have at least as many bytes as the memory they span."""
        extents = _merged((block.low, block.high) for block in self.sparse.values())
        return sum(block.nbytes for block in self.sparse.values()) >= sum(high - low for low, high in extents)

    def covered(self, low: int, high: int) -> int:
        """Count the bytes from `low` up to `high` that are sent anyway."""
        first = bisect_right(self.stretches, low, key=lambda stretch: stretch[1])
        last = bisect_left(self.stretches, high, key=lambda stretch: stretch[0])
        if first >= last:
            return 0
        before, behind = low - self.stretches[first][0], self.stretches[last - 1][1] - high
        return self.sums[last] - self.sums[first] - max(0, before) - max(0, behind)


def _merged(extents: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join overlapping ranges of memory; the result is in the order of memory."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(extents):
        if merged and low < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _find(group: _Group, whole: set[ArrayKey], left: int) -> int:
    """Add the keys of blocks that share to `whole`; `left` counts the pairs that may still be tested."""
    if group.is_crowded():
        whole.update(group.sparse)
        return left
    for key, block in group.sparse.items():
        if 2 * group.covered(block.low, block.high) >= block.high - block.low:  # half of it is sent anyway
            whole.add(key)
            continue
        for other in group.dense:
            if left <= 0:
                return 0
            left -= 1
            if _share(block.array, other.array):
                whole.add(key)
                break
    return _compare(group.sparse, whole, left)


def _compare(sparse: dict[ArrayKey, Block], whole: set[ArrayKey], left: int) -> int:
    """Compare sparse arrays with each other, unless their items lie between each other's."""
    keys, places = _places(sparse.values())
    for group in clusters(places):
        blocks = {keys[number]: sparse[keys[number]] for number in group}
        members = sorted((block.low, block.high, key) for key, block in blocks.items())
        passed: list[tuple[int, ArrayKey]] = []  # the ones met, with their ends
        for low, high, key in members:
            passed = [place for place in passed if place[0] > low]
            nearest_first = reversed(passed)
            for _, other in sorted(nearest_first, key=lambda place: place[1] in whole):
                if key in whole and other in whole:
                    break
                if left <= 0:
                    return 0
                left -= 1
                if _share(sparse[key].array, sparse[other].array):
                    whole.update((key, other))
            passed.append((high, key))
    return left


def _places(blocks: Iterable[Block]) -> tuple[list[ArrayKey], list[tuple[int, int]]]:
    """List the start and end of each array's runs, modulo a step that they all share."""
    parts = []
    for block in blocks:
        core = distinct(block.array)
        parts.append((block.key, *run_and_steps(core.shape, core.strides, core.itemsize)))
    step = gcd(*(stride for *_, strides in parts for stride in strides))
    keys, places = [], []
    for key, run, _ in parts:
        at = key[0] % step
        for start, end in ((at, min(at + run, step)), (0, at + run - step)):
            if start < end:
                keys.append(key)
                places.append((start, end))
    return keys, places


def _share(one: Array, other: Array) -> bool:
    """Tell whether two arrays share a byte; a pair too hard to decide counts as sharing."""
    try:
        return bool(np.shares_memory(one, other, max_work=10_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True
