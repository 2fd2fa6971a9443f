"""What the demo claims, each with the evidence that it holds or does not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .arrivals import Arrival, describe
from .memory import FramePlace, Leaf, in_numpy, is_table, leaves, ranges, shared_pairs
from .protocol import Reply
from .samples import Sample

THRESHOLD: Final = 1024
"""Bytes from which memory gets a frame of its own, where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A claim in words, with its numbers in it, and whether it holds."""

    claim: str
    holds: bool


def prove(sample: Sample, frames: list[FramePlace], reply: Reply, back: Any) -> list[Proof]:
    """Hold what was sent against what the engine tells and what came home.

    Args:
        sample: what was sent.
        frames: the places of its frames, the header first.
        reply: what the engine told of the call.
        back: the payload as it came back from the engine.
    """
    here = {told.path: told for told in describe(sample.payload)}
    there = {told.path: told for told in reply.arrivals}
    return [
        Proof(f"two processes: {os.getpid()} here, {reply.pid} there", reply.pid != os.getpid()),
        _ran_there(sample, reply),
        _equal(here, there),
        _uncopied(sample, frames),
        _layout(sample, here, there),
        _usable(here, there),
        _shared(sample, reply),
        Proof(
            "the whole payload came home again, equal, its containers and shared objects too",
            same(sample.payload, back) and shared_pairs(sample.payload) == shared_pairs(back),
        ),
    ]


def same(one: Any, other: Any) -> bool:
    """Tell whether two objects have the same types, containers, arrays, and shared arrays.

    >>> same({"a": [1, {2}]}, {"a": [1, {2}]}), same([1], [True]), same((1,), [1])
    (True, False, False)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if is_table(one):
        return bool(one.equals(other)) and _same_leaves(one, other)
    if isinstance(one, np.ndarray):
        return _same_leaves(one, other)
    return bool(one == other)


def _same_leaves(one: Any, other: Any) -> bool:
    mine, theirs = describe(one), describe(other)
    return len(mine) == len(theirs) and all(map(Arrival.same, mine, theirs))


def _ran_there(sample: Sample, reply: Reply) -> Proof:
    names = ", ".join(sample.function.__code__.co_freevars)
    return Proof(
        f"the lambda ran there with the sender's local variable ({names}): its result is what it gives here",
        reply.function_name == sample.function.__qualname__
        and same(reply.result, sample.function(sample.payload)),
    )


def _equal(here: dict[str, Arrival], there: dict[str, Arrival]) -> Proof:
    equal = [path for path, told in here.items() if path in there and told.same(there[path])]
    return Proof(
        f"{len(equal)} of {len(here)} arrays and columns were equal on arrival: type, dtype, shape, values",
        len(equal) == len(here) == len(there),
    )


def _uncopied(sample: Sample, frames: list[FramePlace]) -> Proof:
    header, *payload = frames
    total = sum(frame.nbytes for frame in payload)
    aliased = sum(frame.nbytes for frame in payload if frame.aliases)
    framed = {path for frame in payload for path in frame.holds}
    found = list(leaves(sample.payload))
    # Small memory belongs in the header; anything larger that no frame shows was copied somewhere.
    large = {leaf.path for leaf in found if in_numpy(leaf.value) and _nbytes(leaf) >= THRESHOLD}
    others = sum(not in_numpy(leaf.value) for leaf in found)
    claim = (
        f"{aliased:,} of {total:,} payload bytes are uncopied: their frames are the sender's own memory"
        f" (and the header is {header.nbytes:,} bytes)"
    )
    if others:
        claim += f"; pandas itself copies when it pickles columns that numpy does not keep, {others} here"
    return Proof(claim, large <= framed and (aliased == total or others > 0))


def _nbytes(leaf: Leaf) -> int:
    return sum(high - low for low, high in ranges(leaf.value))


def _layout(sample: Sample, here: dict[str, Arrival], there: dict[str, Arrival]) -> Proof:
    path = f"[{sample.window!r}]"
    array = sample.payload[sample.window]
    gaps = not (array.flags.c_contiguous or array.flags.f_contiguous)
    return Proof(
        f"{sample.window!r} is not contiguous (shape {array.shape}, strides {array.strides}):"
        " it kept its values, shape and order of axes",
        gaps and path in there and here[path].same(there[path]) and here[path].axes == there[path].axes,
    )


def _usable(here: dict[str, Arrival], there: dict[str, Arrival]) -> Proof:
    writable = [path for path, told in here.items() if told.writable]
    still = [path for path in writable if path in there and there[path].writable]
    return Proof(
        f"every array arrived aligned, and {len(still)} of {len(writable)} writable ones writable",
        still == writable and all(told.aligned is not False for told in there.values()),
    )


def _shared(sample: Sample, reply: Reply) -> Proof:
    pairs = shared_pairs(sample.payload)
    return Proof(
        f"arrays that share memory here share it there: {len(pairs & reply.shared)} of {len(pairs)} pairs",
        pairs == reply.shared,
    )
