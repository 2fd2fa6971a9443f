"""The law of strangers' messages: time, memory and what is left, in proportion to what arrived."""

from __future__ import annotations

import collections
import ctypes
import dataclasses
import enum
import gc
import ipaddress
import struct
import subprocess
import sys
import tracemalloc
import types
import weakref
import zoneinfo
from typing import Any, NamedTuple

import numpy as np
import pytest

import canning
import transport
from canning import DeserializationError, Limits, Serializer
from canning.types.budget import Work, charge
from canning.types.hash_guard import Watch
from canning.types.libraries import standard
from canning.wire.encoded import CODECS
from canning.wire.trailer import BYTES, extension, pack

from .fuzz.law import allowed, search
from .hostile import Made, frames_of
from .test_work import STORED, bytes_, get, message, name, number, text

DATA = Serializer(trust="data")


def whole(size: int) -> bytes:
    return b"\x8b" + struct.pack("<i", size) + b"\x55" * (size - 1) + b"\x35"


def calls(called: bytes, args: bytes, count: int, *frames: bytes) -> list[bytes]:
    """Call something with the same arguments again and again, at 5 bytes a call."""
    return message(called + STORED + args + STORED + b"](" + b"h\0h\1R" * count + b"e.", *frames)


def array(shape: bytes, dtype: str, layout: bytes) -> list[bytes]:
    return message(name("canning.calls", "array") + b"(K\0" + shape + text(dtype) + layout + b"tR.", b"")


LONG = 300_000
TIME = {
    "arrays that are copied to be aligned": calls(
        name("canning.calls", "array"), b"(K\0K\1\x85" + text("<f8") + b"K\1K\1\x85\x86t", 20_000, bytes(17)
    ),
    "fractions": calls(name("fractions", "Fraction"), whole(1785) + whole(1784) + b"\x86", 5000),
    "fractions of text": calls(
        name("fractions", "Fraction"), text("7" * 4299 + "/" + "3" * 4299) + b"\x85", 5000
    ),
    "numbers of text": calls(name("decimal", "Decimal"), text("7" * 4299) + b"\x85", 50_000),
    "networks": calls(name("ipaddress", "IPv6Network"), text("1:2::/112") + b"\x85", 50_000),
    "exceptions of many arguments": calls(name("builtins", "ValueError"), b"(" + b"N" * 100_000 + b"t", 2000),
    "equal text as keys": message(
        text("x" * LONG) + STORED + text("x" * LONG) + STORED + b"}h\0Ns" + b"h\1Ns" * 50_000 + b"."
    ),
    "equal bytes in a set": message(
        bytes_(bytes(LONG))
        + STORED
        + bytes_(bytes(LONG))
        + STORED
        + b"\x8f(h\0\x90"
        + b"(h\1\x90" * 50_000
        + b"."
    ),
    "equal tuples as keys": message(
        text("x" * LONG)
        + b"\x85"
        + STORED
        + text("x" * LONG)
        + b"\x85"
        + STORED
        + b"]("
        + b"}h\0Nsh\1Ns" * 50_000
        + b"e."
    ),
    "equal paths as keys": message(
        name("pathlib", "PurePosixPath")
        + STORED
        + (get(0) + text("x/" * 50_000) + b"\x85R" + STORED) * 2
        + b"]("
        + b"}h\1Nsh\2Ns" * 50_000
        + b"e."
    ),
    "fractions as keys": message(
        name("fractions", "Fraction")
        + whole(1700)
        + whole(1699)
        + b"\x86R"
        + STORED
        + b"]("
        + b"}h\0Ns" * 60_000
        + b"e."
    ),
    "messages within": calls(
        name("canning.calls", "message"), bytes_(message(b"](" + b"N" * 90_000 + b"e.")[0]) + b"\x85", 5000
    ),
}
MEMORY = {
    "empty sets": message(b"](" + b"\x8f" * 80_000 + b"e."),
    "deques": message(name("collections", "deque") + STORED + b"](" + b"h\0)R" * 25_000 + b"e."),
    "counters": calls(
        name("collections", "Counter"),
        b"}(" + b"".join(b"M" + struct.pack("<H", at) + b"N" for at in range(1000)) + b"u\x85",
        1000,
    ),
    "groups of exceptions": message(
        name("builtins", "ExceptionGroup")
        + STORED
        + name("builtins", "ValueError")
        + b")R"
        + STORED
        + text("a")
        + b"]("
        + b"h\1" * 100_000
        + b"e\x86"
        + STORED
        + b"]("
        + b"h\0h\2R" * 200
        + b"e."
    ),
    "bytes between fields": message(
        name("canning.calls", "view")
        + b"("
        + name("canning.calls", "array")
        + b"(C\0K\0\x85("
        + text("struct")
        + number(1 << 28)
        + b"\x89\x89(("
        + text("a")
        + b"N"
        + number((1 << 28) - 1)
        + text("|u1")
        + b"tttNtR"
        + b"NN\x89tR."
    ),
    "tuples in tuples": message(b"](" + (b"N" + b"\x85" * 399) * 225 + b"e."),
    "paths": calls(name("pathlib", "PurePosixPath"), text("x/" * 500) + b"\x85", 5000),
    "copies of bytes": calls(name("canning.calls", "raw"), b"K\0\x88\x86", 30, bytes(3_000_000)),
    "formats of Struct": calls(
        name("canning.calls", "registered"),
        b"(" + text("struct.Struct") + text("ih" * 4000) + b"\x85Nt",
        5000,
    ),
    "elements of no bytes": array(number(1 << 40) + b"K\2\x86", "|V0", b"K\0K\0K\0\x86\x86"),
    "elements of no bytes, in order": array(number(1 << 40) + b"\x85", "|V0", b"N"),
    "rows of no elements": array(number(1 << 40) + b"K\0\x86", "|u1", b"N"),
    "columns of no elements": array(b"K\0" + number(1 << 40) + b"\x86", "|u1", b"N"),
    "an axis without steps": message(
        name("canning.calls", "array")
        + b"(K\0"
        + number(1 << 33)
        + b"\x85"
        + text("|u1")
        + b"K\0K\0\x85\x86tR.",
        bytes(8),
    ),
}


@pytest.mark.parametrize("frames", TIME.values(), ids=TIME.keys())
@pytest.mark.timeout(60)
def test_what_takes_long_is_refused_by_the_account(frames: list[bytes]) -> None:
    with pytest.raises(DeserializationError, match=r"than a message of its size may take|time and again"):
        DATA.deserialize_object(frames)


@pytest.mark.parametrize("frames", MEMORY.values(), ids=MEMORY.keys())
@pytest.mark.timeout(60)
def test_what_takes_much_memory_is_refused_before_it_does(frames: list[bytes]) -> None:
    DATA.deserialize_object(canning.serialize_object([1]))
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(DeserializationError, match="than a message of its size may take"):
            DATA.deserialize_object(frames)
        peak = tracemalloc.get_traced_memory()[1]
        gc.collect()
        left = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert peak < allowed(frames)[1]
    assert left < 300_000


def _of_arrow(kind: str, length: int, *buffers: Any, words: Any = None, described: Any = None) -> Any:
    pa = pytest.importorskip("pyarrow")
    types = {"fsb": pa.binary(1), "codes": pa.dictionary(pa.int8(), pa.string())}
    found = types.get(kind) or getattr(pa, kind)(
        *((9,) if "decimal" in kind else ("s",) if "time" in kind else ())
    )
    made = (length, -1, 0, (None, *buffers), (), words)
    text = pa.schema([("a", found)]).serialize().to_pybytes()
    return Made("polars.DataFrame", (Made("pyarrow.Table", (text, length, [[made]])), described or {}))


MANY = 4_000_000
WIDER = {
    "text": lambda: _of_arrow("string", MANY, np.zeros(MANY + 1, "<i4").view("u1"), b""),
    "bytes of one length": lambda: _of_arrow("fsb", MANY, np.zeros(MANY, "u1")),
    "decimals of 32 bits": lambda: _of_arrow("decimal32", MANY, np.zeros(MANY, "<i4").view("u1")),
    "times of 32 bits": lambda: _of_arrow("time32", MANY, np.zeros(MANY, "<i4").view("u1")),
    "codes of 8 bits": lambda: _of_arrow(
        "codes", 2 * MANY, np.zeros(2 * MANY, "u1"), words=(1, 0, 0, (None, bytes(8), b""), (), None)
    ),
    "words that are looked up": lambda: _of_arrow(
        "codes",
        1,
        b"\0",
        words=(MANY // 8, 0, 0, (None, np.zeros(MANY // 8 + 1, "<i4").view("u1"), b""), (), None),
        described={0: ("name", "", "UInt32")},
    ),
}


@pytest.mark.parametrize("make", WIDER.values(), ids=WIDER.keys())
def test_what_polars_holds_in_more_bytes_is_on_the_account(make: Any) -> None:
    pytest.importorskip("polars")
    with pytest.raises(DeserializationError, match="more memory"):
        DATA.deserialize_object(frames_of(make()))


def test_what_polars_has_made_itself_is_as_large_as_it_arrived() -> None:
    pl = pytest.importorskip("polars")
    numbers = pl.arange(MANY // 8, eager=True)
    text = numbers.cast(pl.String)
    frame = pl.DataFrame(
        [
            *(
                text.alias("s"),
                text.cast(pl.Binary).alias("b"),
                (numbers % 9).cast(pl.Decimal(30, 2)).alias("d"),
            ),
            *((numbers % 9).cast(pl.String).cast(pl.Categorical).alias("c"), (numbers % 2 == 0).alias("t")),
            *(numbers.cast(pl.Time).alias("time"), numbers.cast(pl.Duration).alias("duration")),
        ]
    )
    assert DATA.deserialize_object(canning.serialize_object(frame))[0].equals(frame)


def test_places_that_scipy_holds_in_more_bytes_are_on_the_account() -> None:
    pytest.importorskip("scipy")
    ones = np.zeros(MANY, "i1")
    ends = np.array([0, MANY])
    for state in (
        {"shape": (1 << 40,), "data": ones, "coords": (ones,)},
        {"shape": (1, 1 << 40), "data": ones, "indices": ones, "indptr": ends},
        {"shape": (MANY - 1, 1 << 40), "data": ones[:0], "indices": ones[:0], "indptr": ones},
    ):
        form = "coo" if "coords" in state else "csr"
        with pytest.raises(DeserializationError, match="more memory"):
            DATA.deserialize_object(frames_of(Made(f"scipy.sparse.{form}_array", state)))


def test_empty_rows_of_diagonals_are_on_the_account() -> None:
    sp = pytest.importorskip("scipy.sparse")
    tall = sp.dia_array((np.ones((1, 10)), [0]), shape=(1_000_000, 10))
    got, _ = DATA.deserialize_object(canning.serialize_object([tall, sp.eye_array(100_000, format="dia")]))
    assert [each.shape for each in got] == [(1_000_000, 10), (100_000, 100_000)]
    state = {"shape": (1 << 30, 1 << 20), "data": np.ones((1, 10)), "offsets": np.array([0])}
    with pytest.raises(DeserializationError, match="more memory than a message of its size may take"):
        DATA.deserialize_object(frames_of(Made("scipy.sparse.dia_array", state)))


def test_views_of_lists_are_checked_without_copies_of_their_own() -> None:
    pa = pytest.importorskip("pyarrow")
    array = pa.ListViewArray.from_arrays(
        pa.array(np.zeros(MANY, "i4")), pa.array(np.ones(MANY, "i4")), pa.array([1], pa.int8())
    )
    frames = list(map(bytes, canning.serialize_object(array)))
    tracemalloc.start()
    try:
        got, _ = DATA.deserialize_object(frames)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert got.slice(MANY - 1).to_pylist() == [[1]]
    assert peak < allowed(frames)[1] - sum(map(len, frames))


def test_nodes_of_a_tree_are_on_the_account() -> None:
    pytest.importorskip("xarray")
    node = Made("xarray.Dataset", ({}, [], {}, {}, {}, []))

    def tree(paths: list[str]) -> list[bytes]:
        return frames_of(Made("xarray.DataTree", (dict.fromkeys(paths, node), None)))

    got, _ = DATA.deserialize_object(tree(["/", "/a/b", "/a/c"]))
    assert [each.path for each in got.subtree] == ["/", "/a", "/a/b", "/a/c"]
    for paths in ([f"/a/{at}" for at in range(1600)], ["/a" * 90 + f"/{at}" + "/b" * 8 for at in range(50)]):
        with pytest.raises(DeserializationError, match="more time than a message of its size may take"):
            DATA.deserialize_object(tree(paths))


def test_strings_that_were_joined_are_on_the_account_each() -> None:
    pd = pytest.importorskip("pandas")
    pieces = b"](" + bytes_(b"ab\0" * 999 + b"ab") + b"e"
    state = b"((" + text("T") + number(1000) + b"\x85" + pieces + text("\0") + b"Ntt"
    args = b"(" + text("pandas.arrays.NumpyExtensionArray") + state + b"Nt"
    got, _ = DATA.deserialize_object(calls(name("canning.calls", "registered"), args, 3))
    assert got[2].equals(pd.arrays.NumpyExtensionArray(np.array(["ab"] * 1000, object)))
    with pytest.raises(DeserializationError, match="than a message of its size may take"):
        DATA.deserialize_object(calls(name("canning.calls", "registered"), args, 1000))


def test_no_names_of_a_stranger_are_kept_by_others() -> None:
    pytest.importorskip("dateutil")
    state = text("x" * 1000) + name("datetime", "timedelta") + b"K\0K\0K\0\x87R\x86"
    frames = message(
        name("canning.calls", "registered") + b"(" + text("dateutil.tz.tzoffset") + state + b"NtR."
    )
    with pytest.raises(DeserializationError, match="invalid name"):
        DATA.deserialize_object(frames)


def test_units_that_pint_has_to_put_together_are_on_the_account() -> None:
    pint = pytest.importorskip("pint")
    names = [f"kilo{name}" for name in pint.application_registry.get()._units if name.isascii()][:99]
    with pytest.raises(DeserializationError, match="more time than a message of its size may take"):
        DATA.deserialize_object(
            frames_of([Made("pint.Unit", (tuple((name, at) for name in names),)) for at in range(20)])
        )


def test_words_that_polars_puts_into_its_table_are_on_the_account() -> None:
    pl = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    words = pl.Series([f"{at:08x}" for at in range(150_000)], dtype=pl.Categorical)
    with pytest.raises(DeserializationError, match="more memory than a message of its size may take"):
        DATA.deserialize_object(canning.serialize_object(words))
    few = words.head(50_000)
    assert DATA.deserialize_object(canning.serialize_object(few))[0].equals(few)


def test_labels_of_arrow_take_no_table_to_tell_that_they_are_there_once() -> None:
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    text = pd.ArrowDtype(pa.string())
    labels = pd.Index([f"{at:08x}" for at in range(100_000)], dtype=text)
    frames = list(map(bytes, canning.serialize_object(pd.CategoricalDtype(labels))))
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        got, _ = DATA.deserialize_object(frames)
    finally:
        pa.set_memory_pool(before)
    assert list(got.categories[:2]) == ["00000000", "00000001"]
    assert pool.max_memory() < 3_000_000  # Arrow's table of these takes 13 MB


def test_labels_that_arrow_cannot_sort_are_told_apart_by_hashes_of_pythons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    from canning.types.libraries import pandas_categories

    def series(*texts: str | None) -> list[bytes]:
        chunks = pa.chunked_array([pa.array(texts, pa.string_view())])
        index = Made("pandas.Index", (Made("pandas.arrays.ArrowExtensionArray", (chunks,)), None))
        return frames_of(Made("pandas.Series", (np.zeros(len(texts)), index, None, {}, True)))

    put: list[Any] = []

    class Spy(Watch):
        def put(self, container: Any, keys: list[Any], values: list[Any] | None) -> None:
            put.extend(keys)
            super().put(container, keys, values)

    monkeypatch.setattr(pandas_categories, "Watch", Spy)
    assert len(DATA.deserialize_object(series("a", "b", None))[0]) == 3
    assert put == ["a", "b", None]  # and not by Arrow's, which are known
    with pytest.raises(DeserializationError, match="there twice"):
        DATA.deserialize_object(series("a", "b", "a"))


EMPTY = {
    "times": {"values": np.zeros(0, "M8[ns]"), "zone": zoneinfo.ZoneInfo("UTC")},
    "text": {"offsets": np.zeros(1, "i8"), "data": np.zeros(0, "u1"), "dtype": "str", "storage": "python"},
    "categories": {
        "codes": np.zeros(0, "i8"),
        "categories": {"kind": "array", "values": np.zeros(0)},
        "ordered": False,
    },
}


@pytest.mark.parametrize("kind", EMPTY)
def test_columns_of_portable_tables_are_on_the_account(kind: str) -> None:
    pytest.importorskip("pandas")
    column = {"kind": kind, **EMPTY[kind]}  # type: ignore[dict-item]

    def table(count: int) -> list[bytes]:
        index = {"kind": "range", "start": 0, "stop": 0, "step": 1, "name": None}
        columns = {"names": [*range(count)], "columns": [column] * count, "index": index}
        return frames_of(Made("pandas.DataFrame/1", columns))

    assert DATA.deserialize_object(table(50))[0].shape == (0, 50)
    with pytest.raises(DeserializationError, match="more time than a message of its size may take"):
        DATA.deserialize_object(table(5000))


def test_rows_of_images_are_on_the_account() -> None:
    pytest.importorskip("PIL.Image")

    def images(size: tuple[int, int], count: int) -> list[bytes]:
        state = b"\0" * (size[0] * size[1]), "", "L", size, None, {}
        return frames_of([Made("PIL.Image.Image", state) for _ in range(count)])

    got, _ = DATA.deserialize_object(images((3, 5), 2))
    assert [each.size for each in got] == [(3, 5), (3, 5)]
    for size, count in (((0, 65536), 40), ((1, 4_000_000), 1)):
        with pytest.raises(DeserializationError, match="more memory than a message of its size may take"):
            DATA.deserialize_object(images(size, count))


def test_comparisons_of_indexes_are_on_the_account() -> None:
    xr = pytest.importorskip("xarray")
    labels = "\0".join([f"{at:x}" for at in range(10_000)]).encode()
    joined = "T", (10_000,), [labels], "\0", None
    one, other = Made("pandas.Index", (joined, "x")), Made("pandas.Index", (joined, "x"))
    objects = np.dtype(object)

    def made(index: Made, count: int) -> list[bytes]:
        adapter = Made("xarray.core.indexing.PandasIndexingAdapter", (index, objects))
        variable = Made("xarray.IndexVariable", (("x",), adapter, None, None))
        found = Made("xarray.indexes.PandasIndex", (one, "x", objects))
        names = ["x", *map(str, range(count))]
        state = dict.fromkeys(names, variable), names, None, dict.fromkeys(names, found), None, ["x"]
        return frames_of(Made("xarray.Dataset", state))

    got, _ = DATA.deserialize_object(made(other, 10))
    assert isinstance(got, xr.Dataset)
    assert len(DATA.deserialize_object(made(one, 300))[0].coords) == 301
    with pytest.raises(DeserializationError, match="more time than a message of its size may take"):
        DATA.deserialize_object(made(other, 300))


def test_attributes_hold_no_objects_with_attributes() -> None:
    pd = pytest.importorskip("pandas")

    def frame(**attrs: Any) -> Any:
        made = pd.DataFrame()
        made.attrs.update(attrs)
        return made

    got, _ = DATA.deserialize_object(canning.serialize_object(frame(a=[frame(), pd.Series([1])])))
    assert got.copy().attrs["a"][1].tolist() == [1]
    inner = frame(unit="m")
    held = [inner, [inner], {"b": (inner,)}, collections.deque([inner]), ValueError(inner)]
    for each in (*held, types.SimpleNamespace(a=inner), np.array([inner, 1], object)):
        with pytest.raises(DeserializationError, match="attributes of an object within attributes"):
            DATA.deserialize_object(canning.serialize_object(frame(a=each)))


def test_types_of_ctypes_that_a_stranger_asks_for_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard, "_KEPT", set())
    monkeypatch.setattr(standard, "_TYPES", 3)
    room = np.zeros(40, np.uint8)
    got, _ = DATA.deserialize_object(
        frames_of([Made("ctypes.Array", ((("b", at), 1), room[:at])) for at in range(1, 40)])
    )
    assert [len(each[0]) for each in got] == list(range(1, 40))
    assert len(standard._KEPT) == 3
    types = [weakref.ref(kind) for each in got[3:] for kind in (type(each), type(each)._type_)]
    del got
    for _ in range(3):  # types of items go after those of arrays
        gc.collect()
    assert not any(kind() for kind in types)


def test_a_message_may_have_many_types(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standard, "_KEPT", set())
    room = np.zeros(4000, np.uint8)
    frames = frames_of([Made("ctypes.Array", (("b", at), room[:at])) for at in range(1, 1500)])
    got, _ = DATA.deserialize_object(frames)
    assert len(got) == 1499
    assert (
        type(DATA.deserialize_object(canning.serialize_object((ctypes.c_byte * 7)()))[0]) is ctypes.c_byte * 7
    )


def test_a_search_for_the_worst_message_finds_none_beyond_the_law() -> None:
    worst = search(seed=3, seconds=10, rounds=20, timed=False)
    for key, (value, candidate) in worst.items():
        if not key.endswith(" time"):
            assert value < 1, (key, candidate)


ORDINARY = {
    "small dicts": [{"id": at, "name": f"n{at}"} for at in range(20_000)],
    "sets of numbers": [{at, at + 1} for at in range(20_000)],
    "one large set": set(range(200_000)),
    "one large frozenset": frozenset(range(200_000)),
    "tuples as keys": {(at, str(at)): None for at in range(30_000)},
    "long keys": {f"{at}" * 3000: None for at in range(200)},
    "deques": [collections.deque(range(10)) for _ in range(20_000)],
    "addresses": [ipaddress.ip_address(at) for at in range(20_000)],
    "arrays of ctypes": [(ctypes.c_int * 3)() for _ in range(3000)],
    "small arrays": [np.arange(3.0) for _ in range(10_000)],
    "read-only arrays in Fortran order": [np.asfortranarray(np.ones((40, 50))) for _ in range(500)],
}


@pytest.mark.parametrize("obj", ORDINARY.values(), ids=ORDINARY.keys())
def test_what_is_ordinary_is_within_the_account(obj: Any) -> None:
    got, _ = DATA.deserialize_object(canning.serialize_object(obj))
    assert len(got) == len(obj)


# -- one account -----------------------------------------------------------------------------------------


def test_all_objects_of_a_message_have_one_account() -> None:
    one = message(name("collections", "deque") + STORED + b"](" + b"h\0)R" * 10_000 + b"e.")
    assert len(DATA.deserialize_object(one)[0]) == 10_000
    here, there = transport.fake_pair()
    here.send_multipart(one * 20)
    with pytest.raises(transport.MessageError, match="more memory"):
        transport.recv(there, many=True, timeout=10)


def test_a_decoder_counts_what_it_does_on_the_account_of_its_message() -> None:
    registry = canning.Registry()
    registry.register(complex, can=lambda z: (z.real,), uncan=lambda state: charge(10**9), data=True)
    frames = Serializer(registry=registry).serialize_object([1j])
    with pytest.raises(DeserializationError, match="than a message of its size may take"):
        Serializer(registry=registry, trust="data").deserialize_object(frames)
    charge(10**9)


def test_frames_that_are_decoded_are_copied_no_more_often_than_others() -> None:
    size = 20_000_000
    head, frame = canning.serialize_object(np.zeros(size, np.uint8), codec="zstd")
    content = canning.wire.trailer.parse(head).extensions[CODECS]  # type: ignore[union-attr]
    body = b"\x80\x05" + name("canning.calls", "raw") + STORED + b"K\0\x88\x86" + STORED + b"]("
    again = [
        pack(
            body + b"h\0h\1R" * 5 + b"e.", len(body) + 27, [len(frame)], extensions=extension(CODECS, content)
        ),
        frame,
    ]
    tracemalloc.start()
    try:
        with pytest.raises(DeserializationError, match="more memory"):
            DATA.deserialize_object(again)
        assert tracemalloc.get_traced_memory()[1] < (16 << 20) + 3 * size
    finally:
        tracemalloc.stop()


def test_a_frame_that_many_buffers_name_is_joined_once() -> None:
    frame = bytes(100_000)
    table = [(1, 1, 0, len(frame))] * 1000
    named = extension(BYTES, struct.pack("<1000I", *range(1000)))
    joined: list[int] = []
    from transport.joining import join_parts

    join_parts([pack(b"\x80\x05N.", 4, [len(frame)], table, extensions=named), frame], joined=joined.append)
    assert sum(joined) == len(frame)


def test_the_account_says_what_there_is_too_little_of() -> None:
    work = Work(Limits())
    work.enter(100, 100, 100, 0)
    with pytest.raises(DeserializationError, match="more time"):
        work.spend(1 << 40, 0)


# -- codecs ----------------------------------------------------------------------------------------------

READ = """
import contextlib, sys, canning
reader = canning.Serializer(trust="data")
before = set(sys.modules)
for known in (1, print):
    with contextlib.suppress(canning.DeserializationError):
        reader.deserialize_object(canning.serialize_object([known]))
known = set(sys.modules)
blob = sys.stdin.buffer.read()
try:
    print(len(canning.loads(blob, trust="data")))
except canning.DeserializationError as error:
    print(error)
print(sorted(name for name in set(sys.modules) - known if not name.startswith("canning.")))
print(str(canning.scan(blob)).splitlines()[0])
print("blosc2" in sys.modules)
"""


@pytest.mark.parametrize("codec", ["lz4", "zstd", "blosc2"])
def test_nothing_is_imported_for_a_message(codec: str) -> None:
    of_python = codec == "zstd" and sys.version_info >= (3, 14)
    pytest.importorskip("compression.zstd" if of_python else {"zstd": "zstandard"}.get(codec, codec))
    blob = canning.dumps(np.arange(50_000), codec=codec)
    done = subprocess.run([sys.executable, "-c", READ], input=blob, capture_output=True, check=True)
    said, modules, verdict, imported = done.stdout.decode().strip().split("\n")
    assert modules == "[]"
    assert imported == "False"
    if codec == "blosc2":
        assert "codec='lz4' or 'zstd'" in said
        assert "clean" not in verdict
    else:
        assert said == "50000"


# -- classes ---------------------------------------------------------------------------------------------


class Link(NamedTuple):
    next: Any


class Walks(NamedTuple):
    a: int

    def __iter__(self) -> Any:
        raise AssertionError


class Counted(NamedTuple):
    a: int

    def __len__(self) -> int:
        raise AssertionError


@dataclasses.dataclass
class Ends:
    a: int

    def __del__(self) -> None:
        pass


@dataclasses.dataclass
class Looks:
    a: int

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name)


@dataclasses.dataclass
class Chain:
    next: Any


class Odd(enum.Enum):
    TUPLE = (1, (2, 3))
    LIST = [1, 2]  # noqa: RUF012


@pytest.mark.parametrize("cls", [Walks, Counted, Ends, Looks])
def test_classes_that_would_run_by_themselves_are_not_allowed(cls: type) -> None:
    with pytest.raises(TypeError, match="run nothing by themselves"):
        Serializer(allow={cls})


@pytest.mark.parametrize("cls", [Link, Chain])
def test_instances_of_allowed_classes_count_as_depth(cls: type) -> None:
    reader = Serializer(trust="data", allow={cls})
    obj: Any = None
    for _ in range(150):
        obj = cls(obj)
    assert reader.deserialize_object(canning.serialize_object(obj))[0] == obj
    made = name(cls.__module__, cls.__name__) + STORED
    one = b"N" + STORED
    if cls is Link:
        steps = b"".join(get(0) + get(level) + b"\x85\x81" + STORED for level in range(1, 5000))
    else:
        steps = b"".join(
            get(0) + b")\x81}" + text("next") + get(level) + b"sb" + STORED for level in range(1, 5000)
        )
    body = made + one + steps + get(4000) + b"."
    with pytest.raises(DeserializationError, match="depth"):
        reader.deserialize_object(message(body))


def test_members_are_found_by_values_that_call_nothing() -> None:
    reader = Serializer(trust="data", allow={Odd})
    assert reader.deserialize_object(canning.serialize_object(list(Odd)))[0] == list(Odd)
