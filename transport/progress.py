"""Progress of sending and receiving, reported in the thread and the task that asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import zmq

from canning.progress import OnProgress, watching

from .incoming import Received, unpack
from .multipart import stays_here
from .reading import Reading
from .tracker import Tracker
from .waiting import Deadline, pause

_INTERVAL: Final = 0.02
"""Seconds between two checks of the bytes that have left."""


class _Departure:
    """Count the bytes of a message that are still here.

    It must not keep a reference to a frame: such a frame never counts as sent.
    """

    def __init__(self, socket: object, parts: list[Any], tracker: Tracker, report: OnProgress) -> None:
        self._sizes = [len(part) for part in parts if isinstance(part, zmq.Frame)]
        self.total = sum(map(len, parts))
        self._tracker = tracker
        self._report = report
        parts.clear()
        if self._sizes and stays_here(socket):
            self._sizes = []

    def look(self) -> bool:
        """Report the bytes that have left; False when all have."""
        left = 0
        if self._sizes and not self._tracker.done:
            left = sum(size for size, here in zip(self._sizes, self._tracker.in_use(), strict=True) if here)
        self._report(self.total - left, self.total)
        return left > 0


def watch(
    socket: object,
    parts: list[Any],
    tracker: Tracker,
    on_progress: OnProgress | None,
    progress: bool,
    timeout: float | None,
) -> None:
    """Report until a sent message has left, or the time is over; empties `parts`."""
    deadline = Deadline(timeout)
    with watching(on_progress, progress, "sending") as report:
        departure = _Departure(socket, parts, tracker, report)
        while departure.look() and not deadline.passed:
            tracker.settle(min(_INTERVAL, deadline.milliseconds / 1000))


async def watch_async(
    socket: object,
    parts: list[Any],
    tracker: Tracker,
    on_progress: OnProgress | None,
    progress: bool,
    timeout: float | None,
) -> None:
    """Do the same as `watch`, without blocking the loop."""
    deadline = Deadline(timeout)
    with watching(on_progress, progress, "sending") as report:
        departure = _Departure(socket, parts, tracker, report)
        while departure.look() and not deadline.passed:
            await pause(min(_INTERVAL, deadline.milliseconds / 1000))


def unpack_watched(received: list[Received], how: Reading, on_progress: OnProgress) -> Any:
    """Do the same as `unpack`, and report the bytes that are in place."""
    total = sum(map(len, received))
    with _counting(on_progress, total) as joined:
        return unpack(received, how._replace(joined=joined))


@contextmanager
def _counting(report: OnProgress, total: int) -> Iterator[Any]:
    done = 0

    def joined(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if done < total:
            report(done, total)

    report(0, total)
    yield joined
    report(total, total)
