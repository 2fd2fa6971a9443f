"""Options that there are not, or that have no such value; and the types of results: for `make types`."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt
import zmq
import zmq.asyncio

import canning
from transport import Channel, Receiver, Sender, SharedArena, Tracker, aio, recv, send


def options(socket: zmq.Socket[bytes], blob: bytes) -> None:
    canning.Serializer(trust="dta")  # type: ignore[arg-type]
    canning.Serializer(pickler="cloudpickel")  # type: ignore[arg-type]
    canning.Serializer(codek=None)  # type: ignore[arg-type]
    canning.default_serializer.evolve(mising="stub")  # type: ignore[call-arg]
    canning.load("file", trsut="data")  # type: ignore[call-arg]
    canning.loads(blob, trust="dta")  # type: ignore[arg-type]
    canning.loads(blob, missing="stubs")  # type: ignore[arg-type]
    canning.dump(1, "file", readable="data")  # type: ignore[call-arg]
    canning.serialize_object(1, buffer_treshold=3)  # type: ignore[call-arg]
    Channel(socket, kye=b"")  # type: ignore[call-arg]
    send(socket, 1, kye=b"")  # type: ignore[arg-type]
    Sender(socket, kye=b"")  # type: ignore[call-overload]
    recv(socket, trsut="data")  # type: ignore[call-overload]
    recv(socket, trust="dta")  # type: ignore[call-overload]
    Receiver(socket, trust="dta")  # type: ignore[call-overload]


def results(socket: zmq.Socket[bytes], into: npt.NDArray[np.int8], arena: SharedArena) -> None:
    assert_type(canning.serialize_object(1), list[bytes | bytearray | memoryview])
    assert_type(canning.dumps(1), bytes)
    assert_type(send(socket, 1), Tracker)
    assert_type(recv(socket, many=True), list[Any])
    assert_type(recv(socket, prefix=1), tuple[list[bytes], Any])
    assert_type(recv(socket, prefix=1, many=True), tuple[list[bytes], list[Any]])
    assert_type(recv(socket, into=into), npt.NDArray[np.int8])
    assert_type(arena.empty(3), npt.NDArray[np.float64])
    assert_type(arena.empty((3, 4), np.float32), npt.NDArray[np.float32])
    assert_type(arena.empty((3, 4), "f4"), npt.NDArray[Any])
    assert_type(arena.array(into), npt.NDArray[np.int8])
    assert_type(arena.array([1, 2]), npt.NDArray[Any])


async def later(socket: zmq.asyncio.Socket, into: npt.NDArray[np.int8]) -> None:
    assert_type(await aio.recv(socket, many=True), list[Any])
    assert_type(await aio.recv(socket, into=into), npt.NDArray[np.int8])
    await aio.recv(socket, trsut="data")  # type: ignore[call-overload]
    await aio.send(socket, 1, kye=b"")  # type: ignore[call-arg]
