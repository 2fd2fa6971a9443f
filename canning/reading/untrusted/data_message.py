"""Frames to plain data: the sizes of a stranger's message are checked before any of it is built."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from ...codecs.coding import made_by_decoding
from ...errors import DeserializationError
from ...limits import check_count, check_size
from ...memory.buffers import flat
from ...memory.coming import views
from ...types.budget import MESSAGES, Work
from ...wire.encoded import decoded_lengths
from ...wire.shapes import Shape
from ...wire.trailer import COUNT, FOOTER, Trailer, check_frames, parse
from ...writing.single import read_single
from ..builder import Buffers
from ..options import Read, ReadOptions, decode_frames
from .data_builder import DataBuilder
from .short_cuts import UNREAD, most_bytes, read_small


def read_data(
    options: ReadOptions,
    head: bytes | memoryview,
    frames: list[Any],
    shape: Shape,
    work: Work | None = None,
    trailer: Trailer | None = None,
) -> Read:
    """Read the first object of a message, whose frame 0 is `head`, as plain data.

    `work` is the account of a message that holds several objects; `trailer` is that of `head`, if it
    was parsed already.
    """
    quick = _BY_SHAPE.get(shape)
    if quick is not None and len(head) <= _SMALL and len(frames) <= options.limits.frames:
        obj = quick(options, bytes(head), frames)
        if obj is not UNREAD:
            return obj, frames[head[COUNT] :], 0
    return _read_at(options, head, frames, 0, Work(options.limits) if work is None else work, trailer)


_SMALL: Final = 1500
"""Headers of up to this many bytes are read without further checks; an array below 1 KB is in the header."""
_FEW: Final = 64
"""One array alone uses less than this of anything that is limited."""
_LENGTH: Final = struct.Struct("<Q").unpack_from


def _read_plain(options: ReadOptions, head: bytes, frames: list[Any]) -> Any:
    """Read an object of a few bytes; `UNREAD` if `_read_at` has to."""
    size, limits = len(head) - FOOTER.size, options.limits
    if size > most_bytes(limits) or len(head) > limits.message_bytes or _LENGTH(head, size)[0] != size:
        return UNREAD
    return read_small(head[:size])


def _read_single(options: ReadOptions, head: bytes, frames: list[Any]) -> Any:
    """Read one array or `bytes`; `UNREAD` if `_read_at` has to."""
    size = len(head) + (len(flat(frames[1])) if head[COUNT] > 1 and len(frames) > 1 else 0)
    if most_bytes(options.limits) < _FEW or size > options.limits.message_bytes:
        return UNREAD
    if head[COUNT] == 1 and _LENGTH(head, len(head) - FOOTER.size)[0] != len(head) - FOOTER.size:
        return UNREAD
    obj = read_single(head, frames, options.writable, keep=False)
    return UNREAD if obj is None else obj


_BY_SHAPE: Final[dict[Shape, Callable[[ReadOptions, bytes, list[Any]], Any]]] = {
    "plain": _read_plain,
    "single": _read_single,
}
"""The readers of small messages by shape, each of which may return `UNREAD`; `_read_at` can read all."""


def _read_at(
    options: ReadOptions,
    head: bytes | memoryview,
    frames: list[Any],
    level: int,
    work: Work,
    trailer: Trailer | None = None,
) -> Read:
    if level > MESSAGES:
        raise DeserializationError(f"messages within messages, more than {MESSAGES} deep")
    limits, size = options.limits, len(head)
    check_count(len(frames), limits)
    trailer = trailer or parse(head)
    plain = trailer is None
    parts: Sequence[memoryview]
    if trailer is None:
        trailer = Trailer(size, size, len(frames), (), None, len(frames) - 1, 0, b"")
        parts = _Following(frames)
    else:
        found = check_frames(trailer, frames[1 : trailer.frames])
        check_size(size + _extent(trailer), limits)
        if trailer.encoded:
            work.decode(made_by_decoding(trailer.encoded, options.codec, options.codecs))
        parts = views(decode_frames(options, trailer, found))
        size += sum(map(len, parts))
    check_size(size, limits)
    buffers = Buffers(trailer, flat(head), parts, writable=options.writable)
    buffers.spend = work.copy

    def read_within(within: list[Any]) -> Any:
        obj, rest, _ = _read_at(options, within[0], within, level + 1, work)
        if rest:
            raise DeserializationError("a message within the message that has more frames")
        return obj

    work.enter(len(head), len(head) + sum(trailer.lengths), size, level)
    builder = DataBuilder(buffers, options.registry, options.allowed, limits, work, read_within)
    obj = builder.read(bytes(head[: trailer.pickle_length]), buffers.outside())
    taken = trailer.frames
    if plain:  # a plain pickle does not say how many frames are its own
        taken = 1 + buffers.given
        check_size(size + sum(parts[number].nbytes for number in range(taken - 1)), limits)
    return obj, frames[taken:], trailer.flags


class _Following(Sequence[memoryview]):
    """View the frames behind a plain pickle on demand: there may be many, of which few belong to it."""

    def __init__(self, frames: list[Any]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames) - 1

    def __getitem__(self, number: Any) -> Any:
        return flat(self._frames[number + 1])


def _extent(trailer: Trailer) -> int:
    """Count the bytes behind frame 0, encoded or decoded, whichever are more."""
    return max(sum(trailer.lengths), sum(decoded_lengths(trailer.lengths, trailer.encoded)))
