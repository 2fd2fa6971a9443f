"""Bytes and what is like them: out of band from where the rule says, at any depth, whatever they hold."""

from __future__ import annotations

import array as stdarray
import ctypes
import functools
import gc
import pickle
import random
import string
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import canning
from canning import (
    DeserializationError,
    SerializationError,
    Serializer,
    calls,
    deserialize_object,
    serialize_object,
)

from .harness import DEPTHS, DIRECT, assert_equal, check_round_trip, check_uncopied, place_of
from .samples import Offers, Point

SIZES = [0, 10, 1023, 1024, 1025, 5000, 65_535, 65_536, 65_537, 1_000_000]
DEPTH = ("itself", "list", "dataclass", "closure", "depth 2", "depth 3")

KINDS: dict[str, Callable[[bytes], Any]] = {
    "bytes": lambda data: b"" + data,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "memoryview of a bytearray": lambda data: memoryview(bytearray(data)),
    "array.array": lambda data: stdarray.array("B", data),
    "array": lambda data: np.frombuffer(data, np.uint8),
    "PickleBuffer": pickle.PickleBuffer,
    "PickleBuffer of a bytearray": lambda data: pickle.PickleBuffer(bytearray(data)),
    "an object that offers a buffer": Offers,
}


def data_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def lowest(obj: Any, threshold: int = 1024) -> int:
    """Tell from how many bytes on an object within others has a frame of its own."""
    return max(threshold, DIRECT) if isinstance(obj, bytes | bytearray) else threshold


def through(obj: Any, **options: Any) -> Any:
    return deserialize_object([bytes(frame) for frame in serialize_object(obj, **options)])[0]


# -- out of band -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", DEPTH)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_out_of_band_from_the_threshold_on(kind: str, size: int, depth: str) -> None:
    obj = KINDS[kind](data_of(size))
    wrap, unwrap = DEPTHS[depth]
    frames = serialize_object(wrap(obj))
    out = size >= (1024 if depth == "itself" and type(obj) is bytes else lowest(obj))
    assert [len(frame) for frame in frames[1:]] == ([size] if out else [])
    if out:
        assert place_of(frames[1]) == place_of(obj.memory if isinstance(obj, Offers) else obj)
        assert len(frames[0]) < 2500
    got = unwrap(deserialize_object([bytes(frame) for frame in frames])[0])
    if isinstance(obj, Offers):
        assert type(got) is Offers
        assert bytes(got.memory) == obj.memory
    else:
        assert_equal(obj, got)


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "array.array", "PickleBuffer"])
@pytest.mark.parametrize("size", [10, 1500, 70_000])
def test_the_round_trip_of_each(kind: str, size: int) -> None:
    check_round_trip(KINDS[kind](data_of(size)))


@pytest.mark.parametrize(
    "kind", ["bytes", "bytearray", "memoryview", "array.array", "an object that offers a buffer"]
)
@pytest.mark.parametrize("size", [1023, 1024, 5000])
def test_ten_thousand_in_a_list(kind: str, size: int) -> None:
    count = 10_000 if size < 2000 else 2000
    base = data_of(size)
    items = [KINDS[kind](number.to_bytes(4, "little") + base[4:]) for number in range(count)]
    frames = serialize_object(items)
    out = size >= lowest(items[0])
    assert [len(frame) for frame in frames[1:]] == ([size] * count if out else [])
    if out:
        assert len(frames[0]) < 150 * count
    got = deserialize_object(frames)[0]
    assert len(got) == count
    for number in (0, 1, count // 2, count - 1):
        item = got[number].memory if isinstance(items[0], Offers) else got[number]
        assert bytes(item) == number.to_bytes(4, "little") + base[4:]


def test_ten_thousand_in_a_dict_of_objects() -> None:
    items = {f"k{number}": Point([bytes([number % 256]) * 1100]) for number in range(10_000)}
    frames = serialize_object(items)
    assert len(frames) == 1
    assert deserialize_object(frames)[0] == items


def test_large_ones_in_a_dict_of_objects() -> None:
    items = {f"k{number}": Point([bytes([number % 256]) * DIRECT]) for number in range(100)}
    frames = serialize_object(items)
    assert len(frames) == 101
    check_uncopied([items["k5"].x[0]], [frames[0], frames[6]])
    assert deserialize_object(frames)[0] == items


@pytest.mark.parametrize("threshold", [1, 10, 100, 2000, 65_536, 70_000, 10**6, 10**9])
def test_other_thresholds(threshold: int) -> None:
    sizes = [1, 9, 10, 99, 100, 1999, 2000, 65_535, 65_536, 69_999, 70_000, 200_000]
    for kind, make in KINDS.items():
        if kind == "an object that offers a buffer":
            continue
        items = [make(data_of(size, size)) for size in sizes]
        frames = serialize_object(items, buffer_threshold=threshold)
        out = [size for size in sizes if size >= lowest(items[0], threshold)]
        assert sorted(map(len, frames[1:])) == out, kind
        assert_equal(items, deserialize_object([bytes(frame) for frame in frames])[0])


@pytest.mark.parametrize("size", [10, 1024, 5000, 65_536])
def test_in_what_goes_by_value(size: int) -> None:
    """Look into attributes of classes, defaults and closures of functions, as into all data."""
    data, more, last = data_of(size, 1), bytearray(data_of(size, 2)), data_of(size, 3)

    class Local:
        constant = data

        def method(self, default: Any = more) -> Any:
            return default, last

    whole, part = [data, more, last], [more, last]
    objects = [(Local, whole), (Local(), whole), ([Local(), Local], whole), (lambda: (Local(), data), whole)]
    for obj, held in [*objects, (Local.method, part), (functools.partial(Local.method, None), part)]:
        frames = serialize_object(obj)
        assert [len(frame) for frame in frames[1:]] == ([size] * len(held) if size >= DIRECT else [])
        check_uncopied(held, frames)


def test_the_bytes_that_arrive_are_the_frame_itself() -> None:
    frames = [bytes(frame) for frame in serialize_object([data_of(80_000), data_of(70_000)])]
    got = deserialize_object(frames)[0]
    assert got[0] is frames[1]
    assert got[1] is frames[2]


def test_a_bytearray_that_arrives_is_its_own() -> None:
    frames = [
        bytearray(frame) for frame in serialize_object([bytearray(80_000), bytearray(70_000), bytearray(10)])
    ]
    got = deserialize_object(frames)[0]
    for one in got:
        one[0] = 1
        one += b"more"
    assert frames[1] == bytes(80_000)
    assert frames[2] == bytes(70_000)


def test_memoryviews_keep_whether_they_may_be_written_to() -> None:
    for size in (10, 5000):
        locked, open_ = memoryview(bytes(size)), memoryview(bytearray(size))
        got = deserialize_object([bytearray(frame) for frame in serialize_object([locked, open_])])[0]
        assert [view.readonly for view in got] == [True, False]


# -- classes of one's own --------------------------------------------------------------------------------


class MyBytes(bytes):
    note: str = ""


class MyByteArray(bytearray):
    note: str = ""


class MyArray(stdarray.array):  # type: ignore[type-arg]
    note: str = ""


@pytest.mark.parametrize("size", [16, 4096, 80_000])
@pytest.mark.parametrize(
    "make",
    [MyBytes, MyByteArray, lambda data: MyArray("B", data), lambda data: MyArray("d", data)],
    ids=["bytes", "bytearray", "array", "array of doubles"],
)
def test_subclasses_keep_type_and_attributes(make: Any, size: int) -> None:
    obj = make(bytes(size))
    obj.note = "mine"
    for sent in (obj, [obj, obj]):
        got = through(sent)
        one = got if sent is obj else got[0]
        assert type(one) is type(obj)
        assert one == obj
        assert one.note == "mine"


# -- memoryviews and arrays of any format ----------------------------------------------------------------

NATIVE = "bBhHiIlLqQnNfd?c"


@pytest.mark.parametrize("code", [*NATIVE, "P"])
@pytest.mark.parametrize("count", [0, 3, 3000])
@pytest.mark.parametrize("step", [1, 2, -1])
def test_memoryviews_of_each_format(code: str, count: int, step: int) -> None:
    size = memoryview(bytes(16)).cast(code).itemsize
    data = bytes(count * size) if code == "?" else data_of(count * size)
    check_round_trip(memoryview(data).cast(code)[::step], uncopied=step == 1, depths=("itself", "list"))


SHAPED = {
    "two axes": memoryview(data_of(4800)).cast("d", (20, 30)),
    "three axes": memoryview(data_of(4800)).cast("i", (2, 20, 30)),
    "no axis": memoryview(data_of(8)).cast("d", ()),
    "no axis, of an array": memoryview(np.array(2.5)),
    "F": memoryview(np.asfortranarray(np.arange(600.0).reshape(20, 30))),
    "sliced": memoryview(np.arange(600.0).reshape(20, 30)[::2, 3:20]),
    "reversed": memoryview(np.arange(600.0).reshape(20, 30)[::-1]),
    "broadcast": memoryview(np.broadcast_to(np.arange(600.0), (3, 600))),
    "no rows": memoryview(np.empty((0, 3))),
    "complex": memoryview(np.arange(600) * 1j),
    "long double": memoryview(np.arange(600).astype("g")),
    "half": memoryview(np.arange(600).astype("e")),
    "big-endian": memoryview(np.arange(600).astype(">i4")),
    "structure": memoryview(np.zeros(600, [("a", "i4"), ("b", "f8")])),
    "text": memoryview(np.array([b"ab", b"cde"] * 600)),
    "unicode": memoryview(np.array(["ab", "cde"] * 600)),
    "array.array": memoryview(stdarray.array("q", range(600))),
    "array.array, sliced": memoryview(stdarray.array("q", range(600)))[::2],
}


@pytest.mark.parametrize("view", SHAPED.values(), ids=SHAPED)
def test_memoryviews_of_each_shape(view: memoryview) -> None:
    check_round_trip(view, uncopied=False)


@pytest.mark.parametrize(
    ("make", "values"),
    [
        (ctypes.c_int * 4, [1, 2, 3, 4]),
        ((ctypes.c_double * 3) * 2, [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]),
        (ctypes.c_uint8 * 5000, [0] * 5000),
    ],
)
def test_memoryviews_of_ctypes(make: Any, values: Any) -> None:
    """Their format says '<i', which `memoryview` itself cannot make: it may become the native one."""
    sent = memoryview(make())
    for number, value in enumerate(values if sent.ndim == 1 else ()):
        sent.obj[number] = value
    got = through(sent)
    assert got.format.lstrip("<@") == sent.format.lstrip("<@")
    assert got.shape == sent.shape
    assert np.asarray(got).tolist() == values


@pytest.mark.parametrize("code", [code for code in stdarray.typecodes if code not in "uw"])
@pytest.mark.parametrize("count", [0, 3, 3000])
def test_array_array_of_each_type(code: str, count: int) -> None:
    check_round_trip(stdarray.array(code, [1, 2, 3][:count] * max(1, count // 3)))


@pytest.mark.parametrize("code", [code for code in "uw" if code in stdarray.typecodes])
@pytest.mark.parametrize("count", [0, 3, 3000])
def test_array_array_of_text(code: str, count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of "u", which is the point here
        check_round_trip(stdarray.array(code, "größe"[:count] * max(1, count // 5)))


@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("order", ["=", "S"], ids=["this order", "the other"])
def test_items_of_a_machine_of_another_byte_order_keep_their_values(order: str, trust: Any) -> None:
    class Written:
        def __init__(self, call: Any, *args: Any) -> None:
            self.call = call, args

        def __reduce__(self) -> Any:
            return self.call

    memory = np.arange(-300.0, 300.0).astype(np.dtype("f8").newbyteorder(order))
    ints = memory.view(np.dtype("u8").newbyteorder(order))
    frames = serialize_object(
        [
            Written(calls.stdlib_array, "d", 8, ints),
            Written(calls.view, ints, "d", (600,), False),
            Written(calls.view, ints[:6], "d", (2, 3), True),
        ],
        pickler="pickle",
    )
    (array, view, small), _ = canning.deserialize_object(frames, trust=trust)
    assert array == stdarray.array("d", range(-300, 300))
    assert (view.tolist(), view.format) == (list(range(-300, 300)), "d")
    assert (small.tolist(), small.readonly) == ([[-300, -299, -298], [-297, -296, -295]], True)


@pytest.mark.skipif("Zd" not in stdarray.typecodes, reason="arrays have complex items from Python 3.15 on")
@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("order", ["=", "S"], ids=["this order", "the other"])
def test_the_parts_of_complex_items_keep_their_places(order: str, trust: Any) -> None:
    class Written:
        def __reduce__(self) -> Any:
            return calls.stdlib_array, ("Zd", 16, memory)

    memory = np.array([1.5, -2.5]).astype(np.dtype("f8").newbyteorder(order))
    memory = memory.view(np.dtype("u8").newbyteorder(order))
    array, _ = canning.deserialize_object(serialize_object(Written(), pickler="pickle"), trust=trust)
    assert array == stdarray.array("Zd", [1.5 - 2.5j])


def test_what_was_sent_can_grow_again_when_the_frames_are_gone() -> None:
    objects: list[Any] = [bytearray(80_000), bytearray(70_000), stdarray.array("d", bytes(8000))]
    frames = serialize_object(objects)
    for obj in objects:
        with pytest.raises(BufferError):
            obj.append(1)
    del frames
    gc.collect()
    for obj in objects:
        obj.append(1)


# -- what looks like the pickler's own -------------------------------------------------------------------


def pickles_within() -> dict[str, bytes]:
    from canning.wire.trailer import FOOTER, MAGIC

    inner = serialize_object([np.arange(5000.0), b"z" * 2000, "text"])
    return {
        "a pickle": pickle.dumps(list(range(300)), 5),
        "a pickle with bytes": pickle.dumps(b"y" * 3000, 5),
        "a pickle with a bytearray": pickle.dumps(bytearray(3000), 5),
        "a header": inner[0],
        "headers": inner[0] * 20,
        "magic": MAGIC * 200,
        "footers": bytes(FOOTER.size) * 30 + MAGIC,
        "binbytes": b"B\0\4\0\0" * 300,
        "binbytes and memoize": (b"B\0\4\0\0" + b"B\0\4\0\0" * 204 + b"abcd" + b"\x94") * 3,
        "an object that is complete": b"B\0\4\0\0" + b"q" * 1024 + b"\x94",
        "a bytearray that is complete": b"\x96" + (2000).to_bytes(8, "little") + b"q" * 2000 + b"\x94",
        "bytearray8": (b"\x96\0\x10" + bytes(6)) * 300,
        "binbytes8": (b"\x8e\0\0\1" + bytes(5)) * 300,
        "frames": (b"\x95" + (65536).to_bytes(8, "little")) * 300,
        "stops": b"." * 2000,
        "memoize": b"\x94" * 2000,
        "zeros": bytes(3000),
        "ones": b"\xff" * 3000,
        "__main__": b"\x8c\x08__main__" * 200,
        "names of ours": b"ccanning.calls\nraw\n" * 100,
        "next buffer": b"\x97\x98" * 1000,
    }


WITHIN = pickles_within()


@pytest.mark.parametrize("data", WITHIN.values(), ids=WITHIN)
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview], ids=["bytes", "bytearray", "memoryview"])
def test_payload_that_looks_like_the_picklers_own(data: bytes, make: Any) -> None:
    for repeat in (1, 2, 40):  # 40: beyond 64 KiB
        obj = make(data * repeat)
        check_uncopied(obj, serialize_object([obj]))
        assert_equal(obj, through([obj])[0])
    short = make(data[:1000])
    assert_equal([short] * 3, through([short] * 3))
    mixed = [short, make(data), {"k": make(data * 40)}, make(data[:999])]
    assert_equal(mixed, through(mixed))


@pytest.mark.parametrize("data", WITHIN.values(), ids=WITHIN)
def test_text_that_looks_like_the_picklers_own(data: bytes) -> None:
    text = data.decode("latin-1")
    for obj in ([text], [text * 40], {text[:100]: text}, [text, b"x" * 2000, text * 40, bytearray(70_000)]):
        assert through(obj) == obj


@pytest.mark.parametrize("size", [100, 1024, 65_535, 65_536, 100_000])
@pytest.mark.parametrize("letter", ["a", "ö", "日", "🐍"])
def test_long_text(letter: str, size: int) -> None:
    for obj in (letter * size, [letter * size, b"q" * size], {letter * size: [letter * size, 5]}):
        assert through(obj) == obj


@pytest.mark.parametrize("before", [0, 1, 2, 3, 4, 5, 8, 9, 13, 20])
@pytest.mark.parametrize("large", [bytes(65_536), bytearray(65_536), "s" * 65_536, b"B" * 70_000], ids=type)
def test_large_objects_behind_few_opcodes(before: int, large: Any) -> None:
    """Fewer than four bytes come without a frame around them."""
    for items in ([None] * before + [large], [large] + [None] * before + [large[:-1] + large[:1], large]):
        for obj in (items, tuple(items), *items[-1:]):
            assert_equal(obj, through(obj))


@pytest.mark.parametrize("near", range(-24, 25))
def test_objects_around_the_limit_of_the_picklers_frames(near: int) -> None:
    """The pickler writes a frame whenever 64 KiB have come together: whatever stands there must arrive."""
    filler = ["x" * (65_536 - 40 + near)]
    for tail in (
        b"m" * 1024,
        bytearray(b"n" * 2000),
        b"o" * 65_536,
        bytearray(65_536),
        "p" * 300,
        np.ones(200),
    ):
        obj = [filler, tail, filler, tail, [tail]]
        frames = serialize_object(obj)
        assert_equal(obj, deserialize_object([bytes(frame) for frame in frames])[0])
        large = not isinstance(tail, str) and memoryview(tail).nbytes >= lowest(tail)
        assert [len(frame) for frame in frames[1:]] == ([memoryview(tail).nbytes] if large else [])


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle", "dill"])
def test_the_same_with_other_picklers(pickler: str) -> None:
    if pickler == "dill":
        pytest.importorskip("dill")
    serializer = Serializer(pickler=pickler)
    items = [make(data_of(size, size)) for make in (bytes, bytearray, memoryview) for size in SIZES]
    items += [*items, *WITHIN.values(), "text" * 30_000, np.arange(1000.0), np.arange(20_000.0)[::2]]
    got = serializer.deserialize_object([bytes(frame) for frame in serializer.serialize_object(items)])[0]
    assert_equal(items, got)
    frames = serializer.serialize_object(items[:30])
    out = sorted(len(item) for item in items[:30] if len(item) >= lowest(item))
    assert sorted(map(len, frames[1:])) == out


def test_one_pickle_buffer_many_times_goes_once() -> None:
    buffer = pickle.PickleBuffer(bytearray(100_000))
    assert [len(frame) for frame in serialize_object([buffer, buffer])[1:]] == [100_000]
    memory = bytearray(100_000)
    frames = serialize_object([pickle.PickleBuffer(memory), pickle.PickleBuffer(memory)])
    assert [len(frame) for frame in frames[1:]] == [100_000]


def test_a_buffer_that_is_not_contiguous_is_refused_by_its_name() -> None:
    from canning import SerializationError

    with pytest.raises(SerializationError, match="PickleBuffer"):
        serialize_object({"k": pickle.PickleBuffer(np.zeros((20, 30))[:, ::2])})


pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([*WITHIN.values(), *(data[:1024] for data in WITHIN.values())]),
    st.builds(data_of, st.integers(1000, 1100)),
    st.builds(data_of, st.sampled_from([65_530, 65_535, 65_536, 65_540])),
)
things = st.one_of(
    pieces, st.builds(bytearray, pieces), st.builds(lambda data: data.decode("latin-1"), pieces)
)


@given(
    items=st.lists(
        st.one_of(things, st.integers(), st.tuples(things), st.lists(things, max_size=3)), max_size=8
    )
)
@settings(max_examples=120)
def test_any_mixture_of_payloads(items: list[Any]) -> None:
    frames = serialize_object(items)
    assert_equal(items, deserialize_object([bytes(frame) for frame in frames])[0])
    check_uncopied(items, frames)


@given(
    before=st.lists(st.text(string.ascii_letters, max_size=300), max_size=5),
    fill=st.integers(65_300, 65_560),
    data=pieces,
)
@settings(max_examples=60)
def test_any_payload_at_the_end_of_a_frame(before: list[str], fill: int, data: bytes) -> None:
    items = [before, "f" * fill, data, bytearray(data), "g" * fill, [data]]
    assert_equal(items, through(items))


CTYPES = (
    *(ctypes.c_bool, ctypes.c_char, ctypes.c_byte, ctypes.c_ubyte, ctypes.c_short, ctypes.c_ushort),
    *(ctypes.c_int, ctypes.c_uint, ctypes.c_longlong, ctypes.c_ulonglong, ctypes.c_float, ctypes.c_double),
    *(ctypes.c_wchar, ctypes.c_longdouble, ctypes.c_void_p),
)


@pytest.mark.parametrize("count", [0, 3, 1000])
@pytest.mark.parametrize("kind", CTYPES, ids=lambda kind: kind.__name__)
def test_memoryviews_of_ctypes_keep_the_mark_of_their_format(kind: Any, count: int) -> None:
    data = (kind * count)()
    ctypes.memset(data, 1, ctypes.sizeof(data))
    for view in (memoryview(data), memoryview(data).toreadonly(), memoryview((kind * 2 * count)())):
        frames = serialize_object([view])
        if view.nbytes >= 1024:
            assert len(frames) == 2
        for carrier in (bytearray, bytes):
            got = deserialize_object([carrier(frame) for frame in frames])[0][0]
            assert (got.format, got.shape, got.itemsize) == (view.format, view.shape, view.itemsize)
            assert got.tobytes() == view.tobytes()
            assert got.readonly or not view.readonly
        if kind in CTYPES[:-3]:
            plain = deserialize_object(frames, trust="data")[0][0]
            assert plain.format == view.format[1:]
            assert plain.shape == view.shape or not view.nbytes
            assert plain.tobytes() == view.tobytes()
        else:
            with pytest.raises(DeserializationError, match="format"):
                deserialize_object(frames, trust="data")


def test_memoryviews_that_hold_addresses_are_named() -> None:
    view = memoryview((ctypes.c_char_p * 3)())
    with pytest.raises(SerializationError, match=r"obj\['a'\]\[1\]: a memoryview of format '<z' cannot"):
        serialize_object({"a": [1, view]})


def test_memoryviews_of_structures() -> None:
    class Pair(ctypes.Structure):
        _fields_ = (("a", ctypes.c_int), ("b", ctypes.c_double))

    data = (Pair * 3 * 2)()
    data[1][2].a, data[1][2].b = 5, 2.5
    got = deserialize_object(serialize_object(memoryview(data)))[0]
    assert (got.shape, got.itemsize) == ((2, 3), 16)
    assert np.asarray(got)[1, 2].item() == (5, 2.5)
