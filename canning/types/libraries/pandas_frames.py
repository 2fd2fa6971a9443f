"""pandas: DataFrame and Series.

A frame is sent block by block as it is in memory: no block is consolidated, and a slice sends only the slice.
Only pandas' own classes are handled here; a subclass (geopandas' GeoDataFrame) pickles with its own hooks,
which pass its arrays and indexes to this package.
"""

from __future__ import annotations

import collections
import dataclasses
import types
from typing import Any, Final

import numpy as np
import pandas
from pandas._libs import internals  # type: ignore[attr-defined,unused-ignore]
from pandas.core.internals import managers  # type: ignore[import-not-found,unused-ignore]

from ..budget import charge
from ..canner import Canner
from .checks import attribute_names, label, need, one_dimensional, parts
from .pandas_arrays import is_values, pack, unpack
from .pandas_categories import check_unique
from .pandas_indexes import refs_of, share

pd: Any = pandas  # its stubs lack the internals used here
_block: Any = internals._unpickle_block


def _more(obj: Any) -> tuple[Any, ...]:
    """List the uncommon parts of an object: attributes, and the promise that labels are unique."""
    unique = not obj.flags.allows_duplicate_labels
    return (dict(obj.attrs), unique) if obj._attrs or unique else ()


def with_more(obj: Any, more: tuple[Any, ...]) -> Any:
    """Give an object its attributes, and the promise that labels are unique, without pandas' check."""
    if more:
        obj._attrs = more[0]
        if more[1]:
            obj._flags = pd.Flags(obj, allows_duplicate_labels=False)
    return obj


def check_more(more: tuple[Any, ...], *axes: Any) -> None:
    """Check a stranger's uncommon parts of an object; labels of its axes may have to be unique."""
    if more:
        attrs, unique = parts(more, dict, bool)
        for axis in axes if unique else ():
            check_unique(axis)
        attribute_names(map(label, attrs))
        _check_attributes(attrs)


def _check_attributes(attrs: dict[Any, Any]) -> None:
    """Check that no object within attributes has attributes of its own.

    pandas copies the attributes of an object with it, and each time anew those of objects within them. If
    each of 40 levels holds two objects that share their attributes, a copy takes 2**40 steps.
    """
    rest: list[Any] = [attrs]
    seen: dict[int, Any] = {}
    while rest:
        part = rest.pop()
        if id(part) in seen:
            continue
        seen[id(part)] = part
        charge(2, 100)
        if isinstance(part, pd.DataFrame | pd.Series):
            need(not part._attrs, "attributes of an object within attributes")
        elif isinstance(part, dict):
            rest += part.values()
        elif isinstance(part, list | tuple | set | frozenset | collections.deque):
            rest += part
        elif isinstance(part, np.ndarray):
            rest += part.ravel().tolist() if part.dtype.hasobject else ()
        elif isinstance(part, types.SimpleNamespace | BaseException) or dataclasses.is_dataclass(part):
            rest += [*getattr(part, "args", ()), *getattr(part, "__dict__", {}).values()]


def _can_series(series: Any) -> Any:
    state = pack(series._values), series.index, series.name, *_more(series)
    return *state, *refs_of(series._mgr._block)


def _series(state: tuple[Any, ...]) -> Any:
    values, index, name, *more = state
    refs = more.pop() if len(more) % 2 else None
    return with_more(make_series(unpack(values), index, name, refs), tuple(more))


def make_series(values: object, index: pandas.Index, name: object, refs: object = None) -> Any:
    """Make a series from its values, as pandas unpickles one; `refs` records other users of their memory."""
    block = share(_block(values, slice(0, len(index)), 1), refs)
    manager = managers.SingleBlockManager(block, index)
    made = pd.Series._from_mgr(manager, axes=manager.axes)
    made._name = name
    return made


def _checked_series(state: tuple[Any, ...]) -> Any:
    need(type(state) is tuple and 3 <= len(state) <= 6, "an invalid series")
    values, index, name, *more = state
    refs = more.pop() if len(more) % 2 else None
    values = unpack(values, checked=True)
    need(isinstance(index, pd.Index), "a series without an index")
    check_more(tuple(more), index)
    need(is_values(values) and values.ndim == 1 and len(values) == len(index), "a series that does not fit")
    return with_more(make_series(values, index, label(name), refs), tuple(more))


def _can_frame(frame: Any) -> Any:
    manager = frame._mgr
    columns, index = manager.axes
    blocks = [(*_place(block, len(columns)), pack(block.values), *refs_of(block)) for block in manager.blocks]
    return blocks, index, columns, *_more(frame)


def _place(block: Any, columns: int) -> tuple[Any, ...]:
    """Return the places of a block's columns: the arguments of a range, or an array and two None."""
    where = block.mgr_locs.indexer
    return where.indices(columns) if type(where) is slice else (where, None, None)


def _frame(state: tuple[Any, ...]) -> Any:
    blocks, index, columns, *more = state
    made = [(unpack(block[3]), _where(*block[:3]), *block[4:]) for block in blocks]
    return with_more(make_frame(made, index, columns), tuple(more))


def _where(start: object, stop: Any, step: object) -> Any:
    """Return the place of a block as pandas expects it: a slice down to the first column has no end."""
    return start if stop is None else slice(start, None if stop < 0 else stop, step)


def _checked_frame(state: tuple[Any, ...]) -> Any:
    need(type(state) is tuple and len(state) in (3, 5), "an invalid frame")
    blocks, index, columns, *more = state
    need(isinstance(index, pd.Index) and isinstance(columns, pd.Index), "a frame without axes")
    need(type(blocks) is list, "a frame without blocks")
    check_more(tuple(more), index, columns)
    made, places = [], []
    left = len(columns)
    for block in blocks:
        need(type(block) is tuple and len(block) in (4, 5), "an invalid block")
        start, stop, step, values = parts(
            block[:4], (int, np.ndarray), (int, type(None)), (int, type(None)), object
        )
        values = unpack(values, checked=True)
        need(is_values(values), "a block of something other than values")
        place = _checked_place(start, stop, step, len(columns))
        left -= len(place)
        need(left >= 0, "columns in two blocks")
        charge(200, 1500)  # pandas makes five objects for each
        need(len(place) or len(blocks) <= _EMPTY, "blocks of no columns")
        need(values.shape in _shapes(values, len(place), len(index)), "a block that does not fit its frame")
        need(len(place) <= max(values.nbytes, 10_000), "a block of nothing")
        made.append((values, _where(start, stop, step), *block[4:]))
        places.append(place)
    _check_cover(places, len(columns))
    return with_more(make_frame(made, index, columns), tuple(more))


def _checked_place(start: Any, stop: Any, step: Any, columns: int) -> Any:
    """Check the places of a block's columns: a range within the frame, or an array of numbers."""
    if stop is None:
        return one_dimensional(start, "i")
    need(
        type(start) is int and 0 <= start <= columns and -1 <= stop <= columns and step,
        "a block out of place",
    )
    return range(start, stop, step)


def _check_cover(places: list[Any], columns: int) -> None:
    """Check that each column is in one block, in time linear in the blocks and their numbers."""
    runs = [place for place in places if isinstance(place, range) and abs(place.step) == 1 and place]
    others = [
        np.asarray(place) for place in places if not (isinstance(place, range) and abs(place.step) == 1)
    ]
    lows = [np.array([min(run[0], run[-1]) for run in runs]), *others]
    highs = [np.array([max(run[0], run[-1]) for run in runs]), *others]
    low, high = (np.concatenate(bounds).astype(np.int64) for bounds in (lows, highs))
    order = np.argsort(low)
    bounds = np.concatenate([[0], high[order] + 1]), np.concatenate([low[order], [columns]])
    need(np.array_equal(*bounds), "columns in no block, or in two")


def _shapes(values: object, columns: int, rows: int) -> tuple[tuple[int, ...], ...]:
    if type(values) is np.ndarray:
        return ((columns, rows),)
    return ((columns, rows), (rows,)) if columns == 1 else ((columns, rows),)


def make_frame(blocks: list[tuple[Any, ...]], index: object, columns: object) -> Any:
    """Make a frame from its blocks, each with the places of its columns, as pandas unpickles one."""
    made = tuple([share(_block(values, where, 2), *refs or (None,)) for values, where, *refs in blocks])
    manager = managers.BlockManager(made, [columns, index], verify_integrity=False)
    return pd.DataFrame._from_mgr(manager, axes=manager.axes)


_EMPTY: Final = 64
"""Blocks that a frame may have besides one for each column; a frame without columns keeps some."""
CANNERS: Final = (
    Canner("pandas.Series", _can_series, _series, data=_checked_series, exact=True),
    Canner("pandas.DataFrame", _can_frame, _frame, data=_checked_frame, exact=True),
)
