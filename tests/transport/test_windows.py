"""How far ahead senders may go, on paths whose rate and delay are known."""

from __future__ import annotations

import heapq
from types import SimpleNamespace

import pytest

from transport import windows
from transport.stream_parts import PART
from transport.windows import LEAST, MOST, Credit, Paths

MB = 10**6


class Line:
    """A path that is simulated: parts leave one after the other, and each is a delay on its way.

    Attributes:
        seconds: how long the streams took.
        waits: how long a message would have waited for what was sent before it, at each grant.
        most: bytes that were on their way at most.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rate: float, delay: float) -> None:
        self.rate, self.delay = rate, delay
        self.now = self.free = 0.0
        self.waits: list[float] = []
        self.most = 0
        self.paths = Paths(4)
        monkeypatch.setattr(windows, "time", SimpleNamespace(monotonic=lambda: self.now))

    def send(self, total: int, count: int = 1) -> float:
        """Send some streams at the same time; return the bytes in a second, without two trips."""
        start = self.now
        given = [Credit(self.paths.to(b""), total) for _ in range(count)]
        sent, received = [0] * count, [0] * count
        events: list[tuple[float, int, int, int]] = []
        for number, credit in enumerate(given):
            limit = credit.grant(0)
            assert limit
            heapq.heappush(events, (self.now + self.delay, number, limit, 0))
        while events:
            self.now, number, limit, size = heapq.heappop(events)
            if size:
                received[number] += size
                given[number].came(size, received[number])
                granted = given[number].grant(received[number])
                if granted is not None:
                    heapq.heappush(events, (self.now + self.delay, number, granted, 0))
                continue
            while sent[number] < limit:
                size = min(PART, limit - sent[number])
                sent[number] += size
                self.free = max(self.free, self.now) + size / self.rate
                heapq.heappush(events, (self.free + self.delay, number, 0, size))
            self.most = max(self.most, sum(sent) - sum(received))
            self.waits.append(self.free - self.now)
        for credit in given:
            credit.close()
        assert received == [total] * count
        return total * count / (self.now - start - 4 * self.delay)


@pytest.mark.parametrize("streams", [1, 4])
@pytest.mark.parametrize(
    ("rate", "trip"),
    [(125 * MB, 0.02), (1250 * MB, 0.02), (125 * MB, 0.2), (1250 * MB, 0.0002), (3000 * MB, 0.001)],
)
def test_the_window_fills_the_path_and_little_more(
    monkeypatch: pytest.MonkeyPatch, rate: float, trip: float, streams: int
) -> None:
    line = Line(monkeypatch, rate, trip / 2)
    for _ in range(5):
        line.send(100 * MB)
    line.waits.clear()
    total = int(max(10 * rate, 1000 * MB)) // streams
    assert line.send(total, streams) > 0.97 * rate
    window = max(3 * rate * (trip + PART / rate) + 0.004 * rate, LEAST)
    assert max(line.waits) < 1.1 * window / rate + streams * PART / rate
    assert line.most <= min(1.1 * window, MOST) + streams * PART


def test_a_path_that_becomes_longer_or_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(monkeypatch, 1000 * MB, 0.0001)
    for trip, wait in ((0.0002, 0.01), (0.02, 0.08), (0.0002, 0.01)):
        line.delay = trip / 2
        for _ in range(5):
            line.send(100 * MB)
        line.waits.clear()
        assert line.send(5000 * MB) > 0.97 * line.rate
        assert max(line.waits) < wait


def test_all_windows_of_a_socket_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(windows, "time", SimpleNamespace(monotonic=lambda: now[0]))
    paths = Paths(8)
    given = [Credit(paths.to(bytes([number])), 10**12) for number in range(16)]
    received = [0] * 16
    for _ in range(200):
        for number, credit in enumerate(given):
            credit.grant(received[number])
        now[0] += 10.0  # a peer far away, which is very fast
        for number, credit in enumerate(given):
            nbytes = credit.granted - received[number]
            received[number] = credit.granted
            credit.came(nbytes, received[number])
        assert sum(credit.granted for credit in given) - sum(received) == 0
    for number, credit in enumerate(given):
        credit.grant(received[number])
    ahead = sum(credit.granted for credit in given) - sum(received)
    assert MOST / 2 < ahead <= MOST


def test_paths_are_forgotten() -> None:
    paths = Paths(4)
    busy = Credit(paths.to(b"busy"), 1)
    for number in range(100):
        Credit(paths.to(bytes([number])), 1)
    assert len(paths._paths) <= 5
    assert paths.to(b"busy") is busy.path
    assert list(paths.streams) == list(busy.path.streams) == [busy]
