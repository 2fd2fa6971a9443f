"""An owner and consumers of an arena under alarms, with finalizers, threads and forks at any moment."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import zmq

import transport.aio
import transport.sockets
from canning import DeserializationError
from transport.pool import Pool

from .sides import Counters, fork

EXPECTED = (
    transport.ArenaFull,
    transport.TransportTimeout,
    transport.MessageError,
    transport.SharedMemoryError,
)


class Alarm(Exception):
    """What the signal handler raises every other time."""


class Fault(Exception):
    """What was promised did not happen."""


class Cycle:
    """What the garbage collector finds, and then uses an arena or a pool."""

    def __init__(self, use: Callable[[], object]) -> None:
        self.me = self
        self.use = use

    def __del__(self) -> None:
        with contextlib.suppress(*EXPECTED):
            self.use()


@contextlib.contextmanager
def alarms(draw: random.Random, use: Callable[[], object], seen: Counter[str]) -> Iterator[None]:
    """Have alarms come every millisecond or so; each uses the arena, and then may raise."""

    def handler(*_: object) -> None:
        seen["alarms"] += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0002 + draw.random() * 0.002)
        with contextlib.suppress(*EXPECTED):
            use()
        if draw.random() < 0.5:
            raise Alarm

    sys.unraisablehook = id  # alarms come in finalizers too, and must not end what would say so
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        yield
    finally:
        while True:
            with contextlib.suppress(Alarm):
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                break
        signal.signal(signal.SIGALRM, before)


def attempt(step: Callable[[], object], seen: Counter[str]) -> None:
    """Do something that an alarm may end, or a full arena."""
    try:
        step()
        seen["operations"] += 1
    except Alarm:
        seen["cut"] += 1
    except EXPECTED as error:
        seen[type(error).__name__ if error.__cause__ is None else str(error.__cause__)[:70]] += 1


def warm_up() -> None:
    """Import what is imported late: an alarm in the middle of an import spoils the module."""
    here, there = transport.fake_pair()
    with transport.SharedArena("1MiB", threshold=4096) as arena:
        for writable in (False, True):
            transport.send(here, {"number": 1, "x": np.ones(1000)}, arena=arena, timeout=1)
            transport.recv(there, shared_memory=True, writable=writable, timeout=1)


def own(address: str, counters: Counters, seconds: float, seed: int) -> None:
    """Send arrays, whole ones and such as are made in the arena, and see that all of it comes back."""
    draw = random.Random(seed)
    warm_up()
    gc.set_threshold(50)
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.sndhwm = 5
    socket.bind(address)
    arena = transport.SharedArena("8MiB", lease=0.2, threshold=4096, linger=0)
    pool = Pool("16MiB")
    seen: Counter[str] = Counter()
    over = threading.Event()

    def use() -> None:
        repr(arena), arena.stats(), repr(pool)
        if draw.random() < 0.2:
            arena.array(np.ones(100))
            pool.allocate(2**20)

    def beside() -> None:
        here, there = transport.fake_pair()
        memory = transport.SharedMemory()
        while not over.is_set():
            with contextlib.suppress(*EXPECTED):
                transport.send(here, np.full(3000, 5.0), arena=arena, timeout=1)
                got = transport.recv(there, shared_memory=memory, timeout=1)
                if not got.min() == got.max() == 5:
                    counters["partial"] += 1
                seen["beside"] += 1

    def step() -> None:
        number = draw.randrange(1, 10**6)
        array = np.full(draw.randrange(600, 60_000), float(number))
        if draw.random() < 0.5:
            array = arena.array(array)
        transport.send(socket, {"number": number, "x": array}, arena=arena, timeout=0.02)
        Cycle(use)
        if draw.random() < 0.01:
            child = os.fork()
            if not child:
                del array
                os._exit(0)
            os.waitpid(child, 0)

    threads = [threading.Thread(target=beside) for _ in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(Alarm), alarms(draw, use, seen):
            stop = time.monotonic() + 1
            while time.monotonic() < stop:
                attempt(step, seen)
        counters["sent"] = seen["operations"]
    over.set()
    for thread in threads:
        thread.join()
    counters["quiet"] = 1
    gc.collect()
    limit = time.monotonic() + 10
    whole: Any = None
    while whole is None or counters["quiet"] < 2:
        if time.monotonic() > limit:
            raise Fault(f"blocks are lost: {arena!r}")
        time.sleep(0.01)
        # A consumer may still open a message that was given up, for a moment.
        with contextlib.suppress(transport.ArenaFull):
            whole = arena.empty(arena.capacity, "u1")
    counters["ended"] = 1
    print(f"owner: {dict(seen)}, all {whole.nbytes:,} bytes are there again", flush=True)


def consume(address: str, counters: Counters, seed: int) -> None:
    """Receive under alarms, keep some arrays, and check every element."""
    draw = random.Random(seed)
    warm_up()
    gc.set_threshold(50)
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.rcvhwm = 5
    socket.connect(address)
    memory = transport.SharedMemory()
    kept: list[Any] = []
    seen: Counter[str] = Counter()

    def use() -> None:
        repr(memory)
        if kept and draw.random() < 0.3:
            del kept[draw.randrange(len(kept))]

    def step() -> None:
        writable = draw.random() < 0.3
        got = transport.recv(socket, shared_memory=memory, writable=writable, timeout=0.02)
        number, x = got["number"], got["x"]
        if not x.min() == x.max() == number:
            counters["partial"] += 1
        Cycle(use)
        if draw.random() < 0.5:
            kept.append(x)
        del kept[:-5]

    while not counters["quiet"]:
        with contextlib.suppress(Alarm), alarms(draw, use, seen):
            stop = time.monotonic() + 1
            while time.monotonic() < stop and not counters["quiet"]:
                try:
                    attempt(step, seen)
                except DeserializationError:
                    seen["refused"] += 1
    kept.clear()
    gc.collect()
    counters["received"] += seen["operations"]
    print(f"consumer: {dict(seen)}", flush=True)
    counters["quiet"] = 2
    time.sleep(15)  # alive, and with nothing open


def run(folder: str, seconds: float, seed: int) -> None:
    """Let an owner and two consumers work for so long; a third one comes and is killed again and again."""
    address, counters = f"ipc://{folder}/signals", Counters()
    owner = fork(own, address, counters, seconds, seed)
    consumers = [fork(consume, address, counters, seed + n) for n in (1, 2)]
    draw = random.Random(seed)
    killed = 0
    try:
        while not os.waitpid(owner, os.WNOHANG)[0]:
            if not counters["quiet"]:
                third = fork(consume, address, counters, draw.randrange(10**6))
                time.sleep(0.2 + draw.random() * 0.5)
                os.kill(third, signal.SIGKILL)
                os.waitpid(third, 0)
                killed += 1
            time.sleep(0.05)
    finally:
        for each in consumers:
            os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)
    print(f"{killed} consumers killed")
    if counters["partial"]:
        raise Fault(f"{counters['partial']} arrays that were not whole")
    if not counters["ended"]:
        raise Fault("the owner did not come to its end")
