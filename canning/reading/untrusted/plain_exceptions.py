"""Builtin exceptions as plain data: their arguments, attributes and links to others, but no traceback.

A traceback names files, and a program that shows it opens them: it is left out.
"""

from __future__ import annotations

import builtins
import functools
from typing import Any, Final

from ...errors import DeserializationError
from ...types.allowed import refuse
from ...types.libraries.checks import check

EXCEPTIONS: Final = frozenset(
    cls
    for cls in vars(builtins).values()
    if isinstance(cls, type) and issubclass(cls, Exception) and not issubclass(cls, SyntaxError)
)
_NAME: Final = (str, type(None))
_FILE: Final = (str, bytes, int, type(None))
_MEMBERS: Final[dict[str, tuple[type, ...]]] = {
    **dict.fromkeys(("name", "path"), _NAME),
    **dict.fromkeys(("filename", "filename2"), _FILE),
}
"""The attributes that exceptions keep in C besides their arguments; all others follow from these."""
_LINKS: Final[dict[str, tuple[type, ...]]] = {
    "__cause__": tuple(EXCEPTIONS),
    "__context__": tuple(EXCEPTIONS),
    "__notes__": (list,),
    "__suppress_context__": (bool,),
    "__traceback__": (list,),
}


def make_exception(cls: type[Exception], *args: Any) -> Exception:
    """Make a builtin exception from its arguments."""
    if issubclass(cls, UnicodeError) and cls is not UnicodeError:
        check(args, *((str,) if cls is not UnicodeTranslateError else ()), (str, bytes), int, int, str)
        text, start, end = args[-4:-1]
        if not 0 <= start <= end <= len(text):
            raise DeserializationError("an error of a place that its text does not have")
    return cls(*args)


CONSTRUCTORS: Final = {cls: functools.partial(make_exception, cls) for cls in EXCEPTIONS}


def make_raised(make: Any, args: Any) -> Exception:
    """Make an exception in the form in which raised ones are sent: `make` is one of `CONSTRUCTORS`."""
    if make not in CONSTRUCTORS.values() or type(args) is not tuple:
        raise refuse("an exception that is not builtin")
    made: Exception = make(*args)
    return made


def fill_exception(obj: Exception, state: Any) -> list[Any]:
    """Set the attributes and notes of an exception, and the name that was not found; return what it holds.

    Since Python 3.12 an AttributeError repeats its ``args`` in its state, which is ignored.
    """
    if type(state) is not dict:
        raise DeserializationError("an exception with an invalid state")
    state = {name: value for name, value in state.items() if name != "args"}
    notes = state.pop("__notes__", [])
    if type(notes) is not list or any(type(note) is not str for note in notes):
        raise DeserializationError("invalid notes of an exception")
    _set_members(obj, {name: state.pop(name) for name in _MEMBERS if name in state})
    if any(type(name) is not str or name.startswith("_") or hasattr(type(obj), name) for name in state):
        raise DeserializationError("an exception with attributes of unusual names")
    vars(obj).update(state)
    for note in notes:
        obj.add_note(note)
    return list(state.values())


def fill_raised(obj: Any, state: Any) -> list[Any]:
    """Set the attributes and links of a raised exception; return what it now holds."""
    if type(obj) not in EXCEPTIONS or type(state) is not tuple or len(state) != 3:
        raise refuse("the state of an exception that is not builtin")
    own, members, links = state
    if type(members) is not dict or type(links) is not dict or not links.keys() <= _LINKS.keys():
        raise DeserializationError("an invalid state of an exception")
    for name, value in links.items():
        if type(value) not in _LINKS[name]:
            raise DeserializationError(f"an invalid {name} of an exception")
    held = fill_exception(obj, {**(own or {}), "__notes__": links.get("__notes__", [])})
    _set_members(obj, {name: members[name] for name in _MEMBERS if name in members})
    others = {name: links[name] for name in ("__cause__", "__context__") if name in links}
    for name, other in others.items():
        setattr(obj, name, other)
    obj.__suppress_context__ = links.get("__suppress_context__", False)
    return [*held, *others.values()]


def _set_members(obj: Exception, members: dict[str, Any]) -> None:
    for name, value in members.items():
        if type(value) not in _MEMBERS[name] or not hasattr(type(obj), name):
            raise DeserializationError(f"an invalid {name} of an exception")
        setattr(obj, name, value)
