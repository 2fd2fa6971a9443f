"""`can`: turn one object into its `CannedObject`, for code that inspects what would be sent."""

from __future__ import annotations

import functools
import types
from typing import Any

import numpy as np

from . import code
from .calls import PARTS
from .code.functions import is_local
from .types.arrays import CannedArray
from .types.canned import CannedBytes, CannedCell, CannedObject, CannedPartial, CannedRegistered
from .types.canner import canned_state
from .types.registry import Registry, default_registry
from .writing.array_reducers import array_call
from .writing.packing import pack_buffers
from .writing.reducers import Reducers


def can(obj: object, registry: Registry = default_registry) -> Any:
    """Wrap an object that canning knows in its `CannedObject`; return any other object unchanged.

    It knows arrays, bytes, bytearrays, memoryviews, functions, classes that other processes
    cannot import, partials, cells, and the types of `registry`. The buffers of the result are views of
    the memory of `obj`. `uncan` undoes it.

    >>> can(5)
    5
    >>> can(np.ones(2048)).buffers[0].nbytes
    16384
    """
    if isinstance(obj, CannedObject):
        return obj
    canner = registry.find(type(obj))
    if canner is not None:
        state = canned_state(canner, obj)
        if isinstance(state, CannedObject):
            return state
        if state is not NotImplemented:
            return CannedRegistered(canner.name, state, type(obj) if canner.wants_class else None)
    if isinstance(obj, bytes | bytearray):
        return CannedBytes(memoryview(obj), isinstance(obj, bytearray))
    if isinstance(obj, types.FunctionType):
        return code.by_value_pickler.CannedFunction(obj)
    if isinstance(obj, type) and is_local(obj):
        return code.by_value_pickler.CannedClass(obj)
    if type(obj) is functools.partial:
        args = tuple(can(arg, registry) for arg in obj.args)
        keywords = {name: can(value, registry) for name, value in obj.keywords.items()}
        return CannedPartial(can(obj.func, registry), args, keywords, vars(obj))
    if type(obj) is types.CellType:
        return CannedCell(can(obj.cell_contents, registry))
    return _can_memory(obj, registry)


def _can_memory(obj: object, registry: Registry) -> Any:
    reducers = Reducers(registry, 1)
    if type(obj) is np.ndarray:
        reduced = reducers.any_array(obj)
    elif isinstance(obj, np.ndarray):
        reduced = reducers.subclass(obj)
    elif isinstance(obj, memoryview):
        reduced = reducers.memoryview(obj)
    else:
        return obj
    make, parts, *state = reduced
    if make is array_call:
        canned = CannedArray(*parts)
        canned.buffers = pack_buffers(reducers.entries, 0, views=False)[0] or [b""]
        return canned
    if make in PARTS:
        canned_parts = PARTS[make](*(_can_memory(part, registry) for part in parts))
        if state:
            state[-1](canned_parts, state[0])
        return canned_parts
    return obj
