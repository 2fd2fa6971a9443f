"""Every layout: what is sent of an array, and how it lies when it arrives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from canning import deserialize_object, serialize_object
from canning.memory.layout import clusters, extent, plan

from . import strategies
from .harness import (
    CARRIERS,
    assert_equal,
    check_round_trip,
    check_uncopied,
    extent_of,
    place_of,
)


def cube(*shape: int, dtype: Any = "f8") -> Any:
    return np.arange(math.prod(shape)).astype(dtype).reshape(shape)


def readonly(array: Any) -> Any:
    array.flags.writeable = False
    return array


DENSE = {
    "C": cube(20, 30),
    "F": np.asfortranarray(cube(20, 30)),
    **{
        f"axes {order}": cube(7, 8, 9).transpose(order)
        for order in [(0, 2, 1), (1, 0, 2), (2, 0, 1), (1, 2, 0)]
    },
    "reversed": cube(2000)[::-1],
    "reversed matrix": cube(40, 50)[::-1],
    "reversed in both": cube(40, 50)[::-1, ::-1],
    "reversed columns": cube(40, 50)[:, ::-1],
    "reversed and transposed": cube(7, 8, 9)[::-1, :, ::-1].transpose(2, 0, 1),
    "axes of one": cube(1, 300, 1, 2)[:, ::-1].transpose(3, 2, 1, 0),
    "an odd stride on an axis of one": as_strided(cube(200), (1, 200), (12345, 8)),
    "rows": cube(100, 100)[20:60],
    "0-d": np.array(2.5),
    "read-only": readonly(cube(500)),
    "read-only F": readonly(np.asfortranarray(cube(20, 30))),
    "broadcast": np.broadcast_to(cube(500), (1000, 500)),
    "broadcast column": np.broadcast_to(cube(500, 1), (500, 400)),
    "broadcast twice": np.broadcast_to(cube(200, 1), (5, 200, 6)),
    "broadcast scalar": np.broadcast_to(np.float64(3), (50, 60)),
    "broadcast, writeable": as_strided(cube(500), (10, 500), (0, 8)),
    "windows": sliding_window_view(cube(1000), 7),
    "windows in two axes": sliding_window_view(cube(30, 40), (3, 5)),
    "few strides": as_strided(cube(1000), (300, 300), (8, 16)),
}
"""Layouts whose extent is all theirs: it goes as it is, and the strides stay."""

SLICED = {
    "columns": cube(100, 100)[:, 2:97],
    "every second": cube(5000)[::2],
    "every second, backwards": cube(5000)[::-2],
    "block": cube(60, 70)[3:50, 5:66],
    "block transposed": cube(60, 70)[3:50, 5:66].T,
    "block of a cube": cube(20, 20, 20)[1:18, 2:19, 3:17],
    "block of F": np.asfortranarray(cube(60, 70))[3:50, 5:66],
    "broadcast of a slice": np.broadcast_to(cube(50, 60)[:, 2:55], (4, 50, 53)),
}
"""Slices that use most of their extent, which goes as it is."""

RUNS = {
    "wide columns": cube(40, 8000)[:, :3000],
    "wide columns of F": np.asfortranarray(cube(8000, 40))[:3000],
    "every third row": cube(60, 4000)[::3],
    "every third row, backwards": cube(60, 4000)[::-3],
    "rows and columns": cube(30, 8000)[::4, 1000:5000],
    "corner of a cube": cube(8, 60, 600)[::3, 10:50],
}
"""Slices with long runs: a frame for each of these, and none for what lies in between."""

GATHERED = {
    "one column": cube(5000, 3)[:, 1],
    "every third": cube(9000)[::3],
    "every third, backwards": cube(9000)[::-3],
    "narrow columns": cube(200, 300)[:, 40:60],
    "narrow columns transposed": cube(200, 300)[:, 40:60].T,
    "sparse cube": cube(30, 30, 30)[::2, ::3, ::2],
    "diagonal": np.diagonal(cube(1000, 1000)),
    "field": np.zeros(2000, [("a", "i1"), ("b", "f8"), ("c", "f8")])["b"],
    "real part": (np.arange(3000) * (1 + 2j)).astype("c8")[::2].real,
    "broadcast of a column": np.broadcast_to(cube(2000, 5)[:, 1], (3, 2000)),
}
"""Sparse slices with short runs: copied once, compactly."""

SMALL = {
    "slice": cube(30)[::2],
    "column": cube(10, 10)[:, 3],
    "reversed": cube(10)[::-1],
    "F": np.asfortranarray(cube(4, 5)),
    "broadcast": np.broadcast_to(cube(3), (1000, 3)),
    "windows": sliding_window_view(cube(20), 4),
    "small slice of a large array": cube(100_000)[50_000:50_010],
    "read-only": readonly(cube(10)),
}
EMPTY = {
    "nothing": np.empty(0),
    "no rows": np.empty((0, 3)),
    "no columns": np.empty((3, 0)),
    "no rows, F": np.empty((0, 3), order="F"),
    "nothing of much": cube(1000)[500:500],
    "nothing, strided": cube(1000)[500:500:3],
    "nothing, read-only": readonly(np.empty((2, 0, 4), "M8[s]")),
    "nothing, broadcast": np.broadcast_to(np.empty((0, 1)), (0, 7)),
    "no structures": np.empty(0, [("a", "i4"), ("b", "U2")]),
}


def rows(table: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("array", [pytest.param(value, id=name) for name, value in table.items()])


@rows({**DENSE, **SLICED})
def test_what_is_dense_or_nearly_so_is_not_copied_and_keeps_its_strides(array: Any) -> None:
    check_round_trip(array)
    got = deserialize_object([bytearray(frame) for frame in serialize_object([array])])[0][0]
    longer = [axis for axis in range(array.ndim) if array.shape[axis] > 1]
    assert [got.strides[axis] for axis in longer] == [array.strides[axis] for axis in longer]


@rows(RUNS)
def test_slices_with_long_runs_are_not_copied_nor_is_what_lies_in_between_sent(array: Any) -> None:
    check_round_trip(array)
    frames = serialize_object(array)
    assert sum(map(len, frames[1:])) == array.nbytes
    for frame in frames[1:]:
        low, high = place_of(frame)
        assert all(extent_of(array)[0] <= each <= extent_of(array)[1] for each in (low, high))


@rows(GATHERED)
def test_sparse_slices_travel_compactly(array: Any) -> None:
    check_round_trip(array, uncopied=False)
    core = array[tuple(slice(None, None if stride else 1) for stride in array.strides)]
    for sent in (array, [array]):
        assert sum(map(len, serialize_object(sent)[1:])) == core.nbytes


@rows({**SMALL, **EMPTY})
def test_what_is_small_goes_in_the_header(array: Any) -> None:
    check_round_trip(array)
    for sent in (array, {"k": [array]}):
        frames = serialize_object(sent)
        assert len(frames) == 1
        assert len(frames[0]) < 1500


@rows({**DENSE, **SLICED, **RUNS, **GATHERED, **SMALL})
def test_misaligned_frames_give_aligned_arrays_no_larger_than_what_came(array: Any) -> None:
    low_sent, high_sent = extent_of(array)
    for offset in range(1, 8):
        convert, _ = CARRIERS[f"{offset} past"]
        got = deserialize_object([convert(frame) for frame in serialize_object(array)])[0]
        assert_equal(array, got)
        low, high = extent_of(got)
        assert high - low <= high_sent - low_sent


def test_a_broadcast_array_costs_its_memory_and_not_its_shape() -> None:
    array = np.broadcast_to(np.arange(1000.0), (10**4, 1000))
    for convert, _ in CARRIERS.values():
        frames = [convert(frame) for frame in serialize_object(array)]
        assert sum(map(len, map(memoryview, frames))) < 10_000
        for writable in (False, True):
            got = deserialize_object(frames, writable=writable)[0]
            assert got.shape == array.shape
            assert got.strides == array.strides
            assert np.array_equal(got[-1], array[0])


@pytest.mark.parametrize("order", ["C", "F", "K"])
def test_masked_order_of_objects(order: Any) -> None:
    array = np.empty((3, 4), object, order="F" if order == "F" else "C")
    array[...] = np.arange(12).reshape(3, 4)
    if order == "K":
        array = array[::-1, ::2]
    check_round_trip(array)


@given(array=strategies.arrays())
@settings(max_examples=200)
def test_any_array_of_any_layout(array: Any) -> None:
    for sent in (array, [array]):
        got = deserialize_object([bytearray(frame) for frame in serialize_object(sent)])[0]
        assert_equal(sent, got, writeable="same")


@given(array=strategies.arrays(), offset=st.integers(1, 8), threshold=st.sampled_from([1, 100, 10**6]))
@settings(max_examples=100)
def test_any_array_in_misaligned_frames_and_with_any_threshold(
    array: Any, offset: int, threshold: int
) -> None:
    convert, _ = CARRIERS[f"{offset} past"]
    frames = serialize_object({"k": array}, buffer_threshold=threshold)
    assert_equal(array, deserialize_object([convert(frame) for frame in frames])[0]["k"], writeable="same")
    got = deserialize_object([bytes(frame) for frame in frames], writable=True)[0]["k"]
    assert_equal(array, got, writeable="same")


@given(array=strategies.arrays(np.dtype("i2")))
def test_extents_and_plans(array: Any) -> None:
    if not array.size or array.flags.c_contiguous:
        return
    assert extent(array) == extent_of(array)
    block, (offset, strides) = plan(array)
    assert len(strides) == array.ndim
    assert 0 <= offset < block.nbytes
    whole, _ = plan(array, whole={block.key})
    assert (whole.low, whole.high) == extent_of(array)
    assert not whole.run


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=12))
def test_clusters_join_what_overlaps_and_nothing_else(places: list[tuple[int, int]]) -> None:
    extents = [(low, low + length) for low, length in places]
    groups = clusters(extents)
    assert sorted(number for group in groups for number in group) == list(range(len(extents)))
    covered = [set().union(*(range(*extents[number]) for number in group)) for group in groups]
    for number, one in enumerate(covered):
        assert one == set(range(min(one), max(one) + 1))
        assert all(one.isdisjoint(other) for other in covered[:number])


def test_the_sender_looks_at_the_extent_and_not_at_the_base() -> None:
    base = np.zeros(1_000_000)
    check_uncopied(base[1000:2000], serialize_object([base[1000:2000]]))
    assert sum(map(len, serialize_object([base[1000:2000]])[1:])) == 8000
