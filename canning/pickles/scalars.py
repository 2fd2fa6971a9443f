"""What the opcodes that push scalars do to the stacks of a `Stacks`."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final

from .nodes import LONG, SHORT, Break, blob, text
from .stacks import Stacks

Step = Callable[["Stacks", Any, int], None]
_F64: Final = struct.Struct(">d")
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS: Final = {
    **{letter.encode(): letter.encode() for letter in "\\'\""},
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"a": b"\a",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
    b"\n": b"",
}
DIGITS: Final = 4300
"""Digits at which Python stops too."""
_USUAL: Final = re.compile(
    rb"(0|-?[1-9]\d{,%d})L?|-?\d{1,400}(\.\d{,400})?([eE][+-]?\d{1,5})?|-?inf|nan" % (DIGITS - 1)
)
_FLOAT: Final = re.compile(rb"[.eEn]")
_NUMBER: Final = re.compile(
    rb"\s*+[+-]?+\s*+(0[xXoObB][0-9a-fA-F_]*+|[0-9_]++(\.[0-9_]*+)?+([eE][+-]?+[0-9_]++)?+"
    rb"|\.[0-9_]++([eE][+-]?+[0-9_]++)?+|inf(inity)?|nan)?+L?+\s*+(\0|$)",
    re.IGNORECASE,
)
"""What an unpickler may take for a number: of C's, a NUL ends it. Nothing is tried twice: lines are long."""


def push(machine: Stacks, value: object) -> None:
    """Push a value."""
    machine.stack.append(value)


def constant(value: object) -> Step:
    """Make the step that pushes a constant."""
    return lambda machine, argument, at: machine.stack.append(value)


def unsigned(machine: Stacks, argument: Any, at: int) -> None:
    """Push an unsigned int."""
    push(machine, int.from_bytes(argument, "little"))


def signed(machine: Stacks, argument: Any, at: int) -> None:
    """Push a signed int of any length."""
    if len(argument) > machine.limits.integer_bytes:
        machine.flaw(at, f"an int of {len(argument)} bytes")
        push(machine, blob("int", argument, machine.behind - len(argument)))
    else:
        push(machine, int.from_bytes(argument, "little", signed=True))


def float_(machine: Stacks, argument: Any, at: int) -> None:
    """Push a float."""
    push(machine, _F64.unpack(argument)[0])


def number(machine: Stacks, argument: bytes, at: int) -> None:
    """Push the number that a line of INT, LONG or FLOAT says, or some number where it is hard to read."""
    if argument in (b"00", b"01"):
        push(machine, argument == b"01")
    elif _USUAL.fullmatch(argument):
        digits = argument.removesuffix(b"L")
        push(machine, float(digits) if _FLOAT.search(digits) else int(digits))
    elif _NUMBER.match(argument):
        machine.doubt(at, "a number that some unpicklers take")
        push(machine, 0)
    else:
        raise Break("an invalid number")


def remember(machine: Stacks, value: Any, size: int) -> None:
    """Push a string or bytes object, and count a long one."""
    push(machine, machine.note(value, size) if size >= LONG else value)


def unicode(machine: Stacks, argument: Any, at: int) -> None:
    """Push a string."""
    remember(machine, text(argument, machine.behind - len(argument)), len(argument))


def bytes_(machine: Stacks, argument: Any, at: int) -> None:
    """Push a bytes object."""
    short = len(argument) <= LONG * 2
    remember(
        machine,
        bytes(argument) if short else blob("bytes", argument, machine.behind - len(argument)),
        len(argument),
    )


def bytearray_(machine: Stacks, argument: Any, at: int) -> None:
    """Push a bytearray."""
    node = machine.new("bytearray", at)
    node.value = blob("bytes", argument, machine.behind - len(argument))


def string(machine: Stacks, argument: Any, at: int) -> None:
    """Decode a string of Python 2: latin-1, which leaves no byte out."""
    raw = bytes(argument[:SHORT]) if len(argument) <= SHORT else None
    push(
        machine,
        blob("str", argument, machine.behind - len(argument)) if raw is None else raw.decode("latin-1"),
    )


def quoted(machine: Stacks, argument: bytes, at: int) -> None:
    """Push the string of STRING, which has quotes and escapes."""
    line = argument.rstrip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise Break("a string without its quotes")
    if line != argument:
        machine.doubt(at, "a string with something after it")
    line = line[1:-1]
    if len(line) > SHORT:
        remember(machine, blob("str", memoryview(line), machine.behind), len(line))
    else:
        remember(machine, _ESCAPE.sub(_unescape, line).decode("latin-1"), len(line))


def _unescape(found: re.Match[bytes]) -> bytes:
    """Give what an escape in a string of bytes stands for."""
    escape = found[1]
    if escape[:1] == b"x":
        return bytes([int(escape[1:], 16)])
    if escape.isdigit():
        return bytes([int(escape, 8) & 255])
    return _LETTERS.get(escape, found[0])


def raw_unicode(machine: Stacks, argument: bytes, at: int) -> None:
    """Push the string of UNICODE."""
    if len(argument) > SHORT:
        remember(machine, blob("str", memoryview(argument), machine.behind), len(argument))
    else:
        remember(machine, argument.decode("raw_unicode_escape"), len(argument))
