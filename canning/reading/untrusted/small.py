"""Read a stranger's message that is small and plain, or one array, without what others need.

Most messages are a few numbers and texts in lists and dicts. The reader of all plain data spends more on
its accounts, its names and its buffers than on their opcodes. Here is what such messages consist of and
nothing else: no names, no buffers, no calls, no keys but text. Each byte of a header gives at most one value,
one place in the memo and one level, so that a header shorter than the limits cannot exceed them, and its time
and memory are within what a message may take whatever its size. Whatever is not as it should be is left
to `DataReader`, which reads it from the start or says what is wrong.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any, Final

import numpy as np

from ...limits import Limits
from ...memory.dtypes import BY_NAME
from ...pickles.headers import INLINE, OF_FRAME

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
