"""What can go wrong between a socket and an object."""

from __future__ import annotations

from collections.abc import Sequence

from canning.errors import AuthenticationError, CanningError, DeserializationError


class TransportError(CanningError):
    """Be the base of every error that this package raises on purpose; pyzmq's own errors pass through."""


class TransportTimeout(TransportError, TimeoutError):
    """Say that the time given ran out; nothing was sent or taken, and the socket can be used as before."""


class MessageError(TransportError, DeserializationError):
    """Say that a message was taken from the socket and could not be delivered as asked.

    The socket is ready for the next message. The text names numbers and sizes, never contents.

    Attributes:
        frames: every frame after the prefix, as received; nothing of the message is lost.
        prefix: the prefix frames that were asked for and came.
    """

    def __init__(
        self, reason: str, frames: Sequence[bytes | bytearray | memoryview], prefix: Sequence[bytes] = ()
    ) -> None:
        super().__init__(reason)
        self.frames = list(frames)
        self.prefix = list(prefix)


class RefusedMessage(MessageError, AuthenticationError):
    """Say that a message came which nobody with the key meant for here and now; nothing of it was read."""


class PeerRefused(TransportError):
    """Say that the other side of a channel has not read the last message that was sent to it: send it again.

    It was made anew since, or replaced by another. The one before will never be sent anything again, so that
    none reads a message twice, whatever somebody on the way does.
    """


class SessionLost(TransportError):
    """Say that the other side of a channel has forgotten this one; the next message makes another session.

    Whether it has read the last message is not known: to send that again might have it read twice.
    """


class ArenaError(TransportError):
    """Say that an arena cannot be used like this: it is closed, of another process, or of another system."""


class ArenaFull(ArenaError, MemoryError):
    """Say that an arena has no room for an array now."""


class SharedMemoryError(TransportError, DeserializationError):
    """Say that a message lies in shared memory which cannot be reached from here, or is no more."""


class UndeliveredWarning(RuntimeWarning):
    """Say that messages were sent, and are lost.

    They had not left this process when it ended, or nobody had opened what they have in a `SharedArena`.
    """


def cause_of(error: CanningError) -> BaseException | None:
    """Give what an error comes of, shortened: of canning's own errors the text says all.

    Without their tracebacks, and that of the error itself, what is printed ends in the call that the user
    has made. What a user's own code has raised keeps its traceback.
    """
    cause = error.__cause__
    while isinstance(cause, CanningError):
        cause.__traceback__ = None
        cause = cause.__cause__
    return error.__cause__
