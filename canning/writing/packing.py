"""Assign each buffer of a message its place: a frame, a part of one, several, or the end of frame 0."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..memory.buffers import span
from ..memory.layout import Block, clusters, dense_bytes, start_of
from ..wire.trailer import Entry
from .retries import ShareAgain
from .sharing import sharing

Packed = tuple[list[memoryview], list[Entry] | None, list[memoryview]]
"""The frames behind frame 0; an entry for each buffer, or None if buffer i is all of frame i + 1; and the
bytes that follow the pickle in frame 0."""
NOTHING: Final[Packed] = ([], None, [])


def pack_buffers(entries: list[Any], threshold: int, *, views: bool) -> Packed:
    """Lay the buffers of a message out.

    `views` tells whether any array is a view of memory that another one may view too; if so, the bytes
    that they cover together are sent once. Raises `ShareAgain` if sparse arrays share memory, which they can
    do only if they are sent with their gaps.
    """
    if views and overlap(entries):
        return _pack_shared([_block_of(entry) for entry in entries], threshold)
    if views and any(entry.nbytes < threshold for entry in entries if hasattr(entry, "nbytes")):
        raise ShareAgain(apart=True)
    try:  # most messages have only plain arrays and bytes
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


def overlap(entries: list[Any]) -> bool:
    """Tell whether the extents of any two buffers overlap; 5 µs a buffer."""
    extents = np.array([_extent_of(entry) for entry in entries])
    lows, highs = extents[np.argsort(extents[:, 0])].T
    return bool((lows[1:] < np.maximum.accumulate(highs)[:-1]).any())


def _extent_of(entry: Any) -> tuple[int, int]:
    if isinstance(entry, Block):
        return entry.low, entry.high
    array = entry if isinstance(entry, np.ndarray) else np.frombuffer(entry, np.uint8)
    low = start_of(array)
    return low, low + array.nbytes


def _pieces(entry: Any) -> list[memoryview]:
    return entry.pieces() if isinstance(entry, Block) else [dense_bytes(entry)]


def _block_of(entry: Any) -> Block:
    if isinstance(entry, Block):
        return entry
    array = entry if isinstance(entry, np.ndarray) else np.frombuffer(entry, np.uint8)
    low = start_of(array)
    return Block(low, low + array.nbytes, array, low)


def _pack_shared(blocks: list[Block], threshold: int) -> Packed:
    whole = sharing(blocks)
    if whole:
        raise ShareAgain(whole)
    frames: list[memoryview] = []
    inline: list[memoryview] = []
    table: list[Entry] = [(0, 0, 0, 0)] * len(blocks)
    dense = [number for number, block in enumerate(blocks) if not block.run]
    groups = [
        [dense[member] for member in group]
        for group in clusters([(blocks[number].low, blocks[number].high) for number in dense])
    ]
    groups += [[number] for number, block in enumerate(blocks) if block.run]
    at = 0
    for group in sorted(groups, key=min):  # frames in the order of the pickle, where possible
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
    if len(members) == 1 and members[0].run:
        return members[0].pieces()
    low, high = min(block.low for block in members), max(block.high for block in members)
    whole: Any = next((block.array.base for block in members if _is_bytes(block, low, high)), None)
    if whole is not None:
        return [memoryview(whole)]  # the whole object marks it as bytes
    readonly = not any(block.array.flags.writeable for block in members)
    return [span(low, high, [block.array for block in members], readonly=readonly)]


def _is_bytes(block: Block, low: int, high: int) -> bool:
    """Tell whether a block is all of a `bytes` object, from address `low` up to `high`."""
    base: object = block.array.base
    return type(base) is bytes and len(base) == high - low and (block.low, block.high) == (low, high)


def _is_plain(table: list[Entry], frames: list[memoryview]) -> bool:
    return table == [(number, 1, 0, frame.nbytes) for number, frame in enumerate(frames, 1)]
