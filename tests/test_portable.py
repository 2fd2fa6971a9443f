"""Portable messages: what they may hold, what their JSON says of it, and that both halves say the same."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import struct
import sys
import threading
import uuid
import zlib
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import canning
from canning.pickles.trees import tree_of
from canning.wire.trailer import FOOTER, PORTABLE, SIGNATURE, TREE, extension, parse
from canning.writing.draft import frames as frames_of
from canning.writing.draft import join_small, split_large
from canning.writing.messages import write

from .harness import assert_equal
from .tree_reader import read

PORTABLE_ONE = canning.Serializer(portable=True)
LARGE = np.arange(1000.0)
CLOCK = dt.datetime(2024, 10, 27, 2, 30, 0, 5)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def tree(frames: list[Any]) -> Any:
    """Give the JSON of a message."""
    trailer = parse(frames[0])
    assert trailer is not None
    assert trailer.flags & PORTABLE
    told = json.loads(trailer.extensions[TREE])
    assert set(told) == {"portable", "object"}
    return told["object"]


# -- what the JSON says ----------------------------------------------------------------------------------

TOLD: list[tuple[Any, Any]] = [
    # object, its JSON
    (None, None),
    (True, True),
    (2**53 - 1, 2**53 - 1),
    (-(2**53), {"$": "int", "v": "-9007199254740992"}),
    (0.5, 0.5),
    (2.0, {"$": "float", "v": 2.0}),
    (-0.0, {"$": "float", "v": -0.0}),
    (float("inf"), {"$": "float", "v": "inf"}),
    (float("nan"), {"$": "float", "v": "nan"}),
    ("größe \0 \U0001f600", "größe \0 \U0001f600"),
    ("\ud800", "\ud800"),
    (b"abc", {"$": "bytes", "at": 16, "length": 3}),
    (bytes(70_000), {"$": "bytes", "buffer": 0}),
    (bytearray(70_000), {"$": "bytearray", "buffer": 0}),
    ([1, [2]], [1, [2]]),
    ((1,), {"$": "tuple", "items": [1]}),
    ({"a": 1, "__proto__": {}}, {"a": 1, "__proto__": {}}),
    ({"1": 2}, {"$": "dict", "items": ["1", 2]}),
    ({"$": 2}, {"$": "dict", "items": ["$", 2]}),
    ({1: 2, None: 3}, {"$": "dict", "items": [1, 2, None, 3]}),
    (frozenset("a"), {"$": "frozenset", "items": ["a"]}),
    (complex(1, float("nan")), {"$": "complex", "real": 1.0, "imag": "nan"}),
    (dt.date(2024, 1, 31), {"$": "date", "v": "2024-01-31"}),
    (CLOCK, {"$": "datetime", "v": "2024-10-27T02:30:00.000005"}),
    (
        CLOCK.replace(fold=1, tzinfo=BERLIN, microsecond=0),
        {
            "$": "datetime",
            "v": "2024-10-27T02:30:00",
            "fold": 1,
            "zone": {"$": "zoneinfo", "key": "Europe/Berlin"},
        },
    ),
    (dt.time(1, 2, 3), {"$": "time", "v": "01:02:03"}),
    (dt.timedelta(-1, 2, 3), {"$": "timedelta", "days": -1, "seconds": 2, "microseconds": 3}),
    (
        dt.timezone(dt.timedelta(hours=1), "X"),
        {
            "$": "timezone",
            "offset": {"$": "timedelta", "days": 0, "seconds": 3600, "microseconds": 0},
            "name": "X",
        },
    ),
    (decimal.Decimal("1.10"), {"$": "decimal", "v": "1.10"}),
    (decimal.Decimal("7" * 1200), {"$": "decimal", "v": "7" * 1200}),
    (
        dt.timezone(dt.timedelta(0), "X" * 1200),
        {
            "$": "timezone",
            "offset": {"$": "timedelta", "days": 0, "seconds": 0, "microseconds": 0},
            "name": "X" * 1200,
        },
    ),
    (fractions.Fraction(1, 3), {"$": "fraction", "v": "1/3"}),
    (uuid.UUID(int=5), {"$": "uuid", "v": "00000000-0000-0000-0000-000000000005"}),
    (range(0, 9, 2), {"$": "range", "start": 0, "stop": 9, "step": 2}),
    (LARGE, {"$": "array", "dtype": "<f8", "shape": [1000], "buffer": 0}),
    (
        LARGE[::-2],
        {
            "$": "array",
            "dtype": "<f8",
            "shape": [500],
            "buffer": 0,
            "offset": 7984,
            "strides": [-16],
        },
    ),
    (np.float32(1), {"$": "scalar", "dtype": "<f4", "at": 49, "length": 4}),
    (np.str_("a\0"), {"$": "scalar", "dtype": "U", "v": "a\0"}),
    (np.dtype("<M8[us]"), {"$": "dtype", "dtype": "<M8[us]"}),
    (
        memoryview(bytes(2000)),
        {"$": "memoryview", "dtype": "|u1", "shape": [2000], "buffer": 0, "readonly": True},
    ),
]


@pytest.mark.parametrize(
    ("obj", "told"), TOLD, ids=[f"{type(row[0]).__name__}-{i}" for i, row in enumerate(TOLD)]
)
def test_the_json_is_what_the_page_says(obj: Any, told: Any) -> None:
    found = tree(PORTABLE_ONE.serialize_object(obj))
    if type(told) is dict and "strides" in told:
        assert {key: found[key] for key in ("shape", "strides", "dtype")} == {
            key: told[key] for key in ("shape", "strides", "dtype")
        }
    else:
        assert repr(found) == repr(told)  # which tells 1 from True and from 1.0, 0.0 from -0.0


def shared() -> Any:
    inner, pair = [1], (1, 2)
    inner.append(inner)  # type: ignore[arg-type]
    return {"a": inner, "b": inner, "c": {"k": pair, "l": pair}}


def objects() -> Any:
    made = np.empty((2, 3), object)
    made[:] = [[1, "a", None], [LARGE, [2], b"x"]]
    return made


READ: dict[str, Callable[[], Any]] = {
    "plain": lambda: [row[0] for row in TOLD if not isinstance(row[0], float | complex) or row[0] == row[0]],
    "long text": lambda: ["x" * 1023, "ö" * 1024, "\ud800" * 1024, "y" * 70_000],
    "shared": shared,
    "two keys": lambda: {("a", 1): {2}, 3: [frozenset()]},
    "dtypes": lambda: [
        np.arange(300).astype(code)
        for code in ("?", "b", ">i2", "<u4", "<f2", ">f8", "<c16", "S7", "U5", ">U2", "M8[ns]", "m8[25s]")
    ],
    "small floats": lambda: np.arange(600).astype(pytest.importorskip("ml_dtypes").bfloat16),
    "structures": lambda: np.zeros(
        300, np.dtype([("x", ">f4"), ("y", [("a", "U3"), ("b", "?")], (2,))], align=True)
    ),
    "orders": lambda: [
        np.asfortranarray(LARGE.reshape(10, 100)),
        LARGE.reshape(10, 10, 10).transpose(1, 0, 2),
        np.broadcast_to(LARGE, (3, 1000)),
        np.zeros((3, 0)),
        np.array(5),
    ],
    "views": lambda: (lambda base: [base[:500], base[250:], base])(np.arange(1000.0)),
    "objects": objects,
    "objects in Fortran order": lambda: np.asfortranarray(objects()),
    "masked": lambda: np.ma.MaskedArray(np.arange(500), np.arange(500) % 2 == 0, fill_value=7),
    "many": lambda: [{"n": n, "s": str(n), "f": n / 4} for n in range(3000)],
    "long": lambda: [[] for _ in range(40_000)],
}


@pytest.mark.parametrize("name", READ)
def test_a_reader_of_the_json_gets_the_object(name: str) -> None:
    obj = READ[name]()
    got = read(PORTABLE_ONE.serialize_object(obj))
    assert_equal(obj, got, writeable="same")


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("trust", ["data", "code"])
def test_python_reads_the_same(name: str, trust: Any) -> None:
    obj = READ[name]()
    got, rest = canning.deserialize_object(PORTABLE_ONE.serialize_object(obj), trust=trust)
    assert rest == []
    assert_equal(obj, got)


def test_the_memory_is_not_copied() -> None:
    base = np.arange(1000.0)
    frames = PORTABLE_ONE.serialize_object({"x": base})
    assert np.shares_memory(np.frombuffer(frames[1]), base)


def test_a_message_that_nobody_wants_portable_says_nothing_of_it() -> None:
    for obj in (None, [1], LARGE, {"x": LARGE}):
        trailer = parse(canning.serialize_object(obj)[0])
        assert trailer is not None
        assert not trailer.flags & PORTABLE
        assert trailer.extensions == {}


@pytest.mark.parametrize("codec", ["lz4", None])
def test_they_go_signed_and_compressed_as_any_other(codec: Any) -> None:
    key = b"k" * 32
    frames = canning.Serializer(portable=True, codec=codec, key=key).serialize_object(
        {"x": np.zeros(100_000)}
    )
    got, _ = canning.deserialize_object(frames, trust="data", key=key)
    assert_equal({"x": np.zeros(100_000)}, got)
    assert tree(frames) == {"x": {"$": "array", "dtype": "<f8", "shape": [100_000], "buffer": 0}}


def test_buffers_may_be_joined_and_cut_afterwards() -> None:
    obj = {**{f"k{n}": np.arange(300.0) + n for n in range(5)}, "large": np.arange(200_000.0)}
    draft = split_large(join_small(write(PORTABLE_ONE, obj), 16_384), 1_500_000)  # type: ignore[arg-type]
    parts = frames_of(draft)
    assert len(parts) == 1 + 1 + 2
    for got in (read(parts), canning.deserialize_object(parts, trust="data")[0]):
        assert all((got[name] == array).all() for name, array in obj.items())


def test_a_portable_blob_is_read_as_data() -> None:
    assert canning.loads(canning.dumps([1, b"x"], portable=True)) == [1, b"x"]


# -- what is refused -------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


REFUSED: list[tuple[str, Any, str]] = [
    # path, object, a word of the error
    ("obj", print, "builtins.print"),
    ("obj['f']", {"f": lambda: 1}, "a lambda by value"),
    ("obj[1]", [1, object], "builtins.object"),
    ("obj['e'][0]", {"e": [Colour.RED]}, "Colour"),
    ("obj[0]", [collections.OrderedDict(a=1)], "OrderedDict"),
    ("obj[0]", [functools.partial(print)], "partial"),
    ("obj['k'][1]", {"k": [0, 10**5000]}, "an int of"),
    ("obj['x']", {"x": np.zeros(2, "g")}, "dtype"),
    ("obj['x']", {"x": np.longdouble(1)}, "dtype"),
    ("obj['x']", {"x": np.zeros(2, "M8")}, "dtype"),
    ("obj['x']", {"x": np.zeros(2, [("n" * 1200, "i4")])}, "dtype"),
    ("obj[0]", [np.zeros(1).view(np.recarray)], "a subclass"),
    ("obj[0]", [threading.Lock()], "cannot pickle"),
    ("obj[0]", [canning.Reference("x")], "a name in"),
    ("obj[0]", [ValueError("x")], "ValueError"),
    ("obj[0]", [canning.PrePickled([1])], "a message within"),
]


@pytest.mark.parametrize(("path", "obj", "word"), REFUSED, ids=[row[2] for row in REFUSED])
def test_anything_else_is_an_error_with_its_path(path: str, obj: Any, word: str) -> None:
    with pytest.raises(canning.SerializationError) as caught:
        PORTABLE_ONE.serialize_object(obj)
    assert caught.value.path == path
    assert word in str(caught.value)


def by_value() -> list[Any]:
    """Make instances of classes that no name leads to."""

    class Plain:
        pass

    class List(list[int]):
        pass

    @dataclasses.dataclass
    class Record:
        x: int = 1

    class Shade(enum.Enum):
        DARK = 1

    return [Plain(), List([1]), Record(), collections.namedtuple("Pair", "a b")(1, 2), Shade.DARK]


@pytest.mark.parametrize("number", range(5))
def test_an_instance_of_a_class_by_value_is_called_that(number: int) -> None:
    obj = by_value()[number]
    kind = "an enum" if isinstance(obj, enum.Enum) else "a class"
    with pytest.raises(canning.SerializationError) as caught:
        PORTABLE_ONE.serialize_object([obj])
    name = type(obj).__name__
    said = f"obj[0]: an instance of {name!r}, {kind} that travels by value is not portable"
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("make", [int, lambda number: fractions.Fraction(number, 3)])
def test_an_int_of_more_digits_than_this_process_writes_is_an_error(make: Callable[[int], Any]) -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        with pytest.raises(canning.SerializationError, match="an int of") as caught:
            PORTABLE_ONE.serialize_object({"k": [make(10**700)]})
    finally:
        sys.set_int_max_str_digits(before)
    assert caught.value.path is not None
    assert caught.value.path.startswith("obj['k'][0]")


def test_what_is_nested_too_deep_is_an_error() -> None:
    obj: Any = []
    for _ in range(98):
        obj = [obj]
    assert read(PORTABLE_ONE.serialize_object(obj)) == obj
    with pytest.raises(canning.SerializationError, match="nested more than 100 deep"):
        PORTABLE_ONE.serialize_object([[[obj]]])


def test_after_an_error_the_next_object_goes() -> None:
    with pytest.raises(canning.SerializationError):
        PORTABLE_ONE.serialize_object({"x": LARGE, "f": print})
    assert read(PORTABLE_ONE.serialize_object([1])) == [1]


# -- registered types ------------------------------------------------------------------------------------


def test_a_type_of_the_users_goes_with_its_name_and_its_state() -> None:
    registry = canning.Registry()
    registry.register(
        collections.ChainMap, lambda c: c.maps, lambda maps: collections.ChainMap(*maps), data=True
    )
    made = canning.Serializer(registry=registry, portable=True)
    frames = made.serialize_object([collections.ChainMap({"a": 1})])
    assert tree(frames) == [
        {"$": "object", "type": "collections.ChainMap", "version": 0, "state": [{"a": 1}]}
    ]
    assert made.deserialize_object(frames, trust="data")[0] == [collections.ChainMap({"a": 1})]


# -- readers rely on the flag ----------------------------------------------------------------------------


def forged(*, flags: int, rest: int = 0, extensions: bytes = b"") -> bytes:
    """Write a frame 0 of None with these flags, and whatever stands behind them, as no Python would."""
    body = b"\x80\x05N." + extensions
    body += FOOTER.pack(4, 1, 0, 0, len(extensions), bytes((0, 0, 0, 0, 3)), flags, rest, 0, b"\x93CANNED\n")[
        :-12
    ]
    return body + struct.pack("<I", zlib.crc32(body)) + b"\x93CANNED\n"


SIGNATURE_OF = extension(SIGNATURE, bytes(32))
TOLD_NONE = extension(TREE, b'{"portable":1,"object":null}')


@pytest.mark.parametrize("trust", ["data", "code"])
@pytest.mark.parametrize(
    ("head", "said"),
    [
        (forged(flags=1), None),
        (forged(flags=1 | PORTABLE, extensions=TOLD_NONE), None),
        (forged(flags=1, extensions=TOLD_NONE), None),
        (forged(flags=1 | PORTABLE), "does not say what it holds"),
        (forged(flags=1 | 16), "signature is not where it belongs"),
        (forged(flags=1, extensions=SIGNATURE_OF), "signature is not where it belongs"),
        (forged(flags=17, extensions=SIGNATURE_OF + TOLD_NONE), "signature is not where it belongs"),
        (forged(flags=17, extensions=extension(SIGNATURE, bytes(31))), "signature is not where it belongs"),
        (forged(flags=17, extensions=TOLD_NONE + SIGNATURE_OF), None),
        (forged(flags=1 | 512), "flags that this canning does not know"),
        (forged(flags=1, rest=1), "flags that this canning does not know"),
        (forged(flags=1, extensions=b"\x05\x80\x01\0\0\0\0\0"), "extensions do not fit"),
    ],
    ids=[
        *(
            "plain",
            "portable",
            "JSON without the flag",
            "portable without JSON",
            "signed without a signature",
        ),
        *("a signature without the flag", "a signature that is not last", "a short signature", "signed"),
        *("unknown flag", "reserved byte", "reserved bytes"),
    ],
)
def test_readers_check_what_the_footer_says(head: bytes, said: str | None, trust: Any) -> None:
    if said is None:
        assert canning.deserialize_object([head], trust=trust) == (None, [])
        return
    with pytest.raises(canning.DeserializationError, match=said):
        canning.deserialize_object([head], trust=trust)


def test_inspect_and_explain_say_it() -> None:
    frames = PORTABLE_ONE.serialize_object([1])
    assert any(note.startswith("portable, written by") for note in canning.inspect(frames).notes)
    found = canning.explain([1], portable=True)
    assert found.portable
    assert "it is portable" in str(found)
    assert found.to_dict()["portable"] is True
    assert not canning.explain([1]).portable
    refused = canning.explain({"f": [print]}, portable=True)
    assert refused.problems[0][0] == "obj['f'][0]"


def test_a_pickle_that_breaks_off_has_no_tree() -> None:
    with pytest.raises(canning.SerializationError, match="cannot be followed"):
        tree_of(b"\x80\x05]", lambda name: False)
