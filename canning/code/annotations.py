"""Annotations of functions and classes that go by value.

Since Python 3.14 they are kept as code that is run when somebody asks for them, which may fail forever, and
which nothing else needs: https://peps.python.org/pep-0649/. What it gives here is sent, as earlier versions
have it.
"""

from __future__ import annotations

import contextlib
import sys
import types
from typing import Any, Final

from ..errors import is_of_signal

STORED: Final = ("__annotations__", "__annotations_cache__", "__annotate__", "__annotate_func__")
"""What a class keeps of its annotations, in all versions: the last three since 3.14."""


def annotations_of(obj: object) -> dict[str, Any]:
    """Give the annotations of a function, or a class its own: what has no value here as a text of it.

    >>> def add(a: int): ...
    >>> add.__annotations__ = {"a": int}
    >>> annotations_of(add)
    {'a': <class 'int'>}
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        for way in (Format.VALUE, Format.FORWARDREF, Format.STRING):
            with contextlib.suppress(Exception):  # of an expression, which may be any
                return get_annotations(obj, format=way)
        return {}
    own = vars(obj) if isinstance(obj, type) else {"__annotations__": obj.__annotations__}
    return dict(own.get("__annotations__", {}))


def with_annotations(function: types.FunctionType) -> types.FunctionType:
    """Give a function that can tell its annotations: itself, or a copy where it cannot."""
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
    """Copy a function, but for its annotations."""
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
