"""Same-host memory: from before an object is sent until the answer that it has been read.

Ours is a dict with one array, over ipc and through a `transport.SharedArena`. Beside it stand the same
message as ordinary frames, Ray's object store, and what memory allows: 1.3 copies into pages that were
written before, and reading a number of each page. Where the array is in the arena already, what counts is a
message of 100 bytes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from .child import Child, Say
from .links import bind, pair_socket, touch
from .pairs import Payload
from .results import OURS, Bar, Cell, Result, Times
from .timing import Effort

Trip = Callable[[Payload], object]
"""Send a payload, and wait for the answer."""

FRAMES: Final = "as frames"
RAY: Final = "ray"
LIMIT: Final = "1.3 copies + read"
SMALL: Final = "100 B"
_CAPACITY: Final = "5GiB"
_STORE: Final = 4 * 10**9
"""Bytes of Ray's object store."""


@dataclass(frozen=True, slots=True)
class Row:
    """An array to send, and what is to pass."""

    name: str
    nbytes: int
    trips: int
    placed: bool = False

    @property
    def bars(self) -> tuple[Bar, ...]:
        """Give the limits: Ray's always, that of memory where it is what counts."""
        if self.placed:
            return (Times(1.5, SMALL),)
        memory = (Times(1.0, LIMIT),) if self.nbytes >= 10**8 else ()
        return (Times(0.8, RAY), *memory)


ROWS: Final = (
    Row("100B", 100, 300),
    Row("100KB", 10**5, 200),
    Row("1MB", 10**6, 100),
    Row("10MB", 10**7, 20),
    Row("200MB", 2 * 10**8, 5),
    Row("1GB", 10**9, 2),
    Row("placed-1MB", 10**6, 200, placed=True),
    Row("placed-2GB", 2 * 10**9, 200, placed=True),
)
NAMES: Final = tuple(f"arena-{row.name}" for row in ROWS)


def ray_problem() -> str:
    """Say why Ray cannot be measured; empty where it is installed."""
    return "" if find_spec("ray") else "ModuleNotFoundError: No module named 'ray'"


def run(
    only: Collection[str], peers: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    rows = [row for row in ROWS if f"arena-{row.name}" in only]
    if not rows or OURS not in peers:
        return []
    import transport

    with ExitStack() as cleanup:
        tell("arena: starting")
        arena = cleanup.enter_context(transport.SharedArena(_CAPACITY))
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        plain, shared = cleanup.enter_context(_ours(folder, arena))
        trips: dict[str, Trip] = {OURS: shared, FRAMES: plain}
        problem = ""
        if RAY in peers and any(not row.placed for row in rows):
            try:
                tell("arena: starting ray")
                trips[RAY] = cleanup.enter_context(_ray())
            except Exception as error:  # not installed, or it does not work here
                problem = f"{type(error).__name__}: {error}"
        results = []
        for row in rows:
            tell(f"arena: {row.name}")
            results.append(_measure(row, arena, trips, effort))
            if problem and not row.placed:
                results[-1].cells[RAY] = Cell(None, problem)
        return results


def _measure(row: Row, arena: Any, trips: dict[str, Trip], effort: Effort) -> Result:
    count = max(2, int(row.trips * effort.share))
    if row.placed:
        array = arena.empty(row.nbytes // 8)
        array[-1] = 1
        actions: dict[str, Callable[[], object]] = {
            OURS: lambda: trips[OURS]({"x": array[:], "whole": False}),
            SMALL: lambda: trips[FRAMES]({"x": np.arange(12.0), "whole": False}),
        }
    else:
        array = np.arange(row.nbytes // 8, dtype="f8")
        payload = {"id": 7, "x": array, "whole": True}
        actions = {name: lambda trip=trip: trip(payload) for name, trip in trips.items()}  # type: ignore[misc]
    medians: dict[str, list[float]] = {name: [] for name in actions}
    copies: list[float] = []
    for _ in range(1 + effort.rounds):
        for name, action in actions.items():
            medians[name].append(statistics.median(_clock(action) for _ in range(count)))
        if not row.placed:
            copies.append(_copy_and_read(array))
    # The first round warms up both ends: connections, pages, caches.
    cells = {name: Cell(min(values[1:])) for name, values in medians.items()}
    if copies:
        cells[LIMIT] = Cell(min(copies))
    what = "in the arena already" if row.placed else "dict with an array, until read"
    result = Result("arena", f"arena-{row.name}", what, cells, 0 if row.placed else row.nbytes)
    result.judge(row.bars)
    return result


def _clock(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _copy_and_read(array: Any) -> float:
    target = np.ones_like(array)
    copying = min(_clock(lambda: np.copyto(target, array)) for _ in range(3))
    return 1.3 * copying + min(_clock(lambda: touch({"x": array})) for _ in range(3))


# -- ours ------------------------------------------------------------------------------------------------


def serve(say: Say, folder: str) -> None:
    """Be the other end, in a child."""
    import transport

    with pair_socket() as socket:
        socket.rcvtimeo = -1
        say(bind(socket, "ipc", folder))
        while True:
            payload = transport.recv(socket, shared_memory=True)
            _read(payload)
            del payload
            socket.send(b"ok")


def _read(payload: Payload) -> float:
    return touch(payload) if payload["whole"] else float(payload["x"][-1])


@contextmanager
def _ours(folder: str, arena: Any) -> Iterator[tuple[Trip, Trip]]:
    import transport

    with Child("arena:serve", folder) as child, pair_socket() as socket:
        socket.connect(child.hear())

        def plain(payload: Payload) -> None:
            transport.send(socket, payload)
            socket.recv()

        def shared(payload: Payload) -> None:
            transport.send(socket, payload, arena=arena)
            socket.recv()

        yield plain, shared


# -- Ray -------------------------------------------------------------------------------------------------


@contextmanager
def started_ray(actors: int, store: int) -> Iterator[Any]:
    """Start Ray for so many actors, with so many bytes of object store; give its module."""
    ray: Any = import_module("ray")
    ray.init(
        num_cpus=actors,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=store,
    )
    try:
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _ray() -> Iterator[Trip]:
    with started_ray(1, _STORE) as ray:

        class Reader:
            def read(self, payload: Any) -> str:
                payload["x"][::512].sum()
                return "ok"

        reader = ray.remote(Reader).remote()
        yield lambda payload: ray.get(reader.read.remote(payload))
