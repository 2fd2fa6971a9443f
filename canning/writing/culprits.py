"""What a user needs of an object that cannot be pickled: what to send instead, and its place in a table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ..forking import KINDS

_NAME: Final = 60
"""Characters of a column's name that a path shows."""
_LOCK: Final = "leave it out, or let the class that holds it drop it in __getstate__"
_OF_PROCESS: Final = "it belongs to its process: send"
_INSTEAD: Final[dict[str, str]] = {
    "builtins.generator": "send a list of its items",
    "builtins.async_generator": "send a list of its items",
    "builtins.coroutine": "await it, and send its result",
    "builtins.frame": "send what you need of its f_locals, or the text of traceback.format_stack",
    "weakref.ReferenceType": "send the object that it refers to, or leave it out",
    "re.Match": "send its groups(), or its span()",
    "_socket.socket": f"{_OF_PROCESS} its address, and connect there",
    "zmq.sugar.socket.Socket": f"{_OF_PROCESS} its address, and connect there",
    "zmq.sugar.context.Context": f"{_OF_PROCESS} the addresses of its sockets, and make a context there",
    "sqlite3.Connection": f"{_OF_PROCESS} the path of its file, and connect there",
    "sqlite3.Cursor": "send its rows, as fetchall() gives them",
    "_ssl._SSLContext": f"{_OF_PROCESS} the paths of its certificates, and make one there",
    "_asyncio.Future": "await it, and send its result",
    "_contextvars.ContextVar": "send its value, as get() gives it",
    "_thread._local": _LOCK,
    **{f"{kind.__module__}.{kind.__qualname__}": _LOCK for kind in KINDS},
}
"""What to do, by the name of a class; it holds for its subclasses too, and imports none of them."""


def instead_of(culprit: object) -> str | None:
    """Say what to send instead of an object that cannot be pickled; None if that is not known.

    >>> instead_of(x for x in "ab")
    'send a list of its items'
    """
    names = (f"{module}.{name}" for module, name in _classes_of(culprit))
    return next((_INSTEAD[name] for name in names if name in _INSTEAD), None)


def _classes_of(obj: object) -> Iterator[tuple[str, str]]:
    """Return the module and the name of each class of an object; a metaclass of a user's is not asked."""
    look_up = type.__getattribute__
    for kind in look_up(type(obj), "__mro__"):
        yield look_up(kind, "__module__"), look_up(kind, "__qualname__")


def cells_of(obj: Any) -> Iterator[tuple[str, Any]]:
    """Return the parts of a table of pandas as its user names them, each with its step of a path."""
    kinds = {name for module, name in _classes_of(obj) if str(module).partition(".")[0] == "pandas"}
    if "DataFrame" in kinds:
        yield from ((".index", obj.index), (".columns", obj.columns))
        yield from ((_column(label, at), obj.iloc[:, at]) for at, label in enumerate(obj))
    elif "Series" in kinds:
        yield ".index", obj.index
        if obj.dtype.kind == "O":
            yield from ((f".iloc[{at}]", item) for at, item in enumerate(obj.array))
    elif "Index" in kinds and obj.dtype.kind == "O":
        yield from ((f"[{at}]", item) for at, item in enumerate(obj))


def _column(label: object, at: int) -> str:
    short = type(label) is int or (type(label) is str and len(label) <= _NAME)
    return f"[{label!r}]" if short else f".iloc[:, {at}]"
