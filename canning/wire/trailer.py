"""Frame 0 on the wire: a pickle, and behind its STOP a trailer of plain structs.

    pickle | inline data | lengths | table | extensions | footer

``pickle.loads`` ignores what follows STOP, and a footer of fixed size at the end lets a reader parse and
check everything else before the first opcode runs. ``docs/wire-format.md`` is the specification.
"""

from __future__ import annotations

import struct
import sys
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np

from ..errors import DeserializationError
from ..memory.buffers import Body, flat
from .encoded import CODECS, Encoded, decoded_lengths, parse_encoded

MAGIC: Final = b"\x93CANNED\n"
"""The last bytes of frame 0. A plain pickle ends with ``.``, so neither is taken for the other."""
VERSION: Final = 3

PLAIN: Final = 1
"""Flag: the pickle names nothing of this package, so that any unpickler gives the object itself."""
CALL: Final = 2
"""Flag: the object is a call, ``(function, args, kwargs)``."""
LONE: Final = 8
"""Flag: the object is one array or one bytes object, and its memory is all of frame 1, or where it is
small stands in the pickle."""
CODE: Final = 32
"""Flag: the pickle holds code objects, which only the writer's minor version of Python can run."""
BIG_ENDIAN: Final = 4
"""Flag: written on a big-endian machine."""
SIGNED: Final = 16
"""Flag: the last extension is a signature."""
NARROW: Final = 64
"""Flag: written by a Python whose pointers have 32 bits."""
LIVE: Final = 128
"""Flag: of this package the pickle names what makes functions and classes, and nothing else, so that any
unpickler gives the object itself, its functions in namespaces of their own."""
PORTABLE: Final = 256
"""Flag: readers in any language can read it, and extension `TREE` says as JSON what the pickle says."""
_FLAGS: Final = 511
"""All flags; the others are 0."""

FOOTER: Final = struct.Struct("<QIIII5sHBI8s")
FLAGS: Final = -15
"""Where frame 0 has its flags: the lower byte of them."""
COUNT: Final = 8 - FOOTER.size
"""Where frame 0 says how many frames there are, if they are fewer than 256: one byte."""
_SEAL: Final = struct.Struct("<I8s")
_ENTRY: Final = struct.Struct("<IIQQ")
_EXTENSION: Final = struct.Struct("<HHI")
OPTIONAL: Final = 0x8000
"""Bit of an extension's tag: a reader that does not know it may go on without it."""
MODULES: Final = 8
"""Tag of the modules that came along, as `canning.code.modules.Bundle.pack` writes them."""
_CODE: Final = 32
"""Bytes of a signature."""
SIGNATURE: Final = OPTIONAL | 1
"""Tag: the code that authenticates all frames; see `canning.wire.signing`."""
CHANNEL: Final = OPTIONAL | 2
"""Tag: which message of which conversation this is; see `transport.Channel`."""
VERSIONS: Final = OPTIONAL | 3
"""Tag of the versions of packages whose types the header names; see `canning.code.versions.versions_in`."""
BYTES: Final = OPTIONAL | 4
"""Tag: the numbers of the buffers, 4 bytes each, that arrive as `bytes` objects; of large messages alone."""
TREE: Final = OPTIONAL | 5
"""Tag: what the pickle says, as JSON, for readers without an unpickler; see `canning.pickles.trees`."""
KNOWN: Final = frozenset((CODECS, MODULES, SIGNATURE, CHANNEL, VERSIONS, BYTES, TREE))
"""Tags of the extensions that this version knows."""
_NUMPY: Final = [int(part) for part in np.__version__.split(".")[:2]]
STAMP: Final = bytes([*sys.version_info[:2], *_NUMPY, VERSION])
NATIVE: Final = BIG_ENDIAN * (sys.byteorder == "big") + NARROW * (sys.maxsize < 2**32)
"""Flags of this machine."""

FOLD: Final = 32 * 1024
"""Bytes from which the checksum folds before it runs CRC-32. Headers that are mostly `bytes` of a few KB take
1.2 to 1.3 times as long to write with CRC-32 alone, and 1.6 to 2.1 times as long to read. The sums have 32
bits: those of 64 are no faster here, and a reader in JavaScript needs 64 to 115 ms for 5 MB of them, 3 to 6
for these, and for CRC-32 6 to 20."""
_ROW: Final = 8192

SUM_OF_ALL: Final = crc32(_SEAL.pack(crc32(b""), MAGIC))
"""CRC-32 of any frame 0 whose checksum is a CRC-32, all of it: behind bytes and their CRC-32 the register is
always the same, and so it is behind the magic. One call without a copy checks both."""
SIZES: Final = struct.Struct("<IIII5sHB")
ALONE: Final = {flags: SIZES.pack(1, 0, 0, 0, STAMP, flags | NATIVE, 0) for flags in (0, PLAIN, LONE, LIVE)}
"""What stands between the length and the checksum of a frame 0 that is all of its message, by its flags."""

Entry = tuple[int, int, int, int]
"""Where a buffer is: first frame, number of frames (joined), offset in it, length, both in bytes."""


class Trailer(NamedTuple):
    """What the trailer of a message says, checked against the frames that came with it.

    Attributes:
        pickle_length: bytes of frame 0 up to and with STOP.
        inline_end: where in frame 0 the inline data ends, which starts at `pickle_length`; offsets of
            frame 0 count from its start.
        frames: the number of frames of this message, frame 0 among them.
        lengths: the bytes of each frame behind frame 0, as it is on the wire.
        table: an entry for each buffer of the message; None where buffer i is all of frame i + 1.
        outside: how many of the buffers, the last ones, are pickle's own out-of-band buffers.
        flags: `PLAIN`, `CALL`, `BIG_ENDIAN`, `LONE`, `SIGNED`, `CODE`, `NARROW`, `LIVE`, `PORTABLE`.
        stamp: the writer's environment, a byte each: Python's major and minor version, numpy's major and
            minor version, the version of the format.
        extensions: what else the writer says, by tag, in the order of the message.
        encoded: what the extension `CODECS` says, if there is one.
    """

    pickle_length: int
    inline_end: int
    frames: int
    lengths: tuple[int, ...]
    table: tuple[Entry, ...] | None
    outside: int
    flags: int
    stamp: bytes
    extensions: dict[int, bytes] = {}  # noqa: RUF012 - a NamedTuple's default, never written to
    encoded: tuple[Encoded, ...] = ()


@lru_cache(maxsize=256)
def _lengths(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}Q")


@lru_cache(maxsize=256)
def _tail(count: int) -> struct.Struct:
    """Lengths and footer in one, which is what most messages have: 0.5 µs instead of 0.8."""
    return struct.Struct(f"<{count}QQIIII5sHB")


def checksum(body: bytes | memoryview, tail: bytes | memoryview) -> int:
    """Sum frame 0: `body` is the pickle and the inline data, `tail` the rest up to the checksum.

    CRC-32 of both; of a body of `FOLD` bytes or more, whole rows of 8192 bytes, each 2048 unsigned
    little-endian 32-bit numbers, are first added up modulo 2**32: column by column, and each row in
    itself. The sums take their place.
    """
    if len(body) < FOLD:
        return crc32(tail, crc32(body))
    rows = len(body) // _ROW
    table = np.frombuffer(body, "<u4", rows * _ROW // 4).reshape(rows, -1)
    sums = crc32(np.add.reduce(table, axis=0, dtype=np.uint32).astype("<u4", copy=False))
    sums = crc32(np.add.reduce(table, axis=1, dtype=np.uint32).astype("<u4", copy=False), sums)
    return crc32(tail, crc32(memoryview(body)[rows * _ROW :], sums))


def pack(
    body: Body,
    pickle_length: int,
    lengths: list[int],
    table: list[Entry] | None = None,
    outside: int = 0,
    flags: int = 0,
    extensions: bytes = b"",
) -> bytes:
    """Make frame 0 of a pickle with inline data behind it, and what the trailer is to say.

    `extensions` are those that `extension` has made, behind each other. A body that is a file is written to,
    and gives up its memory.
    """
    count, flags = len(lengths), flags | NATIVE
    if table is None and not extensions:
        tail = _tail(count).pack(*lengths, pickle_length, count + 1, 0, outside, 0, STAMP, flags, 0)
    else:
        footer = (pickle_length, count + 1, len(table or ()), outside, len(extensions), STAMP, flags, 0)
        entries = b"".join([_ENTRY.pack(*entry) for entry in table or ()])
        tail = b"".join((_lengths(count).pack(*lengths), entries, extensions, _tail(0).pack(*footer)))
    if isinstance(body, bytes):
        if len(body) < FOLD:
            front = body + tail
            return front + _SEAL.pack(crc32(front), MAGIC)
        return b"".join((body, tail, _SEAL.pack(checksum(body, tail), MAGIC)))
    total = checksum(body.getbuffer(), tail)
    body.write(tail + _SEAL.pack(total, MAGIC))
    return body.getvalue()


def extension(tag: int, content: bytes) -> bytes:
    """Make one extension of the trailer."""
    return _EXTENSION.pack(tag, 0, len(content)) + content


def extend(head: bytes, extensions: bytes, flags: int, missing: int) -> tuple[bytes, bytes, int]:
    """Add extensions and flags to frame 0, and give it in parts, of which `seal` makes one again.

    The parts: all up to the footer, the footer up to the checksum, and where in the first the lengths
    start. The last extension may lack so many `missing` bytes, to be added to the first part.
    """
    at = len(head) - FOOTER.size
    *sizes, more, stamp, now, reserved, _, _ = FOOTER.unpack_from(head, at)
    start = at - more - sizes[2] * _ENTRY.size - (sizes[1] - 1) * 8
    footer = _tail(0).pack(*sizes, more + len(extensions) + missing, stamp, now | flags, reserved)
    return head[:at] + extensions, footer, start


def seal(front: bytes, footer: bytes, start: int) -> bytes:
    """Put frame 0 together, with the checksum of what is there now."""
    if start < FOLD:
        total = crc32(footer, crc32(front))
    else:
        total = checksum(memoryview(front)[:start], front[start:] + footer)
    return b"".join((front, footer, _SEAL.pack(total, MAGIC)))


def pack_alone(body: Body, flags: int) -> bytes:
    """Make frame 0 of a pickle that is all of the message; `flags` are 0 or one of `PLAIN`, `LONE`, `LIVE`.

    The same as `pack`, for the smallest of messages: 0.4 µs instead of 1.0.
    """
    if not isinstance(body, bytes):
        return pack(body, body.tell(), [], flags=flags)
    if len(body) >= FOLD:
        return pack(body, len(body), [], flags=flags)
    front = body + len(body).to_bytes(8, "little") + ALONE[flags]
    return front + _SEAL.pack(crc32(front), MAGIC)


def parse(head: bytes | memoryview) -> Trailer | None:
    """Read and check the trailer of frame 0; None where the frame has none, and so is a plain pickle.

    `head` is flat. Raises `DeserializationError` where the trailer is of a version that this package
    does not know, contradicts itself, or does not add up to its checksum.
    """
    at = len(head) - FOOTER.size
    if at < 0:
        return None
    length, frames, size, outside, more, stamp, flags, rest, stated, magic = FOOTER.unpack_from(head, at)
    if magic != MAGIC:
        return None
    if stamp[4] != VERSION:
        raise DeserializationError(
            f"frame 0 is of version {stamp[4]} of the format, and this canning reads version {VERSION}: "
            "install the version of canning that the sender has"
        )
    start = at - more - size * _ENTRY.size - (frames - 1) * 8
    if not 0 < length <= start or frames < 1 or outside > (size or frames - 1):
        raise DeserializationError("frame 0 contradicts itself: its parts do not fit into it")
    if start < FOLD:
        intact = crc32(head) == SUM_OF_ALL
    else:
        whole = memoryview(head)
        intact = checksum(whole[:start], whole[start:-12]) == stated
    if not intact:
        raise DeserializationError("frame 0 is damaged: its checksum does not match")
    if rest or flags & ~_FLAGS:
        raise DeserializationError(
            "frame 0 has flags that this canning does not know: "
            "install the version of canning that the sender has"
        )
    lengths = _lengths(frames - 1).unpack_from(head, start) if frames > 1 else ()
    table = None
    extensions = _parse_extensions(bytes(head[at - more : at])) if more else {}
    if bool(flags & SIGNED) != (SIGNATURE in extensions) or not _ends_signed(extensions):
        raise DeserializationError("frame 0 contradicts itself: its signature is not where it belongs")
    if flags & PORTABLE and TREE not in extensions:
        raise DeserializationError(
            "frame 0 contradicts itself: it is portable, and does not say what it holds"
        )
    encoded = parse_encoded(extensions[CODECS], len(lengths)) if CODECS in extensions else ()
    if size:
        behind = start + (frames - 1) * 8
        table = tuple(_ENTRY.iter_unpack(head[behind : behind + size * _ENTRY.size]))
        _check_table(table, decoded_lengths(lengths, encoded), start - length)
    return Trailer(length, start, frames, lengths, table, outside, flags, stamp, extensions, encoded)


def _parse_extensions(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(block):
        fits = at + _EXTENSION.size <= len(block)
        tag, rest, length = _EXTENSION.unpack_from(block, at) if fits else (0, 0, 0)
        at += _EXTENSION.size + length
        if not fits or at > len(block) or rest or tag in found:
            raise DeserializationError("frame 0 contradicts itself: its extensions do not fit into it")
        if tag not in KNOWN and not tag & OPTIONAL:
            raise DeserializationError(
                f"frame 0 has extension {tag}, which this canning does not know: "
                "install the version of canning that the sender has"
            )
        found[tag] = block[at - length : at]
    return found


def _ends_signed(extensions: dict[int, bytes]) -> bool:
    """Tell whether a signature, where there is one, is the last of the extensions, of its size."""
    return SIGNATURE not in extensions or (
        next(reversed(extensions)) == SIGNATURE and len(extensions[SIGNATURE]) == _CODE
    )


def _check_table(table: tuple[Entry, ...], lengths: tuple[int, ...], inline: int) -> None:
    joined: set[int] = set()
    for number, (first, count, offset, length) in enumerate(table):
        if count == 1:
            room = inline if first == 0 else lengths[first - 1] if first <= len(lengths) else -1
            fits = offset + length <= room
        else:
            last = first + count - 1
            fits = first >= 1 and count > 1 and last <= len(lengths) and offset == 0
            fits = fits and joined.isdisjoint(range(first, last + 1))  # each is copied once
            fits = fits and sum(lengths[first - 1 : last]) == length
            joined.update(range(first, last + 1) if fits else ())
        if not fits:
            raise DeserializationError(f"frame 0 contradicts itself: buffer {number} lies outside its frames")


def check_frames(trailer: Trailer, frames: list[Any]) -> list[Any]:
    """Check that the frames behind frame 0 are there, each as long as the trailer says; return them flat."""
    if len(frames) < trailer.frames - 1:
        raise DeserializationError(
            f"the message is cut: it has {trailer.frames} frames, of which {len(frames) + 1} are here"
        )
    try:
        if tuple(map(len, frames)) == trailer.lengths:  # flat as they are: 0.5 µs saved for each
            return frames
    except TypeError:  # a PickleBuffer, say, which has no length
        pass
    views = [flat(frame) for frame in frames]
    for number, (view, length) in enumerate(zip(views, trailer.lengths, strict=True), 1):
        if view.nbytes != length:
            raise DeserializationError(
                f"frame {number} has {view.nbytes} bytes, and {length} were sent: "
                "frames were cut, swapped or lost"
            )
    return views


def count_frames(head: object) -> int:
    """Tell how many frames the message has that starts with frame 0; 1 for a plain pickle."""
    trailer = parse(flat(head))
    return 1 if trailer is None else trailer.frames
