"""A camera of 1080p photos and its viewers: how late photos are read, and how many a second.

The camera keeps its own time: photo `n` is due `n` periods after the first, whatever became of those before.
Its latency counts from when it was due until a viewer has read all of it, so a slow sender cannot hide; both
look at `time.monotonic_ns`, one clock for all processes of a host. It counts, too, if the camera's sleep ends
late: that is alike for all.

A camera has memory for `DEPTH` photos. One that falls due while `DEPTH` are unread by the slowest viewer, or
whose memory the camera needed again before it could be sent, is lost, and counted. So nothing waits in
endless queues: latencies stay what a user would see, and frames a second say what came through.

The first `WARM` photos of each film do not count. The pixels are not drawn anew, as a real camera writes them
without the processor. Ways of one kind take turns at each rate; Ray comes last and alone, since it
works a little while it is idle. With four viewers, a latency counts for each of them.
"""

from __future__ import annotations

import gc
import math
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from .arena import RAY
from .board import CHANGED, DEPTH, NBYTES, READY, Array, make_board, stamp, wait_for
from .results import Cell, Result
from .timing import Effort
from .viewers import MEMORY, WAYS, Shutter, Way

RATES: Final = {30: 75, 100: 200, 300: 1000, 1000: 2000}
"""Photos a second, and how many of them."""
KINDS: Final = ("tcp", "ipc", MEMORY)
VIEWERS: Final = {"camera": 1, "viewers": 4}
"""Viewers, by the suite."""
NAMES: Final = {
    suite: tuple(f"{suite}-{kind}-{rate}" for kind in KINDS for rate in RATES) for suite in VIEWERS
}
PEERS: Final = tuple(dict.fromkeys(name for name, _ in WAYS))
WARM: Final = 10
METHOD: Final = (
    "In each cell: the latency that 50 %, 99 % and 99.9 % of the photos did not exceed, then how many photos "
    "a second every viewer read, and the part that was lost.",
    f"Photos are sent at a fixed rate ({', '.join(f'{count:,} at {rate}' for rate, count in RATES.items())} "
    f"a second), after {WARM} that do not count. Of fewer than 1,000 photos, 99.9 % is the slowest one.",
    "Latency counts from when a photo was due until a viewer has read all of it, on one clock, so a sender "
    "that falls behind cannot hide. With four viewers, each counts.",
    f"The camera has memory for {DEPTH} photos. A photo is lost if {DEPTH} are unread when it is due, or if "
    f"it cannot be sent within {DEPTH} periods. So latency does not grow without end where the rate is too "
    "high.",
    "Over tcp and ipc, the sockets are XPUB and SUB; `raw frames` are sent and received with `copy=False`, "
    "and `canning` reads as data. "
    "`mp.Queue` is one queue for each viewer, `shared_memory` are slots and pipes, written by hand. "
    "`in place`: the camera writes into the shared memory itself, so nothing is copied.",
    "Camera, viewers and their I/O threads share the cores of the machine, and wait for each other where "
    "there are more of them than cores. Ways take turns at each rate; Ray is measured alone.",
)
"""What a reader of the numbers has to know."""
_PATIENCE: Final = 20.0
"""Seconds until the last photos must have been read."""
_SECOND: Final = 10**9
_WHERE: Final = {MEMORY: "through shared memory"}


def run(
    suite: str,
    only: Collection[str],
    peers: Collection[str],
    effort: Effort,
    tell: Callable[[str], object],
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    results = []
    for kind in KINDS:
        rates = [rate for rate in RATES if f"{suite}-{kind}-{rate}" in only]
        ways = [(name, way) for name, way in WAYS if name in peers and kind in way.kinds]
        if not rates or not ways:
            continue
        cells: dict[int, dict[str, Cell]] = {rate: {} for rate in rates}
        for group in ([way for way in ways if way[0] != RAY], [way for way in ways if way[0] == RAY]):
            _take_turns(suite, kind, group, cells, effort, tell)
        what = f"photos of {NBYTES:,} bytes, {{:,}} a second, {_WHERE.get(kind, f'over {kind}')}"
        results += [
            Result(suite, f"{suite}-{kind}-{rate}", what.format(rate), cells[rate], NBYTES) for rate in rates
        ]
    return results


def _take_turns(
    suite: str,
    kind: str,
    ways: Sequence[tuple[str, Way]],
    cells: dict[int, dict[str, Cell]],
    effort: Effort,
    tell: Callable[[str], object],
) -> None:
    with ExitStack() as cleanup:
        cameras: dict[str, Camera] = {}
        for name, way in ways:
            tell(f"{suite}: {kind}, starting {name}")
            cameras[name] = Camera(way, kind, VIEWERS[suite])
            cleanup.callback(cameras[name].close)
        for rate, row in cells.items():
            for name, camera in cameras.items():
                tell(f"{suite}: {kind}, {rate} a second, {name}")
                row[name] = camera.film(rate, max(WARM, int(RATES[rate] * effort.share)))


@dataclass(frozen=True, slots=True)
class Film:
    """What became of the photos that count: the nanoseconds that each took, and how many were lost."""

    latencies: Array
    lost: int
    seconds: float

    def cell(self) -> Cell:
        """Sum it up: the median, and the rest beside it."""
        problem = "changed on its way" if (self.latencies == CHANGED).any() else ""
        ordered = np.sort(self.latencies, axis=None) / _SECOND
        sent = self.latencies.shape[1]
        more = {
            "p99": percentile(ordered, 0.99),
            "p99.9": percentile(ordered, 0.999),
            "a second": sent / self.seconds,
            "lost": self.lost / (self.lost + sent),
        }
        return Cell(percentile(ordered, 0.5), problem, more)


def percentile(ordered: Array, part: float) -> float:
    """Give the least value that so many are not above; of fewer than 1,000, the last for 99.9 %.

    >>> [percentile(np.arange(1.0, 101), part) for part in (0.5, 0.99, 0.999)]
    [50.0, 99.0, 100.0]
    """
    return float(ordered[math.ceil(part * len(ordered) - 1e-9) - 1])


class Camera:
    """A camera and its viewers on one way; once that fails, it stays failed."""

    def __init__(self, way: Way, kind: str, viewers: int) -> None:
        self.problem = ""
        self._cleanup = ExitStack()
        memory = Path("/dev/shm")  # a board on a disk would wait for it at times
        folder = self._cleanup.enter_context(
            tempfile.TemporaryDirectory(prefix="bench-", dir=memory if memory.is_dir() else None)
        )
        file = Path(folder) / "board"
        self._board = make_board(file, viewers)
        self._shutter: Shutter
        try:
            self._shutter = self._cleanup.enter_context(way.open(kind, file))
            wait_for(self._board, READY)
        except Exception as error:  # a peer that is not installed, or does not work here
            self.problem = f"{type(error).__name__}: {error}"

    def film(self, rate: int, count: int) -> Cell:
        """Take so many photos at a rate, and say what became of them."""
        if self.problem:
            return Cell(None, self.problem)
        gc.collect()
        try:
            return self._film(_SECOND // rate, count)
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"
            return Cell(None, self.problem)

    def _film(self, period: int, count: int) -> Cell:
        shutter, board, sent, lost = self._shutter, self._board, 0, 0
        board[:] = 0
        start = time.monotonic_ns() + period
        numbers = []
        for number in range(WARM + count):
            due = start + number * period
            late = time.monotonic_ns() - due
            if late < 0:
                time.sleep(-late / _SECOND)
            if late > DEPTH * period or sent - board[:, 0].min() >= DEPTH:
                lost += number >= WARM
                continue
            photo = shutter.photo(sent)
            stamp(photo, number, due)
            shutter.send(sent, photo)
            sent += 1
            if number >= WARM:
                numbers.append(number)
        wait_for(board, sent, _PATIENCE)
        if not numbers:
            return Cell(None, "every photo was lost")
        latencies = board[:, [1 + number for number in numbers]]
        arrivals = latencies + np.array(numbers) * period
        return Film(latencies, lost, max(count * period, arrivals.max() - WARM * period) / _SECOND).cell()

    def close(self) -> None:
        """End the viewers."""
        self._cleanup.close()
