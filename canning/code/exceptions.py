"""Exceptions as they were raised: made without their ``__init__``, with cause, context, notes and traceback.

By default pickle calls the class again with ``args``, which went to ``Exception.__init__`` and seldom fit the
class's own: that fails, or formats a text twice.
"""

from __future__ import annotations

import contextlib
import copyreg
import types
from typing import Any, Final

from .. import calls
from ..provided import provides

_HEAP_TYPE: Final = 1 << 9
_BY_C: Final = (types.WrapperDescriptorType, types.BuiltinMethodType, types.MethodDescriptorType)
_NOT_KEPT: Final = frozenset(("obj",))
"""Attributes that Python attaches to an exception, and that are not sent."""
_FRAMES: Final = 200
"""Steps of a traceback that are sent from each end."""
_SHOWN: Final = 200
Step = tuple[str, str, int]
"""File, function and line of a step of a traceback."""


def reduce_exception(error: BaseException, *, bare: bool) -> Any:
    """Reduce an exception; a `bare` one is sent without its cause and context, but with a note of them."""
    cls = type(error)
    links = _links_of(error, bare=bare)
    if type(cls.__reduce__) not in _BY_C or cls.__reduce_ex__ is not object.__reduce_ex__:  # type: ignore[comparison-overlap, unused-ignore]
        return _with_links(error.__reduce_ex__(5), links)
    plain = type(cls.__init__) in _BY_C and type(cls.__new__) in _BY_C
    if plain and links.keys() <= {"__notes__"}:  # notes are among its attributes
        return error.__reduce_ex__(5)
    args = error.args
    if isinstance(error, BaseExceptionGroup) and args[:1] != (error.message,):
        args = error.message, error.exceptions
    state = {name: value for name, value in error.__dict__.items() if name != "__notes__"}
    members = _members_of(error)
    for name in copyreg._slotnames(cls):  # type: ignore[attr-defined]
        with contextlib.suppress(AttributeError):
            members[name] = object.__getattribute__(error, name)  # bypasses its `__getattr__`
    return calls.exception, (cls, args), (state, members, links), None, None, calls.fill_exception


def is_of_tblib(reducer: object) -> bool:
    """Tell whether a function is tblib's reducer of exceptions, which it registers with `copyreg` for Dask.

    The reader would need tblib too.
    """
    return getattr(reducer, "__module__", None) == "tblib.pickling_support"


def _links_of(error: BaseException, *, bare: bool) -> dict[str, Any]:
    """List the links of an exception to others, and its traceback."""
    links: dict[str, Any] = {}
    for name in ("__cause__", "__context__"):
        other = getattr(error, name)
        if other is not None:
            links[name] = _stand_in(other) if bare else other
    if "__notes__" in error.__dict__:
        links["__notes__"] = error.__dict__["__notes__"]
    if error.__suppress_context__:
        links["__suppress_context__"] = True
    if error.__traceback__ is not None:
        links["__traceback__"] = steps_of(error.__traceback__)
    return links


def _stand_in(error: BaseException) -> BaseException:
    """Return an exception that describes another one which cannot be sent."""
    try:
        text = str(error)[:_SHOWN]
    except Exception:  # raised by its own code
        text = ""
    made = Exception(f"{type(error).__qualname__}: {text} (which could not be sent itself)")
    return made.with_traceback(error.__traceback__)


def _members_of(error: BaseException) -> dict[str, Any]:
    """List the attributes that an exception keeps in C, if it has any."""
    members: dict[str, Any] = {}
    for base in type(error).__mro__:
        for name, kind in vars(base).items():
            if type(kind) is types.MemberDescriptorType and name not in _NOT_KEPT:
                value = getattr(error, name, None)
                if value is not None and not base.__flags__ & _HEAP_TYPE:
                    members[name] = value
    members.pop("__suppress_context__", None)
    return members


def _with_links(reduced: object, links: dict[str, Any]) -> Any:
    """Add links to the result of an exception's own ``__reduce__``, if it has room for them."""
    if type(reduced) is not tuple or not links:
        return reduced
    make, args, state, items, pairs, setter = (*reduced, *[None] * 6)[:6]
    if setter is not None:
        return reduced
    return make, args, (state, {}, links), items, pairs, calls.fill_exception


@provides("exception")
def make_exception(cls: Any, args: tuple[Any, ...]) -> BaseException:
    """Make an exception from its C arguments, and call no method of its own."""
    base = cls
    while base.__flags__ & _HEAP_TYPE:  # up to the class that decides the memory layout
        base = base.__base__
    made: BaseException = base.__new__(cls, *args)
    with contextlib.suppress(TypeError, ValueError):  # it was made from other arguments
        base.__init__(made, *args)
    BaseException.__setattr__(made, "args", args)  # a frozen dataclass would refuse
    return made


@provides("fill_exception")
def fill_exception(error: Any, state: tuple[Any, dict[str, Any], dict[str, Any]]) -> None:
    """Set the attributes of an exception, and its links to others."""
    own, members, links = state
    set_state: Any = error.__setstate__
    if type(set_state) is types.MethodType:
        set_state(own)
    elif type(own) is dict:
        slots = {name: own.pop(name) for name in copyreg._slotnames(type(error)) if name in own}  # type: ignore[attr-defined]
        error.__dict__.update(own)
        for name, value in slots.items():
            BaseException.__setattr__(error, name, value)
    elif own is not None:
        set_state(own)
    for name, value in members.items():
        with contextlib.suppress(AttributeError, TypeError):  # it may be read-only
            BaseException.__setattr__(error, name, value)
    for name, value in links.items():
        made = make_traceback(value) if name == "__traceback__" else value
        BaseException.__setattr__(error, name, made)
    if "__suppress_context__" not in links and "__cause__" in links:
        BaseException.__setattr__(error, "__suppress_context__", False)


# -- tracebacks ------------------------------------------------------------------------------------------


def reduce_traceback(traceback: types.TracebackType) -> Any:
    """Reduce a traceback to its places."""
    return calls.traceback, (steps_of(traceback),)


def steps_of(traceback: types.TracebackType | None) -> list[Step]:
    """List the steps of a traceback; of a long one, those at its ends."""
    steps: list[Step] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        steps.append((code.co_filename, code.co_name, traceback.tb_lineno or 0))
        traceback = traceback.tb_next
    return steps if len(steps) <= 2 * _FRAMES else steps[:_FRAMES] + steps[-_FRAMES:]


class _Raised(Exception):
    """Raised in a frame, to get a traceback of it."""


@provides("traceback")
def make_traceback(steps: list[Step]) -> types.TracebackType | None:
    """Make a traceback that shows the same places: the names and lines, and none of the variables."""
    made: types.TracebackType | None = None
    for file, name, line in reversed(steps):
        code = _RAISES.replace(co_filename=file, co_name=name, co_qualname=name, co_firstlineno=line)
        try:
            exec(code, {"__name__": "", "raised": _Raised})
        except _Raised as error:
            within: Any = error.__traceback__
            frame = within.tb_next.tb_frame
            made = types.TracebackType(made, frame, -1, line)  # no instruction, so no columns
    return made


_RAISES: Final = compile("raise raised", "", "exec")
