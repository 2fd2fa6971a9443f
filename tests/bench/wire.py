"""Process to process on one host: from before an object is sent until the answer that it has been read."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .child import LIMIT, Child, Say
from .links import ALL_LINKS, LINKS, RAW, Link, Trips, size_of
from .pairs import Payload
from .results import Bar, Cell, Result, Times
from .timing import Effort

KINDS: Final = ("tcp", "ipc")


@dataclass(frozen=True, slots=True)
class Row:
    """A payload to send, how often in one round, and what canning is to pass."""

    name: str
    what: str
    make: Callable[[], Payload]
    trips: int
    bars: tuple[Bar, ...] = ()
    tcp_bars: tuple[Bar, ...] = ()
    rounds: int = 7


def one_array(nbytes: int) -> Callable[[], Payload]:
    """Make a dict with one array of so many bytes."""
    return lambda: {"id": 7, "x": np.arange(max(1, nbytes // 8), dtype="f8")}


def _row(name: str, nbytes: int, trips: int, **more: Any) -> Row:
    return Row(name, f"dict with an array of {name}", one_array(nbytes), trips, **more)


_NEAR: Final = (Times(1.15, RAW),)
_LARGE: Final = (Times(0.75, RAW), Times(1.0, "distributed"))
ROWS: Final = (
    _row("100B", 10**2, 400, bars=_NEAR),
    _row("10KB", 10**4, 400),
    _row("100KB", 10**5, 200, bars=_NEAR),
    _row("1MB", 10**6, 60),
    _row("10MB", 10**7, 10),
    _row("200MB", 2 * 10**8, 3, tcp_bars=_LARGE),
    _row("1GB", 10**9, 1, rounds=4),
)
NAMES: Final = tuple(f"{kind}-{row.name}" for kind in KINDS for row in ROWS)
_LIMIT_SIZE: Final = 2 * 10**8


def run(
    only: Collection[str], peers: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    return run_rows("wire", ROWS, LINKS, only, peers, effort, tell)


def run_rows(
    suite: str,
    rows: Sequence[Row],
    links: Mapping[str, Link],
    only: Collection[str],
    peers: Collection[str],
    effort: Effort,
    tell: Callable[[str], object],
) -> list[Result]:
    """Measure rows of a suite over tcp and ipc, through those links whose names are in `peers`."""
    results = []
    for kind in KINDS:
        wanted = [row for row in rows if f"{kind}-{row.name}" in only]
        if wanted:
            names = [name for name, link in links.items() if name in peers and kind in link.kinds]
            results += _measure(suite, kind, wanted, names, effort, tell)
    return results


def _measure(
    suite: str,
    kind: str,
    rows: Sequence[Row],
    names: Sequence[str],
    effort: Effort,
    tell: Callable[[str], object],
) -> list[Result]:
    """Keep all links of one kind open, and let them take turns."""
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        ends = {}
        for name in names:
            tell(f"{suite}: {kind}, starting {name}")
            ends[name] = End(name, kind, folder)
            cleanup.callback(ends[name].close)
        results = []
        for row in rows:
            tell(f"{suite}: {kind}, {row.name}")
            results.append(_measure_row(suite, kind, row, ends, effort))
        return results


def serve(say: Say, name: str, kind: str, folder: str) -> None:
    """Be the other end of a link, in a child."""
    ALL_LINKS[name].serve(say, kind, folder)


class End:
    """Our end of a link and the child at the other; once that fails, it stays failed."""

    def __init__(self, name: str, kind: str, folder: str) -> None:
        self.problem = ""
        self._cleanup = ExitStack()
        self._trips: Trips
        try:
            self._child = self._cleanup.enter_context(Child("wire:serve", name, kind, folder))
            with self._child.deadline():
                self._trips = self._cleanup.enter_context(ALL_LINKS[name].connect(self._child.hear()))
        except Exception as error:  # a peer that is not installed, or does not work here
            self.problem = _describe(error)

    def median(self, payload: Payload, trips: int) -> float | None:
        """Give the median seconds of a few trips; None after a failure."""
        if self.problem:
            return None
        try:
            with self._child.deadline(LIMIT):
                return statistics.median(self._trips(payload, trips))
        except Exception as error:
            self.problem = _describe(error)
            return None

    def close(self) -> None:
        """Close the link, and end the child."""
        self._cleanup.close()


def _measure_row(suite: str, kind: str, row: Row, ends: dict[str, End], effort: Effort) -> Result:
    payload = row.make()
    trips = max(1, int(row.trips * effort.share))
    medians: dict[str, list[float]] = {name: [] for name in ends}
    for _ in range(1 + min(row.rounds, effort.rounds)):
        for name, end in ends.items():
            median = end.median(payload, trips)
            if median is not None:
                medians[name].append(median)
    # The first round warms up both ends: connections, memory, caches.
    cells = {
        name: Cell(None, end.problem) if end.problem else Cell(min(medians[name][1:]))
        for name, end in ends.items()
    }
    result = Result(suite, f"{kind}-{row.name}", f"{row.what}, over {kind}", cells, size_of(payload))
    result.judge((*row.bars, *row.tcp_bars) if kind == "tcp" else row.bars)
    return result


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def limits(effort: Effort) -> dict[str, float]:
    """Measure what memory itself allows, in bytes a second: into memory already mapped, and into fresh."""
    source = np.ones(_LIMIT_SIZE // 8)
    target = np.ones_like(source)
    copies: dict[str, Callable[[], Any]] = {
        "copy into mapped memory": lambda: np.copyto(target, source),
        "copy into fresh memory": source.copy,
    }
    return {
        name: source.nbytes / min(_once(copy) for _ in range(effort.rounds)) for name, copy in copies.items()
    }


def _once(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    kept = action()  # until the clock is read: giving memory back takes time too
    seconds = time.perf_counter() - start
    del kept
    return seconds
