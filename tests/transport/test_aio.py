from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import transport
from tests.transport.helpers import LARGE, SCHEMES, Endpoint
from transport import aio
from transport.tracker import Tracker


@asynccontextmanager
async def sockets(
    address: str, bound: int = zmq.PAIR, connected: int = zmq.PAIR, **options: int
) -> AsyncIterator[tuple[Any, Any]]:
    with zmq.asyncio.Context() as context:
        pair = context.socket(bound), context.socket(connected)
        for socket in pair:
            for name, value in options.items():
                setattr(socket, name, value)
        pair[0].bind(address)
        pair[1].connect(pair[0].getsockopt_string(zmq.LAST_ENDPOINT))
        try:
            yield pair
        finally:
            context.destroy(linger=0)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30), debug=True)


async def receive(socket: Any, **options: Any) -> Any:
    return await aio.recv(socket, trust="code", **{"timeout": 10, **options})


async def let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_round_trip(endpoint: Endpoint, scheme: str) -> None:
    async def test() -> None:
        async with sockets(endpoint(scheme)) as (here, there):
            x = np.arange(LARGE)
            tracker = await aio.send(here, {"x": x}, 2, prefix=b"p")
            prefix, (first, second) = await receive(there, prefix=1, many=True)
            assert (prefix, second) == ([b"p"], 2)
            assert (first["x"] == x).all()
            assert first["x"].flags.writeable == (scheme != "inproc")
            del first
            await aio.wait(tracker, timeout=10)

    run(test())


@pytest.mark.parametrize("types", [("PULL", "PUSH"), ("REP", "REQ"), ("DEALER", "DEALER")])
def test_socket_types(endpoint: Endpoint, types: tuple[str, str]) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp"), *(getattr(zmq, name) for name in types)) as (there, here):
            await aio.send(here, ["question", np.zeros(LARGE)])
            assert (await receive(there))[0] == "question"

    run(test())


def test_router_and_dealer(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp"), zmq.ROUTER, zmq.DEALER) as (router, dealer):
            await aio.send(dealer, 20)
            identity, obj = await receive(router, prefix=1)
            await aio.send(router, obj + 1, prefix=identity)
            assert await receive(dealer) == 21

    run(test())


def test_the_other_side_may_block(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("ipc")) as (here, there):
            blocking: zmq.Socket[bytes] = zmq.Socket.shadow(there.underlying)
            await aio.send(here, 1)
            assert transport.recv(blocking, trust="code", timeout=10) == 1

    run(test())


# -- cancellation


def test_a_cancelled_recv_loses_no_message(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            for n in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(aio.recv(there, trust="code"), 0.01)
                await aio.send(here, n)
                assert await receive(there) == n

    run(test())


def test_a_recv_cancelled_as_the_message_arrives_loses_nothing(endpoint: Endpoint) -> None:
    """Cancel after every possible number of turns of the loop: the message is received or still there."""

    async def test() -> None:
        received_at_once = 0
        async with sockets(endpoint("inproc")) as (here, there):
            for turns in range(30):
                task = asyncio.create_task(aio.recv(there, trust="code"))
                await let_others_run()
                await aio.send(here, turns)
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                try:
                    obj = await task
                    received_at_once += 1
                except asyncio.CancelledError:
                    obj = await receive(there)
                assert obj == turns
        assert 0 < received_at_once < 30

    run(test())


def test_a_cancelled_send_has_sent_nothing(endpoint: Endpoint) -> None:
    async def test() -> None:
        address = endpoint("inproc")
        async with sockets(address, zmq.PULL, zmq.PUSH, sndhwm=1, rcvhwm=1) as (there, here):
            sent = await fill(here)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(aio.send(here, "cancelled"), 0.01)
            assert [await receive(there) for _ in range(sent)] == list(range(sent))
            await aio.send(here, "next", timeout=10)
            assert await receive(there) == "next"

    run(test())


async def fill(socket: Any) -> int:
    sent = 0
    while True:
        try:
            await aio.send(socket, sent, flags=zmq.NOBLOCK)
        except zmq.Again:
            return sent
        sent += 1


# -- tasks side by side


def test_many_tasks_receive_from_one_socket(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            tasks = [asyncio.create_task(receive(there)) for _ in range(20)]
            await let_others_run()
            for n in range(20):
                await aio.send(here, n)
            assert sorted(await asyncio.gather(*tasks)) == list(range(20))

    run(test())


@pytest.mark.parametrize("plain", [False, True])
def test_a_newcomer_does_not_take_the_wake_up_of_another_task(endpoint: Endpoint, plain: bool) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            blocking: zmq.Socket[bytes] = zmq.Socket.shadow(here.underlying)
            waiting: Any = there.recv_multipart() if plain else asyncio.create_task(receive(there))
            await let_others_run()
            transport.send(blocking, 1)
            transport.send(blocking, 2)
            time.sleep(0.05)  # both messages arrive while the loop does not look
            await receive(there)
            await asyncio.wait_for(waiting, 10)

    run(test())


def test_both_directions_at_once(endpoint: Endpoint) -> None:
    async def chat(socket: Any) -> list[int]:
        async def talk() -> None:
            for n in range(50):
                await aio.send(socket, n, timeout=40)

        _, *heard = await asyncio.gather(talk(), *(receive(socket, timeout=40) for _ in range(50)))
        return sorted(heard)

    async def test() -> None:
        async with sockets(endpoint("ipc"), sndhwm=2, rcvhwm=2) as pair:
            assert await asyncio.gather(*map(chat, pair)) == [list(range(50))] * 2

    run(test())


# -- timeouts and flags


def test_recv_times_out_and_the_socket_goes_on(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            for timeout in (0, 0.01):
                with pytest.raises(transport.TransportTimeout):
                    await receive(there, timeout=timeout)
            with pytest.raises(zmq.Again):
                await receive(there, flags=zmq.NOBLOCK)
            await aio.send(here, 1)
            assert await receive(there) == 1

    run(test())


def test_send_times_out_at_the_high_water_mark(endpoint: Endpoint) -> None:
    async def test() -> None:
        address = endpoint("inproc")
        async with sockets(address, zmq.PULL, zmq.PUSH, sndhwm=1, rcvhwm=1) as (there, here):
            sent = await fill(here)
            for timeout in (0, 0.01):
                with pytest.raises(transport.TransportTimeout):
                    await aio.send(here, "late", timeout=timeout)
            waiting = asyncio.create_task(aio.send(here, "last", timeout=10))
            await let_others_run()
            assert [await receive(there) for _ in range(sent)] == list(range(sent))
            assert await receive(there) == "last"
            await waiting

    run(test())


def test_a_router_that_cannot_drop_waits_for_its_slow_peer(endpoint: Endpoint) -> None:
    async def test() -> None:
        address = endpoint("inproc")
        async with sockets(address, zmq.ROUTER, zmq.DEALER, sndhwm=1, rcvhwm=1) as (router, dealer):
            router.setsockopt(zmq.ROUTER_MANDATORY, 1)
            await aio.send(dealer, "hello")
            identity, _ = await receive(router, prefix=1)
            sent = 0
            with pytest.raises(transport.TransportTimeout):  # noqa: PT012 - which send fails depends on queues
                while True:
                    await aio.send(router, sent, prefix=identity, timeout=0.02)
                    sent += 1
            assert [await receive(dealer) for _ in range(sent)] == list(range(sent))

    run(test())


def test_without_a_timeout_the_socket_says_how_long(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("inproc"), rcvtimeo=10) as (here, there):
            with pytest.raises(zmq.Again):
                await receive(there, timeout=None)
            with here.context.socket(zmq.PUSH) as lonely:
                lonely.sndtimeo = 10
                with pytest.raises(zmq.Again):
                    await aio.send(lonely, 1)

    run(test())


def test_what_the_socket_says_does_not_cut_a_timeout_short(endpoint: Endpoint) -> None:
    async def test() -> None:
        address = endpoint("inproc")
        async with sockets(address, zmq.PULL, zmq.PUSH, sndhwm=1, rcvhwm=1, sndtimeo=5, rcvtimeo=5) as pair:
            there, here = pair
            waiting = asyncio.create_task(receive(there))
            await asyncio.sleep(0.05)
            await aio.send(here, "late")
            assert await waiting == "late"
            sent = await fill(here)
            waiting = asyncio.create_task(aio.send(here, "last", timeout=10))
            await asyncio.sleep(0.05)
            assert [await receive(there) for _ in range(sent)] == list(range(sent))
            assert await receive(there) == "last"
            await waiting

    run(test())


# -- errors


def test_garbage_and_then_a_good_message(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            await here.send_multipart([b"gar", b"bage"])
            await aio.send(here, "good")
            with pytest.raises(transport.MessageError) as caught:
                await receive(there)
            assert caught.value.frames == [b"gar", b"bage"]
            assert await receive(there) == "good"

    run(test())


def test_data_alone_is_read_by_default(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            await aio.send(here, len)
            await aio.send(here, {"x": [1]})
            with pytest.raises(transport.MessageError, match=r"builtins\.len"):
                await aio.recv(there)
            assert await aio.recv(there) == {"x": [1]}

    run(test())


def test_a_blocking_socket_is_pointed_elsewhere() -> None:
    async def test() -> None:
        with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
            misused: Any = socket
            with pytest.raises(TypeError, match=r"transport\.send"):
                await aio.send(misused, 1)
            with pytest.raises(TypeError, match=r"transport\.recv"):
                await aio.recv(misused, trust="code")

    run(test())


# -- trackers


def test_waiting_for_a_tracker(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("inproc")) as (here, there):
            tracker = await aio.send(here, [1, np.zeros(LARGE), "small"])
            with pytest.raises(transport.TransportTimeout):
                await aio.wait(tracker, timeout=0.01)
            waiting = asyncio.create_task(aio.wait(tracker, timeout=10))
            await let_others_run()
            assert not waiting.done()
            await receive(there)
            await waiting
            await aio.wait(tracker, timeout=0)

    run(test())


def test_memory_freed_after_the_loop_has_ended(endpoint: Endpoint) -> None:
    x = np.zeros(LARGE)
    trackers = []

    async def test() -> None:
        async with sockets(endpoint("inproc")) as (here, _):
            trackers.append(await aio.send(here, x))
            with pytest.raises(transport.TransportTimeout):
                await aio.wait(trackers[0], timeout=0)
            held.append(zmq.Socket.shadow(here.underlying))

    held: list[Any] = []
    run(test())
    trackers[0].wait(timeout=10)


def test_waits_that_are_over_leave_nothing_behind() -> None:
    async def main() -> None:
        view: Any = memoryview(b"memory")
        tracker = Tracker([view])
        for seconds in (0, 0.001):
            for _ in range(20):
                with pytest.raises(transport.TransportTimeout):
                    await aio.wait(tracker, timeout=seconds)
        waiting = [asyncio.create_task(aio.wait(tracker)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert tracker._outstanding is not None
        assert tracker._outstanding.listeners == []
        waiting = [asyncio.create_task(aio.wait(tracker)) for _ in range(5)]
        await asyncio.sleep(0)
        view = None
        await asyncio.wait_for(asyncio.gather(*waiting), 10)

    asyncio.run(main())


@pytest.mark.parametrize("end", ["close", "destroy"])
def test_a_loop_that_waits_ends_when_its_socket_is_closed(endpoint: Endpoint, end: str) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (here, there):
            got = []

            async def loop() -> None:
                async for obj in transport.Receiver(there):
                    got.append(obj)

            task = asyncio.create_task(loop())
            await transport.Sender(here).send(1)
            while not got:
                await let_others_run()
            if end == "close":
                there.close()
            else:
                there.context.destroy(linger=0)
            await task
            assert got == [1]

    run(test())


def test_a_loop_that_is_cancelled_is_cancelled(endpoint: Endpoint) -> None:
    async def test() -> None:
        async with sockets(endpoint("tcp")) as (_, there):
            task = asyncio.ensure_future(transport.Receiver(there).recv())
            await let_others_run()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run(test())
