"""Count what reading a stranger's message takes, where a few bytes of it could ask for much.

A header can name the same memory, the same argument or the same message again and again, and messages may
stand within messages. So a message and all within it have one account, which grows with what arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from ..codecs import Chooser, Codec, Codecs, made_by_decoding
from ..errors import DeserializationError
from . import Limits

_FREE: Final = 1 << 20
"""Of everything, what a message may take whatever its size."""
_WITHIN: Final = 16
"""How often all of a message may be read again as messages within it: of each within another, 16 deep."""
_MESSAGE: Final = 256
"""Bytes that a message within counts at least, for the trouble."""


class Work:
    """Hold the account of one message and all messages within it.

    Each method raises `DeserializationError` where there is more to do than what arrived is good for.

    >>> work = Work(Limits())
    >>> work.enter(100, 1000, 1000, 0)
    >>> work.copy(1_000_000)
    >>> work.copy(1_000_000)
    Traceback (most recent call last):
        ...
    canning.errors.DeserializationError: more copies of the message's memory than there is of it
    """

    __slots__ = ("_calls", "_copies", "_decoded", "_decoders", "_limit", "_within")

    def __init__(self, limits: Limits) -> None:
        self._limit = self._decoded = limits.decoded_bytes
        self._calls = self._copies = self._decoders = self._within = _FREE

    def enter(self, header: int, arrived: int, size: int, level: int) -> None:
        """Begin with a message.

        `header` are the bytes of its header, `arrived` those of all its frames, `size` the same with what
        was compressed decoded; `level` is how deep within others it stands.
        """
        if level:
            self._within += size - 2 * arrived - _MESSAGE
            if self._within < 0:
                raise DeserializationError("messages within the message that are read time and again")
        else:
            self._within += _WITHIN * size
        self._copies += 64 * header + 2 * size
        self._decoders += 32 * header + 4 * size
        self._calls += 16 * header

    def decode(
        self, content: bytes | None, frames: int, codec: Codec | Chooser | None, codecs: Codecs
    ) -> None:
        """Count what compressed frames come to; `content` is what the trailer says of them."""
        if content is None:
            return
        self._decoded -= made_by_decoding(content, frames, codec, codecs)
        if self._decoded < 0:
            raise DeserializationError(
                f"compressed frames of {self._limit - self._decoded} bytes and more: this reader's limit is "
                f"decoded_bytes={self._limit}"
            )

    def copy(self, nbytes: int) -> None:
        """Count bytes that are copied."""
        self._copies -= nbytes
        if self._copies < 0:
            raise DeserializationError("more copies of the message's memory than there is of it")

    def call(self, items: int) -> None:
        """Count what a constructor goes through of its arguments."""
        self._calls -= items
        if self._calls < 0:
            raise DeserializationError("calls that go through more than the whole header, time and again")

    @property
    def for_decoders(self) -> int:
        """What decoders may still go through."""
        return self._decoders

    def go_through(self, items: int) -> None:
        """Count what a registered decoder goes through."""
        self._decoders -= items
        if self._decoders < 0:
            raise DeserializationError("decoders that go through the message's memory time and again")

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Let `charge` count on this account."""
        before = _ACCOUNT.set(self)
        try:
            yield
        finally:
            _ACCOUNT.reset(before)


_ACCOUNT: Final[ContextVar[Work | None]] = ContextVar("canning account", default=None)


def charge(items: int) -> None:
    """Count work of a decoder beyond going through its state, in items of 50 ns or bytes that are made.

    Raises `DeserializationError` where that is more than what arrived is good for. Does nothing where no
    stranger's message is read.
    """
    account = _ACCOUNT.get()
    if account is not None:
        account.go_through(items)
