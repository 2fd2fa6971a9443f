"""What stands in headers, byte by byte: what this package writes itself, and what it looks for in others.

`machine` and `steps` follow a pickle opcode by opcode; here are the few sequences that need not be followed.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ..wire.names import CALLS

# -- what is written ------------------------------------------------------------------------------------

ARRAYS: Final = b"\x80\x05\x8c\x0dcanning.calls\x8c\x05array\x93\x940"
NO_ARRAYS: Final = b"\x80\x05N\x940"
"""What stands first in every header: memo entry 0, `calls.array` where the message has arrays. It is
there before the pickler starts, which saves it the search for that name: 2.9 of 5.5 µs for one array."""
_FILL: Final = len(ARRAYS) - len(NO_ARRAYS) - 3
FILLED: Final = NO_ARRAYS + bytes((0x8C, _FILL)) + b" " * _FILL + b"0"
"""The same, as long as `ARRAYS`, by a text that is thrown away: which it is to be shows at the end."""
PROTO: Final = 2
"""Bytes of PROTO, with which each pickle starts."""

CALL: Final = ARRAYS + b"h\0("
"""What a header begins with that is one array; behind it stand the source of the array, and `array_rest`."""
OF_FRAME: Final = CALL + b"K\0"
INLINE: Final = CALL + b"B"
"""The same with the source: frame 1, or so many bytes, whose number follows as 4 bytes."""
_RAW: Final = b"ccanning.calls\nraw\n"
BYTES: Final = b"\x80\x05" + _RAW + b"K\0\x85R."
"""The header of a message that is all of it `bytes`, in frame 1."""
_FRAME: Final = 0x95
_LARGE_BYTES: Final = b"B\x8e\x96"
"""The opcodes of `bytes` and `bytearray` that are large; the others that announce something are of `str`."""
_LENGTH: Final = struct.Struct("<Q")
_SHORT_LENGTH: Final = struct.Struct("<I")


@lru_cache(maxsize=256)
def array_rest(shape: tuple[int, ...], dtype: str, strides: tuple[int, ...] | None) -> bytes:
    """Give the opcodes behind the source of an array: its shape, dtype, layout, and the call."""
    layout = b"" if strides is None else b"K\0" + _numbers(strides) + b"\x86"
    return _numbers(shape) + b"\x8c" + bytes([len(dtype)]) + dtype.encode() + layout + b"tR."


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", number) for number in numbers) + b"t"


def call_raw(number: int, *, mutable: bool) -> bytes:
    """Give the opcodes that stand for `bytes`, or a `bytearray`, by the number of a buffer."""
    return _RAW + b"J" + struct.pack("<i", number) + (b"\x88\x86R" if mutable else b"\x85R")


# -- what is looked for ---------------------------------------------------------------------------------

MAIN: Final = b"\x8c\x08__main__"
"""How a header names the module ``__main__``."""


def names_marked(body: bytes, marked: frozenset[tuple[str, str]]) -> bool:
    """Tell whether a header seems to name something that was marked to go by value."""
    return any(all(_short(part) in body for part in mark) for mark in marked)


def _short(text: str) -> bytes:
    """Give the opcode of a short string; of a long one, its text."""
    raw = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else raw


def modules_asked(header: bytes, wanted: Callable[[str], bool]) -> list[str]:
    """List the modules that are here, are wanted, and that a header asks for.

    A string with the name of a module is none: what data says must not decide which files are sent.
    """
    found = [name for name in list(sys.modules) if _stands_in(name, header) and wanted(name)]
    if all(is_asked(name, header) for name in found):
        return found
    from .machine import PickleMachine  # few headers need it, and its import takes a while

    machine = PickleMachine(memoryview(header)).run()
    asked = {named.module for named in machine.names.values()}
    asked.update(call.args[0] for call in machine.calls if call.target in _IMPORTERS and call.args)
    return [name for name in found if name in asked]


def is_asked(name: str, header: bytes) -> bool:
    """Tell whether a name stands in a header as that of a module, the first time that it stands there."""
    raw = name.encode("utf-8", "surrogatepass")
    return re.search(re.escape(raw) + _ASKED, header, re.DOTALL) is not None


def _stands_in(name: str, header: bytes) -> bool:
    return len(name) < 256 and _short(name) in header


_ASKED: Final = rb"\x94(?:(?:\x8c.[^\x94]*\x94|h.|j....)\x93|\x85\x94R)"
"""What follows the module of a global, and that of `subimport`."""
_IMPORTERS: Final = frozenset((("cloudpickle.cloudpickle", "subimport"), (CALLS, "function_of")))


def announcement(chunk: bytes, size: int, first: bool) -> int:
    """Tell how many bytes at the end of a chunk announce an object of `size` bytes: 5, 9, or 0 for none.

    What follows the frame is an announcement: an opcode and the size. Less than 4 bytes come without
    a frame around them, so that what is left then says it by its length. PROTO stands before the `first`
    frame.
    """
    start = 2 if first else 0
    rest = len(chunk) - start
    if rest and chunk[start] == _FRAME:
        rest -= 9 + _LENGTH.unpack_from(chunk, start + 1)[0]
    if rest >= 9 and _LENGTH.unpack_from(chunk, len(chunk) - 8)[0] == size:
        return 9
    return 5 if rest >= 5 and _SHORT_LENGTH.unpack_from(chunk, len(chunk) - 4)[0] == size else 0


def announces_bytes(chunk: bytes, size: int) -> bool:
    """Tell whether the last `size` bytes of a chunk announce `bytes` or a `bytearray`, and no text."""
    return chunk[-size] in _LARGE_BYTES


@lru_cache(maxsize=256)
def name_within(top: bytes) -> re.Pattern[bytes]:
    """Match what picklers write for the first name of a module: two strings, each memoized, STACK_GLOBAL.

    Or, of a name that leads nowhere, TUPLE2: two arguments of `calls.named`.
    """
    return re.compile(
        rb"\x8c." + re.escape(top) + rb"(?:\.[^\x94]*)?\x94(?:\x8c.[^\x94]*\x94|h.|j....)[\x93\x86]", re.S
    )
