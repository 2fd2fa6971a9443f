"""A signal that comes at any point at which Python can be interrupted.

CPython runs signal handlers at the start of a function, when a loop goes round, and after a call of what is
written in C. `Signal` stands for a signal that comes at each of these points in turn.
"""

from __future__ import annotations

import dis
import itertools
import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import Any

CHECKING = {"CALL", "CALL_FUNCTION_EX", "RESUME", "CALL_KW"}


class Stop(BaseException):
    """What a signal handler raises."""


@cache
def points_of(code: CodeType) -> frozenset[int]:
    """Give the instructions before which a signal handler may run, as if from the one before.

    Where a loop goes round, that is the jump itself, whatever stands behind it.
    """
    table = dis._parse_exception_table(code) if hasattr(dis, "_parse_exception_table") else []

    def handler(offset: int) -> Any:
        return next((each.target for each in table if each.start <= offset < each.end), None)

    steps = list(dis.get_instructions(code))
    return frozenset(
        step.offset
        for before, step in itertools.pairwise(steps)
        if step.opname == "JUMP_BACKWARD"
        or (before.opname in CHECKING and handler(before.offset) == handler(step.offset))
    )


class Signal:
    """Do something once, at the point of that number in files of these names, in the thread that asks."""

    def __init__(self, number: int, handler: Callable[[], object], files: tuple[str, ...]) -> None:
        self.left = number
        self.handler = handler
        self.files = files
        self.came = False
        self.where = ""

    def __enter__(self) -> None:
        if not self.came:
            sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if self.came or not frame.f_code.co_filename.startswith(self.files):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and frame.f_lasti in points_of(frame.f_code):
            self.left -= 1
            if self.left < 0:
                self.came = True
                self.where = f"{frame.f_code.co_qualname}, line {frame.f_lineno}"
                sys.settrace(None)
                self.handler()
        return self._trace
