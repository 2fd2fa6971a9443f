"""Shared memory and pools, interrupted wherever Python can interrupt them.

A signal comes at each point in turn (see `tests.points`): there, a handler raises, or uses what it has
interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import transport
from canning import DeserializationError, Serializer
from tests.points import Signal, Stop
from transport import ArenaFull, SharedArena, SharedMemory, SharedMemoryError
from transport.pool import Pool
from transport.shared.attached import Attached
from transport.shared.ledger import Ledger

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="arenas are memfds, which Linux has")

SOURCES = (str(Path(transport.__file__).parent / "shared"), str(Path(transport.__file__).parent / "pool.py"))


class Users:
    """Use an arena in every way, from both sides."""

    def __init__(self) -> None:
        self.arena = SharedArena("256KiB", lease=0.001, threshold=4096, linger=0)
        self.memory = SharedMemory()
        self.pool = Pool("8MiB")
        self.other = SharedMemory()
        self.sender = Serializer(codec=self.arena.to(1))
        self.readers = [Serializer(codec=self.memory, writable=writable) for writable in (False, True)]

    def steps(self) -> Iterator[Callable[[], Any]]:
        arena, sender = self.arena, self.sender
        reader, private = self.readers
        kept: dict[str, Any] = {}

        def send(name: str, obj: Any) -> None:
            kept[name] = sender.serialize_object(obj)

        def read(name: str, reader: Serializer, expected: float) -> None:
            got, _ = reader.deserialize_object(kept.pop(name))
            assert got.min() == got.max() == expected
            kept[f"got {name}"] = got

        yield lambda: kept.update(made=arena.array(np.full(2000, 1.0)))
        yield lambda: send("in place", kept["made"])
        yield lambda: send("copied", np.full(3000, 2.0))
        yield lambda: read("in place", reader, 1.0)
        yield lambda: read("copied", private, 2.0)
        yield lambda: kept.update(on=reader.serialize_object(kept["got in place"]))
        yield lambda: kept.pop("made")
        yield lambda: kept.update(leased=self.pool.allocate(2**20))
        yield lambda: send("unread", np.full(1000, 3.0))
        yield lambda: arena.revoke(kept.pop("unread"), 1)
        yield lambda: kept.pop("got in place")
        yield lambda: kept.pop("leased")
        yield lambda: self.pool.allocate(2**20)
        yield lambda: send("lost", np.full(1000, 4.0))
        yield lambda: arena.lose(kept.pop("lost"))
        yield lambda: arena.stats()
        yield lambda: arena.empty(40_000)  # there may be no room
        yield lambda: kept.pop("got copied")
        yield lambda: arena.empty(2000)
        kept.clear()

    def use(self, signal: Signal) -> None:
        for step in self.steps():
            with suppress(Stop, ArenaFull, KeyError, SharedMemoryError, DeserializationError), signal:
                step()

    def check(self, where: str) -> None:
        """Nothing is lost: all of the arena can be had again, by whoever asks for it, and all of the pool."""
        gc.collect()
        time.sleep(0.012)  # ten leases, for what was promised when the signal came
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(self.arena.empty(self.arena.capacity, "u1")))
        thread.start()
        thread.join(10)
        assert found, f"the lock is not free, or not all of the memory: {where}"
        found.clear()
        for _ in range(2):
            got, _ = Serializer(codec=self.memory).deserialize_object(
                Serializer(codec=self.arena.to(1)).serialize_object(np.full(32_000, 7.0))
            )
            assert got.max() == 7
            del got
        assert self.arena.stats()[1:3] == (0, 0), where
        assert self.arena._ledger._blocks == {}
        assert self.pool.stats().in_use == 0, where
        kept = [self.pool.allocate(2**20) for _ in range(8)]
        assert self.pool.stats().in_use == 8 * 2**20
        assert len({each.__array_interface__["data"][0] for each in kept}) == 8


def stop(_: Users) -> None:
    raise Stop


def use_all(users: Users) -> None:
    """Use everything from within, as handlers do that log what there is, or send a last message."""
    arena = users.arena
    assert arena.stats().capacity == 2**18
    assert "SharedArena" in repr(arena)
    frames = Serializer(codec=arena.to(1)).serialize_object(np.full(1000, 9.0))
    for memory in (users.memory, users.other):
        with suppress(SharedMemoryError, DeserializationError):
            assert Serializer(codec=memory).deserialize_object(frames)[0].max() == 9
            break
    with suppress(ArenaFull):
        arena.array(np.ones(10))
    assert "Pool" in repr(users.pool)
    users.pool.allocate(2**20)
    gc.collect()


def at_each_point(handler: Callable[[Users], object], step: int) -> int:
    """Have a signal come at every so manieth point; tell how many there are."""
    number = 0
    while True:
        users = Users()
        signal = Signal(number, lambda users=users: handler(users), SOURCES)  # type: ignore[misc]
        users.use(signal)
        users.check(signal.where)
        users.arena.close()
        if not signal.came:
            return number
        number += step


@pytest.fixture(autouse=True)
def forget_what_finalizers_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python says so and goes on; pytest would keep the exceptions, and with them what their frames hold."""
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("handler", [stop, use_all])
def test_a_signal_at_some_points(handler: Callable[[Users], object]) -> None:
    assert at_each_point(handler, 61) > 500


@pytest.mark.skipif("EVERY_POINT" not in os.environ, reason="takes an hour and more: EVERY_POINT=1 runs it")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("handler", [stop, use_all])
def test_a_signal_at_each_point(handler: Callable[[Users], object]) -> None:
    assert at_each_point(handler, 1) > 500


def test_threads_whose_finalizers_use_what_the_other_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    arena, memory = SharedArena("1MiB", threshold=4096, linger=0), SharedMemory()
    sender, reader = Serializer(codec=arena.to(3)), Serializer(codec=memory)
    frames = sender.serialize_object(np.full(1000, 3.0))
    reader.deserialize_object(frames)
    entered = threading.Event()
    take, pin = Ledger._take, Attached._try_to_pin

    def taking(self: Any, *args: Any) -> Any:
        entered.set()
        time.sleep(0.2)  # the other thread is where it wants to be, or waits for this one
        with suppress(SharedMemoryError, DeserializationError):
            reader.deserialize_object(frames)
        return take(self, *args)

    def pinning(self: Any, *args: Any) -> Any:
        arena.stats()
        return pin(self, *args)

    monkeypatch.setattr(Ledger, "_take", taking)
    monkeypatch.setattr(Attached, "_try_to_pin", pinning)
    owner = threading.Thread(target=arena.empty, args=(10,), daemon=True)
    owner.start()
    assert entered.wait(10)
    consumer = threading.Thread(target=reader.deserialize_object, args=(frames,), daemon=True)
    consumer.start()
    for thread in (owner, consumer):
        thread.join(10)
        assert not thread.is_alive()
