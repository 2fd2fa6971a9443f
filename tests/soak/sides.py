"""The two processes of a soak, forked from one that has imported everything and holds no socket.

What they have done stands in `Counters`, memory that their parent sees too, so that nothing is lost when one
of them is killed.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import zmq

import transport
from transport import pool

MB: Final = 10**6
NAMES: Final = (
    *("sent", "received", "refused", "partial", "copied", "fallbacks", "used", "quiet", "ended"),
    "pooled",
)


class Counters:
    """Named numbers in memory that forked processes share; each is written by one of them at a time."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._words = memoryview(self._memory).cast("q")

    def __getitem__(self, name: str) -> int:
        value: int = self._words[NAMES.index(name)]
        return value

    def __setitem__(self, name: str, value: int) -> None:
        self._words[NAMES.index(name)] = value


def fork(side: Callable[..., None], *args: Any) -> int:
    """Run a side in a process of its own, which ends when we do; return its id."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        _die_with(parent)
        side(*args)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _die_with(parent: int) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def send(address: str, counters: Counters, *, count: int, size: int, capacity: str, lease: float) -> None:
    """Send arrays, each full of its own number, half of them made in the arena; in the end, be quiet.

    A `count` of 0 sends for ever.
    """
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.sndhwm = 20
    socket.bind(address)
    arena = transport.SharedArena(capacity, lease=lease, linger=0)
    number = 0
    while not count or number < count:
        if counters["quiet"]:
            break
        number += 1
        array = np.full(size // 8, float(number))
        if number % 2:
            with contextlib.suppress(transport.ArenaFull):
                array = arena.array(array)
        while not counters["quiet"]:
            with contextlib.suppress(transport.TransportTimeout):
                # The first one as ordinary frames, since pyzmq starts a thread for the first of these.
                where = arena if number > 1 else None
                transport.send(socket, {"number": number, "x": array}, arena=where, timeout=1)
                counters["sent"] += 1
                counters["pooled"] = pooled()
                break
        del array
    while True:
        stats = arena.stats()
        counters["copied"], counters["fallbacks"] = stats.copied + stats.in_place, stats.fallbacks
        counters["used"] = stats.used
        time.sleep(0.01)


def pooled() -> int:
    """Give the bytes that wait to be used again for copies of what finds no room in the arena."""
    stats = pool._COPYING.stats()
    return stats.in_use + stats.free


def receive(address: str, counters: Counters, *, keep: int) -> None:
    """Receive for ever, keep the last few arrays, and check every element of each."""
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.rcvhwm = 20
    socket.connect(address)
    kept: deque[Any] = deque(maxlen=keep)
    while True:
        try:
            got = transport.recv(socket, shared_memory=True, timeout=0.2)
        except transport.TransportTimeout:
            if counters["quiet"]:
                kept.clear()
            continue
        except transport.MessageError as error:
            if not isinstance(error.__cause__, transport.SharedMemoryError):
                raise
            counters["refused"] += 1  # its sender was killed before we had opened it
            continue
        kept.append((got["number"], got["x"]))
        del got
        for number, x in (kept[-1], kept[0]):
            if not (x.min() == x.max() == number):
                counters["partial"] += 1
        del x
        counters["received"] += 1
