"""Header, buffers and extensions to the frames of a message."""

from __future__ import annotations

from .buffers import Frame
from .codecs import CODECS, Chooser, Codec, encode
from .packing import Packed
from .reducers import Reducers
from .wire import CODE, PLAIN, extension, pack


def assemble(
    body: bytes,
    packed: Packed,
    reducers: Reducers,
    flags: int,
    codec: Codec | Chooser | None,
    extensions: bytes,
) -> list[Frame]:
    """Make the frames of a message of its pickle, its buffers, and what goes into the trailer."""
    frames, table, inline = packed
    length = len(body)
    if not reducers.named and not reducers.used and not extensions:
        flags |= PLAIN
    if reducers.bytecode:
        flags |= CODE
    if inline:
        body = b"".join((body, *inline))
    outside = len(reducers.outside)
    if codec is not None:
        frames, said = encode(codec, frames)
        extensions += extension(CODECS, said) if said else b""
    return [pack(body, length, list(map(len, frames)), table, outside, flags, extensions), *frames]
