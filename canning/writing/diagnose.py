"""After pickling failed, find the part of an object that cannot be pickled, and its path.

Nothing here runs unless pickling fails.
"""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import functools
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from ..code.annotations import is_made
from ..errors import CannerError, SerializationError, is_of_signal, text_of
from .attempts import WriteOptions, first_asked, new_writer, pickled
from .culprits import cells_of, instead_of

_TRIES: Final = 20_000
"""Parts to try before the search ends with the path as far as it is known."""
_DEPTH: Final = 200
_PLAIN: Final = frozenset((dict, list, tuple, set, frozenset))
_LEAVES: Final = frozenset(
    (*(str, bytes, bytearray, int, float, complex, bool, type(None), type(...)), range, slice)
)
"""Types whose instances have no parts to look at."""
_CODE: Final = (
    *(types.FunctionType, types.ModuleType, types.MethodType, staticmethod, classmethod, property),
    functools.partial,
)
_DESCRIPTORS: Final = (types.GetSetDescriptorType, types.MemberDescriptorType)
_HEAP_TYPE: Final = 1 << 9
_NAME: Final = 60
"""Characters of a dictionary's key that a path shows."""


def explain_failure(obj: object, error: Exception, options: WriteOptions) -> Exception:
    """Make the error that names the part of `obj` that could not be pickled.

    An error of a signal handler, such as a time-out, is not the object's fault and is returned unchanged.
    """
    if _is_of_depth(error):
        return SerializationError(_too_deep(), "obj")
    search = _Search(options)
    try:
        if is_of_signal(error):
            return error
        found = _find_asked(obj, error)
        if found is not None:
            return _told(*found, error, options.pickler)
        if not isinstance(error, SerializationError) and search.attempt(obj) is None:
            return error
        culprit, path, reason = search.run(obj, error)
    except _Interrupted as interrupted:
        return interrupted.error
    except Exception as other:  # an object that cannot even be inspected
        if is_of_signal(other):
            return other
        culprit, path, reason = obj, "obj", error
    return _told(culprit, path, reason, options.pickler)


def _told(culprit: object, path: str, reason: Exception, pickler: str) -> SerializationError:
    if _is_of_depth(reason):
        return SerializationError(_too_deep(), path)
    if isinstance(reason, SerializationError):
        known = type(reason) in (SerializationError, CannerError)  # others may take other arguments
        return (type(reason) if known else SerializationError)(reason.reason, path)
    return SerializationError(_say(culprit, reason, pickler), path)


def _is_of_depth(error: Exception) -> bool:
    """Tell whether an object is nested too deeply; cloudpickle says so by an error of pickle's."""
    of_pickle = isinstance(error, pickle.PicklingError) and "recursion" in str(error)
    return of_pickle or isinstance(error, RecursionError)


def _find_asked(obj: object, error: Exception) -> tuple[object, str] | None:
    """Find the object whose own method raised an error, and its path; it is not called again."""
    frame = first_asked(error)
    code = None if frame is None else frame.f_code
    if frame is None or code is None or not code.co_argcount:
        return None
    asked = frame.f_locals.get(code.co_varnames[0])
    if type(asked) in _LEAVES:
        return None
    ways: list[tuple[str, Iterator[tuple[str, Any]]]] = [("", iter((("obj", obj),)))]
    seen: dict[int, object] = {}  # keeps them, so that no other has their id
    while ways and len(seen) < _TRIES:
        path, parts = ways[-1]
        try:
            step, part = next(parts, (None, None))
        except Exception as other:  # of an object that cannot be inspected
            if is_of_signal(other):
                raise
            step = part = None
        if step is None:
            ways.pop()
        elif part is asked:
            return asked, path + step
        elif type(part) not in _LEAVES and id(part) not in seen and len(ways) < _DEPTH:
            seen[id(part)] = part
            ways.append((path + step, _named_parts_of(part)))
    return None


def _too_deep() -> str:
    """Name the limit of the C pickler: the stack since Python 3.14, a fixed number since 3.12.

    https://docs.python.org/3.12/whatsnew/3.12.html#sys, https://github.com/python/cpython/issues/91079
    """
    told = "nested too deeply to be pickled: send its parts in a flat list"
    python = sys.version_info[:2]
    if python >= (3, 14):
        return f"{told}, or serialize it in a thread with a larger stack (threading.stack_size)"
    if python >= (3, 12):
        return told
    return (
        f"{told}, or raise sys.setrecursionlimit, of which a level may take three (too high, Python crashes)"
    )


def _say(culprit: object, reason: Exception, pickler: str) -> str:
    kind = type(culprit)
    text = str(reason)
    if pickler == "pickle" and issubclass(kind, types.FunctionType | type):
        what = "class" if issubclass(kind, type) else "function"
        return f'this {what} cannot be imported by its name, which pickler="pickle" needs: take "auto"'
    if isinstance(reason, TypeError) and text.startswith("cannot pickle"):
        return with_way_out(text, culprit)  # "cannot pickle '_thread.lock' object": no data
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if instead_of(culprit):
        return with_way_out(f"cannot pickle {name!r} object", culprit)
    return f"cannot pickle {name!r} object ({text_of(reason)} from its own pickling)"


def with_way_out(text: str, culprit: object) -> str:
    """Add to the reason why an object cannot be pickled what to do instead, if that is known.

    >>> with_way_out("cannot pickle 'generator' object", (x for x in "ab"))
    "cannot pickle 'generator' object: send a list of its items"
    """
    instead = instead_of(culprit)
    return text if instead is None else f"{text}: {instead}"


class _Interrupted(Exception):
    """Report that the first attempt raised an error which a second one does not raise."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Search:
    """Descend from an object to its deepest part that still cannot be pickled."""

    def __init__(self, options: WriteOptions) -> None:
        self.options = options
        self.tries = 0
        self.seen: dict[int, object] = {}  # keeps them, so that no other has their id

    def run(self, obj: object, error: Exception) -> tuple[Any, str, Exception]:
        path = "obj"
        for _ in range(_DEPTH):
            self.seen[id(obj)] = obj
            if instead_of(obj):
                return obj, path, error
            for step, part in _named_parts_of(obj):
                reason = self._failure(part)
                if isinstance(error, SerializationError) and not isinstance(reason, SerializationError):
                    continue  # a deliberate error about the whole says more than an error of a part
                if reason is not None:
                    obj, path, error = part, path + step, reason
                    break
            else:
                return obj, path, error
        return obj, path, error

    def _failure(self, part: object) -> Exception | None:
        self.tries += 1
        if id(part) in self.seen or self.tries > _TRIES or type(part) in _LEAVES:
            return None
        error = self.attempt(part)
        if error is not None and self.attempt(part) is None:
            raise _Interrupted(error)
        return error

    def attempt(self, part: object) -> Exception | None:
        """Pickle a part; return the error that it raises."""
        try:
            pickled(self.options, new_writer(self.options), part)
        except Exception as error:
            if is_of_signal(error):
                raise _Interrupted(error) from None
            return error
        return None


def _named_parts_of(obj: Any) -> Iterator[tuple[str, Any]]:
    """Return the parts of an object, those of a table first by the names that its user knows."""
    yield from cells_of(obj)
    yield from parts_of(obj)


def parts_of(obj: Any) -> Iterator[tuple[str, Any]]:
    """Return the parts of an object that pickling would reach, each with its step of a path.

    >>> [step for step, _ in parts_of({"a": 1, 2: [3]})]
    ["['a']", '[2]']
    """
    kind = type(obj)  # an object's own ``__class__`` may raise
    if kind in _LEAVES:
        return
    if issubclass(kind, dict):
        yield from ((f"[{_show(key)}]", value) for key, value in obj.items())
        yield from ((f".<key {_show(key)}>", key) for key in obj if type(key) not in _LEAVES)
    elif issubclass(kind, list | tuple | collections.deque):
        yield from ((f"[{number}]", item) for number, item in enumerate(obj))
    elif issubclass(kind, set | frozenset):
        yield from ((f".<item {number}>", item) for number, item in enumerate(obj))
    elif issubclass(kind, np.ndarray) and obj.dtype.hasobject:
        yield from ((f"[{', '.join(map(str, index))}]", item) for index, item in np.ndenumerate(obj))
    elif issubclass(kind, functools.partial):
        yield ".func", obj.func
        yield from ((f".args[{number}]", arg) for number, arg in enumerate(obj.args))
        yield from ((f".keywords[{name!r}]", value) for name, value in obj.keywords.items())
        yield from _of_state(vars(obj))
    elif kind is types.FunctionType:
        yield from _parts_of_function(obj)
    elif kind is types.MethodType:
        yield ".__self__", obj.__self__
        yield ".__func__", obj.__func__
    elif kind in (staticmethod, classmethod):
        yield ".__func__", obj.__func__
    elif kind is property:
        yield from ((f".{name}", getattr(obj, name)) for name in ("fget", "fset", "fdel"))
    elif issubclass(kind, type):
        yield from _parts_of_class(obj)
    if kind not in _PLAIN and not issubclass(kind, (type, *_CODE)):
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
    for name in dict.fromkeys(_names(function.__code__)):
        if name in function.__globals__:
            yield f".<global {name}>", function.__globals__[name]
    yield from ((f".{name}", value) for name, value in vars(function).items())


def _names(code: types.CodeType) -> Iterator[str]:
    """Return the names that code and the code inside it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from _names(constant)


def _parts_of_class(cls: type) -> Iterator[tuple[str, Any]]:
    bases = enumerate(cls.__bases__)
    yield from ((f".__bases__[{number}]", base) for number, base in bases if base is not object)
    for name, value in vars(cls).items():
        if type(value) in _DESCRIPTORS or type(value) in _LEAVES or name == "__slotnames__":
            continue
        if not is_made(value):
            yield f".{name}", value


def _attributes(obj: object) -> Iterator[tuple[str, Any]]:
    yield from _state(obj)
    if type(obj).__flags__ & _HEAP_TYPE and not _refuses(obj):
        yield ".__class__", type(obj)


def _refuses(obj: Any) -> bool:
    """Tell whether an object cannot be pickled whatever its class is, as the proxies of wrapt."""
    try:
        obj.__reduce_ex__(5)
    except NotImplementedError:
        return True
    except Exception:
        return False
    return False


def _state(obj: Any) -> Iterator[tuple[str, Any]]:
    """Ask an object for its parts as pickle would; return its attributes if it has none."""
    kind = type(obj)
    if dataclasses.is_dataclass(kind):
        names = (field.name for field in dataclasses.fields(obj))
        yield from ((f".{name}", getattr(obj, name, None)) for name in names)
        return
    if issubclass(kind, np.ndarray):
        yield from _of_state(getattr(obj, "__dict__", None))
        return
    try:
        reduced = obj.__reduce_ex__(5)
    except Exception:
        reduced = None
        yield from _of_state(getattr(obj, "__dict__", None))
    if type(reduced) is not tuple or len(reduced) < 2:
        return
    parts: Any = (*reduced, None, None, None)
    maker, args, state, items, pairs = parts[:5]
    skip = maker is copyreg.__newobj__  # type: ignore[attr-defined]
    if type(args) is tuple:
        numbered = list(enumerate(args))[1:] if skip else enumerate(args)
        yield from ((f".<argument {number}>", arg) for number, arg in numbered)
    yield from _of_state(state)
    if not issubclass(kind, dict | list | collections.deque):
        yield from ((f"[{number}]", item) for number, item in enumerate(items or ()))
        yield from ((f"[{_show(key)}]", value) for key, value in pairs or ())


def _of_state(state: object) -> Iterator[tuple[str, Any]]:
    for part in state if type(state) is tuple else (state,):
        if isinstance(part, dict):
            yield from ((f".{name}", value) for name, value in part.items() if isinstance(name, str))
        elif part is not None:
            yield ".<state>", part


def _show(key: object) -> str:
    if type(key) in _LEAVES:
        text = repr(key)
        return text if len(text) <= _NAME else f"{text[:_NAME]}..."
    if type(key) is tuple:
        return f"({', '.join(map(_show, key))})"
    return f"<{type(key).__qualname__}>"
