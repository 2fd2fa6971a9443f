from __future__ import annotations

import select
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

import transport
from transport.outgoing import COPY_BELOW


def receive(socket: Any, **options: Any) -> Any:
    return transport.recv(socket, trust="code", **{"timeout": 10, **options})


def test_both_ways_and_in_order() -> None:
    here, there = transport.fake_pair()
    for n in range(10):
        transport.send(here, n)
        transport.send(there, -n)
    assert [receive(there) for _ in range(10)] == list(range(10))
    assert [receive(here) for _ in range(10)] == [-n for n in range(10)]


def test_arrays_arrive_as_over_a_connection() -> None:
    here, there = transport.fake_pair()
    sent = {"large": np.zeros(COPY_BELOW), "middle": np.zeros(10_000), "small": np.zeros(10)}
    transport.send(here, sent).wait(timeout=10)
    for name, array in receive(there).items():
        assert array.flags.writeable
        assert array.flags.aligned
        array += 1
        assert not sent[name].any()


def test_prefixes_and_several_objects() -> None:
    here, there = transport.fake_pair()
    transport.send(here, 1, 2, prefix=[b"a", b"b"])
    assert receive(there, prefix=2, many=True) == ([b"a", b"b"], [1, 2])


def test_garbage_and_then_a_good_message() -> None:
    here, there = transport.fake_pair()
    here.send_multipart([b"gar", b"bage"])
    transport.send(here, "good")
    with pytest.raises(transport.MessageError) as caught:
        receive(there)
    assert caught.value.frames == [b"gar", b"bage"]
    assert receive(there) == "good"


def test_timeouts_and_the_high_water_mark() -> None:
    here, there = transport.fake_pair(hwm=2)
    with pytest.raises(transport.TransportTimeout):
        receive(there, timeout=0.01)
    transport.send(here, 1)
    transport.send(here, 2)
    with pytest.raises(transport.TransportTimeout):
        transport.send(here, 3, timeout=0.01)
    with pytest.raises(zmq.Again):
        transport.send(here, 3, flags=zmq.NOBLOCK)
    assert receive(there) == 1
    transport.send(here, "room", timeout=0)
    assert [receive(there), receive(there)] == [2, "room"]
    with pytest.raises(zmq.Again):
        receive(there, flags=zmq.NOBLOCK)


def test_no_high_water_mark() -> None:
    here, there = transport.fake_pair(hwm=0)
    for n in range(5000):
        transport.send(here, n, flags=zmq.NOBLOCK)
    assert receive(there) == 0


def test_a_wrong_high_water_mark() -> None:
    with pytest.raises(ValueError, match="hwm"):
        transport.fake_pair(hwm=-1)


def test_the_sockets_own_timeouts() -> None:
    here, there = transport.fake_pair(hwm=1)
    here.sndtimeo = there.rcvtimeo = 10
    with pytest.raises(zmq.Again):
        receive(there, timeout=None)
    transport.send(here, 1)
    with pytest.raises(zmq.Again):
        transport.send(here, 2)


def test_threads_wait_for_each_other() -> None:
    here, there = transport.fake_pair(hwm=1)

    def echo() -> None:
        while (obj := transport.recv(there, trust="code")) is not None:
            transport.send(there, obj)

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    for n in range(200):
        transport.send(here, [n] * 10)
        assert receive(here) == [n] * 10
    transport.send(here, None)
    thread.join(10)
    assert not thread.is_alive()


def test_a_sender_at_the_high_water_mark_wakes_when_there_is_room() -> None:
    here, there = transport.fake_pair(hwm=1)
    transport.send(here, 0)
    threads = [threading.Thread(target=transport.send, args=(here, n), daemon=True) for n in (1, 2)]
    for thread in threads:
        thread.start()
    threading.Event().wait(0.02)
    assert sorted(receive(there) for _ in range(3)) == [0, 1, 2]
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_poll_tells_what_is_there() -> None:
    here, there = transport.fake_pair(hwm=1)
    assert (there.poll(0), here.poll(0, zmq.POLLOUT), there.poll(10)) == (0, zmq.POLLOUT, 0)
    transport.send(here, 1)
    assert (there.poll(None), here.poll(0, zmq.POLLOUT)) == (zmq.POLLIN, 0)
    assert here.get(zmq.EVENTS) == 0
    assert there.get(zmq.EVENTS) == zmq.POLLIN | zmq.POLLOUT
    assert there.get(zmq.TYPE) == zmq.PAIR
    with pytest.raises(zmq.ZMQError):
        there.get(zmq.LINGER)


def test_poll_wakes_for_a_message() -> None:
    here, there = transport.fake_pair()
    later = threading.Timer(0.02, transport.send, (here, 1))
    later.start()
    assert there.poll(60_000) == zmq.POLLIN
    later.join()


def test_a_message_half_sent_is_not_there_yet() -> None:
    here, there = transport.fake_pair(hwm=1)
    here.send(b"first", zmq.SNDMORE)
    assert there.poll(0) == 0
    here.send(b"last")
    assert there.recv_multipart() == [b"first", b"last"]


def test_frames_read_one_by_one() -> None:
    here, there = transport.fake_pair()
    here.send_multipart([b"a", b"b", b"c"])
    frame = there.recv(copy=False)
    assert (frame.bytes, frame.more) == (b"a", True)
    assert there.recv_multipart() == [b"b", b"c"]


def test_a_closed_end() -> None:
    here, there = transport.fake_pair()
    transport.send(here, "last words")
    with here:
        pass
    assert here.closed
    with pytest.raises(zmq.ZMQError):
        transport.send(here, 1)
    with pytest.raises(zmq.ZMQError):
        here.poll(0)
    assert receive(there) == "last words"
    with pytest.raises(transport.TransportError, match="never end"):
        receive(there, timeout=None)
    with pytest.raises(transport.TransportError, match="never end"):
        transport.send(there, 1)
    with pytest.raises(transport.TransportTimeout):
        transport.send(there, 1, timeout=0.01)
    assert "closed" in repr(here)


@pytest.mark.parametrize("end", ["own", "other"])
def test_closing_ends_a_wait(end: str) -> None:
    here, there = transport.fake_pair()
    errors: list[Exception] = []

    def wait() -> None:
        try:
            transport.recv(there, trust="code")
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    threading.Event().wait(0.02)
    (there if end == "own" else here).close()
    thread.join(10)
    assert [type(error) for error in errors] == [zmq.ZMQError if end == "own" else transport.TransportError]


# -- what waits for an end


def ready(end: Any, timeout: int = 0) -> bool:
    poller = zmq.Poller()
    poller.register(end, zmq.POLLIN)
    polled = bool(poller.poll(timeout))
    assert polled == bool(select.select([end], [], [], 0)[0])
    return polled


def test_pollers_see_messages() -> None:
    here, there = transport.fake_pair()
    with here, there:
        transport.send(here, "before")
        assert ready(there)
        assert receive(there) == "before"
        assert not ready(there)
        for n in range(5):
            transport.send(here, n, np.zeros(5000))
        for n in range(5):
            assert ready(there)
            assert receive(there, many=True)[0] == n
        assert not ready(there)
        assert not ready(here)


def test_a_poller_is_woken() -> None:
    here, there = transport.fake_pair()
    with here, there:
        assert not ready(there)
        timer = threading.Timer(0.05, transport.send, (here, "later"))
        timer.start()
        assert ready(there, 10_000)
        timer.join()


FIXTURE = """
import transport

pytest_plugins = ["transport.pytest_plugin"]

def test_a_service(fake_pair):
    here, there = fake_pair
    transport.send(here, "hello")
    assert transport.recv(there, timeout=1) == "hello"
"""


def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(FIXTURE.partition("def ")[0])
    (tmp_path / "test_service.py").write_text(
        FIXTURE.replace('pytest_plugins = ["transport.pytest_plugin"]', "")
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "1 passed" in done.stdout, done.stdout
