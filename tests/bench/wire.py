"""Process to process on one host: from before an object is sent until the answer that it has been read."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .child import LIMIT, Child, Say
from .links import LINKS, RAW, Payload, Trips
from .results import Bar, Cell, Result, Times
from .timing import Effort

KINDS: Final = ("tcp", "ipc")


@dataclass(frozen=True, slots=True)
class Size:
    """An array to send, how often in one round, and what canning is to pass."""

    name: str
    nbytes: int
    trips: int
    bars: tuple[Bar, ...] = ()


SIZES: Final = (
    Size("100B", 10**2, 400, (Times(1.15, RAW),)),
    Size("100KB", 10**5, 200, (Times(1.15, RAW),)),
    Size("10MB", 10**7, 10),
    Size("200MB", 2 * 10**8, 3, (Times(1.05, RAW),)),
)
NAMES: Final = tuple(f"{kind}-{size.name}" for kind in KINDS for size in SIZES)


def run(
    only: Collection[str], peers: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    results = []
    for kind in KINDS:
        sizes = [size for size in SIZES if f"{kind}-{size.name}" in only]
        if sizes:
            names = [name for name, link in LINKS.items() if name in peers and kind in link.kinds]
            results += _measure(kind, sizes, names, effort, tell)
    return results


def serve(say: Say, name: str, kind: str, folder: str) -> None:
    """Be the other end of a link, in a child."""
    LINKS[name].serve(say, kind, folder)


def _measure(
    kind: str, sizes: Sequence[Size], names: Sequence[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Keep all links of one kind open, and let them take turns."""
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        ends = {}
        for name in names:
            tell(f"wire: {kind}, starting {name}")
            ends[name] = End(name, kind, folder)
            cleanup.callback(ends[name].close)
        results = []
        for size in sizes:
            tell(f"wire: {kind}, {size.name}")
            results.append(_measure_size(kind, size, ends, effort))
        return results


class End:
    """Our end of a link and the child at the other; once that fails, it stays failed."""

    def __init__(self, name: str, kind: str, folder: str) -> None:
        self.problem = ""
        self._cleanup = ExitStack()
        self._trips: Trips
        try:
            self._child = self._cleanup.enter_context(Child("wire:serve", name, kind, folder))
            with self._child.deadline():
                self._trips = self._cleanup.enter_context(LINKS[name].connect(self._child.hear()))
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


def _measure_size(kind: str, size: Size, ends: dict[str, End], effort: Effort) -> Result:
    array = np.arange(size.nbytes // 8, dtype="f8")
    payload = {"id": 7, "x": array}
    trips = max(1, int(size.trips * effort.share))
    medians: dict[str, list[float]] = {name: [] for name in ends}
    for _ in range(1 + effort.rounds):
        for name, end in ends.items():
            median = end.median(payload, trips)
            if median is not None:
                medians[name].append(median)
    # The first round warms up both ends: connections, memory, caches.
    cells = {
        name: Cell(None, end.problem) if end.problem else Cell(min(medians[name][1:]))
        for name, end in ends.items()
    }
    what = f"dict with an array of {size.name}, over {kind}"
    result = Result("wire", f"{kind}-{size.name}", what, cells, array.nbytes)
    result.judge(size.bars)
    return result


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def limits(effort: Effort) -> dict[str, float]:
    """Measure what memory itself allows, in bytes a second: into memory already mapped, and into fresh."""
    source = np.ones(SIZES[-1].nbytes // 8)
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
