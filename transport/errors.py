"""Errors of sockets, channels and shared memory."""

from __future__ import annotations

from collections.abc import Sequence

from canning.errors import AuthenticationError, CanningError, DeserializationError


class TransportError(CanningError):
    """Base of every error that this package raises on purpose; pyzmq's own errors pass through."""


class TransportTimeout(TransportError, TimeoutError):
    """Raised if a time limit expires; nothing was sent or received, and the socket can be used as before."""


class MessageError(TransportError, DeserializationError):
    """Raised if a message was taken from the socket, but cannot be delivered as you asked.

    The socket is ready for the next message. The text names numbers and sizes, never contents.

    Attributes:
        frames: every frame after the prefix, as received; nothing of the message is lost.
        prefix: the prefix frames that you asked for.
    """

    def __init__(
        self, reason: str, frames: Sequence[bytes | bytearray | memoryview], prefix: Sequence[bytes] = ()
    ) -> None:
        super().__init__(reason)
        self.frames = list(frames)
        self.prefix = list(prefix)


class RefusedMessage(MessageError, AuthenticationError):
    """Raised for a message with a missing or invalid signature, or a replayed one; nothing of it was read."""


class PeerRefused(TransportError):
    """Raised if the other side of a channel has not read your last message: send it again.

    The other side was restarted, or replaced by another. This side never sends to the old one again, so no
    message is read twice, even if an attacker interferes.
    """


class SessionLost(TransportError):
    """Raised if the other side of a channel has forgotten this session; the next message begins a new one.

    It may or may not have read your last message: if you send it again, it may be read twice.
    """


class ArenaError(TransportError):
    """Raised if an arena cannot be used: it is closed or another process's, or the system is not Linux."""


class ArenaFull(ArenaError, MemoryError):
    """Raised if an arena has no room for an array now."""


class SharedMemoryError(TransportError, DeserializationError):
    """Raised if the payload of a message is in shared memory that is gone, or cannot be reached from here."""


class UndeliveredWarning(RuntimeWarning):
    """Warns that messages that were sent are lost.

    They had not left this process when it ended, or no receiver had opened their payload in a `SharedArena`.
    """
