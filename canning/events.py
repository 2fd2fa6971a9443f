"""What the owner of a service wants to know: told to the logger ``canning``, and counted."""

from __future__ import annotations

import logging
from typing import Final

LOG: Final = logging.getLogger("canning")
"""Where events go, as information; nothing is shown unless the application asks for it."""
COUNTS: Final = {"uncompressed": 0}
"""How often something happened in this process; `transport.stats` shows it."""


def note(event: str, text: str, *details: object) -> None:
    """Count an event, and tell it; `text` holds no payload."""
    COUNTS[event] += 1
    LOG.info(text, *details)
