"""What the owner of a service wants to know: it goes to the logger ``transport``, and is counted."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from canning.events import COUNTS

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
        fallbacks: payloads that found no room in a `SharedArena`, and went as ordinary frames.
        unopened: payloads in a `SharedArena` that were lost with it, since nobody had opened them.
        vanished: peers of channels that were replaced, or have forgotten the session.
        uncompressed: frames that a codec left as they were, since it would gain nothing; told to the logger
            ``canning``, as information.
    """

    unreadable: int = 0
    refused: int = 0
    cut: int = 0
    repeated: int = 0
    handshakes: int = 0
    undelivered: int = 0
    fallbacks: int = 0
    unopened: int = 0
    vanished: int = 0
    uncompressed: int = 0


_COUNTS: Final = dict.fromkeys((name for name in Stats._fields if name not in COUNTS), 0)


def stats() -> Stats:
    """Count what went wrong in this process so far, or otherwise than meant; a logger has told each.

    >>> import transport
    >>> transport.stats().undelivered
    0
    """
    return Stats(**{**_COUNTS, **COUNTS})


def note(event: str, text: str, *details: object, count: int = 1) -> None:
    """Count an event, and tell it; `text` holds no payload."""
    _COUNTS[event] += count
    LOG.warning(text, *details)
