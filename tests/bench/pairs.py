"""How an object is sent on a ZeroMQ socket, and received: by this library, by others, and by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from .peers import Peer

Payload = dict[str, Any]
Send = Callable[[Any, Any], object]
"""Send an object on a ZeroMQ socket."""
ZERO_COPY_FROM: Final = 64 * 1024
"""Bytes from which pyzmq's own methods send without a copy, as its ``zmq.COPY_THRESHOLD``."""
_CAPACITY: Final = "5GiB"


class Pair(NamedTuple):
    """How an object is sent on a ZeroMQ socket, and received."""

    send: Send
    recv: Callable[[Any], Any]


def arrays_of(payload: Payload) -> list[Any]:
    """List the arrays of a payload."""
    x = payload["x"]
    return x if isinstance(x, list) else [x]


def raw() -> Pair:
    """Send the bare memory as it is, with nothing that could tell what it was: what no one can beat."""

    def send(socket: Any, payload: Payload) -> None:
        arrays = arrays_of(payload)
        socket.send_multipart([b"header", *arrays], copy=arrays[0].nbytes < ZERO_COPY_FROM)

    def recv(socket: Any) -> Payload:
        return _bare([frame.buffer for frame in socket.recv_multipart(copy=False)])

    return Pair(send, recv)


def raw_copied() -> Pair:
    """Send bare memory with a copy at both ends, which is faster where there is little of it."""

    def send(socket: Any, payload: Payload) -> None:
        socket.send_multipart([b"header", *arrays_of(payload)])

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
        socket.send_multipart(serialize_object(payload), copy=arrays_of(payload)[0].nbytes < ZERO_COPY_FROM)

    def recv(socket: Any) -> Payload:
        frames = [frame.buffer for frame in socket.recv_multipart(copy=False)]
        payload: Payload = deserialize_object(frames)[0]
        return payload

    return Pair(send, recv)


def canning() -> Pair:
    """Use this library's transport."""
    import transport

    return Pair(transport.send, lambda socket: transport.recv(socket, trust="code"))


def streamed() -> Pair:
    """Use this library's streams, which large messages become."""
    from transport import Receiver, Sender

    return Pair(
        lambda socket, obj: Sender(socket, stream=True).send(obj),
        lambda socket: Receiver(socket, stream=True, trust="code").recv(),
    )


def over_zmq(peer: Peer) -> Pair:
    """Send the frames of any peer, and copy none."""

    def send(socket: Any, obj: Any) -> None:
        socket.send_multipart(peer.dump(obj), copy=False)

    def recv(socket: Any) -> Any:
        return peer.load([frame.buffer for frame in socket.recv_multipart(copy=False)])

    return Pair(send, recv)


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
