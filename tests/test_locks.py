"""No lock stays locked, and no table is torn, wherever an interrupt comes and whatever its handler does."""

from __future__ import annotations

import ast
import ctypes
import functools
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import zmq

import canning
import transport
from canning import forking
from canning.code.classes import without_hooks
from canning.code.modules import Bundle, Source
from canning.code.received import ReceivedModules
from canning.forking import Lock
from tests.points import Signal, Stop
from transport.engines.adapting import Replaced

ROOT = Path(__file__).parent.parent
SOURCES = tuple(
    str(ROOT / each)
    for each in (
        *("canning/forking.py", "canning/types/registry.py", "canning/types/marks.py"),
        *("canning/code/received.py", "canning/code/classes.py"),
        *("transport/testing.py", "transport/engines/adapting.py"),
    )
)


def test_every_lock_is_of_this_kind() -> None:
    for path in [*(ROOT / "canning").rglob("*.py"), *(ROOT / "transport").rglob("*.py")]:
        made = {
            each.attr for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Attribute)
        }
        if path.name != "forking.py":
            assert not made & {"RLock", "Condition", "Semaphore", "allocate_lock"}, path


@pytest.fixture
def stopping() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop) if sys.platform != "win32" else None
    yield
    if before is not None:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such signals")
@pytest.mark.usefixtures("stopping")
def test_an_interrupt_in_the_very_call_that_takes_the_lock() -> None:
    """C that returns while a signal waits: Python looks for one behind the call, and not before."""
    interrupted = functools.partial(ctypes.CDLL(None)["raise"], signal.SIGUSR1)
    lock, let_go = Lock(), []
    lock._lock = types.SimpleNamespace(acquire=interrupted, release=lambda: let_go.append(1))
    with pytest.raises(Stop):
        lock.run(lambda: None)
    assert let_go


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no such signals")
@pytest.mark.usefixtures("stopping")
def test_an_interrupt_while_it_waits() -> None:
    lock = Lock()
    held, go_on = threading.Event(), threading.Event()
    other = threading.Thread(target=lock.run, args=(lambda: (held.set(), go_on.wait(60)),))
    other.start()
    assert held.wait(10)
    alarm = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    alarm.start()
    with pytest.raises(Stop):
        lock.run(lambda: None)
    assert lock.run(lambda: 1, wait=False) is None
    try:
        raise KeyError("what is being seen to is not what came in between")
    except KeyError:
        assert lock.run(lambda: 1, wait=False) is None
    go_on.set()
    other.join()
    assert lock.run(lambda: lock.run(lambda: 5)) == 5
    assert not lock.inside


def test_what_a_change_raises_passes_through() -> None:
    def fail() -> None:
        raise RuntimeError("of the change")

    lock = Lock()
    with pytest.raises(RuntimeError, match="of the change"):
        lock.run(fail)
    assert not lock.inside


class Other:
    pass


class Base:
    made = 0

    def __init_subclass__(cls) -> None:
        Base.made += 1


SOURCE = Source("received_here", False, "received_here.py", "x = 1\n")
BUNDLE = Bundle([SOURCE], {}, {}, {})


class Users:
    """Use every table, as the main thread does and as a handler does."""

    def __init__(self) -> None:
        self.registry = canning.Registry()
        self.received = ReceivedModules()
        self.place = types.SimpleNamespace(answer=41)
        types_ = {"tests.test_locks.Nowhere": {"can": vars, "uncan": Other}}
        self.replaced = Replaced([(self.place, "answer", 42)], types_)
        self.here, self.there = transport.fake_pair()
        self.there.rcvtimeo = 100

    def steps(self, name: str) -> Iterator[Callable[[], Any]]:
        registry, received, replaced = self.registry, self.received, self.replaced
        yield lambda: registry.register(Other, can=vars, uncan=len)
        yield lambda: registry.register("tests.test_locks.Base", can=vars, uncan=len)
        yield lambda: registry.find(Base)
        yield registry.copy
        yield lambda: registry.by_value(Other)
        yield lambda: registry.register_rename("old", "new")
        yield lambda: registry.unregister_rename("old")
        yield lambda: registry.by_reference(Other)
        yield lambda: registry.unregister(Other)
        yield lambda: received.receive(BUNDLE, "sent")
        yield received.listed
        yield lambda: received.forget("received_here")
        yield lambda: replaced.join(name)
        yield lambda: replaced.leave(name)
        yield lambda: without_hooks((Base,), lambda: type("Made", (Base,), {}))
        yield lambda: self.here.send_multipart([b"1", b"2"])
        yield self.there.recv_multipart

    def use(self, name: str, signal: Signal | None = None) -> None:
        for step in self.steps(name):
            with suppress(Stop, KeyError, zmq.Again):
                if signal is None:
                    step()
                else:
                    with signal:
                        step()

    def check(self, where: str) -> None:
        """Every lock can be taken by another thread, and every table used."""
        free: list[bool] = []
        other = threading.Thread(target=lambda: free.extend(map(_is_free, list(forking._LOCKS))))
        other.start()
        other.join()
        assert all(free), where
        self.replaced.leave("me")
        assert (self.place.answer, bool(self.replaced)) == (41, False), where
        assert Replaced._registered["tests.test_locks.Nowhere"] == set(), where
        with pytest.raises(KeyError):
            canning.default_registry.unregister("tests.test_locks.Nowhere")
        first = self.registry.find(Other)
        assert first is None or first is self.registry.by_name(first.name), where
        self.registry.register(Other, can=vars, uncan=repr)
        assert self.registry.find(Other).uncan is repr, where
        assert all(each.digest == SOURCE.digest for each in self.received.listed()), where
        assert self.received.receive(BUNDLE, "sent")[""].sources, where
        sys.meta_path.remove(self.received)
        Base.made = 0
        type("Made", (Base,), {})
        assert Base.made == 1, where


def _is_free(lock: Lock) -> bool:
    return lock.run(lambda: True, wait=False) is True


def stop(users: Users) -> None:
    raise Stop


def use_all(users: Users) -> None:
    users.use("handler")


@pytest.mark.parametrize(
    ("handler", "step"),
    [
        (stop, 13),
        (use_all, 29),
        pytest.param(stop, 1, marks=pytest.mark.slow),
        pytest.param(use_all, 1, marks=pytest.mark.slow),
    ],
)
@pytest.mark.timeout(300)
def test_a_signal_at_any_point(handler: Callable[[Users], None], step: int) -> None:
    number = 0
    while True:
        users = Users()
        signal = Signal(number, lambda users=users: handler(users), SOURCES)  # type: ignore[misc]
        users.use("me", signal)
        users.check(signal.where)
        if not signal.came:
            break
        number += step
    assert number > 100
