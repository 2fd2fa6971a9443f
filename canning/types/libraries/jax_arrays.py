"""jax: arrays of the CPU, by numpy's view of their memory; arrays on devices, and keys, are left to jax.

jax uses memory aligned to 64 bytes, such as that of an arena, without a copy.
"""

from __future__ import annotations

from typing import Any, Final

import jax
import numpy as np

from ..budget import charge
from ..canner import Canner
from .checks import need, parts


def _can(array: Any) -> Any:
    if not array.is_fully_addressable or {device.platform for device in array.devices()} != {"cpu"}:
        return NotImplemented
    return np.asarray(array), array.weak_type


def _uncan(state: object) -> Any:
    array, weak = parts(state, np.ndarray, bool)
    need(not array.dtype.hasobject, "an array of objects")
    charge(6000, 3000)  # independent of its size
    made: Any = jax.device_put(array)  # `jax.numpy.asarray` compiles a program for each shape, and keeps it
    if weak:
        made.aval = made.aval.update(weak_type=True)  # as jax unpickles one
    return made


CANNERS: Final = (Canner("jax.Array", _can, _uncan, data=True, exact=True),)
