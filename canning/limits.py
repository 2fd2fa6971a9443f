"""The limits of a message for a reader of plain data."""

from __future__ import annotations

from typing import Final

from .arguments import check_whole
from .errors import DeserializationError, shortened
from .values import Value

_UNITS: Final = {
    "depth": "levels",
    "frames": "frames",
    **dict.fromkeys(("integer_bytes", "message_bytes", "decoded_bytes"), "bytes"),
}


class Limits(Value):
    """Bound what one message can make a reader do under ``trust="data"``.

    Attributes:
        depth: marks and messages within messages that can be open at once, and nested tuples in a key.
        nodes: values that a header can push; a shared one counts each time.
        memo: values that a header can remember.
        integer_bytes: bytes of one int; 1786 are the 4300 digits of Python's own limit.
        frames: frames of one message.
        message_bytes: bytes of one message, all frames together.
        decoded_bytes: bytes of all decompressed frames together, also of messages within messages, each
            time they are read. Shared memory does not count.
        key_weight: values that one key of a dict, or element of a set, can consist of.

    >>> from canning import Serializer
    >>> reader = Serializer(trust="data", limits=Limits(frames=2, message_bytes=1_000_000))
    >>> reader.deserialize_object(Serializer().serialize_object([memoryview(b"x" * 2000)]))
    (..., [])
    >>> both = [memoryview(b"x" * 2000), memoryview(b"y" * 2000)]
    >>> reader.deserialize_object(Serializer().serialize_object(both))
    Traceback (most recent call last):
    canning.errors.DeserializationError: 3 frames: this reader's limit is frames=2...
    """

    depth: int
    nodes: int
    memo: int
    integer_bytes: int
    frames: int
    message_bytes: int
    decoded_bytes: int
    key_weight: int

    @shortened
    def __init__(
        self,
        depth: int = 400,
        nodes: int = 20_000_000,
        memo: int = 10_000_000,
        integer_bytes: int = 1786,
        frames: int = 100_000,
        message_bytes: int = 64 * 2**30,
        decoded_bytes: int = 2**30,
        key_weight: int = 1000,
    ) -> None:
        super().__init__(
            depth=depth,
            nodes=nodes,
            memo=memo,
            integer_bytes=integer_bytes,
            frames=frames,
            message_bytes=message_bytes,
            decoded_bytes=decoded_bytes,
            key_weight=key_weight,
        )
        for name, value in vars(self).items():
            check_whole(name, value, _UNITS.get(name, "values"), least=1)


DEFAULT_LIMITS: Final = Limits()


def check_count(frames: int, limits: Limits) -> None:
    """Raise `DeserializationError` if a message has more frames than the limits allow."""
    if frames > limits.frames:
        raise DeserializationError(
            f"{frames} frames: this reader's limit is frames={limits.frames} of canning.Limits"
        )


def check_size(nbytes: int, limits: Limits) -> None:
    """Raise `DeserializationError` if a message has more bytes than the limits allow."""
    if nbytes > limits.message_bytes:
        limit = f"message_bytes={limits.message_bytes}"
        raise DeserializationError(f"{nbytes} bytes: this reader's limit is {limit} of canning.Limits")
