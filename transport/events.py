"""What the owner of a service wants to know: it goes to the logger ``transport``, and is counted."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

LOG: Final = logging.getLogger("transport")
"""Where events go, as warnings; without a handler of the application's they go nowhere."""
LOG.addHandler(logging.NullHandler())


class Stats(NamedTuple):
    """How often something happened in this process.

    Attributes:
        unreadable: messages that could not be read, or were not what you asked for.
        refused: messages that were not signed with the key, or had too many frames.
        cut: messages that were skipped because their sender was interrupted.
        repeated: messages that were sent again as a whole because a connection broke in the middle.
        handshakes: CURVE handshakes that failed.
        undelivered: messages that had not left when the interpreter ended.
    """

    unreadable: int = 0
    refused: int = 0
    cut: int = 0
    repeated: int = 0
    handshakes: int = 0
    undelivered: int = 0


_COUNTS: Final = dict.fromkeys(Stats._fields, 0)


def stats() -> Stats:
    """Count what went wrong in this process so far; the logger ``transport`` has told each.

    >>> import transport
    >>> transport.stats().undelivered
    0
    """
    return Stats(**_COUNTS)


def note(event: str, text: str, *details: object, count: int = 1) -> None:
    """Count an event, and tell it; `text` holds no payload."""
    _COUNTS[event] += count
    LOG.warning(text, *details)
