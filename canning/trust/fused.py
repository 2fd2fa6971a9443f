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
_SIZES: Final = rb"(%b{1,3})([\x85-\x87])\x94" % _INT
"""Lengths or strides, and how many."""
_DTYPE: Final = rb"(?:h(.)|\x8c(.)([!-~]+)\x94)"
"""A name, from the memo or new; a new one with its length."""
_SHORT: Final = re.compile(_SIZES + _DTYPE + rb"\x87\x94R\x94", re.DOTALL)
_LONG: Final = re.compile(
    rb"\((%b)%b%b(?:N|(%b)%b\x86\x94)([\x88\x89])?t\x94R\x94" % (_INT, _SIZES, _DTYPE, _INT, _SIZES),
    re.DOTALL,
)
"""With a layout, or None in its place; and with a flag."""
_WIDTHS: Final = {
    0x4B: (2, struct.Struct("<B").unpack_from),
    0x4D: (3, struct.Struct("<H").unpack_from),
    0x4A: (5, struct.Struct("<i").unpack_from),
}
Sizes = tuple[int, ...]
MakeArray = Callable[[int | bytes, Sizes, str, tuple[int, Sizes] | None, bool], Any]
"""What makes an array of the number of its buffer or its bytes, a shape, the text of a dtype, a layout, a
flag; the numbers are any ints, and the text is any text."""


class ArrayCalls:
    """Read calls of one header.

    Attributes:
        data: the header.
        sizes: those that were read, by their opcodes: most messages have few.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sizes: dict[tuple[bytes, bytes], Sizes] = {}

    def read(self, at: int, memo: list[Any], make: MakeArray) -> tuple[Any, int] | None:
        """Make the array whose opcodes follow its name; give it, and where they end.

        Adds to the memo what they do. None, and nothing done, where they are others.
        """
        data = self.data
        code = data[at]
        if code == 0x28:  # MARK
            return self._read_long(at, memo, make)
        source: int | bytes
        if code == 0x43:  # SHORT_BINBYTES
            behind = at + 2 + data[at + 1]
            source, at = data[at + 2 : behind], behind + 1
            if data[behind : behind + 1] != b"\x94":
                return None
        elif code in _WIDTHS:
            width, unpack = _WIDTHS[code]
            if at + width >= len(data):
                return None
            source, at = unpack(data, at + 1)[0], at + width
        else:
            return None
        found = _SHORT.match(data, at)
        if found is None:
            return None
        lengths, count, again, size, new = found.groups()
        shape = self._sizes(lengths, count)
        name = _name(memo if type(source) is int else [*memo, source], again, size, new)
        if shape is None or name is None:
            return None
        array = make(source, shape, name, None, False)
        args = (source, shape, name)
        if type(source) is bytes:
            memo.append(source)
        memo += (shape, args, array) if new is None else (shape, name, args, array)
        return array, found.end()

    def _read_long(self, at: int, memo: list[Any], make: MakeArray) -> tuple[Any, int] | None:
        found = _LONG.match(self.data, at)
        if found is None:
            return None
        number, lengths, count, again, size, new, offset, steps, dimensions, flag = found.groups()
        shape, name = self._sizes(lengths, count), _name(memo, again, size, new)
        if shape is None or name is None:
            return None
        layout = None
        if offset is not None:
            strides = self._sizes(steps, dimensions)
            if strides is None:
                return None
            layout = (_int(offset), strides)
        source = _int(number)
        array = make(source, shape, name, layout, flag == b"\x88")
        args = (
            (source, shape, name, layout) if flag is None else (source, shape, name, layout, flag == b"\x88")
        )
        memo += (shape,) if new is None else (shape, name)
        memo += (args, array) if layout is None else (layout[1], layout, args, array)
        return array, found.end()

    def _sizes(self, ops: bytes, count: bytes) -> Sizes | None:
        """Give lengths, or strides; None where they are not as many as is said."""
        sizes = self.sizes.get((ops, count))
        if sizes is None:
            sizes = self.sizes[ops, count] = _ints(ops)
        return sizes if len(sizes) == count[0] - 0x84 else None


def _name(memo: list[Any], again: bytes | None, size: bytes | None, new: bytes | None) -> str | None:
    """Give the text of a dtype, from the memo or new; None where it is none."""
    if new is not None:
        return new.decode("ascii") if size is not None and size[0] == len(new) else None
    name = memo[again[0]] if again is not None and again[0] < len(memo) else None
    return name if type(name) is str else None


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
