"""The parts of a table by the names of its columns, in a pickle or in a canned state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from .nodes import Node

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
        if step == "" and (pairs := list(_pairs(part))):
            found += [(f"[{name!r}]", value) for name, value in pairs]
        elif step and part is not None and not (type(part) in (dict, list) and not part):
            found.append((step, part))
    return found


def _pairs(holder: object) -> Iterator[tuple[Any, Any]]:
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
