"""A message in the making, as a value; and what turns one draft into another before it becomes frames.

The pickler makes a `Draft` of an object. All that follows are functions of drafts: `join_small`,
`split_large`, `name_bytes`, `encoded`; `frames` is the last. A signature is made over the frames, since it
covers every byte of them, of all the objects of a message: `canning.wire.signing.sign`.
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


@final
class Draft(NamedTuple):
    """All that a message consists of, before its frames are laid out.

    Attributes:
        body: the pickle.
        buffers: the memory of each frame behind frame 0.
        table: where each buffer of the message is; None where buffer i is all of frame i + 1.
        inline: the bytes that go behind the pickle, in frame 0.
        flags: as the trailer has them, but for those of this machine.
        extensions: of the trailer, behind each other.
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
"""A draft, or frames of which nothing can be laid out in another way."""


def frames(draft: Draft) -> list[Frame]:
    """Make the frames of a message; a body that is a file gives up its memory."""
    body, buffers, table, inline, flags, extensions, outside = draft
    length = len(body) if isinstance(body, bytes) else body.tell()
    if inline:
        body = longer(body, inline)
    lengths = [len(frame) for frame in buffers]
    return [pack(body, length, lengths, table, outside, flags, extensions), *buffers]


def encoded(draft: Draft, codec: Codec | Chooser) -> Draft:
    """Send the frames of a message through a codec."""
    sent, said = encode(codec, draft.buffers)
    extensions = draft.extensions + (extension(CODECS, said) if said else b"")
    return draft._replace(buffers=sent, extensions=extensions)


def name_bytes(draft: Draft) -> Draft:
    """Say of which buffers of a large message a reader makes `bytes`, so that it needs no memory for both."""
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
    """Put frames of less than `below` bytes into common ones, each at a multiple of 64 bytes; a copy.

    Messages whose buffers share memory, and such with few small ones, stay as they are.

    All common frames of a message lie in memory that is asked of `allocate` at once. To join 256 buffers of
    10 kB takes 0.1 ms in memory that was used before, and 1.4 ms in such as the system has just handed out.
    """
    sizes = [frame.nbytes for frame in draft.buffers if frame.nbytes < below]
    if draft.table is not None or len(sizes) < FEW:
        return draft
    room = memoryview(allocate(sum(sizes) + sum(-size % ALIGNMENT for size in sizes)))
    joined: list[memoryview] = []
    entries: list[Entry] = []
    start = at = number = 0  # the common frame at work: where it starts, where it ends, which it is
    for frame in draft.buffers:
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
    return draft._replace(buffers=joined, table=entries)


def split_large(draft: Draft, large: int = LARGE) -> Draft:
    """Cut frames of `large` bytes and more into parts of `PART` bytes; nothing is copied.

    Their readers join them. A frame at which several buffers look stays whole.
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
            return draft  # it looks at a part of a frame that nothing else looks at
        moved.append((place, pieces, offset, length))
    if len(parts) == len(frames):
        return draft
    return draft._replace(buffers=parts, table=moved, flags=draft.flags & ~LONE)
