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
from typing import Any, Final, NamedTuple

import numpy as np
import zmq

from .child import LIMIT, Say
from .peers import Peer

Payload = dict[str, Any]
Trips = Callable[[Payload, int], list[float]]
"""Send a payload so many times; the seconds from before each until the answer to it."""

ZERO_COPY_FROM: Final = 64 * 1024
"""Bytes from which pyzmq's own methods send without a copy, as its ``zmq.COPY_THRESHOLD``."""
_DOUBLES_A_PAGE: Final = 512
_CAPACITY: Final = "5GiB"
_OK: Final = b"ok"


Send = Callable[[Any, Any], object]
"""Send an object on a ZeroMQ socket."""


class Pair(NamedTuple):
    """How an object is sent on a ZeroMQ socket, and received."""

    send: Send
    recv: Callable[[Any], Any]


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
    return sum(array.nbytes for array in _arrays(payload))


def _arrays(payload: Payload) -> list[Any]:
    x = payload["x"]
    return x if isinstance(x, list) else [x]


# -- over ZeroMQ ---------------------------------------------------------------------------------------


def raw() -> Pair:
    """Send the bare memory as it is, with nothing that could tell what it was: what no one can beat."""

    def send(socket: Any, payload: Payload) -> None:
        arrays = _arrays(payload)
        socket.send_multipart([b"header", *arrays], copy=arrays[0].nbytes < ZERO_COPY_FROM)

    def recv(socket: Any) -> Payload:
        return _bare([frame.buffer for frame in socket.recv_multipart(copy=False)])

    return Pair(send, recv)


def raw_copied() -> Pair:
    """Send bare memory with a copy at both ends, which is faster where there is little of it."""

    def send(socket: Any, payload: Payload) -> None:
        socket.send_multipart([b"header", *_arrays(payload)])

    return Pair(send, lambda socket: _bare(socket.recv_multipart()))


def _bare(frames: list[Any]) -> Payload:
    arrays = [np.frombuffer(frame, "u1" if len(frame) % 8 else "f8") for frame in frames[1:]]
    return {"x": arrays if len(arrays) > 1 else arrays[0]}


def joined() -> Pair:
    """Join many arrays by hand into one frame, and cut it by hand: what only who knows them can do."""

    def send(socket: Any, payload: Payload) -> None:
        whole = np.concatenate(payload["x"])
        socket.send_multipart([str(len(payload["x"])).encode(), whole], copy=False)

    def recv(socket: Any) -> Payload:
        count, whole = socket.recv_multipart(copy=False)
        return {"x": list(np.frombuffer(whole.buffer).reshape(int(count.bytes), -1))}

    return Pair(send, recv)


def send_pyobj() -> Pair:
    """Use pyzmq's own ``send_pyobj``."""
    return Pair(lambda socket, obj: socket.send_pyobj(obj, protocol=5), lambda socket: socket.recv_pyobj())


def ipyparallel() -> Pair:
    """Send the frames of ``ipyparallel.serialize``."""
    from ipyparallel.serialize import deserialize_object, serialize_object

    def send(socket: Any, payload: Payload) -> None:
        socket.send_multipart(serialize_object(payload), copy=_arrays(payload)[0].nbytes < ZERO_COPY_FROM)

    def recv(socket: Any) -> Payload:
        frames = [frame.buffer for frame in socket.recv_multipart(copy=False)]
        payload: Payload = deserialize_object(frames)[0]
        return payload

    return Pair(send, recv)


def canning() -> Pair:
    """Use this library's transport."""
    import transport

    return Pair(transport.send, lambda socket: transport.recv(socket, trust="code"))


def over_zmq(peer: Peer) -> Pair:
    """Send the frames of any peer, and copy none."""

    def send(socket: Any, obj: Any) -> None:
        socket.send_multipart(peer.dump(obj), copy=False)

    def recv(socket: Any) -> Any:
        return peer.load([frame.buffer for frame in socket.recv_multipart(copy=False)])

    return Pair(send, recv)


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


@contextmanager
def sharing() -> Iterator[Send]:
    """Send through an arena, for those who receive with `arena_pair`."""
    import transport

    with transport.SharedArena(_CAPACITY) as arena:
        yield lambda socket, payload: transport.send(socket, payload, arena=arena)


def arena_pair() -> Pair:
    """Receive from arenas."""
    import transport

    return Pair(transport.send, lambda socket: transport.recv(socket, shared_memory=True))


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
}
ALL_LINKS: Final = {**LINKS, JOINED: _zmq_link(joined), ARENA: _zmq_link(arena_pair, sharing)}
