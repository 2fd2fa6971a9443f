"""Large messages as streams: between sockets, and step by step with messages that are lost."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import transport
from canning import Limits, Serializer, new_key
from tests.transport.helpers import SCHEMES, Endpoint, Open
from transport import Receiver, Sender, arrivals, fake_pair, outgoing, stream_parts, streams, windows
from transport.kinds import streams_of
from transport.stream_parts import DROP, GRANT, OPEN, PART_OF, PROBE, REFUSE, Head, Leaving, parse_head
from transport.streams import Streams

PAIRS = [(zmq.PAIR, zmq.PAIR), (zmq.DEALER, zmq.DEALER), (zmq.DEALER, zmq.ROUTER)]
SIZE = 20_000
X = np.arange(SIZE)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small messages be streams of many parts, whose sender does not wait long."""
    monkeypatch.setattr(outgoing, "STREAMED", 50_000)
    monkeypatch.setattr(stream_parts, "PART", 4096)
    for name, parts in (("STEP", 1), ("LEAST", 2), ("FIRST", 4), ("MOST", 8)):
        monkeypatch.setattr(windows, name, parts * 4096)
    monkeypatch.setattr(streams, "_AGAIN", (0.01, 0.02))


@contextmanager
def sending(send: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Send in a thread; gives the list of its errors."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            send()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield errors
    thread.join(30)
    assert not thread.is_alive()


def joined(open_socket: Open, endpoint: Endpoint, scheme: str, kinds: tuple[int, int]) -> Any:
    here, there = map(open_socket, kinds)
    there.bind(endpoint(scheme))
    here.connect(there.last_endpoint)
    return here, there


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kinds", PAIRS)
def test_both_ways(open_socket: Open, endpoint: Endpoint, scheme: str, kinds: tuple[int, int]) -> None:
    here, there = joined(open_socket, endpoint, scheme, kinds)
    many = kinds[1] == zmq.ROUTER
    obj = {"x": X, "y": [X[:3000], X[::2], "z"], "small": [np.arange(n) for n in range(100, 200)]}
    receiver: Any = Receiver(there, prefix=int(many), stream=True)
    with sending(lambda: Sender(here, stream=True, timeout=10).send(obj)) as errors:
        got = receiver.recv(timeout=10)
    assert not errors
    prefix, got = got if many else ((), got)
    assert (got["x"] == X).all()
    assert np.shares_memory(got["x"], got["y"][0])
    assert got["x"].flags.writeable
    assert got["x"].flags.aligned
    assert [len(array) for array in got["small"]] == list(range(100, 200))
    with sending(lambda: Sender(there, stream=True, timeout=10).send(X, prefix=prefix)) as errors:
        into = np.zeros_like(X)
        assert Receiver(here, stream=True).recv(timeout=10, into=into) is into
    assert not errors
    assert (into == X).all()


def test_a_sent_array_may_be_changed_at_once() -> None:
    here, there = fake_pair()
    array = X.copy()
    done = []

    def send() -> None:
        done.append(Sender(here, stream=True, timeout=10).send(array))
        array[:] = 0

    with sending(send):
        got = Receiver(there, stream=True).recv(timeout=10)
    assert done[0].done
    assert (got == X).all()


def test_small_messages_pass() -> None:
    async def main() -> list[Any]:
        with zmq.asyncio.Context() as context:
            here, there = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            port = there.bind_to_random_port("tcp://127.0.0.1")
            here.connect(f"tcp://127.0.0.1:{port}")
            sender, receiver = Sender(here, stream=True), Receiver(there, stream=True, timeout=10)
            large = [asyncio.create_task(sender.send(X + n)) for n in range(3)]
            await asyncio.sleep(0.01)
            await sender.send("small")
            got = [await receiver.recv() for _ in range(4)]
            await asyncio.gather(*large)
            here.close(linger=0)
            there.close(linger=0)
            return got

    first, *rest = asyncio.run(main())
    assert first == "small"
    assert sorted(int(array[0]) for array in rest) == [0, 1, 2]


def test_both_ends_send_at_once() -> None:
    ends = fake_pair()
    receivers = [Receiver(end, stream=True) for end in ends]
    with sending(lambda: Sender(ends[0], stream=True, timeout=10).send(X)) as errors:
        Sender(ends[1], stream=True, timeout=10).send(X + 1)
    assert not errors
    assert [int(receiver.recv(timeout=10)[0]) for receiver in receivers] == [1, 0]


def test_messages_that_come_while_one_sends_are_kept() -> None:
    here, there = fake_pair()
    transport.send(there, "kept")
    with sending(lambda: Receiver(there, stream=True).recv(timeout=10)):
        Sender(here, stream=True, timeout=10).send(X)
    assert Receiver(here, stream=True).recv(timeout=0) == "kept"


def test_signed() -> None:
    here, there = fake_pair()
    key = new_key()
    with sending(lambda: Sender(here, stream=True, key=key, timeout=10).send([X, len])):
        assert Receiver(there, stream=True, key=key).recv(timeout=10)[1] is len
    other = Sender(here, stream=True, key=new_key(), timeout=10)
    with sending(lambda: other.send(X)), pytest.raises(transport.RefusedMessage):
        Receiver(there, stream=True, key=key).recv(timeout=10)


def test_who_does_not_ask_for_streams_is_told() -> None:
    here, there = fake_pair()
    with pytest.raises(transport.TransportTimeout):
        Sender(here, stream=True).send(X, timeout=0.005)
    with pytest.raises(transport.MessageError, match="stream=True"):
        transport.recv(there, timeout=10)


def test_ends_that_cannot(open_socket: Open) -> None:
    with pytest.raises(transport.TransportError, match="needs answers"):
        Sender(open_socket(zmq.PUSH), stream=True)
    with pytest.raises(transport.TransportError, match="needs answers"):
        Receiver(open_socket(zmq.SUB), stream=True)
    with pytest.raises(ValueError, match="prefix is 1, not 2"):
        Receiver(open_socket(zmq.ROUTER), stream=True, prefix=2)


def test_progress_and_its_error() -> None:
    here, there = fake_pair()
    receiver = Receiver(there, stream=True)
    seen: list[tuple[int, int]] = []
    with sending(lambda: Sender(here, stream=True).send(X, on_progress=lambda *each: seen.append(each))):
        receiver.recv(timeout=10)
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > X.nbytes

    def stop(done: int, total: int) -> None:
        if done:
            raise InterruptedError

    send = lambda: Sender(here, stream=True).send(X, on_progress=stop)  # noqa: E731
    with sending(send) as errors, pytest.raises(transport.TransportTimeout):
        receiver.recv(timeout=0.3)
    assert [type(error) for error in errors] == [InterruptedError]
    assert not streams_of(there, zmq.PAIR)._arriving
    with sending(lambda: Sender(here, stream=True).send(X + 1)):
        assert receiver.recv(timeout=10)[0] == 1


def test_progress_of_what_arrives() -> None:
    here, there = fake_pair()
    receiver = Receiver(there, stream=True, timeout=10)
    seen: list[tuple[int, int]] = []
    tell = lambda *each: seen.append(each)  # noqa: E731
    with sending(lambda: Sender(here, stream=True).send(X)):
        assert (receiver.recv(on_progress=tell) == X).all()
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] > X.nbytes
    assert len(set(seen)) > X.nbytes // 4096
    transport.send(here, b"small")
    assert receiver.recv(on_progress=tell) == b"small"
    assert 0 < seen[-1][0] == seen[-1][1] < 1000

    def stop(done: int, total: int) -> None:
        if done == total:
            raise InterruptedError

    with sending(lambda: Sender(here, stream=True).send(X)), pytest.raises(InterruptedError):
        receiver.recv(on_progress=stop)
    assert (receiver.recv() == X).all()
    with pytest.raises(TypeError, match="on_progress"):
        receiver.recv(on_progress=1)  # type: ignore[arg-type]


def test_progress_of_messages_that_are_no_streams() -> None:
    here, there = fake_pair()
    seen: list[tuple[int, int]] = []
    transport.send(here, X)
    assert (Receiver(there).recv(timeout=10, on_progress=lambda *each: seen.append(each)) == X).all()
    assert seen[-1][0] == seen[-1][1] > X.nbytes


@pytest.mark.parametrize(
    ("granted", "told"),
    [
        (0, "stream=True does; nothing was delivered"),
        (SIZE, "no more of it; nothing"),
        (10**9, "may have arrived"),
    ],
)
def test_a_sender_that_waited_too_long_is_told_what_may_have_arrived(granted: int, told: str) -> None:
    here, there = fake_pair()
    with sending(lambda: Sender(here, stream=True, timeout=0.3).send(X)) as errors:
        opening = there.recv_multipart()
        head = parse_head(opening[0])
        assert head is not None
        if granted:
            there.send_multipart([Head(GRANT, head.stream, 0, granted).pack()])
    assert [type(error) for error in errors] == [transport.TransportTimeout]
    assert told in str(errors[0])


def test_a_cancelled_send_leaves_both_ends_usable() -> None:
    async def main() -> tuple[Any, int]:
        with zmq.asyncio.Context() as context:
            here, there = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
            port = there.bind_to_random_port("tcp://127.0.0.1")
            here.connect(f"tcp://127.0.0.1:{port}")
            sender, receiver = Sender(here, stream=True), Receiver(there, stream=True)
            task = asyncio.create_task(sender.send(X))
            with pytest.raises(transport.TransportTimeout):
                await receiver.recv(timeout=0)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(transport.TransportTimeout):
                await sender.send(X, timeout=0.02)
            task = asyncio.create_task(sender.send(X + 5))
            got = await receiver.recv(timeout=10)
            await task
            left = len(streams_of(there, zmq.DEALER)._arriving)
            here.close(linger=0)
            there.close(linger=0)
            return got, left

    got, left = asyncio.run(main())
    assert got[0] == 5
    assert not left


# -- step by step, without sockets


class Line:
    """Two ends whose messages pass through `lose`, which may drop them."""

    def __init__(self, lose: Callable[[Head], bool] = lambda _: False, **options: Any) -> None:
        self.here, self.there = Streams(zmq.PAIR), Streams(zmq.PAIR)
        self.lose = lose
        self.receiver = Receiver(fake_pair()[0], stream=True, **options)
        self.how = self.receiver._how
        self.there.expect(self.how)
        self.heads: list[Head] = []

    def send(self, obj: Any, *, until: int | None = None) -> Any:
        """Send, and deliver everything; until so many parts were sent."""
        frames = Serializer().serialize_object(obj)
        steps = self.here.sending(fake_pair()[0], Leaving([], frames), lambda *_: None)
        answers: list[Any] = []
        result = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration:
                return self.there.inbox.popleft().frames  # type: ignore[union-attr]
            if isinstance(step, streams.Pull):
                result = answers.pop(0) if answers else None
                continue
            result = None
            answers += self.deliver(step.parts)
            if until is not None and sum(head.kind == PART_OF for head in self.heads) >= until:
                return steps

    def deliver(self, parts: list[Any], into: Any = None) -> list[Any]:
        """Give a message to the receiver, and return the answers that are not lost."""
        head = parse_head(parts[0])
        assert head is not None
        self.heads.append(head)
        if self.lose(head):
            return []
        received = [zmq.Frame(bytes(part)) for part in parts]
        answers = [[zmq.Frame(step.parts[0])] for step in self.there._take(received, into)]  # type: ignore[union-attr]
        said = [parse_head(answer[0]) for answer in answers]
        self.heads += [each for each in said if each is not None]
        return [answer for answer, each in zip(answers, said, strict=True) if each and not self.lose(each)]


@pytest.mark.parametrize("kinds", [(OPEN,), (PART_OF,), (GRANT,), (PROBE,), (PART_OF, GRANT, PROBE, OPEN)])
def test_lost_messages_are_made_up_for(kinds: tuple[int, ...]) -> None:
    chance = random.Random(0)
    first = iter([True])
    line = Line(lambda head: head.kind in kinds and (next(first, False) or chance.random() < 0.3))
    head, buffer = line.send(X)
    assert np.frombuffer(buffer, X.dtype).tolist() == X.tolist()
    assert bytes(head) == bytes(Serializer().serialize_object(X)[0])
    assert not line.there._arriving
    assert not line.here._leaving


def test_no_more_is_on_its_way_than_was_granted() -> None:
    line = Line()
    line.send(X)
    granted = 0
    for head in line.heads:
        granted = head.second if head.kind == GRANT else granted
        assert head.kind != PART_OF or head.first < granted
        assert head.kind != GRANT or head.second - head.first <= windows.MOST


def test_a_receiver_that_was_restarted() -> None:
    line = Line()
    steps = line.send(X, until=3)
    line.there = Streams(zmq.PAIR)
    line.there.expect(line.how)
    (refusal,) = line.deliver(steps.gi_frame.f_locals["leaving"].probing())
    while isinstance(steps.send(None), streams.Push):
        pass
    with pytest.raises(transport.TransportError, match="nothing was delivered"):
        steps.send(refusal)


@pytest.mark.parametrize(
    ("lengths", "limits"),
    [
        ([2**40], Limits(message_bytes=2**39)),
        ([1] * 100, Limits(frames=50)),
        ([0], Limits()),
        ([2**63] * 3, Limits()),
        ([], Limits()),
    ],
)
def test_a_stranger_gets_no_memory_beyond_the_limits(lengths: list[int], limits: Limits) -> None:
    line = Line(serializer=Serializer(limits=limits))
    opening = [Head(OPEN, bytes(16)).pack(), np.array(lengths, "<u8").tobytes()]
    line.deliver(opening)
    assert [head.kind for head in line.heads] == [OPEN, REFUSE]
    assert not line.there._arriving


def test_memory_is_taken_when_it_is_filled() -> None:
    line = Line()
    line.deliver([Head(OPEN, bytes(16)).pack(), np.array([10, 2**35], "<u8").tobytes()])
    line.deliver([Head(PART_OF, bytes(16), 0).pack(), b"0123456789"])
    assert len(line.there._arriving[bytes(16)]._frames) == 1


def test_all_streams_together_keep_to_the_limit() -> None:
    line = Line(serializer=Serializer(limits=Limits(message_bytes=100)))
    for number in range(3):
        line.deliver([Head(OPEN, bytes([number] * 16)).pack(), np.array([40], "<u8").tobytes()])
    assert len(line.there._arriving) == 2
    line.deliver([Head(DROP, bytes(16)).pack()])
    line.deliver([Head(OPEN, bytes([2] * 16)).pack(), np.array([40], "<u8").tobytes()])
    assert len(line.there._arriving) == 2


def test_streams_that_stand_still_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(arrivals, "_PACE", 10)
    line = Line()

    def listen(seconds: int) -> None:
        for _ in range(seconds):
            now[0] += 1
            line.there._expire()

    def opened(number: int) -> bool:
        stream = bytes([number] * 16)
        line.deliver([Head(OPEN, stream).pack(), np.array([1000], "<u8").tobytes()])
        return stream in line.there._arriving

    assert all(opened(number) for number in range(64))
    listen(8)
    line.deliver([Head(PART_OF, bytes([1] * 16)).pack(), bytes(20)])
    line.deliver([Head(PART_OF, bytes([2] * 16)).pack(), bytes(1)])
    now[0] += 1000.0  # nobody listens, and parts may be on their way
    assert not opened(64)
    listen(1)
    line.deliver([Head(PART_OF, bytes([2] * 16), 1).pack(), bytes(1)])  # it moves, but too little
    listen(8)
    assert opened(64)
    assert set(line.there._arriving) == {bytes([1] * 16), bytes([2] * 16), bytes([64] * 16)}
    assert all(opened(100 + number) for number in range(61))
    listen(5)
    assert opened(65)
    assert bytes([2] * 16) not in line.there._arriving
    line.heads.clear()
    line.deliver([Head(PART_OF, bytes([3] * 16)).pack(), bytes(1)])
    assert [head.kind for head in line.heads] == [PART_OF, REFUSE]


def test_all_streams_together_have_no_more_frames_than_one_may_have() -> None:
    line = Line(serializer=Serializer(limits=Limits(frames=100)))
    for number in range(3):
        line.deliver([Head(OPEN, bytes([number] * 16)).pack(), np.ones(40, "<u8").tobytes()])
    assert len(line.there._arriving) == 2


def test_lengths_beyond_the_limit_do_not_become_numbers() -> None:
    line = Line()
    opening = np.arange(1 << 20, 2 << 20, dtype="<u8").tobytes()
    tracemalloc.start()
    try:
        line.deliver([Head(OPEN, bytes(16)).pack(), opening])
        assert tracemalloc.get_traced_memory()[1] < 3 * len(opening)
    finally:
        tracemalloc.stop()
    assert [head.kind for head in line.heads] == [OPEN, REFUSE]


def test_streams_that_nobody_received_yet_keep_to_the_limit_too() -> None:
    line = Line(serializer=Serializer(limits=Limits(message_bytes=100)))
    opening, part = np.array([40], "<u8").tobytes(), bytes(40)
    for number in range(3):
        line.deliver([Head(OPEN, bytes([number] * 16)).pack(), opening])
        if number < 2:
            line.deliver([Head(PART_OF, bytes([number] * 16)).pack(), part])
    assert (len(line.there.inbox), len(line.there._arriving)) == (2, 0)
    receiving = line.there.receiving(line.how)
    with pytest.raises(StopIteration):
        next(receiving)
    line.deliver([Head(OPEN, bytes([2] * 16)).pack(), opening])
    assert (len(line.there.inbox), len(line.there._arriving)) == (1, 1)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ([Head(PART_OF, bytes([1] * 16)).pack(), b"unknown"], REFUSE),
        ([Head(PROBE, bytes([1] * 16), 1).pack()], REFUSE),
        ([Head(OPEN, bytes([1] * 16)).pack()], REFUSE),
        ([Head(OPEN, bytes([1] * 16)).pack(), b"odd"], REFUSE),
        ([Head(PART_OF, bytes(16)).pack(), bytes(101)], REFUSE),
        ([Head(PART_OF, bytes(16), 50).pack(), bytes(10)], None),
        ([Head(PART_OF, bytes(16)).pack()], None),
        ([Head(99, bytes(16)).pack()], None),
        ([Head(GRANT, bytes(16), 2**63, 2**63).pack()], None),
    ],
)
def test_messages_that_do_not_belong(message: list[bytes], answer: int | None) -> None:
    line = Line()
    line.deliver([Head(OPEN, bytes(16)).pack(), np.array([100], "<u8").tobytes()])
    line.heads.clear()
    line.deliver(message)
    assert [head.kind for head in line.heads[1:]] == ([] if answer is None else [answer])
    assert not line.there.inbox


def test_into_is_the_callers_again_after_a_timeout() -> None:
    end, other = fake_pair()
    receiver = Receiver(end, stream=True)
    into = np.zeros_like(X)
    head, buffer = Serializer().serialize_object(X)
    stream = bytes(16)
    transport.multipart.push(
        other, [Head(OPEN, stream).pack(), np.array([len(head), len(buffer)], "<u8").tobytes()], 0
    )
    transport.multipart.push(other, [Head(PART_OF, stream).pack(), head, buffer[:4096]], 0)
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(into=into, timeout=0)
    assert into[100] == 100
    into[:] = -1
    transport.multipart.push(other, [Head(PART_OF, stream, len(head) + 4096).pack(), buffer[4096:]], 0)
    assert (receiver.recv(timeout=0) == X).all()
    assert (into == -1).all()


def test_a_stream_whose_sender_has_gone_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    end, other = fake_pair()
    receiver = Receiver(end, stream=True)
    opening = [Head(OPEN, bytes(16)).pack(), np.array([100], "<u8").tobytes()]
    transport.multipart.push(other, opening, 0)
    for patience, left in ((30.0, 1), (-1.0, 0)):
        monkeypatch.setattr(arrivals, "_PATIENCE", patience)
        with pytest.raises(transport.TransportTimeout):
            receiver.recv(timeout=0)
        assert len(streams_of(end, zmq.PAIR)._arriving) == left


def test_many_small_frames_take_little_memory() -> None:
    end, other = fake_pair()
    receiver = Receiver(end, stream=True)
    opening = [Head(OPEN, bytes(16)).pack(), np.array([0] * 99_000 + [2], "<u8").tobytes()]
    transport.multipart.push(other, opening, 0)
    transport.multipart.push(other, [Head(PART_OF, bytes(16)).pack(), b"x"], 0)
    tracemalloc.start()
    with pytest.raises(transport.TransportTimeout):
        receiver.recv(timeout=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (16 << 20) + 3 * len(opening[1])


def test_a_stream_whose_sender_has_gone_is_dropped_while_others_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(arrivals, "time", SimpleNamespace(monotonic=lambda: now[0]))
    end, other = fake_pair()
    receiver = Receiver(end, stream=True, timeout=10)
    arriving = streams_of(end, zmq.PAIR)._arriving
    for stream in (b"gone", b"slow"):
        transport.multipart.push(other, [Head(OPEN, stream * 4).pack(), np.array([100], "<u8").tobytes()], 0)
    for second in range(40):
        now[0] += 0.9
        if second % 20 == 0:
            transport.multipart.push(other, [Head(PROBE, b"slow" * 4, second + 1).pack()], 0)
        transport.send(other, second)
        assert receiver.recv() == second
    assert list(arriving) == [b"slow" * 4]
    now[0] += 1000.0  # nobody listened, and what it sent may still be in the socket
    transport.send(other, "after a pause")
    assert receiver.recv() == "after a pause"
    assert list(arriving) == [b"slow" * 4]


RECEIVER = """
import zmq
from transport import Receiver

def peak():  # getrusage would tell that of the parent, if that was higher
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
    print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    before = peak()
    got = Receiver(socket, stream=True, timeout=60).recv()
    print((peak() - before) / got.nbytes, flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_receiver_needs_the_memory_of_its_message_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        child = subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE, text=True)
        with child:
            assert child.stdout
            socket.connect(f"tcp://127.0.0.1:{child.stdout.readline().strip()}")
            Sender(socket, stream=True, timeout=60).send(np.ones(10**9, "u1"))
            assert 0.9 < float(child.stdout.readline()) <= 1.05
