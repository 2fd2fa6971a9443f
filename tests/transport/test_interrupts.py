"""What is raised in the middle of a message, as by Ctrl-C, leaves the socket at the start of the next one."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import transport
from tests.transport.helpers import Connect
from transport.multipart import INTERRUPTED

MESSAGE = [np.arange(5000) + n for n in range(3)]
"""Four parts: the header and three arrays."""
PAIRS = [("PAIR", "PAIR"), ("PUSH", "PULL"), ("DEALER", "DEALER"), ("PUB", "SUB"), ("ROUTER", "DEALER")]


class Stop(BaseException):
    """What a signal handler raises."""


class Stopping:
    """A socket whose nth `send` or `recv` is interrupted, before or behind what it does."""

    def __init__(self, socket: Any, name: str, at: int, behind: bool) -> None:
        self.socket, self.name, self.left, self.behind = socket, name, at, behind

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.socket, name)
        if name != self.name:
            return function

        def call(*args: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.behind:
                raise Stop
            result = function(*args, **options)
            if self.left == 0:
                raise Stop
            return result

        return call


def connected(connect: Connect, scheme: str, types: tuple[str, str]) -> tuple[Any, Any, bytes]:
    """Connect two sockets, and wait until the first one reaches the other; give the prefix that it needs."""
    if types[0] == "PUB":
        here, there = connect(scheme, zmq.XPUB, zmq.SUB)
        there.subscribe(b"")
        here.recv()
        return here, there, b"topic"
    here, there = connect(scheme, getattr(zmq, types[0]), getattr(zmq, types[1]))
    if types[0] != "ROUTER":
        return here, there, b""
    transport.send(there, "hello")
    (name,), _ = transport.recv(here, prefix=1, timeout=10)
    return here, there, name


@pytest.mark.parametrize("scheme", ["tcp", "inproc"])
@pytest.mark.parametrize("types", PAIRS)
@pytest.mark.parametrize("behind", [False, True])
def test_sending(connect: Connect, scheme: str, types: tuple[str, str], behind: bool) -> None:
    here, there, prefix = connected(connect, scheme, types)
    leading: Any = {"prefix": prefix} if prefix else {}
    for at in range(1, 5 + bool(prefix)):
        with pytest.raises(Stop):
            transport.send(Stopping(here, "send", at, behind), MESSAGE, **leading)
        transport.send(here, "next", timeout=10, **leading)
        arrived = transport.recv(there, timeout=10, prefix=int(types[0] == "PUB"))
        if isinstance(arrived, tuple):
            arrived = arrived[1]
        if at == 4 + bool(prefix) and behind:  # all of it had left
            assert np.array_equal(arrived, MESSAGE)
            arrived = transport.recv(there, timeout=10, prefix=int(types[0] == "PUB"))
            if isinstance(arrived, tuple):
                arrived = arrived[1]
        assert arrived == "next"


@pytest.mark.parametrize("scheme", ["tcp", "inproc"])
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_receiving(connect: Connect, scheme: str, at: int, behind: bool) -> None:
    here, there = connect(scheme, zmq.PUSH, zmq.PULL)
    transport.send(here, MESSAGE)
    transport.send(here, "next")
    assert there.poll(10_000)
    with pytest.raises(Stop):
        transport.recv(Stopping(there, "recv", at, behind))
    if at == 1 and not behind:  # nothing was taken
        assert np.array_equal(transport.recv(there, timeout=10), MESSAGE)
    assert transport.recv(there, timeout=10) == "next"


def test_a_request_that_was_cut_is_answered(connect: Connect) -> None:
    here, there = connect("tcp", zmq.REQ, zmq.REP)
    with pytest.raises(Stop):
        transport.send(Stopping(here, "send", 1, behind=False), MESSAGE)
    with pytest.raises(Stop):  # the first attempt left nothing behind
        transport.send(Stopping(here, "send", 3, behind=True), MESSAGE)
    with pytest.raises(transport.MessageError):
        transport.recv(there, timeout=10)
    transport.send(there, "what was that?")
    assert transport.recv(here, timeout=10) == "what was that?"


def test_what_was_cut_is_passed_over_at_once_or_by_the_clock(connect: Connect) -> None:
    here, there = connect("tcp", zmq.PUSH, zmq.PULL)
    here.send_multipart([b"header", INTERRUPTED])
    with pytest.raises(transport.TransportTimeout):
        transport.recv(there, timeout=0.1)
    here.send(INTERRUPTED)
    transport.send(here, 1)
    assert transport.recv(there) == 1
    here.send(INTERRUPTED)
    transport.send(here, 2)
    assert transport.recv(there, timeout=10) == 2

    async def awaited() -> Any:
        here.send(INTERRUPTED)
        transport.send(here, 3)
        return await transport.aio.recv(zmq.asyncio.Socket.from_socket(there), timeout=10)

    assert asyncio.run(awaited()) == 3


def test_a_fake_pair() -> None:
    here, there = transport.fake_pair()
    with pytest.raises(Stop):
        transport.send(Stopping(here, "send", 2, behind=True), MESSAGE)
    transport.send(here, MESSAGE)
    with pytest.raises(Stop):
        transport.recv(Stopping(there, "recv", 5, behind=True))  # three frames of what was cut come first
    transport.send(here, "next")
    assert transport.recv(there, timeout=1) == "next"
