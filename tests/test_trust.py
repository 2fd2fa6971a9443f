"""Plain data under trust="data": the same as under trust="code", and nothing else, whatever arrives."""

from __future__ import annotations

import array
import collections
import copyreg
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import gc
import importlib
import os
import pathlib
import pickle
import struct
import sys
import uuid
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, Limits, Registry, Serializer
from canning.wire.trailer import CALL, pack

DATA = Serializer(trust="data")
MATRIX = np.arange(6000.0).reshape(60, 100)


@dataclasses.dataclass
class Point:
    x: int
    where: Any = None

    def __post_init__(self) -> None:
        raise AssertionError("a reader of plain data calls no code of the class")

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("a reader of plain data calls no code of the class")


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int


Pair = collections.namedtuple("Pair", "a b")


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Wild(enum.Enum):
    ONE = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise AssertionError("a reader of plain data calls no code of the class")


class Loud:
    """Would run code where it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("/nowhere/at/all",)


PLAIN = [
    *(
        None,
        True,
        False,
        0,
        -1,
        255,
        256,
        65535,
        65536,
        2**31,
        -(2**31),
        2**200,
        -(2**200),
        1.5,
        float("inf"),
        1j,
    ),
    *("", "é", "s" * 300, "s" * 70_000, "\ud800", b"", b"x" * 10, b"y" * 2000, b"z" * 70_000),
    *(
        bytearray(b"q"),
        bytearray(5000),
        [],
        [1, [2]],
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3, 4),
        {},
        {1: {"a": 2}},
    ),
    *(set(), {1, "a"}, frozenset({(1, 2)}), {(1, "a"): 1, None: 2, 1.5: 3, b"k": 4}),
    *(
        np.arange(3),
        np.zeros((0, 3)),
        np.array(5.0),
        MATRIX,
        MATRIX.T,
        MATRIX[:, ::2],
        MATRIX[::-1],
        MATRIX[3],
    ),
    *(np.broadcast_to(MATRIX[0], (5, 100)), np.zeros(3, "M8[25s]"), np.zeros(3000, ">f4"), np.zeros(3, "U5")),
    np.zeros(500, [("a", "i4"), (("title", "b"), "f8", (2,)), ("c", [("d", "S3")])]),
    *(np.zeros(3, np.dtype([("a", "i1"), ("b", "f8")], align=True)), np.zeros((1, 2)).view(np.matrix)),
    np.rec.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
    *(
        np.ma.array([1.0, 2.0], mask=[True, False]),
        np.ma.array([1, 2]),
        np.array(["a", "b"], np.dtypes.StringDType()),
    ),
    *(
        np.float32(2),
        np.datetime64("2020-01-01"),
        np.bytes_(b"a"),
        np.str_("b"),
        np.dtype("f4"),
        np.bool_(True),
    ),
    *(dt.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC), dt.datetime(2020, 1, 2, fold=1), dt.date(1, 1, 1)),
    *(dt.time(23, 59, 59, 999_999, fold=1), dt.time(1, tzinfo=dt.UTC), dt.timedelta(-1, 2, 3)),
    *(dt.timezone(dt.timedelta(hours=1), "name"), decimal.Decimal("-1.50e10"), decimal.Decimal("sNaN12")),
    *(
        decimal.Decimal("-Infinity"),
        fractions.Fraction(-1, 3),
        uuid.UUID(int=5),
        range(1, 9, 2),
        slice(None, 3),
    ),
    *(
        collections.OrderedDict(b=1, a=2),
        collections.deque([1, [2]], 5),
        collections.deque(),
        pathlib.PurePosixPath("a/b"),
    ),
    *(
        pathlib.Path("/a/b"),
        memoryview(b"abc"),
        memoryview(MATRIX),
        array.array("d", [1, 2]),
        array.array("h"),
    ),
    {dt.date(2020, 1, 1): 1, uuid.UUID(int=1): 2, range(3): 3, decimal.Decimal(1): 4, np.float64(2.5): 5},
]


@pytest.mark.parametrize("obj", PLAIN, ids=lambda obj: type(obj).__name__)
def test_plain_data_arrives_as_under_trust_code(obj: Any) -> None:
    frames = canning.serialize_object([obj, obj])
    got, rest = DATA.deserialize_object(frames)
    expected = canning.deserialize_object(frames)[0]
    assert rest == []
    assert type(got[0]) is type(expected[0])
    assert repr(got) == repr(expected) or isinstance(obj, memoryview)
    assert (got[0] is got[1]) == (expected[0] is expected[1])
    if isinstance(obj, memoryview):
        assert got[0] == obj
    if isinstance(obj, np.ndarray):
        assert got[0].strides == expected[0].strides
        assert got[0].flags.writeable == expected[0].flags.writeable
        assert got[0].flags.aligned


def test_cycles_and_shared_memory_arrive() -> None:
    loop: list[Any] = [1]
    loop.append({"self": loop})
    base = np.arange(5000.0)
    got, views, overlap = DATA.deserialize_object(canning.serialize_object((loop, base, base[10:20])))[0]
    assert got[1]["self"] is got
    assert np.shares_memory(views, overlap)


def test_a_plain_pickle_with_out_of_band_buffers_is_read_too() -> None:
    buffers: list[Any] = []
    head = pickle.dumps([1, pickle.PickleBuffer(bytearray(b"abc"))], 5, buffer_callback=buffers.append)
    got, rest = DATA.deserialize_object([head, *buffers])
    assert bytes(got[1]) == b"abc"
    assert rest == []


@pytest.mark.parametrize(
    ("obj", "asked"),
    [
        (os.system, "system"),
        (Loud(), "mkdir"),
        (lambda: 1, "a function by value"),
        (Pair(1, 2), "Pair"),
        (Colour.RED, "Colour"),
        (SyntaxError("x"), "SyntaxError"),
        (int, "int"),
        (np.random.default_rng(0), "random"),
        (canning.Reference("a.b"), "a name in the reader's namespace"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_plain_data_is_refused_by_name(
    obj: Any, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other packages (tblib, which comes with distributed) may have told copyreg how exceptions are reduced.
    monkeypatch.delitem(copyreg.dispatch_table, type(obj), raising=False)
    with pytest.raises(DeserializationError, match=rf'{asked}.*trust="code"'):
        DATA.deserialize_object(canning.serialize_object([obj]))


def made_point() -> Point:
    point = object.__new__(Point)
    point.x, point.where = 1, [2, MATRIX]
    return point


@pytest.mark.parametrize(
    ("obj", "allow"),
    [
        (made_point(), {Point}),
        (made_point(), {f"{Point.__module__}.Point"}),
        (Frozen(3), {Frozen}),
        (Pair(1, [2]), {Pair}),
        (Colour.BLUE, {Colour}),
        (Wild.ONE, {Wild}),
    ],
)
def test_allowed_classes_are_made_field_by_field(obj: Any, allow: set[Any]) -> None:
    got = Serializer(trust="data", allow=allow).deserialize_object(canning.serialize_object([obj, obj]))[0]
    assert type(got[0]) is type(obj)
    assert got[0] is got[1]
    if isinstance(obj, Point):
        assert got[0].x == 1
        assert np.array_equal(got[0].where[1], MATRIX)
    else:
        assert got[0] == obj


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2
    FOUR = 4


class OwnRights(enum.Flag):
    READ = 1
    WRITE = 2

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise AssertionError("a reader of plain data calls no code of the class")


class Place(Pair):
    __slots__ = ()


@dataclasses.dataclass
class Counted:
    x: int
    count: int = dataclasses.field(default=3, init=False)
    seen: list[int] = dataclasses.field(default_factory=list, init=False)


@pytest.mark.parametrize(
    "obj", [Rights.READ, Rights.READ | Rights.RUN, Rights(0), Rights(7), Bits(3), Bits(8), Bits(0)], ids=str
)
def test_flags_arrive_combined(obj: Any) -> None:
    got, _ = Serializer(trust="data", allow=[Rights, Bits]).deserialize_object(
        canning.serialize_object([obj])
    )
    assert got == [obj]
    assert type(got[0]) is type(obj)


def test_flags_are_combined_by_no_code_of_theirs_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def message(cls: type, value: int) -> list[bytes]:
        return [
            b"\x80\x05c"
            + f"{cls.__module__}\n{cls.__qualname__}\n".encode()
            + b"J"
            + struct.pack("<i", value)
            + b"\x85R."
        ]

    reader = Serializer(trust="data", allow=[Rights, OwnRights, Bits])
    with pytest.raises(DeserializationError, match="own way"):
        reader.deserialize_object(message(OwnRights, 3))
    with pytest.raises(DeserializationError, match="no flags"):
        reader.deserialize_object(message(Rights, 8))
    monkeypatch.setattr("canning.types.allowed._COMBINATIONS", len(Bits._value2member_map_) + 1)
    assert reader.deserialize_object(message(Bits, 5))[0] == 5
    with pytest.raises(DeserializationError, match="new here"):
        reader.deserialize_object(message(Bits, 6))
    assert reader.deserialize_object(message(Bits, 5))[0] == 5


def test_subclasses_of_named_tuples_and_fields_that_nobody_sets() -> None:
    objects = [Place(1, [2]), Counted(1)]
    got, _ = Serializer(trust="data", allow=[Place, Counted]).deserialize_object(
        canning.serialize_object(objects)
    )
    assert got == objects
    assert type(got[0]) is Place
    assert "count" not in vars(got[1])


def test_allow_takes_only_classes_of_fields() -> None:
    with pytest.raises(TypeError, match="data=True"):
        Serializer(allow=[dict])
    with pytest.raises(TypeError, match="dotted names"):
        Serializer(allow=[3])  # type: ignore[list-item]


class Shy:
    def __set__(self, obj: Any, value: Any) -> None:
        raise AssertionError("a reader of plain data calls no code of the class")


@dataclasses.dataclass
class Proper:
    x: Any = Shy()


def test_allow_takes_no_fields_that_run_code() -> None:
    with pytest.raises(TypeError, match=r"Proper\.x is a descriptor"):
        Serializer(allow=[Proper])
    with pytest.raises(TypeError, match=r"Proper\.x is a descriptor"):
        Serializer(allow=[f"{Proper.__module__}.Proper"])


def test_a_class_that_is_imported_later_is_looked_at_then(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"from {Proper.__module__} import Proper as Base\nclass Late(Base): pass\n"
    (tmp_path / "imported_later.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    reader = Serializer(trust="data", allow=["imported_later.Late"])
    body = b"\x80\x05" + op_text("imported_later") + op_text("Late") + b"\x93)\x81."
    with pytest.raises(DeserializationError, match="not imported here"):
        reader.deserialize_object([body])
    importlib.import_module("imported_later")
    with pytest.raises(DeserializationError, match="descriptor"):
        reader.deserialize_object([body])


class Odd(enum.Enum):
    ONE = 1

    def __hash__(self) -> int:
        raise AssertionError("a reader of plain data calls no code of the class")


def test_allowed_classes_with_a_hash_of_their_own_are_no_keys() -> None:
    reader = Serializer(trust="data", allow=[Colour, Odd, Pair])
    obj = {Colour.RED: 1, Pair(1, Colour.BLUE): 2}
    assert reader.deserialize_object(canning.serialize_object(obj))[0] == obj
    odd = op_text(Odd.__module__) + op_text("Odd") + b"\x93K\x01\x85R"
    assert reader.deserialize_object([b"\x80\x05" + odd + b"."])[0] is Odd.ONE
    with pytest.raises(DeserializationError, match="a key of type Odd"):
        reader.deserialize_object([b"\x80\x05}" + odd + b"K\x01s."])


@pytest.mark.parametrize("obj", [1, (1, 2), (1, (), [], 4), (max, [], {})], ids=repr)
@pytest.mark.parametrize("trust", ["code", "data"])
def test_what_only_says_that_it_is_a_call_is_refused(obj: Any, trust: str) -> None:
    body = pickle.dumps(obj, 5)
    with pytest.raises(DeserializationError):
        canning.unpack_apply_message([pack(body, len(body), [], flags=CALL)], trust=trust)


def test_bytes_behind_the_pickle_are_refused() -> None:
    for body in (pickle.dumps([1], 5) * 2, pickle.dumps([1], 5) + b"x."):
        with pytest.raises(DeserializationError, match="follow"):
            DATA.deserialize_object([body])
        with pytest.raises(DeserializationError, match="follow"):
            DATA.deserialize_object([pack(body, len(body), [])])


def test_an_allowed_name_that_is_not_imported_is_not_imported() -> None:
    body = b"\x80\x05cxmlrpc.server\nThing\n)\x81."
    with pytest.raises(DeserializationError, match="not imported"):
        Serializer(trust="data", allow={"xmlrpc.server.Thing"}).deserialize_object([body])
    assert "xmlrpc.server" not in sys.modules


def test_registered_decoders_need_data_true() -> None:
    registry = Registry()
    registry.register(complex, can=lambda z: [z.real, z.imag], uncan=lambda parts: complex(*parts))
    frames = Serializer(registry=registry).serialize_object([2j])
    reader = Serializer(registry=registry, trust="data")
    with pytest.raises(DeserializationError, match="data=True"):
        reader.deserialize_object(frames)
    registry.register(complex, can=lambda z: [z.real, z.imag], uncan=lambda parts: complex(*parts), data=True)
    assert reader.deserialize_object(frames)[0] == [2j]


def op_text(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def call(module: str, name: str, args: bytes) -> bytes:
    return op_text(module) + op_text(name) + b"\x93" + args + b"R"


LAUGHS = b"".join(b"h%ch%c\x86\x940" % (n, n) for n in range(60))
COLLIDE = b"".join(
    b"(" + b"".join(b"J" + struct.pack("<i", -1 - (number >> bit & 1)) for bit in range(12)) + b"t\x94K\x01"
    for number in range(1000)
)
BIG = 2**61 - 1
HOSTILE = {
    "deep tuples as a key": b"}" + b")" + b"\x85" * 100_000 + b"K\x01s.",
    "a key of 2**60 values": b"K\x01\x85\x940" + LAUGHS + b"}h\x3cK\x01s.",
    "keys of one hash": b"}(" + COLLIDE + b"u.",
    "ints of one hash": b"}("
    + b"".join(b"\x8a\x0c" + (BIG * n).to_bytes(12, "little", signed=True) + b"N" for n in range(1, 2000))
    + b"u.",
    "memo of 4 GB from 7 bytes": b"N" + b"r\xff\xff\xff\xff.",
    "get of nothing": b"j\xff\xff\xff\xff.",
    "bytes of 2**60": b"\x8e" + struct.pack("<Q", 1 << 60) + b".",
    "int of 2**31 bytes": b"\x8b" + struct.pack("<i", -1) + b".",
    "int of 1 MB": b"\x8b" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b".",
    "persistent id": b"K\x01Q.",
    "inst": b"(S'x'\nios\nsystem\n.",
    "obj": b"(cos\nsystem\nS'x'\no.",
    "extension": b"\x82\x01.",
    "newobj_ex": b"cos\nsystem\n)}\x92.",
    "class in a list": b"]cuuid\nUUID\na.",
    "class as the object": b"cuuid\nUUID\n.",
    "arguments with a class in a list": b"]cuuid\nUUID\n\x85a.",
    "build on a list": b"]}b.",
    "build on an array": call(
        "canning.calls", "array", b"(C\x08" + bytes(8) + b"K\x01\x85" + op_text("<f8") + b"t"
    )
    + b"}b.",
    "uuid without state": b"cuuid\nUUID\n)\x81.",
    "uuid of 2**200": b"cuuid\nUUID\n)\x81}" + op_text("int") + b"\x8a\x1a" + b"\x01" * 26 + b"sb.",
    "fraction of 10**999999999": call("fractions", "Fraction", op_text("1e999999999") + b"\x85") + b".",
    "array larger than its bytes": call(
        "canning.calls",
        "array",
        b"(C\x08" + bytes(8) + b"\x8a\x08" + struct.pack("<q", 1 << 60) + b"\x85" + op_text("<f8") + b"t",
    )
    + b".",
    "array before its bytes": call(
        "canning.calls",
        "array",
        b"(C\x08"
        + bytes(8)
        + b"K\x01\x85"
        + op_text("<f8")
        + b"J"
        + struct.pack("<i", -64)
        + b"K\x08\x85\x86t",
    )
    + b".",
    "a buffer that is not there": call("canning.calls", "array", b"(K\x05K\x01\x85" + op_text("<f8") + b"t")
    + b".",
    "an array of objects": call(
        "canning.calls", "array", b"(C\x08" + bytes(8) + b"K\x01\x85" + op_text("|O") + b"t"
    )
    + b".",
    "a dtype by numpy's own grammar": call("canning.calls", "dtype", op_text("f8,(9999,9999)O") + b"\x85")
    + b".",
    "numpy's own reconstruction": call("numpy", "ndarray", b"(K\x01\x85t") + b".",
    "getattr": call("builtins", "getattr", b")") + b".",
    "eval": call("builtins", "eval", op_text("1") + b"\x85") + b".",
    "a dotted name": call("os", "path.join", b")") + b".",
    "two objects": b"K\x01K\x02.",
    "no object": b".",
    "an open mark": b"(K\x01.",
    "pop below a mark": b"K\x01(00.",
    "a set of lists": b"\x8f(]\x90.",
    "nesting of 100,000 lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "a longer protocol": b"\x80\x06K\x01.",
    "the empty header": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.timeout(20)
def test_hostile_headers_are_refused(body: bytes) -> None:
    body = b"\x80\x05" + body
    with pytest.raises(DeserializationError):
        DATA.deserialize_object([pack(body, len(body), [])])
    if not body.endswith(b"."):
        return
    with pytest.raises(DeserializationError):
        DATA.deserialize_object([body])


@pytest.mark.parametrize(
    ("limits", "obj"),
    [
        (Limits(nodes=100), list(range(200))),
        (Limits(depth=5), [[[[[[[1]]]]]]]),
        (Limits(memo=10), [[], [], [], [], [], [], [], [], [], [], []]),
        (Limits(integer_bytes=4), 2**64),
        (Limits(frames=2), [np.zeros(1000), np.zeros(1000)]),
        (Limits(message_bytes=1000), "x" * 2000),
        (Limits(key_weight=3), {(1, 2, 3, 4): 5}),
    ],
    ids=lambda value: "" if not isinstance(value, Limits) else str(value)[:0],
)
def test_limits_are_kept(limits: Limits, obj: Any) -> None:
    frames = canning.serialize_object(obj)
    DATA.deserialize_object(frames)
    with pytest.raises(DeserializationError, match="limit"):
        Serializer(trust="data", limits=limits).deserialize_object(frames)


def test_memory_is_not_copied_again_and_again() -> None:
    """One buffer of 1 MB, named 2,000 times by a header of 60 KB."""
    one = call("canning.calls", "raw", b"K\x00\x88\x86")
    body = b"\x80\x05](" + one * 2000 + b"e."
    payload = bytes(1 << 20)
    with pytest.raises(DeserializationError, match="more memory"):
        DATA.deserialize_object([pack(body, len(body), [len(payload)]), payload])


@pytest.mark.parametrize("head", [b'{"a": 1}', b"\x00abcd", b"# text"])
def test_what_is_neither_a_header_nor_a_pickle_is_said_to_be(head: bytes) -> None:
    with pytest.raises(DeserializationError, match="neither a header of canning's nor a pickle"):
        canning.deserialize_object([head], trust="data")


@pytest.mark.parametrize(
    "local",
    [type("Local", (), {"__module__": "__main__"})(), enum.Enum("Color", "RED", module="__main__").RED],  # type: ignore[attr-defined]
)
def test_a_class_by_value_is_said_to_be_one(local: object) -> None:
    said = r"^obj: .*the class (Local|Color) by value .*module that both sides import"
    with pytest.raises(DeserializationError, match=said):
        canning.deserialize_object(canning.serialize_object(local), trust="data")


def test_a_refusal_has_its_path() -> None:
    blob = canning.dumps({"a": [1, {"b": print}]})
    with pytest.raises(DeserializationError, match=r"^obj\['a'\]\[1\]\['b'\]: this message needs") as caught:
        canning.loads(blob)
    assert caught.value.path == "obj['a'][1]['b']"
    long = canning.dumps([list(range(10_000)), print])  # its search would take too long
    with pytest.raises(DeserializationError, match=r"^this message needs") as caught:
        canning.loads(long)
    assert caught.value.path is None


@pytest.mark.parametrize(
    ("pickled", "way"),
    [
        (pickle.dumps(np.ones(3), 4), "let its sender write it with canning"),
        (pickle.dumps(np.ones(3), 5), "let its sender write it with canning"),
        (pickle.dumps(np.ma.ones(3)), "let its sender write it with canning"),
        (pickle.dumps(np.float64(3)), "let its sender write it with canning"),
        (b"c__main__\nPoint\n)\x81.", "move it to a module that both sides import"),
        (pickle.dumps(np.sin), "data holds no functions and no classes, so let its sender send the name"),
        (pickle.dumps(int), "data holds no functions and no classes, so let its sender send the name"),
    ],
)
def test_the_safe_way_comes_first(pickled: bytes, way: str) -> None:
    with pytest.raises(DeserializationError, match=rf"^obj: this message needs [\w.]+ \([^)]*\): {way}"):
        canning.loads(pickled)


@pytest.mark.parametrize(
    "obj", [np.arange(5000.0), {"a": [np.arange(5000.0)], "b": {1, 2}}, np.array([{1: 2}, None])]
)
def test_what_was_read_is_gone_with_its_last_reference(obj: Any) -> None:
    """Memory that processes share is free again then, and not when the garbage collector comes by."""
    frames = canning.serialize_object(obj)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(100):
            canning.deserialize_object(frames, trust="data")
        assert len(gc.get_objects()) < before + 100
    finally:
        gc.enable()
