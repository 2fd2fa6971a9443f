"""Large messages of channels as streams: what is changed, recorded, reordered or denied on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

from canning import Limits, Serializer, new_key
from tests.transport.helpers import SCHEMES, Endpoint, Open
from tests.transport.test_streams import PAIRS, X, joined, sending
from tests.transport.test_streams import small as small  # the fixture, which makes streams of small messages
from transport import Channel, RefusedMessage, TransportError, TransportTimeout, aio, fake_pair
from transport.stream_parts import GRANT, OPEN, PART_OF, REFUSE, Head, parse_head

KEY = new_key()
Change = Callable[[Head, list[bytes]], "list[list[bytes]]"]


def pass_on(_head: Head, message: list[bytes]) -> list[list[bytes]]:
    """Deliver a message as it is."""
    return [message]


@contextmanager
def attacked(there: Change = pass_on, back: Change = pass_on, **options: Any) -> Iterator[tuple[Any, Any]]:
    """Join two channels through somebody who may change what belongs to streams."""
    here, near = fake_pair()
    far, other = fake_pair()
    over = Event()

    def carry() -> None:
        while not over.is_set():
            for source, target, change in ((near, far, there), (far, near, back)):
                while source.poll(1):
                    message = source.recv_multipart()
                    head = parse_head(message[0])
                    for each in [message] if head is None else change(head, message):
                        target.send_multipart(each)

    thread = Thread(target=carry)
    thread.start()
    try:
        yield tuple(Channel(end, key=KEY, stream=True, **options) for end in (here, other))
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kinds", PAIRS)
def test_both_ways(open_socket: Open, endpoint: Endpoint, scheme: str, kinds: tuple[int, int]) -> None:
    here, there = (Channel(end, key=KEY, stream=True) for end in joined(open_socket, endpoint, scheme, kinds))
    many = kinds[1] == zmq.ROUTER
    prefix: Any = ()
    for number in range(3):
        with sending(lambda n=number: here.send([X + n, len], timeout=10)) as errors:  # type: ignore[misc]
            got = there.recv(timeout=10)
        assert not errors
        prefix, got = got if many else ((), got)
        assert (got[0] == X + number).all()
        assert got[1] is len
        assert (here.lost, here.refused, there.lost, there.refused) == (0, 0, 0, 0)
    with sending(lambda: there.send(X, prefix=prefix, timeout=10)) as errors:
        assert (here.recv(timeout=10) == X).all()
    assert not errors
    assert (here.lost, here.refused, there.lost, there.refused) == (0, 0, 0, 0)


def test_both_send_at_once_and_answer_each_other_meanwhile() -> None:
    with attacked() as (here, there):
        with sending(lambda: here.send(X, timeout=10)) as errors:
            there.send(X + 1, timeout=10)
        assert not errors
        assert (here.recv(timeout=10) == X + 1).all()
        assert (there.recv(timeout=10) == X).all()


def test_tasks_keep_the_order() -> None:
    async def main() -> list[Any]:
        with zmq.asyncio.Context() as context:
            ends = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            ends[0].connect(f"tcp://127.0.0.1:{ends[1].bind_to_random_port('tcp://127.0.0.1')}")
            here, there = (aio.Channel(end, key=KEY, stream=True) for end in ends)
            back = [asyncio.create_task(there.send(X + 9, timeout=10)), asyncio.create_task(here.recv())]
            sent = [asyncio.create_task(here.send(each, timeout=10)) for each in (1, X, 2, X + 1, 3)]
            got = [await there.recv(timeout=10) for _ in range(5)]
            await asyncio.gather(*sent, *back)
            assert here.lost == there.lost == here.refused == there.refused == 0
            for end in ends:
                end.close(linger=0)
            return [int(np.ravel(each)[-1]) for each in [*got, back[1].result()]]

    assert asyncio.run(main()) == [1, X[-1], 2, X[-1] + 1, 3, X[-1] + 9]


def test_a_changed_part_is_refused() -> None:
    def there(head: Head, message: list[bytes]) -> list[list[bytes]]:
        if head.kind == PART_OF and head.first > 50_000:
            message[1] = message[1][:-1] + bytes([message[1][-1] ^ 1])
        return [message]

    with attacked(there) as (here, other):
        with sending(lambda: here.send(X, timeout=10)), pytest.raises(RefusedMessage):
            other.recv(timeout=10)
        assert other.refused == 1


def test_a_recorded_stream_is_refused() -> None:
    record: list[list[bytes]] = []

    def there(head: Head, message: list[bytes]) -> list[list[bytes]]:
        record.append(message)
        if head.kind == PART_OF and head.first + len(b"".join(message[1:])) > X.nbytes:
            renamed = [Head(*parse_head(each[0])[:1], bytes(16), *parse_head(each[0])[2:]) for each in record]  # type: ignore[index]
            again = [[head.pack(), *each[1:]] for head, each in zip(renamed, record, strict=True)]
            return [message, *record, *again]
        return [message]

    with attacked(there) as (here, other):
        with sending(lambda: here.send(X, timeout=10)) as errors:
            assert (other.recv(timeout=10) == X).all()
        assert not errors
        for _ in range(2):
            with pytest.raises(RefusedMessage):
                other.recv(timeout=10)
        with sending(lambda: here.send("next", timeout=10)):
            assert other.recv(timeout=10) == "next"
        assert (other.refused, other.lost) == (2, 0)


@pytest.mark.parametrize(("late", "told"), [(False, "nothing was delivered"), (True, "may have arrived")])
def test_a_refusal_that_somebody_else_says(late: bool, told: str) -> None:
    def back(head: Head, message: list[bytes]) -> list[list[bytes]]:
        return [[Head(REFUSE, head.stream).pack()]] if (head.first > X.nbytes or not late) else [message]

    with attacked(back=back) as (here, other):
        with sending(lambda: here.send(X, timeout=10)) as errors:
            if late:
                assert (other.recv(timeout=10) == X).all()
            else:
                with pytest.raises(TransportTimeout):
                    other.recv(timeout=0.3)
        assert [type(error) for error in errors] == [TransportError]
        assert told in str(errors[0])
        assert ("nothing was delivered" in str(errors[0])) != late
        with sending(lambda: here.send("next", timeout=10)):
            assert other.recv(timeout=10) == "next"
        assert (other.refused, other.lost) == (0, not late)


def test_a_grant_that_somebody_else_gives_delivers_nothing_else() -> None:
    def back(head: Head, message: list[bytes]) -> list[list[bytes]]:
        return [[Head(GRANT, head.stream, 0, 2**62).pack()], message]

    with attacked(back=back) as (here, other):
        with sending(lambda: here.send(X, timeout=10)) as errors:
            assert (other.recv(timeout=10) == X).all()
        assert not errors


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_send_that_takes_too_long_says_what_may_have_arrived(asynchronous: bool) -> None:
    async def main() -> BaseException:
        with zmq.asyncio.Context() as context:
            ends = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
            ends[0].connect(f"tcp://127.0.0.1:{ends[1].bind_to_random_port('tcp://127.0.0.1')}")
            here, there = (aio.Channel(end, key=KEY, stream=True) for end in ends)
            first = asyncio.create_task(here.send("first", timeout=10))
            assert await there.recv(timeout=10) == "first"
            await first
            with pytest.raises(TransportTimeout) as caught:
                await here.send(X, timeout=0.1)
            again = asyncio.create_task(here.send(X + 1, timeout=10))
            assert (await there.recv(timeout=10) == X + 1).all()
            await again
            assert (there.lost, there.refused) == (1, 0)
            for end in ends:
                end.close(linger=0)
            return caught.value

    if asynchronous:
        error = asyncio.run(main())
    else:
        here, there = (Channel(end, key=KEY, stream=True) for end in fake_pair())
        with sending(lambda: here.send("first", timeout=10)):
            assert there.recv(timeout=10) == "first"
        with pytest.raises(TransportTimeout) as caught:
            here.send(X, timeout=0.1)
        error = caught.value
        with sending(lambda: here.send(X + 1, timeout=10)):
            assert (there.recv(timeout=10) == X + 1).all()
        assert (there.lost, there.refused) == (1, 0)
    assert "nothing was delivered" in str(error)


def test_who_has_no_key_gets_no_memory_beyond_the_limits() -> None:
    end, stranger = fake_pair()
    channel = Channel(end, serializer=Serializer(key=KEY, limits=Limits(message_bytes=1000)), stream=True)
    for number in range(3):
        opening = [Head(OPEN, bytes([number] * 16)).pack(), np.array([400], "<u8").tobytes()]
        stranger.send_multipart(opening)
    with pytest.raises(TransportTimeout):
        channel.recv(timeout=0.05)
    heads = []
    while stranger.poll(0):
        heads.append(parse_head(stranger.recv_multipart()[0]))
    assert [head.kind for head in heads if head] == [GRANT, GRANT]


def test_ends_that_cannot(open_socket: Open) -> None:
    for kind in (zmq.PUSH, zmq.REP):
        with pytest.raises(TransportError, match="needs answers"):
            Channel(open_socket(kind), key=KEY, stream=True)
    with pytest.raises(TypeError, match="stream"):
        Channel(fake_pair()[0], key=KEY, stream="yes")  # type: ignore[arg-type]
