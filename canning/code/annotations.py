"""Annotations of functions and classes that are sent by value.

Since Python 3.14 they are kept as code that runs on demand, may fail forever, and serves nothing else:
https://peps.python.org/pep-0649/. Its values at the sender are sent, in the form of earlier versions.
"""

from __future__ import annotations

import contextlib
import sys
import types
from typing import Any, Final

from ..errors import is_of_signal

STORED: Final = ("__annotations__", "__annotations_cache__", "__annotate__", "__annotate_func__")
"""Attributes of a class that hold its annotations, in all versions: the last three since 3.14."""


def annotations_of(obj: object) -> dict[str, Any]:
    """Return the annotations of a function, or of a class without its bases; one without a value as its text.

    >>> def add(a: int): ...
    >>> add.__annotations__ = {"a": int}
    >>> annotations_of(add)
    {'a': <class 'int'>}
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        for way in (Format.VALUE, Format.FORWARDREF, Format.STRING):
            with contextlib.suppress(Exception):  # an expression may raise anything
                return get_annotations(obj, format=way)
        return {}
    own = vars(obj) if isinstance(obj, type) else {"__annotations__": obj.__annotations__}
    return dict(own.get("__annotations__", {}))


def with_annotations(function: types.FunctionType) -> types.FunctionType:
    """Return a function whose annotations can be read: itself, or a copy without them."""
    try:
        function.__annotations__  # noqa: B018
    except Exception as error:
        if is_of_signal(error):
            raise
        copy = copy_of(function)
        copy.__annotations__ = annotations_of(function)
        return copy
    return function


def copy_of(function: types.FunctionType) -> types.FunctionType:
    """Copy a function without its annotations."""
    copy = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__dict__.update(function.__dict__)
    copy.__kwdefaults__, copy.__doc__ = function.__kwdefaults__, function.__doc__
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return copy
