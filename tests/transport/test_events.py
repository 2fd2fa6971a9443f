"""What a service's owner hears of: in the log, and counted."""

from __future__ import annotations

import functools
import logging
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import zmq

import canning
import transport
from tests.transport.helpers import Connect
from transport.multipart import INTERRUPTED


@pytest.mark.parametrize(
    ("event", "frames", "options"),
    [
        ("unreadable", [b"garbage"], {}),
        ("unreadable", canning.serialize_object(len), {"trust": "data"}),
        ("unreadable", [*canning.serialize_object(1), *canning.serialize_object(2)], {}),
        ("unreadable", [b"one"], {"prefix": 1}),
        ("unreadable", canning.serialize_object(1), {"into": np.zeros(3)}),
        ("refused", canning.serialize_object(1), {"key": b"k" * 16}),
        ("refused", [b"x"] * 4, {"serializer": canning.Serializer(limits=canning.Limits(frames=3))}),
        ("cut", [b"half", INTERRUPTED], {}),
    ],
)
def test_what_is_told_is_counted(
    connect: Connect, caplog: pytest.LogCaptureFixture, event: str, frames: list[Any], options: dict[str, Any]
) -> None:
    here, there = connect()
    before = transport.stats()
    here.send_multipart([bytes(frame) for frame in frames])
    with caplog.at_level(logging.WARNING, "transport"), pytest.raises(transport.errors.TransportError):
        transport.recv(there, timeout=1, **options)
    assert len(caplog.records) == 1
    changed = {
        name: new - old
        for name, old, new in zip(before._fields, before, transport.stats(), strict=True)
        if new != old
    }
    assert changed == {event: 1}


def test_arenas_that_fall_back_and_payloads_that_are_lost(caplog: pytest.LogCaptureFixture) -> None:
    here, there = transport.fake_pair()
    before = transport.stats()
    with caplog.at_level(logging.WARNING, "transport"):
        arena = transport.SharedArena("2MiB", linger=0.01)
        transport.send(here, np.zeros(10**7), arena=arena)
        assert transport.recv(there, shared_memory=True, timeout=10).shape == (10**7,)
        transport.send(here, np.zeros(10**5), arena=arena)
        with pytest.warns(transport.UndeliveredWarning):
            arena.close()
    after = transport.stats()
    assert (after.fallbacks - before.fallbacks, after.unopened - before.unopened) == (1, 1)
    assert [record.message.split(" of 2")[0].split(",")[0] for record in caplog.records] == [
        "80000000 bytes found no room in <SharedArena 0",
        "1 payload in shared memory",
    ]


def test_compression_that_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("lz4")
    noise = np.random.default_rng(1).bytes(100_000)
    before = transport.stats()
    with caplog.at_level(logging.INFO, "canning"):
        canning.serialize_object([noise, np.zeros(10_000), np.zeros(20)], codec="lz4")
    assert transport.stats().uncompressed - before.uncompressed == 1
    assert [record.message for record in caplog.records] == [
        "a frame of 100000 bytes goes uncompressed, since that would gain nothing"
    ]


def test_nothing_is_told_by_default() -> None:
    source = """
import transport
here, there = transport.fake_pair()
here.send(b"garbage")
try:
    transport.recv(there)
except transport.MessageError:
    print(transport.stats().unreadable)
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


class Slow:
    """Take so long to be read that a signal comes in between."""

    def __reduce__(self) -> Any:
        return signal.raise_signal, (signal.SIGALRM,)


class Late:
    """Raise as handlers of signals do that are no functions."""

    def __call__(self, *_: object) -> None:
        raise ValueError("the time is over")


def late_once(number: int, frame: object) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    raise ValueError("the time is over")


def late_without_a_frame(number: int, frame: object) -> None:
    del number, frame
    raise ValueError("the time is over")


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="there are no alarms on Windows")
@pytest.mark.parametrize(
    "handler",
    [Late(), Late().__call__, functools.partial(Late(), "more"), late_once, late_without_a_frame],
    ids=["an object", "a method", "a partial", "once", "without a frame"],
)
def test_what_a_signal_handler_raises_is_raised(connect: Connect, handler: Any) -> None:
    here, there = connect()
    for obj in (Slow(), [np.zeros(2000), Slow()], [Slow(), lambda: 1]):
        old = signal.signal(signal.SIGALRM, handler)
        try:
            with pytest.raises(ValueError, match="the time is over"):
                canning.deserialize_object(canning.serialize_object(obj))
            signal.signal(signal.SIGALRM, handler)
            transport.send(here, obj)
            with pytest.raises(ValueError, match="the time is over"):
                transport.recv(there, trust="code", timeout=10)
        finally:
            signal.signal(signal.SIGALRM, old)
    with pytest.raises(zmq.Again):
        transport.recv(there, flags=zmq.NOBLOCK)
