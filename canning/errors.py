"""One tree of errors: misuse on this side apart from bad messages from the other."""

from __future__ import annotations

import dis
import inspect
import signal
import traceback
import types
from typing import Final

SHOWN: Final = 120
"""Characters of a name that errors show."""


def text_of(error: BaseException) -> str:
    """Say what an error is, with its text where Python itself has written that: it names types, and no data.

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
    """Tell whether a signal handler raised an error: nobody's fault, and to be passed on as it is.

    Python gives a handler the frame that it interrupts, and some throw that away.
    """
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
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
    """Be the base of every error that this package raises on purpose."""


class SerializationError(CanningError):
    """Say that an object of ours cannot be sent, and where in it the culprit stands.

    Attributes:
        path: the way to the culprit from the object given, as Python would write it
            (``obj['model'].layers[3].lock``), or None where it could not be found.
        reason: what is wrong with it.
    """

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


class CannerError(SerializationError):
    """Say that a registered canner returned something that does not fit."""


class DeserializationError(CanningError):
    """Say that a message from the other side cannot be read; nothing of it was delivered."""


class AuthenticationError(DeserializationError):
    """Say that a message is not signed with a key of the reader's; nothing of it was read."""


class UnresolvedReference(DeserializationError, NameError):
    """Say that a `Reference` names nothing in the namespace that it was looked up in."""


class MissingCode(DeserializationError):
    """Say that a message names code which is not here.

    Attributes:
        module: the module that was asked for.
        name: what was asked of it, None where the module itself is what is missing.
        path: where in the object that stands, as Python would write it; None where it is not known.
        distribution: what usually provides the module, as pip knows it; None where that is not known.
    """

    def __init__(
        self,
        text: str,
        module: str = "",
        name: str | None = None,
        path: str | None = None,
        distribution: str | None = None,
    ) -> None:
        super().__init__(text)
        self.module = module
        self.name = name
        self.path = path
        self.distribution = distribution


class MissingModule(MissingCode):
    """Say that a message needs a module that cannot be found here."""


class MissingClass(MissingCode):
    """Say that a message needs a class or function that its module does not have here."""


class VersionMismatch(DeserializationError):
    """Say that a message holds code of another minor version of Python."""


class VersionWarning(UserWarning):
    """Say that a message comes from other versions than are here, and may work all the same."""


def name_for_errors(module: object, name: object) -> str:
    """Show a name that a message asks for: it is text of a stranger's, so short and printable only."""
    text = f"{module}.{name}"[:SHOWN]
    return "".join(letter if letter.isprintable() else "?" for letter in text)
