"""Checks of arguments: a wrong one is reported by name, before anything is sent, read or made."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Final

import numpy as np

_SIZE: Final = r"(?i)\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*"
_FLAGS: Final = (bool, np.bool_, int)


def _is(kind: type, value: object) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def check_number(name: str, value: object, unit: str) -> None:
    """Raise an error unless a value is a number.

    >>> check_number("lease", "10", "seconds")
    Traceback (most recent call last):
    TypeError: lease= is a number of seconds, not str
    """
    if not _is(Real, value):
        raise TypeError(f"{name}= is a number of {unit}, not {type(value).__name__}")


def check_whole(name: str, value: int, unit: str, least: int = 0) -> None:
    """Raise an error unless a value is a whole number that is large enough.

    >>> check_whole("readers", 1.5, "receivers", least=1)
    Traceback (most recent call last):
    TypeError: readers= is a whole number of receivers, not float
    >>> check_whole("readers", 0, "receivers", least=1)
    Traceback (most recent call last):
    ValueError: readers=0 is not a positive number of receivers
    """
    if not _is(Integral, value):
        raise TypeError(f"{name}= is a whole number of {unit}, not {type(value).__name__}")
    if value < least:
        what = f"a positive number of {unit}" if least == 1 else f"a number of {unit}, {least} or more"
        raise ValueError(f"{name}={value!r} is not {what}")


def check_seconds(name: str, value: float | None) -> None:
    """Raise an error unless a value is a number of seconds, 0 or more, or None.

    >>> check_seconds("timeout", -1)
    Traceback (most recent call last):
    ValueError: timeout must be None or a number of seconds, 0 or more, not -1
    """
    if value is None:
        return
    if not _is(Real, value):
        raise TypeError(f"{name} must be None or a number of seconds, not {type(value).__name__}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{name} must be None or a number of seconds, 0 or more, not {value!r}")


def check_bools(**flags: object) -> None:
    """Raise an error unless values are True or False: every text is true, ``"no"`` too.

    >>> check_bools(mmap="r")
    Traceback (most recent call last):
    TypeError: mmap= is True or False, not str
    """
    for name, value in flags.items():
        if value is not True and value is not False and not (isinstance(value, _FLAGS) and value in (0, 1)):
            raise TypeError(f"{name}= is True or False, not {type(value).__name__}")


def check_callable(name: str, value: object) -> None:
    """Raise an error unless a value is a function, or None.

    >>> check_callable("on_progress", True)
    Traceback (most recent call last):
    TypeError: on_progress= is a function, not bool
    """
    if value is not None and not callable(value):
        raise TypeError(f"{name}= is a function, not {type(value).__name__}")


def check_path(what: str, path: object) -> None:
    """Raise an error unless a value is a path: ``open`` takes a number too, and closes that file.

    >>> check_path("the file of a key", 3)
    Traceback (most recent call last):
    TypeError: the file of a key is named by a str or a Path, not by int
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{what} is named by a str or a Path, not by {type(path).__name__}")


def check_namespace(g: object) -> None:
    """Raise an error unless a value is a dict.

    >>> check_namespace("r")
    Traceback (most recent call last):
    TypeError: g= is a dict, the namespace of functions and references, not str
    """
    if not isinstance(g, dict):
        raise TypeError(f"g= is a dict, the namespace of functions and references, not {type(g).__name__}")


def check_call(args: object, kwargs: object) -> None:
    """Raise an error unless `args` are several arguments, and `kwargs` a dict or None.

    >>> check_call("ab", None)
    Traceback (most recent call last):
    TypeError: args= is a list of arguments, not str
    """
    if not isinstance(args, Iterable) or isinstance(args, str | bytes):
        raise TypeError(f"args= is a list of arguments, not {type(args).__name__}")
    if kwargs is not None and not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs= is a dict of arguments, not {type(kwargs).__name__}")


def parse_size(size: int | str) -> int:
    """Read a number of bytes, as ``"1GiB"``, ``"64 MB"`` or an int; raises `ValueError` for anything else.

    >>> parse_size("1.5KiB"), parse_size("2 MB"), parse_size(7)
    (1536, 2000000, 7)
    """
    if isinstance(size, str):
        found = re.fullmatch(_SIZE, size)
        if found is None:
            raise ValueError(f"capacity={size!r} is not a number of bytes: write it as '1GiB' or '64MB'")
        number, prefix, binary = found.groups()
        power = " kmgt".index(prefix.lower() or " ")
        size = int(float(number) * (1024 if binary else 1000) ** power)
    check_whole("capacity", size, "bytes", least=1)
    return size
