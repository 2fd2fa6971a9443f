"""Peak memory of the sender and of the receiver, each a process of its own, as multiples of the data's size.

The sender's is the data and all that sending adds to it: 1 is no copy. The receiver's is all that it did not
have before: 1 is the object itself. Before the measured object a small one goes the same way, so that
what is imported or allocated once counts for neither.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from .child import Child, ChildError, Say, hear_all
from .links import bind, pair_socket
from .pairs import Pair, canning, over_zmq
from .peers import PEERS
from .results import OURS, Cell, OfData, Result
from .timing import Effort
from .workloads import numbers

SENDER: Final = OfData(1.05)
RECEIVER: Final = OfData(1.1)

_SIZE: Final = 200_000_000
_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
_RESET_PEAK: Final = "5"
_PAGE: Final = 4096


@dataclass(frozen=True, slots=True)
class Row:
    """Data to send: how it is made of so many bytes, with as little memory besides as can be."""

    name: str
    what: str
    make: Callable[[int], Any]


def nested(nbytes: int) -> Any:
    """Make 50 arrays at depth 3."""
    return {i: {"x": [numbers(nbytes // 50)]} for i in range(50)}


def columns(nbytes: int, count: int) -> Any:
    """Make so many of 4,096 columns; the part of each row is contiguous, and the whole is not."""
    rows = -(-nbytes // (count * 8))
    first = (4096 - count) // 2
    return numbers(rows * 4096 * 8).reshape(rows, 4096)[:, first : first + count]


ROWS: Final = {
    row.name: row
    for row in (
        Row("contiguous", "one contiguous array", numbers),
        Row("nested", "50 arrays in nested dicts", nested),
        Row("rows_3of4", "three of four columns of an array", lambda n: columns(n, 3072)),
        Row("rows_1of2", "half of the columns of an array", lambda n: columns(n, 2048)),
        Row("bytes", "one bytes object", lambda n: b"x" * n),
    )
}
ENDS: Final = {"sender": SENDER, "receiver": RECEIVER}
NAMES: Final = tuple(f"{row}-{end}" for row in ROWS for end in ENDS)


def run(
    only: Collection[str], peers: Sequence[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows of which an end is named in `only`; `tell` is called with the row at work."""
    results = []
    nbytes = int(_SIZE * effort.share)
    for row in ROWS.values():
        wanted = [end for end in ENDS if f"{row.name}-{end}" in only]
        if not wanted:
            continue
        cells: dict[str, dict[str, Cell]] = {end: {} for end in ENDS}
        for peer in peers:
            tell(f"memory: {row.name}, {peer}")
            for end, cell in _measure(row.name, peer, nbytes).items():
                cells[end][peer] = cell
        for end in wanted:
            what = f"{row.what}, {nbytes // 1_000_000} MB: the {end}"
            result = Result("memory", f"{row.name}-{end}", what, cells[end], nbytes)
            result.judge([ENDS[end]])
            results.append(result)
    return results


def _measure(row: str, peer: str, nbytes: int) -> dict[str, Cell]:
    try:
        with ExitStack() as cleanup:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            receiver = cleanup.enter_context(Child("memory:receive", peer, folder))
            sender = cleanup.enter_context(Child("memory:send", peer, row, nbytes, receiver.hear()))
            received, sent = hear_all([receiver, sender])
    except ChildError as error:
        return dict.fromkeys(ENDS, Cell(None, str(error)))
    problem = "" if received["type"] == sent["type"] else f"{sent['type']} became {received['type']}"
    return {
        "sender": Cell((sent["nbytes"] + sent["growth"]) / sent["nbytes"]),
        "receiver": Cell(received["growth"] / sent["nbytes"], problem),
    }


# -- in the children -----------------------------------------------------------------------------------


def send(say: Say, peer: str, row: str, nbytes: int, address: str) -> None:
    """Send a small object and a large one; say by how many bytes the process grew for the large."""
    data = ROWS[row].make(nbytes)
    way = _pair(peer)
    with pair_socket() as socket:
        socket.connect(address)
        _send(way, socket, ROWS[row].make(nbytes // 1000))
        before = restart_peak()
        _send(way, socket, data)
        size = data.nbytes if isinstance(data, np.ndarray) else nbytes
        say({"growth": peak() - before, "type": type(data).__name__, "nbytes": size})


def _send(way: Pair, socket: Any, data: Any) -> None:
    # What is returned may hold memory; it is kept until the answer, as a careful sender keeps it.
    kept = way.send(socket, data)
    socket.recv()
    del kept


def receive(say: Say, peer: str, folder: str) -> None:
    """Receive a small object and a large one; say by how many bytes the process grew for the large."""
    way = _pair(peer)
    with pair_socket() as socket:
        say(bind(socket, "ipc", folder))
        _touch(way.recv(socket))
        before = restart_peak()
        socket.send(b"ok")  # not earlier: ZeroMQ's own thread takes in the large one as soon as it comes
        data = way.recv(socket)
        _touch(data)
        say({"growth": peak() - before, "type": type(data).__name__})
        socket.send(b"ok")
        socket.poll()  # for the answer to be sent, and the parent to end this


def _pair(peer: str) -> Pair:
    return canning() if peer == OURS else over_zmq(PEERS[peer]())


def _touch(data: Any) -> int:
    """Read a byte of each page, so that memory mapped on first touch counts."""
    if isinstance(data, dict):
        return sum(map(_touch, data.values()))
    if isinstance(data, list):
        return sum(map(_touch, data))
    if isinstance(data, np.ndarray):
        step = _PAGE // data.itemsize
        return int(data[..., ::step].sum())
    return sum(memoryview(data)[::_PAGE])


def restart_peak() -> int:
    """Forget the peak so far where the system can; return the bytes that the process has now, or had at most.

    The number of Linux that can be reset is ``VmHWM``. ``ru_maxrss`` cannot, and is inherited from the
    parent there. Elsewhere it is all there is; data is made without temporaries, so it is close.
    """
    gc.collect()
    if not _CLEAR.exists():
        return peak()
    _CLEAR.write_text(_RESET_PEAK)
    return _status("VmRSS")


def peak() -> int:
    """Give the most bytes that the process has had in memory."""
    if _CLEAR.exists():
        return _status("VmHWM")
    import resource  # there is none on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _status(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
