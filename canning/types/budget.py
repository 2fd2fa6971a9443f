"""An account of the time and memory that reading a stranger's message takes, in proportion to its size.

**The law**: reading any message takes at most 0.2 s and 2 s for each MB, and at most 16 MB, 100 times the
headers, and 3 times the decoded frames. Nothing is kept when the message is gone.

A few bytes can ask for much: a header can name the same memory, the same argument, the same message again
and again, and messages may be nested. Work that takes more than its own bytes pay for is charged to the
account before it is done: in nanoseconds, at two to ten times the measured time, and in bytes. No clock is
used, so that a message is refused on every machine or on none. A message, all messages inside it, and all
objects chained in it share one account.

The opcodes themselves are not charged for time: a megabyte of any of them is read within the law.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from ..errors import DeserializationError
from ..limits import Limits

_FREE_TIME: Final = 100_000_000
"""Nanoseconds that any message may take; the same amount again is left to work that is not counted."""
_TIME: Final = 1000
"""Nanoseconds for each byte that arrived, or that was decoded."""
_FREE_MEMORY: Final = 12 << 20
"""Bytes that any message may take."""
_HEADER: Final = 65
"""Bytes for each byte of a header; the numbers and texts of a header take up to 35 more."""
_FRAMES: Final = 2
"""Bytes for each byte of a frame, besides the frame itself."""
_WITHIN: Final = 16
"""How often all of a message may be read again as messages inside it, each in another, 16 deep."""
MESSAGES: Final = 16
"""Messages that may be nested in one another."""
_FREE_WITHIN: Final = 1 << 20
_MESSAGE: Final = 256
"""Bytes that a message inside counts at least, for the overhead."""


class Work:
    """Hold the account of one message and all messages inside it.

    Each method raises `DeserializationError` if there is more to do than the arrived bytes pay for.

    Attributes:
        time: nanoseconds left.
        memory: bytes left.

    >>> work = Work(Limits())
    >>> work.enter(100, 1000, 1000, 0)
    >>> work.copy(10_000_000)
    >>> work.copy(10_000_000)
    Traceback (most recent call last):
        ...
    canning.errors.DeserializationError: reading this message takes more memory than a message of its ...
    """

    __slots__ = ("_decoded", "_limit", "_within", "memory", "time")

    def __init__(self, limits: Limits) -> None:
        self._limit = self._decoded = limits.decoded_bytes
        self._within = _FREE_WITHIN
        self.time: int = _FREE_TIME
        self.memory: int = _FREE_MEMORY

    def enter(self, header: int, arrived: int, size: int, level: int) -> None:
        """Begin with a message, or with the next object of one.

        `header` is the number of bytes of its header, `arrived` that of all its frames, `size` the same after
        decoding; `level` is its depth inside others. A message inside another arrived with that one, and adds
        only its decoded bytes.
        """
        if level:
            self._within += size - 2 * arrived - _MESSAGE
            if self._within < 0:
                raise DeserializationError("messages within the message that are read time and again")
            self.spend(header * _TIME // 4, 0)
            new = size - arrived
            self.time += _TIME * new
            self.memory += _FRAMES * new
            return
        self._within += _WITHIN * size
        self.time += _TIME * size
        self.memory += _HEADER * header + _FRAMES * (size - header)

    def decode(self, nbytes: int) -> None:
        """Count the decoded bytes of compressed frames."""
        self._decoded -= nbytes
        if self._decoded < 0:
            raise DeserializationError(
                f"compressed frames of {self._limit - self._decoded} bytes and more: this reader's limit is "
                f"decoded_bytes={self._limit}"
            )

    def spend(self, time: int, memory: int) -> None:
        """Count nanoseconds and bytes."""
        self.time -= time
        self.memory -= memory
        if self.time < 0 or self.memory < 0:
            self.refuse()

    def refuse(self) -> None:
        """Raise the error of an exhausted account."""
        what = "time" if self.time < 0 else "memory"
        raise DeserializationError(
            f"reading this message takes more {what} than a message of its size may take, which no option "
            "changes: split it, or send large parts as arrays"
        )

    def copy(self, nbytes: int) -> None:
        """Count bytes that are copied."""
        self.spend(nbytes, nbytes)

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Let `charge` count on this account."""
        before = _ACCOUNT.set(self)
        try:
            yield
        finally:
            _ACCOUNT.reset(before)


_ACCOUNT: Final[ContextVar[Work | None]] = ContextVar("canning account", default=None)


def charge(items: int, memory: int | None = None) -> None:
    """Count work of a decoder beyond visiting its state, in items of 50 ns, and in bytes of new memory.

    Without `memory` each item is a byte.

    Decoders call it before they do more than that: before they make an object for each item of a list,
    parse a text, or copy an array. Raises `DeserializationError` if that is more than the arrived bytes pay
    for. Does nothing unless a stranger's message is being read.

    >>> charge(10**12)
    """
    account = _ACCOUNT.get()
    if account is not None:
        account.spend(50 * items, items if memory is None else memory)


def is_counted() -> bool:
    """Tell whether a decoder is called with the state of a stranger's message.

    >>> is_counted()
    False
    """
    return _ACCOUNT.get() is not None
