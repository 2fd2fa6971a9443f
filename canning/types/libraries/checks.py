"""Checks of decoders on state that a stranger made up."""

from __future__ import annotations

import collections
import datetime as dt
import re
from typing import Any, Final

import numpy as np

from ...errors import DeserializationError
from ...limits import DEFAULT_LIMITS
from ...memory.layout import Array
from ..budget import charge
from ..hash_guard import weigh

_SEEDED: Final = frozenset((type(None), bool, str, bytes))
_PLAIN: Final = frozenset((*_SEEDED, int, float))
_COLLISIONS: Final = 64
"""Different labels that may have the same hash; honest ones have two or three."""
_ATTRIBUTE: Final = re.compile(r"(?:[A-Za-z]|_is_|_no_)\w{0,199}", re.ASCII)
"""Names of attributes: public ones, and the marks that training code sets on tensors (``_is_buffer``)."""
_HOOK: Final = re.compile(r"__.*|_.*_", re.DOTALL)
"""Names that protocols look for: those of Python and numpy, of Jupyter and ctypes (``_repr_html_``)."""
_DATA: Final = frozenset((type(None), bool, int, float, complex, str, bytes, bytearray, np.ndarray))


def check(args: tuple[Any, ...], *kinds: type | tuple[type, ...], optional: int = 0) -> None:
    """Raise `DeserializationError` unless there are these arguments, each exactly of its type."""
    if not len(kinds) - optional <= len(args) <= len(kinds):
        raise DeserializationError(f"{len(args)} arguments, where {len(kinds)} are expected")
    for arg, kind in zip(args, kinds, strict=False):
        if type(arg) not in (kind if isinstance(kind, tuple) else (kind,)):
            raise DeserializationError(f"an argument of type {type(arg).__name__} where none belongs")


def parts(state: object, *kinds: type | tuple[type, ...]) -> Any:
    """Check that state is a tuple of this many parts, each exactly of its type; `object` allows any.

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
    """Raise `DeserializationError` with this text unless the condition holds."""
    if not condition:
        raise DeserializationError(what)


def one_dimensional(array: Any, kinds: str, length: int | None = None) -> Array:
    """Check that an object is an array of one axis, of one of these kinds of dtype, and of a length."""
    need(type(array) is np.ndarray and array.ndim == 1 and array.dtype.kind in kinds, "an invalid array")
    need(length is None or len(array) == length, "arrays of different lengths")
    checked: Array = array
    return checked


def private_copy(array: Any, dtype: Any = None) -> Array:
    """Copy numbers for a check, dense and in the byte order of this machine.

    Data is copied before it is checked: another object of the message, or its sender, may be able to write to
    the memory that arrived, and change it after the check. The account has counted one copy of all data that
    a decoder is given.

    >>> numbers = np.arange(3)
    >>> private_copy(numbers).flags.owndata
    True
    """
    copied: Array = np.array(array, array.dtype.newbyteorder("=") if dtype is None else dtype, order="C")
    return copied


def attribute_names(names: Any) -> None:
    """Check the names of attributes for an object: none that a protocol looks for.

    numpy uses the value of ``__array_interface__`` as an address, on any object.

    >>> attribute_names({"unit": "m"})
    """
    for name in names:
        hook = type(name) is str and _HOOK.fullmatch(name)
        need(not hook, "an attribute with a name that protocols look for")


def attributes(obj: object, more: Any, *kinds: type) -> None:
    """Set attributes of an object: plain data, or values of these kinds; none may hide one of its class.

    >>> class Record: pass
    >>> attributes(Record(), {"__array_interface__": {}})
    Traceback (most recent call last):
    canning.errors.DeserializationError: an attribute with a name that protocols look for
    """
    need(type(more) is dict, "invalid attributes")
    attribute_names(more)
    for name, value in more.items():
        need(type(name) is str and _ATTRIBUTE.fullmatch(name), "an attribute with an unusual name")
        need(not hasattr(type(obj), name), "an attribute that hides one of the class")
        _plain(value, kinds)
    for name, value in more.items():
        setattr(obj, name, value)


def _plain(value: Any, kinds: tuple[type, ...]) -> None:
    rest, seen = [value], set()
    while rest:
        part = rest.pop()
        if type(part) in (list, tuple, dict, set, frozenset):
            if id(part) not in seen:
                seen.add(id(part))
                rest += part.values() if type(part) is dict else part
        else:
            plain = type(part) in _DATA or type(part) in kinds or isinstance(part, np.generic)
            need(plain, "an attribute that is not plain data")


def label(name: object) -> Any:
    """Check a label or an index: any value that may be the key of a dict.

    Labels are hashed, and hashing a tuple that holds another twice, and so on, never ends.
    """
    if type(name) not in _PLAIN:
        charge(weigh(name, DEFAULT_LIMITS) // 50)
    return name


def labels(names: list[Any]) -> None:
    """Check many labels, which must not be chosen to collide in a table of them."""
    counts: collections.Counter[int] = collections.Counter()
    for name in names:
        if type(label(name)) not in _SEEDED:
            counts[hash(name)] += 1
    if counts and max(counts.values()) > _COLLISIONS:
        _check_equal([name for name in names if counts[hash(name)] > _COLLISIONS])


def _check_equal(names: list[Any]) -> None:
    """Check that labels with one hash are equal: others would make each look-up slow."""
    kinds: dict[int, set[Any]] = {}
    for name in names:
        known = kinds.setdefault(hash(name), set())
        charge(len(known))
        known.add(name)
        need(len(known) <= _COLLISIONS, "labels that were made to collide")


def time_zone(zone: object) -> Any:
    """Check a time zone; None is valid too."""
    need(zone is None or isinstance(zone, dt.tzinfo), "an invalid time zone")
    return zone
