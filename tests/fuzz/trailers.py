"""Ways to break what is around a pickle: the trailer's numbers, the table, the frames."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Final

from canning.wire.trailer import FOLD, FOOTER, MAGIC, checksum, extension

from .corpus import Message

_ENTRY: Final = struct.Struct("<IIQQ")
_EDGES: Final = (0, 1, 2, 3, 44, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_WIDE: Final = (*_EDGES, 1 << 32, 1 << 62, (1 << 64) - 1)


def repair(head: bytes) -> bytes:
    """Make the checksum of frame 0 right, whatever else is wrong with it."""
    at = len(head) - FOOTER.size
    if at < 0:
        return head
    _, frames, size, _, more, *_ = FOOTER.unpack_from(head, at)
    start = at - more - size * _ENTRY.size - (frames - 1) * 8
    folds = FOLD <= start <= at
    total = checksum(head[:start], head[start:-12]) if folds else zlib.crc32(head[:-12])
    return head[:-12] + struct.pack("<I", total) + head[-8:]


def _near(rng: random.Random, value: int, edges: tuple[int, ...], most: int) -> int:
    found = rng.choice((value + 1, value - 1, value * 2, value + 8, rng.choice(edges), rng.randrange(most)))
    return found % most


def footer(rng: random.Random, one: Message) -> bytes:
    """Change numbers of the footer."""
    head = one.head()
    at = len(head) - FOOTER.size
    fields = list(FOOTER.unpack_from(head, at))
    for _ in range(rng.choice((1, 1, 2))):
        field = rng.randrange(9)
        if field == 0:
            fields[0] = _near(rng, fields[0], _WIDE, 1 << 64)
        elif field < 5:
            fields[field] = _near(rng, fields[field], _EDGES, 1 << 32)
        elif field == 5:
            fields[5] = bytes(rng.randrange(256) for _ in range(4)) + fields[5][4:]
        elif field == 6:
            fields[6] = rng.choice((rng.randrange(512), rng.randrange(1 << 16)))
        else:
            fields[7] = rng.randrange(1 << 8)
    return repair(head[:at] + FOOTER.pack(*fields[:9], MAGIC))


def lengths(rng: random.Random, one: Message) -> bytes:
    """Change the numbers in front of the footer: lengths and the table."""
    head = bytearray(one.head())
    end = len(head) - FOOTER.size - len(one.extensions)
    start = end - 8 * len(one.frames) - _ENTRY.size * len(one.table or ())
    if start == end:
        return footer(rng, one)
    at = start + 4 * rng.randrange((end - start) // 4)
    wide = rng.random() < 0.5 and at + 8 <= end
    size, name, most = (8, "<Q", 1 << 64) if wide else (4, "<I", 1 << 32)
    value = struct.unpack_from(name, head, at)[0]
    struct.pack_into(name, head, at, _near(rng, value, _WIDE if size == 8 else _EDGES, most))
    return repair(bytes(head))


def table(rng: random.Random, one: Message) -> bytes:
    """Give the message a table that it did not have, or another one."""
    sizes = [len(one.inline), *map(len, one.frames)]
    entries = list(one.table or ())
    for _ in range(rng.randrange(1, 4)):
        first = rng.randrange(len(sizes) + 1)
        count = rng.choice((1, 1, 1, 0, 2, rng.randrange(1 << 32)))
        room = sizes[first] if first < len(sizes) else 0
        offset = rng.randrange(room + 1)
        entry = (first, count, offset, rng.choice((room - offset, room, rng.randrange(room + 2), 1 << 40)))
        entries.insert(rng.randrange(len(entries) + 1), entry)
    return one._replace(table=tuple(entries), outside=rng.choice((one.outside, 0, 1, len(entries)))).head()


def extensions(rng: random.Random, one: Message) -> bytes:
    """Add extensions, good or bad."""
    block = b"".join(
        extension(rng.choice((0, 1, 2, 0x8000, 0x8001, 0x8005, 0xFFFF)), bytes(rng.randrange(40)))
        for _ in range(rng.randrange(1, 4))
    )
    if rng.random() < 0.5:
        block = block[: rng.randrange(len(block))]
    return one._replace(extensions=one.extensions + block).head()


TRAILERS: Final = (footer, lengths, table, extensions)


def shuffle(rng: random.Random, frames: list[bytes], others: list[bytes]) -> list[bytes]:
    """Change frames as a bad network or peer could: missing, extra, swapped, emptied, cut, moved."""
    frames = list(frames)
    at, to = rng.randrange(len(frames)), rng.randrange(len(frames))
    match rng.randrange(9):
        case 0:
            del frames[at]
        case 1:
            frames.insert(at, rng.choice((b"", b"x", bytes(5000), frames[to], rng.choice(others))))
        case 2:
            frames[at], frames[to] = frames[to], frames[at]
        case 3:
            frames[at] = frames[to]
        case 4:
            frames[at] = b""
        case 5:
            frames[at] = frames[at][: rng.randrange(len(frames[at]) + 1)]
        case 6:
            frames[at] += rng.choice((b"\0", bytes(64), frames[to]))
        case 7:  # across a boundary
            if at + 1 < len(frames):
                cut = rng.randrange(len(frames[at]) + 1)
                frames[at], frames[at + 1] = frames[at][:cut], frames[at][cut:] + frames[at + 1]
        case 8:
            frames = frames + others if rng.random() < 0.5 else others + frames
    return frames
