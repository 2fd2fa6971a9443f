"""Memory: what sending and receiving take at their peak, and what is held afterwards."""

from __future__ import annotations

import gc
import io
import pickle
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from canning import Serializer, deserialize_object, dump, dumps, load, loads, serialize_object

from .harness import misaligned
from .samples import Point

MB = 1_000_000


class Peak:
    """Measure by how much memory grows, at most."""

    def __init__(self) -> None:
        gc.collect()
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]

    def stop(self) -> int:
        return tracemalloc.get_traced_memory()[1] - self.before


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    serialize_object([np.ones(2000), lambda: 1, b"x" * 5000])  # what is imported and kept at the first use
    tracemalloc.start()
    yield
    tracemalloc.stop()


def peak_of(call: Callable[[], Any]) -> tuple[Any, int]:
    peak = Peak()
    result = call()
    return result, peak.stop()


def numbers(*shape: int) -> Any:
    return np.zeros(shape)


UNCOPIED: dict[str, Callable[[], Any]] = {
    "C": lambda: numbers(500, 2000),
    "F": lambda: numbers(500, 2000).T,
    "axes": lambda: numbers(50, 100, 200).transpose(1, 2, 0),
    "reversed": lambda: numbers(500, 2000)[::-1, ::-1],
    "columns, as a span": lambda: numbers(500, 2000)[:, 100:1900],
    "every second, as a span": lambda: numbers(1_000_000)[::2],
    "block, as a span": lambda: numbers(100, 100, 100)[5:95, 5:95, 5:95],
    "wide columns, as runs": lambda: numbers(100, 10_000)[:, :4000],
    "every third row, as runs": lambda: numbers(100, 10_000)[::3],
    "broadcast": lambda: np.broadcast_to(numbers(1_000_000), (50, 1_000_000)),
    "structured": lambda: np.zeros(500_000, [("a", "f8"), ("b", "f8")]),
    "masked": lambda: np.ma.masked_array(numbers(900_000), np.zeros(900_000, bool)),
    "depth": lambda: {"a": [Point((numbers(1_000_000),))]},
    "shared": lambda: [base := numbers(1_000_000), base[5:], base[::2], base[10:20]],
    "bytes": lambda: bytes(8 * MB),
    "bytes at depth 3": lambda: {"a": [Point((bytes(8 * MB),))]},
    "bytearray": lambda: [bytearray(8 * MB)],
    "memoryview": lambda: [memoryview(bytes(8 * MB))],
    "many bytes of 64 KiB": lambda: [bytes(1 << 16) for _ in range(128)],
    "many arrays": lambda: [numbers(1250) for _ in range(800)],
    "objects": lambda: np.array([numbers(100_000) for _ in range(10)] + [None], object),
    "pickle buffer": lambda: [pickle.PickleBuffer(bytearray(8 * MB))],
    "closure": lambda: (lambda x: lambda: x)(numbers(1_000_000)),
}


@pytest.mark.parametrize("make", UNCOPIED.values(), ids=UNCOPIED)
def test_the_sender_copies_nothing(make: Callable[[], Any]) -> None:
    obj = make()
    frames, peak = peak_of(lambda: serialize_object(obj))
    assert sum(map(len, frames)) > 2.5 * MB
    assert peak < 0.16 * sum(map(len, frames))


def test_the_sender_copies_a_sparse_slice_once() -> None:
    for obj in (numbers(1000, 3000)[:, ::3], numbers(3_000_000)[1::3], numbers(200, 15_000)[:, :1500]):
        frames, peak = peak_of(lambda obj=obj: serialize_object([obj]))
        assert sum(map(len, frames)) < obj.nbytes * 1.01
        assert peak < obj.nbytes * 1.1


RECEIVED: list[tuple[str, Any, float]] = [
    # what, how it is made, memory that the reader may take, as a part of the frames'
    ("C", UNCOPIED["C"], 0.02),
    ("F", UNCOPIED["F"], 0.02),
    ("reversed", UNCOPIED["reversed"], 0.02),
    ("span", UNCOPIED["columns, as a span"], 0.02),
    ("broadcast", UNCOPIED["broadcast"], 0.02),
    ("shared", UNCOPIED["shared"], 0.02),
    ("bytes", UNCOPIED["bytes at depth 3"], 0.02),
    ("many arrays", UNCOPIED["many arrays"], 0.1),
    ("runs are joined", UNCOPIED["wide columns, as runs"], 1.1),
    ("bytearrays are their own", UNCOPIED["bytearray"], 1.1),
]


@pytest.mark.parametrize(("make", "part"), [row[1:] for row in RECEIVED], ids=[row[0] for row in RECEIVED])
def test_the_reader_takes_no_more_than_it_must(make: Any, part: float) -> None:
    frames = [bytes(frame) for frame in serialize_object(make())]
    total = sum(map(len, frames))
    _, peak = peak_of(lambda: deserialize_object(frames))
    assert peak < total * part


@pytest.mark.parametrize("name", ["C", "F", "reversed", "columns, as a span", "broadcast", "shared", "depth"])
def test_misaligned_frames_are_copied_once(name: str) -> None:
    frames = [misaligned(frame, 3) for frame in serialize_object(UNCOPIED[name]())]
    _, peak = peak_of(lambda: deserialize_object(frames))
    assert peak < sum(map(len, frames)) * 1.1


@pytest.mark.parametrize("name", ["C", "F", "reversed", "columns, as a span", "shared", "depth"])
def test_writable_arrays_are_copied_once(name: str) -> None:
    frames = [bytes(frame) for frame in serialize_object(UNCOPIED[name]())]
    _, peak = peak_of(lambda: deserialize_object(frames, writable=True))
    assert peak < sum(map(len, frames)) * 1.1


def test_blobs_are_copied_once_and_files_are_not(tmp_path: Path) -> None:
    obj = {"a": numbers(1_000_000)}
    loads(dumps(obj))  # what is imported late is there then
    blob, peak = peak_of(lambda: dumps(obj))
    assert peak < len(blob) * 1.1
    _, peak = peak_of(lambda: loads(blob))
    assert peak < 0.1 * MB
    _, peak = peak_of(lambda: dump(obj, tmp_path / "x"))
    assert peak < 0.5 * MB
    _, peak = peak_of(lambda: load(tmp_path / "x"))
    assert peak < 0.1 * MB + io.DEFAULT_BUFFER_SIZE  # of an open file: 128 KiB since Python 3.14


# -- what is held ----------------------------------------------------------------------------------------


class Frame(bytearray):
    """A frame that tells when it is gone."""

    alive = 0

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        Frame.alive += 1

    def __del__(self) -> None:
        Frame.alive -= 1


HELD: list[tuple[str, Callable[[], Any], Callable[[Any], Any], int]] = [
    # what, the message, what is kept of it, frames that may live on
    ("one array of many", lambda: [numbers(500) for _ in range(10)], lambda got: got[3], 1),
    ("a small array", lambda: [numbers(5000), np.arange(10), numbers(5000)], lambda got: got[1], 0),
    ("a small view", lambda: [numbers(5000), np.arange(10)[3:6], numbers(5000)], lambda got: got[1], 0),
    ("a view of a small array", lambda: [s := np.arange(10), s[3:], numbers(5000)], lambda got: got[1], 0),
    ("a view of a large array", lambda: [b := numbers(5000), b[3:], numbers(5000)], lambda got: got[1], 1),
    ("joined runs", lambda: [numbers(20, 4000)[::3], numbers(5000)], lambda got: got[0], 0),
    ("small bytes", lambda: [b"x" * 10, b"y" * 5000], lambda got: got[0], 0),
    ("bytes", lambda: [b"x" * 3000, b"y" * 5000, numbers(5000)], lambda got: got[0], 0),
    ("a bytearray", lambda: [bytearray(3000), numbers(5000)], lambda got: got[0], 0),
    ("a scalar", lambda: [np.float64(5), numbers(5000)], lambda got: got[0], 0),
    ("an element", lambda: [numbers(5000)], lambda got: got[0][3], 0),
    ("a function", lambda: [lambda: 5, numbers(5000)], lambda got: got[0], 0),
    ("all of a lone array", lambda: numbers(5000), lambda got: got, 1),
    ("nothing", lambda: {"a": numbers(5000), "b": b"x" * 5000}, lambda got: None, 0),
]


@pytest.mark.parametrize(("make", "keep", "held"), [row[1:] for row in HELD], ids=[row[0] for row in HELD])
def test_what_is_kept_does_not_keep_the_message(make: Any, keep: Any, held: int) -> None:
    assert Frame.alive == 0
    for writable in (False, True):
        frames = [Frame(frame) for frame in serialize_object(make())]
        got = deserialize_object(frames, writable=writable)[0]
        kept = keep(got)
        del frames, got
        gc.collect()
        assert Frame.alive <= held
        del kept
        gc.collect()
        assert Frame.alive == 0


def test_one_small_array_of_thousands_holds_its_own_memory_only() -> None:
    frames = [bytes(frame) for frame in serialize_object([np.full(20, number) for number in range(5000)])]
    kept: list[Any] = []
    peak = Peak()
    kept.append(deserialize_object(frames)[0][7])
    del frames
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - peak.before < 20_000
    assert kept[0][0] == 7


def test_small_views_hold_what_they_look_at_only() -> None:
    bases = [np.arange(100.0) + number for number in range(500)]
    frames = [bytes(f) for f in serialize_object([[base[10:50], base[20:60]] for base in bases])]
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    kept = deserialize_object(frames)[0][7]
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - before < 20_000
    assert kept[0][0] == 17


@pytest.mark.parametrize(
    "make",
    [
        lambda: [str(number) for number in range(50_000)],
        lambda: [numbers(500_000), numbers(500_000)[::2]],
        lambda: [bytes(10_000) for _ in range(200)],
        lambda: [lambda: 5, numbers(500_000)],
        lambda: [Point(number) for number in range(5000)],
    ],
    ids=["texts", "arrays", "bytes", "functions", "objects"],
)
def test_a_serializer_holds_nothing_of_what_it_sent(make: Any) -> None:
    serializer = Serializer()
    serializer.serialize_object(make())
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(3):
        serializer.deserialize_object(serializer.serialize_object(make()))
    gc.collect()
    assert tracemalloc.get_traced_memory()[0] - before < 100_000


def test_classes_that_come_and_go_are_not_held_for_ever() -> None:
    serializer = Serializer()
    made: weakref.WeakSet[type] = weakref.WeakSet()
    for number in range(6000):
        cls = type(f"Made{number}", (), {"__module__": "__main__"})
        serializer.serialize_object([5, object])
        if number % 40 == 0:
            serializer.serialize_object(cls())
        made.add(cls)
    gc.collect()
    assert len(made) < 200
