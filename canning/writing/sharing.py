"""Find the sparse arrays of a message that share memory, so that the memory they span is sent once.

Arrays are compared in pairs only if they may share: not if their bytes add up to more than the memory
they span, which proves it, and not if they lie between each other's items, as columns of one table do.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate
from math import gcd
from typing import Final

import numpy as np

from ..memory.layout import Array, Block, Key, clusters, distinct, run_and_steps

PAIRS: Final = 20_000
"""Pairs of sparse arrays that are tested for a common byte, at some 1.5 µs each; further pairs count as
not sharing, unless they are the same slice."""


def sharing(blocks: list[Block]) -> frozenset[Key]:
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


def _find(group: _Group, whole: set[Key], left: int) -> int:
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


def _compare(sparse: dict[Key, Block], whole: set[Key], left: int) -> int:
    """Compare sparse arrays with each other, unless their items lie between each other's."""
    keys, places = _places(sparse.values())
    for group in clusters(places):
        blocks = {keys[number]: sparse[keys[number]] for number in group}
        members = sorted((block.low, block.high, key) for key, block in blocks.items())
        passed: list[tuple[int, Key]] = []  # the ones met, with their ends
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


def _places(blocks: Iterable[Block]) -> tuple[list[Key], list[tuple[int, int]]]:
    """List the start and end of each array's runs, modulo a step that they all share."""
    parts = [(block.key, *run_and_steps(distinct(block.array))) for block in blocks]
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
