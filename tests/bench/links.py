"""Ways from one process to another: each has an end that answers and an end that measures.

The payload is a dict with one array or a list of them, ``{"id": 7, "x": array}``. Whoever receives it reads
one number of each page, since memory that is mapped on first touch has not arrived before.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from secrets import token_hex
from typing import Any, Final

import zmq

from .child import LIMIT, Say
from .pairs import (
    Pair,
    Payload,
    Send,
    arena_pair,
    arrays_of,
    canning,
    ipyparallel,
    joined,
    raw,
    raw_copied,
    send_pyobj,
    sharing,
    streamed,
)

Trips = Callable[[Payload, int], list[float]]
"""Send a payload so many times; the seconds from before each until the answer to it."""

_DOUBLES_A_PAGE: Final = 512
_OK: Final = b"ok"


@dataclass(frozen=True, slots=True)
class Link:
    """One way.

    Args:
        kinds: where it exists, ``"tcp"`` and ``"ipc"``.
        serve: says its address, and then answers for ever; called with `Say`, a kind and a folder.
        connect: gives `Trips` to an address.
    """

    kinds: tuple[str, ...]
    serve: Callable[[Say, str, str], None]
    connect: Callable[[str], AbstractContextManager[Trips]]


def touch(payload: Payload) -> float:
    """Read a number of each page of each array."""
    x = payload["x"]
    if isinstance(x, list):
        return sum(float(array[0]) for array in x)
    return float(x[::_DOUBLES_A_PAGE].sum())


def size_of(payload: Payload) -> int:
    """Tell how many bytes the arrays have."""
    return sum(array.nbytes for array in arrays_of(payload))


# -- over ZeroMQ ---------------------------------------------------------------------------------------


@contextmanager
def pair_socket() -> Iterator[Any]:
    """Open a PAIR socket whose waits are bounded."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = int(LIMIT * 1000)
        yield socket


def bind(socket: Any, kind: str, folder: str) -> str:
    """Bind to a free address, and return it."""
    socket.bind("tcp://127.0.0.1:*" if kind == "tcp" else f"ipc://{folder}/{token_hex(4)}")
    address: str = socket.last_endpoint.decode()
    return address


def _zmq_link(
    make: Callable[[], Pair], sending: Callable[[], AbstractContextManager[Send]] | None = None
) -> Link:
    """Make a link of a pair; `sending` opens what sends in its place."""

    def serve(say: Say, kind: str, folder: str) -> None:
        recv = make().recv
        with pair_socket() as socket:
            socket.rcvtimeo = -1  # its turn may be long in coming; it ends with its parent
            say(bind(socket, kind, folder))
            while True:
                touch(recv(socket))
                socket.send(_OK)

    @contextmanager
    def connect(address: str) -> Iterator[Trips]:
        opened = sending() if sending else nullcontext(make().send)
        with opened as send, pair_socket() as socket:
            socket.connect(address)

            def trips(payload: Payload, n: int) -> list[float]:
                seconds = []
                for _ in range(n):
                    start = time.perf_counter()
                    send(socket, payload)
                    socket.recv()
                    seconds.append(time.perf_counter() - start)
                return seconds

            yield trips

    return Link(("tcp", "ipc"), serve, connect)


# -- multiprocessing's connections ---------------------------------------------------------------------


@contextmanager
def listening(say: Say, kind: str, folder: str) -> Iterator[Any]:
    """Say an address, and wait for a connection there."""
    from multiprocessing.connection import Listener

    where: Any = ("127.0.0.1", 0) if kind == "tcp" else f"{folder}/{os.getpid()}"
    with Listener(where) as listener:
        address: Any = listener.address
        say(f"{address[0]}:{address[1]}" if kind == "tcp" else address)
        with listener.accept() as connection:
            yield connection


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to whom is `listening`."""
    from multiprocessing.connection import Client

    host, _, port = address.partition(":")
    with Client((host, int(port)) if port else address) as connection:
        yield connection


def _serve_connection(say: Say, kind: str, folder: str) -> None:
    with listening(say, kind, folder) as connection:
        while True:
            touch(connection.recv())
            connection.send_bytes(_OK)


@contextmanager
def _connect_connection(address: str) -> Iterator[Trips]:
    with connected(address) as connection:

        def trips(payload: Payload, n: int) -> list[float]:
            seconds = []
            for _ in range(n):
                start = time.perf_counter()
                connection.send(payload)
                connection.recv_bytes()
                seconds.append(time.perf_counter() - start)
            return seconds

        yield trips


# -- distributed's comms -------------------------------------------------------------------------------


def serve_comm(say: Say, kind: str, answer: Callable[[Any], Awaitable[None]]) -> None:
    """Say an address, and let `answer` see to each comm that comes there."""
    comms: Any = import_module("distributed.comm")

    async def main() -> None:
        async with comms.listen(f"{kind}://127.0.0.1:0", answer, deserialize=True) as listener:
            say(listener.contact_address)
            await asyncio.Event().wait()

    asyncio.run(main())


@contextmanager
def connected_comm(address: str) -> Iterator[tuple[asyncio.Runner, Any, Callable[[Payload], Any]]]:
    """Give a loop, a comm in it, and what wraps a payload for it."""
    comms: Any = import_module("distributed.comm")
    to_serialize: Any = import_module("distributed.protocol").to_serialize

    async def close(comm: Any) -> None:
        comm.abort()

    with asyncio.Runner() as runner:
        comm = runner.run(asyncio.wait_for(comms.connect(address), LIMIT))
        try:
            yield runner, comm, lambda payload: {"payload": to_serialize(payload)}
        finally:
            runner.run(close(comm))


def _serve_comm(say: Say, kind: str, _folder: str) -> None:
    async def answer(comm: Any) -> None:
        while True:
            touch((await comm.read())["payload"])
            await comm.write("ok")

    serve_comm(say, kind, answer)


@contextmanager
def _connect_comm(address: str) -> Iterator[Trips]:
    with connected_comm(address) as (runner, comm, wrapped):

        async def send(payload: Payload, n: int) -> list[float]:
            seconds = []
            for _ in range(n):
                start = time.perf_counter()
                await comm.write(wrapped(payload))
                await comm.read()
                seconds.append(time.perf_counter() - start)
            return seconds

        yield lambda payload, n: runner.run(asyncio.wait_for(send(payload, n), LIMIT))


RAW: Final = "raw frames"
JOINED: Final = "joined by hand"
ARENA: Final = "canning, arena"

LINKS: Final[dict[str, Link]] = {
    RAW: _zmq_link(raw),
    "raw, copied": _zmq_link(raw_copied),
    "send_pyobj": _zmq_link(send_pyobj),
    "mp.connection": Link(("tcp", "ipc"), _serve_connection, _connect_connection),
    "ipyparallel": _zmq_link(ipyparallel),
    "distributed": Link(("tcp",), _serve_comm, _connect_comm),
    "canning": _zmq_link(canning),
    "canning streams": _zmq_link(streamed),
}
ALL_LINKS: Final = {**LINKS, JOINED: _zmq_link(joined), ARENA: _zmq_link(arena_pair, sharing)}
