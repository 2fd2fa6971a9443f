"""Which frames of a message must be there before its object is built, if arrays may come later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..errors import DeserializationError
from ..memory.buffers import flat
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Node
from ..wire.names import CALLS
from ..wire.trailer import Trailer, parse

_LONG: Final = 1024 * 1024
"""Bytes of a header that is not followed: that takes as long as to read it."""
_CONTAINERS: Final = ("dict", "list", "tuple")
_TAKING: Final = ("array", "raw", "canned", "message")
"""The calls that take buffers by their numbers."""


def frames_needed(head: Any, lengths: Sequence[int]) -> int:
    """Count the frames up to the last one that is needed, frame 0 included; all of them if in doubt.

    `lengths` are the bytes of all frames.

    The others hold nothing but arrays which are items of dicts, lists and tuples, and of nothing else.
    """
    head, count = flat(head), len(lengths)
    try:
        trailer = parse(head)
    except DeserializationError:  # which the reader reports
        return count
    if trailer is None or trailer.encoded or trailer.outside or trailer.pickle_length > _LONG:
        return count
    if list(trailer.lengths) != list(lengths[1:]):
        return count
    machine = PickleMachine(head[: trailer.pickle_length]).run()
    if machine.broken or machine.flaws:
        return count
    late = _arrays_in(machine.root)
    rest = [node for node in machine.calls if id(node) not in late]
    seen: set[int] = set()
    needed = {0}
    while rest:  # whatever a call is given has to be there
        node = rest.pop()
        if id(node) not in seen:
            seen.add(id(node))
            needed.update(_frames_of(node, trailer))
            rest += _parts_of(node)
    return 1 + max(needed)


def _arrays_in(root: Any) -> set[int]:
    """Find the arrays in nested containers."""
    arrays: set[int] = set()
    seen: set[int] = set()
    rest = [root]
    while rest:
        node = rest.pop()
        if type(node) is Node and id(node) not in seen:
            seen.add(id(node))
            if node.kind in _CONTAINERS:
                rest += node.items or ()
            elif node.target == (CALLS, "array") and not node.states and not node.more:
                arrays.add(id(node))
    return arrays


def _frames_of(node: Node, trailer: Trailer) -> Iterator[int]:
    """Yield the last frame of each buffer that a call may ask for."""
    module, name = node.target or ("", "")
    for number in node.args if module == CALLS and name in _TAKING else ():
        if type(number) is not int:
            continue
        if trailer.table is None:
            yield min(max(number, 0) + 1, trailer.frames - 1)
        elif 0 <= number < len(trailer.table):
            first, count, _, _ = trailer.table[number]
            yield first + count - 1


def _parts_of(node: Node) -> Iterator[Node]:
    for group in (node.items, node.more, node.states):
        yield from (part for part in group or () if type(part) is Node)
