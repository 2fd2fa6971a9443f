"""The time of a round trip, `transport` and `send_pyobj` in turn on one socket in one run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any, Final

from .session import Session

ENOUGH: Final = 1.0
"""Seconds after which no new round starts."""
MOST_ROUNDS: Final = 50
FEWEST_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each round, and the object as `transport` brought it back in the first."""

    canning: list[float]
    pyobj: list[float]
    back: Any

    @property
    def medians(self) -> tuple[float, float]:
        """Give the median seconds of `transport` and of `send_pyobj`."""
        return statistics.median(self.canning), statistics.median(self.pyobj)


def measure(session: Session, payload: object) -> Timing:
    """Send an object there and back by both ways in turn, the first time unmeasured to warm both up."""
    _, back = session.echo(payload)
    session.echo_pyobj(payload)
    canning: list[float] = []
    pyobj: list[float] = []
    end = time.monotonic() + ENOUGH
    while len(canning) < FEWEST_ROUNDS or (time.monotonic() < end and len(canning) < MOST_ROUNDS):
        canning.append(session.echo(payload)[0])
        pyobj.append(session.echo_pyobj(payload)[0])
    return Timing(canning, pyobj, back)
