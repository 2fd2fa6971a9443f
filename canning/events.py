"""Events that the owner of a service wants to know: logged to the logger ``canning``, and counted."""

from __future__ import annotations

import logging
from typing import Final

LOG: Final = logging.getLogger("canning")
"""The logger of events, at level INFO; nothing is shown unless the application enables it."""
COUNTS: Final = {"uncompressed": 0}
"""The number of events of each kind in this process; `transport.stats` shows it."""


def note(event: str, text: str, *details: object) -> None:
    """Count and log an event; `text` holds no payload."""
    COUNTS[event] += 1
    LOG.info(text, *details)
