"""Arrays of every class: plain ones, subclasses, masked ones, arrays of objects, memory maps."""

from __future__ import annotations

import gc
import pickle
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import Serializer, deserialize_object, serialize_object
from canning.writing.stream import DIRECT

from .harness import CARRIERS, assert_equal, check_round_trip, check_uncopied, place_of
from .samples import BareArray, InfoArray, MyMasked, PickyArray, Point, give
from .strategies import quiet


def rows(table: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("array", [pytest.param(value, id=name) for name, value in table.items()])


def matrix(array: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(array)


def hard(array: Any) -> Any:
    array.harden_mask()
    return array


def with_optinfo(array: Any) -> Any:
    array._optinfo["source"] = "a sensor"
    return array


PLAIN = {
    "large": np.arange(1000.0),
    "small": np.arange(10.0),
    "at the threshold": np.zeros(1024, np.uint8),
    "below the threshold": np.zeros(1023, np.uint8),
    "64 KiB": np.zeros(65536, np.uint8),
    "below 64 KiB": np.zeros(65535, np.uint8),
    "1 MB": np.zeros(1_000_000, np.uint8),
    "0-d": np.array(1),
    "empty": np.array([]),
    "many axes": np.zeros((2,) * 20, np.int8),
}
SUBCLASSES = {
    "bare": np.arange(1000.0).view(BareArray),
    "bare, small": np.arange(10.0).view(BareArray),
    "bare, F": np.asfortranarray(np.ones((30, 40))).view(BareArray),
    "info": InfoArray(np.arange(1000.0), info={"unit": "m", "raw": np.arange(2000.0)}),
    "info, small": InfoArray(np.arange(3), info=[1]),
    "info, 0-d": InfoArray(np.array(3), info="x"),
    "info, empty": InfoArray(np.array([]), info="x"),
    "info of objects": InfoArray(np.array([1, [2], None], object), info="x"),
    "matrix": matrix(np.arange(2000.0).reshape(40, 50)),
    "matrix transposed": matrix(np.arange(2000.0).reshape(40, 50)).T,
    "recarray": np.rec.array([(1, 2.5, "x")] * 200, [("a", "i4"), ("b", "f8"), ("c", "U3")]),
    "recarray, small": np.rec.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    "record field": np.rec.array([(1, 2.5)] * 900, [("a", "f8"), ("b", "f8")])[::-1],
    **dict(zip(["chararray"], quiet(lambda: np.char.array(["ab", "c", "größe"] * 300)), strict=False)),
}
"""Subclasses that pickle as numpy's own arrays do, and so travel uncopied."""

MASKED = {
    "plain": np.ma.masked_array(np.arange(1000.0), np.arange(1000) % 3 == 0),
    "no mask": np.ma.masked_array(np.arange(1000.0)),
    "small": np.ma.masked_array([1, 2, 3], [0, 1, 0]),
    "fill value": np.ma.masked_array(np.arange(2000), np.arange(2000) % 2, fill_value=-7),
    "hard": hard(np.ma.masked_array(np.arange(1000.0), np.arange(1000) % 3 == 0)),
    "F": np.ma.masked_array(np.asfortranarray(np.ones((30, 40))), np.asfortranarray(np.ones((30, 40), bool))),
    "transposed": np.ma.masked_array(
        np.arange(1200.0).reshape(30, 40), np.arange(1200).reshape(30, 40) % 2
    ).T,
    "structured": np.ma.masked_array([(1, 2.5)] * 300, [(0, 1)] * 300, [("a", "i4"), ("b", "f8")]),
    "0-d": np.ma.masked_array(3.0, True),
    "empty": np.ma.masked_array(np.empty((0, 2))),
    "subclass": np.ma.masked_array(np.arange(1000.0), np.arange(1000) % 3 == 0).view(MyMasked),
    "optinfo": with_optinfo(np.ma.masked_array(np.arange(1000.0), np.arange(1000) % 3 == 0)),
    "dates": np.ma.masked_array(np.arange(1000).astype("M8[s]"), np.arange(1000) % 2),
    "of a matrix": np.ma.masked_array(matrix(np.ones((40, 50))), np.arange(2000).reshape(40, 50) % 2),
    "of a subclass": np.ma.masked_array(InfoArray(np.arange(1000.0), info="x"), np.arange(1000) % 2),
    "objects": np.ma.masked_array(np.array([1, None, "x"], object), [0, 1, 0]),
}
BIG = np.arange(2000.0)
OBJECTS = {
    "few": np.array([1, None, "x", 2.5], object),
    "arrays": np.array([BIG, BIG[::-1], None], object),
    "0-d": np.array(None, object),
    "0-d of a list": np.array(Point([1, 2]), object),
    "empty": np.empty((0, 2), object),
    "matrix": np.array([[1, "a"], [None, 2.5]], object),
    "F": np.asfortranarray(np.array([[1, "a", b"x"], [None, 2.5, ()]], object)),
    "axes": np.arange(24).astype(object).reshape(2, 3, 4).transpose(2, 0, 1),
    "reversed": np.arange(24).astype(object).reshape(4, 6)[::-1, ::-1],
    "sliced": np.arange(240).astype(object).reshape(20, 12)[::3, 2:7],
    "many": np.arange(500).astype(object),
    "buffers": np.array([b"x" * 5000, bytearray(70_000), b"y" * 100_000], object),
    "structured": np.array([(1, [2, 3]), (4, "x")], [("a", "i4"), ("b", "O")]),
    "structured with arrays": np.array([(1, BIG), (4, None)], [("a", "i4"), ("b", "O")]),
    "structured, F": np.array([[(1, [2])] * 3] * 2, [("a", "i4"), ("b", "O")], order="F"),
    "structured, nested": np.array([(1, (None, 2.5))], [("a", "i4"), ("b", [("c", "O"), ("d", "f8")])]),
}


@rows(PLAIN)
def test_plain_arrays(array: Any) -> None:
    check_round_trip(array)


@rows(SUBCLASSES)
def test_subclasses_keep_type_and_attributes(array: Any) -> None:
    check_round_trip(array)


def test_a_subclass_with_a_pickle_of_its_own_has_its_say() -> None:
    array = np.arange(2000.0).view(PickyArray)
    array.unit = "m"
    check_round_trip(array, uncopied=False)
    assert deserialize_object(serialize_object(array))[0].unit == "m"


@rows(MASKED)
def test_masked_arrays(array: Any) -> None:
    check_round_trip(array)


def test_masked_arrays_stay_usable() -> None:
    sent = np.ma.masked_array(np.arange(1000.0), np.arange(1000) % 3 == 0)
    got = deserialize_object([bytearray(frame) for frame in serialize_object([sent, sent.mask])])[0][0]
    assert got.sum() == sent.sum()
    got[1] = np.ma.masked
    got[0] = 5.0
    assert got.count() == sent.count()


def test_the_masked_constant_is_itself() -> None:
    got = deserialize_object(serialize_object([np.ma.masked, np.ma.nomask]))[0]
    assert got[0] is np.ma.masked
    assert not got[1]


@rows(OBJECTS)
def test_arrays_of_objects(array: Any) -> None:
    check_round_trip(array)


def test_an_array_of_objects_may_hold_itself() -> None:
    array = np.empty(2, object)
    array[0] = array[1] = array
    got = deserialize_object(serialize_object(array))[0]
    assert got[0] is got
    assert got[1] is got


def test_an_array_of_objects_may_be_read_only() -> None:
    array = np.array([1, None, BIG], object)
    array.flags.writeable = False
    check_round_trip(array)


def test_large_memory_in_arrays_of_objects_is_out_of_band() -> None:
    array = np.array([[np.full(1000, number) for number in range(5)], [b"x" * DIRECT] * 5], object)
    frames = serialize_object(array)
    assert sorted(map(len, frames[1:])) == [8000, 8000, 8000, 8000, 8000, DIRECT]
    check_uncopied(array, frames)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memory_maps(mode: Any, tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    np.arange(3000.0).tofile(path)
    array = np.memmap(path, "f8", mode, shape=(50, 60))
    for sent in (array, array[3:30], array.T, array[:2, :3]):
        frames = serialize_object(sent)
        check_uncopied(np.asarray(sent), frames)
        got = deserialize_object([bytearray(frame) for frame in frames])[0]
        assert type(got) is np.memmap
        assert_equal(np.array(sent), np.array(got))
        assert got.flags.writeable == sent.flags.writeable


def test_load_mapped_arrays_of_numpy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(3000.0))
    array = np.load(tmp_path / "a.npy", mmap_mode="r")
    check_uncopied(np.asarray(array), serialize_object({"k": array}))


def test_unaligned_arrays_arrive_aligned() -> None:
    memory = np.zeros(8001, np.uint8)
    array = memory[1:].view("f8")
    array[:] = np.arange(1000)
    assert not array.flags.aligned
    check_round_trip(array)
    check_round_trip(array[:10])


@pytest.mark.parametrize("dtype", ["f8", "g", "c16", "G", "i2", "U3", [("a", "i1"), ("b", "f8")]])
@pytest.mark.parametrize("carrier", list(CARRIERS))
def test_alignment(dtype: Any, carrier: str) -> None:
    convert, _ = CARRIERS[carrier]
    arrays = [np.ones(n, dtype) for n in (0, 1, 3, 1000)]
    got = deserialize_object([convert(frame) for frame in serialize_object(arrays)])[0]
    assert [array.flags.aligned for array in got] == [True] * 4
    assert_equal(arrays, got)


# -- writing to what arrived -----------------------------------------------------------------------------

WRITING = [
    # kind of frame, writable=, what the array allows
    (bytes, False, False),
    (bytes, True, True),
    (bytearray, False, True),
    (bytearray, True, True),
]


@pytest.mark.parametrize(("kind", "writable", "allowed"), WRITING)
@pytest.mark.parametrize(
    "large", [np.ones(1000), np.ones((30, 40)).T, np.ones((30, 40))[:, 1:], np.ones(2000)[::-1]]
)
def test_arrays_are_writeable_where_the_source_was_and_the_frame_is(
    kind: Any, writable: bool, allowed: bool, large: Any
) -> None:
    locked = np.ones(1000)
    locked.flags.writeable = False
    for sent in (large, [large, locked, np.ones(3)]):
        frames = [kind(frame) for frame in serialize_object(sent)]
        got = deserialize_object(frames, writable=writable)[0]
        if sent is large:
            assert got.flags.writeable == allowed
            continue
        assert [array.flags.writeable for array in got] == [allowed, False, True]
        got[2][0] = 7
        if allowed:
            got[0][...] = 7


def test_writing_to_a_copy_leaves_the_frame_alone() -> None:
    frames = [bytes(frame) for frame in serialize_object([np.zeros(1000)])]
    got = deserialize_object(frames, writable=True)[0][0]
    got[:] = 1
    assert frames[1] == bytes(8000)


def test_without_a_copy_the_array_is_the_frame() -> None:
    for sent in (np.zeros(1000), [np.zeros(1000)]):
        frames = [bytearray(frame) for frame in serialize_object(sent)]
        for writable in (False, True):
            got = deserialize_object(frames, writable=writable)[0]
            array = got if sent is not got and isinstance(got, np.ndarray) else got[0]
            assert place_of(array) == place_of(frames[1])


def test_options_of_the_serializer_reach_the_arrays() -> None:
    serializer = Serializer(writable=True)
    frames = [bytes(frame) for frame in serializer.serialize_object({"k": np.ones(1000)})]
    assert serializer.deserialize_object(frames)[0]["k"].flags.writeable


# -- what is kept alive ----------------------------------------------------------------------------------


def test_nothing_is_kept_of_what_was_sent() -> None:
    serializer = Serializer()
    array = np.ones(5000)
    gone = weakref.ref(array)
    frames = serializer.serialize_object({"k": array, "view": array[10:200], "f": give(array)})
    del array
    gc.collect()
    assert gone() is not None  # the frames look at it
    del frames
    gc.collect()
    assert gone() is None


def test_frames_keep_the_memory_that_they_look_at() -> None:
    frames = serialize_object([np.arange(5000), bytearray(b"x" * 5000), np.arange(20_000)[::4].copy()])
    gc.collect()
    filler = [np.zeros(5000) for _ in range(20)]
    got = deserialize_object(frames)[0]
    assert np.array_equal(got[0], np.arange(5000))
    assert got[1] == b"x" * 5000
    assert np.array_equal(got[2], np.arange(0, 20_000, 4))
    assert len(filler) == 20


def test_the_header_alone_is_a_pickle_of_canned_arrays() -> None:
    skeleton = pickle.loads(serialize_object({"a": np.ones(1000), "b": [np.ones((30, 40)).T]})[0])
    assert skeleton["a"].buffers == [None]
    assert skeleton["b"][0].shape == (40, 30)


def test_a_header_describes_a_dtype_once() -> None:
    """The description of a structured dtype is longer than all else that a header says of an array."""
    dtype = np.dtype([("a rather long name", "f4"), ("another long name", "i8")])
    arrays = [np.zeros(200, dtype) for _ in range(10)]
    frames = canning.serialize_object(arrays)
    assert bytes(frames[0]).count(b"struct") == 1
    one = len(canning.serialize_object(arrays[:1])[0])
    assert len(frames[0]) < one + 9 * 60
    back, _ = canning.deserialize_object(frames)
    assert all(array.dtype == dtype for array in back)


@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("dtype", ["V0", np.dtype([])], ids=str)
def test_arrays_of_items_without_bytes_keep_their_order(dtype: Any, trust: str) -> None:
    for order in ("C", "F"):
        array = np.zeros((3, 4), dtype, order=order)  # type: ignore[call-overload]
        for readonly in (False, True):
            array.flags.writeable = not readonly
            got = deserialize_object(serialize_object([array]), trust=trust)[0][0]
            assert got.dtype == array.dtype
            assert got.shape == (3, 4)
            names = ("C_CONTIGUOUS", "F_CONTIGUOUS", "WRITEABLE")
            assert [got.flags[name] for name in names] == [array.flags[name] for name in names]
