"""A message in the making, as a value, and the functions that change it before it becomes frames.

The pickler makes a `Draft` of an object. All further steps are functions of drafts: `join_small`,
`split_large`, `name_bytes`, `encoded`; `frames` is the last. The signature is made over the frames, since it
covers every byte of all the objects of a message: `canning.wire.keys.sign`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, final

from ..codecs.coding import Chooser, Codec, encode
from ..memory.buffers import ALIGNMENT, Body, ByteArray, Frame, aligned_empty, longer
from ..wire.encoded import CODECS
from ..wire.trailer import BYTES, LONE, Entry, extension, pack

FEW: Final = 4
"""Small frames are joined if there are at least this many."""
_JOINED: Final = 4 * 1024 * 1024
"""Bytes of a joined frame, at most."""
_PADDING: Final = bytes(ALIGNMENT)

LARGE: Final = 32 * 1024 * 1024
"""Bytes from which a frame is split into parts, if that is asked for.

glibc takes larger blocks from the system for each frame, and returns them at once. Time until the
memory was read (medians of 11, ms), as one raw frame and as parts that were joined in warm memory: 200 MB
over tcp 148 and 61, over ipc 194 and 78; 64 MB 59 and 18, 49 and 28; 40 MB 38 and 23, 29 and 18; but 20 MB
over tcp 5.4 and 8.7 (best of 8).
"""
PART: Final = 1024 * 1024
"""Bytes of such a part. 200 MB over tcp took 181 ms in parts of 256 KiB, 61 in 1 MiB, 127 in 2 MiB, 100 in
4 MiB, 121 in 8 MiB, 126 in 30 MiB; over ipc 93 in 512 KiB, 78 in 1 MiB, 149 in 2 MiB."""


@final
class Draft(NamedTuple):
    """The content of a message before its frames are laid out.

    Attributes:
        body: the pickle.
        buffers: the memory of each frame behind frame 0.
        table: the place of each buffer; None if buffer i is all of frame i + 1.
        inline: the bytes behind the pickle, in frame 0.
        flags: those of the trailer, except those of this machine.
        extensions: those of the trailer, joined.
        outside: how many of the buffers, the last ones, are pickle's own out-of-band buffers.
    """

    body: Body
    buffers: list[memoryview]
    table: list[Entry] | None = None
    inline: Iterable[memoryview] = ()
    flags: int = 0
    extensions: bytes = b""
    outside: int = 0


Message = Draft | list[Frame]
"""A draft, or finished frames whose layout cannot change."""


def frames(draft: Draft) -> list[Frame]:
    """Make the frames of a message; a body that is a file gives up its memory."""
    body, buffers, table, inline, flags, extensions, outside = draft
    length = len(body) if isinstance(body, bytes) else body.tell()
    if inline:
        body = longer(body, inline)
    lengths = [len(frame) for frame in buffers]
    return [pack(body, length, lengths, table, outside, flags, extensions), *buffers]


def encoded(draft: Draft, codec: Codec | Chooser) -> Draft:
    """Encode the frames of a message with a codec."""
    sent, said = encode(codec, draft.buffers)
    extensions = draft.extensions + (extension(CODECS, said) if said else b"")
    return draft._replace(buffers=sent, extensions=extensions)


def name_bytes(draft: Draft) -> Draft:
    """List the buffers of a large message that arrive as `bytes`, so that the reader needs no copy."""
    if sum(map(len, draft.buffers)) < LARGE:
        return draft
    places = draft.table or [(number, 1, 0, len(frame)) for number, frame in enumerate(draft.buffers, 1)]
    numbers = [
        number
        for number, (first, count, _, length) in enumerate(places[: len(places) - draft.outside])
        if first and count == 1 and length >= PART and _is_bytes(draft.buffers[first - 1], length)
    ]
    if not numbers:
        return draft
    return draft._replace(
        extensions=draft.extensions + extension(BYTES, struct.pack(f"<{len(numbers)}I", *numbers))
    )


def _is_bytes(frame: memoryview, length: int) -> bool:
    whole = frame.obj
    return type(whole) is bytes and len(whole) == length


def join_small(draft: Draft, below: int, allocate: Callable[[int], ByteArray] = aligned_empty) -> Draft:
    """Copy frames of less than `below` bytes into common ones, each at a multiple of 64 bytes.

    Messages whose buffers share memory, or with few small buffers, stay unchanged.

    The memory of all common frames is requested from `allocate` at once. Joining 256 buffers of 10 kB
    takes 0.1 ms in memory that was used before, and 1.4 ms in memory that is new from the system.
    """
    sizes = [frame.nbytes for frame in draft.buffers if frame.nbytes < below]
    if draft.table is not None or len(sizes) < FEW:
        return draft
    room = memoryview(allocate(sum(sizes) + sum(-size % ALIGNMENT for size in sizes)))
    joined: list[memoryview] = []
    entries: list[Entry] = []
    start = at = number = 0  # the current common frame: its start, its end, its number
    for frame in draft.buffers:
        size = frame.nbytes
        if size >= below:
            joined.append(frame)
            entries.append((len(joined), 1, 0, size))
            continue
        if not number or at + size - start > _JOINED:
            if number:
                joined[number - 1] = room[start:at]
            joined.append(frame)  # the common frame takes its place
            number, start = len(joined), at
        entries.append((number, 1, at - start, size))
        room[at : at + size] = frame
        at += size
        padding = -size % ALIGNMENT
        if padding:  # old content of the memory is not sent
            room[at : at + padding] = _PADDING[:padding]
            at += padding
    joined[number - 1] = room[start:at]
    return draft._replace(buffers=joined, table=entries)


def split_large(draft: Draft, large: int = LARGE) -> Draft:
    """Split frames of `large` bytes and more into parts of `PART` bytes; nothing is copied.

    The reader joins them. A frame that several buffers view stays whole.
    """
    frames = draft.buffers
    entries = draft.table or [(number, 1, 0, frame.nbytes) for number, frame in enumerate(frames, 1)]
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
            return draft  # it views a part of a frame that no other buffer views
        moved.append((place, pieces, offset, length))
    if len(parts) == len(frames):
        return draft
    return draft._replace(buffers=parts, table=moved, flags=draft.flags & ~LONE)
