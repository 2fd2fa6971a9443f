"""astropy: Quantity and its subclasses, as a numpy array and the name of a unit. Its own pickling copies."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from astropy import coordinates, units

from ..budget import charge
from ..canner import Canner
from .checks import need, parts

_SCALE: Final = re.compile(r"-?[\d.]{1,20}(e[+-]\d{1,3})?(?= |$)", re.ASCII)
_LARGE: Final = re.compile(r"\d{5}")
_RATIO: Final = re.compile(r"\(\d+/\d+\)", re.ASCII)
_LETTER: Final = 500
"""The cost of parsing a letter of a unit, in items of 50 ns."""
_PUBLIC: Final = {"_wrap_angle": "wrap_angle"}
"""How constructors call what astropy keeps in attributes of its own: states have none of these."""
_OWN: Final = {name: own for own, name in _PUBLIC.items()}


@functools.lru_cache(maxsize=256)
def _text_of(unit: Any) -> str | None:
    """Return a unit's name; None if the name does not find it."""
    try:
        text: str = unit.to_string()
        return text if units.Unit(text) == unit else None
    except ValueError:
        return None


@functools.lru_cache(maxsize=256)
def _unit(text: str) -> Any:
    need(len(text) < 1000, "an invalid unit")
    return units.Unit(text)


def _checked_unit(text: str) -> Any:
    """Parse a unit that is not cached; astropy computes powers of ten in it, however large they are.

    Its own names of units have one solidus and no superscripts. It would warn of a second one, which takes
    longer than to parse the unit, and prints and keeps the text.
    """
    scale = _SCALE.match(text)
    need(
        text.isascii() and _RATIO.sub("", text).count("/") < 2,
        "a unit that is not written as astropy writes it",
    )
    need(not _LARGE.search(text, scale.end() if scale else 0), "a unit to a power of five digits")
    charge(_LETTER * min(len(text), 1000), 1000)
    return _unit.__wrapped__(text)


def _can(quantity: Any) -> Any:
    unit = quantity._unit
    text = _text_of(unit)
    more = {_PUBLIC.get(name, name): value for name, value in vars(quantity).items() if name != "_unit"}
    return quantity.view(np.ndarray), unit if text is None else text, more


def _as(cls: Any) -> Callable[[Any], Any]:
    def make(state: tuple[Any, ...]) -> Any:
        array, unit, more = state
        made = array.view(cls)
        made._set_unit(_unit(unit) if type(unit) is str else unit)
        vars(made).update((_OWN.get(name, name), value) for name, value in more.items())
        return made

    return make


def _checked_as(cls: Any) -> Callable[[Any], Any]:
    def make(state: object) -> Any:
        array, text, more = parts(state, np.ndarray, str, dict)
        need(array.dtype.kind in "fc", "a quantity of something other than numbers")
        wrap = more.pop("wrap_angle", None) if cls is coordinates.Longitude else None
        need(wrap is None or type(wrap) is coordinates.Angle, "an invalid angle at which others wrap")
        need(not more, "a quantity that knows more than its unit")
        unit = _checked_unit(text)
        made = cls(array, unit, copy=False, **({} if wrap is None else {"wrap_angle": wrap}))
        need(type(made) is cls, "a quantity of another class")
        return made

    return make


_CLASSES: Final = (
    *(("units.Quantity", units.Quantity), ("coordinates.Angle", coordinates.Angle)),
    *(("coordinates.Latitude", coordinates.Latitude), ("coordinates.Longitude", coordinates.Longitude)),
    ("coordinates.Distance", coordinates.Distance),
)
CANNERS: Final = tuple(
    Canner(f"astropy.{name}", _can, _as(cls), data=_checked_as(cls), exact=True) for name, cls in _CLASSES
)
