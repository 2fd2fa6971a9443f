"""pandas: arrays for columns that have no numpy dtype, and their dtypes."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas
from pandas.arrays import (
    ArrowExtensionArray,
    ArrowStringArray,
    BooleanArray,
    DatetimeArray,
    FloatingArray,
    IntegerArray,
    IntervalArray,
    NumpyExtensionArray,
    PeriodArray,
    TimedeltaArray,
)

from ..canner import Canner
from .checks import need, one_dimensional, parts, private_copy, time_zone
from .pandas_categories import (
    can_categorical,
    can_category_dtype,
    categorical,
    category_dtype,
    checked_categorical,
    checked_category_dtype,
)
from .pandas_scalars import UNITS, charge_frequency, freq_text, period_dtype, to_freq
from .pandas_texts import (
    arrow_text,
    can_arrow_text,
    can_text,
    checked_arrow_text,
    checked_text,
    join,
    split,
    text,
)

pd: Any = pandas  # its stubs lack the internals used here


def pack(values: Any) -> Any:
    """Return the state of a block's values: numpy arrays unchanged, objects and text as tagged tuples."""
    kind = type(values)
    if kind is np.ndarray:
        return _pack_objects(values) if values.dtype.hasobject else values
    if is_readonly(values):
        return values
    if kind is ArrowStringArray:
        return ("S", *can_arrow_text(values))
    if kind in (DatetimeArray, TimedeltaArray) and isinstance(values.dtype, np.dtype):
        return values._ndarray
    return values


def _pack_objects(values: Any) -> Any:
    flat = values.ravel()
    joined = join(flat, type(None))
    return ("O", values.shape, flat.tolist()) if joined is None else ("T", values.shape, *joined)


def unpack(state: object, *, checked: bool = False) -> Any:
    """Rebuild the values; with `checked`, from a stranger's state."""
    if type(state) is not tuple:
        return state
    if state[0] == "S":
        return (checked_arrow_text if checked else arrow_text)(state[1:])
    if state[0] == "T":
        _, shape, *joined = state
        need(type(shape) is tuple and len(joined) == 3, "invalid text")
        return split(joined, None, checked=checked).reshape(shape)
    kind, shape, items = parts(state, str, tuple, list)
    need(kind == "O" and math.prod(shape) == len(items), "objects that do not fit their shape")
    return np.fromiter(items, object, len(items)).reshape(shape)


def is_values(values: object) -> bool:
    """Tell whether a stranger's values can be those of a column."""
    if type(values) is not np.ndarray:
        return isinstance(values, pd.api.extensions.ExtensionArray)
    dtype = values.dtype
    if dtype.hasobject:
        return not any(map(_is_interface, values.ravel().tolist()))
    return dtype.kind in "biufcSU" or (dtype.kind in "mM" and np.datetime_data(dtype) in _UNITS)


def _is_interface(item: object) -> bool:
    """Tell whether numpy would read memory at an address that an object names.

    If numpy asks a Series, or a row of a frame, for the attribute ``__array_interface__``, pandas returns the
    element with that label. numpy then uses a dict with an address and a dtype.
    """
    return isinstance(item, dict) and "typestr" in item


_UNITS: Final = tuple((unit, 1) for unit in UNITS)


# -- time ------------------------------------------------------------------------------------------------


def _can_times(array: Any) -> Any:
    freq = getattr(array, "_freq", None)
    state = array._ndarray, getattr(array.dtype, "tz", None)
    if freq is None:
        return state
    text = freq_text(freq)
    return NotImplemented if text is None else (*state, text)


def times(cls: Any, values: Any, zone: object, freq: Any = None) -> Any:
    """Make an array of times or durations from numpy's; `freq` belonged to it before pandas 3.1."""
    need(type(values) is np.ndarray and is_values(values), "invalid times")
    dtype = values.dtype
    need(dtype.kind == ("M" if cls is DatetimeArray else "m"), "times of another kind")
    if time_zone(zone) is not None and cls is DatetimeArray:
        dtype = pd.DatetimeTZDtype(np.datetime_data(dtype)[0], zone)
    more = {"freq": freq} if hasattr(cls, "freq") else {}
    return cls._simple_new(values, dtype=dtype, **more)


def _times_as(cls: Any) -> Any:
    def make(state: object) -> Any:
        if type(state) is not tuple or len(state) != 3:
            return times(cls, *parts(state, np.ndarray, object))
        values, zone, text = parts(state, np.ndarray, object, str)
        freq = to_freq(text)
        charge_frequency(freq, values.size)
        made = times(cls, values, zone, freq)
        cls._validate_frequency(made, freq)  # a stranger's times may not follow it
        return made

    return make


def _can_periods(array: Any) -> Any:
    freq = freq_text(array.dtype.freq)
    return NotImplemented if freq is None else (array._ndarray, freq)


def _periods(state: object) -> Any:
    ordinals, freq = parts(state, np.ndarray, str)
    need(ordinals.dtype == np.int64, "invalid periods")
    return PeriodArray(ordinals, dtype=period_dtype(freq))


def _can_intervals(array: Any) -> Any:
    return array.left, array.right, array.closed


def _intervals(state: tuple[Any, ...]) -> Any:
    left, right, closed = state
    for bound in (left, right):
        need(isinstance(bound, pd.Index) and not isinstance(bound, pd.RangeIndex), "invalid intervals")
    return IntervalArray.from_arrays(left, right, closed, copy=False)


# -- masked numbers, sparse ones -------------------------------------------------------------------------


def _can_masked(array: Any) -> Any:
    return array._data, array._mask


def _masked_as(cls: type, kinds: str) -> Any:
    def make(state: tuple[Any, ...]) -> Any:
        data, mask = state
        need(type(data) is np.ndarray and data.dtype.kind in kinds, "invalid numbers")
        need(
            type(mask) is np.ndarray and mask.dtype == bool and mask.shape == data.shape,
            "an invalid mask",
        )
        return cls(data, mask, copy=False)

    return make


def _can_sparse(array: Any) -> Any:
    index = array.sp_index
    if array.dtype.subtype.hasobject:
        return NotImplemented
    places = (index.blocs, index.blengths) if array.kind == "block" else (index.indices,)
    return array.sp_values, index.length, places, array.fill_value


def _sparse(state: object) -> Any:
    from pandas._libs import sparse

    values, length, places, fill = parts(state, np.ndarray, int, tuple, object)
    need(len(places) in (1, 2) and 0 <= length < 1 << 31, "an invalid sparse index")
    wide = [private_copy(one_dimensional(place, "i"), np.int64) for place in places]
    need(all(len(place) == len(wide[0]) for place in wide), "an invalid sparse index")
    need(not wide[0].size or min(place.min() for place in wide) >= 0, "an invalid sparse index")
    need(not wide[0].size or (sum(wide) <= length).all(), "a sparse index out of range")
    places = [place.astype(np.int32) for place in wide]
    kinds: Any = sparse
    index = (kinds.IntIndex if len(places) == 1 else kinds.BlockIndex)(length, *places)
    need(one_dimensional(values, "biufcmM", index.npoints) is values, "sparse values that do not fit")
    return pd.arrays.SparseArray._simple_new(values, index, pd.SparseDtype(values.dtype, fill))


# -- arrays of Arrow and of numpy ------------------------------------------------------------------------


def _can_arrow(array: Any) -> Any:
    return (array._pa_array,)


def _arrow(state: object) -> Any:
    import pyarrow as pa

    (chunks,) = parts(state, pa.ChunkedArray)
    return ArrowExtensionArray(chunks)


def _can_numpy(array: Any) -> Any:
    return (pack(array._ndarray),)


def _numpy(state: tuple[Any, ...]) -> Any:
    values = unpack(state[0], checked=True)
    need(is_values(values), "an invalid array")
    return NumpyExtensionArray(values)


# -- arrays that are read-only ---------------------------------------------------------------------------


def is_readonly(array: Any) -> bool:
    """Tell whether pandas refuses to write to an array, as to ``index.array`` since 3.1."""
    return getattr(array, "_readonly", False)


def array_canner(name: str, can: Any, uncan: Any, *, data: Any = True) -> Canner:
    """Register an array. The state of a read-only one, which may share memory with an index, is a list."""

    def can_any(array: Any) -> Any:
        state = can(array)
        return [*state] if is_readonly(array) and state is not NotImplemented else state

    def uncan_with(make: Any) -> Any:
        def uncan_any(state: object) -> Any:
            if type(state) is not list:
                return make(state)
            array = make(tuple(state))
            array._readonly = True
            return array

        return uncan_any

    safe = uncan_with(data) if callable(data) else data
    return Canner(name, can_any, uncan_with(uncan), data=safe, exact=True)


CANNERS: Final = (
    array_canner("pandas.Categorical", can_categorical, categorical, data=checked_categorical),
    Canner(
        "pandas.CategoricalDtype",
        can_category_dtype,
        category_dtype,
        data=checked_category_dtype,
        exact=True,
    ),
    array_canner("pandas.arrays.DatetimeArray", _can_times, _times_as(DatetimeArray)),
    array_canner("pandas.arrays.TimedeltaArray", _can_times, _times_as(TimedeltaArray)),
    array_canner("pandas.arrays.PeriodArray", _can_periods, _periods),
    array_canner("pandas.arrays.IntervalArray", _can_intervals, _intervals),
    array_canner("pandas.arrays.IntegerArray", _can_masked, _masked_as(IntegerArray, "iu")),
    array_canner("pandas.arrays.FloatingArray", _can_masked, _masked_as(FloatingArray, "f")),
    array_canner("pandas.arrays.BooleanArray", _can_masked, _masked_as(BooleanArray, "b")),
    array_canner("pandas.arrays.SparseArray", _can_sparse, _sparse),
    array_canner("pandas.arrays.StringArray", can_text, text, data=checked_text),
    array_canner("pandas.arrays.ArrowStringArray", can_arrow_text, arrow_text, data=checked_arrow_text),
    array_canner("pandas.arrays.ArrowExtensionArray", _can_arrow, _arrow),
    array_canner("pandas.arrays.NumpyExtensionArray", _can_numpy, _numpy),
)
