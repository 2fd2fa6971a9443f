"""The parts of the object that a pickle makes, and the path to each, as Python would write it.

Parts of a table, in a pickle or in a canned state, have the names of its columns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ..errors import name_for_errors
from ..wire.names import CALLS
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


_SHOWN: Final = 3
"""Columns of one block that get a name."""
_LOOKED_AT: Final = 100
"""Nodes that are searched for the names of columns."""

_ARROW: Final = frozenset(("pyarrow.Table", "pyarrow.RecordBatch"))
_ARROW_ARRAYS: Final = frozenset(("pyarrow.Array", "pyarrow.ChunkedArray"))
_ATTRIBUTES: Final = {
    "xarray.Variable": (None, ".data", ".attrs", ".encoding"),
    "xarray.IndexVariable": (None, ".data", ".attrs", ".encoding"),
    "xarray.indexes.PandasIndex": (".index",),
    "xarray.PandasIndexingAdapter": (".array",),
    "pandas.Index": (".values",),
    "xarray.DataArray": (".variable", ".coords", None, ".indexes"),
    "xarray.Dataset": ("", None, ".attrs", ".indexes", ".encoding"),
    "xarray.DataTree": ("",),
    "polars.DataFrame": (".to_arrow()",),
    "polars.Series": (".to_frame().to_arrow()",),
}
"""The user's step to each part of a state: an attribute, the object's items (""), or None for no part."""

Part = tuple[str, Any]


def columns_of(kind: object, state: object, names: Sequence[str] = ()) -> list[Part] | None:
    """Return the parts of a table of pandas, pyarrow or polars, each with its step; None for others.

    `state` is the state that the registered type of that name sends: a tuple, or the node of one. `names`
    are those of the columns, if known: Arrow's are in bytes that only Arrow can read.

    >>> columns_of("pandas.DataFrame", ([(0, 1, 1, "values")], "index", ["a", "b"]))
    [("['a']", 'values'), ('.index', 'index'), ('.columns', ['a', 'b'])]
    >>> columns_of("pyarrow.Table", (b"schema", 3, ["first", "second"]), ["a"])
    [("['a']", 'first'), ('.column(1)', 'second')]
    """
    parts = _items(state)
    if kind in _ARROW and len(parts) >= 3:
        return [(_column(number, names), column) for number, column in enumerate(_items(parts[2]))]
    if kind in _ARROW_ARRAYS and len(parts) == 2:
        return [(".buffers()", parts[1])]
    if kind == "pandas.Series" and len(parts) >= 3:
        return [(".values", parts[0]), (".index", parts[1])]
    if kind == "pandas.DataFrame" and len(parts) >= 3:
        names = _names(parts[2])
        blocks = [part for block in _items(parts[0]) if (part := _block(_items(block), names))]
        return [*blocks, (".index", parts[1]), (".columns", parts[2])]
    return None


def attributes_of(kind: object, state: object) -> list[Part] | None:
    """Return the parts of an object of xarray or polars, each with its step; None for any other object.

    >>> attributes_of("xarray.Dataset", ({"t": "a variable"}, [], {}, {}, {"source": "file"}))
    [("['t']", 'a variable'), ('.encoding', {'source': 'file'})]
    """
    steps = _ATTRIBUTES.get(kind) if isinstance(kind, str) else None
    if steps is None:
        return None
    found: list[Part] = []
    for step, part in zip(steps, _items(state), strict=False):
        if step == "" and (pairs := list(_pairs_of_dict(part))):
            found += [(f"[{name!r}]", value) for name, value in pairs]
        elif step and part is not None and not (type(part) in (dict, list) and not part):
            found.append((step, part))
    return found


def _pairs_of_dict(holder: object) -> Iterator[tuple[Any, Any]]:
    if type(holder) is Node and holder.kind == "dict":
        items = holder.items or []
        yield from zip(items[::2], items[1::2], strict=False)
    elif isinstance(holder, Mapping):
        yield from holder.items()


def _column(number: int, names: Sequence[str]) -> str:
    return f"[{names[number]!r}]" if number < len(names) else f".column({number})"


def _items(holder: object) -> list[Any]:
    if type(holder) is Node:
        return (holder.items or []) if holder.kind in ("list", "tuple") else []
    return list(holder) if isinstance(holder, list | tuple) else []


def _block(block: list[Any], names: list[Any]) -> Part | None:
    """Return a block with the step to it by column names, if its places are a range."""
    if len(block) < 4:
        return None
    places, values = block[:3], block[3]
    if not all(type(place) is int for place in places) or not places[2]:
        return ".iloc[:, …]", values
    start, stop, step = places
    found = names[start:stop:step]
    if len(found) == 1:
        return f"[{found[0]!r}]", values
    if found:
        more = ", …" if len(found) > _SHOWN else ""
        return f"[[{', '.join(map(repr, found[:_SHOWN]))}{more}]]", values
    return f".iloc[:, {start}:{stop}]", values


def _names(columns: object) -> list[Any]:
    """Return the names of columns if they are strings, or a range; an empty list if they are unknown."""
    if type(columns) is not Node:
        try:
            names = list(columns)  # type: ignore[call-overload]
        except TypeError:
            return []
        return names if all(type(name) in (str, int) for name in names) else []
    state = _items(columns.args[1]) if len(columns.args) > 1 else []
    if columns.args[:1] == ["pandas.RangeIndex"] and all(type(each) is int for each in state[:3]):
        return list(range(*state[:3])[: 10 * _LOOKED_AT]) if len(state) >= 3 and state[2] else []
    return next((node.items or [] for node in _within(columns) if _are_names(node)), [])


def _are_names(node: Node) -> bool:
    items = node.items if node.kind == "list" else None
    return bool(items) and all(type(item) in (str, int) for item in items or ())


def _within(node: Node) -> Iterator[Node]:
    rest = [node]
    for _ in range(_LOOKED_AT):
        if not rest:
            return
        each = rest.pop(0)
        yield each
        rest += [item for item in each.items or () if type(item) is Node]
