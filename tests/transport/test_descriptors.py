"""What a descriptor says is checked before anything is opened, mapped or read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import transport
from canning import DeserializationError, Serializer
from tests.transport.engine import ROOT
from transport import ArenaFull, SharedArena, SharedMemory, SharedMemoryError
from transport.shared.blocks import Space
from transport.shared.layout import LARGEST, RECORD, SIZE, SLOTS, Layout, Origin, Place, parse, parse_origin
from transport.shared.memory import make_memfd, started

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="arenas are memfds, which Linux has")


class Sent(NamedTuple):
    arena: SharedArena
    origin: Origin
    place: Place


@pytest.fixture
def sent() -> Iterator[Sent]:
    with SharedArena("1MiB", threshold=4096, linger=0) as arena:
        origin, place = parse(Serializer(codec=arena).serialize_object(np.arange(10_000.0))[1])
        yield Sent(arena, parse_origin(origin), place)


def open_it(origin: Origin, place: Place, length: int = 80_000) -> Any:
    return SharedMemory().decode(memoryview(origin.pack() + place.pack()), length)


def test_as_it_is(sent: Sent) -> None:
    assert np.frombuffer(open_it(sent.origin, sent.place))[-1] == 9999
    assert sent.origin.started == started(os.getpid()) > 0
    assert sent.place == Place(0, 1, 0, 80_000)


def test_no_message_leaves_anything_behind(sent: Sent) -> None:
    memory = SharedMemory()

    def open_from(origin: Origin, length: int = 80_000) -> Any:
        return memory.decode(memoryview(origin.pack() + sent.place._replace(length=length).pack()), length)

    open_from(sent.origin)
    before = len(pickle.dumps([sorted(vars(memory._arenas)), sorted(memory._arenas.known)]))
    for number in range(300):  # the token is right, and so it is known; all else may be anything
        open_from(sent.origin._replace(pid=number, fd=number, started=number))
        with pytest.raises(SharedMemoryError):
            open_from(sent.origin._replace(token=number.to_bytes(16, "little")))
        with pytest.raises(SharedMemoryError):
            open_from(sent.origin, 10**6 + number)
    assert len(memory._arenas.known) == 1
    assert len(pickle.dumps([sorted(vars(memory._arenas)), sorted(memory._arenas.known)])) == before
    (attached,) = memory._arenas.known.values()
    assert (len(attached._open), len(attached._by_offset), len(attached._returned)) == (0, 0, 0)


ORIGINS: dict[str, tuple[dict[str, Any], str]] = {
    "another machine": ({"boot": bytes(16)}, "another machine"),
    "another PID namespace": ({"namespace": 4}, "another PID namespace"),
    "another user": ({"user": 4_000_000}, "another user, 4000000"),
    "ended": ({"started": 5}, "has ended"),
    "no such process": ({"pid": 2**22 + 5}, "has ended"),
    "no such descriptor": ({"fd": 10**6}, "cannot be opened"),
    "no memfd": ({"fd": 0}, "has closed"),
    "another inode": ({"inode": 3}, "has closed"),
    "another arena": ({"token": bytes(16)}, "another arena"),
}


@pytest.mark.parametrize(("change", "what"), ORIGINS.values(), ids=ORIGINS)
def test_origins(sent: Sent, change: dict[str, Any], what: str) -> None:
    with pytest.raises(SharedMemoryError, match=what):
        open_it(sent.origin._replace(**change), sent.place)


PLACES: dict[str, tuple[dict[str, int], str]] = {
    "no such block": ({"block": 10**9}, "cannot have"),
    "no block at all": ({"block": 2**64 - 1}, "cannot have"),
    "a free block": ({"block": 5, "generation": 0}, "outside of its block"),
    "later": ({"generation": 3}, "outlived"),
    "never": ({"generation": 2**64 - 1}, "outlived"),
    "behind its block": ({"offset": 8192}, "outside of its block"),
    "outside of all": ({"offset": 2**63}, "outside of its block"),
}


@pytest.mark.parametrize(("change", "what"), PLACES.values(), ids=PLACES)
def test_places(sent: Sent, change: dict[str, int], what: str) -> None:
    with pytest.raises(SharedMemoryError, match=what):
        open_it(sent.origin, sent.place._replace(**change))
    assert sent.arena.stats().blocks == 1


@pytest.mark.parametrize("length", [0, 1, 79_999, 80_001, 2**64 - 1])
def test_lengths(sent: Sent, length: int) -> None:
    with pytest.raises(SharedMemoryError, match="where 80000 were sent"):
        open_it(sent.origin, sent.place._replace(length=length))


@pytest.mark.parametrize("length", [0, 80_001, 2**64 - 1])
def test_lengths_that_both_say(sent: Sent, length: int) -> None:
    with pytest.raises(SharedMemoryError, match=r"outside of its block|cannot have"):
        open_it(sent.origin, sent.place._replace(length=length), length)


@pytest.mark.parametrize("frame", [b"", b"x", bytes(SIZE), bytes(SIZE + 1), b"\x93ARENA1\n"])
def test_what_is_no_descriptor(frame: bytes) -> None:
    with pytest.raises(DeserializationError, match="not a descriptor"):
        SharedMemory().decode(memoryview(frame), 80_000)


def test_a_pipe_is_not_even_opened(sent: Sent) -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(SharedMemoryError, match="has closed"):
            open_it(sent.origin._replace(fd=reading, inode=os.fstat(reading).st_ino), sent.place)
    finally:
        os.close(reading)
        os.close(writing)


# -- files that pretend to be arenas -----------------------------------------------------------------------


def unsealed(size: int) -> int:
    fd = os.memfd_create("canning-arena", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    return fd


def sealed_against_growth_only(size: int) -> int:
    fd = unsealed(size)
    fcntl.fcntl(fd, 1033, 4)
    return fd


def ordinary_file(size: int) -> int:
    fd = os.open(tempfile.gettempdir(), os.O_RDWR | os.O_TMPFILE)
    os.ftruncate(fd, size)
    return fd


def named_file(size: int) -> int:
    fd, path = tempfile.mkstemp(prefix="canning-arena")
    os.ftruncate(fd, size)
    os.unlink(path)
    return fd


WHOLE = Layout(64, 2**20).nbytes
FILES: dict[str, tuple[Callable[[int], int], int, str]] = {
    "unsealed": (unsealed, WHOLE, "sealed"),
    "can be shrunk": (sealed_against_growth_only, WHOLE, "sealed"),
    "ordinary": (ordinary_file, WHOLE, "has closed"),
    "ordinary of that name": (named_file, WHOLE, "sealed"),
    "empty": (make_memfd, 0, "0 bytes"),
    "short": (make_memfd, 100, "100 bytes"),
    "zeros": (make_memfd, WHOLE, "not an arena of this version"),
}


@pytest.mark.parametrize(("make", "size", "what"), FILES.values(), ids=FILES)
def test_files(sent: Sent, make: Callable[[int], int], size: int, what: str) -> None:
    fd = make(size)
    try:
        with pytest.raises(SharedMemoryError, match=what):
            open_it(sent.origin._replace(fd=fd, inode=os.fstat(fd).st_ino), sent.place)
    finally:
        os.close(fd)


HEADS: dict[str, tuple[int, int, str]] = {
    "magic": (0, 0, "not an arena"),
    "version": (1, 1, "not an arena"),
    "capacity": (4, 2**40, "contradicts"),
    "odd capacity": (4, 2**20 + 1, "contradicts"),
    "blocks": (5, 2**40, "contradicts"),
    "no blocks": (5, 0, "contradicts"),
    "slots": (6, 1, "not an arena"),
    "lease": (7, 2**63, "contradicts"),
}


@pytest.mark.parametrize(("word", "value", "what"), HEADS.values(), ids=HEADS)
def test_heads(sent: Sent, word: int, value: int, what: str) -> None:
    sent.arena._ledger.words[word] = value
    with pytest.raises(SharedMemoryError, match=what):
        open_it(sent.origin, sent.place)


def test_a_block_that_claims_more_than_there_is(sent: Sent) -> None:
    at = sent.arena._ledger.layout.block(0)
    sent.arena._ledger.words[at + 2] = 2**40
    with pytest.raises(SharedMemoryError, match="contradicts"):
        open_it(sent.origin, sent.place)


# -- what others write in the words of an arena -------------------------------------------------------------


WORDS = [*range(9), 2**16, 2**32, 2**32 + 1, 2**63 - 1, 2**63, LARGEST - 1, LARGEST]


class Both:
    """An arena and its consumer, in the middle of their business, and all words that they share."""

    def __init__(self) -> None:
        self.arena = SharedArena("1MiB", threshold=4096, lease=0.01, linger=0)
        self.memory = SharedMemory()
        self.sender = Serializer(codec=self.arena.to(1))
        self.kept = self.arena.array(np.arange(1000.0))
        self.open = [self.memory.decode(memoryview(self.send()), 80_000, writable=n > 0) for n in range(2)]
        self.unread = self.send()
        (self.attached,) = self.memory._arenas.known.values()

    def send(self) -> bytes:
        return self.sender.serialize_object(np.arange(10_000.0))[1]

    def places(self) -> list[tuple[Any, int]]:
        """Give every word that was written so far, and some that were not."""
        words, records, layout = self.arena._ledger.words, self.attached.records, self.attached.layout
        at = layout.block(0)
        blocks = [(words, n) for n in range(at, at + 4 * 6)]
        slots = [(words, layout.slot(n) + m) for n in (0, 1, 64, SLOTS - 1) for m in (0, 1)]
        groups = [(words, layout.groups + n) for n in (0, 1, 511)]
        return (
            [(words, n) for n in range(9)]
            + blocks
            + slots
            + groups
            + [(records, n) for n in range(6 * RECORD)]
        )

    def use(self) -> None:
        """Do everything on both sides; raises nothing but what users are told to expect."""
        for act in (
            lambda: self.memory.decode(memoryview(self.unread), 80_000),
            lambda: [self.memory.encode(memoryview(each)) for each in self.open],
            lambda: self.open.__delitem__(slice(1)),
            lambda: self.memory.decode(memoryview(self.send()), 80_000),
            lambda: self.arena.stats(),
            lambda: repr(self.arena),
            lambda: self.arena.empty(10_000),
            lambda: self.arena.waiting([self.unread]),
            lambda: self.arena.is_open_in(1, 2),
            lambda: self.arena.revoke([self.unread], 1),
            lambda: self.arena.lose([self.unread]),
            lambda: SharedMemory().decode(memoryview(self.send()), 80_000),
            lambda: self.open.clear(),
            lambda: self.arena.empty(self.arena.capacity, "u1"),
            lambda: self.arena.stats(),
        ):
            with contextlib.suppress(SharedMemoryError, ArenaFull, DeserializationError):
                act()
        assert (self.kept == np.arange(1000.0)).all()


def test_no_word_that_a_peer_writes_does_more_than_refuse(recwarn: pytest.WarningsRecorder) -> None:
    for number in range(len(Both().places())):
        for value in (0, 1, 2**63, LARGEST):
            both = Both()
            words, at = both.places()[number]
            words[at] = value
            both.use()
            both.arena.close()
    assert [str(each.message) for each in recwarn if "Unraisable" in each.category.__name__] == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_words_that_a_peer_writes_do_more_than_refuse(data: st.DataObject) -> None:
    both = Both()
    places = both.places()
    for _ in range(3):
        for _ in range(data.draw(st.integers(1, 5))):
            words, at = places[data.draw(st.integers(0, len(places) - 1))]
            words[at] = data.draw(st.sampled_from(WORDS) | st.integers(0, LARGEST))
        both.use()
    both.arena.close()


@settings(max_examples=200)
@given(st.data())
def test_no_descriptor_raises_anything_else(data: st.DataObject) -> None:
    raw = bytearray(DESCRIPTOR)
    for at in data.draw(st.lists(st.integers(8, SIZE - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    try:
        got = MEMORY.decode(memoryview(bytes(raw)), parse(bytes(raw))[1].length)
    except DeserializationError:
        return
    _, place = parse(bytes(raw))
    assert len(got) == place.length
    assert place.offset + place.length <= 80_000


ARENA = SharedArena("1MiB", threshold=4096, linger=0) if sys.platform == "linux" else None
DESCRIPTOR = ARENA.encode(memoryview(bytes(80_000))) if ARENA else b""
MEMORY = SharedMemory()


READER = """
import os, pickle, sys
from canning import DeserializationError, Serializer
from transport import SharedMemory

if sys.argv[1:]:
    os.setuid(int(sys.argv[1]))
try:
    got, _ = Serializer(codec=SharedMemory()).deserialize_object(pickle.load(sys.stdin.buffer))
    print("read", got[-1])
except DeserializationError as error:
    print(error)
"""
ELSEWHERE: dict[str, tuple[list[str], list[str], str]] = {
    "here": ([], [], "read 9999.0"),
    "another user": ([], ["65534"], "another user, 0, and this is user 65534"),
    "another PID namespace": (["unshare", "--pid", "--fork", "--mount-proc"], [], "another PID namespace"),
}


@pytest.mark.parametrize(("prefix", "arguments", "what"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_readers_elsewhere(prefix: list[str], arguments: list[str], what: str) -> None:
    if (prefix or arguments) and os.geteuid() != 0:
        pytest.skip("only root can become another user, or leave its namespaces")
    if prefix and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("there is no unshare here, or it is not allowed")
    with SharedArena("1MiB", threshold=4096, linger=0) as arena:
        frames = Serializer(codec=arena).serialize_object(np.arange(10_000.0))
        done = subprocess.run(
            [*prefix, sys.executable, "-c", READER, *arguments],
            input=pickle.dumps([bytes(frame) for frame in frames]),
            capture_output=True,
            timeout=30,
            cwd=ROOT,
            check=False,
        )
    assert what in done.stdout.decode(), done.stderr.decode()


def test_where_there_is_no_memory_of_this_kind(monkeypatch: pytest.MonkeyPatch, sent: Sent) -> None:
    for module in (transport.shared.arena, transport.shared.layout):
        monkeypatch.setattr(module, "unsupported", lambda: "there is none on plan9, only on Linux")
    with pytest.raises(transport.ArenaError, match="plan9"):
        SharedArena("1MiB", linger=0)
    with pytest.raises(SharedMemoryError, match="plan9"):
        open_it(sent.origin, sent.place)


def test_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch, sent: Sent) -> None:
    def missing() -> Any:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(transport.shared.layout, "this_host", missing)
    with pytest.raises(SharedMemoryError, match="/proc: No such file"):
        open_it(sent.origin, sent.place)


# -- stretches of free memory ----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 10)), max_size=60))
def test_stretches_never_overlap_and_none_is_lost(steps: list[tuple[int, int]]) -> None:
    space = Space(100)
    taken: list[tuple[int, int]] = []
    for size, which in steps:
        start = space.take(size)
        used = {byte for at, length in taken for byte in range(at, at + length)}
        if start is None:
            free = "".join("x" if byte in used else "." for byte in range(100))
            assert "." * size not in free
        else:
            assert used.isdisjoint(range(start, start + size))
            assert start + size <= 100
            taken.append((start, size))
        if taken and which % 2:
            space.give(*taken.pop(which % len(taken)))
        assert space.free == 100 - sum(length for _, length in taken)
    for stretch in taken:
        space.give(*stretch)
    assert space.take(100) == 0
