"""Arrays as this package writes them, read in one step instead of opcode by opcode.

An array with a buffer of its own is always the same few opcodes in a header. One regular expression finds
them: a dict of ten arrays is then read in a third of the time. What the opcodes say goes through the same
checks as ever, and opcodes that are written in any other way are run one by one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .dtypes import BY_NAME

_INT: Final = rb"(?:K.|M..|J.{4})"
_CALL: Final = re.compile(
    rb"(%b)(%b{1,3})([\x85-\x87])\x94(?:h(.)|\x8c\x03(...)\x94)\x87\x94R\x94" % (_INT, _INT), re.DOTALL
)
"""Number of the buffer; lengths, and how many; dtype, from the memo or new; the call. All is memoized."""
_WIDTHS: Final = {
    0x4B: (2, struct.Struct("<B").unpack_from),
    0x4D: (3, struct.Struct("<H").unpack_from),
    0x4A: (5, struct.Struct("<i").unpack_from),
}
MakeArray = Callable[[int, tuple[int, ...], "np.dtype[Any]"], Any]
"""What makes an array of the number of its buffer, a shape and a dtype; the numbers are any ints."""


class ArrayCalls:
    """Read calls of one header.

    Attributes:
        data: the header.
        shapes: those that were read, by their opcodes: most messages have few.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.shapes: dict[tuple[bytes, bytes], tuple[int, ...]] = {}

    def read(self, at: int, memo: list[Any], make: MakeArray) -> tuple[Any, int] | None:
        """Make the array whose opcodes follow its name; give it, and where they end.

        Adds to the memo what they do. None, and nothing done, where they are others.
        """
        found = _CALL.match(self.data, at)
        if found is None:
            return None
        source, lengths, count, again, new = found.groups()
        number = source[1] if source[0] == 0x4B else _ints(source)[0]
        shape = self.shapes.get((lengths, count))
        if shape is None:
            shape = self.shapes[lengths, count] = _ints(lengths)
        if new is not None:
            name: Any = new.decode("ascii", "replace")
        else:
            name = memo[again[0]] if again[0] < len(memo) else None
        dtype = BY_NAME.get(name) if type(name) is str else None
        if dtype is None or len(shape) != count[0] - 0x84:
            return None
        array = make(number, shape, dtype)
        memo += (
            (shape, (number, shape, name), array)
            if new is None
            else (shape, name, (number, shape, name), array)
        )
        return array, found.end()


def _ints(ops: bytes) -> tuple[int, ...]:
    """Give the ints that a row of BININT opcodes pushes."""
    made, at = [], 0
    while at < len(ops):
        width, read = _WIDTHS[ops[at]]
        made.append(read(ops, at + 1)[0])
        at += width
    return tuple(made)
