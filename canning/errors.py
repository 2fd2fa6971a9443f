"""One tree of errors: misuse on this side apart from bad messages from the other."""

from __future__ import annotations


class CanningError(Exception):
    """Be the base of every error that this package raises on purpose."""


class SerializationError(CanningError):
    """Say that an object of ours cannot be sent, and where in it the culprit stands.

    Attributes:
        path: the way to the culprit from the object given, as Python would write it
            (``obj['model'].layers[3].lock``), or None where it could not be found.
        reason: what is wrong with it.
    """

    def __init__(self, reason: str, path: str | None = None) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


class CannerError(SerializationError):
    """Say that a registered canner returned something that does not fit."""


class DeserializationError(CanningError):
    """Say that a message from the other side cannot be read; nothing of it was delivered."""


class AuthenticationError(DeserializationError):
    """Say that a message is not signed with a key of the reader's; nothing of it was read."""


class UnresolvedReference(DeserializationError, NameError):
    """Say that a `Reference` names nothing in the namespace that it was looked up in."""
