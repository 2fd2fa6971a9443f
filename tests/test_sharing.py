"""What is shared stays shared: objects, memory under several arrays, cycles; and its bytes go once."""

from __future__ import annotations

import collections
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from canning import deserialize_object, dumps, loads, serialize_object

from . import strategies
from .harness import assert_equal, check_round_trip, check_uncopied, share
from .samples import InfoArray, Plain, Point, Tree


def sent_bytes(obj: Any, **options: Any) -> int:
    """Tell how many bytes go behind the header."""
    return sum(map(len, serialize_object(obj, **options)[1:]))


def through(obj: Any, **options: Any) -> Any:
    return deserialize_object([bytearray(frame) for frame in serialize_object(obj, **options)])[0]


LARGE = np.arange(10_000.0)
SMALL = np.arange(20.0)
MATRIX = np.arange(40_000.0).reshape(200, 200)
CUBE = np.arange(27_000).reshape(30, 30, 30)
STRUCTURED = np.zeros(3000, [("a", "f8"), ("b", "i4"), ("c", "i4")])
SMALL_STRUCTURED = np.zeros(10, [("a", "f8"), ("b", "i4"), ("c", "i4")])
WORDS = np.arange(4096, dtype="u4")
TEXT = np.frombuffer(b"0123456789" * 1000, np.uint8)
LIST_OWNED = [np.arange(5000.0)[10:4000] for _ in range(2)]

COPIED = [MATRIX[::4, ::4], MATRIX[1::4, ::4]]

SHARED: list[tuple[str, Any, int]] = [
    # what, the object, bytes behind the header
    ("the same array twice", [LARGE, LARGE], 80_000),
    ("the same small array twice", [SMALL, SMALL], 0),
    ("an array and all of it", [LARGE, LARGE[:]], 80_000),
    ("a view, and then the array", [LARGE[:], LARGE], 80_000),
    ("overlapping slices", [LARGE[:6000], LARGE[4000:]], 80_000),
    ("overlapping slices of a part", [LARGE[1000:3000], LARGE[2000:4000]], 24_000),
    ("apart in one base", [LARGE[:1000], LARGE[5000:6000]], 16_000),
    ("side by side", [LARGE[:1000], LARGE[1000:2000]], 16_000),
    ("one within the other", [LARGE[2000:3000], LARGE[1000:5000]], 32_000),
    ("three in a chain", [LARGE[:2000], LARGE[1500:4000], LARGE[3500:5000]], 40_000),
    ("every second and the others", [LARGE[::2], LARGE[1::2]], 80_000),
    ("reversed", [LARGE, LARGE[::-1]], 80_000),
    ("transposed", [MATRIX, MATRIX.T], 320_000),
    ("rows and columns", [MATRIX[:100], MATRIX[:, :150]], 199 * 1600 + 1200),
    ("fields", [STRUCTURED, STRUCTURED["a"], STRUCTURED["c"]], 48_000),
    ("another dtype", [WORDS, WORDS.view("u1"), WORDS.view("f4")[10:500]], 16_384),
    ("another shape", [CUBE, CUBE.reshape(900, 30), CUBE.ravel()], 216_000),
    ("small windows", [SMALL, sliding_window_view(SMALL, 9)], 0),
    ("broadcast", [LARGE[:500], np.broadcast_to(LARGE[:500], (50, 500))], 4000),
    ("windows", [LARGE[:500], sliding_window_view(LARGE[:500], 9)], 4000),
    ("small view of a large array", [LARGE, LARGE[5:8]], 80_000),
    ("small view first", [LARGE[5:8], LARGE], 80_000),
    ("small view of a slice", [LARGE[100:1000], LARGE[990:1000], LARGE[100:101]], 7200),
    ("small view, strided", [LARGE, LARGE[::1000]], 80_000),
    ("small views of small memory", [SMALL, SMALL[3:], SMALL[::-1], SMALL[5:6]], 0),
    ("small views only", [SMALL[3:9], SMALL[6:12]], 0),
    ("small views apart", [SMALL[3:9], SMALL[10:12]], 0),
    ("small fields", [SMALL_STRUCTURED["a"], SMALL_STRUCTURED["b"], SMALL_STRUCTURED], 0),
    ("small views of large memory", [LARGE[:10], LARGE[5:15]], 0),
    ("0-d view", [LARGE, LARGE[7:8].reshape(())], 80_000),
    ("memory of bytes", [TEXT[:5000], TEXT[4000:9000]], 9000),
    ("memory of bytes, small", [TEXT[:50], TEXT[40:90]], 0),
    ("subclass and base", [LARGE, LARGE.view(InfoArray)], 80_000),
    ("masked and its data", [LARGE, np.ma.masked_array(LARGE, np.zeros(10_000, bool))], 90_000),
    ("read-only view", [LARGE, np.broadcast_to(LARGE, LARGE.shape)], 80_000),
    ("a base that is not sent", LIST_OWNED, 2 * 3990 * 8),
    ("sparse slices with common bytes", [MATRIX[::4, ::4], MATRIX[::4, ::8]], (196 * 200 + 197) * 8),
    ("sparse slices without common bytes", COPIED, 2 * 50 * 50 * 8),
    ("runs with common bytes", [np.zeros((60, 4000))[::3], LARGE], 20 * 4000 * 8 + 80_000),
]


@pytest.mark.parametrize(
    ("obj", "nbytes"), [pytest.param(obj, nbytes, id=what) for what, obj, nbytes in SHARED]
)
def test_memory_is_sent_once_and_shared_again(obj: Any, nbytes: int) -> None:
    assert sent_bytes(obj) == nbytes
    check_round_trip(obj, uncopied=obj is not COPIED)


@pytest.mark.parametrize("threshold", [1, 100, 10_000, 10**6])
@pytest.mark.parametrize("obj", [pytest.param(obj, id=what) for what, obj, _ in SHARED])
def test_memory_is_shared_again_whatever_the_threshold(obj: Any, threshold: int) -> None:
    assert_equal(obj, through(obj, buffer_threshold=threshold), writeable="same")


def test_runs_of_two_slices_that_share_rows_go_once() -> None:
    base = np.arange(60 * 4000.0).reshape(60, 4000)
    obj = [base[::3], base[::6], base[1::3]]
    got = through(obj)
    assert_equal(obj, got)
    got[0][0, 0] = -1
    assert got[1][0, 0] == -1
    assert sent_bytes(obj) <= base.nbytes


def test_writing_to_one_view_shows_in_the_other() -> None:
    got = through({"all": LARGE, "part": LARGE[10:20], "row": MATRIX[3], "column": MATRIX[:, 3]})
    got["all"][12] = -5
    assert got["part"][2] == -5
    got["row"][3] = -7
    assert got["column"][3] == -7


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_writable_copies_shared_memory_once(kind: Any) -> None:
    frames = [kind(frame) for frame in serialize_object([LARGE, LARGE[10:5000], LARGE[3:6]])]
    got = deserialize_object(frames, writable=True)[0]
    assert_equal([LARGE, LARGE[10:5000], LARGE[3:6]], got, writeable="same")
    got[0][10] = -1
    assert got[1][0] == -1


def test_arrays_that_share_nothing_do_not_share_after_it() -> None:
    got = through([SMALL, SMALL.copy(), SMALL[:5].copy(), LARGE, LARGE.copy()])
    assert not any(share(got[i], got[j]) for i in range(5) for j in range(i))


def test_a_read_only_array_beside_a_writeable_view() -> None:
    locked = LARGE.view()
    locked.flags.writeable = False
    for obj in ([LARGE, locked], [locked, LARGE], [SMALL, SMALL[:5]]):
        assert_equal(obj, through(obj), writeable="same")


@pytest.mark.parametrize("large", [True, False])
def test_a_slice_sends_the_slice_and_not_its_base(large: bool) -> None:
    base = np.zeros(1_000_000)
    part = base[500_000 : 500_000 + (1000 if large else 10)]
    for obj in (part, [part], {"a": part, "b": [part]}):
        frames = serialize_object(obj)
        assert sum(map(len, frames)) < part.nbytes + 500
        check_uncopied(part, frames)


def test_many_views_of_one_base() -> None:
    base = np.arange(200_000.0)
    rows = [base[start : start + 2000] for start in range(0, 190_000, 1000)]
    assert sent_bytes(rows) == base[:191_000].nbytes
    assert_equal(rows[:20], through(rows)[:20], writeable="same")
    apart = [base[start : start + 100] for start in range(0, 200_000, 200)]
    assert sum(map(len, serialize_object(apart))) < 2 * 1000 * 800


def test_many_columns_of_one_base_share_what_they_share() -> None:
    """More pairs of sparse arrays than anyone tests one by one."""
    base = np.arange(100 * 700.0).reshape(100, 700)
    columns = [base[:, start : start + 7] for start in range(0, 700, 7)]
    twice = [*columns, base[:, 693:700]]
    got = through(twice)
    got[-1][0, 0] = -1
    assert got[-2][0, 0] == -1


# -- buffers beside arrays -------------------------------------------------------------------------------


@given(
    cuts=st.lists(
        st.tuples(st.integers(0, 60), st.integers(2, 12), st.integers(2, 9), st.integers(1, 3)),
        min_size=2,
        max_size=30,
    ),
    threshold=st.sampled_from([1, 64, 1024]),
)
def test_slices_share_just_what_they_shared(cuts: list[tuple[int, int, int, int]], threshold: int) -> None:
    base = np.arange(4000, dtype="i2").reshape(40, 100)
    slices = [base[::rows, start : start + width * step : step] for start, step, rows, width in cuts]
    got = through(slices, buffer_threshold=threshold)
    for one, slice_ in zip(got, slices, strict=True):
        assert_equal(slice_, one)
    pairs = list(itertools.combinations(range(len(slices)), 2))
    assert [share(got[a], got[b]) for a, b in pairs] == [share(slices[a], slices[b]) for a, b in pairs]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_all_columns_of_a_table_go_as_the_table(width: int) -> None:
    table = np.arange(120_000.0).reshape(100, 1200)
    columns = [table[:, start : start + width] for start in range(1200 - width)]
    assert sum(map(len, serialize_object(columns))) < 1.2 * table.nbytes
    assert [share(a, b) for a, b in itertools.pairwise(through(columns))] == [width > 1] * (1199 - width)


def test_an_array_over_bytes_and_the_bytes() -> None:
    raw = bytes(range(256)) * 100
    array = np.frombuffer(raw, "u4")
    for obj in ([raw, array], [array, raw], [array[:10], raw, array[5:]]):
        assert_equal(obj, through(obj), writeable="at most")
        assert sent_bytes(obj) == len(raw)


def test_an_array_over_a_bytearray_and_the_bytearray_go_once() -> None:
    raw = bytearray(bytes(range(256)) * 1000)
    array = np.frombuffer(raw, "u4")
    got = through([raw, array])
    assert got[0] == raw
    assert np.array_equal(got[1], array)
    assert sent_bytes([raw, array]) == len(raw)


def test_memoryviews_of_one_array() -> None:
    array = np.arange(3000.0)
    obj = [memoryview(array), array, memoryview(array)[100:200]]
    got = through(obj)
    assert sent_bytes(obj) == array.nbytes
    got[1][0] = -1
    assert got[0][0] == -1


@pytest.mark.parametrize("size", [10, 5000, 70_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_one_buffer_many_times_is_one_object(kind: Any, size: int) -> None:
    buffer = kind(bytes(size))
    got = through([buffer, {"k": buffer}, buffer])
    assert got[0] is got[1]["k"] is got[2]
    assert sent_bytes([buffer] * 100) == (size if size >= (1024 if kind is memoryview else 65_536) else 0)


# -- shared containers and cycles ------------------------------------------------------------------------


def looped_list() -> Any:
    loop: list[Any] = [LARGE]
    loop += [loop, {"again": loop}, LARGE]
    return loop


def looped_dict() -> Any:
    loop: dict[str, Any] = {"x": SMALL}
    loop["self"] = loop
    return loop


def looped_object() -> Any:
    loop = Plain(x=LARGE)
    loop.me = loop
    loop.inner = [Point(loop, LARGE[:100])]
    return loop


def looped_tuple() -> Any:
    inner: list[Any] = []
    loop = (inner, LARGE)
    inner.append(loop)
    return inner


def looped_array() -> Any:
    loop = np.empty(2, object)
    loop[0], loop[1] = [loop], LARGE
    return loop


def looped_function() -> Any:
    def count(n: int) -> int:
        return n and 1 + count(n - 1)

    return [count, LARGE]


def tree() -> Any:
    root = Tree(LARGE)
    root.add(LARGE[10:20]).add("leaf")
    return root.add(SMALL)


def looped_default() -> Any:
    loop: Any = collections.defaultdict(list)
    loop["x"].append(loop)
    return loop


CYCLES = [looped_list, looped_dict, looped_object, looped_tuple, looped_array, tree, looped_default]


@pytest.mark.parametrize("make", CYCLES, ids=lambda make: make.__name__)
def test_cycles(make: Any) -> None:
    obj = make()
    assert_equal(obj, through(obj), writeable="same")
    assert_equal(obj, loads(dumps(obj), trust="code"))
    assert_equal([obj, obj], through([obj, obj]))


def test_a_function_that_calls_itself() -> None:
    count, _ = through(looped_function())
    assert count(5) == 5


def test_shared_containers_stay_shared() -> None:
    part = [1, LARGE]
    obj = {"a": part, "b": {"c": part}, "d": (part, part)}
    got = through(obj)
    assert got["a"] is got["b"]["c"] is got["d"][0] is got["d"][1]


def test_order_of_dicts_stays() -> None:
    obj = {key: number for number, key in enumerate(["z", 3, None, (1, 2), "a", 2.5])}
    assert list(through([obj, LARGE])[0].items()) == list(obj.items())
    ordered = collections.OrderedDict([("b", LARGE), ("a", 1)])
    assert list(through(ordered)) == ["b", "a"]


@given(obj=strategies.objects())
@settings(max_examples=60)
def test_any_object(obj: Any) -> None:
    assert_equal(obj, through(obj), writeable="same")
    frames = [bytes(frame) for frame in serialize_object(obj)]
    assert_equal(obj, deserialize_object(frames)[0], writeable="at most")
    assert_equal(obj, deserialize_object(frames, writable=True)[0], writeable="same")
