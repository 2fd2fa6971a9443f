"""What a reader is told: the options of a `Serializer`, and what every way of reading gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ..code.renaming import Renames
from ..codecs.coding import Chooser, Codec, Codecs, decode
from ..limits import Limits
from ..types.allowed import Allowed
from ..types.canned import Namespace
from ..types.registry import Registry
from ..wire.keys import Keys
from ..wire.trailer import Trailer

Read = tuple[Any, list[Any], int]
"""The object, the frames that are left, the flags of the message."""


class Options(Protocol):
    """What a `Serializer` says to a reader."""

    registry: Registry
    writable: bool
    trust: str
    allowed: Allowed
    limits: Limits
    renames: Renames
    missing: str
    finds: bool
    prefer: str
    on_version_mismatch: str
    key: Keys | None
    codec: Codec | Chooser | None
    codecs: Codecs

    def deserialize_object(
        self, frames: Sequence[Any], g: Namespace | None = None, **options: Any
    ) -> tuple[Any, list[Any]]:
        """Read a message with these options."""
        ...


def decode_frames(options: Options, trailer: Trailer, parts: list[Any]) -> list[Any]:
    """Undo what the frames behind frame 0 went through, where they went through a codec."""
    if not trailer.encoded:
        return parts
    return decode(trailer.encoded, parts, options.codec, options.codecs, writable=options.writable)
