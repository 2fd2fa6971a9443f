"""pint: Quantity and Unit; the magnitude is sent unchanged, the unit by its names.

A quantity arrives in the reader's application registry, as if pint had unpickled it.
"""

from __future__ import annotations

import decimal
import fractions
import functools
from typing import Any, Final

import numpy as np
import pint

from ..budget import charge, is_counted
from ..canner import Canner
from .checks import need, parts

_pint: Any = pint  # its types lack functions that are called here
_NUMBERS: Final = (int, float, complex, decimal.Decimal, fractions.Fraction, np.ndarray, np.generic)
_POWERS: Final = (int, float, decimal.Decimal, fractions.Fraction)
_NAME: Final = 400, 200
_PREFIXED: Final = 5000, 2000
"""The cost of looking up a unit that the registry has, and of making one: items of 50 ns, bytes."""


def _can_unit(unit: Any) -> Any:
    return (tuple(unit._units.items()),)


def _container(units: Any) -> Any:
    registry = _pint.application_registry.get()
    need(type(units) is tuple and len(units) < 100, "invalid units")
    for name, _ in [parts(unit, str, _POWERS) for unit in units]:
        charge(*(_NAME if name in registry._units else _PREFIXED))
    known = _known.__wrapped__ if is_counted() else _known  # keep nothing from a stranger's message
    return known(registry, units)


@functools.lru_cache(maxsize=64)
def _known(registry: Any, units: Any) -> Any:
    """Make the units again; looking them up adds those with a prefix to the registry."""
    for unit in units:
        name, _ = unit
        need(len(name) < 100 and name.isidentifier(), "an invalid unit")
        registry.parse_units(name)
    return pint.util.UnitsContainer(dict(units))


def _unit(state: object) -> Any:
    (units,) = parts(state, tuple)
    return pint.application_registry.Unit(_container(units))


def _can_quantity(quantity: Any) -> Any:
    return quantity._magnitude, tuple(quantity._units.items())


def _quantity(state: Any) -> Any:
    magnitude, units = state
    return pint.application_registry.Quantity(magnitude, _container(units))


def _checked_quantity(state: object) -> Any:
    magnitude, _ = parts(state, object, tuple)
    need(isinstance(magnitude, _NUMBERS), "a quantity of something other than numbers")
    return _quantity(state)


CANNERS: Final = (
    Canner("pint.Quantity", _can_quantity, _quantity, data=_checked_quantity),
    Canner("pint.Unit", _can_unit, _unit, data=True),
)
