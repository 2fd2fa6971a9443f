"""scipy.sparse: arrays and matrices in the formats that consist of numpy arrays.

Their own pickling leaves nothing to wish for, and this does the same; it is here for readers under
``trust="data"``. The formats ``lil`` and ``dok`` consist of lists and dicts, and are left to pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import scipy.sparse as sp

from ..registry import Canner
from .checks import need

_FIELDS: Final = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords"),
    "dia": ("data", "offsets"),
}


def _can(matrix: Any) -> Any:
    return dict(vars(matrix))


def _as(cls: Any) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        made = cls.__new__(cls)
        made.__dict__.update(state)
        return made

    return make


def _checked_as(cls: Any, form: str) -> Callable[[Any], Any]:
    def make(state: Any) -> Any:
        need(type(state) is dict, "a sparse matrix that is none")
        fields = [state.get(name) for name in _FIELDS[form]]
        shape = state.get("_shape")
        need(
            type(shape) is tuple and all(type(n) is int and 0 <= n < 1 << 62 for n in shape),
            "a shape that is none",
        )
        need(form == "coo" or len(shape) in (1, 2), "a shape of too many axes")
        if form == "coo":
            need(type(fields[1]) is tuple and 0 < len(fields[1]) == len(shape), "coordinates that do not fit")
        arrays = [fields[0], *(fields[1] if form == "coo" else fields[1:])]
        need(
            all(type(array) is np.ndarray for array in arrays),
            "a sparse matrix of something else than arrays",
        )
        need(fields[0].dtype.kind in "biufc", "a sparse matrix of something else than numbers")
        need(all(array.dtype.kind in "iu" for array in arrays[1:]), "indices that are no integers")
        made = cls((fields[0], *fields[1:]), shape=shape, copy=False)
        if form in ("csr", "csc", "bsr"):
            made.check_format(full_check=True)
        return made

    return make


def _canner(name: str) -> Canner:
    cls = getattr(sp, name)
    return Canner(f"scipy.sparse.{name}", _can, _as(cls), data=_checked_as(cls, name[:3]), exact=True)


CANNERS: Final = tuple(_canner(f"{form}_{kind}") for form in _FIELDS for kind in ("array", "matrix"))
