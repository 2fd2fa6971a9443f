"""Wrong sockets, and sockets used in a wrong way: told before anything is done."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from tests.transport.helpers import Connect, Open
from transport import TransportTimeout, aio, kinds

NOT_SOCKETS = [zmq.Context.instance(), 3, None, {"a": 1}, "tcp://127.0.0.1:5555", [1], transport, zmq.PUSH]


@pytest.mark.parametrize("given", NOT_SOCKETS, ids=lambda given: type(given).__name__)
def test_what_is_no_socket(given: Any) -> None:
    calls: list[Any] = [
        lambda: transport.send(given, 1),
        lambda: transport.recv(given),
        lambda: transport.Sender(given),
        lambda: transport.Receiver(given),
        lambda: transport.Channel(given, key=canning.new_key()),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="takes a socket first, not"):
            call()


def test_arguments_that_are_swapped(open_socket: Open) -> None:
    socket: Any = open_socket(zmq.PUSH)
    with pytest.raises(TypeError, match="not dict: the socket comes first"):
        transport.send({"a": 1}, socket)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not ndarray: the socket comes first"):
        transport.send(np.zeros(3), socket)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "move", "told"),
    [
        (zmq.PULL, "send", "only receives: send on a PUSH"),
        (zmq.SUB, "send", "only receives: send on a PUB"),
        (zmq.PUSH, "recv", "only sends: receive on a PULL"),
        (zmq.PUB, "recv", "only sends: receive on a SUB"),
        (zmq.ROUTER, "send", "pass prefix=, the identity"),
        (zmq.ROUTER, "recv", "pass prefix=1"),
        (zmq.STREAM, "send", "moves bytes"),
        (zmq.STREAM, "recv", "moves bytes"),
        (zmq.REQ, "recv", "has sent no request: send one first"),
        (zmq.REP, "send", "has no request to answer: receive one first"),
    ],
)
@pytest.mark.parametrize("timeout", [None, 0, 1])
def test_types_and_turns(open_socket: Open, kind: int, move: str, told: str, timeout: float | None) -> None:
    socket = open_socket(kind)
    socket.bind("tcp://127.0.0.1:*")
    x = np.zeros(100_000)
    moves: dict[str, Any] = {
        "send": lambda: transport.send(socket, x, timeout=timeout),
        "recv": lambda: transport.recv(socket, timeout=timeout),
    }
    with pytest.raises(transport.TransportError, match=told):
        moves[move]()


@pytest.mark.parametrize("timeout", [None, 1])
def test_a_request_waits_for_its_reply(connect: Connect, timeout: float | None) -> None:
    server, client = connect("tcp", zmq.REP, zmq.REQ)
    transport.send(client, ["request", np.zeros(5000)])
    with pytest.raises(transport.TransportError, match="has sent a request: receive the reply first"):
        transport.send(client, ["again", np.zeros(5000)], timeout=timeout)
    assert transport.recv(server, timeout=10)[0] == "request"
    with pytest.raises(transport.TransportError, match="owes an answer: send it first"):
        transport.recv(server, timeout=timeout)
    transport.send(server, "reply")
    assert transport.recv(client, timeout=10) == "reply"


@pytest.mark.parametrize("kind", [zmq.PUSH, zmq.PULL, zmq.PUB, zmq.SUB, zmq.DEALER])
def test_conflating_sockets_are_refused(open_socket: Open, kind: int) -> None:
    socket = open_socket(kind)
    socket.setsockopt(zmq.CONFLATE, 1)
    socket.bind("tcp://127.0.0.1:*")
    for call in (lambda: transport.send(socket, 1), lambda: transport.Sender(socket)):
        with pytest.raises(
            transport.TransportError, match=r"cannot send: (with CONFLATE|a .* only receives)"
        ):
            call()
    for call in (lambda: transport.recv(socket), lambda: transport.Receiver(socket)):
        with pytest.raises(
            transport.TransportError, match=r"cannot receive: (with CONFLATE|a .* only sends)"
        ):
            call()


def test_with_asyncio() -> None:
    async def main() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.PULL) as pull:
            with pytest.raises(transport.TransportError, match="only receives"):
                await aio.send(pull, 1)
            request = context.socket(zmq.REQ)
            with request, pytest.raises(transport.TransportError, match="has sent no request"):
                await aio.recv(request, timeout=1)
            calls: list[Any] = [lambda: transport.send(pull, 1), lambda: transport.recv(pull)]
            for call in calls:
                with pytest.raises(TypeError, match="is an asyncio socket: use `await"):
                    call()

    asyncio.run(main())


def test_what_is_known_goes_with_the_socket() -> None:
    context = zmq.Context()
    known = set(kinds.KNOWN)
    for _ in range(50):
        with context.socket(zmq.PULL) as socket, pytest.raises(transport.TransportError):
            transport.send(socket, 1)
        del socket
    gc.collect()
    assert set(kinds.KNOWN) <= known
    context.term()


def test_other_things_in_the_place_of_options(open_socket: Open) -> None:
    push: Any = open_socket(zmq.PUSH)
    pull: Any = open_socket(zmq.PULL)
    wrong: Any = "lz4"
    for call in (
        lambda: transport.send(push, 1, serializer=wrong),
        lambda: transport.Sender(push, serializer=wrong),
        lambda: transport.recv(pull, serializer=wrong),
        lambda: transport.Receiver(pull, serializer=wrong),
    ):
        with pytest.raises(TypeError, match=r"Serializer\(codec='lz4'\), not str"):
            call()
    with pytest.raises(TypeError, match=r"arena= takes a transport.SharedArena, not int"):
        transport.send(push, np.zeros(10**6), arena=wrong and 16)
    with pytest.raises(TypeError, match=r"write it as b'topic'"):
        transport.send(push, 1, prefix=wrong)
    with pytest.raises(TypeError, match=r"allow= takes classes and dotted names, not int"):
        transport.recv(pull, allow=wrong and 5)
    with pytest.raises(TypeError, match=r"prefix of send is the identity or the topic.*recv takes a number"):
        transport.send(push, 1, prefix=wrong and 1)
    for call in (
        lambda: transport.send(push, 1, timeout=wrong),
        lambda: transport.recv(pull, timeout=wrong),
        lambda: transport.Receiver(pull, timeout=wrong),
    ):
        with pytest.raises(TypeError, match=r"^timeout must be None or a number of seconds, not str$"):
            call()


def test_a_closed_socket_is_named(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, 1)
    assert transport.recv(there, timeout=10) == 1
    for socket in (here, there):
        socket.close()
    for call in (
        lambda: transport.send(here, 1),
        lambda: transport.send(here, 1, timeout=1),
        lambda: transport.recv(there),
        lambda: transport.recv(there, timeout=1),
    ):
        with pytest.raises(zmq.ZMQError, match="is closed") as caught:
            call()
        assert caught.value.errno == zmq.ENOTSOCK


def test_a_subscriber_that_waits_in_vain_is_told_to_subscribe(open_socket: Open) -> None:
    subscriber, puller = open_socket(zmq.SUB), open_socket(zmq.PULL)
    for socket in (subscriber, puller):
        socket.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(TransportTimeout, match=r"for 0.01 s: a SUB gets only what it has subscribed to$"):
        transport.recv(subscriber, timeout=0.01)
    with pytest.raises(TransportTimeout, match=r"for 0.01 s$"):
        transport.recv(puller, timeout=0.01)


def test_a_peer_that_is_not_there_is_told_where_the_socket_tells(open_socket: Open) -> None:
    router = open_socket(zmq.ROUTER)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.bind("tcp://127.0.0.1:*")
    with pytest.raises(zmq.ZMQError, match="no peer of the identity in prefix=") as caught:
        transport.send(router, 1, prefix=b"nobody")
    assert caught.value.errno == zmq.EHOSTUNREACH


def test_a_traceback_ends_in_the_callers_line(connect: Connect) -> None:
    here, there = connect()
    here.send(b"not a message")
    calls: list[Any] = [
        lambda: transport.send(here, lambda: None, serializer=transport.sockets.Serializer(pickler="pickle")),
        lambda: transport.recv(there),
        lambda: transport.recv(there, timeout=0),
        lambda: transport.Receiver(there).recv(timeout=0),
    ]
    for call in calls:
        with pytest.raises(transport.errors.CanningError) as caught:
            call()
        assert len(caught.traceback) == 3, "the test, its lambda, and the call that it has made"


def test_what_an_error_comes_of_can_be_asked(connect: Connect) -> None:
    here, there = connect()
    here.send(b"not a message")
    with pytest.raises(transport.MessageError) as caught:
        transport.recv(there, timeout=10)
    cause = caught.value.__cause__
    assert type(cause) is canning.DeserializationError
    assert cause.__traceback__ is None


@pytest.mark.parametrize(
    ("kind", "call"),
    [
        (zmq.PUSH, lambda socket: transport.send(socket, 1, timeout=0)),
        (zmq.PULL, lambda socket: transport.recv(socket, timeout=0)),
    ],
    ids=["send", "recv"],
)
def test_a_socket_that_nobody_has_connected(kind: int, call: Any) -> None:
    with zmq.Context() as context, context.socket(kind) as socket:
        with pytest.raises(TransportTimeout, match="it is neither bound nor connected"):
            call(socket)
        socket.bind("inproc://alone")
        with pytest.raises(TransportTimeout) as caught:
            call(socket)
        assert "neither" not in str(caught.value)
