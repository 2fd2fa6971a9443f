"""One tree of errors, which separates misuse on this side from bad messages of the other side."""

from __future__ import annotations

import dis
import functools
import inspect
import itertools
import sys
import traceback
import types
import warnings
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
SHOWN: Final = 120
"""Characters of a name in an error."""


def text_of(error: BaseException) -> str:
    """Describe an error, with its text if Python itself has written that: it names types, and no data.

    >>> try:
    ...     len(5)
    ... except TypeError as error:
    ...     text_of(error)
    "TypeError: object of type 'int' has no len()"
    """
    name = type(error).__name__
    by_python = type(error) in _OF_TYPES and not _was_raised_by_a_statement(error)
    return f"{name}: {error}" if by_python else name


_OF_TYPES: Final = frozenset((TypeError, NameError, UnboundLocalError, AttributeError))


def _was_raised_by_a_statement(error: BaseException) -> bool:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None or step.tb_lasti < 0:
        return True
    return step.tb_frame.f_code.co_code[step.tb_lasti] == _RAISE


def is_of_signal(error: BaseException) -> bool:
    """Tell whether a signal handler raised an error, which is then passed on unchanged.

    Python gives a handler the frame that it interrupts, and some handlers drop it.
    """
    signal = sys.modules.get("signal")  # its import takes 0.5 ms; without it nobody has set a handler
    handlers = [signal.getsignal(number) for number in signal.valid_signals()] if signal else []
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(frame.f_code in codes or _was_given_its_caller(frame) for frame in frames)


def _was_given_its_caller(frame: types.FrameType) -> bool:
    code, values = frame.f_code, frame.f_locals
    named = code.co_argcount + code.co_kwonlyargcount
    given = [values.get(name) for name in code.co_varnames[:named]]
    if code.co_flags & inspect.CO_VARARGS:
        given += values.get(code.co_varnames[named], ())
    return frame.f_back is not None and any(each is frame.f_back for each in given)


_RAISE: Final = dis.opmap["RAISE_VARARGS"]


class CanningError(Exception):
    """Base of every error that this package raises on purpose."""


def shorten(error: Exception) -> None:
    """Make the traceback of one of our errors end in the user's call; the entry point raises it again then.

    The text of an error that this library raises on purpose is complete, so its frames, those of canning's
    errors that caused it, and the errors that were handled on the way are left out. An error of a user's own
    code keeps all of them, and so does one that looks like a bug of ours.

    >>> def entry_point(secret):
    ...     try:
    ...         from canning import Key
    ...         Key(secret)
    ...     except Exception as error:
    ...         shorten(error)
    ...         raise error
    >>> try:
    ...     entry_point("no bytes")
    ... except TypeError as error:
    ...     len(list(traceback.walk_tb(error.__traceback__)))
    2
    """
    cause = error.__cause__
    caught = error.__traceback__
    if caught and cause is None and (isinstance(error, CanningError) or error.__suppress_context__):
        handled = _handled_by_a_caller(error, caught.tb_frame)
        error.__context__, error.__suppress_context__ = handled, handled is None
    while isinstance(error, CanningError) and isinstance(cause, CanningError):
        if _has_our_frames_alone(cause, _AROUND):
            cause.__traceback__ = None
        cause = cause.__cause__
    ours = _has_our_frames_alone(error, _AROUND) if isinstance(error, CanningError) else _is_ours(error)
    trace = error.__traceback__
    error.__traceback__ = None if ours else trace and trace.tb_next  # the entry point adds its frame again


def _handled_by_a_caller(error: Exception, entry_point: types.FrameType) -> BaseException | None:
    """Return the exception that a caller was handling when it called: its traceback begins there."""
    callers = {frame for frame, _ in traceback.walk_stack(entry_point.f_back)}
    seen: set[BaseException] = {error}
    context = error.__context__
    while context is not None and context not in seen:
        if context.__traceback__ is not None and context.__traceback__.tb_frame in callers:
            return context
        seen.add(context)
        context = context.__context__
    return None


def shortened(function: Callable[P, T]) -> Callable[P, T]:
    """Make an entry point of a function, whose errors `shorten` handles. It costs one more call, 0.1 µs."""

    @functools.wraps(function)
    def entry_point(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            shorten(error)
            raise error

    return entry_point


_OWN: Final = frozenset(("canning", "transport"))
_AROUND: Final = _OWN | {"cloudpickle", "pickle"}
"""Who is at work where this library is, so that their frames say no more than the error's text."""

_IMPORTING: Final = _AROUND | {"importlib"}


def _is_ours(error: Exception) -> bool:
    """Tell whether a statement of this library raised an error, and nobody else's code is in between."""
    return _has_our_frames_alone(error, _OWN) and _was_raised_by_a_statement(error)


def text_of_lookup(error: BaseException) -> str:
    """Describe an error of an import or a look-up, with its text unless somebody's own code has written it.

    Python's text names the missing module or attribute, and no data.

    >>> try:
    ...     import no_such_module
    ... except ImportError as error:
    ...     text_of_lookup(error)
    "ModuleNotFoundError: No module named 'no_such_module'"
    """
    named = isinstance(error, ImportError | AttributeError) and not _was_raised_by_user(error)
    return f"{type(error).__name__}: {error}" if named else text_of(error)


def _was_raised_by_user(error: BaseException) -> bool:
    """Tell whether a statement of code other than ours and Python's import raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    by = _package(frames[-1]) if frames else ""
    return by not in _IMPORTING and _was_raised_by_a_statement(error)


def _has_our_frames_alone(error: BaseException, packages: frozenset[str]) -> bool:
    return all(_package(frame) in packages for frame, _ in traceback.walk_tb(error.__traceback__))


def _package(frame: types.FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


def warn(text: str, category: type[Warning]) -> None:
    """Warn with the line of the user's call, however deep in this library the reason was found."""
    frames = [frame for frame, _ in traceback.walk_stack(sys._getframe(1))]
    inside = itertools.takewhile(lambda frame: _package(frame) in _OWN, frames)
    warnings.warn(text, category, stacklevel=2 + len(list(inside)))


class SerializationError(CanningError):
    """Raised if an object cannot be sent; says which part of it is to blame.

    Attributes:
        path: the path to that part, as Python would write it (``obj['model'].layers[3].lock``), or None if
            it could not be found.
        reason: what is wrong with it.
    """

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


class CannerError(SerializationError):
    """Raised if a registered `can=` or canner returns something that cannot be sent."""


class DeserializationError(CanningError):
    """Raised if a message, file or blob cannot be read; nothing of it was delivered.

    Attributes:
        path: the path to what cannot be read in the object, as Python would write it; None if unknown.
    """

    read_to: int | None = None
    """The offset in the header up to which the reader of plain data came; None for other readers."""

    def __init__(self, text: str, path: str | None = None) -> None:
        super().__init__(text)
        self.path = path


class AuthenticationError(DeserializationError):
    """Raised if a message is not signed with the reader's key; nothing of it was read."""


class UnresolvedReference(DeserializationError, NameError):
    """Raised if the namespace does not have the name of a `Reference`."""


class MissingCode(DeserializationError):
    """Raised if a message names code that this process does not have.

    Attributes:
        module: the module that the message names.
        name: the class or function that it names; None if the module itself is missing.
        distribution: the package that usually provides the module, as pip knows it; None if unknown.
    """

    def __init__(
        self,
        text: str,
        module: str = "",
        name: str | None = None,
        path: str | None = None,
        distribution: str | None = None,
    ) -> None:
        super().__init__(text, path)
        self.module = module
        self.name = name
        self.distribution = distribution


class MissingModule(MissingCode):
    """Raised if a message needs a module that cannot be found here."""


class MissingClass(MissingCode):
    """Raised if a message needs a class or function that its module does not have here."""


class VersionMismatch(DeserializationError):
    """Raised if a message holds code of another minor version of Python."""


class VersionWarning(UserWarning):
    """Warns that a message was written with other versions than this process has; it may still work."""


def name_for_errors(module: object, name: object) -> str:
    """Show a name that a message asks for: it is a stranger's text, so it is shortened and made printable."""
    text = f"{module}.{name}"[:SHOWN]
    return "".join(letter if letter.isprintable() else "?" for letter in text)
