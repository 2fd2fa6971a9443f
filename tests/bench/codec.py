"""Round trips in one process: an object to frames and back, each peer on the same object."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final

import zmq

from .peers import Peer
from .results import Cell, Result, Times
from .same import same
from .tables import TABLES
from .timing import QUICK, Action, Effort, best
from .workloads import PICKLE, Row
from .workloads import ROWS as PLAIN_ROWS

ROWS: Final = (*PLAIN_ROWS, *TABLES)
NAMES: Final = tuple(row.name for row in ROWS)

BESIDE_XOSCAR: Final = Times(1.0, "xoscar")
"""Its serializer is compiled, and every row is to match it."""


def run(
    only: Collection[str], peers: Mapping[str, Peer], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    results = []
    for row in ROWS:
        if row.name in only:
            tell(f"codec: {row.name}")
            skipped = row.slow if effort is QUICK else frozenset()
            asked = {name: peer for name, peer in peers.items() if name not in skipped}
            results.append(measure(row, asked, effort))
    return results


def measure(row: Row, peers: Mapping[str, Peer], effort: Effort) -> Result:
    """Check that each peer brings the row's object back, and time those that bring back anything."""
    obj = row.make()
    given = {name: obj if name != PICKLE or row.bare is None else row.bare(obj) for name in peers}
    tries = {name: _try(row, given[name], peer) for name, peer in peers.items()}
    brought = [name for name, cell in tries.items() if cell.value is not None]
    actions = {name: _action(row, given[name], peers[name]) for name in brought}
    first = {name: cell.value for name, cell in tries.items() if cell.value is not None}
    seconds = best(actions, first, effort)
    cells = {name: Cell(seconds.get(name), cell.problem) for name, cell in tries.items()}
    result = Result("codec", row.name, row.what, cells)
    result.judge((*row.bars, BESIDE_XOSCAR))
    return result


def _try(row: Row, obj: Any, peer: Peer) -> Cell:
    """Make frames, read them as they come from a socket, and compare; the cell holds the time without that.

    The rounds that count read the frames as they were made: what a wire takes is another suite's matter.
    """
    try:
        start = time.perf_counter()
        frames = peer.dump(obj)
        dumped = time.perf_counter()
        received = [zmq.Frame(frame).buffer for frame in frames]
        arrived = time.perf_counter()
        with row.elsewhere():
            back = peer.load(received)
        loaded = time.perf_counter()
        problem = "" if same(obj, back) else "changed"
    except Exception as error:  # whatever a peer raises is its result
        return Cell(None, type(error).__name__)
    return Cell(dumped - start + (0 if row.send_only else loaded - arrived), problem)


def _action(row: Row, obj: Any, peer: Peer) -> Action:
    if row.send_only:
        return partial(peer.dump, obj)
    dump, load = peer.dump, peer.load
    return lambda: load(dump(obj))
