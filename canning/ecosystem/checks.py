"""What decoders of plain data ask of state that a stranger made up."""

from __future__ import annotations

import collections
import datetime as dt
from typing import Any, Final

import numpy as np

from ..errors import DeserializationError
from ..layout import Array
from ..trust import DEFAULT_LIMITS
from ..trust.keys import weigh
from ..trust.plain import check
from ..trust.work import charge

_SEEDED: Final = frozenset((type(None), bool, str, bytes))
_PLAIN: Final = frozenset((*_SEEDED, int, float))
_COLLISIONS: Final = 64
"""Different labels that may have the same hash; honest ones have two or three."""


def parts(state: Any, *kinds: type | tuple[type, ...]) -> Any:
    """Check that state is a tuple of as many parts, each exactly of its type; `object` stands for any.

    >>> parts((1, "a"), int, (str, bytes))
    (1, 'a')
    """
    if type(state) is not tuple:
        raise DeserializationError(f"state that is a {type(state).__name__}, not a tuple")
    check(state, *(type(part) if kind is object else kind for part, kind in zip(state, kinds, strict=False)))
    if len(state) != len(kinds):
        raise DeserializationError(f"state of {len(state)} parts, where {len(kinds)} are expected")
    return state


def need(condition: object, what: str) -> None:
    """Raise `DeserializationError`, which says what is wrong, unless the condition holds."""
    if not condition:
        raise DeserializationError(what)


def one_dimensional(array: Any, kinds: str, length: int | None = None) -> Array:
    """Check that an object is an array of one axis, of one of these kinds of dtype, and of a length."""
    need(type(array) is np.ndarray and array.ndim == 1 and array.dtype.kind in kinds, "an array that is none")
    need(length is None or len(array) == length, "arrays of different lengths")
    checked: Array = array
    return checked


def label(name: Any) -> Any:
    """Check what is to name or to index something: whatever may be the key of a dict.

    Labels are hashed, and a tuple that holds another twice, and so on, hashes for ever.
    """
    if type(name) not in _PLAIN:
        charge(weigh(name, DEFAULT_LIMITS))
    return name


def labels(names: list[Any]) -> None:
    """Check many labels, which must not have been chosen to collide in a table of them."""
    counts: collections.Counter[int] = collections.Counter()
    for name in names:
        if type(label(name)) not in _SEEDED:
            counts[hash(name)] += 1
    if counts and max(counts.values()) > _COLLISIONS:
        _check_equal([name for name in names if counts[hash(name)] > _COLLISIONS])


def _check_equal(names: list[Any]) -> None:
    """Check that labels of one hash are one label again and again: of others a look-up takes for ever."""
    kinds: dict[int, set[Any]] = {}
    for name in names:
        known = kinds.setdefault(hash(name), set())
        charge(len(known))
        known.add(name)
        need(len(known) <= _COLLISIONS, "labels that were made to collide")


def time_zone(zone: Any) -> Any:
    """Check a time zone, or that there is none."""
    need(zone is None or isinstance(zone, dt.tzinfo), "a time zone that is none")
    return zone
