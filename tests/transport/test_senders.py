"""Options once and then message after message, copies of what is changed at once, and classes by name."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from tests.transport.helpers import LARGE, SCHEMES, Connect
from transport import Receiver, Sender


@dataclasses.dataclass
class Reading:
    name: str
    value: float


class Named(NamedTuple):
    name: str


class Ordinary:
    pass


@pytest.mark.parametrize("scheme", SCHEMES)
def test_options_are_given_once(connect: Connect, scheme: str) -> None:
    here, there = connect(scheme)
    key = canning.new_key()
    sender = Sender(here, prefix=b"topic", key=key, timeout=10)
    receiver = Receiver(there, prefix=1, key=key, many=True, timeout=10)
    for number in range(3):
        sender.send(number, np.arange(1000))
        prefix, (arrived, x) = receiver.recv()
        assert (prefix, arrived, x[-1]) == ([b"topic"], number, 999)
    sender.send("other", prefix=[b"a"])
    assert receiver.recv(timeout=5) == ([b"a"], ["other"])
    transport.send(here, 1, prefix=b"x")
    with pytest.raises(transport.RefusedMessage):
        receiver.recv()


def test_timeouts(connect: Connect) -> None:
    _, there = connect()
    for call in (Receiver(there, timeout=0.01).recv, lambda: Receiver(there).recv(timeout=0.01)):
        with pytest.raises(transport.TransportTimeout):
            call()
    with pytest.raises(ValueError, match="timeout"):
        Receiver(there, timeout=-1)


def test_into(connect: Connect) -> None:
    here, there = connect()
    x = np.empty(LARGE)
    receiver = Receiver(there, timeout=10)
    for number in range(3):
        transport.send(here, np.full(LARGE, float(number)))
        assert receiver.recv(into=x) is x
        assert (x == number).all()


def test_a_loop_ends_with_its_socket(connect: Connect) -> None:
    here, there = connect()
    receiver = Receiver(there)
    for number in range(5):
        transport.send(here, number)
    came = []
    for obj in receiver:
        came.append(obj)
        if obj == 4:
            there.close()
    assert came == list(range(5))


def test_a_bad_message_does_not_end_a_loop(connect: Connect) -> None:
    here, there = connect()
    receiver = Receiver(there, timeout=10)
    transport.send(here, 1)
    here.send(b"bad")
    transport.send(here, 2)
    assert next(receiver) == 1
    with pytest.raises(transport.MessageError):
        next(receiver)
    assert next(iter(receiver)) == 2


def test_asyncio() -> None:
    async def main() -> list[Any]:
        with zmq.asyncio.Context() as context, context.socket(zmq.PAIR) as here:
            there = context.socket(zmq.PAIR)
            here.bind("tcp://127.0.0.1:*")
            there.connect(here.last_endpoint)
            sender, receiver = Sender(here, timeout=10), Receiver(there, timeout=10)
            for number in range(4):
                await sender.send(number)
            came = [await receiver.recv(timeout=5)]
            async for obj in receiver:
                came.append(obj)
                if obj == 3:
                    there.close()
            with pytest.raises(TypeError, match="use `async for`"):
                iter(receiver)
            return came

    assert asyncio.run(main()) == [0, 1, 2, 3]


def test_a_blocking_receiver_is_not_awaited(connect: Connect) -> None:
    _, there = connect()
    with pytest.raises(TypeError, match="blocks: use `for`"):
        aiter(Receiver(there))


# -- memory that is used again


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("nbytes", [100, 10_000, 300_000, 3_000_000, 40_000_000])
@pytest.mark.parametrize("kind", [np.ndarray, bytearray, memoryview, "strided", "many"])
def test_what_was_copied_may_be_changed_at_once(
    connect: Connect, scheme: str, nbytes: int, kind: Any
) -> None:
    here, there = connect(scheme)
    count = 3 if nbytes > 10**7 else 20
    x = np.zeros(nbytes, "u1")
    step = max(1000, nbytes // 3000)
    obj: Any = {
        np.ndarray: x,
        bytearray: bytearray(1),
        memoryview: memoryview(x),
        "strided": x[::2],
        "many": [x[i : i + step - 100] for i in range(0, max(1, nbytes - step + 1), step)],
    }[kind]
    if kind is bytearray:
        obj = bytearray(nbytes)
        x = np.frombuffer(obj, "u1")

    def receive() -> None:
        for number in range(count):
            arrived = transport.recv(there, timeout=30)
            parts = arrived if kind == "many" else [arrived]
            wrong.extend(number for part in parts if not (np.asarray(part) == number).all())

    wrong: list[int] = []
    thread = threading.Thread(target=receive)
    thread.start()
    for number in range(count):
        x[:] = number
        assert transport.send(here, obj, copy=True, timeout=30).done
    x[:] = 255
    thread.join()
    assert wrong == []


def test_copies_use_their_memory_again(connect: Connect) -> None:
    here, there = connect()
    before = transport.pool._COPYING.stats()
    x = np.zeros(1_000_000)
    for _ in range(10):
        transport.send(here, x, copy=True)
        transport.recv(there, timeout=10)
        transport.drain(10)
    after = transport.pool._COPYING.stats()
    assert after.misses - before.misses <= 1
    assert after.in_use == before.in_use


def test_bytes_cannot_change_and_are_not_copied(connect: Connect) -> None:
    here, there = connect("inproc")
    before = transport.pool._COPYING.stats()
    data = bytes(1_000_000)
    transport.send(here, data, copy=True)
    assert transport.recv(there, timeout=10) == data
    after = transport.pool._COPYING.stats()
    assert (after.hits, after.misses) == (before.hits, before.misses)


# -- classes by name


@pytest.mark.parametrize(
    "allow", [Reading, [Reading], {f"{__name__}.Reading"}, f"{__name__}.Reading"], ids=str
)
@pytest.mark.parametrize("key", [None, b"k" * 16])
def test_allow(connect: Connect, allow: Any, key: bytes | None) -> None:
    here, there = connect()
    reading = Reading("a", 1.5)
    transport.send(here, reading, key=key)
    assert transport.recv(there, trust="data", allow=allow, key=key, timeout=10) == reading
    transport.send(here, reading, key=key)
    assert Receiver(there, trust="data", allow=allow, key=key, timeout=10).recv() == reading


def test_allow_adds_to_what_the_serializer_allows(connect: Connect) -> None:
    here, there = connect()
    reader = canning.Serializer(trust="data", allow={Reading})
    transport.send(here, [Reading("a", 1.0), Named("b")])
    got = transport.recv(there, serializer=reader, allow={Named}, timeout=10)
    assert got == [Reading("a", 1.0), Named("b")]


def test_a_refused_class_says_what_to_allow_first(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, Reading("a", 1.0))
    with pytest.raises(transport.MessageError) as caught:
        transport.recv(there, timeout=10)
    text = str(caught.value)
    assert f'allow={{"{__name__}.Reading"}}' in text
    assert text.index("allow=") < text.index("trust=")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Reading", "is not a dotted name"),
        ("no_such_package_of_ours.Reading", "there is no module no_such_package_of_ours"),
        ("canning.no_such_module.Reading", r"canning has no no_such_module"),
        (f"{__name__}.Raeding", "has no Raeding"),
        (f"{__name__}.Reading.Inner", "has no Inner"),
        (f"{__name__}.Path", r"goes by the name of pathlib\.(_local\.)?Path"),
        (f"{__name__}.connect_nothing", "has no connect_nothing"),
    ],
)
def test_a_name_that_matches_nothing_is_told(connect: Connect, name: str, told: str) -> None:
    _, there = connect()
    for make in (lambda: Receiver(there, allow={name}), lambda: canning.Serializer(allow=[name])):
        with pytest.raises(ValueError, match=told):
            make()


def test_a_class_that_cannot_be_allowed_is_told(connect: Connect) -> None:
    _, there = connect()
    for allow in (Ordinary, f"{__name__}.Ordinary"):
        with pytest.raises(TypeError, match="allow= takes dataclasses"):
            transport.recv(there, allow=allow)


def test_a_module_that_is_not_imported_may_be_named() -> None:
    assert canning.Serializer(allow={"wave.Wave_params", "asyncio.no_imports_yet.X"[:0] or "wave.W"})
    assert Path
