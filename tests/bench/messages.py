"""Small messages, one behind the other without waiting for answers: seconds that each takes.

A batch of them goes out, and one answer comes back when the last was read. Blocking sockets and those of
asyncio have rows of their own; distributed has only the latter.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import zmq
import zmq.asyncio

from .child import LIMIT, Child, Say
from .links import RAW, bind, connected, connected_comm, listening, pair_socket, serve_comm
from .pairs import Pair, Payload, canning, ipyparallel, raw_copied, send_pyobj
from .results import OURS, Cell, Result, Times
from .timing import Effort

BATCH: Final = 2000
"""Messages to an answer: twice what a queue holds, so that the slower side decides."""
_OK: Final = b"ok"
_PYOBJ: Final = "send_pyobj"
_BAR: Final = Times(1.25, _PYOBJ)
"""0.8 of its messages a second."""

Batch = Callable[[Payload], float]
"""Send a payload `BATCH` times; the seconds until the answer."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A way for small messages: an end that reads, and one that measures."""

    serve: Callable[[Say, str, str], None]
    connect: Callable[[str], AbstractContextManager[Batch]]


# -- blocking sockets ------------------------------------------------------------------------------------


def _blocking(make: Callable[[], Pair]) -> Stream:
    def serve(say: Say, kind: str, folder: str) -> None:
        recv = make().recv
        with pair_socket() as socket:
            socket.rcvtimeo = -1
            say(bind(socket, kind, folder))
            while True:
                for _ in range(BATCH):
                    recv(socket)
                socket.send(_OK)

    @contextmanager
    def connect(address: str) -> Iterator[Batch]:
        send = make().send
        with pair_socket() as socket:
            socket.connect(address)

            def batch(payload: Payload) -> float:
                start = time.perf_counter()
                for _ in range(BATCH):
                    send(socket, payload)
                socket.recv()
                return time.perf_counter() - start

            yield batch

    return Stream(serve, connect)


def _serve_connection(say: Say, kind: str, folder: str) -> None:
    with listening(say, kind, folder) as connection:
        while True:
            for _ in range(BATCH):
                connection.recv()
            connection.send_bytes(_OK)


@contextmanager
def _connect_connection(address: str) -> Iterator[Batch]:
    with connected(address) as connection:

        def batch(payload: Payload) -> float:
            start = time.perf_counter()
            for _ in range(BATCH):
                connection.send(payload)
            connection.recv_bytes()
            return time.perf_counter() - start

        yield batch


# -- asyncio ---------------------------------------------------------------------------------------------


class AsyncPair(NamedTuple):
    """How an object is sent on a socket of ``zmq.asyncio``, and received."""

    send: Callable[[Any, Any], Awaitable[object]]
    recv: Callable[[Any], Awaitable[Any]]


def _async_raw() -> AsyncPair:
    async def recv(socket: Any) -> Any:
        return np.frombuffer((await socket.recv_multipart())[1])

    return AsyncPair(lambda socket, payload: socket.send_multipart([b"header", payload["x"]]), recv)


def _async_pyobj() -> AsyncPair:
    return AsyncPair(lambda socket, obj: socket.send_pyobj(obj, protocol=5), lambda s: s.recv_pyobj())


def _async_canning() -> AsyncPair:
    from transport import aio

    return AsyncPair(aio.send, lambda socket: aio.recv(socket, trust="code"))


@contextmanager
def _async_socket() -> Iterator[Any]:
    with zmq.asyncio.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.linger = 0
        yield socket


def _asyncio(make: Callable[[], AsyncPair]) -> Stream:
    def serve(say: Say, kind: str, folder: str) -> None:
        async def main() -> None:
            recv = make().recv
            with _async_socket() as socket:
                say(bind(socket, kind, folder))
                while True:
                    for _ in range(BATCH):
                        await recv(socket)
                    await socket.send(_OK)

        asyncio.run(main())

    @contextmanager
    def connect(address: str) -> Iterator[Batch]:
        send = make().send

        async def batch(socket: Any, payload: Payload) -> float:
            start = time.perf_counter()
            for _ in range(BATCH):
                await send(socket, payload)
            await socket.recv()
            return time.perf_counter() - start

        with asyncio.Runner() as runner, _async_socket() as socket:
            socket.connect(address)
            yield lambda payload: runner.run(asyncio.wait_for(batch(socket, payload), LIMIT))

    return Stream(serve, connect)


def _serve_comm(say: Say, kind: str, _folder: str) -> None:
    async def answer(comm: Any) -> None:
        while True:
            for _ in range(BATCH):
                await comm.read()
            await comm.write("ok")

    serve_comm(say, kind, answer)


@contextmanager
def _connect_comm(address: str) -> Iterator[Batch]:
    with connected_comm(address) as (runner, comm, wrapped):

        async def batch(payload: Payload) -> float:
            start = time.perf_counter()
            for _ in range(BATCH):
                await comm.write(wrapped(payload))
            await comm.read()
            return time.perf_counter() - start

        yield lambda payload: runner.run(asyncio.wait_for(batch(payload), LIMIT))


STREAMS: Final[dict[str, dict[str, Stream]]] = {
    "blocking": {
        RAW: _blocking(raw_copied),
        _PYOBJ: _blocking(send_pyobj),
        "mp.connection": Stream(_serve_connection, _connect_connection),
        "ipyparallel": _blocking(ipyparallel),
        OURS: _blocking(canning),
    },
    "asyncio": {
        RAW: _asyncio(_async_raw),
        _PYOBJ: _asyncio(_async_pyobj),
        "distributed": Stream(_serve_comm, _connect_comm),
        OURS: _asyncio(_async_canning),
    },
}
ROWS: Final = {f"{kind}-{style}": (kind, style) for kind in ("tcp", "ipc") for style in STREAMS}
NAMES: Final = tuple(ROWS)


def serve(say: Say, style: str, name: str, kind: str, folder: str) -> None:
    """Be the reading end of a stream, in a child."""
    STREAMS[style][name].serve(say, kind, folder)


def run(
    only: Collection[str], peers: Collection[str], effort: Effort, tell: Callable[[str], object]
) -> list[Result]:
    """Measure the rows that are named in `only`; `tell` is called with the row at work."""
    results = []
    for row, (kind, style) in ROWS.items():
        if row in only:
            names = [name for name in STREAMS[style] if name in peers]
            if kind == "ipc":
                names = [name for name in names if name != "distributed"]
            tell(f"messages: {row}")
            results.append(_measure(row, kind, style, names, effort))
    return results


def _measure(row: str, kind: str, style: str, names: list[str], effort: Effort) -> Result:
    payload = {"id": 7, "x": np.arange(12.0)}
    problems: dict[str, str] = {}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        batches: dict[str, Batch] = {}
        for name in names:
            try:
                child = cleanup.enter_context(Child("messages:serve", style, name, kind, folder))
                batches[name] = cleanup.enter_context(STREAMS[style][name].connect(child.hear()))
            except Exception as error:  # a peer that is not installed, or does not work here
                problems[name] = f"{type(error).__name__}: {error}"
        for _ in range(1 + effort.rounds):
            for name, batch in batches.items():
                if name not in problems:
                    try:
                        seconds[name].append(batch(payload) / BATCH)
                    except Exception as error:
                        problems[name] = f"{type(error).__name__}: {error}"
    cells = {
        name: Cell(None, problems[name]) if name in problems else Cell(min(seconds[name][1:]))
        for name in names
    }
    result = Result("messages", row, f"dicts with an array of 100 B, {style} sockets, {kind}", cells, 100)
    result.judge((_BAR,))
    return result
