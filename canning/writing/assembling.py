"""Header, buffers and extensions to the frames of a message."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ..code.modules import Wanted, modules_for
from ..code.versions import versions_in
from ..codecs.coding import Chooser, Codec, encode
from ..memory.buffers import Body, Frame, bytes_of, longer
from ..wire.encoded import CODECS
from ..wire.trailer import BYTES, CODE, LIVE, MODULES, PLAIN, VERSIONS, extension, pack, pack_alone
from .packing import LARGE, NOTHING, PART, Packed
from .reducers import Reducers

Arrange = Callable[[Packed], Packed]
"""What lays the frames of an object out anew."""


def assemble(
    body: Body,
    packed: Packed,
    reducers: Reducers,
    flags: int,
    codec: Codec | Chooser | None,
    wanted: Wanted,
    arrange: Arrange | None,
) -> list[Frame]:
    """Make the frames of a message of its pickle, its buffers, and what goes into the trailer.

    `wanted` are modules that go along where the pickle needs them.
    """
    along = wanted or reducers.registry.marked_modules or reducers.versions
    extensions = extensions_of(bytes_of(body), reducers, wanted) if along else b""
    plain = LIVE if reducers.by_value else PLAIN
    if packed is NOTHING and not (extensions or flags or reducers.bytecode):
        return [pack_alone(body, 0 if reducers.named or reducers.small else plain)]
    if arrange is not None and packed[0]:
        packed = arrange(packed)
        if sum(map(len, packed[0])) >= LARGE:
            extensions += _bytes_among(reducers.entries)
    frames, table, inline = packed
    length = len(body) if isinstance(body, bytes) else body.tell()
    if not reducers.named and not reducers.used:
        flags |= plain
    if reducers.bytecode:
        flags |= CODE
    if inline:
        body = longer(body, inline)
    outside = len(reducers.outside)
    if codec is not None and frames:
        frames, said = encode(codec, frames)
        extensions += extension(CODECS, said) if said else b""
    return [pack(body, length, list(map(len, frames)), table, outside, flags, extensions), *frames]


def _bytes_among(entries: list[Any]) -> bytes:
    """Name the buffers of which a reader makes `bytes` objects, so that it need not have both at once."""
    numbers = [number for number, entry in enumerate(entries) if type(entry) is bytes and len(entry) >= PART]
    return extension(BYTES, struct.pack(f"<{len(numbers)}I", *numbers)) if numbers else b""


def extensions_of(body: bytes, reducers: Reducers, wanted: Wanted) -> bytes:
    """Give the modules that go along, and the versions of packages; nothing where there are none."""
    said = versions_in(body, reducers.versions)
    versions = extension(VERSIONS, said) if said else b""
    wanted = wanted.also(reducers.registry.marked_modules)
    bundle = modules_for(wanted, body, reducers.codes) if wanted else None
    if bundle is None or not (bundle.sources or bundle.absent):
        return versions
    reducers.named = True  # an unpickler alone would not find them
    return extension(MODULES, bundle.pack()) + versions
