from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest
import zmq

import transport
from tests.transport.helpers import Connect, Endpoint, Open
from transport.outgoing import COPY_BELOW
from transport.tracker import DONE, Tracker

LARGE = np.zeros(COPY_BELOW, "u1")


def receive(socket: Any) -> Any:
    return transport.recv(socket, trust="code", timeout=10)


def test_copied_messages_are_done_at_once(connect: Connect) -> None:
    here, _ = connect()
    for obj in (1, "text", np.zeros(1000), np.zeros(COPY_BELOW - 1, "u1")):
        tracker = transport.send(here, obj)
        assert tracker.done
        tracker.wait(timeout=0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_frame_is_tracked(connect: Connect, place: int) -> None:
    """Where pyzmq's tracker tells about the last frame only, it calls two of these three free."""
    here, there = connect("inproc")
    arrays = [np.zeros(2000) for _ in range(3)]
    arrays[place] = np.zeros(COPY_BELOW)
    tracker = transport.send(here, arrays)
    assert not tracker.done
    with pytest.raises(transport.TransportTimeout, match="in use"):
        tracker.wait(timeout=0.01)
    arrived = receive(there)
    assert not tracker.done
    arrived[place] = None
    tracker.wait(timeout=10)
    assert tracker.done


def test_pyzmqs_own_tracker_would_not_do(connect: Connect) -> None:
    here, _ = connect("inproc")
    tracker = here.send_multipart([b"header", LARGE, b"last"], copy=False, track=True)
    assert tracker.done


@pytest.mark.parametrize("place", [0, -1])
def test_a_message_is_done_with_its_last_large_frame(connect: Connect, place: int) -> None:
    here, there = connect("inproc")
    tracker = transport.send(here, [LARGE.copy() for _ in range(3)])
    arrived = receive(there)
    while arrived:
        assert not tracker.done
        del arrived[place]
        with contextlib.suppress(transport.TransportTimeout):
            tracker.wait(timeout=0.02)
    tracker.wait(timeout=10)


@pytest.mark.parametrize("place", [0, -1])
def test_every_view_counts(place: int) -> None:
    views = [memoryview(b"memory") for _ in range(5)]
    tracker = Tracker(views)
    while views:
        assert not tracker.done
        views.pop(place)
    assert tracker.done


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_over_a_connection_memory_is_free_once_written(connect: Connect, scheme: str) -> None:
    here, there = connect(scheme)
    x = np.zeros(COPY_BELOW)
    transport.send(here, [x, "small"]).wait(timeout=10)
    x += 1
    assert not receive(there)[0].any()


def test_a_peer_that_reads_nothing_keeps_the_memory_in_use(connect: Connect) -> None:
    here, there = connect("tcp", sndbuf=4096, rcvbuf=4096, rcvhwm=1, sndhwm=100)
    trackers = [transport.send(here, np.zeros(COPY_BELOW)) for _ in range(20)]
    assert not trackers[-1].done
    for _ in trackers:
        receive(there)
    trackers[-1].wait(timeout=10)


def test_a_threshold_of_nothing_tracks_every_frame(connect: Connect) -> None:
    here, there = connect("inproc")
    tracker = transport.send(here, "tiny", copy_threshold=0)
    assert not tracker.done
    receive(there)
    tracker.wait(timeout=10)


def test_what_was_never_sent_is_not_kept(connect: Connect) -> None:
    context = zmq.Context()
    x = LARGE.copy()
    gone = weakref.ref(x)
    with context, context.socket(zmq.PUSH) as socket, pytest.raises(zmq.Again):
        transport.send(socket, x, flags=zmq.NOBLOCK)
    del x
    for _ in range(1000):
        gc.collect()
        if gone() is None:
            return
        threading.Event().wait(0.01)
    pytest.fail("the array is still alive")


def test_a_closed_socket_lets_go(open_socket: Open, endpoint: Endpoint) -> None:
    socket = open_socket(zmq.PUSH)
    socket.connect(endpoint("ipc"))
    tracker = transport.send(socket, LARGE)
    assert not tracker.done
    socket.close(linger=0)
    tracker.wait(timeout=10)


def test_a_tracker_dropped_at_once_does_no_harm(connect: Connect) -> None:
    here, there = connect("inproc")
    for _ in range(10):
        transport.send(here, LARGE)
        receive(there)


def test_a_tracker_makes_no_cycle() -> None:
    view = memoryview(b"memory")
    tracker = Tracker([view])
    gone = weakref.ref(tracker)
    gc.disable()
    try:
        del tracker
        assert gone() is None
    finally:
        gc.enable()


def test_many_threads_can_wait() -> None:
    views = [memoryview(bytes(10)) for _ in range(100)]
    tracker = Tracker(views)
    threads = [threading.Thread(target=tracker.wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    droppers = [threading.Thread(target=views.pop, daemon=True) for _ in range(100)]
    for thread in droppers:
        thread.start()
    for thread in threads + droppers:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("early", [True, False])
def test_listeners_are_called_once(early: bool) -> None:
    view: Any = memoryview(b"memory")
    tracker = Tracker([view])
    calls: list[int] = []
    if early:
        tracker.on_done(lambda: calls.append(1))
        assert not calls
    view = None
    if not early:
        tracker.on_done(lambda: calls.append(1))
    tracker.on_done(lambda: calls.append(2))
    assert calls == [1, 2]


def test_repr_says_where_it_stands() -> None:
    view = memoryview(b"memory")
    assert repr(Tracker([view])) == "<Tracker of 1 frames, in use>"
    assert repr(DONE) == "<Tracker of 0 frames, done>"
