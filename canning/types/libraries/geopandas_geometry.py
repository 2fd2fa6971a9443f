"""geopandas: columns of geometries, as their coordinates in a few arrays.

geopandas pickles each geometry as separate bytes. If all are of one kind, and none is empty or missing, they
are sent as shapely's ragged arrays, in a third of that time; others are left to geopandas.
https://shapely.readthedocs.io/en/stable/reference/shapely.to_ragged_array.html
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyproj
import shapely
from geopandas.array import GeometryArray

from .pandas_arrays import array_canner

_KINDS: Final = frozenset(int(kind) for kind in shapely.GeometryType if kind.name != "LINEARRING")
_MISSING, _COLLECTION = -1, 7


def _ragged(geometries: object) -> tuple[int, Any, tuple[Any, ...]] | None:
    """Return coordinates and offsets of geometries; None if they would not describe all of them."""
    kinds = shapely.get_type_id(geometries)
    kind = int(kinds[0]) if len(kinds) else _MISSING
    if kind not in _KINDS - {_MISSING, _COLLECTION} or (kinds != kind).any():
        return None
    deep = shapely.has_z(geometries)
    odd = shapely.is_empty(geometries) | (deep != deep[0]) | (shapely.get_srid(geometries) != 0)
    if hasattr(shapely, "has_m"):
        odd |= shapely.has_m(geometries)
    if odd.any():
        return None
    _, coordinates, offsets = shapely.to_ragged_array(geometries, include_z=bool(deep[0]))
    parts = len(coordinates)
    for each in offsets:  # from the innermost outwards: a part may be empty, or omitted for that
        if each[-1] != parts or (np.diff(each) <= 0).any():
            return None
        parts = len(each) - 1
    return None if np.isnan(coordinates).any() else (kind, coordinates, offsets)


def _can(array: Any) -> Any:
    ragged = _ragged(array._data)
    crs = array.crs
    if ragged is None or type(crs) not in (pyproj.CRS, type(None)):
        return NotImplemented
    return *ragged, None if crs is None else crs.srs


def _uncan(state: tuple[Any, ...]) -> Any:
    kind, coordinates, offsets, crs = state
    made = shapely.from_ragged_array(shapely.GeometryType(kind), coordinates, offsets or None)
    return GeometryArray(made, crs=None if crs is None else pyproj.CRS(crs))


CANNERS: Final = (array_canner("geopandas.array.GeometryArray", _can, _uncan, data=False),)
