"""Byte sequences in headers: those that this package writes, and those that it looks for in any header.

`machine` and `steps` follow a pickle opcode by opcode; the few sequences here need no following.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from ..wire.names import CALLS

# -- written -------------------------------------------------------------------------------------------

ARRAYS: Final = b"\x80\x05\x8c\x0dcanning.calls\x8c\x05array\x93\x940"
NO_ARRAYS: Final = b"\x80\x05N\x940"
"""The start of every header: memo entry 0, `calls.array` if the message has arrays. It is written before
the pickler starts, which saves its search for that name: 2.9 of 5.5 µs for one array."""
_FILL: Final = len(ARRAYS) - len(NO_ARRAYS) - 3
FILLED: Final = NO_ARRAYS + bytes((0x8C, _FILL)) + b" " * _FILL + b"0"
"""The same length as `ARRAYS`, by a text that is dropped: the choice is made at the end."""
PROTO: Final = 2
"""Bytes of the PROTO at the start of each pickle."""

CALL: Final = ARRAYS + b"h\0("
"""The start of a header that is one array; the array's source and `array_rest` follow."""
OF_FRAME: Final = CALL + b"K\0"
INLINE: Final = CALL + b"B"
"""The same with the source: frame 1, or inline bytes, whose length follows as 4 bytes."""
_RAW: Final = b"ccanning.calls\nraw\n"
BYTES: Final = b"\x80\x05" + _RAW + b"K\0\x85R."
"""The header of a message that is one `bytes` object, in frame 1."""
NEW_INSTANCE: Final = b")\x81\x94}\x94("
"""An instance and the dict of its fields begin so, behind the class: EMPTY_TUPLE, NEWOBJ, MEMOIZE,
EMPTY_DICT, MEMOIZE, MARK."""
NEW_DICT: Final = b"}\x94"
"""A dict begins so: EMPTY_DICT, MEMOIZE."""
TO_MEMO: Final = b"\x97\x940"
"""Put the next out-of-band buffer into the memo: NEXT_BUFFER, MEMOIZE, POP."""
_FRAME: Final = 0x95
_LARGE_BYTES: Final = b"B\x8e\x96"
"""The opcodes of large `bytes` and `bytearray` objects; other opcodes with a length are those of `str`."""
_LENGTH: Final = struct.Struct("<Q")
_SHORT_LENGTH: Final = struct.Struct("<I")


@lru_cache(maxsize=256)
def array_rest(shape: tuple[int, ...], dtype: str, strides: tuple[int, ...] | None) -> bytes:
    """Return the opcodes behind the source of an array: its shape, dtype, layout, and the call."""
    layout = b"" if strides is None else b"K\0" + _numbers(strides) + b"\x86"
    return _numbers(shape) + b"\x8c" + bytes([len(dtype)]) + dtype.encode() + layout + b"tR."


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", number) for number in numbers) + b"t"


_REST: Final = re.compile(
    rb"\(((?:\x8a\x08.{8})*)t\x8c(.)([!-~]+)(?:K\0\(((?:\x8a\x08.{8})*)t\x86)?tR\.", re.DOTALL
)
_NUMBER: Final = struct.Struct("<2xq")


def read_array_rest(rest: bytes) -> tuple[tuple[int, ...], str, tuple[int, ...] | None] | None:
    """Return the shape, dtype and strides in the opcodes of `array_rest`; None for any others.

    >>> read_array_rest(array_rest((2, 3), "<i4", (4, 8)))
    ((2, 3), '<i4', (4, 8))
    """
    found = _REST.fullmatch(rest)
    if found is None:
        return None
    shape, count, dtype, strides = found.groups()
    if count[0] != len(dtype):
        return None
    return _read_numbers(shape), dtype.decode(), None if strides is None else _read_numbers(strides)


def _read_numbers(ops: bytes) -> tuple[int, ...]:
    return tuple([number for (number,) in _NUMBER.iter_unpack(ops)])


def call_raw(number: int, *, mutable: bool) -> bytes:
    """Return the opcodes that make `bytes`, or a `bytearray`, from the number of a buffer."""
    return _RAW + b"J" + struct.pack("<i", number) + (b"\x88\x86R" if mutable else b"\x85R")


# -- looked for ----------------------------------------------------------------------------------------

MAIN: Final = b"\x8c\x08__main__"
"""The name of the module ``__main__`` in a header."""


def names_marked(body: bytes, marked: frozenset[tuple[str, str]]) -> bool:
    """Tell whether a header seems to name code that was marked to be sent by value."""
    return any(all(_short(part) in body for part in mark) for mark in marked)


def _short(text: str) -> bytes:
    """Return the opcode of a short string; for a long one, its text."""
    raw = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else raw


def modules_asked(header: bytes, wanted: Callable[[str], bool]) -> list[str]:
    """List the wanted modules that are here and that a header asks for.

    A string that equals the name of a module does not count: data must not decide which files are sent.
    """
    found = [name for name in list(sys.modules) if _stands_in(name, header) and wanted(name)]
    if all(is_asked(name, header) for name in found):
        return found
    from .machine import PickleMachine  # few headers need it, and the import is slow

    machine = PickleMachine(memoryview(header)).run()
    asked = {named.module for named in machine.names.values()}
    asked.update(call.args[0] for call in machine.calls if call.target in _IMPORTERS and call.args)
    return [name for name in found if name in asked]


def is_asked(name: str, header: bytes) -> bool:
    """Tell whether the first occurrence of a name in a header is as the name of a module."""
    raw = name.encode("utf-8", "surrogatepass")
    return re.search(re.escape(raw) + _ASKED, header, re.DOTALL) is not None


def _stands_in(name: str, header: bytes) -> bool:
    return len(name) < 256 and _short(name) in header


_ASKED: Final = rb"\x94(?:(?:\x8c.[^\x94]*\x94|h.|j....)\x93|\x85\x94R)"
"""The opcodes behind the module of a global, and behind that of `subimport`."""
_IMPORTERS: Final = frozenset((("cloudpickle.cloudpickle", "subimport"), (CALLS, "function_of")))


def announcement(chunk: bytes, size: int, first: bool) -> int:
    """Return how many bytes at the end of a chunk announce an object of `size` bytes: 5, 9, or 0 for none.

    The bytes after the frame are an announcement: an opcode and the size. Fewer than 4 pending bytes are
    written without a frame, so that the number of remaining bytes tells them apart. PROTO precedes the
    `first` frame.
    """
    start = 2 if first else 0
    rest = len(chunk) - start
    if rest and chunk[start] == _FRAME:
        rest -= 9 + _LENGTH.unpack_from(chunk, start + 1)[0]
    if rest >= 9 and _LENGTH.unpack_from(chunk, len(chunk) - 8)[0] == size:
        return 9
    return 5 if rest >= 5 and _SHORT_LENGTH.unpack_from(chunk, len(chunk) - 4)[0] == size else 0


def announces_bytes(chunk: bytes, size: int) -> bool:
    """Tell whether the last `size` bytes of a chunk announce `bytes` or a `bytearray`, and not text."""
    return chunk[-size] in _LARGE_BYTES


@lru_cache(maxsize=256)
def name_within(top: bytes) -> re.Pattern[bytes]:
    """Match the first name of a module as picklers write it: two strings, each memoized, STACK_GLOBAL.

    For a name that could not be found, match TUPLE2: two arguments of `calls.named`.
    """
    return re.compile(
        rb"\x8c." + re.escape(top) + rb"(?:\.[^\x94]*)?\x94(?:\x8c.[^\x94]*\x94|h.|j....)[\x93\x86]", re.S
    )


def framed(opcodes: bytes) -> bytes:
    """Put opcodes into a frame, which the C unpickler reads from a file at once, and not one by one.

    >>> import io, pickle
    >>> pickle.Unpickler(io.BytesIO(framed(b"N."))).load()
    """
    return bytes((_FRAME,)) + len(opcodes).to_bytes(8, "little") + opcodes
