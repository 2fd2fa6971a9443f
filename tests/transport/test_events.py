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
