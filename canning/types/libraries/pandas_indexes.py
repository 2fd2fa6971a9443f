"""pandas: every Index, and the record of who else uses the memory of an index or a block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas
from pandas._libs import internals  # type: ignore[attr-defined,unused-ignore]
from pandas.arrays import DatetimeArray, TimedeltaArray

from ..canner import Canner
from .checks import label, labels, need, parts
from .pandas_arrays import is_values, pack, times, unpack
from .pandas_categories import check_unique, checked_codes
from .pandas_scalars import charge_frequency, freq_text, to_freq

pd: Any = pandas  # its stubs lack the internals used here

# -- memory that is copied on write ----------------------------------------------------------------------


def _can_shared(refs: object) -> None:
    """Send only that views of some memory are recorded; the reader records its own views."""


def _shared(state: object) -> Any:
    need(state is None, "invalid owners of memory")
    return internals.BlockValuesRefs()


def refs_of(block: Any) -> tuple[Any, ...]:
    """Return the record of the other users of a block's memory, if there are any."""
    return (block.refs,) if block.refs.has_reference() else ()


def _refs_of_index(index: Any) -> tuple[Any, ...]:
    """Return the same for an index, if a column uses its memory; indexes do not write."""
    refs = index._references
    owners = [] if refs is None else [owner() for owner in refs.referenced_blocks]
    return (refs,) if any(hasattr(owner, "mgr_locs") for owner in owners) else ()


def share(owner: Any, refs: Any) -> Any:
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
        return share(cls._simple_new(unpack(values), name=name), *refs or (None,))

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
        return share(cls._simple_new(values, name=label(name)), *refs or (None,))

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
        return share(made, *state[4:] or (None,))

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
    Canner("pandas.SharedMemory", _can_shared, _shared, data=True, exact=True),
)
