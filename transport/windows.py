"""How far ahead of its receiver a sender may go: as far as keeps the path between them full, and little more.

With less, the path would be idle; with more, small messages would wait behind it. The receiver of streams
measures two things of its grants: how long the first part took that a grant allowed, and how fast bytes came
until all of it was used. The trip times the rate is what the path holds. A window has three times that: a
grant is due when a quarter of the last one has come, and TCP sends faster only if it has something to send.
It has what comes in 4 ms, too, since processes wake up late.

What is on its way delays the answer to a grant. So trips are measured when nothing is: by the first grant
of a stream, and now and then by one of a quarter of a window. The shortest of the last ones counts.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Final, NamedTuple
from weakref import WeakSet

STEP: Final = 1024 * 1024
"""Bytes by which windows move at least: each step is a message, and wakes the sender."""
LEAST: Final = 2 * STEP
"""Bytes of the smallest window."""
FIRST: Final = 4 * STEP
"""Bytes of a window while nothing is known of its path."""
MOST: Final = 64 * STEP
"""Bytes of all windows of a socket: what may wait in it beyond its messages."""
_TRIPS: Final = 3
_SLACK: Final = 0.004
_MEMORY: Final = 0.01
"""Seconds over which rates are averaged."""
_NARROW: Final = ((0.1, 16), (5.0, 64))
"""Seconds after which a window is narrowed, and trips at least: at first, and when enough trips are known."""
_ENOUGH: Final = 5


class Paths:
    """The ways to the peers of a socket, by which streams come or came lately.

    Attributes:
        streams: those that come now.
    """

    def __init__(self, most: int) -> None:
        self.streams: WeakSet[Credit] = WeakSet()
        self._most = most
        self._paths: dict[bytes, Path] = {}

    def to(self, place: bytes) -> Path:
        """Return the way to a peer, and forget others by which nothing comes."""
        path = self._paths.pop(place, None) or Path(self)
        for other in list(self._paths):  # the one that was used longest ago is first
            if len(self._paths) >= self._most and not self._paths[other].streams:
                del self._paths[other]
        self._paths[place] = path
        return path


class Path:
    """The way from a sender to a receiver, for all streams that come by it.

    Attributes:
        paths: those of the socket.
        streams: those that come now.
        received: bytes that have come.
        narrow: whether the next grant is of a quarter of a window.
    """

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.streams: WeakSet[Credit] = WeakSet()
        self.received = 0
        self.narrow = False
        self._rate = 0.0
        self._trips: deque[float] = deque(maxlen=_ENOUGH)
        self._next = math.inf

    def window(self) -> int:
        """Return how many bytes of one stream may be on their way."""
        if not self._trips:
            window: float = FIRST
        else:
            trip = min(self._trips)
            window = self._rate * (_TRIPS * trip + _SLACK)
            if time.monotonic() >= self._next:
                self.narrow = len(self.streams) == 1  # several in turn have a step each on the way
                self._wait(trip)
        most = MOST * len(self.streams) / len(self.paths.streams)
        window = min(max(LEAST, window), most) / (4 if self.narrow else 1)
        return max(STEP, int(window / len(self.streams)))

    def tell_trip(self, seconds: float) -> None:
        """Take how long it took from a grant to the first part that it allowed, if nothing was on its way."""
        self._trips.append(seconds)
        self._wait(seconds)

    def _wait(self, trip: float) -> None:
        seconds, trips = _NARROW[len(self._trips) == _ENOUGH]
        self._next = time.monotonic() + max(seconds, trips * trip)

    def tell_rate(self, nbytes: int, seconds: float, first: bool) -> None:
        """Take how many bytes came since a grant; if it was the first, nothing came for a trip."""
        rate = max(nbytes / seconds, self._rate if first else 0)
        self._rate += (rate - self._rate) * (seconds / (seconds + _MEMORY) if self._rate else 1)


class _Round(NamedTuple):
    """What was so when a grant was given."""

    at: float
    before: int
    limit: int
    received: int
    narrow: bool
    alone: bool
    """Whether nothing else is on its way."""


class Credit:
    """How far the sender of one stream may send.

    Attributes:
        path: the way by which it comes.
        granted: so far it may send.
    """

    def __init__(self, path: Path, total: int) -> None:
        self.path = path
        self.granted = 0
        self._total = total
        self._round: _Round | None = None
        self._answered = False
        path.streams.add(self)
        path.paths.streams.add(self)

    def close(self) -> None:
        """Take that the stream has ended; one that is forgotten has, too."""
        self.path.streams.discard(self)
        self.path.paths.streams.discard(self)

    def grant(self, received: int) -> int | None:
        """Return how far the sender may send; None if that is not news worth a message."""
        path = self.path
        window = path.window()
        limit = received + window
        limit = self._total if limit >= self._total else limit - limit % STEP
        more = limit - self.granted
        if received < self._total and (more <= 0 or (more < max(STEP, window // 4) and limit < self._total)):
            return None
        if more > 0 and (self._round is None or path.narrow > self._round.narrow):
            alone = path.narrow or (not self.granted and len(path.streams) == 1)
            self._round = _Round(time.monotonic(), self.granted, limit, path.received, path.narrow, alone)
            self._answered = False
        self.granted = limit
        return limit

    def came(self, nbytes: int, received: int) -> None:
        """Take that a part came, and how many bytes of the stream are there now."""
        self.path.received += nbytes
        begun = self._round
        if begun is None or received <= begun.before:
            return
        seconds = max(time.monotonic() - begun.at, 1e-6)
        if not self._answered:
            self._answered = True
            if begun.alone:
                self.path.tell_trip(seconds)
        if received >= begun.limit:
            self.path.tell_rate(self.path.received - begun.received, seconds, not begun.before)
            if begun.narrow:
                self.path.narrow = False
            self._round = None
