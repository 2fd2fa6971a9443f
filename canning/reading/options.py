"""The options of a `Serializer` for reading, and the result of every reader."""

from __future__ import annotations

from typing import Any, Literal

from ..code.renaming import Renames
from ..codecs.coding import Chooser, Codec, Codecs, decode
from ..limits import Limits
from ..types.allowed import Allowed
from ..types.registry import Registry
from ..values import Frozen
from ..wire.keys import Keys
from ..wire.trailer import Trailer

Trust = Literal["code", "data"]
Missing = Literal["error", "stub"]
Prefer = Literal["own", "sent"]
Mismatch = Literal["auto", "error", "warn", "ignore"]
Read = tuple[Any, list[Any], int]
"""The object, the remaining frames, the flags of the message."""


class ReadOptions(Frozen):
    """Hold the options of a `Serializer` for reading."""

    registry: Registry
    writable: bool
    trust: Trust
    allowed: Allowed
    limits: Limits
    renames: Renames
    missing: Missing
    finds: bool
    prefer: Prefer
    on_version_mismatch: Mismatch
    key: Keys | None
    codec: Codec | Chooser | None
    codecs: Codecs


def decode_frames(options: ReadOptions, trailer: Trailer, parts: list[Any]) -> list[Any]:
    """Decode the frames behind frame 0 that were encoded with a codec."""
    if not trailer.encoded:
        return parts
    return decode(trailer.encoded, parts, options.codec, options.codecs, writable=options.writable)
