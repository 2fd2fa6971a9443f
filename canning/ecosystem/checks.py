"""What decoders of plain data ask of state that a stranger made up."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import numpy as np

from ..errors import DeserializationError
from ..layout import Array
from ..trust.plain import check

_ATOMS: Final = (type(None), bool, int, float, complex, str, bytes, dt.datetime, dt.date, dt.timedelta)


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
    """Check what is to name or to index something: an atom, or a tuple of atoms.

    Labels are hashed, and a tuple that holds another twice, and so on, hashes for ever.
    """
    kinds = map(type, name) if type(name) is tuple else (type(name),)
    need(all(kind in _ATOMS or issubclass(kind, _SCALARS) for kind in kinds), "an unusual label")
    return name


def time_zone(zone: Any) -> Any:
    """Check a time zone, or that there is none."""
    need(zone is None or isinstance(zone, dt.tzinfo), "a time zone that is none")
    return zone


_SCALARS: Final = (np.generic, dt.datetime, dt.timedelta)
