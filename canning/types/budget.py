"""One account of what reading a stranger's message takes: time and memory, in proportion to what arrived.

**The law**, for whatever arrives: reading takes at most 0.2 s and 2 s for each MB, and at most 16 MB, 100
times the headers, and 3 times the frames as they are decoded. Nothing stays when the message is gone.

A few bytes can ask for much: a header can name the same memory, the same argument, the same message again and
again, and messages may stand within messages. Whatever takes more than its own bytes are good for is put
on the account before it is done: in nanoseconds, at two to ten times what it took where it was measured, and
in bytes. No clock is asked, so that what is refused is refused everywhere. A message, all messages within
it, and all objects that stand in it one behind the other, have one account.

The opcodes themselves are not on the account of time: of any of them a megabyte is read within the law.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from ..errors import DeserializationError
from ..limits import Limits

_FREE_TIME: Final = 100_000_000
"""Nanoseconds that a message may take whatever its size; as much again is left to what is not counted."""
_TIME: Final = 1000
"""Nanoseconds for each byte that arrived, or that was decoded."""
_FREE_MEMORY: Final = 12 << 20
"""Bytes that a message may take whatever its size."""
_HEADER: Final = 65
"""Bytes for each byte of a header; the numbers and texts of a header take up to 35 more."""
_FRAMES: Final = 2
"""Bytes for each byte of a frame, besides the frame itself."""
_WITHIN: Final = 16
"""How often all of a message may be read again as messages within it: of each within another, 16 deep."""
_FREE_WITHIN: Final = 1 << 20
_MESSAGE: Final = 256
"""Bytes that a message within counts at least, for the trouble."""


class Work:
    """Hold the account of one message and all messages within it.

    Each method raises `DeserializationError` where there is more to do than what arrived is good for.

    Attributes:
        time: nanoseconds that are left.
        memory: bytes that are left.

    >>> work = Work(Limits())
    >>> work.enter(100, 1000, 1000, 0)
    >>> work.copy(10_000_000)
    >>> work.copy(10_000_000)
    Traceback (most recent call last):
        ...
    canning.errors.DeserializationError: the message takes more memory than what arrived is good for
    """

    __slots__ = ("_decoded", "_limit", "_within", "memory", "time")

    def __init__(self, limits: Limits) -> None:
        self._limit = self._decoded = limits.decoded_bytes
        self._within = _FREE_WITHIN
        self.time: int = _FREE_TIME
        self.memory: int = _FREE_MEMORY

    def enter(self, header: int, arrived: int, size: int, level: int) -> None:
        """Begin with a message, or with the next object of one.

        `header` are the bytes of its header, `arrived` those of all its frames, `size` the same with what
        was compressed decoded; `level` is how deep within others it stands. What stands within another has
        arrived with that one, and brings nothing but what is decoded of it.
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
        """Count what compressed frames come to."""
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
        """Say that there is nothing left."""
        what = "time" if self.time < 0 else "memory"
        raise DeserializationError(f"the message takes more {what} than what arrived is good for")

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
    """Count work of a decoder beyond going through its state, in items of 50 ns, and in bytes that are made.

    Without `memory` each item is a byte.

    Decoders call it before they do more than that: before they make a thing for each item of a list, parse a
    text, or copy an array. Raises `DeserializationError` where that is more than what arrived is good for.
    Does nothing where no stranger's message is read.

    >>> charge(10**12)
    """
    account = _ACCOUNT.get()
    if account is not None:
        account.spend(50 * items, items if memory is None else memory)


def is_counted() -> bool:
    """Tell whether a decoder is called with state of a stranger's message.

    >>> is_counted()
    False
    """
    return _ACCOUNT.get() is not None
