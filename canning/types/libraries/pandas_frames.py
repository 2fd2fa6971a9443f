"""pandas: DataFrame, Series, and every Index.

A frame is sent block by block as it is in memory: no block is consolidated, and a slice sends only the slice.
Only pandas' own classes are handled here; a subclass (geopandas' GeoDataFrame) pickles with its own hooks,
which pass its arrays and indexes to this package.
"""

from __future__ import annotations

import collections
import dataclasses
import types
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas
from pandas._libs import internals  # type: ignore[attr-defined,unused-ignore]
from pandas.arrays import DatetimeArray, TimedeltaArray
from pandas.core.internals import managers  # type: ignore[import-not-found,unused-ignore]

from ..budget import charge
from ..canner import Canner
from .checks import attribute_names, label, labels, need, one_dimensional, parts
from .pandas_arrays import is_values, pack, times, unpack
from .pandas_categories import check_unique, checked_codes
from .pandas_scalars import charge_frequency, freq_text, to_freq

pd: Any = pandas  # its stubs lack the internals used here
_block: Any = internals._unpickle_block

# -- memory that is copied on write ----------------------------------------------------------------------


def _can_shared(refs: object) -> None:
    """Send only that views of some memory are recorded; the reader records its own views."""


def _shared(state: object) -> Any:
    need(state is None, "invalid owners of memory")
    return internals.BlockValuesRefs()


def _refs_of(block: Any) -> tuple[Any, ...]:
    """Return the record of the other users of a block's memory, if there are any."""
    return (block.refs,) if block.refs.has_reference() else ()


def _refs_of_index(index: Any) -> tuple[Any, ...]:
    """Return the same for an index, if a column uses its memory; indexes do not write."""
    refs = index._references
    owners = [] if refs is None else [owner() for owner in refs.referenced_blocks]
    return (refs,) if any(hasattr(owner, "mgr_locs") for owner in owners) else ()


def _share(owner: Any, refs: Any) -> Any:
    """Record in a block or an index who else uses its memory."""
    if refs is not None:
        need(type(refs) is internals.BlockValuesRefs, "invalid owners of memory")
        if isinstance(owner, pd.Index):
            owner._references = refs
            refs.add_index_reference(owner)
        else:
            owner.refs = refs
            refs.add_reference(owner)
    return owner


# -- indexes ---------------------------------------------------------------------------------------------


def _can_index(index: Any) -> Any:
    return pack(index._data), index.name, *_refs_of_index(index)


def _index_as(cls: Any) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        values, name, *refs = state
        return _share(cls._simple_new(unpack(values), name=name), *refs or (None,))

    return make


def _checked_index_as(cls: Any) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        need(type(state) is tuple and len(state) in (2, 3), "an invalid index")
        values, name, *refs = state
        values = unpack(values, checked=True)
        need(is_values(values) and isinstance(values, cls._data_cls), "an invalid index")
        need(values.ndim == 1, "an index of several axes")
        if type(values) is np.ndarray:
            need(values.dtype.kind not in "mM", "an index of times of another class")
            labels(values.tolist() if values.dtype.hasobject else [])
        return _share(cls._simple_new(values, name=label(name)), *refs or (None,))

    return make


def _can_times(index: Any) -> Any:
    freq = None if index.freq is None else freq_text(index.freq)
    if freq is None and index.freq is not None:
        return NotImplemented
    zone = getattr(index.dtype, "tz", None)
    return index._data._ndarray, zone, freq, index.name, *_refs_of_index(index)


def _times_as(cls: Any, array_cls: Any) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        need(type(state) is tuple and len(state) in (4, 5), "an invalid index")
        values, zone, text, name = parts(state[:4], np.ndarray, object, (str, type(None)), object)
        freq = None if text is None else to_freq(text)
        need(values.ndim == 1, "an index of several axes")
        made = cls._simple_new(times(array_cls, values, zone, freq), name=label(name))
        if freq is not None and made.freq is None:  # since pandas 3.1, it belongs to the index
            made._freq = freq
        return _share(made, *state[4:] or (None,))

    return make


def checked_times(cls: type, array_cls: object) -> Callable[[Any], Any]:
    """Return the function that makes an index of times from a stranger's values, zone, frequency and name."""
    make = _times_as(cls, array_cls)

    def make_checked(state: object) -> Any:
        made = make(state)
        if made.freq is not None:
            charge_frequency(made.freq, len(made))
            need(made._data._ndarray.strides[0], "times that take no memory")
            made.copy().freq = made.freq  # raises if they differ
        return made

    return make_checked


def _can_range(index: Any) -> Any:
    return index.start, index.stop, index.step, index.name


def _range(state: tuple[Any, ...]) -> Any:
    start, stop, step, name = state
    return pd.RangeIndex._simple_new(range(start, stop, step), name=name)


def checked_range(state: tuple[Any, ...]) -> Any:
    """Make an index from a stranger's start, stop, step and name."""
    start, stop, step, name = parts(state, int, int, int, object)
    need(max(map(abs, state[:3])) < 1 << 63 and step, "a range out of range")
    need(abs(stop - start) // abs(step) < (1 << 63) - 1, "a range out of range")
    return pd.RangeIndex._simple_new(range(start, stop, step), name=label(name))


def _can_multi(index: Any) -> Any:
    return list(index._levels), list(index._codes), list(index.names), index.sortorder


def _multi(state: tuple[Any, ...]) -> Any:
    levels, codes, names, sortorder = state
    return pd.MultiIndex(
        levels=levels, codes=codes, names=names, sortorder=sortorder, copy=False, verify_integrity=False
    )


def _checked_multi(state: tuple[Any, ...]) -> Any:
    levels, codes, names, _ = parts(state, list, list, list, (int, type(None)))
    need(len(levels) == len(codes) == len(names) > 0, "levels that do not fit their codes")
    owned = []
    for level, code, name in zip(levels, codes, names, strict=True):
        need(isinstance(level, pd.Index) and not isinstance(level, pd.MultiIndex), "an invalid level")
        owned.append(checked_codes(code, level))
        need(len(code) == len(codes[0]), "codes of different lengths")
        label(name)
        check_unique(level)
    made = _multi((levels, owned, names, None))
    if state[3] is not None:
        need(0 <= state[3] <= made._lexsort_depth, "an order that the index does not have")
        made.sortorder = state[3]
    return made


# -- series and frames -----------------------------------------------------------------------------------


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

    pandas copies the attributes of an object with it, and those of objects within them each time anew. If each
    of 40 levels holds two objects that share their attributes, a copy takes 2**40 steps.
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
    return *state, *_refs_of(series._mgr._block)


def _series(state: tuple[Any, ...]) -> Any:
    values, index, name, *more = state
    refs = more.pop() if len(more) % 2 else None
    return with_more(make_series(unpack(values), index, name, refs), tuple(more))


def make_series(values: object, index: pandas.Index, name: object, refs: object = None) -> Any:
    """Make a series from its values, as pandas unpickles one; `refs` records other users of their memory."""
    block = _share(_block(values, slice(0, len(index)), 1), refs)
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
    blocks = [
        (*_place(block, len(columns)), pack(block.values), *_refs_of(block)) for block in manager.blocks
    ]
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
    made = tuple([_share(_block(values, where, 2), *refs or (None,)) for values, where, *refs in blocks])
    manager = managers.BlockManager(made, [columns, index], verify_integrity=False)
    return pd.DataFrame._from_mgr(manager, axes=manager.axes)


_EMPTY: Final = 64
"""Blocks that a frame may have besides one for each column; a frame without columns keeps some."""
_PLAIN: Final = (*(pd.Index, pd.PeriodIndex, pd.IntervalIndex, pd.CategoricalIndex),)
_TIMES: Final = ((pd.DatetimeIndex, DatetimeArray), (pd.TimedeltaIndex, TimedeltaArray))
CANNERS: Final = (
    *(
        Canner(f"pandas.{cls.__name__}", _can_index, _index_as(cls), data=_checked_index_as(cls), exact=True)
        for cls in _PLAIN
    ),
    *(
        Canner(
            f"pandas.{cls.__name__}", _can_times, _times_as(cls, of), data=checked_times(cls, of), exact=True
        )
        for cls, of in _TIMES
    ),
    Canner("pandas.RangeIndex", _can_range, _range, data=checked_range, exact=True),
    Canner("pandas.MultiIndex", _can_multi, _multi, data=_checked_multi, exact=True),
    Canner("pandas.Series", _can_series, _series, data=_checked_series, exact=True),
    Canner("pandas.DataFrame", _can_frame, _frame, data=_checked_frame, exact=True),
    Canner("pandas.SharedMemory", _can_shared, _shared, data=True, exact=True),
)
