"""scipy.sparse: arrays and matrices in the formats that consist of numpy arrays.

Their own pickling is as good; these canners exist for readers under ``trust="data"``. The formats ``lil`` and
``dok`` consist of lists and dicts, and are left to pickle.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from ...memory.layout import Array
from ..budget import charge
from ..canner import Canner
from .checks import need, one_dimensional, private_copy

_MOST: Final = 1 << 62
"""Rows or columns, at most."""
_FIELDS: Final = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords", "has_canonical_format"),
    "dia": ("data", "offsets"),
}


_CACHED: Final = frozenset(("_shape", "_has_canonical_format", "_has_sorted_indices"))
"""Attributes that scipy caches and computes again."""


def _can_as(cls: Any, form: str) -> Callable[[Any], Any]:
    fields = _FIELDS[form]
    known = _CACHED.union(fields, _usual(cls))

    def can(matrix: Any) -> Any:
        more = vars(matrix)
        if not known.issuperset(more) or any(more.get(name) != value for name, value in _usual(cls).items()):
            return NotImplemented  # any attribute that a user has set
        return {"shape": matrix.shape, **{name: more[name] for name in fields}}

    return can


@functools.cache
def _usual(cls: Any) -> dict[str, Any]:
    """Return the attributes that all instances have, which do not depend on the content."""
    own = {name for fields in _FIELDS.values() for name in fields} | _CACHED
    return {name: value for name, value in vars(cls((1, 1))).items() if name not in own}


def _as(cls: Any) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        made = cls.__new__(cls)
        fields = dict(state)
        made.__dict__.update(_usual(cls), _shape=fields.pop("shape"))
        made.__dict__.update(fields)
        return made

    return make


# -- a stranger's state: every number is checked, on private copies --------------------------------------


def _checked_as(cls: Any, form: str) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        need(type(state) is dict, "an invalid sparse matrix")
        data, *places = [state.get(name) for name in _FIELDS[form] if name != "has_canonical_format"]
        shape = _shape(state.get("shape"), form)
        need(type(data) is np.ndarray, "a sparse matrix of something other than arrays")
        need(data.dtype.kind in "biufc", "a sparse matrix of something other than numbers")
        parts = _CHECKS[form](data, shape, *places)
        return cls(parts, shape=shape, copy=False)

    return make


def _shape(shape: tuple[int, ...], form: str) -> Any:
    need(type(shape) is tuple and all(type(n) is int and 0 <= n < _MOST for n in shape), "an invalid shape")
    axes = {"csr": (1, 2), "coo": range(1, 65)}.get(form, (2,))
    need(len(shape) in axes, "a shape of too many axes")
    return shape


def _integers(array: Array, most: int, *, least: int = 0, longest: int = 0) -> Any:
    """Copy integers, and check that they are from `least` up to `most`.

    `most` and the `longest` axis decide on the width that scipy expects; the account is charged if that is
    wider than the integers that arrived.
    """
    one_dimensional(array, "iu")
    need(not array.size or array.itemsize <= 8, "integers that are too wide")
    copied = private_copy(array)
    need(
        not copied.size or (least <= int(copied.min()) and int(copied.max()) <= most), "a place out of range"
    )
    wide = np.dtype(np.int32 if max(most, -least, longest) < 1 << 31 else np.int64)
    if copied.dtype != wide:
        charge(0, copied.size * wide.itemsize)
    return copied.astype(wide, copy=False)


def _compressed(data: Array, rows: int, columns: int, indices: Any, starts: Array) -> Any:
    """Check compressed rows: the start of each row, the end of the last, and each place."""
    one_dimensional(starts, "iu", rows + 1)
    one_dimensional(indices, "iu")
    longest = max(rows, columns)
    starts = _integers(starts, min(len(data), len(indices)), longest=longest)
    need(starts[0] == 0 and bool((starts[1:] >= starts[:-1]).all()), "rows that do not follow each other")
    count = int(starts[-1])
    return data[:count], _integers(indices[:count], columns - 1, longest=longest), starts


def _by_rows(data: Any, shape: Any, indices: object, starts: Any) -> Any:
    need(data.ndim == 1, "values of several axes")
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    return _compressed(data, rows, columns, indices, starts)


def _by_columns(data: object, shape: Any, indices: object, starts: Any) -> Any:
    return _by_rows(data, shape[::-1], indices, starts)


def _by_blocks(data: Any, shape: Any, indices: object, starts: Any) -> Any:
    need(data.ndim == 3 and 0 not in data.shape[1:], "invalid blocks")
    (rows, odd_rows), (columns, odd_columns) = map(divmod, shape, data.shape[1:])
    need(not odd_rows and not odd_columns, "blocks that do not fit")
    return _compressed(data, rows, columns, indices, starts)


def _by_places(data: Any, shape: Any, places: Any) -> Any:
    need(type(places) is tuple and len(places) == len(shape), "coordinates that do not fit")
    need(data.ndim == 1, "values of several axes")
    checked = []
    for place, length in zip(places, shape, strict=True):
        one_dimensional(place, "iu", len(data))
        checked.append(_integers(place, length - 1, longest=max(shape)))
    return data, tuple(checked)


def _by_diagonals(data: Array, shape: tuple[int, ...], offsets: Array) -> Any:
    need(data.ndim == 2, "invalid diagonals")
    one_dimensional(offsets, "iu", len(data))
    need(sum(shape) + data.shape[1] < 1 << 31, "diagonals beyond what scipy counts with")
    charge(0, 4 * max(sum(shape) - 2 * data.shape[1], 0))  # what scipy takes for empty rows, even to show it
    offsets = _integers(offsets, shape[1], least=-shape[0])
    need(len(np.unique(offsets)) == len(offsets), "a diagonal that is there twice")
    return data, offsets


_CHECKS: Final[dict[str, Callable[..., Any]]] = {
    "csr": _by_rows,
    "csc": _by_columns,
    "bsr": _by_blocks,
    "coo": _by_places,
    "dia": _by_diagonals,
}


def _canner(name: str, version: str = "") -> Canner:
    cls, form = getattr(sp, name), name[:3]
    can, make = _can_as(cls, form), _as(cls)
    return Canner(f"scipy.sparse.{name}{version}", can, make, data=_checked_as(cls, form), exact=True)


_NAMES: Final = tuple(f"{form}_{kind}" for form in _FIELDS for kind in ("array", "matrix"))
CANNERS: Final = (*map(_canner, _NAMES), *(_canner(name, "/1") for name in _NAMES))
