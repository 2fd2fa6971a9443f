"""Memory that processes of one host share: what arrives, where it lies, and when it is free again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from canning import DeserializationError, Serializer
from tests.harness import assert_equal
from tests.transport.engine import ROOT, Engine
from tests.transport.helpers import Connect, Open
from transport import ArenaError, ArenaFull, MessageError, SharedArena, SharedMemory, SharedMemoryError
from transport.shared.memory import started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="arenas are memfds, which Linux has")

MB = 10**6
Array = np.ndarray[Any, Any]


@pytest.fixture
def arena() -> Iterator[SharedArena]:
    with SharedArena("32MiB", threshold=4096, linger=0) as made:
        yield made


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture
def another(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path) as made:
        yield made


def address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def receive(socket: Any, **options: Any) -> Any:
    return transport.recv(socket, **{"shared_memory": True, "timeout": 10, **options})


def exchange(obj: Any, arena: Any, **options: Any) -> Any:
    """Send to ourselves, which maps the arena a second time."""
    here, there = transport.fake_pair()
    transport.send(here, obj, arena=arena)
    return receive(there, **options)


# -- what arrives ----------------------------------------------------------------------------------------


OBJECTS: dict[str, Any] = {
    "array": np.arange(10_000.0),
    "Fortran": np.asfortranarray(np.arange(10_000).reshape(100, -1)),
    "big-endian": np.arange(10_000, dtype=">i4"),
    "nested": {"a": np.ones(3000), "b": [b"b" * 9000, bytearray(5000), np.arange(20)], "c": "text"},
    "views": [np.arange(9000.0)[a:] for a in (0, 100)],
    "sparse": np.arange(80_000.0).reshape(40, -1)[::3],
    "small": {"x": np.arange(5), "y": None},
    "dates": np.arange(5000).astype("M8[s]"),
}


@pytest.mark.parametrize("trust", ["data", "code"])
@pytest.mark.parametrize("obj", OBJECTS.values(), ids=OBJECTS)
def test_round_trip(arena: SharedArena, obj: Any, trust: str) -> None:
    assert_equal(obj, exchange(obj, arena, trust=trust), writeable="at most")
    assert_equal(obj, exchange(obj, arena, trust=trust, writable=True))


def test_another_process_reads_it(arena: SharedArena, engine: Engine) -> None:
    x = np.arange(MB / 8)
    assert engine.call(lambda _, x: float(x.sum()), x, arena=arena) == x.sum()
    assert arena.stats()[3:] == (1, 1, 0, 0)


def test_arrays_are_aligned_and_read_only(arena: SharedArena) -> None:
    got = exchange([np.arange(5000.0) + n for n in range(3)], arena)
    for array in got:
        assert address(array) % 64 == 0
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_the_header_and_small_buffers_travel_as_ever(arena: SharedArena) -> None:
    frames = Serializer(codec=arena.to(1)).serialize_object(
        [memoryview(b"s" * 2000), np.arange(5000.0), "text"]
    )
    assert bytes(frames[1]) == b"s" * 2000
    assert len(frames[2]) < 200
    assert arena.stats().copied == 1


def test_without_shared_memory_the_error_says_so(arena: SharedArena) -> None:
    with pytest.raises(MessageError, match="shared_memory=True"):
        exchange(np.arange(5000.0), arena, shared_memory=False)
    frames = Serializer(codec=arena).serialize_object(np.arange(5000.0))
    with pytest.raises(DeserializationError, match=r"'arena'.*shared_memory=True"):
        canning.deserialize_object(frames)


def test_frames_of_ones_own(arena: SharedArena) -> None:
    x = np.arange(5000.0)
    frames = Serializer(codec=arena).serialize_object(x)
    for reader in (Serializer(codec=arena), Serializer(codec=SharedMemory()), Serializer(codec=arena.to(3))):
        got, _ = reader.deserialize_object(frames)
        assert_equal(x, got, writeable="at most")


def test_signed_messages(arena: SharedArena) -> None:
    key = canning.new_key()
    here, there = transport.fake_pair()
    transport.send(here, np.arange(5000.0), arena=arena, key=key)
    assert receive(there, key=key)[-1] == 4999
    transport.send(here, np.arange(5000.0), arena=arena)
    with pytest.raises(MessageError):
        receive(there, key=key)
    assert arena.stats().copied == 2


def test_many_objects_in_one_message(arena: SharedArena) -> None:
    here, there = transport.fake_pair()
    transport.send(here, np.arange(5000.0), np.ones(5000), prefix=b"topic", arena=arena)
    prefix, (a, b) = receive(there, prefix=1, many=True)
    assert prefix == [b"topic"]
    assert (a[-1], b[-1]) == (4999, 1)


def test_a_serializer_with_options_of_its_own(arena: SharedArena) -> None:
    here, there = transport.fake_pair()
    serializer = Serializer(pickler="pickle")
    transport.send(here, np.arange(5000.0), arena=arena, serializer=serializer)
    assert receive(there, serializer=serializer)[-1] == 4999
    assert arena.stats().copied == 1


# -- in place --------------------------------------------------------------------------------------------


VIEWS: dict[str, Callable[[Array], Array]] = {
    "itself": lambda x: x,
    "slice": lambda x: x[1000:9000],
    "reshaped": lambda x: x.reshape(100, -1)[50:],
    "Fortran": lambda x: x.reshape(100, -1).T,
    "other dtype": lambda x: x.view("u1")[4096:],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_what_is_in_the_arena_is_not_copied(
    arena: SharedArena, engine: Engine, view: Callable[[Array], Array]
) -> None:
    x = arena.array(np.arange(10_000.0))
    sent = view(x)
    engine.call(lambda state, x: state.update(x=x), sent, arena=arena)
    assert arena.stats()[4:] == (0, 1, 0)
    assert engine.call(lambda state: state["x"].sum()) == sent.sum()
    x[:] = 7  # one must not; here it shows that the memory is the same
    assert engine.call(lambda state: np.array(state.pop("x"))).tobytes() == sent.tobytes()


def test_empty_makes_arrays_of_any_shape_and_dtype(arena: SharedArena) -> None:
    for shape, dtype in [(5, "f8"), ((3, 4), "i2"), ((), "c16"), ((0, 3), "f4"), (7, "M8[ns]"), (2, "i4,f8")]:
        made = arena.empty(shape, dtype)
        assert made.shape == np.empty(shape).shape
        assert made.dtype == np.dtype(dtype)
        assert made.flags.writeable
        assert address(made) % 64 == 0
    for dtype in (object, np.dtypes.StringDType()):
        with pytest.raises(TypeError, match="outside"):
            arena.empty(3, dtype)


@pytest.mark.parametrize("source", [np.arange(12).reshape(3, 4), np.ones((4, 3)).T, [1, 2], 3.5, np.empty(0)])
def test_array_copies(arena: SharedArena, source: Any) -> None:
    assert_equal(np.ascontiguousarray(source).reshape(np.shape(source)), arena.array(source))


def test_the_same_array_sent_twice_is_one_block(arena: SharedArena) -> None:
    x = arena.array(np.arange(10_000.0))
    got = [exchange(x, arena) for _ in range(3)]
    assert [array[-1] for array in got] == [9999.0] * 3
    assert arena.stats().blocks == 1


# -- passing on ------------------------------------------------------------------------------------------


def make_arena(state: dict[str, Any], **options: Any) -> None:
    state["arena"] = SharedArena("32MiB", threshold=4096, **options)


def test_what_was_received_is_passed_on_uncopied(arena: SharedArena, another: Engine) -> None:
    another.call(make_arena)
    x = arena.array(np.arange(10_000.0))
    got = another.call(lambda _, x: x[100:], x, arena=arena)
    assert_equal(x[100:], got, writeable="at most")
    x[-1] = -5
    assert got[-1] == -5
    assert another.call(lambda state: tuple(state["arena"].stats()[4:])) == (0, 1, 0)


def test_a_serializer_for_passing_on_alone(arena: SharedArena) -> None:
    memory = SharedMemory()
    got = exchange(np.arange(10_000.0), arena, shared_memory=memory)
    frames = Serializer(codec=memory).serialize_object([got, np.arange(10_000.0)])
    assert list(map(len, frames[1:])) == [len(frames[1]), 80_000]
    again, _ = Serializer(codec=SharedMemory()).deserialize_object(frames)
    assert again[0][-1] == 9999


def test_what_was_passed_on_stays_until_it_is_read(arena: SharedArena) -> None:
    memory = SharedMemory()
    got = exchange(np.arange(10_000.0), arena, shared_memory=memory)
    here, there = transport.fake_pair()
    frame = memory.forward(address(got), got.nbytes, 1)
    assert frame is not None
    del got
    assert arena.stats().blocks == 1
    last = memory.decode(memoryview(frame), 80_000)
    assert np.frombuffer(last)[-1] == 9999
    del last
    assert arena.stats().blocks == 0
    assert here is not there


def test_a_killed_owners_memory_is_still_read_and_passed_on(another: Engine, engine: Engine) -> None:
    another.call(make_arena)
    got = another.call(lambda _: np.arange(10_000.0))
    assert not got.flags.writeable
    another.kill()
    assert got.sum() == np.arange(10_000.0).sum()
    with SharedArena("1MiB", linger=0) as ours:
        assert engine.call(lambda _, x: x.sum(), got, arena=ours) == got.sum()
        assert ours.stats().in_place == 1


# -- until when ------------------------------------------------------------------------------------------


def test_a_block_is_free_when_its_reader_lets_go(arena: SharedArena, engine: Engine) -> None:
    engine.call(lambda state, x: state.update(x=x[5:9]), np.arange(10_000.0), arena=arena)
    assert arena.stats().blocks == 1
    assert engine.call(lambda state: state.pop("x").sum()) == 5 + 6 + 7 + 8
    wait_for(lambda: arena.stats().used == 0)


def test_a_block_is_free_when_its_reader_is_killed(arena: SharedArena, another: Engine) -> None:
    another.call(lambda state, x: state.update(x=x), np.arange(10_000.0), arena=arena)
    assert arena.stats()[2:4] == (1, 1)
    another.kill()
    assert arena.stats()[1:4] == (0, 0, 0)


def test_a_block_is_free_when_its_reader_is_killed_and_left_a_child(
    arena: SharedArena, another: Engine
) -> None:
    def fork(state: dict[str, Any], x: Any) -> int:
        state["x"] = x
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        return child

    child = another.call(fork, np.arange(10_000.0), arena=arena)
    try:
        assert arena.stats()[2:4] == (1, 1)
        another.kill()
        assert arena.stats()[1:4] == (0, 0, 0)
    finally:
        os.kill(child, 9)


def test_a_block_that_nobody_opens_is_free_after_its_lease() -> None:
    with SharedArena("1MiB", lease=0.2, threshold=4096, linger=0) as arena:
        frames = Serializer(codec=arena.to(2)).serialize_object(np.arange(10_000.0))
        assert arena.stats().blocks == 1
        wait_for(lambda: arena.stats().blocks == 0)
        got, _ = Serializer(codec=SharedMemory()).deserialize_object(frames)  # nobody needed the memory
        assert got[-1] == 9999
        del got  # and so one that had opened it is gone, which begins another lease
        wait_for(lambda: arena.stats().blocks == 0)
        arena.empty(arena.capacity, "u1")
        with pytest.raises(DeserializationError, match=r"outlived.*lease of 0.2 s"):
            Serializer(codec=SharedMemory()).deserialize_object(frames)


def test_a_slow_reader_finds_what_it_has_not_opened_yet() -> None:
    with SharedArena("1MiB", lease=0.05, threshold=4096, linger=0) as arena:
        memory = SharedMemory()
        kept = exchange(np.arange(10_000.0), arena, shared_memory=memory)  # it is there, and lives
        frames = Serializer(codec=arena.to(1)).serialize_object(np.arange(10_000.0))
        time.sleep(0.1)
        with pytest.raises(ArenaFull):
            arena.empty(arena.capacity, "u1")
        assert arena.stats().blocks == 2
        got, _ = Serializer(codec=memory).deserialize_object(frames)
        assert got[-1] == kept[-1] == 9999
        del got
        frames = Serializer(codec=arena.to(1)).serialize_object(np.arange(10_000.0))
        wait_for(lambda: arena.stats().blocks == 1)  # ten leases are enough
        assert len(frames) == 2


def test_what_a_dead_reader_has_not_opened_is_given_up(another: Engine) -> None:
    with SharedArena("1MiB", lease=0.3, threshold=4096, linger=0) as arena:
        another.call(lambda state, x: state.update(x=x), np.arange(10_000.0), arena=arena)
        another.send(lambda _: time.sleep(60))
        another.send(len, np.arange(10_000.0), arena=arena)
        time.sleep(0.5)
        assert arena.stats().blocks == 2
        another.kill()
        wait_for(lambda: arena.stats().blocks == 0, 2)
        assert arena.empty(arena.capacity, "u1").nbytes == arena.capacity


def test_an_open_block_outlives_its_lease() -> None:
    with SharedArena("1MiB", lease=0.05, threshold=4096, linger=0) as arena:
        got = exchange(np.arange(10_000.0), arena)
        time.sleep(0.1)
        assert arena.stats().blocks == 1
        assert got[-1] == 9999
        del got
        assert arena.stats().blocks == 0


def test_a_descriptor_that_outlived_its_block_gives_an_error(arena: SharedArena) -> None:
    frames = Serializer(codec=arena.to(1)).serialize_object(np.arange(10_000.0))
    reader = Serializer(codec=SharedMemory())
    assert reader.deserialize_object(frames)[0][-1] == 9999
    kept = arena.array(np.ones(10_000))
    assert arena.stats().blocks == 1
    with pytest.raises(DeserializationError, match="outlived"):
        reader.deserialize_object(frames)
    assert kept.sum() == 10_000


def test_as_many_readers_as_were_announced(arena: SharedArena) -> None:
    frames = Serializer(codec=arena.to(3)).serialize_object(np.arange(10_000.0))
    for left in (1, 1, 0):
        got, _ = Serializer(codec=SharedMemory()).deserialize_object(frames)
        assert got[-1] == 9999
        assert arena.stats().blocks == 1
        del got
        assert arena.stats().blocks == left


def test_what_the_sender_holds_needs_no_count(arena: SharedArena) -> None:
    held = arena.array(np.arange(10_000.0))
    frames = Serializer(codec=arena.to_held()).serialize_object(held)
    for _ in range(3):
        got, _ = Serializer(codec=SharedMemory()).deserialize_object(frames)
        assert got[-1] == 9999
    del held
    assert arena.stats().blocks == 1  # somebody has it open
    assert arena.array([1.0])[0] == 1
    assert got.sum() == sum(range(10_000))
    del got
    assert arena.stats().blocks == 0
    with pytest.raises(SharedMemoryError, match="outlived"):
        Serializer(codec=SharedMemory()).deserialize_object(frames)
    plain = np.arange(100_000.0)  # lies elsewhere: nobody would hold a copy
    assert np.shares_memory(Serializer(codec=arena.to_held()).serialize_object(plain)[1], plain)


def test_who_has_it_open(arena: SharedArena) -> None:
    since = started(os.getpid())
    assert not arena.is_open_in(os.getpid(), since)
    frames = Serializer(codec=arena).serialize_object(np.arange(10_000.0))
    got, _ = Serializer(codec=SharedMemory()).deserialize_object(frames)
    assert got[0] == 0
    assert arena.is_open_in(os.getpid(), since)
    assert not arena.is_open_in(os.getpid(), since - 1)


def test_published_once_for_all(arena: SharedArena, open_socket: Open) -> None:
    publisher = open_socket(zmq.PUB)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    subscribers = [open_socket(zmq.SUB) for _ in range(3)]
    for subscriber in subscribers:
        subscriber.connect(f"tcp://127.0.0.1:{port}")
        subscriber.subscribe(b"")

    def joined() -> bool:
        transport.send(publisher, "hello")
        return all(subscriber.poll(20) for subscriber in subscribers)

    wait_for(joined)
    transport.send(publisher, np.arange(10_000.0), arena=arena.to(3))
    got = []
    for subscriber in subscribers:
        memory = SharedMemory()
        while isinstance(arrived := receive(subscriber, shared_memory=memory), str):
            pass
        got.append(arrived)
    assert [array[-1] for array in got] == [9999] * 3
    assert arena.stats()[2:5] == (1, 3, 1)
    got.clear()
    del arrived
    assert arena.stats().used == 0
    transport.send(publisher, np.arange(10_000.0), arena=arena)
    memories = [SharedMemory() for _ in range(3)]
    assert [receive(s, shared_memory=m)[-1] for s, m in zip(subscribers, memories, strict=True)] == [9999] * 3
    assert arena.stats().blocks == 1  # nobody said how many there would be


def test_arrays_of_the_owner_keep_their_block(arena: SharedArena) -> None:
    x = arena.empty(10_000)
    part = x[5:10]
    del x
    assert arena.stats().blocks == 1
    del part
    assert arena.stats().blocks == 0


def test_a_message_that_was_not_sent_gives_its_block_back(arena: SharedArena) -> None:
    here, there = transport.fake_pair(hwm=1)
    transport.send(here, "first")
    with pytest.raises(transport.TransportTimeout):
        transport.send(here, np.arange(10_000.0), arena=arena, timeout=0.01)
    assert arena.stats().blocks == 0
    got = exchange(np.arange(10_000.0), arena)
    with pytest.raises(transport.TransportTimeout):
        transport.send(here, got, arena=arena, timeout=0.01)
    del got
    assert arena.stats().blocks == 0
    assert receive(there) == "first"


# -- when it is full -------------------------------------------------------------------------------------


def test_a_full_arena_sends_ordinary_frames() -> None:
    with SharedArena("1MiB", threshold=4096, linger=0) as arena:
        got = [exchange(np.full(20_000, float(n)), arena) for n in range(12)]
        assert [array[-1] for array in got] == list(range(12))
        stats = arena.stats()
        assert stats.copied + stats.fallbacks == 12
        assert stats.copied == 6
        got.clear()
        del arena


def test_a_full_arena_is_used_again_when_its_readers_let_go() -> None:
    with SharedArena("1MiB", threshold=4096, linger=0) as arena:
        got = [exchange(np.full(20_000, float(n)), arena) for n in range(12)]
        fallbacks = arena.stats().fallbacks
        got.clear()
        assert fallbacks == 6
        sender = Serializer(codec=arena.to(1))
        wait_for(lambda: len(sender.serialize_object(np.zeros(20_000))[1]) < 1000)


def test_what_is_larger_than_the_arena_goes_as_ordinary_frames() -> None:
    with SharedArena("1MiB", linger=0) as arena:
        assert exchange(np.ones(MB), arena).sum() == MB
        assert arena.stats()[4:] == (0, 0, 1)


def test_no_room_for_an_array() -> None:
    with SharedArena("1MiB", linger=0) as arena:
        kept = arena.empty(100_000)
        with pytest.raises(ArenaFull, match=r"400,000 bytes.*802,816 of 1,048,576"):
            arena.empty(50_000)
        del kept
        assert arena.empty(50_000).size == 50_000
        with pytest.raises(ArenaFull, match=r"1,048,577 bytes never fit .* of 1,048,576: make a larger one"):
            arena.array(np.zeros(arena.capacity + 1, "u1"))
        frame = arena.to(1).encode(memoryview(bytes(1_000_000)))
        with pytest.raises(
            ArenaFull, match=r"or wait \(1 blocks hold messages that no receiver has opened.* 10 s"
        ):
            arena.array(np.zeros(MB, "u1"))
        assert frame
    with pytest.raises(ArenaError, match="closed: make another one"):
        arena.empty(1)


def test_blocks_are_used_again_and_grow_together() -> None:
    with SharedArena("1MiB", linger=0) as arena:
        for _ in range(3):
            arrays = [arena.empty(20_000) for _ in range(6)]
            del arrays[::2]
            del arrays[:]
            assert arena.empty(131_072).nbytes == arena.capacity


def test_more_blocks_than_there_are_numbers() -> None:
    with SharedArena("1MiB", threshold=1, linger=0) as arena:
        arrays = [arena.empty(1) for _ in range(64)]
        with pytest.raises(ArenaFull, match="all of its 64 blocks are in use"):
            arena.empty(1)
        assert len(arrays) == 64


# -- writable --------------------------------------------------------------------------------------------


def test_writable_views_are_private(arena: SharedArena) -> None:
    x = arena.array(np.arange(10_000.0))
    mine = exchange(x[100:], arena, writable=True)
    other = exchange(x[100:], arena)
    mine[:] = 0
    assert x[100] == other[0] == 100
    assert mine.sum() == 0
    assert mine.flags.aligned


def test_writable_views_are_never_stale(arena: SharedArena) -> None:
    mine = exchange(np.arange(10_000.0), arena, writable=True)
    mine[0] = -1
    for n in range(500):  # more than there is room for
        exchange(np.full(10_000, float(n)), arena)
    assert mine[0] == -1
    assert (mine[1:] == np.arange(1, 10_000.0)).all()
    del mine
    assert arena.stats().used == 0


def test_bytearrays_are_ones_own(arena: SharedArena) -> None:
    got = exchange(bytearray(b"x" * 10_000), arena)
    got[0] = 0
    assert got[1:] == b"x" * 9999
    assert arena.stats().used == 0


# -- processes, threads, tasks ---------------------------------------------------------------------------


FORKED = """
import os, sys
import numpy as np
from canning import Serializer
from transport import ArenaError, SharedArena, SharedMemory

arena = SharedArena("1MiB", threshold=4096, linger=0)
kept = arena.array(np.arange(10_000.0))
reader = Serializer(codec=SharedMemory())
frames = Serializer(codec=arena.to(2)).serialize_object(kept)
got, _ = reader.deserialize_object(frames)
child = os.fork()
if not child:
    for use in (arena.stats, arena.close, lambda: arena.empty(3), lambda: arena.encode(memoryview(b"x"))):
        try:
            use()
        except ArenaError as error:
            assert "forked" in str(error), error
        else:
            os._exit(3)
    assert "process" in repr(arena)
    assert got[-1] == kept[-1] == 9999
    del got, kept
    again, _ = reader.deserialize_object(frames)  # with a slot of the child's own
    assert again[-1] == 9999
    with SharedArena("1MiB", linger=0) as own:
        assert own.array([1, 2]).sum() == 3
    del again
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert arena.stats().blocks == 1, arena.stats()
del kept
assert arena.stats().blocks == 1, arena.stats()
del got
assert arena.stats()[1:3] == (0, 0), arena.stats()
"""


def test_a_process_that_was_forked() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_threads_share_an_arena(arena: SharedArena) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        here, there = transport.fake_pair()
        try:
            for n in range(60):
                sent = np.full(2000 + 100 * number, float(1000 * number + n))
                if n % 3 == 0:
                    sent = arena.array(sent)
                transport.send(here, sent, arena=arena)
                got = receive(there)
                assert got.min() == got.max() == sent[0]
                if n % 5 == 0:
                    transport.send(here, got, arena=arena)
                    assert receive(there, writable=n % 2 == 0)[-1] == sent[0]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    gc.collect()
    assert arena.stats()[1:3] == (0, 0)


def test_late_readers_see_their_message_or_an_error() -> None:
    """Blocks are used again at once, while readers open new and old descriptors as fast as they can."""
    recent: list[tuple[float, list[Any]]] = []
    outcomes: Counter[str] = Counter()
    over = threading.Event()

    def read() -> None:
        reader = Serializer(codec=SharedMemory())
        while not over.is_set():
            number, frames = random.choice(recent)
            try:
                got, _ = reader.deserialize_object(frames, writable=random.random() < 0.3)
            except DeserializationError as error:
                outcomes["late" if "outlived" in str(error) else str(error)] += 1
                continue
            for _ in range(3):
                whole = got.min() == got.max() == number
                outcomes["whole" if whole else "another's data"] += 1

    with SharedArena("256KiB", lease=0.0001, threshold=4096, linger=0) as arena:
        sender = Serializer(codec=arena.to(1))
        recent.append((0.0, sender.serialize_object(np.zeros(5000))))
        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 10
        for number in range(1, 10**6):
            frames = sender.serialize_object(np.full(5000, float(number)))
            if len(frames[1]) < 1000:  # it is in the arena, which is full most of the time
                recent.append((float(number), frames))
                del recent[:-20]
            if min(outcomes["late"], outcomes["whole"]) > 1000 or time.monotonic() > end:
                break
        over.set()
        for thread in threads:
            thread.join()
        assert set(outcomes) == {"late", "whole"}
        wait_for(lambda: arena.stats().used == 0)


def test_asyncio(arena: SharedArena) -> None:
    async def main() -> Any:
        with (
            zmq.asyncio.Context() as context,
            context.socket(zmq.PAIR) as here,
            context.socket(zmq.PAIR) as there,
        ):
            here.bind("inproc://shared")
            there.connect("inproc://shared")
            await transport.aio.send(here, np.arange(10_000.0), arena=arena)
            return await transport.aio.recv(there, shared_memory=True, timeout=10)

    assert asyncio.run(main())[-1] == 9999
    assert arena.stats().copied == 1


def test_a_cancelled_send_gives_its_block_back(arena: SharedArena) -> None:
    async def main() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.PUSH) as here:
            here.bind("inproc://nobody")
            task = asyncio.create_task(transport.aio.send(here, np.arange(10_000.0), arena=arena))
            await asyncio.sleep(0.02)
            assert arena.stats().blocks == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert arena.stats().blocks == 0


@pytest.mark.parametrize("scheme", ["tcp", "ipc", "inproc"])
def test_every_connection(connect: Connect, arena: SharedArena, scheme: str) -> None:
    here, there = connect(scheme)
    tracker = transport.send(here, {"x": np.arange(MB)}, arena=arena)
    assert tracker.done  # the array may be changed: it was copied into the arena
    assert receive(there)["x"][-1] == MB - 1


def test_large_payloads_go_whole_over_tcp(connect: Connect) -> None:
    here, there = connect("tcp")
    with SharedArena("128MiB", linger=0) as arena:
        placed = arena.array(np.arange(2.0 * MB))
        runs = np.arange(3.0 * MB).reshape(30, -1)[::3]
        for sent, payloads in ((placed, 1), (placed.copy(), 1), (runs, 10)):
            before = sum(arena.stats()[4:6])
            transport.send(here, {"x": sent}, arena=arena)
            got = receive(there)["x"]
            assert_equal(sent, got, writeable="at most")
            assert sum(arena.stats()[4:6]) == before + payloads
        assert arena.stats().fallbacks == 0


# -- the whole -------------------------------------------------------------------------------------------


def test_closed(arena: SharedArena) -> None:
    kept = arena.array(np.arange(10_000.0))
    frames = Serializer(codec=arena).serialize_object(kept)
    arena.close()
    arena.close()
    assert arena.closed
    assert "closed" in repr(arena)
    assert kept[-1] == 9999
    with pytest.raises(ArenaError, match="closed"):
        exchange(kept, arena)
    with pytest.raises(DeserializationError, match=r"closed|cannot be opened"):
        Serializer(codec=SharedMemory()).deserialize_object(frames)


def test_repr_and_stats_tell_how_it_is_doing(arena: SharedArena) -> None:
    assert repr(arena) == "<SharedArena 0 of 33,554,432 bytes in 0 blocks, 0 consumers, 0 fallbacks>"
    kept = exchange(np.arange(10_000.0), arena)
    assert arena.stats() == (32 * 2**20, 81_920, 1, 1, 1, 0, 0)
    assert repr(arena) == "<SharedArena 81,920 of 33,554,432 bytes in 1 blocks, 1 consumers, 0 fallbacks>"
    assert "to(2)" in repr(arena.to(2))
    assert kept.size == 10_000


@pytest.mark.parametrize(
    ("given", "expected"),
    [(4096, 4096), ("1", 4096), ("1MiB", 2**20), ("2 MB", 2_002_944), ("0.5k", 4096), ("1kb", 4096)],
)
def test_capacities(given: Any, expected: int) -> None:
    with SharedArena(given) as arena:
        assert arena.capacity == expected


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": "much"},
        {"capacity": "-1"},
        {"capacity": 0},
        {"capacity": ""},
        {"lease": 0},
        {"lease": float("nan")},
        {"threshold": 0},
        {"linger": -1},
        {"linger": float("nan")},
    ],
)
def test_arenas_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"capacity|lease|threshold|linger"):
        SharedArena(**options)


def test_messages_to_nobody_make_no_sense(arena: SharedArena) -> None:
    with pytest.raises(ValueError, match="readers=0"):
        arena.to(0)


def test_nothing_stays_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    memory = SharedMemory()
    for _ in range(5):
        with SharedArena("1MiB", threshold=4096, linger=0) as arena:
            assert exchange(np.arange(10_000.0), arena, shared_memory=memory)[-1] == 9999
    with SharedArena("1MiB", threshold=4096, linger=0) as arena:  # looks after those that are gone
        exchange(np.arange(10_000.0), arena, shared_memory=memory)
    assert len(set(os.listdir("/proc/self/fd")) - before) <= 1
    del memory
    assert set(os.listdir("/proc/self/fd")) == before


def test_hundreds_of_consumers() -> None:
    with SharedArena("1MiB", threshold=4096, linger=0) as arena:
        memories = [SharedMemory() for _ in range(200)]
        frames = Serializer(codec=arena.to(202)).serialize_object(np.arange(10_000.0))
        kept = [Serializer(codec=memory).deserialize_object(frames)[0] for memory in memories]
        assert [array[-1] for array in kept] == [9999] * 200
        assert arena.stats()[2:4] == (1, 200)
        del kept[::2], memories[::2]
        gc.collect()
        assert arena.stats().consumers == 100
        again = SharedMemory()  # takes a slot that is free
        kept.append(Serializer(codec=again).deserialize_object(frames)[0])
        assert arena.stats().consumers == 101
        kept.clear()
        memories.clear()
        gc.collect()
        assert arena.stats()[2:4] == (1, 1)  # one reader more was promised it
        assert Serializer(codec=again).deserialize_object(frames)[0][-1] == 9999
        assert arena.stats()[1:4] == (0, 0, 1)


MANY = """
import os, signal, sys, time
import numpy as np
import transport
from canning import Serializer
from transport import SharedArena, SharedMemory

arena = SharedArena("16MiB", threshold=4096, lease=0.5, linger=0)
frames = Serializer(codec=arena.to(200)).serialize_object(np.arange(10_000.0))
children = []
for number in range(200):
    ready, told = os.pipe()
    child = os.fork()
    if not child:
        memory = SharedMemory()
        if number % 10 == 9:
            signal.setitimer(signal.ITIMER_REAL, 0.00005 * (1 + number % 7))  # dies somewhere in the middle
        got, _ = Serializer(codec=memory).deserialize_object(frames)
        os.write(told, b"+" if got[-1] == 9999 else b"-")
        time.sleep(60)
        os._exit(0)
    os.close(told)
    children.append((child, ready))
said = [os.read(ready, 1) for _, ready in children]
assert said.count(b"+") >= 180 and b"-" not in said, said
stats = arena.stats()
assert stats.blocks == 1 and stats.consumers >= 180, stats
for number, (child, _) in enumerate(children):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
end = time.monotonic() + 5
while arena.stats()[1:4] != (0, 0, 0):
    assert time.monotonic() < end, arena.stats()
    time.sleep(0.05)
"""


def test_hundreds_of_processes_of_which_some_die_in_the_middle() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", MANY],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr


# -- what nobody has opened when it ends -----------------------------------------------------------------


SENDING = """
import os, sys
import numpy as np, zmq
import transport

how, address = sys.argv[1:]
context = zmq.Context()
socket = context.socket(zmq.PUSH)
socket.connect(address)

def send(arena):
    for number in range(5):
        tracker = transport.send(socket, np.full(100_000, number), arena=arena)
        tracker.wait()
        assert tracker.done and tracker.opened is False

if how == "exit":
    arena = transport.SharedArena("16MiB")
    send(arena)
elif how == "sys.exit":
    arena = transport.SharedArena("16MiB")
    send(arena)
    sys.exit(0)
elif how == "with":
    with transport.SharedArena("16MiB") as arena:
        send(arena)
    os._exit(0)
elif how == "close":
    arena = transport.SharedArena("16MiB")
    send(arena)
    arena.close()
    os._exit(0)
elif how == "drain":
    arena = transport.SharedArena("16MiB")
    send(arena)
    arena.drain()
    os._exit(0)
elif how == "dropped":
    send(transport.SharedArena("16MiB"))
    for _ in range(3):
        transport.SharedArena("1MiB")
elif how == "process":
    import multiprocessing

    def child():
        global context, socket
        context = zmq.Context()
        socket = context.socket(zmq.PUSH)
        socket.connect(address)
        send(transport.SharedArena("16MiB"))

    context.destroy()
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
"""


@pytest.mark.parametrize("how", ["exit", "sys.exit", "with", "close", "drain", "dropped", "process"])
def test_a_sender_that_ends_waits_until_its_payloads_were_opened(
    open_socket: Open, tmp_path: Path, how: str
) -> None:
    socket = open_socket(zmq.PULL)
    socket.bind(f"ipc://{tmp_path}/end")
    command = [
        sys.executable,
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        SENDING,
        how,
        f"ipc://{tmp_path}/end",
    ]
    sender = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert socket.poll(20_000)
    time.sleep(0.5)
    assert [int(receive(socket)[-1]) for _ in range(5)] == [*range(5)]
    assert sender.communicate(timeout=20)[1] == ""
    assert sender.returncode == 0


def test_what_is_lost_is_counted() -> None:
    arena = SharedArena("16MiB", threshold=4096, linger=0.05)
    here, there = transport.fake_pair()
    trackers = [transport.send(here, np.arange(1000.0 + n), arena=arena) for n in range(3)]
    kept = receive(there)
    with pytest.raises(transport.TransportTimeout, match="2 payloads"):
        arena.drain(timeout=0.01)
    assert [tracker.opened for tracker in trackers] == [True, False, False]
    with pytest.warns(transport.UndeliveredWarning, match="2 payloads"):
        arena.close()
    assert kept.size == 1000
    with pytest.raises(MessageError, match="closed"):
        receive(there, shared_memory=SharedMemory())
    assert transport.send(here, np.arange(1000.0)).opened is None


def test_a_process_that_ends_counts_what_it_loses() -> None:
    code = """
import numpy as np, transport
arena = transport.SharedArena("16MiB", linger=0.1)
here, there = transport.fake_pair()
for _ in range(3):
    transport.send(here, np.zeros(100_000), arena=arena)
quiet = transport.SharedArena("16MiB", linger=0)
transport.send(here, np.zeros(100_000), arena=quiet)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stderr.count("UndeliveredWarning: 3 payloads") == 1
    assert done.stderr.count("Warning") == 1


def test_an_interrupt_does_not_wait() -> None:
    def interrupted() -> None:
        with SharedArena("16MiB", threshold=4096) as arena:
            arena.encode(memoryview(bytes(5000)))
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.warns(transport.UndeliveredWarning), contextlib.suppress(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() < start + 5


def test_what_was_opened_and_taken_back_was_opened(arena: SharedArena) -> None:
    here, there = transport.fake_pair()
    tracker = transport.send(here, np.arange(1000.0), arena=arena)
    receive(there)
    assert arena.stats().blocks == 0
    assert tracker.opened is True
    tracker = transport.send(here, np.arange(1000.0), arena=arena.to(2))
    got = receive(there)
    assert tracker.opened is False
    del got
    arena.lose([arena.to(1).encode(memoryview(bytes(5000)))])
    assert "done" in repr(tracker)


def test_a_message_that_cannot_be_made_has_promised_nothing(
    arena: SharedArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = transport.fake_pair()
    put, left = arena._put, [1, 0]

    def interrupted(*args: Any) -> Any:
        if not left.pop(0):
            raise KeyboardInterrupt
        return put(*args)

    monkeypatch.setattr(arena, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        transport.send(here, [np.arange(1000.0), np.arange(2000.0)], arena=arena)
    assert arena.stats().used == 0


@pytest.mark.parametrize("capacity", [1, 16, 1000])
def test_sizes_that_forget_their_unit_are_told(capacity: int) -> None:
    with pytest.warns(UserWarning, match=f"'{capacity}MiB'"):
        SharedArena(capacity).close()


@pytest.mark.parametrize("shape", [np.int64(3), (np.int8(3),), [3], np.array(3)])
def test_shapes_of_every_kind(arena: SharedArena, shape: Any) -> None:
    assert arena.empty(shape).shape == (3,)


@pytest.mark.parametrize(
    ("shape", "error"), [(-1, ValueError), ((2, -3), ValueError), (1.5, TypeError), ("3", TypeError)]
)
def test_shapes_that_make_no_sense_take_nothing(
    arena: SharedArena, shape: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        arena.empty(shape)
    with pytest.raises(ValueError, match="dim"):
        arena.empty((1,) * 70)
    assert arena.stats().used == 0


def test_messages_that_are_lost() -> None:
    with SharedArena("16MiB", threshold=1000, linger=0) as arena:
        frames = [arena.to(1).encode(memoryview(bytes(5000))) for _ in range(3)]
        assert arena.waiting(frames) == frames
        opened = SharedMemory().decode(memoryview(frames[0]), 5000)
        assert arena.waiting([*frames, b"no descriptor"]) == frames[1:]
        arena.lose([*frames, b"no descriptor"])
        assert arena.stats().blocks == 1  # what is open stays
        assert bytes(opened) == bytes(5000)
        with pytest.raises(SharedMemoryError, match="outlived"):
            SharedMemory().decode(memoryview(frames[1]), 5000)
        kept = arena.array(np.ones(1000))
        arena.lose([arena.to(1).encode(memoryview(kept).cast("B"))])
        assert arena.stats().blocks == 2  # held here
        arena.lose(frames)  # twice does no harm
        del opened, kept
        assert arena.stats().blocks == 0


@pytest.mark.parametrize(
    "size", [50_000, 400_000], ids=["below the threshold", "more than there is room for"]
)
def test_what_is_not_put_into_the_arena_may_be_changed_at_once_too(connect: Connect, size: int) -> None:
    """A camera fills one buffer again and again, and a viewer that is slow fills its arena."""
    pull, push = connect("tcp", zmq.PULL, zmq.PUSH)
    with SharedArena("8MiB", linger=0) as arena:
        photo = np.zeros(size)
        for number in range(10):
            photo[:] = number
            transport.send(push, {"number": number, "photo": photo}, arena=arena)
        photo[:] = -1
        for number in range(10):
            got = receive(pull)["photo"]
            assert got.min() == got.max() == number
        assert bool(arena.stats().fallbacks) == (size > 64_000)
