from __future__ import annotations

import asyncio
import pickle
import re
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from tests.transport.helpers import LARGE, SCHEMES, Connect, Open
from transport.incoming import OWN_BELOW
from transport.outgoing import COPY_BELOW

OBJECTS = [
    5,
    None,
    "text",
    {"id": 7, "x": np.arange(12.0)},
    [np.arange(500), b"b" * 2000, bytearray(3000)],
    {"large": np.arange(LARGE // 8), "small": np.ones(200), "last": (1, 2)},
    np.asfortranarray(np.arange(LARGE).reshape(512, -1)),
    [np.arange(n) for n in range(100, 400, 7)],
]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(type(a) is type(b) and a == b)


def arrays(obj: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(obj, np.ndarray):
        return [obj]
    if isinstance(obj, dict):
        return arrays(list(obj.values()))
    return [array for item in obj for array in arrays(item)] if isinstance(obj, list) else []


def receive(socket: Any, **options: Any) -> Any:
    return transport.recv(socket, trust="code", **{"timeout": 10, **options})


# -- what arrives


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: type(obj).__name__)
@pytest.mark.parametrize("copy_threshold", [0, COPY_BELOW])
def test_round_trip(connect: Connect, scheme: str, obj: Any, copy_threshold: int) -> None:
    here, there = connect(scheme)
    transport.send(here, obj, copy_threshold=copy_threshold)
    arrived = receive(there)
    assert same(obj, arrived)
    assert all(array.flags.aligned for array in arrays(arrived))


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
@pytest.mark.parametrize("nbytes", [8, 1024, OWN_BELOW - 8, OWN_BELOW, COPY_BELOW, LARGE])
def test_arrays_arrive_writable_over_a_connection(connect: Connect, scheme: str, nbytes: int) -> None:
    here, there = connect(scheme)
    transport.send(here, np.zeros(nbytes // 8))
    arrived = receive(there)
    arrived += 1
    assert arrived.nbytes == nbytes
    assert arrived.flags.aligned


def test_large_frames_are_used_where_they_are(connect: Connect) -> None:
    here, there = connect("tcp")
    transport.send(here, np.zeros(LARGE // 8))
    owner: Any = receive(there)
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner.obj if isinstance(owner, memoryview) else owner, zmq.Frame)


def test_small_frames_do_not_pin_the_memory_of_the_connection(connect: Connect) -> None:
    here, there = connect("tcp")
    transport.send(here, np.zeros(1000))
    owner: Any = receive(there)
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert not isinstance(owner.obj if isinstance(owner, memoryview) else owner, zmq.Frame)


# -- socket types


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("types", [("PAIR", "PAIR"), ("PULL", "PUSH"), ("DEALER", "DEALER")])
def test_one_way_pairs(connect: Connect, scheme: str, types: tuple[str, str]) -> None:
    there, here = connect(scheme, *(getattr(zmq, name) for name in types))
    for obj in OBJECTS:
        transport.send(here, obj, timeout=10)
    assert all(same(obj, receive(there)) for obj in OBJECTS)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_request_and_reply(connect: Connect, scheme: str) -> None:
    server, client = connect(scheme, zmq.REP, zmq.REQ)
    for obj in OBJECTS:
        transport.send(client, obj)
        transport.send(server, [receive(server)])
        assert same([obj], receive(client))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_router_answers_the_identity_it_received(connect: Connect, scheme: str) -> None:
    router, dealer = connect(scheme, zmq.ROUTER, zmq.DEALER)
    transport.send(dealer, np.arange(LARGE))
    identity, obj = receive(router, prefix=1)
    transport.send(router, obj.sum(), prefix=identity)
    assert receive(dealer) == np.arange(LARGE).sum()


def test_a_router_answers_a_req_with_its_delimiter(connect: Connect) -> None:
    router, req = connect("ipc", zmq.ROUTER, zmq.REQ)
    transport.send(req, "question")
    envelope, obj = receive(router, prefix=2)
    assert (envelope[1], obj) == (b"", "question")
    transport.send(router, "answer", prefix=envelope)
    assert receive(req) == "answer"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_topics(connect: Connect, scheme: str) -> None:
    publisher, subscriber = connect(scheme, zmq.XPUB, zmq.SUB)
    subscriber.subscribe(b"wanted")
    assert publisher.recv() == b"\x01wanted"
    transport.send(publisher, 1, prefix=b"unwanted")
    transport.send(publisher, np.arange(LARGE), prefix=b"wanted too")
    topic, obj = receive(subscriber, prefix=1)
    assert topic == [b"wanted too"]
    assert same(obj, np.arange(LARGE))


def test_every_subscriber_gets_the_object(open_socket: Open, connect: Connect) -> None:
    publisher, first = connect("tcp", zmq.XPUB, zmq.SUB)
    second = open_socket(zmq.SUB)
    second.connect(publisher.get(zmq.LAST_ENDPOINT))
    for subscriber in (first, second):
        subscriber.subscribe(b"")
        publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
        publisher.recv()
    tracker = transport.send(publisher, np.zeros(LARGE))
    received = [receive(first), receive(second)]
    tracker.wait(10)
    received[0][:] = 1
    assert not received[1].any()


# -- prefixes and several objects


@pytest.mark.parametrize("prefix", [b"one", [b"one"], (b"one", b""), [b"a", b"", b"c" * 20_000], b""])
def test_prefix_frames_come_back(connect: Connect, prefix: Any) -> None:
    here, there = connect()
    transport.send(here, [1], prefix=prefix)
    frames = [prefix] if isinstance(prefix, bytes) else list(prefix)
    assert receive(there, prefix=len(frames)) == (frames, [1])


@pytest.mark.parametrize("prefix", ["text", ["text"], [b"good", "bad"], [b"good", 3], 3, [bytearray(b"x")]])
def test_a_wrong_prefix_sends_nothing(connect: Connect, prefix: Any) -> None:
    here, there = connect()
    with pytest.raises(TypeError):
        transport.send(here, 1, prefix=prefix)
    transport.send(here, 2)
    assert receive(there) == 2


def test_several_objects_in_one_message(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, *OBJECTS, prefix=b"all")
    prefix, objects = receive(there, prefix=1, many=True)
    assert prefix == [b"all"]
    assert same(objects, OBJECTS)


def test_many_takes_a_single_object_too(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, "only")
    assert receive(there, many=True) == ["only"]


def test_several_objects_where_one_was_expected_are_not_lost(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, *OBJECTS, prefix=b"p")
    transport.send(here, "next")
    with pytest.raises(transport.MessageError, match=rf"{len(OBJECTS)} objects.*many=True") as caught:
        receive(there, prefix=1)
    assert caught.value.prefix == [b"p"]
    first, rest = canning.deserialize_object(caught.value.frames)
    assert first == OBJECTS[0]
    assert len(canning.split(rest)) == len(OBJECTS) - 1
    assert receive(there) == "next"


def test_frames_behind_the_object_that_are_not_objects(connect: Connect) -> None:
    here, there = connect()
    here.send_multipart([*canning.serialize_object(1), b"not an object"])
    with pytest.raises(transport.MessageError) as caught:
        receive(there)
    assert bytes(caught.value.frames[-1]) == b"not an object"


# -- options of the codec


def test_an_own_serializer_on_both_sides(connect: Connect) -> None:
    here, there = connect()
    serializer = canning.Serializer(buffer_threshold=1)
    transport.send(here, [memoryview(b"small")], serializer=serializer)
    assert len(there.recv_multipart()) == 2
    transport.send(here, [b"small"], serializer=serializer)
    assert receive(there, serializer=serializer) == [b"small"]


def test_references_are_looked_up_in_g(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, [canning.Reference("there")])
    assert receive(there, g={"there": 42}) == [42]


def test_the_object_is_read_as_it_was_when_sent_small(connect: Connect) -> None:
    here, there = connect()
    x = np.zeros(1000)
    assert transport.send(here, x).done
    x[:] = 1
    assert not receive(there).any()


# -- timeouts and flags


def test_recv_times_out_and_the_socket_goes_on(connect: Connect) -> None:
    here, there = connect()
    for timeout in (0, 0.01):
        with pytest.raises(transport.TransportTimeout, match="PAIR"):
            receive(there, timeout=timeout)
    transport.send(here, 1)
    assert receive(there) == 1


def test_recv_returns_before_its_timeout(connect: Connect) -> None:
    here, there = connect()
    later = threading.Timer(0.05, transport.send, (here, "late"))
    later.start()
    assert receive(there, timeout=60) == "late"
    later.join()


def test_a_timeout_is_a_timeout_error(connect: Connect) -> None:
    _, there = connect()
    with pytest.raises(TimeoutError):
        receive(there, timeout=0)
    with pytest.raises(canning.CanningError):
        receive(there, timeout=0)


def fill(socket: Any, obj: Any) -> int:
    """Send until the queue is full; return how many went."""
    sent = 0
    while True:
        try:
            transport.send(socket, obj, flags=zmq.NOBLOCK)
        except zmq.Again:
            return sent
        sent += 1


@pytest.mark.parametrize("types", [("PULL", "PUSH"), ("PAIR", "PAIR"), ("DEALER", "DEALER")])
@pytest.mark.parametrize("size", [10, LARGE])
def test_send_times_out_at_the_high_water_mark(connect: Connect, types: tuple[str, str], size: int) -> None:
    there, here = connect("inproc", *(getattr(zmq, name) for name in types), sndhwm=2, rcvhwm=2)
    message = [np.zeros(size), np.ones(size)]
    sent = fill(here, message)
    assert sent >= 2
    for timeout in (0, 0.01):
        with pytest.raises(transport.TransportTimeout, match="nothing was sent"):
            transport.send(here, message, timeout=timeout)
    assert all(same(message, receive(there)) for _ in range(sent))
    with pytest.raises(transport.TransportTimeout):
        receive(there, timeout=0.01)
    transport.send(here, "after", timeout=10)
    assert receive(there) == "after"


def test_send_goes_on_when_there_is_room(connect: Connect) -> None:
    there, here = connect("inproc", zmq.PULL, zmq.PUSH, sndhwm=1, rcvhwm=1)
    sent = fill(here, 1)
    waiting = threading.Thread(
        target=transport.send, args=(here, "last"), kwargs={"timeout": 10}, daemon=True
    )
    waiting.start()
    time.sleep(0.02)
    assert [receive(there) for _ in range(sent)] == [1] * sent
    assert receive(there) == "last"
    waiting.join()


def test_send_without_a_peer_times_out(open_socket: Open) -> None:
    socket = open_socket(zmq.PUSH)
    socket.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(transport.TransportTimeout, match="no peer"):
        transport.send(socket, 1, timeout=0.01)


def test_a_router_that_cannot_drop_waits_for_its_slow_peer(connect: Connect) -> None:
    router, dealer = connect("inproc", zmq.ROUTER, zmq.DEALER, sndhwm=1, rcvhwm=1)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    transport.send(dealer, "hello")
    identity, _ = receive(router, prefix=1)
    sent = 0
    with pytest.raises(transport.TransportTimeout):  # noqa: PT012 - which send fails depends on the queues
        while True:
            transport.send(router, sent, prefix=identity, timeout=0.02)
            sent += 1
    assert [receive(dealer) for _ in range(sent)] == list(range(sent))
    transport.send(router, "on", prefix=identity, timeout=10)
    assert receive(dealer) == "on"


class NeverReally:
    """A socket that always says that it is ready, and never is."""

    def __init__(self) -> None:
        self.attempts = 0

    def send(self, data: Any, flags: int = 0, copy: bool = True) -> None:
        self.attempts += 1
        raise zmq.Again

    def recv(self, flags: int = 0, copy: bool = True) -> None:
        self.send(b"", flags)

    def poll(self, timeout: int | None = None, flags: int = 0) -> int:
        return flags

    def get(self, option: int) -> int:
        raise NotImplementedError


def test_a_socket_that_is_never_ready_is_not_asked_without_pause() -> None:
    socket = NeverReally()
    with pytest.raises(transport.TransportTimeout):
        transport.send(socket, 1, timeout=0.02)
    with pytest.raises(transport.TransportTimeout):
        receive(socket, timeout=0.02)
    assert socket.attempts < 60


def test_noblock_raises_as_pyzmq_does(connect: Connect, open_socket: Open) -> None:
    _, there = connect()
    with pytest.raises(zmq.Again):
        receive(there, flags=zmq.NOBLOCK)
    with pytest.raises(zmq.Again):
        transport.send(open_socket(zmq.PUSH), 1, flags=zmq.NOBLOCK, timeout=None)


def test_without_a_timeout_the_socket_says_how_long(connect: Connect, open_socket: Open) -> None:
    _, there = connect(rcvtimeo=10)
    with pytest.raises(zmq.Again):
        receive(there, timeout=None)
    push = open_socket(zmq.PUSH)
    push.sndtimeo = 10
    with pytest.raises(zmq.Again):
        transport.send(push, [1, np.zeros(LARGE)])


@pytest.mark.parametrize("timeout", [-1, -0.001, float("nan")])
def test_a_timeout_is_never_negative(connect: Connect, timeout: float) -> None:
    here, there = connect()
    with pytest.raises(ValueError, match="timeout"):
        transport.send(here, 1, timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        receive(there, timeout=timeout)


def test_an_endless_timeout_is_allowed(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, 1, timeout=float("inf"))
    assert receive(there, timeout=float("inf")) == 1


@pytest.mark.parametrize("flags", [zmq.SNDMORE, zmq.SNDMORE | zmq.NOBLOCK, 64])
def test_other_flags_are_refused(connect: Connect, flags: int) -> None:
    here, there = connect()
    with pytest.raises(ValueError, match="flags"):
        transport.send(here, 1, flags=flags)
    with pytest.raises(ValueError, match="flags"):
        receive(there, flags=flags)


def test_errors_of_zmq_pass_through(connect: Connect) -> None:
    here, _ = connect()
    here.close()
    for move in (lambda: transport.send(here, 1), lambda: transport.recv(here)):
        with pytest.raises(zmq.ZMQError) as caught:
            move()
        assert caught.value.errno == zmq.ENOTSOCK


# -- messages that are not ours


GARBAGE = [
    [b""],
    [b"hello"],
    [b"\x00" * 1000],
    [b"x" * LARGE],
    [b"", b""],
    [canning.serialize_object(list(range(100)))[0][:50]],
    canning.serialize_object(np.arange(1000))[:1],
    [*canning.serialize_object(np.arange(1000))[:1], b"short"],
    [b"GET / HTTP/1.1\r\n\r\n"],
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("frames", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_an_error_and_the_socket_goes_on(connect: Connect, scheme: str, frames: list[Any]) -> None:
    here, there = connect(scheme)
    here.send_multipart(frames)
    transport.send(here, "good")
    with pytest.raises(transport.MessageError) as caught:
        receive(there)
    assert [bytes(frame) for frame in caught.value.frames] == [bytes(frame) for frame in frames]
    assert receive(there) == "good"


def test_a_message_error_is_blamed_on_the_message() -> None:
    assert issubclass(transport.MessageError, transport.TransportError)
    assert issubclass(transport.MessageError, canning.DeserializationError)


def test_error_texts_hold_no_payload(connect: Connect) -> None:
    here, there = connect()
    here.send(b"secret" * 10)
    with pytest.raises(transport.MessageError) as caught:
        receive(there)
    assert "secret" not in str(caught.value)
    assert "60 bytes" in str(caught.value)


def test_a_message_shorter_than_its_prefix(connect: Connect) -> None:
    here, there = connect()
    here.send_multipart([b"a", b"b"])
    with pytest.raises(transport.MessageError, match="prefix=2") as caught:
        receive(there, prefix=2)
    assert (caught.value.prefix, caught.value.frames) == ([b"a", b"b"], [])
    here.send(b"a")
    with pytest.raises(transport.MessageError, match="prefix=2") as caught:
        receive(there, prefix=2)
    assert caught.value.prefix == [b"a"]


class Exploding:
    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return (explode, (self.error,))


def explode(error: type[Exception]) -> None:
    raise error("secret")


@pytest.mark.parametrize("error", [KeyError, MemoryError, RecursionError])
def test_whatever_reading_raises_the_message_is_kept(connect: Connect, error: type[Exception]) -> None:
    here, there = connect()
    transport.send(here, Exploding(error), np.arange(1000))
    with pytest.raises(transport.MessageError) as caught:
        receive(there, many=True)
    assert "secret" not in str(caught.value)
    assert len(canning.split(caught.value.frames)) == 2


@pytest.mark.parametrize("trust", ["data", "code"])
@pytest.mark.parametrize(
    "options", [{}, {"many": True}, {"key": b"k" * 16}, {"prefix": 0, "writable": True}], ids=str
)
def test_a_bare_pickle_is_no_message(connect: Connect, trust: Any, options: dict[str, Any]) -> None:
    here, there = connect()
    for obj in ({"a": 1}, np.zeros(50_000)):
        here.send_pyobj(obj)
        with pytest.raises(transport.MessageError, match=r"send_pyobj|not signed") as caught:
            transport.recv(there, trust=trust, timeout=10, **options)
        assert pickle.loads(caught.value.frames[0]) is not None


def test_what_follows_an_object_is_a_message_too(connect: Connect) -> None:
    here, there = connect()
    here.send_multipart([*canning.serialize_object(1), pickle.dumps(2)])
    with pytest.raises(transport.MessageError, match="send_pyobj"):
        receive(there, many=True)


def test_what_cannot_be_sent_is_known_before_anything_goes(connect: Connect) -> None:
    here, there = connect()
    with pytest.raises(canning.SerializationError):
        transport.send(here, "good", [threading.Lock()], prefix=b"p")
    transport.send(here, "next")
    assert receive(there) == "next"


# -- trust


def test_data_alone_is_read_by_default(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, len)
    transport.send(here, {"x": np.arange(5000)})
    with pytest.raises(transport.MessageError, match=r'builtins.len.*trust="code" only if you trust'):
        transport.recv(there)
    assert transport.recv(there)["x"].sum() == 12497500


def test_the_receiver_decides_on_trust_whatever_its_serializer_says(connect: Connect) -> None:
    here, there = connect()
    for _ in range(2):
        transport.send(here, [len])
    with pytest.raises(transport.MessageError):
        transport.recv(there, serializer=canning.Serializer(trust="code"))
    assert transport.recv(there, serializer=canning.Serializer(trust="data"), trust="code") == [len]


@pytest.mark.parametrize("trust", ["CODE", 1, True, ""])
def test_there_are_two_trusts(connect: Connect, trust: Any) -> None:
    here, there = connect()
    transport.send(here, "kept")
    with pytest.raises(ValueError, match="trust"):
        transport.recv(there, trust=trust)
    assert receive(there) == "kept"


@pytest.mark.parametrize(("prefix", "error"), [(b"topic", TypeError), ("auto", TypeError), (-1, ValueError)])
def test_the_prefix_of_recv_is_a_number(connect: Connect, prefix: Any, error: type[Exception]) -> None:
    _, there = connect()
    with pytest.raises(error, match="prefix"):
        receive(there, prefix=prefix)


def test_an_asyncio_socket_is_pointed_elsewhere() -> None:
    with zmq.asyncio.Context() as context, context.socket(zmq.PAIR) as socket:
        misused: Any = socket
        with pytest.raises(TypeError, match=r"aio\.send"):
            transport.send(misused, 1)
        with pytest.raises(TypeError, match=r"aio\.recv"):
            transport.recv(misused, trust="code")


# -- inproc


def test_inproc_gives_no_writable_alias(connect: Connect) -> None:
    here, there = connect("inproc")
    x = np.zeros(LARGE)
    transport.send(here, x)
    arrived = receive(there)
    assert np.shares_memory(x, arrived)
    assert not arrived.flags.writeable


def test_inproc_cannot_change_the_senders_bytes(connect: Connect) -> None:
    here, there = connect("inproc")
    here.send_multipart([b"x" * LARGE, b"y" * 100], copy=False)
    with pytest.raises(transport.MessageError) as caught:
        receive(there)
    assert all(memoryview(frame).readonly for frame in caught.value.frames[:1])


def test_inproc_small_frames_never_alias(connect: Connect) -> None:
    here, there = connect("inproc")
    x = np.zeros(OWN_BELOW // 8 - 1)
    transport.send(here, x, copy_threshold=0)
    arrived = receive(there)
    arrived += 1
    assert not x.any()


@pytest.mark.parametrize("options", [{"writable": True}, {"writable": True, "alias": False}])
def test_inproc_copies_when_writable_is_asked_for(connect: Connect, options: dict[str, bool]) -> None:
    here, there = connect("inproc")
    x = np.zeros(LARGE)
    tracker = transport.send(here, x)
    arrived = receive(there, **options)
    arrived += 1
    assert not x.any()
    tracker.wait(10)


def test_inproc_aliases_when_asked_to(connect: Connect) -> None:
    here, there = connect("inproc")
    x = np.zeros(LARGE)
    transport.send(here, x)
    arrived = receive(there, alias=True)
    arrived += 1
    assert x.all()


def test_a_message_handed_on_within_the_process_is_shared(connect: Connect) -> None:
    sender, receiver = connect("tcp")
    here, there = connect("inproc")
    transport.send(sender, np.zeros(LARGE))
    frames = receiver.recv_multipart(copy=False)
    here.send_multipart(frames, copy=False)
    assert not receive(there).flags.writeable


# -- peers that go away


class Interrupted:
    """A socket that something happens to after its nth frame."""

    def __init__(self, socket: Any, after: int, happen: Any) -> None:
        self.socket, self.left, self.happen = socket, after, happen

    def send(self, *args: Any) -> None:
        self.socket.send(*args)
        self.left -= 1
        if self.left == 0:
            self.happen()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)


@pytest.mark.parametrize("types", [("PAIR", "PAIR"), ("PUSH", "PULL"), ("DEALER", "DEALER")])
@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("timeout", [None, 10])
def test_a_peer_lost_in_the_middle_of_a_message(
    open_socket: Open, connect: Connect, types: tuple[str, str], after: int, timeout: float | None
) -> None:
    here, there = connect("tcp", *(getattr(zmq, name) for name in types))
    address = here.get(zmq.LAST_ENDPOINT)
    transport.send(here, "first")
    receive(there)
    successor = open_socket(getattr(zmq, types[1]))
    connect_later = threading.Timer(0.1, successor.connect, (address,))

    def replace() -> None:
        with here.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor:
            there.close()
            assert monitor.poll(10_000)
            here.disable_monitor()
        time.sleep(0.05)  # from the end of the connection to the end of its queue
        connect_later.start()

    message = [np.arange(1000) + n for n in range(3)]
    transport.send(Interrupted(here, after, replace), message, timeout=timeout)
    transport.send(here, "last", timeout=10)
    arrived = [receive(successor)]
    while arrived[-1] != "last":
        arrived.append(receive(successor))
    # A queue that knew of the loss first drops the message, as it does with all that waited for that peer.
    may_be_lost = types[0] != "PAIR"
    assert same(arrived, [message, "last"]) or (may_be_lost and arrived == ["last"])
    connect_later.join()


PEER = """
import sys, time
import numpy as np, zmq, transport
with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
    socket.connect(sys.argv[1])
    while True:
        transport.send(socket, [np.ones(2_000_000), "end"])
"""


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_process_killed_while_it_sends(connect: Connect, scheme: str) -> None:
    there, here = connect(scheme, zmq.PULL, zmq.PUSH)
    address = there.get(zmq.LAST_ENDPOINT)
    with subprocess.Popen([sys.executable, "-c", PEER, address]) as process:
        try:
            assert receive(there, timeout=30)[1] == "end"
        finally:
            process.kill()
    transport.send(here, "alive")
    while (message := receive(there)) != "alive":
        # Whatever the dead process had sent arrives whole, or not at all.
        assert message[1] == "end"
        assert message[0].all()


def test_a_serialized_message_is_what_the_codec_makes(connect: Connect) -> None:
    here, there = connect()
    transport.send(here, {"x": np.arange(1000)})
    frames = there.recv_multipart()
    assert frames == [bytes(frame) for frame in canning.serialize_object({"x": np.arange(1000)})]
    pickle.loads(frames[0])


def test_a_forgotten_prefix_is_asked_for(connect: Connect) -> None:
    here, there = connect("tcp", zmq.DEALER, zmq.REP)
    for obj in ("small", np.zeros(5000)):
        transport.send(here, "request", prefix=b"")
        assert receive(there) == "request"
        transport.send(there, obj)
        with pytest.raises(transport.MessageError, match=r"a header is in frame 1 of these: pass prefix=1"):
            transport.recv(here, timeout=10)


def test_an_option_of_a_sender_or_a_receiver_says_whose_it_is() -> None:
    here, there = transport.fake_pair()
    rows: list[tuple[Any, Any, dict[str, Any], str]] = [
        (transport.send, (here, 1), {"stream": True}, "Sender(socket, stream=True) has it"),
        (transport.recv, (there,), {"stream": True}, "Receiver(socket, stream=True) has it"),
        (transport.recv, (there,), {"lazy": True}, "Receiver(socket, stream=True).recv(lazy=True) has it"),
    ]
    for function, args, options, told in rows:
        with pytest.raises(TypeError, match=re.escape(told)):
            function(*args, **options)
        awaited = getattr(transport.aio, function.__name__)
        with pytest.raises(TypeError, match=re.escape(told)):
            asyncio.run(awaited(*args, **options))
