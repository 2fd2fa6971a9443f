"""Objects that are there before their arrays: by hand, part by part, and between sockets."""

from __future__ import annotations

import asyncio
import gc
import pickle
import subprocess
import sys
import threading
import types
import weakref
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import transport
from canning import (
    DeserializationError,
    Limits,
    PrePickled,
    SerializationError,
    Serializer,
    default_serializer,
    new_key,
)
from canning.reading.early import frames_needed
from canning.wire import trailer
from tests.transport.helpers import SCHEMES, Endpoint, Open
from tests.transport.test_streams import PAIRS, joined, sending
from tests.transport.test_streams import small as small  # the fixture, which makes streams of small messages
from transport import LazyArray, Pool, Receiver, Sender, arrivals, fake_pair, outgoing, stream_parts, streams
from transport.multipart import push
from transport.stream_parts import DROP, GRANT, OPEN, PART_OF, Head, parse_head
from transport.streams import Streams

X = np.arange(20_000)


def streams_of_end(receiver: Any) -> Streams:
    found = receiver._streams
    assert found is not None
    return found


class ByHand:
    """A stream whose parts are put into a receiver's socket one by one."""

    def __init__(self, end: Any, obj: Any, number: int = 0, serializer: Serializer | None = None) -> None:
        self.end = end
        self.stream = bytes([number] * 16)
        frames = outgoing.pack((obj,), (), serializer, None, 0, stream=True).streamed
        self.lengths = [len(memoryview(frame).cast("B")) for frame in frames]
        self.data = b"".join(map(bytes, frames))
        self.sent = 0
        push(end, [Head(OPEN, self.stream).pack(), np.array(self.lengths, "<u8").tobytes()], 0)

    def send(self, frames: int, more: int = 0) -> None:
        """Send what is left of the first frames, and some bytes of the next one."""
        end = sum(self.lengths[:frames]) + more
        push(self.end, [Head(PART_OF, self.stream, self.sent).pack(), self.data[self.sent : end]], 0)
        self.sent = end

    def finish(self) -> None:
        """Send all that is left."""
        self.send(len(self.lengths))


def two_ends(**options: Any) -> tuple[Any, Receiver[Any]]:
    here, there = fake_pair()
    return here, Receiver(there, stream=True, timeout=10, **options)


@pytest.mark.parametrize("trust", ["data", "code"])
@pytest.mark.parametrize("writable", [False, True])
def test_an_array_is_waited_for(trust: Any, writable: bool) -> None:
    here, receiver = two_ends(trust=trust, writable=writable)
    line = ByHand(here, {"n": 1, "x": X, "y": np.asfortranarray(X.reshape(100, 200) + 1)})
    line.send(1)
    got = receiver.recv(lazy=True)
    x, y = got["x"], got["y"]
    assert (got["n"], type(x), type(y)) == (1, LazyArray, LazyArray)
    assert (x.shape, x.dtype, x.ndim, x.nbytes, x.ready) == (X.shape, X.dtype, 1, X.nbytes, False)
    assert repr(y) == "<LazyArray of int64 (100, 200), on its way>"
    line.send(2)
    array = x.wait()
    assert (array == X).all()
    assert array is x.wait() is np.asarray(x)
    assert array.flags.writeable
    assert (x.ready, y.ready) == (True, False)
    line.send(2, more=100)
    with pytest.raises(transport.TransportTimeout, match="wait again"):
        y.wait(timeout=0)
    line.finish()
    assert (np.asarray(y) == X.reshape(100, 200) + 1).all()
    assert y.wait().flags.f_contiguous
    assert not streams_of_end(receiver)._given


def test_it_converts_as_arrays_do() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X])
    line.send(1)
    (x,) = receiver.recv(lazy=True)
    line.finish()
    assert np.asarray(x, "f4").dtype == np.float32
    assert np.array(x) is not x.wait()
    assert x.__array__(copy=True) is not x.wait()
    with pytest.raises(ValueError, match="without a copy"):
        x.__array__("f4", copy=False)
    with pytest.raises(transport.TransportError, match=r"pickle or copy np\.asarray"):
        pickle.dumps(x)
    with pytest.raises(SerializationError, match=r"obj\['x'\]: cannot pickle .*LazyArray"):
        transport.send(here, {"x": x})


def test_one_array_that_is_all_of_a_message() -> None:
    for trust in ("data", "code"):
        here, receiver = two_ends(trust=trust)
        line = ByHand(here, X)
        line.send(1, more=5)
        got = receiver.recv(lazy=True)
        assert (type(got), got.shape) == (LazyArray, X.shape)
        line.finish()
        assert (got.wait() == X).all()


def test_arrays_in_nested_containers_and_those_that_are_there() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [{"a": (X, [X + 1, "text"])}, np.arange(5), X + 2])
    line.send(2, more=3)
    got = receiver.recv(lazy=True)
    a, (b, text) = got[0]["a"]
    assert [type(each) for each in (a, b, text, got[1], got[2])] == [
        *(np.ndarray, LazyArray, str),
        *(np.ndarray, LazyArray),
    ]
    line.finish()
    assert got[2].wait()[0] == 2
    assert b.wait()[0] == 1
    assert (a == X).all()


@pytest.mark.parametrize("trust", ["data", "code"])
def test_views_share_memory(trust: Any) -> None:
    here, receiver = two_ends(trust=trust)
    line = ByHand(here, {"x": X, "y": X[10:], "z": X[::2], "again": X, "few": X[:9]})
    line.send(1)
    got = receiver.recv(lazy=True)
    assert {type(each) for each in got.values()} == {LazyArray}
    line.finish()
    want = {"x": X, "y": X[10:], "z": X[::2], "again": X, "few": X[:9]}
    assert all((got[name].wait() == array).all() for name, array in want.items())
    assert np.shares_memory(got["x"], got["y"])
    assert np.shares_memory(got["x"], got["z"])
    assert not np.shares_memory(got["x"], got["few"])  # which would keep all of it
    assert got["again"] is got["x"]


@pytest.mark.parametrize("trust", ["data", "code"])
def test_arrays_of_unusual_places_and_dtypes(trust: Any) -> None:
    odd = np.frombuffer(bytearray(X.tobytes())[3:-5], ">f8")
    arrays = {
        "odd": odd,
        "fields": np.zeros(9000, [("a", "<i4"), ("b", "S3")]),
        "times": X.astype("M8[s]"),
        "broadcast": np.broadcast_to(X[:500], (7, 500)),
        "backwards": X[::-1],
        "small": np.arange(300.0),
        "many": [np.arange(300) + n for n in range(20)],
    }
    here, receiver = two_ends(trust=trust)
    line = ByHand(here, arrays)
    line.send(1)
    got = receiver.recv(lazy=True)
    line.finish()
    for name, array in arrays.items():
        for one, other in zip(
            *([each] if name != "many" else each for each in (got[name], array)), strict=True
        ):
            assert type(one) is LazyArray
            assert (one.shape, one.dtype, one.nbytes) == (other.shape, other.dtype, other.nbytes)
            assert one.wait().tobytes() == other.tobytes()
            assert one.wait().flags.writeable == (name != "broadcast")


class Holder:
    """An instance whose methods expect an array."""

    def __init__(self, x: Any) -> None:
        self.x = x


NOT_LAZY = {
    "an instance": lambda: Holder(X),
    "a namespace": lambda: types.SimpleNamespace(x=X),
    "a masked array": lambda: np.ma.MaskedArray(X, X > 3),
    "a matrix": lambda: X.reshape(100, -1).view(np.matrix),
    "a memoryview": lambda: memoryview(X),
    "bytes": lambda: X.tobytes(),
    "an array of arrays": lambda: np.array([X, None], object),
    "a table": lambda: pytest.importorskip("pandas").DataFrame({"x": X}),
    "bytes in a set": lambda: {X.tobytes()},
    "a message within": lambda: PrePickled([X]),
}


@pytest.mark.parametrize("name", NOT_LAZY)
def test_what_cannot_wait_is_complete(name: str) -> None:
    obj = NOT_LAZY[name]()
    here, receiver = two_ends(trust="code")
    line = ByHand(here, [obj, X + 1])
    line.send(1)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(lazy=True, timeout=0)
    line.send(len(line.lengths) - 1)
    first, second = receiver.recv(lazy=True)
    assert type(second) is LazyArray
    assert LazyArray not in map(type, vars(first).values() if hasattr(first, "__dict__") else [first])
    line.finish()
    again = Serializer()
    assert list(map(bytes, again.serialize_object(first))) == list(map(bytes, again.serialize_object(obj)))
    assert second.wait()[0] == 1


@pytest.mark.parametrize("turned", [False, True])
def test_an_array_that_an_instance_has_too_does_not_wait(turned: bool) -> None:
    obj = [{"x": X}, Holder([X])]
    here, receiver = two_ends(trust="code")
    line = ByHand(here, obj[::-1] if turned else obj)
    line.send(1)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(lazy=True, timeout=0)
    line.finish()
    got = receiver.recv(lazy=True)
    got = got[::-1] if turned else got
    assert got[0]["x"] is got[1].x[0]
    assert type(got[0]["x"]) is np.ndarray


def test_options_that_need_the_whole_message() -> None:
    _, receiver = two_ends()
    with pytest.raises(ValueError, match="neither into="):
        receiver.recv(lazy=True, into=np.zeros(3))
    with pytest.raises(ValueError, match="neither into="):
        two_ends(many=True)[1].recv(lazy=True)
    with pytest.raises(ValueError, match="pass stream=True"):
        Receiver(fake_pair()[0]).recv(lazy=True)


def test_nothing_is_given_before_its_signature_is_checked() -> None:
    key = new_key()
    here, receiver = two_ends(key=key)
    line = ByHand(here, [X], serializer=default_serializer.evolve(key=key))
    line.send(1)
    with pytest.raises(ValueError, match="a key signs all of it"):
        receiver.recv(lazy=True)
    line.finish()
    assert (receiver.recv()[0] == X).all()


def test_ordinary_messages_and_whole_streams_are_given_as_always() -> None:
    here, receiver = two_ends()
    transport.send(here, [np.arange(3)])
    ByHand(here, [X]).finish()
    assert type(receiver.recv(lazy=True)[0]) is np.ndarray
    assert type(receiver.recv(lazy=True)[0]) is np.ndarray


def test_memory_of_a_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "PART", 4096)
    pool = Pool("1MiB")
    here, receiver = two_ends(pool=pool)
    line = ByHand(here, [X])
    line.send(1)
    (x,) = receiver.recv(lazy=True)
    line.finish()
    assert (x.wait() == X).all()
    assert pool.stats().in_use >= X.nbytes


def test_into_of_an_earlier_call_is_not_used() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X])
    into = np.zeros_like(X)
    line.send(1, more=800)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(into=into, timeout=0)
    into[:] = -1
    (x,) = receiver.recv(lazy=True)
    line.finish()
    assert (x.wait() == X).all()
    assert (into == -1).all()


def test_two_streams_and_a_message_at_the_same_time() -> None:
    here, receiver = two_ends()
    one, two = ByHand(here, [X], 1), ByHand(here, [X + 1], 2)
    one.send(1)
    two.send(1)
    (x,) = receiver.recv(lazy=True)
    (y,) = receiver.recv(lazy=True)
    two.send(1, more=5000)
    transport.send(here, "between")
    one.finish()
    two.finish()
    assert y.wait()[0] == 1
    assert x.ready
    assert receiver.recv(lazy=True) == "between"
    assert (x.wait() == X).all()


def test_limits_count_what_is_still_to_come() -> None:
    here, receiver = two_ends(serializer=Serializer(limits=Limits(message_bytes=300_000)))
    one = ByHand(here, [X], 1)
    one.send(1)
    got = receiver.recv(lazy=True)
    two = ByHand(here, [X], 2)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(timeout=0)
    assert not streams_of_end(receiver)._arriving
    del got
    gc.collect()
    two = ByHand(here, [X], 2)
    two.finish()
    assert (receiver.recv()[0] == X).all()


# -- that do not come


def test_who_drops_the_arrays_refuses_the_rest() -> None:
    here, receiver = two_ends()
    with sending(lambda: Sender(here, stream=True, timeout=10).send({"n": 5, "x": X, "y": X})) as errors:
        got = receiver.recv(lazy=True)
        arriving = weakref.ref(got["x"]._rest.arriving)
        assert got["n"] == 5
        del got
        gc.collect()
        assert arriving() is None
        with pytest.raises(transport.TransportTimeout):
            receiver.recv(timeout=0.5)
    assert [type(error) for error in errors] == [transport.TransportError]
    assert "had given up" in str(errors[0])


def test_arrays_that_are_kept_keep_the_rest_coming() -> None:
    here, receiver = two_ends()
    with sending(lambda: Sender(here, stream=True, timeout=10).send([X, X + 1, X + 2])) as errors:
        got = receiver.recv(lazy=True)
        last = got.pop()
        del got
        assert last.wait()[0] == 2
    assert not errors


def test_a_sender_that_gives_up() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X, X + 1])
    line.send(1)
    x, y = receiver.recv(lazy=True)
    line.send(2, more=9)
    push(here, [Head(DROP, line.stream).pack()], 0)
    with pytest.raises(transport.TransportError, match="its sender gave up"):
        y.wait()
    assert (x.wait() == X).all()  # all of it was there
    with pytest.raises(transport.TransportError, match="its sender gave up"):
        np.asarray(y)
    assert (receiver._streams._given, receiver._streams._arriving) == ({}, {})
    transport.send(here, "next")
    assert receiver.recv() == "next"


def test_a_sender_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X])
    line.send(1)
    (x,) = receiver.recv(lazy=True)
    monkeypatch.setattr(arrivals, "_PATIENCE", -1.0)
    monkeypatch.setattr(streams, "_TICK", 0.01)
    with pytest.raises(transport.TransportError, match="nothing was heard"):
        x.wait()


def test_memory_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X])
    line.send(1)
    (x,) = receiver.recv(lazy=True)

    def fail(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr(stream_parts.Arriving, "_begin", fail)
    line.finish()
    with pytest.raises(transport.TransportError, match="no memory"):
        x.wait()


@pytest.mark.parametrize("trust", ["data", "code"])
def test_a_message_that_cannot_be_read_gives_nothing(trust: Any) -> None:
    here, receiver = two_ends(trust=trust)
    line = ByHand(here, {"x": X, "y": X + 1})
    line.data = line.data.replace(b"<i8", b"<i9", 1)  # its checksum does not fit
    line.send(1)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(lazy=True, timeout=0)
    line.finish()
    with pytest.raises(transport.MessageError, match="checksum"):
        receiver.recv(lazy=True)


@pytest.mark.parametrize("trust", ["data", "code"])
def test_lengths_that_do_not_fit_the_header(trust: Any) -> None:
    here, receiver = two_ends(trust=trust)
    frames = Serializer().serialize_object([X, X])
    lengths = np.array([len(frames[0]), X.nbytes - 8], "<u8").tobytes()
    push(here, [Head(OPEN, bytes(16)).pack(), lengths], 0)
    push(here, [Head(PART_OF, bytes(16)).pack(), bytes(frames[0])], 0)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(lazy=True, timeout=0)
    push(here, [Head(PART_OF, bytes(16), len(frames[0])).pack(), X.tobytes()[8:]], 0)
    with pytest.raises(transport.MessageError, match="frame 1 has 159992 bytes, and 160000 were sent"):
        receiver.recv(lazy=True)


def test_refused_classes_are_refused_before_anything_comes() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X, Holder(1)])
    line.send(1)
    with pytest.raises(transport.MessageError, match="Holder"):
        receiver.recv(lazy=True)


@pytest.mark.parametrize("change", range(60))
def test_no_header_gets_at_memory_that_has_not_come(change: int) -> None:
    """Change an opcode or an argument, with a checksum that fits: what is read is complete, or an error."""
    obj = {"x": X, "y": (X + 1, b"bytes"), "z": np.arange(3)}
    frames = Serializer().serialize_object(obj)
    parsed = trailer.parse(frames[0])
    assert parsed is not None
    body = bytearray(frames[0][: parsed.pickle_length])
    body[2 + change * len(body) // 61] ^= 1 << (change % 8)
    body[-1] = ord(".")
    head = trailer.pack(bytes(body), len(body), list(parsed.lengths), list(parsed.table or ()) or None)
    lengths = [len(head), *parsed.lengths]
    here, receiver = two_ends()
    push(here, [Head(OPEN, bytes(16)).pack(), np.array(lengths, "<u8").tobytes()], 0)
    push(here, [Head(PART_OF, bytes(16)).pack(), head], 0)
    try:
        whole: Any = Serializer(trust="data").deserialize_object([head, *frames[1:]])[0]
    except DeserializationError:
        whole = None
    try:
        got = receiver.recv(lazy=True, timeout=0)
    except (transport.MessageError, transport.TransportTimeout):
        push(here, [Head(PART_OF, bytes(16), len(head)).pack(), *map(bytes, frames[1:])], 0)
        if whole is not None:
            assert repr(receiver.recv()) == repr(whole)
        return
    push(here, [Head(PART_OF, bytes(16), len(head)).pack(), *map(bytes, frames[1:])], 0)
    assert repr(completed(got)) == repr(whole)


def completed(obj: Any) -> Any:
    """Replace lazy arrays in containers by arrays."""
    if isinstance(obj, dict):
        return {key: completed(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        return type(obj)(map(completed, obj))
    return obj.wait() if isinstance(obj, LazyArray) else obj


def test_long_headers_are_not_followed() -> None:
    for text, needed in (("short", 1), ("x" * 2**20, 2)):
        head, memory = Serializer().serialize_object([text, X])
        assert frames_needed(head, [len(head), len(memory)]) == needed
    assert frames_needed(pickle.dumps([1]), [20, 5]) == 2
    assert frames_needed(b"", [0, 5]) == 2


# -- between sockets


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kinds", PAIRS)
def test_between_sockets(open_socket: Open, endpoint: Endpoint, scheme: str, kinds: tuple[int, int]) -> None:
    here, there = joined(open_socket, endpoint, scheme, kinds)
    many = kinds[1] == zmq.ROUTER
    receiver: Any = Receiver(there, prefix=int(many), stream=True, timeout=10)
    obj = {"arrays": [X + n for n in range(10)], "small": [np.arange(n) for n in range(100, 200)]}
    with sending(lambda: Sender(here, stream=True, timeout=10).send(obj)) as errors:
        got = receiver.recv(lazy=True)
        prefix, got = got if many else ([], got)
        assert len(prefix) == many
        assert type(got["arrays"][-1]) is LazyArray
        for number, array in enumerate(got["arrays"]):
            assert (np.asarray(array) == X + number).all()
        assert [len(np.asarray(array)) for array in got["small"]] == list(range(100, 200))
    assert not errors


def test_a_thread_waits_while_another_works() -> None:
    here, receiver = two_ends()
    with sending(lambda: Sender(here, stream=True, timeout=10).send([X + n for n in range(5)])) as errors:
        arrays = receiver.recv(lazy=True)
        thread = threading.Thread(target=lambda: [each.wait() for each in arrays if type(each) is LazyArray])
        thread.start()
        thread.join(30)
        assert [int(np.asarray(each)[0]) for each in arrays] == list(range(5))
    assert not errors


SENDER = """
import sys, numpy as np, zmq
from transport import Sender, outgoing
with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
    socket.connect(sys.argv[1])
    Sender(socket, stream=True, timeout=60).send([np.arange(10_000_000), np.arange(10_000_000) + 1])
"""


def test_a_sender_in_a_process_of_its_own_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
        receiver = Receiver(socket, stream=True, timeout=60)
        with subprocess.Popen([sys.executable, "-c", SENDER, address]) as child:
            x, y = receiver.recv(lazy=True)
            child.kill()
        with pytest.raises(transport.TransportTimeout):
            y.wait(timeout=0.1)
        with subprocess.Popen([sys.executable, "-c", SENDER, address]) as child:
            one, two = receiver.recv(lazy=True)
            assert (int(np.asarray(one)[-1]), int(np.asarray(two)[-1])) == (9_999_999, 10_000_000)
        assert child.returncode == 0
        with pytest.raises(transport.TransportTimeout):
            np.asarray(y.wait(timeout=0))
        assert not x.ready


def test_a_connection_that_was_lost_and_came_back() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as here, context.socket(zmq.DEALER) as there:
        address = f"tcp://127.0.0.1:{here.bind_to_random_port('tcp://127.0.0.1')}"
        there.connect(address)
        receiver = Receiver(there, stream=True, timeout=10)
        with sending(lambda: Sender(here, stream=True, timeout=20).send([X, X + 1])) as errors:
            x, y = receiver.recv(lazy=True)
            there.disconnect(address)
            with pytest.raises(transport.TransportTimeout):
                y.wait(timeout=0.1)
            there.connect(address)
            assert y.wait(timeout=10)[0] == 1
            assert (np.asarray(x) == X).all()
        assert not errors
        here.close(linger=0)
        there.close(linger=0)


def test_on_asyncio_sockets() -> None:
    async def main() -> None:
        with zmq.asyncio.Context() as context:
            here, there = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            port = there.bind_to_random_port("tcp://127.0.0.1")
            here.connect(f"tcp://127.0.0.1:{port}")
            receiver: Any = Receiver(there, stream=True, timeout=10)
            sending = asyncio.create_task(Sender(here, stream=True).send([X + n for n in range(9)]))
            arrays = await receiver.recv(lazy=True)
            last = arrays[-1]
            with pytest.raises(transport.TransportError, match="write `await`"):
                last.wait()
            with pytest.raises(transport.TransportError, match="write `await`"):
                np.asarray(last)
            cancelled = asyncio.create_task(_wait(last))
            await asyncio.sleep(0)
            cancelled.cancel()
            late = [each for each in arrays if type(each) is LazyArray]
            got = await asyncio.gather(*map(_wait, reversed(late)))
            assert [int(array[0]) for array in got] == list(range(8, 8 - len(late), -1))
            assert last.wait() is got[0] is await last
            await sending
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            sending = asyncio.create_task(Sender(here, stream=True).send([X]))
            (x,) = await receiver.recv(lazy=True)
            sending.cancel()
            with pytest.raises(transport.TransportError, match="gave up"):
                await x
            there.rcvtimeo = 20
            push(zmq.Socket.shadow(here.underlying), [Head(OPEN, bytes(16)).pack(), *_opening()[:1]], 0)
            push(zmq.Socket.shadow(here.underlying), [Head(PART_OF, bytes(16)).pack(), _opening()[1]], 0)
            (x,) = await receiver.recv(lazy=True)
            with pytest.raises(transport.TransportTimeout, match="wait again"):
                await x
            here.close(linger=0)
            there.close(linger=0)

    asyncio.run(main())


def _opening() -> tuple[bytes, bytes]:
    head = bytes(Serializer().serialize_object([X])[0])
    return np.array([len(head), X.nbytes], "<u8").tobytes(), head


async def _wait(lazy: LazyArray) -> Any:
    return await lazy


def test_blocking_sockets_are_not_awaited() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X])
    line.send(1)
    (x,) = receiver.recv(lazy=True)
    with pytest.raises(transport.TransportError, match="use wait"):
        asyncio.run(_wait(x))
    line.finish()
    assert (x.wait() == X).all()
    assert (asyncio.run(_wait(x)) == X).all()


def test_the_sender_hears_of_what_came() -> None:
    here, receiver = two_ends()
    line = ByHand(here, [X])
    line.send(1)
    (x,) = receiver.recv(lazy=True)
    line.finish()
    x.wait()
    heads = []
    while here.poll(0):
        heads.append(parse_head(here.recv_multipart()[0]))
    assert [head.kind for head in heads if head] == [GRANT] * len(heads)
    assert heads[-1] is not None
    assert heads[-1].first == sum(line.lengths)
