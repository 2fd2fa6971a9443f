"""Signed messages over sockets, and channels: what is forged, recorded, reordered or sent back is refused."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from canning import AuthenticationError, Key, PrePickled, Serializer, new_key
from tests.transport.helpers import LARGE, Connect, Open
from transport import (
    Channel,
    MessageError,
    PeerRefused,
    RefusedMessage,
    TransportError,
    TransportTimeout,
    conversation,
    fake_pair,
)
from transport.sessions import Arrivals, Note, Sessions, UnknownSession

KEY = new_key()
ARRAY = np.arange(LARGE // 8)


# -- transport.send and recv with a key --------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["tcp", "inproc"])
def test_signed_messages_arrive(connect: Connect, scheme: str) -> None:
    here, there = connect(scheme)
    transport.send(here, {"x": ARRAY}, prefix=b"topic", key=KEY)
    prefix, obj = transport.recv(there, key=KEY, prefix=1, timeout=10)
    assert prefix == [b"topic"]
    assert (obj["x"] == ARRAY).all()


def test_a_key_gives_trust_unless_the_reader_says_otherwise() -> None:
    here, there = fake_pair()
    rows: list[tuple[dict[str, Any], bool]] = [
        ({"key": KEY}, True),
        ({"serializer": Serializer(key=KEY)}, True),
        ({"key": KEY, "trust": "data"}, False),
        ({"serializer": Serializer(key=KEY, trust="data")}, False),
        ({"key": KEY, "serializer": Serializer(trust="data")}, False),
        ({"serializer": Serializer()}, False),
        ({}, False),
        ({"trust": "code"}, True),
    ]
    for options, code in rows:
        transport.send(here, len, key=KEY)
        if code:
            assert transport.recv(there, **options) is len
        else:
            with pytest.raises(MessageError, match="this message needs"):
                transport.recv(there, **options)


UNSIGNED = [{}, {"key": new_key()}, {"serializer": Serializer(key=new_key())}]


@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("options", UNSIGNED, ids=["none", "another", "another's serializer"])
def test_unsigned_messages_are_refused(options: dict[str, Any], trust: Any) -> None:
    here, there = fake_pair()
    transport.send(here, [1, 2], **options)
    transport.send(here, "next", key=KEY)
    with pytest.raises(RefusedMessage) as caught:
        transport.recv(there, key=KEY, trust=trust)
    assert isinstance(caught.value, AuthenticationError)
    assert isinstance(caught.value, MessageError)
    assert canning.deserialize_object(caught.value.frames)[0] == [1, 2]
    assert transport.recv(there, key=KEY, trust=trust) == "next"


def test_several_objects_are_under_one_signature() -> None:
    here, there = fake_pair()
    objects = ["one", b"x" * 2000, PrePickled(["three"]), 4]
    transport.send(here, *objects, key=KEY)
    frames = there.recv_multipart()
    starts = [0, 1, 3, 4]

    def deliver(parts: list[bytes]) -> Any:
        here.send_multipart(parts)
        return transport.recv(there, key=KEY, many=True)

    assert deliver(frames) == ["one", b"x" * 2000, ["three"], 4]
    for missing in range(4):
        first, last = starts[missing], [*starts, 5][missing + 1]
        with pytest.raises(RefusedMessage):
            deliver(frames[:first] + frames[last:])
    for changed in (frames[:1] + frames[3:4] + frames[1:3] + frames[4:], frames + frames[4:], frames * 2):
        with pytest.raises(RefusedMessage):
            deliver(changed)
    chain = [*Serializer(key=KEY).serialize_object(1), *Serializer(key=KEY).serialize_object(2)]
    with pytest.raises(RefusedMessage):
        deliver([bytes(frame) for frame in chain])


def test_a_bad_key_takes_no_message() -> None:
    here, there = fake_pair()
    transport.send(here, 1)
    for action in (
        lambda: transport.recv(there, key=b"short"),
        lambda: transport.send(here, 2, key=b"short"),
    ):
        with pytest.raises(ValueError, match="16 to 4096"):
            action()
    assert transport.recv(there) == 1


def test_signed_messages_on_asyncio_sockets() -> None:
    async def main() -> Any:
        with (
            zmq.asyncio.Context() as context,
            context.socket(zmq.PAIR) as here,
            context.socket(zmq.PAIR) as there,
        ):
            here.bind("inproc://signed")
            there.connect("inproc://signed")
            await transport.aio.send(here, [len, ARRAY], key=KEY)
            await transport.aio.send(here, [len])
            first = await transport.aio.recv(there, key=KEY, timeout=10)
            with pytest.raises(RefusedMessage):
                await transport.aio.recv(there, key=KEY, timeout=10)
            return first

    function, array = asyncio.run(main())
    assert function is len
    assert (array == ARRAY).all()


# -- channels ----------------------------------------------------------------------------------------------


def echo(channel: Any, count: int) -> threading.Thread:
    """Answer so many messages in a thread, those among them that a REP refuses."""

    def run() -> None:
        for _ in range(count):
            prefix: list[bytes] = []
            try:
                obj = channel.recv(timeout=10)
                if channel._prefix:
                    prefix, obj = obj
            except RefusedMessage:
                if channel._kind == zmq.REP:
                    continue
                raise
            channel.send(obj, prefix=prefix, timeout=10)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@contextlib.contextmanager
def echoing(channel: Any, count: int = 1) -> Iterator[None]:
    thread = echo(channel, count)
    yield
    thread.join(20)
    assert not thread.is_alive()


def pair(
    connect: Connect, scheme: str, bound: int, connected: int, **options: Any
) -> tuple[Channel, Channel]:
    there, here = connect(scheme, bound, connected)
    return Channel(there, key=KEY, **options), Channel(here, key=KEY, **options)


TYPES = [("PAIR", "PAIR"), ("DEALER", "DEALER"), ("ROUTER", "DEALER"), ("REP", "REQ")]


@pytest.mark.parametrize("scheme", ["tcp", "inproc"])
@pytest.mark.parametrize("types", TYPES, ids="-".join)
def test_question_and_answer(connect: Connect, scheme: str, types: tuple[str, str]) -> None:
    there, here = pair(connect, scheme, *(getattr(zmq, name) for name in types))
    with echoing(there, 3):
        for obj in (len, {"x": 1}, ARRAY):
            here.send(obj, timeout=10)
            got = here.recv(timeout=10)
            assert got is obj or np.array_equal(got, obj)
    assert (here.lost, there.lost, here.refused, there.refused) == (0, 0, 0, 0)


def test_prefixes_of_unlike_sockets(connect: Connect) -> None:
    router, request = connect("tcp", zmq.ROUTER, zmq.REQ)
    there, here = Channel(router, key=KEY, prefix=2), Channel(request, key=KEY)
    with echoing(there):
        here.send(1, timeout=10)
        assert here.recv(timeout=10) == 1
    reply, dealer = connect("tcp", zmq.REP, zmq.DEALER)
    there, here = Channel(reply, key=KEY), Channel(dealer, key=KEY, prefix=1)
    with echoing(there):
        here.send(1, prefix=b"", timeout=10)
        assert here.recv(timeout=10) == ([b""], 1)


def test_a_router_and_a_rep_have_several_peers(open_socket: Open) -> None:
    for server_kind, kind in ((zmq.ROUTER, zmq.DEALER), (zmq.REP, zmq.REQ)):
        socket = open_socket(server_kind)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        server = Channel(socket, key=KEY)
        clients = []
        for _ in range(3):
            client = open_socket(kind)
            client.connect(f"tcp://127.0.0.1:{port}")
            clients.append(Channel(client, key=KEY))
        with echoing(server, 12):
            for number in range(4):
                for client in clients:
                    client.send(number, timeout=10)
                    assert client.recv(timeout=10) == number
        assert [client.lost for client in clients] == [0, 0, 0]
        assert server.lost == 0


class Line:
    """Two channels that have agreed, and whoever is on the line between them."""

    def __init__(self, **options: Any) -> None:
        self.ends = fake_pair()
        self.options = options
        self.here, self.there = (Channel(end, key=KEY, **options) for end in self.ends)
        agree(self.here, self.there)

    def send(self, obj: Any) -> list[bytes]:
        """Send from here, and take it off the line."""
        self.here.send(obj, timeout=10)
        return self.ends[1].recv_multipart()

    def deliver(self, frames: list[bytes]) -> Any:
        self.ends[0].send_multipart(frames)
        return self.there.recv(timeout=10)

    def refuses(self, frames: list[bytes], match: str = "") -> None:
        before = self.there.refused
        with pytest.raises(RefusedMessage, match=match or "refused"):
            self.deliver(frames)
        assert self.there.refused == before + 1

    def asks(self, refusal: list[bytes]) -> None:
        """Give a refusal to here, which asks who is there."""
        self.ends[1].send_multipart(refusal)
        with pytest.raises(TransportTimeout):
            self.here.recv(timeout=0)

    def restart(self) -> None:
        self.there = Channel(self.ends[1], key=KEY, **self.options)


def agree(here: Channel, there: Channel) -> None:
    sender = threading.Thread(target=here.send, args=("agreed",))
    sender.start()
    assert there.recv(timeout=10) == "agreed"
    sender.join(10)
    assert not sender.is_alive()


def test_a_loop_over_messages_ends_with_the_context() -> None:
    context = zmq.Context()
    with context.socket(zmq.PUSH) as here, context.socket(zmq.PULL) as there:
        here.bind("inproc://loop")
        there.connect("inproc://loop")
        sender, receiver = Channel(here, key=KEY), Channel(there, key=KEY)
        for number in range(3):
            sender.send(number, timeout=10)
        got = []
        ending = threading.Thread(target=context.term)
        for obj in receiver:
            got.append(obj)
            if obj == 2:
                ending.start()
    ending.join()
    assert got == [0, 1, 2]


def test_a_loop_over_messages_goes_on_after_a_refused_one() -> None:
    here, there = fake_pair()
    receiver = Channel(there, key=KEY)
    receiving = iter(receiver)
    here.send_multipart([b"not signed"])
    with pytest.raises(RefusedMessage):
        next(receiving)
    sender = threading.Thread(target=Channel(here, key=KEY).send, args=("signed",), kwargs={"timeout": 10})
    sender.start()
    assert next(receiving) == "signed"
    sender.join()


def test_an_asynchronous_loop_over_messages_ends_with_the_socket() -> None:
    async def loop() -> list[int]:
        got = []
        with (
            zmq.asyncio.Context() as context,
            context.socket(zmq.PUSH) as here,
            context.socket(zmq.PULL) as there,
        ):
            here.bind("inproc://loop")
            there.connect("inproc://loop")
            sender, receiver = (transport.aio.Channel(socket, key=KEY) for socket in (here, there))
            for number in range(3):
                await sender.send(number, timeout=10)
            async for obj in receiver:
                got.append(obj)
                if obj == 2:
                    there.close()
        return got

    assert asyncio.run(loop()) == [0, 1, 2]


def test_several_objects_and_options() -> None:
    line = Line()
    line.here.send(1, [2], ARRAY)
    one, two, array = line.there.recv(many=True, writable=True, timeout=10)
    assert (one, two) == (1, [2])
    assert array.flags.writeable
    line.here.send(eval("lambda: number", {"__name__": "__main__"}))
    assert line.there.recv(g={"number": 7}, timeout=10)() == 7
    line.here.send(1, 2)
    with pytest.raises(MessageError, match="many=True"):
        line.there.recv()
    assert line.deliver(line.send("next")) == "next"


@pytest.mark.parametrize("options", [{"trust": "data"}, {"serializer": Serializer(trust="data")}])
def test_trust(options: dict[str, Any]) -> None:
    line = Line(**options)
    with pytest.raises(MessageError, match="this message needs"):
        line.deliver(line.send(len))
    assert line.deliver(line.send("next")) == "next"


# -- faults


def test_a_recording_is_refused() -> None:
    line = Line()
    first, second = line.send(1), line.send(2)
    assert line.deliver(first) == 1
    line.refuses(first, "received before")
    assert line.deliver(second) == 2
    line.refuses(first)
    line.refuses(second)
    assert line.deliver(line.send(3)) == 3


def test_what_was_overtaken_is_refused() -> None:
    line = Line()
    first, second, third = line.send(1), line.send(2), line.send(3)
    assert line.deliver(second) == 2
    assert line.there.lost == 1
    line.refuses(first)
    assert line.deliver(third) == 3
    assert line.there.lost == 1


def test_what_is_sent_back_is_refused() -> None:
    line = Line()
    frames = line.send(1)
    line.ends[1].send_multipart(frames)
    with pytest.raises(RefusedMessage, match="own, sent back"):
        line.here.recv(timeout=10)
    assert line.deliver(frames) == 1


def test_a_channel_made_anew_refuses_recordings_and_the_session_begins_anew() -> None:
    line = Line()
    read, unread = line.send("read"), line.send("unread")
    assert line.deliver(read) == "read"
    line.restart()
    line.refuses(read, "session that is over")
    line.refuses(unread, "session that is over")
    refusals = [line.ends[0].recv_multipart() for _ in range(2)]
    line.asks(refusals[0])
    with pytest.raises(TransportTimeout):
        line.there.recv(timeout=0)  # answers that
    before = transport.stats().vanished
    with pytest.raises(PeerRefused, match="send it again"):
        line.here.recv(timeout=10)
    assert transport.stats().vanished == before + 1
    assert line.deliver(line.send("unread")) == "unread"
    for refusal in refusals:  # those of the session before say nothing about this one
        line.ends[1].send_multipart(refusal)
        with pytest.raises(TransportTimeout):
            line.here.recv(timeout=0)
    with pytest.raises(zmq.Again):
        line.ends[1].recv_multipart(zmq.NOBLOCK)
    line.refuses(read)
    assert line.deliver(line.send("next")) == "next"


def test_recorded_handshakes_lead_nowhere() -> None:
    ends = fake_pair()
    here, there = (Channel(end, key=KEY) for end in ends)
    with pytest.raises(TransportTimeout):
        here.send(1, timeout=0)
    hello = ends[1].recv_multipart()
    ends[0].send_multipart(hello)
    with pytest.raises(TransportTimeout):
        there.recv(timeout=0)
    welcome = ends[0].recv_multipart()
    ends[1].send_multipart(welcome)
    here.send(1, timeout=1)
    assert there.recv(timeout=1) == 1
    for _ in range(5):  # recordings of both change nothing between the two
        ends[0].send_multipart(hello)
        ends[1].send_multipart(welcome)
    here.send(2, timeout=1)
    assert there.recv(timeout=1) == 2
    there.send(3, timeout=1)
    assert here.recv(timeout=1) == 3
    anew = Channel(ends[0], key=KEY)
    ends[1].send_multipart(welcome)
    with pytest.raises(TransportTimeout):
        anew.send(4, timeout=0.01)  # the recorded WELCOME is not the answer to its HELLO


class Wires:
    """Channels with one key, each at the end of a wire whose other end is the attacker's."""

    def __init__(self, names: str, **options: Any) -> None:
        self.wires: dict[str, Any] = {}
        self.channels: dict[str, Channel] = {}
        self.read: list[tuple[str, Any]] = []
        self.told: list[str] = []
        for name in names:
            end, self.wires[name] = fake_pair()
            self.channels[name] = Channel(end, key=KEY, **options)

    def take(self, name: str) -> list[list[bytes]]:
        """Give what a channel has put on its wire."""
        found = []
        with contextlib.suppress(zmq.Again):
            while True:
                found.append(self.wires[name].recv_multipart(zmq.NOBLOCK))
        return found

    def give(self, name: str, *messages: list[bytes]) -> list[list[bytes]]:
        """Put messages on the wire of a channel, which receives them; give what it says to that."""
        channel = self.channels[name]
        for message in messages:
            self.wires[name].send_multipart(message)
        with contextlib.suppress(TransportTimeout):
            while True:
                try:
                    self.read.append((name, channel.recv(timeout=0)))
                except PeerRefused:  # as it says, without a thought
                    self.told.append(name)
                    channel.send("pay 100", timeout=1)
                except (RefusedMessage, transport.SessionLost) as error:
                    self.told.append(type(error).__name__)
        return self.take(name)

    def agree(self, one: str, other: str) -> None:
        with contextlib.suppress(TransportTimeout):
            self.channels[one].send("hello", timeout=0)
        self.give(one, *self.give(other, *self.take(one)))

    def relay(self, one: str, other: str) -> None:
        """Be an honest wire between two of them for a while."""
        there = self.take(one)
        while there:
            there = self.give(one, *self.give(other, *there))


def test_a_refusal_of_somebody_else_does_not_have_a_message_read_twice() -> None:
    wires = Wires("ABC")
    wires.agree("A", "C")
    wires.channels["A"].send("pay 100", timeout=1)
    (message,) = wires.take("A")
    assert wires.give("C", message) == []
    (refusal,) = wires.give("B", message)
    hello = wires.give("A", refusal, refusal)
    assert len(hello) == 2  # it asks who is there, and C is
    wires.give("A", *wires.give("C", *hello))
    wires.relay("A", "C")
    assert wires.read == [("C", "pay 100")]
    wires.channels["A"].send("next", timeout=1)
    wires.relay("A", "C")
    assert wires.read[1:] == [("C", "next")]
    assert "A" not in wires.told


def test_a_peer_that_was_replaced_is_never_sent_to_again() -> None:
    wires = Wires("ABC")
    wires.agree("A", "C")
    wires.channels["A"].send("pay 100", timeout=1)
    (message,) = wires.take("A")
    wires.give("C", message)
    for one, other in (("B", "C"), ("C", "B")) * 2:  # A is told that B is there, and C, and B ...
        for each in [message, *wires.take("A")]:
            for refusal in wires.give(one, each):
                for hello in wires.give("A", refusal):
                    for answer in wires.give(one, hello):
                        wires.give("A", answer)
        wires.relay("A", other)
    assert sorted(set(wires.read)) == sorted(wires.read)
    assert "A" in wires.told


def test_a_refused_copy_is_no_unread_message() -> None:
    """A REP answers a copy of a request that it has read."""
    wires = Wires("AC")
    for name, kind in (("A", zmq.REQ), ("C", zmq.REP)):
        wires.channels[name]._kind = int(kind)
        wires.channels[name]._expected = conversation.EXPECTED[int(kind)]
    wires.agree("A", "C")
    wires.channels["A"].send("pay 100", timeout=1)
    (message,) = wires.take("A")
    wires.give("C", message)
    notices = [*wires.give("C", message), *wires.give("C", [b"garbage"])]
    assert len(notices) == 2
    for notice in notices:
        wires.give("A", notice)
    wires.relay("A", "C")
    assert wires.read == [("C", "pay 100")]
    assert "A" not in wires.told


def test_copies_of_a_hello_drive_nobody_out() -> None:
    wires = Wires("AC", sessions=10)
    with contextlib.suppress(TransportTimeout):
        wires.channels["A"].send("x", timeout=0)
    (hello,) = wires.take("A")
    (welcome,) = wires.give("C", hello)
    before = size_of_state(wires.channels["C"])
    wires.give("C", *[hello] * 900)
    assert size_of_state(wires.channels["C"]) == before
    wires.give("A", welcome)
    wires.channels["A"].send("first", timeout=1)
    wires.relay("A", "C")
    assert wires.read == [("C", "first")]


class Stop(BaseException):
    """What a signal handler raises."""


@pytest.mark.parametrize("behind", [True, False])
@pytest.mark.parametrize("kinds", [(zmq.PAIR, zmq.PAIR), (zmq.PUSH, zmq.PULL)])
def test_an_interrupt_uses_no_number_twice(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, kinds: tuple[int, int], behind: bool
) -> None:
    here, there = pair(connect, "tcp", *kinds)
    if kinds[0] == zmq.PAIR:
        agree(here, there)
    sent = transport.steps.push

    def interrupted(*args: Any) -> None:
        if behind:
            sent(*args)
        raise Stop

    for number in range(3):
        monkeypatch.setattr(transport.steps, "push", interrupted)
        with pytest.raises(Stop):
            here.send(f"cut {number}", timeout=10)
        monkeypatch.setattr(transport.steps, "push", sent)
        here.send(number, timeout=10)
    got = [there.recv(timeout=10) for _ in range(6 if behind else 3)]
    assert got == ([f"cut {n // 2}" if n % 2 == 0 else n // 2 for n in range(6)] if behind else [0, 1, 2])
    assert there.refused == 0


def test_what_was_not_sent_is_not_missed() -> None:
    line = Line()
    with pytest.raises(canning.SerializationError):
        line.here.send(threading.Lock())
    assert line.deliver(line.send("next")) == "next"
    here, end = fake_pair(hwm=1)
    channel, other = Channel(here, key=KEY), Channel(end, key=KEY)
    agree(channel, other)
    channel.send(1)
    for _ in range(3):
        with pytest.raises(TransportTimeout):
            channel.send(2, timeout=0)
    assert other.recv(timeout=10) == 1
    channel.send(3)
    assert other.recv(timeout=10) == 3
    assert (line.there.lost, other.lost, other.refused) == (0, 0, 0)


def test_a_channel_closes_its_socket() -> None:
    line = Line()
    with line.here as channel:
        assert channel is line.here
    assert line.ends[0].closed
    line.there.close()
    line.there.close()
    assert line.ends[1].closed


GARBAGE: dict[str, Any] = {
    "bytes": [b"garbage"],
    "nothing": [b""],
    "many frames": [b"x"] * 300,
    "unsigned": [bytes(frame) for frame in canning.serialize_object([1, 2])],
    "of another key": [bytes(frame) for frame in Serializer(key=new_key()).serialize_object(1)],
    "of the key, without a channel": [bytes(frame) for frame in Serializer(key=KEY).serialize_object(1)],
    "of the channels' key, without a note": [
        bytes(frame) for frame in Serializer(key=Key(KEY).derive(b"channel")).serialize_object(1)
    ],
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused_and_the_channel_goes_on(garbage: list[bytes]) -> None:
    line = Line()
    for _ in range(3):
        line.refuses(garbage)
    assert line.deliver(line.send("next")) == "next"


def test_a_message_of_too_many_frames_is_not_kept() -> None:
    here, there = fake_pair()
    channel = Channel(there, serializer=Serializer(limits=canning.Limits(frames=10)), key=KEY)
    here.send_multipart([b"x"] * 12)
    with pytest.raises(MessageError, match="12 frames, and at most 10"):
        channel.recv(timeout=1)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"trust": "code"},
    {"key": KEY},
    {"many": True},
    {"writable": True, "trust": "code"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=", ".join)
def test_a_message_of_a_channel_is_none_of_recv(options: dict[str, Any]) -> None:
    line = Line()
    line.here.send([1, 2])
    with pytest.raises(MessageError, match="make a Channel here as well"):
        transport.recv(line.ends[1], timeout=10, **options)
    here, there = fake_pair()
    with pytest.raises(TransportTimeout):  # it has said no more than HELLO
        Channel(here, key=KEY).send(1, timeout=0)
    with pytest.raises(MessageError, match="make a Channel here as well"):
        transport.Receiver(there, timeout=10, **options).recv()


@pytest.mark.parametrize("options", [{}, {"trust": "code"}], ids=str)
def test_a_message_of_a_channel_is_none_of_an_asyncio_recv(options: dict[str, Any]) -> None:
    async def main() -> None:
        with zmq.asyncio.Context() as context:
            here, there = context.socket(zmq.PUSH), context.socket(zmq.PULL)
            here.bind("inproc://cast")
            there.connect("inproc://cast")
            await transport.aio.Channel(here, key=KEY).send({"x": ARRAY}, timeout=10)
            with pytest.raises(MessageError, match=r"transport\.aio\.Channel"):
                await transport.aio.recv(there, timeout=10, **options)
            context.destroy(linger=0)

    asyncio.run(main())


@pytest.mark.parametrize("options", [{}, {"key": KEY}, {"key": new_key()}], ids=["none", "same", "another"])
def test_a_message_of_send_is_none_of_a_channel(options: dict[str, Any]) -> None:
    here, there = fake_pair()
    transport.send(here, [1, 2], **options)
    with pytest.raises(RefusedMessage, match="it was not sent by a channel: both sides need one"):
        Channel(there, key=KEY).recv(timeout=10)


@pytest.mark.parametrize("options", [{}, {"key": KEY}, {"many": True}], ids=["none", "key", "many"])
def test_a_part_of_a_stream_says_who_takes_it(options: dict[str, Any]) -> None:
    here, there = fake_pair()
    sender = transport.Sender(here, stream=True)
    for receive in (transport.Receiver(there, timeout=10, **options).recv, Channel(there, key=KEY).recv):
        with pytest.raises(TransportTimeout):
            sender.send(np.zeros(5_000_000), timeout=0.01)
        with pytest.raises(MessageError, match=r"part of a stream.*stream=True"):
            receive(timeout=10)
        assert len(there.recv_multipart()) == 1  # its end


def size_of_state(channel: Channel) -> int:
    tables = [*vars(channel._sessions).values(), *vars(channel._arrivals).values(), channel._inbox]
    return sum(len(table) for table in tables if hasattr(table, "__len__"))


def test_a_hundred_thousand_bogus_signatures(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "transport")  # pytest would keep a record of each
    line = Line()
    before = size_of_state(line.there)
    genuine = line.send("genuine")
    bogus = [bytearray(genuine[0])]
    taking = line.there._taking
    for number in range(100_000):
        bogus[0][-70:-66] = number.to_bytes(4, "little")  # within the code
        steps = taking([zmq.Frame(bytes(bogus[0]))])
        with pytest.raises(RefusedMessage) if number < 10 else contextlib.suppress(RefusedMessage):
            next(steps)
    assert line.there.refused == 100_000
    assert size_of_state(line.there) == before
    assert line.deliver(genuine) == "genuine"
    line.refuses(genuine)


def test_garbage_and_messages_while_the_first_one_waits() -> None:
    ends = fake_pair()
    here, there = (Channel(end, key=KEY) for end in ends)
    sender = threading.Thread(target=here.send, args=("from here",))
    sender.start()
    ends[1].send_multipart([b"garbage"])
    there.send("from there", timeout=10)  # whose HELLO the sending channel answers
    assert there.recv(timeout=10) == "from here"
    sender.join(10)
    assert here.recv(timeout=10) == "from there"
    assert here.refused == 1


def test_what_comes_while_the_first_one_waits_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AGAIN", 1000.0)
    ends = fake_pair()
    here, there = (Channel(end, key=KEY) for end in ends)
    sender = threading.Thread(target=here.send, args=("from here",))
    sender.start()
    ends[1].recv_multipart()  # the HELLO is lost: what comes from there has to do
    there.send("from there", timeout=10)
    sender.join(10)
    assert here.recv(timeout=0) == "from there"
    assert there.recv(timeout=10) == "from here"


def test_a_rep_goes_on_after_garbage(connect: Connect) -> None:
    server, client = connect("tcp", zmq.REP, zmq.REQ)
    channel = Channel(server, key=KEY)
    with echoing(channel, 1 + 3):
        for message in ([b"garbage"], [b"x"] * 9):
            client.send_multipart(message)
            client.recv_multipart()  # a notice, so that the client too can go on
        here = Channel(client, key=KEY)
        here.send(1, timeout=10)
        assert here.recv(timeout=10) == 1
        client.send_multipart([b"garbage"])
        with pytest.raises(RefusedMessage, match="may have been read"):
            here.recv(timeout=10)
    with echoing(channel):
        here.send(2, timeout=10)
        assert here.recv(timeout=10) == 2


def test_a_request_to_a_server_that_began_anew(connect: Connect) -> None:
    server, client = connect("tcp", zmq.REP, zmq.REQ)
    here = Channel(client, key=KEY)
    with echoing(Channel(server, key=KEY)):
        here.send(1, timeout=10)
        assert here.recv(timeout=10) == 1
    with echoing(Channel(server, key=KEY), 2):
        here.send(2, timeout=10)
        with pytest.raises(PeerRefused):
            here.recv(timeout=10)
        here.send(2, timeout=10)
        assert here.recv(timeout=10) == 2


def test_no_one_there(connect: Connect) -> None:
    _, here = connect("tcp")
    channel = Channel(here, key=KEY)
    for _ in range(2):
        with pytest.raises(TransportTimeout, match="nobody answered the HELLO"):
            channel.send(1, timeout=0.05)
        with pytest.raises(TransportTimeout):
            channel.recv(timeout=0.05)


def fill(channel: Channel) -> None:
    for number in range(100_000):
        channel.send(number, timeout=0)


def test_a_sender_hears_that_nobody_answers_and_then_that_nobody_takes() -> None:
    here, there = fake_pair()
    channel, other = Channel(here, key=KEY), Channel(there, key=new_key())
    with pytest.raises(TransportTimeout, match="another key"):
        channel.send(1, timeout=0.05)
    with pytest.raises(RefusedMessage, match="has another key"):
        other.recv(timeout=10)
    other = Channel(there, key=KEY)
    with echoing(other):
        channel.send(2, timeout=10)
        assert channel.recv(timeout=10) == 2
    with pytest.raises(TransportTimeout, match="its queue is full"):
        fill(channel)


# -- one way


def cast_pair(connect: Connect, bound: str = "PULL", connected: str = "PUSH", **options: Any) -> Any:
    there, here = connect("tcp", getattr(zmq, bound), getattr(zmq, connected))
    return Channel(there, key=KEY, **options), Channel(here, key=KEY)


def test_push_and_pull(connect: Connect) -> None:
    there, here = cast_pair(connect)
    for obj in range(5):
        here.send(obj, timeout=10)
    assert [there.recv(timeout=10) for _ in range(5)] == [*range(5)]
    for channel, action in ((there, there.send), (here, here.recv)):
        with pytest.raises(TransportError, match="only"):
            action(*([1] if channel is there else []))


def test_pub_and_sub(connect: Connect) -> None:
    publisher, subscriber = connect("tcp", zmq.XPUB, zmq.SUB)
    subscriber.subscribe(b"a")
    there, here = Channel(subscriber, key=KEY, prefix=1), Channel(publisher, key=KEY)
    assert publisher.recv() == b"\1a"
    for topic in (b"a", b"b", b"a"):
        here.send(topic, prefix=topic)
    assert [there.recv(timeout=10) for _ in range(2)] == [([b"a"], b"a")] * 2
    assert there.lost == 1


class Casts:
    """A receiver of recordings, and a clock that the test sets."""

    def __init__(self, connect: Connect, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.now = 1_000_000.0
        monkeypatch.setattr(time, "time_ns", lambda: int(self.now * 1e9))
        monkeypatch.setattr(time, "time", lambda: self.now)
        self.raw_in, self.raw_out = connect("tcp", zmq.PULL, zmq.PUSH)
        self.sink, self.source = connect("tcp", zmq.PULL, zmq.PUSH)
        self.options = options
        self.here = Channel(self.raw_out, key=KEY)
        self.restart()

    def asks(self, refusal: list[bytes]) -> None:
        """Give a refusal to here, which asks who is there."""
        self.ends[1].send_multipart(refusal)
        with pytest.raises(TransportTimeout):
            self.here.recv(timeout=0)

    def restart(self) -> None:
        self.there = Channel(self.sink, key=KEY, **self.options)

    def send(self, obj: Any) -> list[bytes]:
        self.here.send(obj, timeout=10)
        return self.raw_in.recv_multipart()

    def deliver(self, frames: list[bytes]) -> Any:
        self.source.send_multipart(frames)
        return self.there.recv(timeout=10)

    def refuses(self, frames: list[bytes], match: str) -> None:
        with pytest.raises(RefusedMessage, match=match):
            self.deliver(frames)


def test_recordings_of_casts(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    casts = Casts(connect, monkeypatch)
    first, second, third = (casts.send(number) for number in range(3))
    assert casts.deliver(first) == 0
    casts.refuses(first, "received before")
    assert casts.deliver(third) == 2
    assert casts.there.lost == 1
    casts.refuses(second, "a later one was")
    casts.now += 61
    fresh = casts.send(3)
    casts.refuses(second, "61.0 s ago.*max_age=60")
    assert casts.deliver(fresh) == 3
    casts.now -= 200
    casts.refuses(casts.send(4), "before this channel accepts any")


def test_recordings_of_casts_after_a_restart(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    casts = Casts(connect, monkeypatch)
    first, second = casts.send(1), casts.send(2)
    assert casts.deliver(first) == 1
    casts.now += 1
    casts.restart()
    casts.refuses(first, "1.0 s before this channel")
    casts.refuses(second, "not_before")
    assert casts.deliver(casts.send(3)) == 3
    casts.options = {"not_before": casts.now - 10}
    casts.restart()
    assert casts.deliver(second) == 2  # as the option says
    casts.now += 60
    casts.refuses(first, "61.0 s ago")


def test_casts_from_a_clock_ahead(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    casts = Casts(connect, monkeypatch, max_age=10)
    casts.now += 11
    frames = casts.send(1)
    casts.now -= 11
    casts.refuses(frames, "max_age=10")
    casts.now += 5
    assert casts.deliver(frames) == 1


def test_a_session_is_no_cast(connect: Connect) -> None:
    """What was recorded where both sides can send is refused where one can, and the reverse."""
    line = Line()
    session = line.send(1)
    there, here = cast_pair(connect)
    here.send(1)
    cast = there.socket.recv_multipart()
    here.socket.send_multipart(session)
    with pytest.raises(RefusedMessage, match="of a kind"):
        there.recv(timeout=10)
    line.refuses(cast, "of a kind")


# -- what is remembered


def test_sessions_are_bounded_and_forgotten_ones_stay_closed() -> None:
    here, limit = Sessions(5), 5
    notes = []
    for _ in range(100):
        peer = Sessions(5)
        peer.answered(b"", here.welcome(peer.hello(b"")))
        route = peer.route(b"")
        assert route is not None
        notes.append(peer.data(b"", route))
        with pytest.raises(UnknownSession):
            here.accept(notes[-1]._replace(receiver=peer.id))
        assert here.accept(notes[-1]) == 0
        here.learn(peer.id, notes[-1])
    for note in notes:
        with pytest.raises(AuthenticationError):
            here.accept(note)
    with pytest.raises(UnknownSession):
        here.accept(notes[0]._replace(counter=2))
    assert here.accept(notes[-1]._replace(counter=2)) == 0
    assert all(len(t) <= limit for t in vars(here).values() if isinstance(t, dict))


def test_a_session_in_use_is_not_forgotten() -> None:
    here = Sessions(5)
    peer = Sessions(5)
    peer.answered(b"", here.welcome(peer.hello(b"")))
    route = peer.route(b"")
    assert route is not None
    for _ in range(1, 30):
        assert here.accept(peer.data(b"", route)) == 0
        other = Sessions(5)
        hello = other.hello(b"")
        other.answered(b"", here.welcome(hello))
        here.accept(other.data(b"", other.route(b"")))  # type: ignore[arg-type]


def test_a_route_that_was_forgotten_counts_on() -> None:
    here = Sessions(2)
    peers = [Sessions(2) for _ in range(4)]
    hellos = [peer.hello(b"") for peer in peers]
    counters: dict[int, list[int]] = {}
    for _ in range(3):
        for number, (peer, hello) in enumerate(zip(peers, hellos, strict=True)):
            here.learn(b"", Note(3, peer.id, number=9, reply=hello.reply))
            route = here.route(b"")
            assert route is not None
            note = here.data(b"", route)
            counters.setdefault(number, []).append(note.counter)
    for found in counters.values():
        assert found == sorted(set(found))


def test_arrivals_are_bounded_and_forgetting_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000]
    monkeypatch.setattr(time, "time_ns", lambda: clock[0] * 10**9)
    arrivals = Arrivals(limit=3, max_age=10, not_before=0)

    def cast(sender: int, counter: int) -> Note:
        return Note(5, bytes([sender]) * 16, counter=counter, time=clock[0] * 10**9)

    old = [cast(sender, 5) for sender in range(3)]
    for note in old:
        assert arrivals.accept(note) == 0
    with pytest.raises(AuthenticationError, match="sessions=3"):
        arrivals.accept(cast(3, 1))
    assert arrivals.accept(cast(0, 8)) == 2
    clock[0] += 11
    assert arrivals.accept(cast(4, 1)) == 0
    clock[0] -= 11  # a clock that is set back
    for note in old:
        with pytest.raises(AuthenticationError, match="before this channel accepts any"):
            arrivals.accept(note)


# -- misuse


def test_misuse(open_socket: Open) -> None:
    here, _ = fake_pair()
    with pytest.raises(ValueError, match="needs a key"):
        Channel(here)
    assert Channel(here, serializer=Serializer(key=KEY))
    for options in (
        {"sessions": 0},
        {"max_age": 0},
        {"prefix": -1},
        {"trust": "all"},
        {"max_age": float("nan")},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - each says its own
            Channel(here, **{"key": KEY, **options})
    with pytest.raises(ValueError, match="type"):
        Channel(open_socket(zmq.STREAM), key=KEY)
    router = open_socket(zmq.ROUTER)
    with pytest.raises(ValueError, match="prefix=0"):
        Channel(router, key=KEY, prefix=0)
    with pytest.raises(ValueError, match="identity of a peer"):
        Channel(router, key=KEY).send(1)
    with pytest.raises(TransportError, match="no request"):
        Channel(open_socket(zmq.REP), key=KEY).send(1)
    with pytest.raises(TypeError, match=r"transport\.Channel"):
        transport.aio.Channel(router, key=KEY)


def test_a_channel_shows_no_key() -> None:
    channel = Channel(fake_pair()[0], key=KEY)
    assert repr(channel) == "<Channel over <FakeSocket 0>>"


# -- asyncio


def run_pair(main: Callable[[Any, Any], Any], kinds: tuple[int, int] = (zmq.PAIR, zmq.PAIR)) -> Any:
    async def run() -> Any:
        context = zmq.asyncio.Context()
        with context, context.socket(kinds[0]) as there, context.socket(kinds[1]) as here:
            there.linger = here.linger = 0
            port = there.bind_to_random_port("tcp://127.0.0.1")
            here.connect(f"tcp://127.0.0.1:{port}")
            channels = (transport.aio.Channel(socket, key=KEY) for socket in (here, there))
            async with asyncio.timeout(20):
                return await main(*channels)

    return asyncio.run(run())


@pytest.mark.parametrize("types", TYPES, ids="-".join)
def test_asyncio_question_and_answer(types: tuple[str, str]) -> None:
    async def main(here: Any, there: Any) -> None:
        async def serve() -> None:
            for _ in range(3):
                got = await there.recv()
                prefix, obj = got if there._prefix else ([], got)
                await there.send(obj, prefix=prefix)

        serving = asyncio.create_task(serve())
        for obj in (len, 2, ARRAY):
            await transport.aio.wait(await here.send(obj))
            got = await here.recv()
            assert got is obj or np.array_equal(got, obj)
        await serving

    run_pair(main, (getattr(zmq, types[0]), getattr(zmq, types[1])))


def test_asyncio_both_sides_send_and_receive_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AGAIN", 1000.0)  # so that whoever is not woken waits for ever
    count = 50

    async def main(here: Any, there: Any) -> None:
        async def receive(channel: Any) -> list[int]:
            return [await channel.recv() for _ in range(count)]

        sends = [channel.send(n) for channel in (here, there) for n in range(count)]
        got = await asyncio.gather(receive(here), receive(there), *sends)
        assert got[0] == got[1] == [*range(count)]
        assert (here.lost, there.lost, here.refused, there.refused) == (0, 0, 0, 0)

    run_pair(main)


def test_asyncio_one_call_receives_what_another_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "AGAIN", 1000.0)

    async def main(here: Any, there: Any) -> None:
        waiting = asyncio.create_task(here.recv())
        await asyncio.sleep(0.05)
        sending = asyncio.create_task(here.send(1))
        assert await there.recv(timeout=5) == 1
        await sending
        await there.send(2)
        assert await waiting == 2

    run_pair(main)


def test_asyncio_cancelled_and_timed_out_calls_lose_nothing() -> None:
    async def main(here: Any, there: Any) -> None:
        with pytest.raises(TransportTimeout):
            await there.recv(timeout=0)
        sending = asyncio.create_task(here.send(0))
        got = []
        for n in range(1, 60):
            with contextlib.suppress(TransportTimeout):
                got.append(await there.recv(timeout=0.0005 * (n % 7)))
            if sending.done():
                await here.send(n)
        while not got or got[-1] != 59:
            got.append(await there.recv(timeout=10))
        assert got == [0, *range(60 - len(got) + 1, 60)]
        assert there.lost == there.refused == 0

    run_pair(main)


def test_asyncio_garbage() -> None:
    async def main(here: Any, there: Any) -> None:
        await here.socket.send_multipart([b"garbage"])
        with pytest.raises(RefusedMessage):
            await there.recv()
        sending = asyncio.create_task(here.send(1))
        assert await there.recv() == 1
        await sending
        with pytest.raises(TypeError, match=r"transport\.aio\.Channel"):
            Channel(here.socket, key=KEY)

    run_pair(main)


def test_a_session_that_the_server_has_forgotten(connect: Connect) -> None:
    server, client = connect("tcp", zmq.ROUTER, zmq.DEALER)
    answering = Channel(server, key=KEY, sessions=1)

    def answer() -> None:
        for _ in range(4):
            with contextlib.suppress(RefusedMessage):
                identity, obj = answering.recv(timeout=10)
                answering.send(obj, prefix=identity, timeout=10)

    thread = threading.Thread(target=answer)
    with client.context.socket(zmq.DEALER) as other:
        other.linger = 0
        other.connect(server.get_string(zmq.LAST_ENDPOINT))
        first, second = Channel(client, key=KEY), Channel(other, key=KEY)
        thread.start()
        for each in (first, second):
            each.send(1, timeout=10)
            assert each.recv(timeout=10) == 1
        before = transport.stats().vanished
        first.send(2, timeout=10)
        with pytest.raises(transport.SessionLost, match="has forgotten this session"):
            first.recv(timeout=10)
        assert transport.stats().vanished == before + 1
        first.send(3, timeout=10)
        assert first.recv(timeout=10) == 3
        thread.join(20)
        assert not thread.is_alive()
