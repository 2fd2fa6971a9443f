"""The opcodes that push scalars, and make and fill containers, as functions of a `Stacks`."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final

from .nodes import LONG, SHORT, Break, Node, blob, text
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
"""Python's own limit of digits."""
_WHOLE: Final = re.compile(rb"0|-?[1-9]\d{,%d}" % (DIGITS - 1))
_REAL: Final = re.compile(rb"-?\d{1,400}(\.\d{,400})?([eE][+-]?\d{1,5})?|-?inf|nan")
_NUMBER: Final = re.compile(
    rb"\s*+[+-]?+\s*+(0[xXoObB][0-9a-fA-F_]*+|[0-9_]++(\.[0-9_]*+)?+([eE][+-]?+[0-9_]++)?+"
    rb"|\.[0-9_]++([eE][+-]?+[0-9_]++)?+|inf(inity)?|nan)?+L?+\s*+(\0|$)",
    re.IGNORECASE,
)
"""The texts that an unpickler may accept as a number; C stops at a NUL. One pass only: lines are long."""


_INT, _LONG, _FLOAT = b"ILF"
_UNHASHABLE: Final = frozenset(("list", "dict", "set", "bytearray"))


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
    if len(argument) > machine.integer_bytes:
        machine.flaw(at, f"an int of {len(argument)} bytes")
        push(machine, blob("int", argument, machine.behind - len(argument)))
    else:
        push(machine, int.from_bytes(argument, "little", signed=True))


def float_(machine: Stacks, argument: Any, at: int) -> None:
    """Push a float."""
    push(machine, _F64.unpack(argument)[0])


def number(machine: Stacks, argument: bytes, at: int) -> None:
    """Push the number in a line of INT, LONG or FLOAT, or some number if it is hard to read."""
    code = machine.data[at]
    digits = argument.removesuffix(b"L") if code == _LONG else argument
    if code == _INT and argument in (b"00", b"01"):
        push(machine, argument == b"01")
    elif (_REAL if code == _FLOAT else _WHOLE).fullmatch(digits):
        push(machine, float(digits) if code == _FLOAT else int(digits))
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
    """Decode a string of Python 2 as latin-1, which has a character for each byte."""
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
    """Return the byte of an escape sequence in a string."""
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


# -- containers ----------------------------------------------------------------------------------------


def empty(kind: str) -> Step:
    """Make the step that pushes an empty container."""

    def step(machine: Stacks, argument: object, at: int) -> None:
        machine.new(kind, at)

    return step


def nothing(machine: Stacks, argument: object, at: int) -> None:
    """Push the empty tuple, which is one object for all."""
    push(machine, machine.nothing)


def marked(kind: str) -> Step:
    """Make the step that pushes the values above the mark as a container."""

    def step(machine: Stacks, argument: object, at: int) -> None:
        items = machine.items()
        if kind == "dict" and len(items) % 2:
            raise Break("a key without its value")
        machine.new(kind, at, tuple(items) if kind == "tuple" else items)

    return step


def tuple_of(count: int) -> Step:
    """Make the step that pushes a tuple of the last values."""

    def step(machine: Stacks, argument: object, at: int) -> None:
        if len(machine.stack) - machine.fence < count:
            raise Break("takes from an empty stack")
        items = tuple(machine.stack[-count:])
        del machine.stack[-count:]
        machine.new("tuple", at, items)

    return step


def _fill(machine: Stacks, items: list[Any], kinds: tuple[str, ...], at: int) -> None:
    """Add items to the top value: to a container, or by a call of its methods."""
    if not items:
        return
    target = machine.top()
    if type(target) is not Node:
        raise Break("adds to something that holds nothing")
    pairs = "dict" in kinds
    if pairs and any(type(key) is Node and key.kind in _UNHASHABLE for key in items[::2]):
        machine.flaw(at, "an invalid key")
    if target.kind in kinds:
        target.items = target.items if target.items is not None else []
        target.items += items
    else:
        machine.act(at, "method")
        target.more = target.more if target.more is not None else []
        target.more += items
        target.pairs = pairs
    machine.sink(target, items)


def append(machine: Stacks, argument: object, at: int) -> None:
    """Add one item to a list."""
    _fill(machine, [machine.pop()], ("list",), at)


def appends(machine: Stacks, argument: object, at: int) -> None:
    """Add the values above the mark to a list."""
    _fill(machine, machine.items(), ("list",), at)


def set_item(machine: Stacks, argument: object, at: int) -> None:
    """Add a key and its value to a dict."""
    value = machine.pop()
    _fill(machine, [machine.pop(), value], ("dict",), at)


def set_items(machine: Stacks, argument: object, at: int) -> None:
    """Add keys and values to a dict."""
    items = machine.items()
    if len(items) % 2:
        raise Break("a key without its value")
    _fill(machine, items, ("dict",), at)


def add_items(machine: Stacks, argument: object, at: int) -> None:
    """Add items to a set."""
    _fill(machine, machine.items(), ("set",), at)
