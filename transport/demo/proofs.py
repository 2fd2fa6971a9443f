"""The claims of the demo, each with the evidence for or against it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from .leaves import Arrival, Frame, arrivals_of, find, in_numpy, is_table, ranges, shared_pairs
from .samples import Sample

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
