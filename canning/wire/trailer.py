"""Frame 0 on the wire: a pickle, and after its STOP opcode a trailer of plain structs.

    pickle | inline data | lengths | table | extensions | footer

``pickle.loads`` ignores everything after STOP, and a footer of fixed size at the end lets a reader parse
and check everything else before the first opcode runs. ``docs/wire-format.md`` is the specification.
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
"""The last bytes of frame 0. A plain pickle ends with ``.``, so the two cannot be confused."""
VERSION: Final = 3

PLAIN: Final = 1
"""Flag: the pickle uses no name of this package, so that any unpickler returns the object itself."""
CALL: Final = 2
"""Flag: the object is a call, ``(function, args, kwargs)``."""
LONE: Final = 8
"""Flag: the object is one array or one bytes object, and its memory is all of frame 1, or inside the
pickle if it is small."""
CODE: Final = 32
"""Flag: the pickle holds code objects, which only the writer's minor version of Python can run."""
BIG_ENDIAN: Final = 4
"""Flag: written on a big-endian machine."""
SIGNED: Final = 16
"""Flag: the last extension is a signature."""
NARROW: Final = 64
"""Flag: written by a Python whose pointers have 32 bits."""
LIVE: Final = 128
"""Flag: the pickle uses no names of this package except those that make functions and classes, so that
any unpickler returns the object itself, with its functions in namespaces of their own."""
PORTABLE: Final = 256
"""Flag: readers in any language can read the message, and extension `TREE` has the pickle as JSON."""
_FLAGS: Final = 511
"""All flags; the other bits are 0."""

FOOTER: Final = struct.Struct("<QIIII5sHBI8s")
FLAGS: Final = -15
"""Offset of the lower byte of the flags in frame 0."""
COUNT: Final = 8 - FOOTER.size
"""Offset in frame 0 of the number of frames, if it is below 256: one byte."""
_SEAL: Final = struct.Struct("<I8s")
_ENTRY: Final = struct.Struct("<IIQQ")
_EXTENSION: Final = struct.Struct("<HHI")
OPTIONAL: Final = 0x8000
"""Bit of an extension's tag: a reader that does not know the tag may ignore the extension."""
MODULES: Final = 8
"""Tag of the modules sent with the message, as `canning.code.modules.Bundle.pack` writes them."""
_CODE: Final = 32
"""Bytes of a signature."""
SIGNATURE: Final = OPTIONAL | 1
"""Tag: the code that authenticates all frames; see `canning.wire.keys`."""
CHANNEL: Final = OPTIONAL | 2
"""Tag of the conversation and the message's number in it; see `transport.Channel`."""
VERSIONS: Final = OPTIONAL | 3
"""Tag of the versions of packages whose types the header names; see `canning.code.versions.versions_in`."""
BYTES: Final = OPTIONAL | 4
"""Tag: the numbers of the buffers, 4 bytes each, that arrive as `bytes` objects; only in large messages."""
TREE: Final = OPTIONAL | 5
"""Tag: the content of the pickle as JSON, for readers without an unpickler; see `canning.pickles.trees`."""
KNOWN: Final = frozenset((CODECS, MODULES, SIGNATURE, CHANNEL, VERSIONS, BYTES, TREE))
"""Tags of the extensions that this version knows."""
_NUMPY: Final = [int(part) for part in np.__version__.split(".")[:2]]
STAMP: Final = bytes([*sys.version_info[:2], *_NUMPY, VERSION])
NATIVE: Final = BIG_ENDIAN * (sys.byteorder == "big") + NARROW * (sys.maxsize < 2**32)
"""Flags of this machine."""

FOLD: Final = 32 * 1024
"""The checksum folds frames 0 of this many bytes and more before it runs CRC-32. Headers of mostly `bytes`
of a few KB take 1.2 to 1.3 times as long to write with CRC-32 alone, and 1.6 to 2.1 times as long to read.
The sums have 32 bits: 64 bits are no faster here, and for 5 MB a reader in JavaScript needs 64 to 115 ms
with 64 bits, 3 to 6 with 32 bits, and 6 to 20 for CRC-32."""
_ROW: Final = 8192

SUM_OF_ALL: Final = crc32(_SEAL.pack(crc32(b""), MAGIC))
"""CRC-32 of any complete frame 0 whose checksum is a CRC-32: after bytes and their CRC-32 the register is
always the same, and so it is after the magic. One call without a copy checks both."""
SIZES: Final = struct.Struct("<IIII5sHB")
ALONE: Final = {
    flags: SIZES.pack(1, 0, 0, 0, STAMP, flags | NATIVE, 0)
    for flags in (0, PLAIN, LONE, LIVE, CODE, CODE | LIVE)
}
"""The bytes between the length and the checksum of a frame 0 that is the whole message, by its flags."""

Entry = tuple[int, int, int, int]
"""Place of a buffer: first frame, number of frames (joined), offset in it, length, both in bytes."""


class Trailer(NamedTuple):
    """The content of a message's trailer, checked against the frames that came with it.

    Attributes:
        pickle_length: bytes of frame 0 up to and including STOP.
        inline_end: offset where the inline data ends, which starts at `pickle_length`; offsets in frame 0
            count from its start.
        frames: the number of frames of this message, frame 0 included.
        lengths: the bytes of each frame behind frame 0 as sent.
        table: an entry for each buffer of the message; None where buffer i is all of frame i + 1.
        outside: how many of the buffers, the last ones, are pickle's own out-of-band buffers.
        flags: `PLAIN`, `CALL`, `BIG_ENDIAN`, `LONE`, `SIGNED`, `CODE`, `NARROW`, `LIVE`, `PORTABLE`.
        stamp: the writer's environment, one byte each: Python's major and minor version, numpy's major and
            minor version, the version of the format.
        extensions: the extensions by tag, in the order of the message.
        encoded: the content of the extension `CODECS`, if there is one.
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
    """Lengths and footer in one struct, which fits most messages: 0.5 µs instead of 0.8."""
    return struct.Struct(f"<{count}QQIIII5sHB")


def checksum(body: bytes | memoryview, tail: bytes | memoryview) -> int:
    """Sum frame 0: `body` is the pickle and the inline data, `tail` the rest up to the checksum.

    CRC-32 of both; a body of `FOLD` bytes or more is first replaced by sums of its whole rows, each 2048
    unsigned little-endian 32-bit numbers (8192 bytes), modulo 2**32: the sum of each column, and the sum
    of each row.
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
    """Make frame 0 from a pickle, the inline data behind it, and the content of the trailer.

    `extensions` are joined results of `extension`. If the body is a file, the trailer is written to it,
    and its memory becomes the frame.
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
    """Add extensions and flags to frame 0, and return it in parts, which `seal` joins again.

    The parts: everything up to the footer, the footer up to the checksum, and the offset in the first
    where the lengths start. The last extension may lack `missing` bytes, to be added to the first part.
    """
    at = len(head) - FOOTER.size
    *sizes, more, stamp, now, reserved, _, _ = FOOTER.unpack_from(head, at)
    start = at - more - sizes[2] * _ENTRY.size - (sizes[1] - 1) * 8
    footer = _tail(0).pack(*sizes, more + len(extensions) + missing, stamp, now | flags, reserved)
    return head[:at] + extensions, footer, start


def seal(front: bytes, footer: bytes, start: int) -> bytes:
    """Join the parts of frame 0, with the checksum of their current content."""
    if start < FOLD:
        total = crc32(footer, crc32(front))
    else:
        total = checksum(memoryview(front)[:start], front[start:] + footer)
    return b"".join((front, footer, _SEAL.pack(total, MAGIC)))


def pack_alone(body: Body, flags: int) -> bytes:
    """Make frame 0 from a pickle that is the whole message; `flags` are a key of `ALONE`.

    The result is that of `pack`, for the smallest messages: 0.4 µs instead of 1.0.
    """
    if not isinstance(body, bytes):
        return pack(body, body.tell(), [], flags=flags)
    if len(body) >= FOLD:
        return pack(body, len(body), [], flags=flags)
    front = body + len(body).to_bytes(8, "little") + ALONE[flags]
    return front + _SEAL.pack(crc32(front), MAGIC)


def parse(head: bytes | memoryview) -> Trailer | None:
    """Read and check the trailer of frame 0; None if there is no trailer, as in a plain pickle.

    `head` is flat. Raises `DeserializationError` if the trailer has a version unknown to this package,
    contradicts itself, or does not match its checksum.
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
    """Tell whether a signature, if there is one, is the last of the extensions and has the right size."""
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
            fits = fits and joined.isdisjoint(range(first, last + 1))  # each frame is copied once
            fits = fits and sum(lengths[first - 1 : last]) == length
            joined.update(range(first, last + 1) if fits else ())
        if not fits:
            raise DeserializationError(f"frame 0 contradicts itself: buffer {number} lies outside its frames")


def check_frames(trailer: Trailer, frames: list[Any]) -> list[Any]:
    """Check that the frames behind frame 0 exist, each as long as the trailer says; return them flat."""
    if len(frames) < trailer.frames - 1:
        raise DeserializationError(
            f"the message is cut: it has {trailer.frames} frames, of which {len(frames) + 1} are here"
        )
    try:
        if tuple(map(len, frames)) == trailer.lengths:  # already flat: saves 0.5 µs for each
            return frames
    except TypeError:  # a PickleBuffer, for example, has no length
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
    """Return the number of frames of the message that starts with frame 0; 1 for a plain pickle."""
    trailer = parse(flat(head))
    return 1 if trailer is None else trailer.frames
