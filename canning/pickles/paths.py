"""The parts of the object that a pickle makes, and the path to each, as Python would write it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from ..errors import name_for_errors
from ..wire.names import CALLS
from .columns import attributes_of, columns_of
from .nodes import Blob, Node

SHOWN: Final = 40
"""Characters of a value that are shown."""
_PATHS: Final = 100_000
"""Containers, names and calls whose path is known, those near the root first."""
_STEPS: Final = 40
"""Steps of a path that are shown."""
CANNED: Final = ".<canned>"
"""The step to the state of an object of a registered type."""


class Steps:
    """Count down the nodes whose paths may still be recorded, over all pickles of a source."""

    __slots__ = ("left",)

    def __init__(self, left: int = _PATHS) -> None:
        self.left = left


class Paths:
    """Find the path from the object to each node of a pickle, searching from the root on demand.

    `steps` limits the search.
    """

    def __init__(self, root: object, steps: Steps | None = None) -> None:
        self._above: dict[int, tuple[Node | None, str]] = {}
        if type(root) is Node:
            self._above[id(root)] = (None, "")
        self._rest = deque([root] if type(root) is Node else [])
        self._states: set[int] = set()
        self._within: set[int] = set()  # nodes inside a column, which have no name but the column's
        self._steps = Steps() if steps is None else steps

    def _find(self, wanted: Node) -> tuple[Node | None, str] | None:
        """Return the parent of a node, and the step from there."""
        above, rest = self._above, self._rest
        while id(wanted) not in above and rest and self._steps.left > 0:
            node, before = rest.popleft(), len(above)
            inner = id(node) in self._within
            nameless = inner or _is_table(node)
            for step, value in parts_of(node, self._states, steps=True):
                if type(value) is Node and id(value) not in above:
                    above[id(value)] = (node, "" if inner else step)
                    rest.append(value)
                    if nameless:
                        self._within.add(id(value))
            self._steps.left -= len(above) - before
        return above.get(id(wanted))

    def of(self, node: Node | None) -> str | None:
        """Return the path to a node; None if it is not part of the object.

        >>> from .machine import PickleMachine
        >>> import pickle
        >>> machine = PickleMachine(memoryview(pickle.dumps({"f": [print]}))).run()
        >>> Paths(machine.root).of(machine.names["builtins", "print"].node)
        "obj['f'][0]"
        """
        steps: list[str] = []
        while node is not None:
            above = self._find(node)
            if above is None:
                return None
            if len(steps) > _STEPS:
                steps.append("…")
                break
            node = above[0]
            steps.append(above[1])
        return "obj" + "".join(reversed(steps))


def _is_table(node: Node) -> bool:
    args = node.args if node.target == (CALLS, "registered") else []
    return len(args) > 1 and columns_of(*args[:2]) is not None


def parts_of(node: Node, seen: set[int] | None = None, *, steps: bool = False) -> Iterator[tuple[str, Any]]:
    """Return the parts of a node with the step to each; with `steps`, for nodes only.

    States whose ids are in `seen` are skipped, and the others added: many objects can share one.
    """
    items = node.items or ()
    if node.kind in ("list", "tuple", "set", "frozenset"):
        shape = "[{}]" if node.kind in ("list", "tuple") else "{{{}}}"
        for number, value in enumerate(items):
            if not steps or type(value) is Node:
                yield shape.format(number), value
    elif node.kind == "dict":
        yield from _pairs(items, steps)
    elif node.kind in ("call", "new"):
        yield from _call(node, steps)
    elif node.kind == "persistent":
        yield from ((".id", value) for value in items)
    for state in node.states or ():
        yield from _state(state, seen)
    if node.more:
        if node.pairs:
            yield from _pairs(node.more, steps)
        else:
            yield from ((f"[{number}]", value) for number, value in enumerate(node.more))


def _call(node: Node, steps: bool) -> Iterator[tuple[str, Any]]:
    items = node.items or []
    if node.target == (CALLS, "registered") and len(node.args) > 1:
        yield from _registered(node, steps)
        return
    if type(items[0]) is Node:
        yield ("" if steps else ".function"), items[0]
    if steps or not node.args:
        yield ".args", items[1]
    else:
        yield from ((f".args[{number}]", value) for number, value in enumerate(node.args))
    yield from ((".keywords", value) for value in items[2:])


def _registered(node: Node, steps: bool) -> Iterator[tuple[str, Any]]:
    """Return the parts of an object of a registered type: a table's columns by their names."""
    kind, state = node.args[:2]
    if steps:
        yield "", (node.items or [])[0]
    yield from columns_of(kind, state) or attributes_of(kind, state) or [(CANNED, state)]
    if len(node.args) > 2 and node.args[2] is not None:
        yield ".__dict__", node.args[2]


def _pairs(items: Any, steps: bool) -> Iterator[tuple[str, Any]]:
    for number in range(0, len(items) - 1, 2):
        key, value = items[number], items[number + 1]
        if not steps or type(value) is Node:
            yield f"[{shown_key(key)}]", value
        if type(key) is Node:
            yield f".keys()[{number // 2}]", key


def _state(state: Any, seen: set[int] | None) -> Iterator[tuple[str, Any]]:
    slots = type(state) is Node and state.kind == "tuple" and len(state.items or ()) == 2
    for part in (state.items if slots else [state]) or ():
        if seen is not None and type(part) is Node:
            if id(part) in seen:
                continue
            seen.add(id(part))
        if type(part) is Node and part.kind == "dict":
            items = part.items or []
            for key, value in zip(items[::2], items[1::2], strict=False):
                plain = type(key) is str and key.isidentifier()
                yield (f".{name_for_errors('', key)[1:]}" if plain else f"[{shown_key(key)}]"), value
        elif part is not None:
            yield ".state", part


def shown_key(key: object) -> str:
    """Show a key in a path."""
    return key.kind if type(key) is Node else shown_value(key)


def shown_value(value: Any) -> str:
    """Show a scalar, cut where it is long."""
    if type(value) is Blob:
        return f"{value.kind} of {value.nbytes:,} bytes"
    if type(value) is int and value.bit_length() > 200:
        return f"int of {value.bit_length()} bits"
    if type(value) in (str, bytes) and len(value) > SHOWN:
        return f"{_quoted(value[:SHOWN])}… ({len(value):,} {'characters' if type(value) is str else 'bytes'})"
    return _quoted(value)


def _quoted(value: object) -> str:
    text = repr(value)
    return text if text.isprintable() else ascii(value)
