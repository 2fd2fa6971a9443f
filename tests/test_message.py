"""Messages: objects and calls to frames and back; chained, split, in every kind of frame, by many threads."""

from __future__ import annotations

import array as stdarray
import collections
import copy
import datetime
import decimal
import fractions
import functools
import ipaddress
import pathlib
import pickle
import re
import threading
import types
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

import canning
from canning import (
    DeserializationError,
    PrePickled,
    Registry,
    SerializationError,
    Serializer,
    deserialize_object,
    dumps,
    loads,
    pack_apply_message,
    serialize_object,
    split,
    unpack_apply_message,
)
from canning.options import SerializerOptions

from .harness import CARRIERS, assert_equal, check_round_trip, check_uncopied
from .samples import (
    Access,
    Color,
    Frozen,
    OnlySlots,
    Pair,
    Plain,
    Point,
    SlotsAndDict,
    Slotted,
    Stateful,
    Sum,
    Table,
    Trace,
    double,
    give,
)

LARGE = np.arange(5000.0)

# -- what holds no memory of ours ------------------------------------------------------------------------


def with_attributes(obj: Any, **attributes: Any) -> Any:
    vars(obj).update(attributes)
    return obj


def slots_and_dict() -> Any:
    obj = SlotsAndDict(1)
    obj.more = [2]
    return obj


ORDINARY = {
    "None": None,
    "True": True,
    "int": 5,
    "negative": -1,
    "large int": 10**400,
    "float": 2.5,
    "nan": float("nan"),
    "negative zero": -0.0,
    "infinity": float("inf"),
    "complex": 1 + 2j,
    "text": "größe \0",
    "empty text": "",
    "surrogate": "a\ud800b",
    "long text": "x" * 100_000,
    "bytes": b"abc",
    "empty bytes": b"",
    "bytearray": bytearray(b"abc"),
    "ellipsis": ...,
    "not implemented": NotImplemented,
    "range": range(1, 100, 7),
    "slice": slice(1, None, 2),
    "empty list": [],
    "list": [1, [2, [3]]],
    "tuple": (1, (2,), ()),
    "dict": {1: 2, "a": {"b": None}, (1, 2): 3, None: 4, 2.5: 5},
    "set": {1, "a", (2, 3)},
    "frozenset": frozenset({1, frozenset({2})}),
    "deque": collections.deque([1, 2], maxlen=5),
    "Counter": collections.Counter("abca"),
    "OrderedDict": collections.OrderedDict([("b", 1), ("a", 2)]),
    "defaultdict": collections.defaultdict(list, {"a": [1]}),
    "ChainMap": collections.ChainMap({"a": 1}, {"b": 2}),
    "SimpleNamespace": types.SimpleNamespace(a=1, b=[2]),
    "date": datetime.date(2024, 2, 29),
    "datetime": datetime.datetime(
        2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=2))
    ),
    "zone": datetime.datetime(2024, 7, 1, fold=1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "time": datetime.time(12, 30),
    "timedelta": datetime.timedelta(days=5, microseconds=1),
    "Decimal": decimal.Decimal("1.10"),
    "Fraction": fractions.Fraction(1, 3),
    "UUID": uuid.UUID(int=5),
    "path": pathlib.PurePosixPath("/a/b"),
    "pattern": re.compile("a+", re.IGNORECASE),
    "address": ipaddress.ip_network("10.0.0.0/8"),
    "error": ValueError("text", 5),
    "os error": FileNotFoundError(2, "no such file", "name"),
    "enum": Color.BLUE,
    "flags": Access.READ | Access.WRITE,
    "named tuple": Pair(1, [2]),
    "dataclass": Point(1, Point(2)),
    "frozen dataclass": Frozen((1, 2)),
    "slots dataclass": Slotted([1]),
    "slots": OnlySlots(5),
    "slots and dict": slots_and_dict(),
    "own state": Stateful([1, 2]),
    "list with attributes": with_attributes(Sum([1, 2]), total=3),
    "dict with attributes": with_attributes(Table(a=1), name="x"),
    "plain": Plain(a=1, b=Plain(c=2)),
    "numpy scalars": [np.float64(1), np.int8(2), np.bool_(True), np.datetime64("2024-01-01")],
    "random generator": np.random.default_rng(5).bit_generator.state,
    "many": list(range(2000)),
    "many texts": {f"k{number}": str(number) for number in range(300)},
}


@pytest.mark.parametrize("obj", ORDINARY.values(), ids=ORDINARY)
def test_what_pickle_can(obj: Any) -> None:
    check_round_trip(
        obj, same=as_pickle, depths=("itself", "list", "closure"), carriers=("bytes", "zmq.Frame")
    )
    assert len(serialize_object(obj)) == 1


def as_pickle(sent: Any, got: Any, *, writeable: str) -> None:
    try:
        assert_equal(sent, got, writeable=writeable)
    except AssertionError:  # errors and random states compare by identity: all that is in them counts
        assert type(sent) is type(got)
        assert repr(sent) == repr(got)
        assert pickle.dumps(sent, 5) == pickle.dumps(got, 5)


LARGER = {
    "dict of arrays": {"a": LARGE, "b": [np.arange(3), np.ones((60, 70)).T]},
    "dataclass": Point(LARGE, Frozen(b"x" * 5000)),
    "slots": OnlySlots(Slotted(LARGE)),
    "slots and dict": with_attributes(SlotsAndDict(LARGE), more=LARGE[5:10]),
    "own state": Stateful({"a": LARGE}),
    "deque": collections.deque([LARGE, b"x" * 2000]),
    "defaultdict": collections.defaultdict(list, {"a": [LARGE]}),
    "key": {b"k" * 2000: 1, (b"l" * 5000, 2): 3},
    "list with attributes": with_attributes(Sum([LARGE]), total=LARGE),
    "namespace": types.SimpleNamespace(a=LARGE),
    "error": ValueError("text"),
    "named tuple": Pair(LARGE, [Pair(1)]),
    "mixed": [
        LARGE,
        5,
        "text",
        b"x" * 70_000,
        bytearray(2000),
        memoryview(b"y" * 3000),
        stdarray.array("d", range(500)),
    ],
}


@pytest.mark.parametrize("obj", LARGER.values(), ids=LARGER)
def test_memory_in_what_pickle_can(obj: Any) -> None:
    if not isinstance(obj, ValueError):
        check_round_trip(obj)


def test_pandas() -> None:
    pd = pytest.importorskip("pandas")
    index = pd.date_range("2024-01-01", periods=2000, freq="h", tz="UTC")
    numbers = pd.DataFrame(
        {"a": np.arange(2000.0), "b": np.arange(2000), "c": np.arange(2000) % 2 == 0}, index=index
    )
    texts = pd.DataFrame({"s": ["größe", None, "x"] * 700, "n": range(2100)})
    frames = {
        "numbers": numbers,
        "texts": texts,
        "categories": texts.astype({"s": "category"}),
        "series": numbers["a"],
        "slice": numbers.iloc[100:1500:2],
        "several": {"k": [numbers, texts]},
        "extension": pd.DataFrame(
            {"i": pd.array([1, None, 3] * 500, dtype="Int64"), "p": pd.period_range("2024", periods=1500)}
        ),
        "index": index,
        "multi": numbers.set_index(["a", "b"]),
        "interval": pd.cut(pd.Series(range(300)), 5),
    }
    for name, frame in frames.items():
        got = deserialize_object([bytearray(part) for part in serialize_object(frame)])[0]
        if isinstance(frame, dict):
            assert all(one.equals(other) for one, other in zip(frame["k"], got["k"], strict=True))
            continue
        assert type(got) is type(frame), name
        assert got.equals(frame), name
        assert getattr(got, "dtypes", None) is None or np.all(got.dtypes == frame.dtypes), name
    sent = serialize_object(numbers)
    own = [numbers[column].to_numpy() for column in numbers] + [index.asi8]
    check_uncopied(own, sent)


# -- frames of every kind, chains, splits ----------------------------------------------------------------

CHAIN: list[Any] = [
    5,
    LARGE,
    {"a": [LARGE, b"x" * 5000]},
    "text",
    b"y" * 70_000,
    [],
    np.arange(3),
    lambda: LARGE,
    None,
]


def chain() -> list[Any]:
    return [frame for obj in CHAIN for frame in serialize_object(obj)]


@pytest.mark.parametrize("carrier", [*CARRIERS, "tuple", "generator"])
def test_objects_chained_in_one_message_come_back_one_by_one(carrier: str) -> None:
    convert = CARRIERS[carrier][0] if carrier in CARRIERS else bytes
    remaining: Any = [convert(frame) for frame in chain()]
    if carrier == "tuple":
        remaining = tuple(remaining)
    if carrier == "generator":
        remaining = iter(remaining)
    got = []
    while remaining:
        obj, remaining = deserialize_object(remaining)
        assert isinstance(remaining, list)
        got.append(obj)
    for one, other in zip(CHAIN[:-2], got[:-2], strict=True):
        assert_equal(one, other)
    assert np.array_equal(got[-2](), LARGE)
    assert got[-1] is None


def test_what_remains_is_what_came() -> None:
    frames = chain()
    _, rest = deserialize_object(frames)
    assert len(rest) == len(frames) - 1
    assert all(one is other for one, other in zip(rest, frames[1:], strict=True))
    assert len(frames) == len(chain())  # the list that was given is as it was


@pytest.mark.parametrize("convert", [bytes, bytearray, zmq.Frame])
def test_split_cuts_and_unpickles_nothing(convert: Any) -> None:
    parts = split([convert(bytes(frame)) for frame in [*chain(), *serialize_object([Trace(), LARGE])]])
    assert [len(part) for part in parts] == [1, 2, 2, 1, 2, 1, 1, 2, 1, 2]
    assert Trace.calls == []
    assert_equal(CHAIN[2], deserialize_object(parts[2])[0])
    assert split([]) == []


def test_split_says_that_a_message_is_cut() -> None:
    with pytest.raises(DeserializationError, match="cut"):
        split(chain()[:2])


def test_no_frames_give_an_error() -> None:
    for frames in ([], (), iter(())):
        with pytest.raises(DeserializationError, match="no frame"):
            deserialize_object(frames)


@pytest.mark.parametrize(
    "frames", [[5], ["text"], [None], [object()], [LARGE[::2]]], ids=lambda frames: type(frames[0]).__name__
)
def test_what_is_no_frame_is_said_to_be_none(frames: Any) -> None:
    with pytest.raises((TypeError, DeserializationError)):
        deserialize_object(frames)


@pytest.mark.parametrize(
    "frame", [b"", b"x", b"not a pickle at all", bytes(100), b"\x80\x05", b"."], ids=repr
)
def test_what_is_no_message_is_said_to_be_none(frame: bytes) -> None:
    for convert in (bytes, bytearray, memoryview):
        with pytest.raises(DeserializationError):
            deserialize_object([convert(frame)])


# -- plain pickles ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
def test_a_plain_pickle_is_a_message(protocol: int) -> None:
    obj = {"a": [1, 2.5, "x"], "b": b"y" * 3000, "c": LARGE}
    frames = [pickle.dumps(obj, protocol), b"what follows"]
    got, rest = deserialize_object(frames)
    assert_equal(obj, got)
    assert rest == [b"what follows"]
    assert split([frames[0], frames[0]]) == [[frames[0]], [frames[0]]]


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview, zmq.Frame])
def test_a_plain_pickle_with_out_of_band_buffers(convert: Any) -> None:
    buffers: list[pickle.PickleBuffer] = []
    header = pickle.dumps([LARGE, np.ones((30, 40), order="F")], 5, buffer_callback=buffers.append)
    frames = [convert(header), *(convert(bytes(buffer.raw())) for buffer in buffers), convert(b"next")]
    got, rest = deserialize_object(frames)
    assert_equal([LARGE, np.ones((30, 40), order="F")], got)
    assert len(rest) == 1
    with pytest.raises(DeserializationError):
        deserialize_object(frames[:2])


def test_pickle_itself_reads_what_names_nothing_of_ours() -> None:
    obj = {"a": [1, "x"], "b": Point(1), "c": b"small"}
    [frame] = serialize_object(obj)
    assert pickle.loads(frame) == obj


# -- calls -----------------------------------------------------------------------------------------------


def test_calls() -> None:
    frames = pack_apply_message(double, [LARGE], {})
    check_uncopied(LARGE, frames)
    f, args, kwargs = unpack_apply_message(frames)
    assert f is double
    assert type(args) is tuple
    assert_equal((LARGE,), args, writeable="at most")
    assert kwargs == {}
    calls: list[tuple[Any, ...]] = [
        (max, [[3, 4]], {"default": 0}),
        (lambda x, y=2: x + y, (1,), {"y": 5}),
        (dict, (), {"a": LARGE}),
        (print,),
        (len, ([1],)),
        (divmod, iter((7, 2)), None),
    ]
    for f, *rest in calls:
        frames = [bytes(frame) for frame in pack_apply_message(f, *rest)]
        got, args, kwargs = unpack_apply_message(frames)
        assert (got is f) or got(1, 2) == f(1, 2)
        assert type(args) is tuple
        assert type(kwargs) is dict


def test_calls_share_memory_and_take_options() -> None:
    frames = pack_apply_message(
        max, (LARGE, LARGE[10:20]), {"key": memoryview(b"x" * 200)}, buffer_threshold=100
    )
    assert sorted(map(len, frames[1:])) == [200, 40_000]
    _, args, kwargs = unpack_apply_message([bytes(frame) for frame in frames], writable=True)
    assert args[0].flags.writeable
    assert np.shares_memory(*args)
    assert kwargs["key"] == b"x" * 200


NOT_CALLS = [
    serialize_object((max, (), {})),
    serialize_object(5),
    [pickle.dumps((max, (), {}))],
    pack_apply_message(max, ()) + pack_apply_message(max, ()),
    [*pack_apply_message(max, ()), b"more"],
    serialize_object(LARGE),
]


@pytest.mark.parametrize("frames", NOT_CALLS)
def test_what_is_not_one_call(frames: Any) -> None:
    with pytest.raises(DeserializationError, match="not a call"):
        unpack_apply_message(frames)


def test_prepickled_parts_of_calls() -> None:
    data, function = PrePickled(LARGE), PrePickled(double)
    f, args, kwargs = unpack_apply_message(pack_apply_message(function, (data, [data]), {"k": data}))
    assert f is double
    for one in (args[0], args[1][0], kwargs["k"]):
        assert_equal(LARGE, one)


# -- options ---------------------------------------------------------------------------------------------


def test_unknown_options_are_type_errors() -> None:
    frames = serialize_object(5)
    for call in (
        lambda: Serializer(speed="high"),
        lambda: Serializer().evolve(speed="high"),
        lambda: serialize_object(5, speed="high"),
        lambda: deserialize_object(frames, speed="high"),
        lambda: pack_apply_message(max, speed="high"),
        lambda: unpack_apply_message(frames, speed="high"),
        lambda: dumps(5, speed="high"),
        lambda: loads(dumps(5), speed="high"),
        lambda: Serializer(None),
    ):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize(
    "options",
    [{"pickler": "marshal"}, {"trust": "everyone"}, {"buffer_threshold": 0}, {"buffer_threshold": -5}],
)
def test_options_that_make_no_sense_are_value_errors(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options)))):
        Serializer(**options)


def test_serializers_travel_as_their_options() -> None:
    assert loads(dumps(canning.serialize_object), trust="code") == canning.serialize_object
    assert loads(dumps(canning.default_serializer), trust="code") is canning.default_serializer
    other = Serializer(buffer_threshold=77, allow={"tests.samples.Point"}, limits=canning.Limits(depth=9))
    for got in (loads(dumps([other]), trust="code")[0], pickle.loads(pickle.dumps(other)), copy.copy(other)):
        names = SerializerOptions.__annotations__
        assert [getattr(got, name) for name in names] == [getattr(other, name) for name in names]
        assert got.registry is canning.default_registry
    with pytest.raises(SerializationError, match="registry"):
        dumps(Serializer(registry=Registry()))


class Consumed:
    """Gives its state away once, and then fails as nothing that travels by value does."""

    asked = 0

    def __reduce__(self) -> Any:
        type(self).asked += 1
        raise ValueError("gone")


def test_what_fails_for_a_reason_of_its_own_is_not_tried_by_value() -> None:
    asked = []
    for pickler in ("pickle", "auto"):
        Consumed.asked = 0
        with pytest.raises(SerializationError, match="ValueError"):
            serialize_object([Consumed()], pickler=pickler)
        asked.append(Consumed.asked)
    assert asked[0] == asked[1]


def test_a_serializer_is_immutable() -> None:
    serializer = Serializer()
    for name in ("pickler", "buffer_threshold", "writable", "registry", "trust", "speed"):
        with pytest.raises(AttributeError):
            setattr(serializer, name, 1)
    with pytest.raises(AttributeError):
        del serializer.pickler
    assert serializer.pickler == "auto"


def test_evolving_makes_another() -> None:
    one = Serializer(buffer_threshold=100)
    other = one.evolve(writable=True)
    assert (one.writable, other.writable, other.buffer_threshold) == (False, True, 100)
    assert one.evolve() is one
    assert "buffer_threshold=100" in repr(other)
    assert one.registry is other.registry is canning.default_registry


def test_options_of_one_call_do_not_last() -> None:
    serializer = Serializer()
    assert len(serializer.serialize_object([np.ones(63)], buffer_threshold=100)) == 2
    assert len(serializer.serialize_object([np.ones(63)], 100)) == 2
    assert len(serializer.serialize_object([np.ones(63)])) == 1


def test_the_functions_of_the_module_are_the_methods_of_the_default() -> None:
    for name in ("serialize_object", "deserialize_object", "pack_apply_message", "unpack_apply_message"):
        assert getattr(canning, name).__self__ is canning.default_serializer


def test_all_that_is_promised_is_there() -> None:
    assert sorted(canning.__all__, key=str.lower) == sorted(set(canning.__all__), key=str.lower)
    for name in canning.__all__:
        assert getattr(canning, name) is not None


# -- one serializer, many messages -----------------------------------------------------------------------


def test_messages_do_not_depend_on_those_before() -> None:
    objects = [5, LARGE, [LARGE, LARGE[3:5]], lambda: LARGE, b"x" * 5000, [b"x" * 5000], Point(LARGE), "text"]
    serializer = Serializer()
    first = [list(map(bytes, serializer.serialize_object(obj))) for obj in objects]
    again = [list(map(bytes, serializer.serialize_object(obj))) for obj in reversed(objects)]
    assert [len(frames) for frames in first] == [len(frames) for frames in reversed(again)]
    for number in (0, 1, 2, 4, 5, 6, 7):
        assert first[number] == again[-1 - number]


def test_a_failure_leaves_no_trace() -> None:
    serializer = Serializer()
    before = list(map(bytes, serializer.serialize_object([LARGE, b"x" * 5000])))
    for bad in (
        [LARGE, threading.Lock()],
        [b"y" * 5000, b"z" * 70_000, threading.Lock()],
        [lambda: 1, threading.Lock()],
    ):
        with pytest.raises(canning.SerializationError):
            serializer.serialize_object(bad)
    assert list(map(bytes, serializer.serialize_object([LARGE, b"x" * 5000]))) == before


def test_serializing_within_serializing() -> None:
    class Nested:
        def __reduce__(self) -> Any:
            return functools.partial(loads, trust="code"), (dumps([LARGE, lambda: 5]),)

    for serializer in (canning.default_serializer, Serializer()):
        got = serializer.deserialize_object(serializer.serialize_object([LARGE, Nested(), LARGE[3:9]]))[0]
        assert_equal(LARGE, got[1][0], writeable="at most")
        assert np.shares_memory(got[0], got[2])


def test_many_threads_on_one_serializer() -> None:
    serializer = Serializer()
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for number in range(40):
                array = np.full(2000, seed * 1000.0 + number)
                objects = [
                    array,
                    {"a": array, "v": array[5:9], "n": seed},
                    [b"%d" % seed * 800, give(array)],
                    seed,
                ]
                for obj in objects:
                    frames = [bytes(frame) for frame in serializer.serialize_object(obj)]
                    got = serializer.deserialize_object(frames)[0]
                    if isinstance(obj, list):
                        assert (got[0], got[1]()[0]) == (obj[0], array[0])
                    else:
                        assert_equal(obj, got)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[seed]) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"registry": None}, "registry= is a canning.Registry"),
        ({"limits": {}}, "limits= is a canning.Limits"),
        ({"buffer_threshold": 1.5}, "buffer_threshold= is a whole number of bytes"),
    ],
    ids=["registry", "limits", "threshold"],
)
def test_options_of_a_wrong_kind_are_found_at_once(options: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError, match=text):
        Serializer(**options)


@pytest.mark.parametrize("trust", ["code", "data"])
def test_a_blob_in_the_place_of_frames_is_said_to_be_one(trust: str) -> None:
    for blob in (canning.dumps(1), memoryview(canning.dumps(1)), "text"):
        with pytest.raises(TypeError, match=r"one blob.*canning\.loads"):
            canning.deserialize_object(blob, trust=trust)


@pytest.mark.parametrize("mode", ["r", "w", "x", "a", "r+"])
@pytest.mark.parametrize(
    "wrap", [lambda f: f, lambda f: {"log": [f]}, lambda f: lambda: f], ids=["it", "in", "by"]
)
def test_open_files_are_not_sent(tmp_path: Path, mode: str, wrap: Any) -> None:
    path = tmp_path / "file.txt"
    if mode != "x":
        path.write_text("content")
    with open(path, mode) as file, pytest.raises(SerializationError, match="open text file"):
        canning.serialize_object(wrap(file))


def test_options_of_a_call_are_made_once_where_they_say_all(tmp_path: Any) -> None:
    serializer = Serializer()
    for options in ({"buffer_threshold": 2000}, {"trust": "data", "writable": True}, {"key": b"k" * 32}):
        assert serializer.evolve(**options) is serializer.evolve(**options)
    path = tmp_path / "key"
    for options in (
        {"key": str(path)},
        {"codec": "lz4"},
        {"allow": "tests.samples.Point"},
        {"by_value": "local"},
    ):
        path.write_bytes(canning.new_key())
        path.chmod(0o600)
        assert serializer.evolve(**options) is not serializer.evolve(**options)
    keys = []
    for _ in range(2):
        path.write_bytes(canning.new_key())
        keys.append(serializer.evolve(key=str(path)).serialize_object(1))
    assert keys[0] != keys[1]


def test_options_that_are_equal_may_not_be_the_same() -> None:
    serializer = Serializer()
    assert serializer.evolve(buffer_threshold=1).buffer_threshold == 1
    assert serializer.evolve(writable=True).writable
    with pytest.raises(TypeError, match="a whole number of bytes"):
        serializer.evolve(buffer_threshold=1.0)
    for number in range(100):
        assert serializer.evolve(buffer_threshold=number + 1).buffer_threshold == number + 1
    assert len(serializer._evolved) < 20
