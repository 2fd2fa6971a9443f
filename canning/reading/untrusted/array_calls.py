"""Arrays as this package writes them, read in one step instead of opcode by opcode.

An array is always the same few opcodes in a header: its buffer, or its few bytes; shape; dtype; where it
needs them layout and read-only flag. Two regular expressions find them: a dict of ten arrays is then read in
a third of the time. What the opcodes say goes through the same checks as ever, and opcodes that are written
in any other way are run one by one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, Final

_INT: Final = rb"(?:K.|M..|J.{4})"
_SIZES: Final = rb"(%b{1,3}[\x85-\x87]\x94|\)|\(%b{4,32}t\x94)" % (_INT, _INT)
"""Lengths or strides, and how many."""
_DTYPE: Final = rb"(?:h(.)|\x8c(.)([!-~]+)\x94)"
"""A name, from the memo or new; a new one with its length."""
_SHORT: Final = re.compile(_SIZES + _DTYPE + rb"\x87\x94R\x94", re.DOTALL)
_LONG: Final = re.compile(
    rb"%b%b(N|(%b)%b\x86\x94)([\x88\x89])?t\x94R\x94" % (_SIZES, _DTYPE, _INT, _SIZES),
    re.DOTALL,
)
"""With a layout, or None in its place; and with a flag."""
_WIDTHS: Final = {
    0x4B: (2, struct.Struct("<B").unpack_from),
    0x4D: (3, struct.Struct("<H").unpack_from),
    0x4A: (5, struct.Struct("<i").unpack_from),
}
_DESCRIPTIONS: Final = frozenset((str, tuple))
Sizes = tuple[int, ...]
Layout = tuple[int, Sizes]
MakeArray = Callable[[int | bytes, Sizes, Any, Layout | None, bool], Any]
"""What makes an array of the number of its buffer or its bytes, a shape, the description of a dtype, a
layout, a flag; the numbers are any ints, and the description is any text or tuple."""


class ArrayCalls:
    """Read calls of one header.

    Attributes:
        data: the header.
        sizes, layouts: those that were read, by their opcodes: most messages have few.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sizes: dict[bytes, Sizes | None] = {}
        self.layouts: dict[bytes, Layout | None] = {}

    def read(self, at: int, memo: list[Any], make: MakeArray) -> tuple[Any, int] | None:
        """Make the array whose opcodes follow its name; give it, and where they end.

        Adds to the memo what they do. None, and nothing done, where they are others.
        """
        data = self.data
        long = data[at] == 0x28  # MARK
        at += long
        code = data[at]
        kept: list[Any] = []
        source: int | bytes
        if code == 0x43:  # SHORT_BINBYTES
            behind = at + 2 + data[at + 1]
            source, at = data[at + 2 : behind], behind + 1
            if data[behind : behind + 1] != b"\x94":
                return None
            kept.append(source)
        elif code == 0x68:  # BINGET, of bytes: those of all empty arrays are the same
            source = memo[data[at + 1]]
            if type(source) is not bytes:
                return None
            at += 2
        elif code in _WIDTHS:
            width, unpack = _WIDTHS[code]
            if at + width >= len(data):
                return None
            source, at = unpack(data, at + 1)[0], at + width
        else:
            return None
        found = (_LONG if long else _SHORT).match(data, at)
        if found is None:
            return None
        ops, again, size, new, *more = found.groups()
        shape, description = self._sizes(ops), _description(memo, again, size, new)
        if shape is None or description is None:
            return None
        args: tuple[Any, ...] = (source, shape, description)
        layout = flag = None
        if long:
            placed, offset, steps, flag = more
            layout = None if offset is None else self._layout(placed, offset, steps)
            if layout is None and offset is not None:
                return None
            args += (layout,) if flag is None else (layout, flag == b"\x88")
        array = make(source, shape, description, layout, flag == b"\x88")
        if shape:
            kept.append(shape)
        if new is not None:
            kept.append(description)
        if layout is not None:
            kept += (layout[1], layout) if layout[1] else (layout,)
        memo += (*kept, args, array)
        return array, found.end()

    def _sizes(self, ops: bytes) -> Sizes | None:
        """Give lengths, or strides; None where they are not as many as is said."""
        if ops in self.sizes:
            return self.sizes[ops]
        many = ops[0] in b")("  # none, or as many as stand behind a mark
        sizes = _ints(ops[many:-2])
        found = self.sizes[ops] = sizes if many or len(sizes) == ops[-2] - 0x84 else None
        return found

    def _layout(self, ops: bytes, offset: bytes, steps: bytes) -> Layout | None:
        """Give an offset and strides."""
        if ops not in self.layouts:
            strides = self._sizes(steps)
            self.layouts[ops] = None if strides is None else (_int(offset), strides)
        return self.layouts[ops]


def _description(memo: list[Any], again: bytes | None, size: bytes | None, new: bytes | None) -> Any:
    """Give the description of a dtype, from the memo or new; None where it is none."""
    if new is not None:
        return new.decode("ascii") if size is not None and size[0] == len(new) else None
    found = memo[again[0]] if again is not None and again[0] < len(memo) else None
    return found if type(found) in _DESCRIPTIONS else None


def _int(ops: bytes) -> int:
    return ops[1] if ops[0] == 0x4B else _ints(ops)[0]


def _ints(ops: bytes) -> tuple[int, ...]:
    """Give the ints that a row of BININT opcodes pushes."""
    made, at = [], 0
    while at < len(ops):
        width, read = _WIDTHS[ops[at]]
        made.append(read(ops, at + 1)[0])
        at += width
    return tuple(made)
