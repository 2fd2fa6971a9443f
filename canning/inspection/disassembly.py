"""A pickle's opcodes, line by line, with the result of each."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ..pickles.machine import PickleMachine
from ..pickles.outline import describe
from ..pickles.paths import shown_value

if TYPE_CHECKING:
    from .parts import Part

_NAMES: Final = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_LINES: Final = 1_000_000
_TOLD: Final = frozenset(
    (
        *("GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD", "PERSID"),
        *("BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "BINGET", "GET", "LONG_BINGET", "STOP"),
    )
)
"""Opcodes whose result is shown."""
_TEXT: Final = frozenset(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"))
_INTS: Final = frozenset(
    ("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINGET", "LONG_BINGET", "BINPUT")
)


def disassemble(part: Part) -> Iterator[str]:
    """Yield a line for each opcode, up to a million: its offset, name, argument, and result."""
    lines: list[str] = []

    def trace(machine: PickleMachine, at: int, code: int, argument: Any) -> None:
        if len(lines) <= _LINES:
            lines.append(_line(machine, part, at, code, argument))

    machine = PickleMachine(part.machine.data, part.machine.start, trace=trace).run()
    yield from lines
    if machine.broken:
        yield f"-- breaks: {machine.broken}"


def _line(machine: PickleMachine, part: Part, at: int, code: int, argument: Any) -> str:
    name = _NAMES[code]
    text = f"{at:>8}  {'  ' * min(len(machine.marks), 20)}{name}"
    shown = _argument(name, argument)
    if shown:
        text += f" {shown}"
    if name in _TOLD:
        value = machine.root if name == "STOP" else machine.stack[-1]
        text += f"  # {describe(value, part.memory.where)}"
    elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
        text += f"  # memo {len(machine.memo) - 1}" if name == "MEMOIZE" else ""
    return text


def _argument(name: str, argument: Any) -> str:
    if argument is None:
        return ""
    if type(argument) is tuple:
        return " ".join(shown_value(word.decode("latin-1")) for word in argument)
    if type(argument) is bytes:
        return shown_value(argument.decode("latin-1"))
    if name == "BINFLOAT" or name in _INTS or (len(argument) in (1, 2, 4, 8) and name in ("PROTO", "FRAME")):
        return _number(name, argument)
    if len(argument) > 4096:
        return f"{len(argument):,} bytes"
    raw = bytes(argument)
    return shown_value(raw.decode("utf-8", "replace") if name in _TEXT else raw)


def _number(name: str, argument: Any) -> str:
    if name == "BINFLOAT":
        import struct

        return repr(struct.unpack(">d", argument)[0])
    if len(argument) > 25:
        return f"an int of {len(argument)} bytes"
    return str(int.from_bytes(argument, "little", signed=name in ("BININT", "LONG1", "LONG4")))
