"""pandas in portable messages: DataFrame, Series and Index as columns that every language can read.

Columns of numbers, times and flags are not copied. A table that arrives this way has a block for each column.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas

from ...errors import SerializationError
from ..budget import charge
from ..canner import Canner
from .checks import label, labels, need
from .pandas_arrays import is_values, times
from .pandas_categories import checked_categorical
from .pandas_frames import check_more, make_frame, make_series, with_more
from .pandas_indexes import checked_range, checked_times
from .pandas_scalars import freq_text
from .pandas_texts import text_dtype
from .told_columns import (
    Column,
    arrow_column,
    columns_of,
    fields_of,
    mask_of,
    text_column,
    texts_of,
    values_of,
)

pd: Any = pandas  # whose inner ways its stubs do not know
_NUMBERS: Final = "biufc"
_NAMES: Final = frozenset((str, int, float, bool, type(None)))


def _refuse(what: str) -> SerializationError:
    return SerializationError(f"{what} is not portable: send it as numbers, text, times or categories")


# -- columns ---------------------------------------------------------------------------------------------


def _tell(values: Any) -> Column:
    """Describe the values of a column."""
    tell = _TELLERS.get(type(values))
    if tell is None:
        raise _refuse(f"a column of dtype {values.dtype}")
    told: Column = tell(values)
    return told


def _tell_array(values: Any) -> Column:
    if not values.dtype.hasobject:
        return {"kind": "array", "values": values}
    items = values.tolist()
    if all(type(item) is str or item is None for item in items):
        return {**text_column(items), "dtype": "object"}
    return {"kind": "objects", "items": items}


def _tell_times(values: Any) -> Column:
    code = "M8" if values.dtype.kind == "M" else "m8"
    counts = values.asi8.view(f"{code}[{values.unit}]")
    zone = getattr(values.dtype, "tz", None)
    told = {"kind": "array", "values": counts}
    return told if zone is None else {**told, "kind": "times", "zone": zone}


def _tell_masked(values: Any) -> Column:
    return {"kind": "masked", "values": values._data, "mask": values._mask}


def _tell_categories(values: Any) -> Column:
    codes, ordered = values._ndarray, bool(values.ordered)
    return {
        "kind": "categories",
        "codes": codes,
        "categories": _tell(values.categories.array),
        "ordered": ordered,
    }


def _tell_text(values: Any) -> Column:
    dtype = values.dtype
    if dtype.storage == "pyarrow":
        import pyarrow as pa

        text = pa.chunked_array(values.__arrow_array__()).cast(pa.large_string()).combine_chunks()
        told = arrow_column(text)
    else:
        told = text_column(values.astype(object))
    return {**told, **_tell_dtype(dtype)}


def _tell_dtype(dtype: Any) -> dict[str, str]:
    """Tell a dtype of text: pandas before 3 has a storage of its own where NaN is missing."""
    kind = "string" if dtype.na_value is pd.NA else "str"
    return {"dtype": kind, "storage": dtype.storage.removesuffix("_numpy")}


def _classes() -> dict[type, Any]:
    arrays, text = pd.arrays, [text_dtype("python", True).construct_array_type()]
    for storage, missing in (("python", False), ("pyarrow", True), ("pyarrow", False)):
        try:
            text.append(text_dtype(storage, missing).construct_array_type())
        except Exception:  # this version lacks it, or pyarrow is missing
            continue
    return {
        np.ndarray: _tell_array,
        arrays.NumpyExtensionArray: lambda values: _tell_array(values.to_numpy()),
        **dict.fromkeys((arrays.DatetimeArray, arrays.TimedeltaArray), _tell_times),
        **dict.fromkeys((arrays.IntegerArray, arrays.FloatingArray, arrays.BooleanArray), _tell_masked),
        pd.Categorical: _tell_categories,
        **dict.fromkeys(text, _tell_text),
    }


_TELLERS: Final = _classes()


def _make(column: Column) -> Any:
    """Make the values of a column from its description."""
    make = _MAKERS.get(column.get("kind"))
    need(make is not None, "a column of an unknown kind")
    charge(_PRICES.get(column["kind"], 0), 0)
    values = make(column)  # type: ignore[misc]
    need(is_values(values) and values.ndim == 1, "an invalid column")
    return values


def _make_array(column: Column) -> Any:
    values = values_of(column, _NUMBERS + "SmM")
    return times(_TIMES[values.dtype.kind], values, None, None) if values.dtype.kind in "mM" else values


def _make_times(column: Column) -> Any:
    need(column.get("zone") is not None, "times without their zone")
    return times(_TIMES["M"], values_of(column, "M"), column["zone"], None)


def _make_masked(column: Column) -> Any:
    values = values_of(column, "biuf")
    mask = mask_of(column, len(values))
    need(mask is not None, "a column without its mask")
    return _MASKED[values.dtype.kind](values, mask)


def _make_categories(column: Column) -> Any:
    categories = column.get("categories")
    need(type(categories) is dict and categories.get("kind") != "categories", "invalid categories")
    index = _index_over(_make(categories), None)  # type: ignore[arg-type]
    return checked_categorical((column.get("codes"), index, column.get("ordered")))


def _make_text(column: Column) -> Any:
    kind, storage = fields_of(column, "dtype", "storage")
    if kind == "object":
        return texts_of(column, None)
    missing = kind == "string"
    dtype = text_dtype(storage or "python", missing) if missing or kind == "str" else _DEFAULT
    cls = dtype.construct_array_type()
    if dtype.storage == "pyarrow":
        from .told_arrow import make_text  # not at the top: pandas works without pyarrow

        return cls._from_sequence(make_text(column), dtype=dtype)
    return cls._from_sequence(texts_of(column, dtype.na_value), dtype=dtype)


def _make_objects(column: Column) -> Any:
    items = column.get("items")
    need(type(items) is list, "invalid objects")
    return np.fromiter(items, object, len(items))  # type: ignore[arg-type]


_DEFAULT: Final = (
    pd.Series(["text"]).dtype if pd.Series(["text"]).dtype != object else text_dtype("python", True)
)
_TIMES: Final = {"M": pd.arrays.DatetimeArray, "m": pd.arrays.TimedeltaArray}
_MASKED: Final = {
    **dict.fromkeys("iu", pd.arrays.IntegerArray),
    "f": pd.arrays.FloatingArray,
    "b": pd.arrays.BooleanArray,
}
_PRICES: Final = {"times": 500, "objects": 500, "text": 3000, "categories": 4000}
"""What columns take whatever their length, in items of 50 ns: about twice what was measured."""
_MAKERS: Final[dict[Any, Any]] = {
    "array": _make_array,
    "times": _make_times,
    "masked": _make_masked,
    "categories": _make_categories,
    "text": _make_text,
    "objects": _make_objects,
}


# -- indexes ---------------------------------------------------------------------------------------------


def _tell_index(index: Any) -> Column:
    if isinstance(index, pd.MultiIndex):
        raise SerializationError("a MultiIndex is not portable: send its levels as columns, by reset_index()")
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "start": index.start, "stop": index.stop, "step": index.step}
    told = _tell(index._data)
    freq = getattr(index, "freq", None)
    return told if freq is None or freq_text(freq) is None else {**told, "freq": freq_text(freq)}


def _make_index(column: Any, name: object) -> Any:
    need(type(column) is dict, "an invalid index")
    if column["kind"] == "range":
        return checked_range((*fields_of(column, "start", "stop", "step"), name))
    values = _make(column)
    made = _index_over(values, label(name))
    if column.get("freq") is None:
        return made
    need(column.get("kind") in ("array", "times"), "a frequency of something other than times")
    cls, array = (
        (pd.DatetimeIndex, _TIMES["M"]) if values.dtype.kind == "M" else (pd.TimedeltaIndex, _TIMES["m"])
    )
    return checked_times(cls, array)((values._ndarray, column.get("zone"), column["freq"], name))


def _index_over(values: Any, name: object) -> Any:
    if type(values) is np.ndarray and values.dtype.hasobject:
        labels(values.tolist())
    return pd.Index(values, dtype=values.dtype, name=name, copy=False)


def _can_index(index: Any) -> Any:
    return {"name": index.name, "values": _tell_index(index)}


def _index(state: object) -> Any:
    name, values = fields_of(state, "name", "values")
    return _make_index(values, name)


# -- series and frames -----------------------------------------------------------------------------------


def _tell_more(obj: Any) -> Column:
    more: Column = {"attrs": dict(obj.attrs)} if obj.attrs else {}
    return more if obj.flags.allows_duplicate_labels else {**more, "unique": True}


def _with_more(made: Any, state: object, *axes: Any) -> Any:
    attrs, unique = fields_of(state, "attrs", "unique")
    if attrs is None and unique is not True:
        return made
    more = {} if attrs is None else attrs, unique is True
    check_more(more, *axes)
    return with_more(made, more)


def _can_series(series: Any) -> Any:
    index = {**_tell_index(series.index), "name": series.index.name}
    return {"name": series.name, "values": _tell(series._values), "index": index, **_tell_more(series)}


def _series(state: object) -> Any:
    name, values, index = fields_of(state, "name", "values", "index")
    need(type(values) is dict and type(index) is dict, "an invalid series")
    made, axis = _make(values), _make_index(index, index.get("name"))
    need(len(made) == len(axis), "a series that does not fit its index")
    return _with_more(make_series(made, axis, label(name)), state, axis)


def _can_frame(frame: Any) -> Any:
    names = frame.columns.tolist()
    if not all(type(name) in _NAMES for name in names):
        raise SerializationError(
            "a DataFrame whose columns have labels other than text and numbers is not portable"
        )
    columns = [_tell(frame._mgr.iget_values(number)) for number in range(len(names))]
    index = {**_tell_index(frame.index), "name": frame.index.name}
    told = {"names": names, "columns": columns, "index": index, "labels": _tell_labels(frame.columns)}
    return {**told, **_tell_more(frame)}


def _tell_labels(index: Any) -> Column:
    """Describe an index of names, apart from the names."""
    if isinstance(index, pd.RangeIndex):
        return {**_tell_index(index), "name": index.name}
    if type(index) is not pd.Index:
        raise _refuse(f"a DataFrame whose columns are a {type(index).__name__}")
    if isinstance(index.dtype, pd.StringDtype):
        told = _tell_dtype(index.dtype)
        return {"kind": told["dtype"], "storage": told["storage"], "name": index.name}
    if not isinstance(index.dtype, np.dtype):
        raise _refuse(f"a DataFrame whose columns have labels of dtype {index.dtype}")
    return {"kind": index.dtype.str, "name": index.name}


def _make_labels(names: list[Any], told: Any) -> Any:
    kind, storage, name = (None, None, None) if told is None else fields_of(told, "kind", "storage", "name")
    need(all(type(each) in _NAMES for each in names), "invalid names of columns")
    labels(names)
    label(name)
    if kind == "range":
        made = _make_index(told, name)
        need(len(made) == len(names), "names that do not fit their columns")
        return made
    if kind in ("str", "string"):
        need(all(type(each) in (str, float, type(None)) for each in names), "invalid names of columns")
        return pd.Index(names, dtype=text_dtype(storage, kind == "string"), name=name)
    if kind is None:
        return pd.Index(names, name=name)
    need(kind in _LABELS, "invalid names of columns")
    return pd.Index(np.array(names, kind), dtype=_LABELS[kind], name=name)


_LABELS: Final = {np.dtype(code).str: np.dtype(code) for code in ("O", "?", *"bhilqBHILQ", *"fd")}


def _frame(state: object) -> Any:
    names, columns, index, told = fields_of(state, "names", "columns", "index", "labels")
    need(type(index) is dict, "a frame without an index")
    axis = _make_index(index, index.get("name"))
    made = []
    for number, (_, column) in enumerate(columns_of(names, columns)):
        values = _make(column)
        need(len(values) == len(axis), "a column that does not fit its frame")
        if type(values) in _IN_ROWS:
            values = values.reshape(1, -1)
        made.append((values, slice(number, number + 1, 1)))
    marks = _make_labels(names, told)
    return _with_more(make_frame(made, axis, marks), state, axis, marks)


_IN_ROWS: Final = (np.ndarray, *_TIMES.values())
"""Arrays that have two axes in a block; the first is that of its columns."""

CANNERS: Final = (
    Canner("pandas.DataFrame/1", _can_frame, _frame, data=True, exact=True),
    Canner("pandas.Series/1", _can_series, _series, data=True, exact=True),
    Canner("pandas.Index/1", _can_index, _index, data=True, exact=True),
)
