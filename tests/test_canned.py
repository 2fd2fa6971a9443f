"""Canned objects: what `can` makes of what, and how it is undone, in one process and by hand."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import numpy as np
import pytest

from canning import (
    CannedArray,
    CannedBytes,
    CannedCell,
    CannedClass,
    CannedFunction,
    CannedMemoryView,
    CannedObject,
    CannedPartial,
    DeserializationError,
    PrePickled,
    Reference,
    can,
    deserialize_object,
    serialize_object,
    uncan,
)

from .harness import assert_equal, check_uncopied, place_of
from .samples import InfoArray, Plain, Point, double, give

LARGE = np.arange(2048.0)


class Ordinary:
    pass


def local_class() -> Any:
    class Local:
        x = 5

    return Local


UNTOUCHED: list[Any] = [
    5,
    "text",
    None,
    2.5,
    [LARGE],
    {"k": LARGE},
    (1, b"x"),
    Ordinary(),
    Point(LARGE),
    Reference("a"),
    Ordinary,
    len,
    np.float64(3),
]
CANNED: list[tuple[str, Any, type]] = [
    ("array", LARGE, CannedArray),
    ("small array", np.arange(3), CannedArray),
    ("empty array", np.empty((0, 3)), CannedArray),
    ("F array", np.asfortranarray(np.ones((30, 40))), CannedArray),
    ("slice", np.arange(9000.0)[::3], CannedArray),
    ("broadcast", np.broadcast_to(LARGE, (10, 2048)), CannedArray),
    ("wide columns", np.arange(320_000.0).reshape(40, 8000)[:, :3000], CannedArray),
    ("structured array", np.zeros(300, [("a", "i4"), ("b", "U3")]), CannedArray),
    ("bytes", b"x" * 5000, CannedBytes),
    ("small bytes", b"x", CannedBytes),
    ("bytearray", bytearray(80_000), CannedBytes),
    ("memoryview", memoryview(b"x" * 5000), CannedMemoryView),
    ("memoryview of doubles", memoryview(LARGE)[::2], CannedMemoryView),
    ("function", double, CannedFunction),
    ("lambda", lambda: 5, CannedFunction),
    ("closure", give(LARGE), CannedFunction),
    ("class", local_class(), CannedClass),
    ("partial", functools.partial(double, LARGE), CannedPartial),
    ("partial of a lambda", functools.partial(lambda x, y: x, b"x" * 70_000, y=LARGE), CannedPartial),
    ("cell", give(LARGE).__closure__[0], CannedCell),
    ("cell of a list", give([1, LARGE]).__closure__[0], CannedCell),
    ("masked array", np.ma.masked_array(LARGE, LARGE > 5, fill_value=-1), CannedObject),
    ("subclass", InfoArray(LARGE, info={"unit": "m"}), CannedObject),
    ("array of objects", np.array([1, LARGE, None], object), CannedObject),
    ("read-only array", np.broadcast_to(LARGE, LARGE.shape), CannedArray),
]


@pytest.mark.parametrize("obj", UNTOUCHED, ids=lambda obj: type(obj).__name__)
def test_what_needs_no_canning_is_itself(obj: Any) -> None:
    assert can(obj) is obj
    assert uncan(obj) is obj


@pytest.mark.parametrize(("obj", "cls"), [row[1:] for row in CANNED], ids=[row[0] for row in CANNED])
def test_can_and_uncan(obj: Any, cls: type) -> None:
    canned = can(obj)
    assert isinstance(canned, cls)
    assert isinstance(canned, CannedObject)
    assert isinstance(canned.buffers, list)
    assert can(canned) is canned
    assert_same(obj, uncan(canned))
    assert_same(obj, canned.get_object())  # again: nothing was used up


def assert_same(obj: Any, got: Any) -> None:
    if isinstance(obj, type):
        assert got.x == obj.x
    elif callable(obj) and not isinstance(obj, functools.partial) and not hasattr(obj, "dtype"):
        assert got.__code__ == obj.__code__
    else:
        assert_equal(obj, got)


@pytest.mark.parametrize(("obj", "cls"), [row[1:] for row in CANNED], ids=[row[0] for row in CANNED])
def test_a_canned_object_may_be_sent_and_its_bytes_go_once(obj: Any, cls: type) -> None:
    frames = serialize_object(can(obj))
    plain = serialize_object(obj)
    assert_same(obj, deserialize_object(frames)[0])
    assert sum(map(len, frames[1:])) <= sum(map(len, plain[1:]))
    assert len(frames[0]) < len(plain[0]) + 2000


@pytest.mark.parametrize(("obj", "cls"), [row[1:] for row in CANNED], ids=[row[0] for row in CANNED])
def test_the_skeleton_is_finished_by_hand(obj: Any, cls: type) -> None:
    """``pickle.loads`` of the header gives what is canned; assign its buffers, and get the object."""
    for size in (1024,) if callable(obj) else (1024, 1):
        frames = serialize_object(obj, buffer_threshold=size)
        skeleton = pickle.loads(frames[0])
        if not isinstance(skeleton, CannedObject):  # code by name or by value, which pickle makes itself
            continue
        missing, rest = skeleton.buffers.count(None), iter(frames[1:])
        if missing == len(frames) - 1:
            skeleton.buffers = [next(rest) if buffer is None else buffer for buffer in skeleton.buffers]
        else:
            skeleton.buffers = frames[1:]  # the runs of one array
        assert_same(obj, skeleton.get_object())


@pytest.mark.parametrize(
    "obj", [LARGE, b"x" * 100_000, bytearray(100_000)], ids=["array", "bytes", "bytearray"]
)
def test_a_skeleton_without_its_memory_says_who_reads_all(obj: Any) -> None:
    stub = pickle.loads(serialize_object({"a": obj})[0])["a"]
    told = "read all frames with transport.recv or canning.deserialize_object"
    assert told in repr(stub)
    with pytest.raises(DeserializationError, match=told):
        stub.get_object()
    if obj is LARGE:
        with pytest.raises(DeserializationError, match=told):
            np.asarray(stub)
        stub.buffers = [obj.tobytes()]
        assert np.array_equal(np.asarray(stub), LARGE)
        assert told not in repr(stub)


def test_the_skeleton_of_a_structure_has_canned_objects_in_it() -> None:
    frames = serialize_object({"a": LARGE, "b": [b"x" * 80_000, LARGE[:10].copy(), bytearray(70_000)]})
    skeleton = pickle.loads(frames[0])
    assert skeleton["a"].buffers == [None]
    assert [type(part) for part in skeleton["b"]] == [CannedBytes, CannedArray, CannedBytes]
    skeleton["a"].buffers = [frame for frame in frames[1:] if len(frame) == LARGE.nbytes]
    assert np.array_equal(skeleton["a"].get_object(), LARGE)
    assert np.array_equal(skeleton["b"][1].get_object(), LARGE[:10])
    with pytest.raises(DeserializationError, match="has no memory"):
        skeleton["b"][0].get_object()


# -- memory ----------------------------------------------------------------------------------------------


def test_buffers_of_canned_objects_are_the_objects_own_memory() -> None:
    for obj in (LARGE, b"x" * 5000, bytearray(5000), np.ones((30, 40)), memoryview(b"y" * 2000)):
        [buffer] = can(obj).buffers
        assert place_of(buffer) == place_of(obj)
    check_uncopied(LARGE.reshape(32, 64).T, [b"", *can(LARGE.reshape(32, 64).T).buffers])
    masked = np.ma.masked_array(LARGE, LARGE > 5)
    check_uncopied([masked._data, masked._mask], [b"", *can(masked).buffers])


def test_canned_arrays_by_themselves() -> None:
    canned = CannedArray(0, (3,), "<i4")
    assert canned.buffers == [None]
    canned.buffers = [b"\1\0\0\0\2\0\0\0", b"\3\0\0\0"]  # several buffers are joined
    assert canned.get_object().tolist() == [1, 2, 3]
    assert "CannedArray" in repr(canned)
    assert "(3,)" in repr(canned)


def test_g_reaches_canned_functions() -> None:
    def f() -> Any:
        return here  # type: ignore[name-defined]  # noqa: F821

    assert uncan(can(f), {"here": 5})() == 5
    assert uncan(can(functools.partial(f)), {"here": 6})() == 6


# -- the session of the original notebook ----------------------------------------------------------------


def test_the_notebook_session_line_for_line() -> None:
    assert can(5) == 5

    thing = Ordinary()
    assert can(thing) is thing

    A = np.ones(2048)  # noqa: N806 - its name there
    canned = can(A)
    assert isinstance(canned, CannedArray)
    assert [type(buffer) for buffer in canned.buffers] == [memoryview]

    bufs = serialize_object(A)
    assert len(bufs) == 2
    assert type(bufs[1]) is memoryview
    assert bufs[1].nbytes == 16384
    A[0] = 7
    assert np.frombuffer(bufs[1])[0] == 7

    assert len(serialize_object(5)) == 1

    canned = pickle.loads(bufs[0])
    assert isinstance(canned, CannedArray)
    assert canned.buffers == [None]
    canned.buffers = bufs[1:]
    assert np.array_equal(canned.get_object(), A)

    obj, rest = deserialize_object(bufs)
    assert np.array_equal(obj, A)
    assert rest == []

    objects = [A, {"a": 1, "b": A}, "text"]
    message = [frame for obj in objects for frame in serialize_object(obj)]
    remaining, received = message, []
    while remaining:
        obj, remaining = deserialize_object(remaining)
        received.append(obj)
    for one, other in zip(objects, received, strict=True):
        assert_equal(one, other, writeable="same")


# -- prepared messages -----------------------------------------------------------------------------------


def test_prepickled_objects_arrive_as_themselves() -> None:
    obj = {"a": LARGE, "b": b"x" * 70_000, "f": lambda: 5}
    ready = PrePickled(obj)
    for sent in (ready, [ready], {"k": Plain(x=ready)}):
        frames = serialize_object(sent)
        check_uncopied([obj["a"], obj["b"]], frames)
        got = deserialize_object(frames)[0]
        got = got if sent is ready else got[0] if isinstance(sent, list) else got["k"].x
        assert_equal(obj["a"], got["a"])
        assert got["f"]() == 5


def test_prepickled_objects_are_serialized_once() -> None:
    class Counted:
        times = 0

        def __reduce__(self) -> Any:
            Counted.times += 1
            return Ordinary, ()

    ready = PrePickled(Counted())
    before = Counted.times
    for _ in range(3):
        serialize_object(ready)
        serialize_object([ready, ready])
    assert Counted.times == before
    assert all(type(one) is Ordinary for one in deserialize_object(serialize_object([ready, ready]))[0])


def test_prepickled_small_nested_and_with_g() -> None:
    for obj in (5, np.arange(3), [b"x" * 10], PrePickled([LARGE])):
        got = deserialize_object(serialize_object([PrePickled(obj)]))[0][0]
        assert_equal(obj if not isinstance(obj, PrePickled) else [LARGE], got, writeable="at most")
    f = PrePickled(Reference("x"))
    assert deserialize_object(serialize_object([f]), {"x": 9})[0] == [9]
    got = deserialize_object(
        [bytes(frame) for frame in serialize_object([PrePickled(LARGE)])], writable=True
    )[0][0]
    assert got.flags.writeable


def test_prepickled_twice_goes_once() -> None:
    ready = PrePickled(LARGE)
    frames = serialize_object([ready, ready])
    assert sum(map(len, frames[1:])) == LARGE.nbytes
