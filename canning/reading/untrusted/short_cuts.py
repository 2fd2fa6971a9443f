"""Read the most common parts of strangers' messages in one step: small ones, long runs of scalars, arrays.

For a few numbers and texts in lists and dicts, `DataReader` itself takes less time than its accounts,
names and buffers. So a message that is small and plain, with no names, no buffers, no calls and only text
as keys, is read without these. Each byte of its header adds at most one value, one memo entry and one level,
so that a header shorter than the limits cannot exceed them, and takes no more time and memory than any
message may.

An array is always the same few opcodes: its buffer, or its few bytes; shape; dtype; if needed, layout
and read-only flag. Regular expressions find them: a dict of ten arrays is then read in a third of the time.
The values of the opcodes pass the same checks as elsewhere.

A run is what fills long lists and dicts: opcodes of ints, floats, short texts, True, False and None, and
nothing else. They import nothing, call nothing and read no memo, so the C unpickler may build them once a
regular expression has checked every byte: it knows the length of each value, so that no byte of a value is
taken for an opcode.

Any other message is left to `DataReader`, which reads it from the start, opcode by opcode, or reports
the error.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from ...limits import Limits

# -- small messages -------------------------------------------------------------------------------------

LARGEST: Final = 400
"""A header of up to this many bytes is read here."""
UNREAD: Final = object()
"""Returned instead of an object that `DataReader` has to read."""
_I32: Final = struct.Struct("<i").unpack_from
_F64: Final = struct.Struct(">d").unpack_from
_CONSTANTS: Final = {0x4E: None, 0x88: True, 0x89: False}
_EACH: Final = {0x85: 1, 0x86: 2, 0x87: 3}
_TEXT: Final = frozenset((str,))


def most_bytes(limits: Limits) -> int:
    """Return the bytes up to which a header cannot exceed any limit."""
    return min(LARGEST, limits.depth, limits.nodes, limits.memo, limits.message_bytes)


def read_small(data: bytes) -> Any:
    """Read a header of up to `most_bytes` bytes, STOP included; `UNREAD` if another reader has to.

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
    """Put items into a dict; False if not all keys are text, whose hash a stranger cannot choose."""
    keys = items[::2]
    if len(items) & 1 or not _TEXT.issuperset(map(type, keys)):
        return False
    target.update(zip(keys, items[1::2], strict=True))
    return True


# -- runs of scalars ------------------------------------------------------------------------------------

LEAST: Final = 64
"""Bytes of the shortest run: opcode by opcode, fewer take less time."""
_MOST: Final = 1 << 15
"""Bytes of the longest run, so that the limits of a message count before it takes much memory."""
LONGEST_INT: Final = 8
"""Bytes of the longest int of a run."""
_LONGEST_TEXT: Final = 64


def _sized(most: int) -> bytes:
    """Return the pattern of a length up to `most`, and as many bytes."""
    sizes = (re.escape(bytes((size,))) + b".{%d}" % size for size in range(1, most + 1))
    return b"(?:" + b"|".join(sizes) + b")"


def scalars(times: bytes = b"") -> bytes:
    """Return the pattern of any opcode of a run, or of stretches of one opcode each with ``times=b"++"``."""
    texts, ints = rb"\x8c" + _sized(_LONGEST_TEXT) + rb"\x94", rb"\x8a" + _sized(LONGEST_INT)
    opcodes = (rb"K.", rb"J....", rb"M..", rb"G........", texts, ints, rb"[N\x88\x89]")
    return b"|".join(b"(?:" + opcode + b")" + times for opcode in opcodes)


@cache
def _run_pattern() -> re.Pattern[bytes]:
    """Return the pattern of a run, whose stretches are as long as they can be: nothing is tried again."""
    return re.compile(b"(?:" + scalars(b"++") + b")++", re.DOTALL)


def read_run(data: bytes, at: int) -> tuple[list[Any], list[str], int] | None:
    """Build the scalars of a run that starts at `at`; None if there is none of `LEAST` bytes.

    Returns the scalars, those of them that the memo has from then on, and the offset behind the run.
    """
    found = _run_pattern().match(data, at, at + _MOST)
    if found is None or found.end() - at < LEAST:
        return None
    run = found[0]
    items: list[Any] = pickle.loads(b"".join((b"(", run, b"l.")))
    memorized = [item for item in items if type(item) is str] if b"\x94" in run else []
    return items, memorized, found.end()


# -- arrays among others --------------------------------------------------------------------------------

_INT: Final = rb"(?:K.|M..|J.{4})"
_SIZES: Final = rb"(%b{1,3}[\x85-\x87]\x94|\)|\(%b{4,32}t\x94)" % (_INT, _INT)
"""Lengths or strides, and their number."""
_DTYPE: Final = rb"(?:h(.)|\x8c(.)([!-~]+)\x94)"
"""A name: from the memo, or new with its length."""
_SHORT: Final = re.compile(_SIZES + _DTYPE + rb"\x87\x94R\x94", re.DOTALL)
_LONG: Final = re.compile(
    rb"%b%b(N|(%b)%b\x86\x94)([\x88\x89])?t\x94R\x94" % (_SIZES, _DTYPE, _INT, _SIZES),
    re.DOTALL,
)
"""With a layout, or None instead; and with a flag."""
_WIDTHS: Final = {
    0x4B: (2, struct.Struct("<B").unpack_from),
    0x4D: (3, struct.Struct("<H").unpack_from),
    0x4A: (5, _I32),
}
_DESCRIPTIONS: Final = frozenset((str, tuple))
Sizes = tuple[int, ...]
Layout = tuple[int, Sizes]
MakeArray = Callable[[int | bytes, Sizes, Any, Layout | None, bool], Any]
"""Makes an array from the number of its buffer or its bytes, a shape, the description of a dtype, a
layout, a flag; the numbers may be any ints, and the description any text or tuple."""


class ArrayCalls:
    """Read the array calls of one header.

    Attributes:
        data: the header.
        sizes, layouts: those read before, by their opcodes: most messages have few.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sizes: dict[bytes, Sizes | None] = {}
        self.layouts: dict[bytes, Layout | None] = {}

    def read(self, at: int, memo: list[Any], make: MakeArray) -> tuple[Any, int] | None:
        """Make the array whose opcodes follow its name; return it and the offset where they end.

        Stores the same memo entries. Returns None, with nothing stored, for other opcodes.
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
        elif code == 0x68:  # BINGET of bytes: all empty arrays share theirs
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
        """Return lengths, or strides; None if their number is wrong."""
        if ops in self.sizes:
            return self.sizes[ops]
        many = ops[0] in b")("  # none, or those above a mark
        sizes = _ints(ops[many:-2])
        found = self.sizes[ops] = sizes if many or len(sizes) == ops[-2] - 0x84 else None
        return found

    def _layout(self, ops: bytes, offset: bytes, steps: bytes) -> Layout | None:
        """Return an offset and strides."""
        if ops not in self.layouts:
            strides = self._sizes(steps)
            self.layouts[ops] = None if strides is None else (_int(offset), strides)
        return self.layouts[ops]


def _description(memo: list[Any], again: bytes | None, size: bytes | None, new: bytes | None) -> Any:
    """Return the description of a dtype, from the memo or new; None if it is not one."""
    if new is not None:
        return new.decode("ascii") if size is not None and size[0] == len(new) else None
    found = memo[again[0]] if again is not None and again[0] < len(memo) else None
    return found if type(found) in _DESCRIPTIONS else None


def _int(ops: bytes) -> int:
    return ops[1] if ops[0] == 0x4B else _ints(ops)[0]


def _ints(ops: bytes) -> tuple[int, ...]:
    """Return the ints that a series of BININT opcodes pushes."""
    made, at = [], 0
    while at < len(ops):
        width, read = _WIDTHS[ops[at]]
        made.append(read(ops, at + 1)[0])
        at += width
    return tuple(made)
