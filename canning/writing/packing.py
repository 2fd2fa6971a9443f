"""Give each buffer of a message its place: a frame, a part of one, several, or the end of frame 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..memory.buffers import ALIGNMENT, aligned_empty, span
from ..memory.layout import Block, clusters, dense_bytes, extent, share_memory, start_of
from ..wire.trailer import Entry
from .array_reducers import ShareAgain

_PAIRS: Final = 20_000
"""Pairs of sparse arrays that are tested for a common byte, some 3 µs each; what lies beyond is taken
as not sharing, unless it is the same slice."""

FEW: Final = 4
"""Small frames from which on they are joined."""
_JOINED: Final = 4 * 1024 * 1024
"""Bytes of a joined frame, at most."""
_PADDING: Final = bytes(ALIGNMENT)

LARGE: Final = 32 * 1024 * 1024
"""Bytes from which a frame is cut into parts, where that is asked for.

Memory of more than that glibc takes from the system for each frame, and gives it back at once. Until it
was read (medians of 11, ms), as one raw frame and as parts that were joined in warm memory: 200 MB over tcp
148 and 61, over ipc 194 and 78; 64 MB 59 and 18, 49 and 28; 40 MB 38 and 23, 29 and 18; but 20 MB over tcp
5.4 and 8.7 (best of 8).
"""
PART: Final = 1024 * 1024
"""Bytes of such a part. 200 MB over tcp in parts of 256 KiB took 181 ms, 1 MiB 61, 2 MiB 127, 4 MiB 100,
8 MiB 121, 30 MiB 126; over ipc in parts of 512 KiB 93, 1 MiB 78, 2 MiB 149."""

Packed = tuple[list[memoryview], list[Entry] | None, list[memoryview]]
"""The frames behind frame 0; an entry for each buffer, or None where buffer i is all of frame i + 1; and
the bytes that go behind the pickle in frame 0."""
NOTHING: Final[Packed] = ([], None, [])


def pack_buffers(entries: list[Any], threshold: int, *, views: bool) -> Packed:
    """Lay the buffers of a message out.

    `views` tells whether any array is a view of memory that another one may look at too; where one does,
    the bytes that they cover between them are sent once. Raises `ShareAgain` where sparse arrays share
    memory, which they can only do when they go as they lie.
    """
    if views and overlap(entries):
        return _pack_shared([_block_of(entry) for entry in entries], threshold)
    if views and any(entry.nbytes < threshold for entry in entries if hasattr(entry, "nbytes")):
        raise ShareAgain(apart=True)
    try:  # plain arrays and bytes, which most messages have nothing but
        return [memoryview(entry).cast("B") for entry in entries], None, []
    except (TypeError, ValueError, BufferError):
        pass
    frames: list[memoryview] = []
    table: list[Entry] = []
    for entry in entries:
        pieces = _pieces(entry)
        table.append((len(frames) + 1, len(pieces), 0, sum(piece.nbytes for piece in pieces)))
        frames += pieces
    return frames, None if len(frames) == len(entries) else table, []


def join_small(packed: Packed, below: int, allocate: Callable[[int], Any] = aligned_empty) -> Packed:
    """Put frames of less than `below` bytes into common ones, each at a multiple of 64 bytes; a copy.

    Messages whose buffers share memory, and such with few small ones, stay as they are.

    All common frames of a message lie in memory that is asked of `allocate` at once. To join 256 buffers of
    10 kB takes 0.1 ms in memory that was used before, and 1.4 ms in such as the system has just handed out.
    """
    frames, table, inline = packed
    sizes = [frame.nbytes for frame in frames if frame.nbytes < below]
    if table is not None or len(sizes) < FEW:
        return packed
    room = memoryview(allocate(sum(sizes) + sum(-size % ALIGNMENT for size in sizes)))
    joined: list[memoryview] = []
    entries: list[Entry] = []
    start = at = number = 0  # the common frame at work: where it starts, where it ends, which it is
    for frame in frames:
        size = frame.nbytes
        if size >= below:
            joined.append(frame)
            entries.append((len(joined), 1, 0, size))
            continue
        if not number or at + size - start > _JOINED:
            if number:
                joined[number - 1] = room[start:at]
            joined.append(frame)  # whose place the common frame takes
            number, start = len(joined), at
        entries.append((number, 1, at - start, size))
        room[at : at + size] = frame
        at += size
        padding = -size % ALIGNMENT
        if padding:  # whatever was there before does not travel
            room[at : at + padding] = _PADDING[:padding]
            at += padding
    joined[number - 1] = room[start:at]
    return joined, entries, inline


def split_large(packed: Packed, large: int = LARGE) -> Packed:
    """Cut frames of `large` bytes and more into parts of `PART` bytes; nothing is copied.

    Their readers join them. A frame at which several buffers look stays whole.
    """
    frames, table, inline = packed
    entries = table or [(number, 1, 0, frame.nbytes) for number, frame in enumerate(frames, 1)]
    lookers = Counter(entry[0] for entry in entries)
    parts: list[memoryview] = []
    places: list[tuple[int, int]] = []
    for number, frame in enumerate(frames, 1):
        cut = range(0, frame.nbytes, PART)
        whole = frame.nbytes < large or lookers[number] != 1
        places.append((len(parts) + 1, 1 if whole else len(cut)))
        parts += [frame] if whole else [frame[at : at + PART] for at in cut]
    moved: list[Entry] = []
    for first, count, offset, length in entries:
        place, pieces = places[first - 1] if first else (0, 1)
        if count > 1:  # runs
            last, more = places[first + count - 2]
            pieces = last + more - place
        elif pieces > 1 and length != frames[first - 1].nbytes:
            return packed  # it looks at a part of a frame that nothing else looks at
        moved.append((place, pieces, offset, length))
    return parts, moved, inline


def overlap(entries: list[Any]) -> bool:
    """Tell whether the extents of any two buffers overlap; 5 µs a buffer."""
    extents = np.array([_extent_of(entry) for entry in entries])
    lows, highs = extents[np.argsort(extents[:, 0])].T
    return bool((lows[1:] < np.maximum.accumulate(highs)[:-1]).any())


def _extent_of(entry: Any) -> tuple[int, int]:
    if isinstance(entry, Block):
        return extent(entry.array) if entry.pieces is not None else (entry.low, entry.high)
    array = entry if isinstance(entry, np.ndarray) else np.frombuffer(entry, np.uint8)
    low = start_of(array)
    return low, low + array.nbytes


def _pieces(entry: Any) -> list[memoryview]:
    if not isinstance(entry, Block):
        return [dense_bytes(entry)]
    if entry.pieces is not None:
        return entry.pieces
    return [span(entry.low, entry.high, entry.array, readonly=not entry.array.flags.writeable)]


def _block_of(entry: Any) -> Block:
    if isinstance(entry, Block):
        return entry
    array = entry if isinstance(entry, np.ndarray) else np.frombuffer(entry, np.uint8)
    low = start_of(array)
    return Block(low, low + array.nbytes, array)


def _pack_shared(blocks: list[Block], threshold: int) -> Packed:
    _check_sparse(blocks)
    frames: list[memoryview] = []
    inline: list[memoryview] = []
    table: list[Entry] = [(0, 0, 0, 0)] * len(blocks)
    whole = [number for number, block in enumerate(blocks) if block.pieces is None]
    groups = [
        [whole[member] for member in group]
        for group in clusters([(blocks[number].low, blocks[number].high) for number in whole])
    ]
    groups += [[number] for number, block in enumerate(blocks) if block.pieces is not None]
    at = 0
    for group in sorted(groups, key=min):  # frames in the order of the pickle, as far as they go
        members = [blocks[number] for number in group]
        pieces = _group_pieces(members)
        nbytes = sum(piece.nbytes for piece in pieces)
        if nbytes < threshold:
            inline += pieces
            first, count, start = 0, 1, at
            at += nbytes
        else:
            first, count, start = len(frames) + 1, len(pieces), 0
            frames += pieces
        low = min(block.low for block in members)
        for number, block in zip(group, members, strict=True):
            table[number] = (first, count, start + (block.low - low if len(group) > 1 else 0), block.nbytes)
    return frames, None if not inline and _is_plain(table, frames) else table, inline


def _group_pieces(members: list[Block]) -> list[memoryview]:
    if len(members) == 1:
        return _pieces(members[0])
    low, high = min(block.low for block in members), max(block.high for block in members)
    readonly = not any(block.array.flags.writeable for block in members)
    return [span(low, high, [block.array for block in members], readonly=readonly)]


def _is_plain(table: list[Entry], frames: list[memoryview]) -> bool:
    return table == [(number, 1, 0, frame.nbytes) for number, frame in enumerate(frames, 1)]


def _check_sparse(blocks: list[Block]) -> None:
    """Raise `ShareAgain` where a sparse array has a byte in common with another, or with what goes anyway."""
    sparse = [block for block in blocks if block.pieces is not None]
    if not sparse:
        return
    keys = [block.key for block in sparse]
    whole = {key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else set()
    tested = 0
    for group in clusters([extent(block.array) for block in blocks]):
        members = [blocks[number] for number in group]
        covered = _covered([block for block in members if block.pieces is None])
        for one in [block for block in members if block.pieces is not None]:
            low, high = extent(one.array)
            if 2 * sum(max(0, min(high, end) - max(low, start)) for start, end in covered) >= high - low:
                whole.add(one.key)  # half of its extent, gaps and all, goes anyway
                continue
            for other in members:
                tested += 1
                if tested > _PAIRS or other is one:
                    continue
                if share_memory(one.array, other.array):
                    whole.update(block.key for block in (one, other) if block.pieces is not None)
    if whole:
        raise ShareAgain(frozenset(whole))


def _covered(blocks: list[Block]) -> list[tuple[int, int]]:
    """List the stretches of memory that blocks cover between them."""
    extents = [(block.low, block.high) for block in blocks]
    return [
        (min(extents[number][0] for number in group), max(extents[number][1] for number in group))
        for group in clusters(extents)
    ]
