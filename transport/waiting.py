"""Seconds that run out, shared by the blocking and the asyncio sockets."""

from __future__ import annotations

import math
import time
from typing import Final

BACKOFF: Final = 0.001
"""Seconds between attempts when a socket says that it is ready and then is not.

A ROUTER with ROUTER_MANDATORY says that it can send whenever any of its peers could be sent to.
"""

_LONGEST_POLL: Final = 86_400.0


class Deadline:
    """A moment that is some seconds away, or never comes."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float | None) -> None:
        self._at = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Tell whether the moment is over."""
        return time.monotonic() >= self._at

    @property
    def milliseconds(self) -> int:
        """Give the time left as a poll takes it: rounded up, so that no loop over it spins; a day at most."""
        left = min(self._at - time.monotonic(), _LONGEST_POLL)
        return max(0, math.ceil(left * 1000))

    def within(self, seconds: float | None) -> Deadline:
        """Give the moment that is so many seconds away, or this one where it comes first."""
        other = Deadline(seconds)
        other._at = min(other._at, self._at)
        return other
