"""Find out, after a failure, which part of an object cannot be pickled, and the way to it.

Nothing here runs while all goes well.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from .errors import SerializationError

_TRIES: Final = 20_000
"""Parts that are tried before the search is given up, with the path as far as it is known."""
_DEPTH: Final = 200
_PLAIN: Final = frozenset((dict, list, tuple, set, frozenset))
_NAME: Final = 60
"""Characters of a dictionary's key that a path shows."""


def explain_failure(obj: Any, error: Exception, serializer: Any) -> SerializationError:
    """Make the error that names the culprit in `obj`, which `serializer` could not pickle."""
    if isinstance(error, RecursionError) or "recursion" in str(error):
        return SerializationError("nested too deeply to be pickled", "obj")
    search = _Search(serializer)
    try:
        culprit, path, reason = search.run(obj, error)
    except Exception:  # an object that cannot even be looked at
        culprit, path, reason = obj, "obj", error
    if isinstance(reason, RecursionError) or "recursion" in str(reason):
        return SerializationError("nested too deeply to be pickled", path)
    if isinstance(reason, SerializationError):
        return type(reason)(reason.reason, path)
    return SerializationError(_say(culprit, reason), path)


def _say(culprit: Any, reason: Exception) -> str:
    kind = type(culprit)
    text = str(reason)
    if isinstance(reason, TypeError) and text.startswith("cannot pickle"):
        return text  # "cannot pickle '_thread.lock' object": says the type, and no data
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"cannot pickle {name!r} object ({type(reason).__name__} from its own pickling)"


class _Search:
    """Go down from an object to the deepest part that still cannot be pickled."""

    def __init__(self, serializer: Any) -> None:
        self.serializer = serializer
        self.tries = 0
        self.seen: set[int] = set()

    def run(self, obj: Any, error: Exception) -> tuple[Any, str, Exception]:
        path = "obj"
        for _ in range(_DEPTH):
            self.seen.add(id(obj))
            for step, part in parts_of(obj):
                reason = self._failure(part)
                if reason is not None:
                    obj, path, error = part, path + step, reason
                    break
            else:
                return obj, path, error
        return obj, path, error

    def _failure(self, part: Any) -> Exception | None:
        self.tries += 1
        if id(part) in self.seen or self.tries > _TRIES or isinstance(part, str | bytes | int | float):
            return None
        writer = self.serializer._new_writer()
        try:
            self.serializer._write(writer, part)
        except Exception as error:
            return error
        return None


def parts_of(obj: Any) -> Iterator[tuple[str, Any]]:
    """Give the parts of an object that pickling would come to, each with its step of a path.

    >>> [step for step, _ in parts_of({"a": 1, 2: [3]})]
    ["['a']", '[2]']
    """
    if isinstance(obj, dict):
        yield from ((f"[{_show(key)}]", value) for key, value in obj.items())
        yield from ((f".<key {_show(key)}>", key) for key in obj if not isinstance(key, str | int))
    elif isinstance(obj, list | tuple):
        yield from ((f"[{number}]", item) for number, item in enumerate(obj))
    elif isinstance(obj, set | frozenset):
        yield from ((f".<item {number}>", item) for number, item in enumerate(obj))
    elif isinstance(obj, np.ndarray) and obj.dtype.hasobject:
        yield from ((f"[{', '.join(map(str, index))}]", item) for index, item in np.ndenumerate(obj))
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        yield from ((f".args[{number}]", arg) for number, arg in enumerate(obj.args))
        yield from ((f".keywords[{name!r}]", value) for name, value in obj.keywords.items())
    elif isinstance(obj, types.FunctionType):
        yield from _parts_of_function(obj)
    elif isinstance(obj, types.MethodType):
        yield ".__self__", obj.__self__
    if type(obj) not in _PLAIN and not isinstance(obj, type | types.FunctionType | types.ModuleType):
        yield from _attributes(obj)


def _parts_of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f".<closure {name}>", cell.cell_contents
        except ValueError:  # not bound yet
            continue
    for number, default in enumerate(function.__defaults__ or ()):
        yield f".__defaults__[{number}]", default
    for name, default in (function.__kwdefaults__ or {}).items():
        yield f".__kwdefaults__[{name!r}]", default
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f".<global {name}>", function.__globals__[name]


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    state = _state(obj)
    if state is None:
        return
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict):
            yield from ((f".{name}", value) for name, value in part.items() if isinstance(name, str))
        elif part is not None:
            yield ".<state>", part


def _state(obj: Any) -> Any:
    """Ask an object for its state as pickle would; its attributes where it has none to give."""
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: getattr(obj, field.name, None) for field in dataclasses.fields(obj)}
    if isinstance(obj, np.ndarray):
        return getattr(obj, "__dict__", None)
    try:
        reduced = obj.__reduce_ex__(5)
        if isinstance(reduced, tuple) and len(reduced) > 2 and reduced[2] is not None:
            return reduced[2]
        if isinstance(reduced, tuple) and len(reduced) > 1:
            return {f"<argument {number}>": arg for number, arg in enumerate(reduced[1])}
        return None
    except Exception:
        return getattr(obj, "__dict__", None)


def _show(key: Any) -> str:
    if isinstance(key, str | int | float | bytes | bool | None):
        text = repr(key)
        return text if len(text) <= _NAME else f"{text[:_NAME]}..."
    if isinstance(key, tuple):
        return f"({', '.join(map(_show, key))})"
    return f"<{type(key).__qualname__}>"
