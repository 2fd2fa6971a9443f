"""What a reader lets a message ask for, where it reads plain data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Bound what one message may ask of a reader under ``trust="data"``.

    Attributes:
        depth: marks and messages within messages that may be open at once, and tuples in a key.
        nodes: values that a header may push, shared ones each time.
        memo: values that a header may remember.
        integer_bytes: bytes of one int; 1786 are the 4300 digits at which Python stops too.
        frames: frames of one message.
        message_bytes: bytes of one message, all frames together.
        decoded_bytes: bytes that compressed frames may come to, those of messages within messages too, each
            time they are read. Memory that is shared counts as nothing.
        key_weight: values that one key of a dict, or element of a set, may consist of.

    >>> from canning import Serializer
    >>> reader = Serializer(trust="data", limits=Limits(frames=2, message_bytes=1_000_000))
    >>> reader.deserialize_object(Serializer().serialize_object([memoryview(b"x" * 2000)]))
    (..., [])
    >>> both = [memoryview(b"x" * 2000), memoryview(b"y" * 2000)]
    >>> reader.deserialize_object(Serializer().serialize_object(both))
    Traceback (most recent call last):
    canning.errors.DeserializationError: 3 frames: this reader's limit is frames=2...
    """

    depth: int = 400
    nodes: int = 20_000_000
    memo: int = 10_000_000
    integer_bytes: int = 1786
    frames: int = 100_000
    message_bytes: int = 64 * 2**30
    decoded_bytes: int = 2**30
    key_weight: int = 1000


DEFAULT_LIMITS: Final = Limits()
