"""Messages of a few bytes that ask for much: time and memory stay in proportion to what arrived."""

from __future__ import annotations

import collections
import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, Serializer
from canning.reading.untrusted import short_cuts
from canning.types.hash_guard import Watch, judge
from canning.wire.trailer import pack

from .test_types_hostile import frames_of

DATA = Serializer(trust="data")


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    raw = value.to_bytes(9, "little", signed=True)
    return b"\x8a\x09" + raw


def name(module: str, called: str) -> bytes:
    return text(module) + text(called) + b"\x93"


def get(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def bytes_(raw: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(raw)) + raw


def message(body: bytes, *frames: bytes) -> list[bytes]:
    return [pack(b"\x80\x05" + body, 2 + len(body), [len(frame) for frame in frames]), *frames]


def array(dtype: str, shape: tuple[int, ...], strides: tuple[int, ...] | None = None) -> bytes:
    """Give the opcodes of an array over buffer 0."""
    layout = b"N" if strides is None else b"(K\0(" + b"".join(map(number, strides)) + b"tt"
    sizes = b"(" + b"".join(map(number, shape)) + b"t"
    return name("canning.calls", "array") + b"(K\0" + sizes + text(dtype) + layout + b"tR"


MEGABYTE = bytes(1 << 20)
STORED = b"\x940"
"""Opcodes that put what is uppermost into the memo, and drop it."""


def doubled_dtype(depth: int) -> bytes:
    """Give a dtype of two fields, each of a dtype of two fields, and so on."""
    body = text("|i1") + STORED
    for level in range(depth):
        fields = b"".join(b"(" + text(each) + b"NK\0" + get(level) + b"t" for each in "ab")
        body += b"(" + text("struct") + b"K\1\x89\x89(" + fields + b"tt" + STORED
    return body + name("canning.calls", "dtype") + get(depth) + b"\x85R."


def dtypes_on_dtypes(depth: int) -> bytes:
    """Give a dtype that is deeper than the grammar goes, each level made by a call of its own."""
    body = name("canning.calls", "dtype") + STORED + text("|i1") + STORED
    for level in range(depth):
        field = b"(" + text("a") + b"NK\0" + get(level + 1) + b"t"
        body += b"(" + text("struct") + b"K\1\x89\x89(" + field + b"tt\x94" + b"0"
        body += get(0) + get(level + 2) + b"\x85R0"
    return body + b"N."


def within(levels: int) -> list[bytes]:
    """Give a message that holds one ten times that holds one ten times, and so on."""
    inner = message(b"]Na.")[0]
    for _ in range(levels):
        calls = (get(0) + get(1) + b"\x85R") * 10
        body = name("canning.calls", "message") + STORED + bytes_(inner) + STORED + b"](" + calls + b"e."
        inner = message(body)[0]
    return [inner]


def again(first: bytes, call: bytes, count: int, *frames: bytes) -> list[bytes]:
    """Give a message that makes something, and calls something with it `count` times."""
    return message(first + STORED + call + STORED + b"](" + (get(1) + get(2) + b"R") * count + b"e.", *frames)


def arguments(module: str, called: str, *args: bytes) -> bytes:
    return name(module, called) + STORED + b"(" + b"".join(args) + b"t"


AMPLIFIED: dict[str, list[bytes]] = {
    "a dtype that doubles with each level": message(doubled_dtype(31)),
    "a dtype that grows deeper with each call": message(dtypes_on_dtypes(5000)),
    "messages within messages": within(8),
    "one message within, read again and again": again(
        bytes_(message(b"](" + b"N" * 50_000 + b"e.")[0]),
        name("canning.calls", "message") + STORED + get(0) + b"\x85",
        5000,
    ),
    "a view of memory that there is not": message(
        arguments(
            "canning.calls",
            "view",
            array("|u1", (1 << 36,), (0,)),
            text("B"),
            b"(" + number(1 << 36) + b"t",
            b"\x89",
        ).replace(STORED, b"", 1)
        + b"R.",
        bytes(64),
    ),
    "views that are copies": again(
        array("|u1", (1024, 1024), (1, 1024)),
        arguments("canning.calls", "view", get(0), text("B"), number(1 << 20) + b"\x85", b"\x89"),
        5000,
        MEGABYTE,
    ),
    "arrays of the standard library": again(
        array("|u1", (1 << 20,)),
        arguments("canning.calls", "stdlib_array", text("B"), b"K\1", get(0)),
        5000,
        MEGABYTE,
    ),
    "one long text in an array of strings": message(
        text("x" * (1 << 20))
        + STORED
        + name("canning.calls", "strings")
        + b"(("
        + text("string")
        + b"\x88\x89NtM\x88\x13\x85]("
        + get(0) * 5000
        + b"e\x89\x89tR."
    ),
    "masked arrays of many fields": again(
        name("canning.calls", "array")
        + b"(K\0K\1\x85("
        + text("struct")
        + b"K\1\x89\x89("
        + b"".join(b"(" + text(f"f{number_}") + b"NK\0" + text("|i1") + b"t" for number_ in range(5000))
        + b"ttNtR",
        arguments("canning.calls", "masked", name("numpy.ma", "MaskedArray"), get(0), b"N", b"N", b"\x89"),
        5000,
        bytes(1),
    ),
    "numbers of many digits in one key": message(
        name("decimal", "Decimal")
        + text("1" * 4299 + "e5")
        + b"\x85R"
        + STORED
        + b"("
        + get(0) * 900
        + b"t"
        + STORED
        + b"]("
        + (b"}" + get(1) + b"Ns") * 2000
        + b"e."
    ),
}


@pytest.mark.parametrize("frames", AMPLIFIED.values(), ids=AMPLIFIED.keys())
@pytest.mark.timeout(60)
def test_what_asks_for_much_is_refused(frames: list[bytes]) -> None:
    with pytest.raises(
        DeserializationError, match=r"too many|time and again|than a message of its size may take"
    ):
        DATA.deserialize_object(frames)


CHAINS = {
    "slices": name("builtins", "slice") + STORED + get(0) * 200_000 + b"N" + b"NN\x87R" * 200_000 + b".",
    "deques from the inside out": name("collections", "deque")
    + STORED
    + get(0)
    + b")R"
    + b"".join(STORED + get(0) + b")R" + get(level) + b"a" for level in range(1, 200_000))
    + b".",
    "deques from the outside in": name("collections", "deque")
    + STORED
    + get(0)
    + b")R\x94"
    + b"".join(get(0) + b")R\x940" + get(level) + get(level + 1) + b"a0" for level in range(1, 200_000))
    + b".",
}
READ = """
import sys, canning
try:
    canning.deserialize_object([sys.stdin.buffer.read()], trust="data")
except canning.DeserializationError as error:
    print(error)
"""


@pytest.mark.parametrize("body", CHAINS.values(), ids=CHAINS.keys())
def test_chains_that_python_takes_down_by_recursion(body: bytes) -> None:
    (head,) = message(body)
    done = subprocess.run([sys.executable, "-c", READ], input=head, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"deque" in done.stdout or b"depth" in done.stdout


def test_deques_may_hold_each_other() -> None:
    one: Any = collections.deque([1])
    other = collections.deque([one, slice(1, one)])
    one.append(other)
    one.append(one)
    got, _ = DATA.deserialize_object(canning.serialize_object([one, collections.deque([[]] * 1000)]))
    assert got[0][1][0] is got[0]
    assert got[0][2] is got[0]
    deep: Any = collections.deque()
    for _ in range(300):
        deep = collections.deque([deep])
    assert DATA.deserialize_object(canning.serialize_object(deep))[0] == deep


def colliding(bits: int) -> list[int]:
    """Find numbers that fill half of a dict of 2**bits slots in a row, and others that walk past these."""
    size = 1 << bits
    row, slot = [], 0
    for _ in range(size // 2):
        row.append(slot)
        slot = (5 * slot + 1) & (size - 1)
    place = np.full(size, -1)
    place[row] = np.arange(len(row))
    chance, found = np.random.default_rng(1), np.zeros(0, np.int64)
    while len(found) < size * 2 // 3 - 1 - len(row):
        tried = chance.integers(1 << 16, size=1 << 19) * size + chance.integers(size, size=1 << 19)
        perturb, slots = tried.copy(), tried & (size - 1)
        fits = place[slots] >= 0
        for _ in range((bits + 16) // 5 + 1):
            perturb >>= 5
            slots = (5 * slots + perturb + 1) & (size - 1)
            fits &= place[slots] >= 0
        found = np.unique(np.concatenate([found, tried[fits & (place[slots] < size // 8)]]))
    return [*row, *found[: size * 2 // 3 - 1 - len(row)].tolist()]


@pytest.mark.timeout(120)
def test_numbers_that_were_chosen_to_collide() -> None:
    keys = colliding(16)
    with pytest.raises(DeserializationError, match="collide"):
        judge(keys, is_set=False)
    with pytest.raises(DeserializationError, match="collide"):
        DATA.deserialize_object(canning.serialize_object(dict.fromkeys(keys[: len(keys) * 9 // 10])))


ORDINARY = {
    "in a row": range(50_000),
    "backwards": range(0, -50_000, -1),
    "at random": np.random.default_rng(1).integers(1 << 60, size=50_000).tolist(),
    **{f"times 2**{bits}": [number << bits for number in range(50_000)] for bits in (4, 12, 22, 32, 42)},
    "fractions": [hash(number / 7) for number in range(50_000)],
    "pairs": [hash((one, other)) for one in range(223) for other in range(223)],
}


@pytest.mark.parametrize("hashes", ORDINARY.values(), ids=ORDINARY.keys())
@pytest.mark.parametrize("is_set", [False, True], ids=["dict", "set"])
def test_ordinary_keys_are_not_taken_for_chosen_ones(hashes: Any, is_set: bool) -> None:
    judge(hashes, is_set=is_set)


def test_many_keys_arrive_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canning.types.hash_guard._PATIENCE", -1e9)  # judge whatever there is
    monkeypatch.setattr("canning.types.hash_guard._PER_KEY", 0.0)
    for obj in (
        {number: str(number) for number in range(20_000)},
        set(range(20_000)),
        frozenset(range(9_999)),
    ):
        got, _ = DATA.deserialize_object(canning.serialize_object(obj))
        assert got == obj
        assert list(got) == list(obj) or not isinstance(obj, dict)
    watch = Watch()
    held: dict[int, int] = {}
    watch.put(held, [1, 2], [3, 4])
    assert held == {1: 3, 2: 4}


def test_a_key_that_walks_past_many_is_not_looked_up_again_and_again() -> None:
    *keys, last = colliding(13)[:4890]
    first = b"".join(number(key) + b"N" for key in keys)
    body = number(last) + STORED + b"}(" + first + b"h\0Nu" + (b"(" + b"h\0N" * 99 + b"u") * 1000 + b"."
    with pytest.raises(DeserializationError, match="made to collide"):
        DATA.deserialize_object(message(body))


def test_what_was_serialized_before_may_stand_as_deep_as_ever() -> None:
    obj: Any = np.zeros(100_000)
    for _ in range(15):
        obj = canning.PrePickled([obj])
    got, _ = DATA.deserialize_object(canning.serialize_object(obj))
    for _ in range(15):
        (got,) = got
    assert got.shape == (100_000,)


def test_structured_arrays_of_many_fields_still_arrive() -> None:
    wide = np.zeros(3, [(f"f{number}", "i4") for number in range(5000)])
    deep: Any = np.dtype("i4")
    for _ in range(20):
        deep = np.dtype([("a", deep)])
    for obj in (wide, np.ma.array(wide, mask=False), np.zeros(2, deep)):
        got, _ = DATA.deserialize_object(canning.serialize_object(obj))
        assert got.dtype == obj.dtype


# -- decoders of other packages' types -------------------------------------------------------------------


def test_ranges_of_pandas_cost_nothing_to_name() -> None:
    pytest.importorskip("pandas")
    index = frames_of("pandas.RangeIndex", (0, 1 << 40, 1, None))
    (got,), _ = DATA.deserialize_object(index)
    assert len(got) == 1 << 40


@pytest.mark.parametrize("columns", [1 << 20, 1 << 34])
@pytest.mark.timeout(60)
def test_frames_of_columns_that_there_are_not(columns: int) -> None:
    pd = pytest.importorskip("pandas")
    empty = np.lib.stride_tricks.as_strided(np.zeros(1), (columns, 0), (8, 8))
    for blocks in ([], [(0, columns, 1, empty)], [(0, columns, 2, empty)]):
        state = (blocks, pd.RangeIndex(0), pd.RangeIndex(columns))
        try:
            (got,), _ = DATA.deserialize_object(frames_of("pandas.DataFrame", state))
        except DeserializationError:
            continue
        assert got.shape == (0, columns)


def test_frames_whose_blocks_do_not_cover_them() -> None:
    pd = pytest.importorskip("pandas")
    two = np.zeros((2, 3))
    for places in ([(0, 2, 1)], [(0, 2, 1), (1, 3, 1)], [(0, 2, 1), (3, 5, 1)], [(2, 0, -1), (3, 5, 1)]):
        state = ([(*place, two) for place in places], pd.RangeIndex(3), pd.RangeIndex(4))
        with pytest.raises(DeserializationError):
            DATA.deserialize_object(frames_of("pandas.DataFrame", state))
    state = ([(3, 1, -1, two), (np.array([0, 1]), None, None, two)], pd.RangeIndex(3), pd.RangeIndex(4))
    (got,), _ = DATA.deserialize_object(frames_of("pandas.DataFrame", state))
    assert got.shape == (3, 4)


def test_times_that_take_no_memory_have_no_frequency() -> None:
    pytest.importorskip("pandas")
    times = np.broadcast_to(np.zeros(1, "M8[ns]"), (100_000,))
    with pytest.raises(DeserializationError, match=r"no memory|more time than a message"):
        DATA.deserialize_object(frames_of("pandas.DatetimeIndex", (times, None, "cbh", None)))


@pytest.mark.timeout(60)
def test_one_array_of_arrow_named_by_many() -> None:
    pa = pytest.importorskip("pyarrow")
    count = 3000
    kind = pa.struct([(f"f{number}", pa.string()) for number in range(count)])
    schema = pa.schema([pa.field("", kind)]).serialize().to_pybytes()
    leaf = (1, 0, 0, (None, np.array([0, 200_000], "i4").tobytes(), b"a" * 200_000), (), None)
    with pytest.raises(DeserializationError, match="than a message of its size may take"):
        DATA.deserialize_object(
            frames_of("pyarrow.Array", (schema, (1, 0, 0, (None,), (leaf,) * count, None)))
        )


# -- arrays that are read in one step --------------------------------------------------------------------

STEPS = {
    "C order": np.arange(2000.0),
    "few bytes": np.arange(3, dtype="i2"),
    "Fortran order": np.asfortranarray(np.arange(2000.0).reshape(40, 50)),
    "backwards": np.arange(2000.0)[::-1],
    "big-endian": np.arange(2000, dtype=">i4"),
    "times": np.arange(2000).astype("M8[25s]"),
    "text": np.array(["abc", "de"] * 500),
    "empty": np.zeros((0, 3), ">f4"),
    "no axes": np.array(1.5),
    "four axes": np.zeros((2, 3, 4, 50)),
    "structured": np.zeros(300, [("a", "i4"), ("b", "f8")]),
}


def read_only(array: Any) -> Any:
    array = array.copy(order="K")
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("first", STEPS.values(), ids=STEPS.keys())
def test_arrays_in_one_step_are_those_of_many(first: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows takes from the memo what the arrays have left in it."""
    arrays = [first, read_only(first), *STEPS.values(), first.copy()]
    frames = canning.serialize_object([arrays, dict(enumerate(arrays)), first.shape, "<f8", b"x" * 30])
    at_once, _ = DATA.deserialize_object(frames)
    steps = []
    read = short_cuts.ArrayCalls.read
    monkeypatch.setattr(short_cuts.ArrayCalls, "read", lambda *args: steps.append(read(*args)) or steps[-1])
    DATA.deserialize_object(frames)
    assert sum(step is not None for step in steps) >= len(steps) - 1  # but the first of fields
    monkeypatch.setattr(short_cuts.ArrayCalls, "read", lambda *args: None)
    one_by_one, _ = DATA.deserialize_object(frames)
    for got, expected in zip(at_once[0], one_by_one[0], strict=True):
        np.testing.assert_array_equal(got, expected)
        assert (got.dtype, got.shape, got.strides) == (expected.dtype, expected.shape, expected.strides)
        assert got.flags.writeable == expected.flags.writeable
    assert all(at_once[1][number] is array for number, array in enumerate(at_once[0]))
    assert at_once[2:] == one_by_one[2:]


@pytest.mark.parametrize(
    "ops",
    [
        b"K\5K\x08\x85\x94\x8c\3|u1\x94\x87\x94R\x94.",
        b"K\0K\x09\x85\x94\x8c\3|u1\x94\x87\x94R\x94.",
        b"K\0K\1\x85\x94\x8c\2|O\x94\x87\x94R\x94.",
        b"K\0K\1\x85\x94\x8c\4|u1,\x94\x87\x94R\x94.",
        b"C\4abcdK\1\x85\x94\x8c\3<f8\x94\x87\x94R\x94.",
        b"J\xff\xff\xff\xffK\x08\x85\x94\x8c\3|u1\x94\x87\x94R\x94.",
        b"(K\0K\x08\x85\x94\x8c\3|u1\x94K\1K\1\x85\x94\x86\x94t\x94R\x94.",
        b"(K\0K\x08\x85\x94\x8c\3|u1\x94K\0J\xff\xff\xff\xff\x85\x94\x86\x94\x88t\x94R\x94.",
        b"(K\0J\xff\xff\xff\xff\x85\x94\x8c\3|u1\x94N\x88t\x94R\x94.",
        b"(K\0K\2K\4\x86\x94\x8c\3|u1\x94K\0K\1\x85\x94\x86\x94t\x94R\x94.",
    ],
    ids=str,
)
def test_arrays_in_one_step_are_checked(ops: bytes) -> None:
    with pytest.raises(DeserializationError, match=r"array|dtype|buffer|strides|shape"):
        DATA.deserialize_object(message(name("canning.calls", "array") + STORED + b"h\0" + ops, bytes(8)))


def test_a_small_array_takes_as_long_however_many_came_before() -> None:
    class Unwalked(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError

    memo = Unwalked([b"x"] * 1000)
    calls = short_cuts.ArrayCalls(b"C\1x\x94K\1\x85\x94\x8c\3|u1\x94\x87\x94R\x94.")
    assert calls.read(0, memo, lambda *args: args) == ((b"x", (1,), "|u1", None, False), 18)
    assert len(memo) == 1005
