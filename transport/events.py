"""Events that the operator of a service should know: logged to the logger ``transport``, and counted."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from canning.codecs.coding import COUNTS

LOG: Final = logging.getLogger("transport")
"""Receives events as warnings; they are dropped unless the application installs a handler."""
LOG.addHandler(logging.NullHandler())


class Stats(NamedTuple):
    """How often each event happened in this process.

    Attributes:
        unreadable: messages that could not be read, or did not match your arguments.
        refused: messages that were not signed with the key, or had too many frames.
        cut: messages that were skipped because their sender was interrupted.
        repeated: messages that were sent again in full because a connection broke in the middle.
        handshakes: CURVE handshakes that failed.
        undelivered: messages that had not left when the interpreter ended.
        fallbacks: payloads that found no room in a `SharedArena`, and went as ordinary frames.
        unopened: payloads in a `SharedArena` that were lost with it, since no receiver had opened them.
        vanished: peers of channels that were replaced, or have forgotten the session.
        uncompressed: frames that a codec left as they were, since compression gains nothing; logged to the
            logger ``canning`` at level INFO.
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
    """Return how often each event happened in this process so far; each one was also logged.

    >>> import transport
    >>> transport.stats().undelivered
    0
    """
    return Stats(**{**_COUNTS, **COUNTS})


def note(event: str, text: str, *details: object, count: int = 1) -> None:
    """Count an event and log it; `text` must not contain payload."""
    _COUNTS[event] += count
    LOG.warning(text, *details)
