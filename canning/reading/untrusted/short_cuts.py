"""Read in one step what most messages of strangers consist of: a few values, one array, arrays among others.

A few numbers and texts in lists and dicts take `DataReader` less time than its accounts, its names and its
buffers do. So what is small and plain, with no names, no buffers, no calls and no keys but text, is read
without these. Each byte of its header gives at most one value, one place in the memo and one level, so that
a header shorter than the limits cannot exceed them, and its time and memory are within what a message may
take whatever its size.

An array is always the same few opcodes: its buffer, or its few bytes; shape; dtype; where it needs them
layout and read-only flag. Regular expressions find them: a dict of ten arrays is then read in a third of the
time. What the opcodes say goes through the same checks as ever.

Whatever is not as it should be is left to `DataReader`, which reads it from the start, opcode by opcode, or
says what is wrong.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ...limits import Limits
from ...memory.dtypes import BY_NAME
from ...pickles.headers import INLINE, OF_FRAME

# -- small messages -------------------------------------------------------------------------------------

LARGEST: Final = 400
"""Bytes of a header that is read here."""
UNREAD: Final = object()
"""What is given instead of an object that is to be read the long way."""
_I32: Final = struct.Struct("<i").unpack_from
_F64: Final = struct.Struct(">d").unpack_from
_CONSTANTS: Final = {0x4E: None, 0x88: True, 0x89: False}
_EACH: Final = {0x85: 1, 0x86: 2, 0x87: 3}
_TEXT: Final = frozenset((str,))


def room(limits: Limits) -> int:
    """Give the bytes up to which a header is below each limit whatever it says."""
    return min(LARGEST, limits.depth, limits.nodes, limits.memo, limits.message_bytes)


def read_small(data: bytes) -> Any:
    """Read a header, up to and with STOP, for which there is `room`; `UNREAD` where it is for others to read.

    >>> import pickle
    >>> read_small(pickle.dumps({"a": [1, 2.5, None]}, 5))
    {'a': [1, 2.5, None]}
    >>> read_small(pickle.dumps({1: 2}, 5)) is UNREAD
    True
    """
    try:
        return _run(data)
    except (IndexError, ValueError, struct.error):
        return UNREAD


def _run(data: bytes) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: list[Any] = []
    push, remember = stack.append, memo.append
    at, size, floor = 0, len(data), 0
    while True:
        code = data[at]
        at += 1
        if code == 0x8C:  # SHORT_BINUNICODE
            end = at + 1 + data[at]
            if end > size:
                return UNREAD
            push(str(data[at + 1 : end], "utf-8", "surrogatepass"))
            at = end
        elif code == 0x94:  # MEMOIZE
            remember(stack[-1])
        elif code == 0x4B:  # BININT1
            push(data[at])
            at += 1
        elif code == 0x68:  # BINGET
            push(memo[data[at]])
            at += 1
        elif code == 0x47:  # BINFLOAT
            push(_F64(data, at)[0])
            at += 8
        elif code == 0x28:  # MARK
            floor = len(stack)
            marks.append(floor)
        elif code == 0x7D:  # EMPTY_DICT
            push({})
        elif code == 0x5D:  # EMPTY_LIST
            push([])
        elif code == 0x75 or code == 0x65 or code == 0x74:  # SETITEMS, APPENDS, TUPLE
            start = marks.pop()
            items = stack[start:]
            del stack[start:]
            floor = marks[-1] if marks else 0
            if code == 0x74:
                push(tuple(items))
            elif code == 0x65 and type(stack[-1]) is list:
                stack[-1].extend(items)
            elif code == 0x75 and type(stack[-1]) is dict:
                if not _fill(stack[-1], items):
                    return UNREAD
            else:
                return UNREAD
        elif code == 0x61:  # APPEND
            if len(stack) - floor < 2 or type(stack[-2]) is not list:
                return UNREAD
            item = stack.pop()
            stack[-1].append(item)
        elif code == 0x73:  # SETITEM
            if len(stack) - floor < 3 or type(stack[-3]) is not dict:
                return UNREAD
            if not _fill(stack[-3], stack[-2:]):
                return UNREAD
            del stack[-2:]
        elif code in _CONSTANTS:
            push(_CONSTANTS[code])
        elif code == 0x4D:  # BININT2
            push(data[at] | data[at + 1] << 8)
            at += 2
        elif code == 0x4A:  # BININT
            push(_I32(data, at)[0])
            at += 4
        elif code in _EACH:  # TUPLE1 to TUPLE3
            count = _EACH[code]
            if len(stack) - floor < count:
                return UNREAD
            items = stack[-count:]
            del stack[-count:]
            push(tuple(items))
        elif code == 0x29:  # EMPTY_TUPLE
            push(())
        elif code == 0x43:  # SHORT_BINBYTES
            end = at + 1 + data[at]
            if end > size:
                return UNREAD
            push(data[at + 1 : end])
            at = end
        elif code == 0x80:  # PROTO
            if data[at] > 5:
                return UNREAD
            at += 1
        elif code == 0x95:  # FRAME
            at += 8
        elif code == 0x30 and len(stack) > floor:  # POP
            stack.pop()
        elif code == 0x2E and at == size and len(stack) == 1 and not marks:  # STOP
            return stack[0]
        else:
            return UNREAD


def _fill(target: dict[str, Any], items: list[Any]) -> bool:
    """Put items into a dict; False where the keys are not all text, whose hash no stranger can steer."""
    keys = items[::2]
    if len(items) & 1 or not _TEXT.issuperset(map(type, keys)):
        return False
    target.update(zip(keys, items[1::2], strict=True))
    return True


# -- one array that is all of a message -----------------------------------------------------------------

_SIZE: Final = struct.Struct("<I")
_REST: Final = re.compile(rb"\(((?:\x8a\x08.{8}){1,8})t\x8c(.)([!-~]+)tR\.", re.DOTALL)
"""What follows the source of an array in C order that is all of a message: lengths, dtype."""


def read_array(data: bytes, memory: Any) -> Any:
    """Read a header that says that a frame, or what stands in the header, is one array.

    `memory` is the frame, or None. `UNREAD` where it is for others to read.
    """
    if memory is not None:
        at = len(OF_FRAME)
        if not data.startswith(OF_FRAME):
            return UNREAD
    else:
        start = len(INLINE) + _SIZE.size
        if not data.startswith(INLINE) or len(data) < start:
            return UNREAD
        at = start + _SIZE.unpack_from(data, len(INLINE))[0]
        memory = bytearray(data[start:at])
    found = _REST.fullmatch(data, at)
    if found is None:
        return UNREAD
    sizes, count, name = found.groups()
    dtype = BY_NAME.get(name.decode())
    if dtype is None or count[0] != len(name):
        return UNREAD
    ends = range(10, len(sizes) + 1, 10)
    shape = tuple([int.from_bytes(sizes[end - 8 : end], "little", signed=True) for end in ends])
    if min(shape) <= 0 or math.prod(shape) * dtype.itemsize != len(memory):
        return UNREAD
    array = np.ndarray(shape, dtype, memory)
    return array if array.flags.aligned else UNREAD


# -- arrays among others --------------------------------------------------------------------------------

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
    0x4A: (5, _I32),
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
