"""Sign all frames of a message, and check the signature before anything else is read.

The signature is the last extension of the trailer and has a fixed size, so that it is at a fixed distance
from the end of frame 0, and is found without parsing anything else. The code covers the number of frames,
the length of each, all of frame 0 except the code itself and the checksum, and all other frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..errors import AuthenticationError
from ..memory.buffers import Frame, flat
from .keys import Keys
from .trailer import FLAGS, FOOTER, MAGIC, SIGNATURE, SIGNED, extend, extension, seal

CODE: Final = 32
"""Bytes of an authentication code."""
_HEADER: Final = extension(SIGNATURE, bytes(CODE))[:-CODE]
_SEAL: Final = 12
"""Bytes of the checksum and the magic, at the end of the footer."""


def sign(frames: Sequence[Frame], keys: Keys, extensions: bytes = b"") -> list[Frame]:
    """Sign a message with the first of the keys; only frame 0 is replaced.

    `frames` may be the chained frames of several objects: the signature, in the first header, covers all.
    `extensions` are added to that header, and signed too.
    """
    front, footer, start = extend(bytes(frames[0]), extensions + _HEADER, SIGNED, CODE)
    rest = frames[1:]
    lengths = [len(front) + CODE + FOOTER.size, *map(len, rest)]
    code = keys[0].code(lengths, (front, footer, MAGIC, *rest))
    return [seal(front + code, footer, start), *rest]


def verify(frames: Sequence[Any], keys: Keys, *, chained: bool = False) -> list[Any]:
    """Check the signature of a message; return its frames, frame 0 as `bytes` that nobody else can change.

    Only the frames of the first object are checked, and the others are returned unchanged; with `chained`,
    all of them are checked. Raises `AuthenticationError`, with nothing parsed, unless the signature is there
    and was made with one of the keys.
    """
    from hmac import compare_digest  # 2 ms with OpenSSL, only for users with keys

    head = bytes(flat(frames[0]))
    at = len(head) - FOOTER.size
    mark = at - CODE - len(_HEADER)
    if mark < 0 or head[-8:] != MAGIC or not head[FLAGS] & SIGNED or head[mark : at - CODE] != _HEADER:
        raise AuthenticationError(
            "the message is not signed, and this reader has a key: its sender needs the same key"
        )
    count = len(frames) if chained else FOOTER.unpack_from(head, at)[1]
    rest = [flat(frame) for frame in frames[1:count]]
    lengths = [len(head), *(view.nbytes for view in rest)]
    parts = (memoryview(head)[: at - CODE], head[at:-_SEAL], MAGIC, *rest)
    stated = head[at - CODE : at]
    if not any(compare_digest(key.code(lengths, parts), stated) for key in keys):
        raise AuthenticationError(
            "the signature does not match: the message was changed on the way, or its sender has another key"
        )
    return [head, *frames[1:]]
