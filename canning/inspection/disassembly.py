"""A pickle's opcodes, line by line, with the result of each."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from ..pickles import steps, values
from ..pickles.machine import STEPS, PickleMachine
from ..pickles.outline import in_words
from ..pickles.paths import shown_value
from ..pickles.values import Step

if TYPE_CHECKING:
    from .parts import Part

_NAMES: Final = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_LINES: Final = 1_000_000
_TOLD: Final = frozenset(
    (
        *(steps.global_, steps.stack_global, steps.instance, steps.old_object, steps.reduce),
        *(steps.new_object, steps.new_object_ex, steps.build, steps.persistent, steps.binary_persistent),
        *(steps.extension, steps.next_buffer, steps.get, steps.stop),
    )
)
"""Steps whose result is shown."""
_NUMBERS: Final = frozenset(
    (*(values.signed, values.unsigned), *(steps.get, steps.put, steps.extension, steps.proto, steps.frame))
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
    name, step = _NAMES[code], STEPS[code][1]
    text = f"{at:>8}  {'  ' * min(len(machine.marks), 20)}{name}"
    shown = "" if argument is None else _argument(step, argument)
    if shown:
        text += f" {shown}"
    if step in _TOLD:
        value = machine.root if step is steps.stop else machine.stack[-1]
        text += f"  # {in_words(value, part.memory.where)}"
    elif step is steps.put and argument is None:  # MEMOIZE
        text += f"  # memo {len(machine.memo) - 1}"
    return text


def _argument(step: Step, argument: Any) -> str:
    if type(argument) is tuple:
        return " ".join(shown_value(word.decode("latin-1")) for word in argument)
    if type(argument) is bytes:
        return shown_value(argument.decode("latin-1"))
    if step is values.float_:
        return repr(struct.unpack(">d", argument)[0])
    if step in _NUMBERS:
        if len(argument) > 25:
            return f"an int of {len(argument)} bytes"
        return str(int.from_bytes(argument, "little", signed=step is values.signed))
    if len(argument) > 4096:
        return f"{len(argument):,} bytes"
    raw = bytes(argument)
    return shown_value(raw.decode("utf-8", "replace") if step is values.unicode else raw)
