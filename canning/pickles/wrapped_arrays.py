"""Memory that joblib writes into the middle of a pickle, behind the BUILD of each `NumpyArrayWrapper`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

from .nodes import Break, Node
from .stacks import Stacks

_STATE: Final = 64
"""Keys and values of a state that are checked."""


def skip_array(machine: Stacks, wrapper: Node, at: int) -> None:
    """Continue the stream behind the memory of an array, which starts at `at`."""
    state = state_of(wrapper)
    dtype = dtype_of(state.get("dtype"))
    shape = shape_of(state.get("shape"))
    if dtype is None or shape is None:
        return
    if dtype.startswith("O"):
        machine.skipped.append((at, _behind_pickle(machine, at)))
        return
    aligned = state.get("numpy_array_alignment_bytes") is not None
    at_memory = at + 1 + machine.data[at] if aligned else at
    end = at_memory + math.prod(shape) * int(dtype[1:])
    if end > len(machine.data):
        raise Break(f"an array of {end - at_memory} bytes, where {len(machine.data) - at_memory} are left")
    machine.skipped.append((at, end))


def _behind_pickle(machine: Stacks, at: int) -> int:
    """Follow the separate pickle of an array of objects."""
    limits = replace(machine.limits, nodes=max(1, machine.limits.nodes - machine.opcodes))
    left = machine.most_nodes - machine.nodes
    within = type(machine)(machine.data, at, limits=limits, wrappers=False, nodes=left).run()
    machine.opcodes += within.opcodes
    machine.nodes += within.nodes
    for key, named in within.names.items():
        machine.names.setdefault(key, named)
    machine.acts |= within.acts
    machine.flaws += within.flaws
    if within.broken:
        raise Break(within.broken)
    return within.at


def state_of(node: Node) -> dict[Any, Any]:
    """Return the attributes that BUILD sets, as far as their names are known."""
    state = node.states[-1] if node.states else None
    if type(state) is not Node or state.kind != "dict" or not state.items:
        return {}
    return {
        key: value
        for key, value in zip(state.items[:_STATE:2], state.items[1:_STATE:2], strict=False)
        if type(key) is str
    }


def dtype_of(node: object) -> str | None:
    """Return the code of a dtype that numpy pickled: ``f8``, ``U5``; None for others."""
    if type(node) is not Node or node.target != ("numpy", "dtype"):
        return None
    code = node.args[0] if node.args else None
    if type(code) is not str or not code[:1].isalpha() or len(code) > 20:
        return None
    if code[1:].isascii() and code[1:].isdigit():
        return code
    return None


def shape_of(node: object) -> tuple[int, ...] | None:
    """Return a shape; None if the node is not one."""
    if type(node) is not Node or node.kind != "tuple" or len(node.items or ()) > 64:
        return None
    shape = tuple(node.items or ())
    if any(type(length) is not int or not 0 <= length < 1 << 62 for length in shape):
        return None
    return shape
