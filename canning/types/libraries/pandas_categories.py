"""pandas: arrays of categories, and checks of labels, which may stand in an index only once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas

from ..budget import charge
from ..hash_guard import Watch
from .checks import need, one_dimensional, parts, private_copy

pd: Any = pandas  # its stubs lack the internals used here


def can_categorical(array: Any) -> Any:
    """Return the codes, the categories, and whether these are ordered."""
    return array._ndarray, array.categories, array.ordered


def categorical(state: tuple[Any, ...]) -> Any:
    """Make a Categorical from its state."""
    codes, categories, ordered = state
    dtype = pd.CategoricalDtype.__new__(pd.CategoricalDtype)
    dtype.__setstate__({"categories": categories, "ordered": ordered})
    return pd.Categorical._simple_new(codes, dtype)


def checked_categorical(state: object) -> Any:
    """Make a Categorical from a stranger's codes, categories, and flag whether these are ordered."""
    codes, categories, ordered = parts(state, object, object, bool)
    need(isinstance(categories, pd.Index), "invalid categories")
    codes = checked_codes(codes, categories)
    return pd.Categorical._simple_new(codes, _checked_dtype(categories, ordered))


def _checked_dtype(categories: Any, ordered: object) -> Any:
    need(not categories.hasnans, "a category that is missing")
    check_unique(categories)
    return pd.CategoricalDtype._from_fastpath(categories, ordered)


def check_unique(labels: Any) -> None:
    """Check that no label is repeated, without letting pandas hash them.

    Its hashes of numbers and of text can be predicted: 160 KB of colliding numbers took 0.2 s, and ten times
    as many would take a hundred times as long.
    """
    values: Any = getattr(labels, "_data", None)
    if hasattr(values, "_pa_array"):
        _check_unique_arrow(values._pa_array)
        return
    if hasattr(values, "_mask"):
        need(np.count_nonzero(values._mask) <= 1, _TWICE)
        values = values._data[~values._mask]
    values = getattr(values, "_ndarray", values)
    if isinstance(labels, pd.RangeIndex) or not len(labels):
        return
    if type(values) is not np.ndarray:
        charge(len(labels) ** 2 // 50, 8 * len(labels))
        need(labels.is_unique, _TWICE)
    elif values.dtype.hasobject:
        found: set[Any] = set()
        charge(2 * len(values), 50 * len(values))
        items = values.tolist()
        Watch().put(found, items, None)
        if len(found) < len(items):  # 1 and True are two labels
            found = {(type(item), item) for item in items}
        need(len(found) == len(items), _TWICE)
    else:
        charge(2 * len(values), values.nbytes)
        ordered = np.sort(values)
        need((ordered[1:] != ordered[:-1]).all(), _TWICE)


def _check_unique_arrow(chunks: Any) -> None:
    """Check by sorting that no label in Arrow's memory is repeated: Arrow's hashes can be predicted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    charge(12 * len(chunks), 24 * len(chunks))
    try:
        last = pc.max(pc.rank(chunks, tiebreaker="dense")).as_py()
    except pa.ArrowNotImplementedError:  # a type that cannot be sorted, such as views of text
        charge(20 * len(chunks), 300 * len(chunks))
        found: set[Any] = set()
        Watch().put(found, chunks.to_pylist(), None)
        last = len(found)
    need(last == len(chunks) or not len(chunks), _TWICE)


_TWICE: Final = "a label that is there twice"


def checked_codes(codes: object, labels: Any) -> Any:
    """Check the codes of labels on a private copy, which nobody can change after the check."""
    owned = private_copy(one_dimensional(codes, "i"))
    need(not owned.size or (owned.min() >= -1 and owned.max() < len(labels)), "codes out of range")
    if isinstance(labels, pd.RangeIndex):  # pandas expands it when it searches
        charge(len(labels), 8 * len(labels))
    return owned


def can_category_dtype(dtype: Any) -> Any:
    """Return the categories, and whether these are ordered."""
    return dtype.categories, dtype.ordered


def category_dtype(state: tuple[Any, ...]) -> Any:
    """Make the dtype from its state."""
    categories, ordered = state
    need(categories is None or isinstance(categories, pd.Index), "invalid categories")
    return pd.CategoricalDtype(categories, ordered)


def checked_category_dtype(state: object) -> Any:
    """Make the dtype from a stranger's state."""
    categories, ordered = parts(state, object, bool)
    need(categories is None or isinstance(categories, pd.Index), "invalid categories")
    return pd.CategoricalDtype(None, ordered) if categories is None else _checked_dtype(categories, ordered)
