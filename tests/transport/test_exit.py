"""What becomes of messages under way when a process ends: nothing wrong, nothing lost in silence."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

import transport
from tests.transport.exits import BEGIN, COUNT, WAYS, Way
from tests.transport.helpers import Endpoint, Open

FAST = (
    "the end of the script",
    "an unhandled exception",
    "a daemon thread that goes on",
    "a forked child of multiprocessing",
    "a thread of such a child",
    "close with no linger",
)
SIZES = (1_000, 100_000, 300_000, 2_000_000, 16_000_000, 64_000_000)


def run(source: str, address: str, nbytes: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + source, address, str(nbytes)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def receive_all(socket: Any, process: subprocess.Popen[str], wanted: int, nbytes: int) -> Counter[int]:
    """Check each message that comes until there are as many as wanted, or no more come from who is gone."""
    numbers: Counter[int] = Counter()
    x = np.arange(nbytes, dtype="u1")
    while numbers.total() < wanted:
        gone = process.poll() is not None
        try:
            number, arrived = transport.recv(socket, timeout=0.5 if gone else 0.1)
        except transport.TransportTimeout:
            if gone:
                break
            continue
        assert np.array_equal(arrived, x + np.uint8(number)), "wrong numbers"
        numbers[number] += 1
    return numbers


def check(way: Way, socket: Any, address: str, nbytes: int) -> None:
    process = run(way.source, address, nbytes)
    arrives = way.arrives and nbytes >= way.least
    numbers = receive_all(socket, process, COUNT if arrives else 10**9, nbytes)
    _, errors = process.communicate(timeout=50)
    assert process.returncode == way.status, errors
    if arrives:
        assert sorted(numbers)[:COUNT] == list(range(COUNT)), (numbers, errors)
        assert "UndeliveredWarning" not in errors


@pytest.mark.parametrize("name", FAST)
def test_ways_to_end(name: str, open_socket: Open, endpoint: Endpoint) -> None:
    socket = open_socket(zmq.PULL)
    socket.bind(endpoint("ipc"))
    check(WAYS[name], socket, socket.get(zmq.LAST_ENDPOINT).decode(), 4_000_000)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("nbytes", SIZES)
@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
@pytest.mark.parametrize("name", WAYS)
def test_every_way_to_end(name: str, scheme: str, nbytes: int, open_socket: Open, endpoint: Endpoint) -> None:
    socket = open_socket(zmq.PULL)
    socket.bind(endpoint(scheme))
    check(WAYS[name], socket, socket.get(zmq.LAST_ENDPOINT).decode(), nbytes)


@pytest.mark.parametrize("nbytes", [1_000, 2_000_000])
def test_a_receiver_that_comes_late(nbytes: int, open_socket: Open, endpoint: Endpoint) -> None:
    address = endpoint("ipc")
    process = run(WAYS["the end of the script"].source, address, nbytes)
    time.sleep(1.5)
    socket = open_socket(zmq.PULL)
    socket.bind(address)
    assert sorted(receive_all(socket, process, COUNT, nbytes)) == list(range(COUNT))
    assert process.communicate(timeout=50)[1] == ""


def test_what_could_not_be_sent_is_told(tmp_path: Path) -> None:
    patient = "import transport.exiting; transport.exiting.PATIENCE = 0.2\n"
    process = run(patient + "context, socket = opened(); send(socket)", f"ipc://{tmp_path}/nobody", 2_000_000)
    _, errors = process.communicate(timeout=50)
    assert process.returncode == 0
    assert "UndeliveredWarning: 3 messages (6,000,000 bytes) were not handed over" in errors


def test_what_is_received_here_is_not_waited_for() -> None:
    source = """
context = zmq.Context()
here, there = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
here.bind("inproc://a"); there.connect("inproc://a")
send(here)
kept = transport.recv(there)

class Last:
    wanted = message(0)[1].tobytes()

    def __del__(self):
        assert bytes(kept[1]) == self.wanted

last = Last()
"""
    process = run(source, "", 2_000_000)
    _, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (0, "")


def test_drain() -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.linger = 0
        socket.connect("ipc:///nonexistent/canning")
        tracker = transport.send(socket, np.zeros(1_000_000))
        with pytest.raises(
            transport.TransportTimeout, match=r"1 message .* was still on the way after 0.1 s"
        ):
            transport.drain(timeout=0.1)
        with pytest.raises(transport.TransportTimeout):
            tracker.wait(0)
    transport.drain(timeout=10)
    tracker.wait(10)
