"""How time grows: with the number of arrays in a message, of consumers, and of bytes; over ipc.

Each time is from before an object is sent until the answer that it has been read, as in `wire`: of each
array, or of each page of a large one, a number. The ways take turns, a round each; a round's median counts,
and the best round after the first. Consumers are processes that subscribe to one socket; its message counts
as read when the last of them has answered. More consumers than cores share them, and so wait for each other.

Rows of 1 GB and more have processes of their own. Where memory would not hold all copies that a way makes, it
is left out.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import zmq

from .child import LIMIT, Child, Say
from .links import ALL_LINKS, ARENA, RAW, bind, touch
from .pairs import Payload, Send
from .results import OURS, Cell, Result
from .timing import Effort
from .viewers import PAIRS, publish, subscribed
from .wire import Row, run_rows

SUITE: Final = "growth"
_PYOBJ: Final = "send_pyobj"
METHOD: Final = (
    "Each time is from before an object is sent until the last answer that it was read: of each array, or of "
    "each page of a large array, a number.",
    "Consumers are processes that subscribe to one XPUB socket. If there are more of them than cores, they "
    "wait for each other.",
    "Rows of 1 GB and more are measured once, after one trip that does not count. Ways that need more memory "
    "than the machine has are left out.",
)
"""What a reader of the numbers has to know."""
WAYS: Final = (RAW, _PYOBJ, OURS, ARENA)
_ARRAYS: Final = {1: 100, 10: 50, 100: 20, 1_000: 5, 10_000: 2, 100_000: 1}
"""Arrays of 1 KiB in a message, and trips of it in a round."""
_BYTES: Final = {
    "1B": (1, 200),
    "100B": (10**2, 200),
    "10KB": (10**4, 200),
    "1MB": (10**6, 50),
    "100MB": (10**8, 3),
    "1GB": (10**9, 1),
    "4GB": (4 * 10**9, 1),
}
CONSUMERS: Final = (1, 2, 4, 8, 16, 32, 64)
_CONSUMED: Final = 10**6
"""Bytes that each consumer reads."""
_TRIPS: Final = 10
_LARGE: Final = 10**9
_COPIES: Final = {RAW: 2, _PYOBJ: 6, OURS: 3, ARENA: 2}
"""Times that both ends together need the memory of a large array, itself counted."""


def _arrays(count: int) -> Row:
    def make() -> Payload:
        return {"id": 7, "x": [np.full(128, number, "f8") for number in range(count)]}

    return Row(f"arrays-{count}", f"arrays of 1 KiB: {count:,}", make, _ARRAYS[count], rounds=2)


class _Sized(NamedTuple):
    nbytes: int
    row: Row


def _bytes(name: str) -> _Sized:
    nbytes, trips = _BYTES[name]

    def make() -> Payload:
        return {"id": 7, "x": np.arange(nbytes // 8, dtype="f8") if nbytes >= 8 else np.ones(nbytes, "u1")}

    rounds = 1 if nbytes >= _LARGE else 5
    return _Sized(nbytes, Row(f"bytes-{name}", f"dict with an array of {name}", make, trips, rounds=rounds))


ARRAY_ROWS: Final = tuple(map(_arrays, _ARRAYS))
BYTE_ROWS: Final = tuple(map(_bytes, _BYTES))
NAMES: Final = (
    *(f"ipc-{row.name}" for row in ARRAY_ROWS),
    *(f"ipc-consumers-{count}" for count in CONSUMERS),
    *(f"ipc-{row.name}" for _, row in BYTE_ROWS),
)


def run(
    only: Collection[str], peers: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    names = [name for name in WAYS if name in peers]
    small = [row for row in BYTE_ROWS if row.nbytes < _LARGE]
    results = _rows(ARRAY_ROWS, [name for name in names if name != ARENA], only, effort, tell)
    results += _consumers([n for n in CONSUMERS if f"ipc-consumers-{n}" in only], names, effort, tell)
    results += _rows([row.row for row in small], names, only, effort, tell)
    for row in BYTE_ROWS[len(small) :]:
        needs = {name: _COPIES[name] * row.nbytes for name in names}
        fitting = [name for name in names if needs[name] < available()]
        for result in _rows([row.row] if fitting else [], fitting, only, effort, tell):
            for name in set(names) - set(fitting):
                result.cells[name] = Cell(None, f"left out: needs {needs[name] / 1e9:.0f} GB of memory")
            results.append(result)
    return results


def _rows(
    rows: Sequence[Row],
    ways: Collection[str],
    only: Collection[str],
    effort: Effort,
    tell: Callable[[str], object],
) -> list[Result]:
    return run_rows(SUITE, rows, {name: ALL_LINKS[name] for name in ways}, only, ways, effort, tell)


def available() -> int:
    """Give the bytes of memory that programs can have; 0 where the system does not tell."""
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


# -- consumers -----------------------------------------------------------------------------------------------


def consume(_: Say, addresses: dict[str, str], answers: str) -> None:
    """Be a consumer, in a child: read what comes on any of the ways, and say so."""
    with ExitStack() as cleanup:
        poller = zmq.Poller()
        receivers = {}
        answer = cleanup.enter_context(cleanup.enter_context(zmq.Context()).socket(zmq.PUSH))
        answer.connect(answers)
        for name, address in addresses.items():
            socket = cleanup.enter_context(subscribed(address))
            receivers[socket] = PAIRS[name]().recv
            poller.register(socket, zmq.POLLIN)
        while True:
            for socket, _event in poller.poll():
                touch(receivers[socket](socket))
                answer.send(b"ok")


class _Fan:
    """A socket for each way, and consumers that have subscribed to all of them."""

    def __init__(self, names: Collection[str], cleanup: ExitStack) -> None:
        import transport

        self._cleanup = cleanup
        self.count = 0
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        context = cleanup.enter_context(zmq.Context())
        self._arena = cleanup.enter_context(transport.SharedArena("64MiB"))
        self._sockets: dict[str, Any] = {}
        self._addresses: dict[str, str] = {}
        for name in names:
            socket, self._addresses[name] = publish(context, "ipc", folder)
            self._sockets[name] = cleanup.enter_context(socket)
        self._answers = cleanup.enter_context(context.socket(zmq.PULL))
        self._answers.rcvtimeo = int(LIMIT * 1000)
        self._address = bind(self._answers, "ipc", folder)

    def grow(self, count: int) -> None:
        """Start consumers until there are so many, and wait until they have subscribed."""
        for _ in range(self.count, count):
            self._cleanup.enter_context(Child("growth:consume", self._addresses, self._address))
        for socket in self._sockets.values():
            for _ in range(self.count, count):
                socket.recv()
        self.count = count

    def trip(self, name: str, payload: Payload) -> float:
        """Give the seconds until all consumers have read a payload."""
        socket, send = self._sockets[name], self._send(name)
        start = time.perf_counter()
        send(socket, payload)
        for _ in range(self.count):
            self._answers.recv()
        return time.perf_counter() - start

    def _send(self, name: str) -> Send:
        if name != ARENA:
            return PAIRS[name]().send
        import transport

        readers = self._arena.to(self.count)
        return lambda socket, payload: transport.send(socket, payload, arena=readers)


def _consumers(
    counts: Collection[int], names: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    payload = {"id": 7, "x": np.arange(_CONSUMED // 8, dtype="f8")}
    trips = max(1, int(_TRIPS * effort.share))
    results = []
    with ExitStack() as cleanup:
        fan = _Fan(names, cleanup) if counts else None
        for count in counts:
            assert fan is not None
            tell(f"{SUITE}: {count} consumers")
            fan.grow(count)
            medians: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(1 + min(3, effort.rounds)):
                for name in names:
                    medians[name].append(statistics.median(fan.trip(name, payload) for _ in range(trips)))
            cells = {name: Cell(min(each[1:])) for name, each in medians.items()}
            what = f"dict with an array of 1 MB, over ipc; consumers: {count}"
            results.append(Result(SUITE, f"ipc-consumers-{count}", what, cells, _CONSUMED))
    return results
