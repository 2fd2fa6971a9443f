"""A pickle followed so that bytes and long text are places in it, since portable messages hold them once."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar, Final

from ..limits import DEFAULT_LIMITS
from . import values
from .machine import STEPS, PickleMachine
from .nodes import Blob
from .stacks import Stacks
from .values import Step, push

_LONG: Final = 1024
"""Bytes from which a text is given by its place in the pickle instead of a copy in the tree."""


def _bytes(machine: Stacks, argument: Any, at: int) -> None:
    push(machine, Blob("bytes", machine.behind - len(argument), len(argument), b""))


def _bytearray(machine: Stacks, argument: Any, at: int) -> None:
    machine.new("bytearray", at).value = Blob("bytes", machine.behind - len(argument), len(argument), b"")


def _text(machine: Stacks, argument: Any, at: int) -> None:
    text = str(argument, "utf-8", "surrogatepass")
    if len(argument) < _LONG or _HALVES.search(text):
        push(machine, text)
    else:
        push(machine, Blob("str", machine.behind - len(argument), len(argument), b""))


_ANY: Final = 2**62
_PLACING: Final[dict[Step, Step]] = {
    values.bytes_: _bytes,
    values.bytearray_: _bytearray,
    values.unicode: _text,
}
_HALVES: Final = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs."""


class PlacingMachine(PickleMachine):
    """Follow a pickle of this process, whatever its size; keep the places of bytes, and all text."""

    STEPS: ClassVar = {
        code: (form, _PLACING.get(step, step), legacy) for code, (form, step, legacy) in STEPS.items()
    }

    def __init__(self, data: memoryview) -> None:
        super().__init__(data, wrappers=False, nodes=_ANY)
        self.limits = replace(DEFAULT_LIMITS, nodes=_ANY, memo=_ANY, integer_bytes=_ANY)
