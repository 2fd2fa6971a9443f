"""Rows of portable messages: what they hold, by kind, made by canning itself."""

from __future__ import annotations

import array as stdarray
import collections
import datetime as dt
import decimal
import fractions
import importlib.util
import types
import uuid
import zoneinfo
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

import canning
from canning import Lz4, Zstd
from canning.wire.keys import Key, sign
from canning.wire.trailer import TREE, extension, parse

from . import Row, in_blob
from .containers import KEY, is_here, message, resealed
from .neutral import neutral

PORTABLE: Final = canning.Serializer(portable=True)


def frames_of(obj: Any, serializer: canning.Serializer = PORTABLE) -> list[bytes]:
    """Write a portable message, whose writer is the same whoever makes it."""
    head, *frames = map(bytes, serializer.serialize_object(obj))
    return [resealed(head), *frames]


def row(name: str, obj: Any) -> Row:
    """Say that a message holds an object."""
    return Row(name, in_blob(frames_of(obj)), {"values": [neutral(obj)]})


def plain() -> Iterator[tuple[str, Any]]:
    """Give plain data."""
    yield "None", None
    yield "flags", [True, False]
    yield "ints", [0, 1, -1, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, -(2**31) - 1]
    yield "ints of 53 bits", [2**53 - 1, -(2**53) + 1]
    yield "larger ints", [2**53, -(2**53), 2**63, -(2**63), 2**64, 2**2000, -(10**100)]
    yield "floats", [0.0, -0.0, 1.0, 1.5, -1e300, 5e-324, 0.1, 2.0**53, 1e22, 1.7976931348623157e308]
    yield "floats that are not finite", [float("inf"), float("-inf"), float("nan")]
    yield "complex", [1 + 2j, -0j, complex("nan-infj")]
    yield "text", ["", "a", "größe", "日本語", "\U0001f600", "\0", '"\\/\n\t\x7f\u2028', "x" * 255, "x" * 256]
    yield "long text", ["x" * 1023, "x" * 1024, "größe" * 400]
    yield "half of a pair of surrogates", ["\ud800", "a\udfffb", "\ud800" * 500]
    yield "bytes", [b"", b"a", bytes(range(256)), bytearray(b"mutable"), b"x" * 2000]
    yield "bytes in a frame", b"\1" * 65_536
    yield "containers", [[], (), {}, set(), frozenset([1]), [[[]]], ((1,), (2, (3,)))]
    yield "sets", [{1, 2, 3}, {"a"}, {None}, {(1, 2)}, frozenset([frozenset([1])]), {b"x"}]
    yield "dict", {"a": 1, "": 2, "größe": {"b": [3]}}
    yield "dict with keys of digits", {"b": 1, "10": 2, "9": 3, "-1": 4}
    yield "dict with keys that begin with $", {"$": 1, "$ref": 2}
    yield "dict with keys that JavaScript knows", {"__proto__": 1, "constructor": [2], "toString": 3, "id": 4}
    yield "dict of other keys", {1: "a", 2.5: "b", None: "c", (1, "x"): "d", b"k": "e", frozenset([1]): "f"}
    yield "deep", _nested(40)


def _nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


def shared() -> Iterator[tuple[str, Any]]:
    """Give objects that hold the same thing twice, or themselves."""
    inner, array, large = [1, 2], np.arange(3), np.arange(300.0)
    yield "a list twice", [inner, inner]
    yield "a dict and a set twice", {"a": (one := {"x": 1}), "b": one, "c": (two := {1}), "d": [two]}
    yield "a tuple twice", [pair := (1, [2]), pair]
    yield "an array twice", [array, {"again": array}]
    yield "a large array twice", [large, large]
    yield "views of one array", [large, large[10:200], large[::2], large.reshape(30, 10).T]
    loop: list[Any] = [1]
    loop.append(loop)
    yield "a list in itself", loop
    tree: dict[str, Any] = {"children": []}
    tree["children"].append({"parent": tree})
    yield "a dict in itself", tree


def arrays() -> Iterator[tuple[str, Any]]:
    """Give arrays."""
    for code in ("?", *"bBhHiIqQefdFD"):
        yield f"array of {np.dtype(code).str}", (np.arange(7) % 5).astype(code)
    for code in ("i2", "u4", "i8", "f2", "f4", "f8", "c8", "c16", "M8[us]", "U3"):
        yield f"big-endian array of {code}", np.arange(5).astype(code).astype(f">{code}")
    yield "floats that are not finite in an array", np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    yield "64-bit ints in an array", np.array([2**63 - 1, -(2**63), 2**53, 0])
    for unit in ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s"):
        yield f"times in {unit}", np.array([0, 1, -1, np.iinfo("i8").min]).view(f"M8[{unit}]")
    yield "spans", np.array([0, 1, "NaT"], "m8[ms]")
    yield "text in an array", np.array(["a", "größe", "", "\U0001f600"])
    yield "bytes in an array", np.array([b"ab", b"", b"a\0b"])
    yield "memory in an array", np.array([b"ab\0", b"cde"], "V3")
    yield "no dimensions", [np.array(2.5), np.array(7, "M8[s]")]
    yield "no items", [np.empty((0, 3)), np.empty((3, 0), "U2")]
    yield "matrix", np.arange(6.0).reshape(2, 3)
    yield "matrix in Fortran's order", np.asfortranarray(np.arange(200.0).reshape(10, 20))
    yield "permuted", np.arange(24, dtype="i2").reshape(2, 3, 4).transpose(1, 2, 0)
    yield "reversed", np.arange(200.0)[::-1]
    yield "every second", np.arange(400.0)[::2]
    yield "broadcast", np.broadcast_to(np.arange(200.0), (3, 200))
    yield "read-only", _readonly(np.arange(200.0))
    yield "a large array", np.arange(300, dtype="f4").reshape(3, 100)
    nested = [("a", "<i2"), ("b", ">f8"), ("c", [("d", "U2"), ("e", "?")], (2,))]
    yield "structure", np.array([(1, 2.5, [("x", True), ("yz", False)])] * 2, nested)
    yield "structure with a title", np.array([(1, 2)], [(("title", "a"), "u1"), ("b", "<i8")])
    apart = np.zeros(2, np.dtype({"names": ["a"], "formats": ["<i4"], "offsets": [8], "itemsize": 16}))
    yield "structure with gaps", apart
    yield "a field", np.array([(1, 2.5, 3)] * 50, [("a", "i4"), ("b", "f8"), ("c", "i2")])["b"]
    objects = np.empty((2, 2), object)
    objects[:] = [[1, None], ["text", np.arange(3)]]
    yield "objects", objects
    yield "objects, transposed", objects.T
    yield "objects, none", [np.empty(0, object), np.empty((2, 0), object)]
    yield "masked", np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])
    yield "memoryview", [memoryview(b"x" * 2000), memoryview(np.arange(6, dtype="<u2"))]
    yield "scalars", [np.float32(1.5), np.int8(-3), np.uint64(2**64 - 1), np.bool_(True), np.complex64(1j)]
    yield "scalars of text and bytes", [np.str_("größe"), np.bytes_(b"b")]
    yield "scalars of time", [np.datetime64("2024-01-01"), np.timedelta64(5, "ms"), np.datetime64("NaT", "s")]
    yield "dtypes", [np.dtype("f8"), np.dtype("M8[7D]"), np.dtype([("a", "<i4")])]
    yield from more_arrays()


def _readonly(array: Any) -> Any:
    array.flags.writeable = False
    return array


def more_arrays() -> Iterator[tuple[str, Any]]:
    """Give arrays of dtypes that not every numpy has."""
    string = getattr(np.dtypes, "StringDType", None)
    if string is not None:
        yield "StringDType: text", np.array([["a", "größe"], ["x" * 100, ""]], string())
        holes = np.array(["a", None], string(na_object=None))
        yield "StringDType: text with holes", holes
    if importlib.util.find_spec("ml_dtypes") is not None:
        import ml_dtypes

        floats = ("e5m2", "e4m3fn", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")
        for name in ("bfloat16", *(f"float8_{each}" for each in floats)):
            yield f"ml_dtypes: {name}", np.array([1.0, 2.0, 0.5]).astype(getattr(ml_dtypes, name))
        for name in ("int4", "uint4"):
            yield f"ml_dtypes: {name}", np.array([0, 1, 7]).astype(getattr(ml_dtypes, name))


def times() -> Iterator[tuple[str, Any]]:
    """Give dates, numbers and names of the standard library."""
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    hour = dt.timedelta(hours=1)
    yield "dates", [dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)]
    yield (
        "datetimes",
        [dt.datetime(2024, 2, 29, 12, 34, 56, 789), dt.datetime(1, 1, 1), dt.datetime(1970, 1, 1)],
    )
    yield (
        "datetimes with zones",
        [
            dt.datetime(2024, 7, 1, 12, tzinfo=berlin),
            dt.datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=1),
            dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            dt.datetime(2024, 1, 1, tzinfo=dt.timezone(-hour, "name")),
        ],
    )
    yield (
        "times",
        [dt.time(), dt.time(23, 59, 59, 999_999, fold=1), dt.time(1, 2, 3, tzinfo=dt.timezone(hour))],
    )
    yield "timedeltas", [dt.timedelta(), dt.timedelta(-1, 2, 3), dt.timedelta.max]
    yield "zones", [dt.UTC, dt.timezone(hour), dt.timezone(hour, "name"), berlin]
    yield (
        "decimals",
        [decimal.Decimal(text) for text in ("1.10", "-0", "1E+30", "NaN", "sNaN12", "-Infinity")],
    )
    yield "fractions", [fractions.Fraction(1, 3), fractions.Fraction(-(10**30)), fractions.Fraction(0)]
    yield "UUIDs", [uuid.UUID(int=0), uuid.UUID("12345678-1234-5678-1234-567812345678")]
    yield "ranges", [range(3), range(9, 1, -2), range(2**60, 2**61)]
    yield "keys of many kinds", {dt.date(2024, 1, 1): 1, uuid.UUID(int=7): 2, decimal.Decimal(1): 3}


def tables() -> Iterator[tuple[str, Any]]:
    """Give the tables of packages that are here."""
    if importlib.util.find_spec("pandas") is not None:
        import pandas as pd

        yield "pandas: numbers", pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": [True, False]})
        texts = pd.DataFrame({"s": ["a", None, "größe"]}, index=["x", "y", "z"])
        yield "pandas: text", texts
        day = pd.to_datetime(["2024-01-01", None])
        zoned = {"z": day.tz_localize("Europe/Berlin"), "u": day.tz_localize("UTC")}
        yield "pandas: times", pd.DataFrame({"t": day, **zoned})
        yield "pandas: categories", pd.DataFrame({"c": pd.Categorical(["u", None, "v", "u"])})
        masked = pd.DataFrame({"i": pd.array([1, None], "Int64"), "b": pd.array([None, True], "boolean")})
        yield "pandas: missing numbers", masked
        yield "pandas: mixed", pd.DataFrame({"o": pd.Series([1, "a", None], dtype=object)})
        yield "pandas: bytes", pd.Series(np.array([b"ab", b"c"]), dtype="S2")
        yield "pandas: many rows", pd.DataFrame({"x": np.arange(200.0), 7: np.arange(200)})
        yield "pandas: no rows, no columns", [pd.DataFrame({"a": np.empty(0)}), pd.DataFrame()]
        yield "pandas: Series", pd.Series([1.5, 2.5], name="s", index=pd.Index([3, 4], name="i"))
        yield "pandas: indexes", [pd.RangeIndex(0, 6, 2), pd.Index(["a", "b"], name="n")]
    if importlib.util.find_spec("polars") is not None:
        import polars as pl

        yield (
            "polars: DataFrame",
            pl.DataFrame({"a": [1, None, 3], "s": ["x", None, "größe"], "f": [0.5, 1.5, 2.5]}),
        )
        yield "polars: Series", pl.Series("s", [1, 2, 3])
    if importlib.util.find_spec("pyarrow") is not None:
        import pyarrow as pa

        words = pa.array(["u", "v", "u"]).dictionary_encode()
        yield "pyarrow: Table", pa.table({"a": [1, None, 3], "s": ["x", None, "größe"], "d": words})


def carried() -> Iterator[Row]:
    """Give portable messages that went through codecs, were signed, or are chained."""
    obj = {"a": np.arange(1100, dtype="i4"), "c": list(range(50))}
    for codec in filter(is_here, (Lz4(), Zstd())):
        frames = frames_of(obj, canning.Serializer(portable=True, codec=codec))
        yield Row(f"{codec.id}: portable", in_blob(frames), {"values": [neutral(obj)]})
    yield from laid_out([np.arange(200, dtype="<i8"), np.arange(150, dtype="<f8"), {"small": np.arange(3)}])
    said = neutral({"a": 1}), neutral([np.arange(300)])
    chain = [*frames_of({"a": 1}), *frames_of([np.arange(300)])]
    yield Row("a chain", in_blob(chain), {"values": list(said)})
    signed = [bytes(frame) for frame in sign(chain, (Key(KEY),))]
    yield Row("a chain, signed", in_blob(signed), {"values": list(said)}, KEY)


def laid_out(obj: Any) -> Iterator[Row]:
    """Give a portable message of two buffers whose memory lies elsewhere, as on sockets."""
    head, first, second = frames_of(obj)
    trailer = parse(head)
    assert trailer is not None
    apart = len(first) + 64
    body, more = head[: trailer.pickle_length], extension(TREE, trailer.extensions[TREE])
    for name, inline, frames, table in (
        ("joined", b"", [first + bytes(64) + second], [(1, 1, 0, len(first)), (1, 1, apart, len(second))]),
        ("split", b"", [first[:999], first[999:], second], [(1, 2, 0, len(first)), (3, 1, 0, len(second))]),
        ("inline", b"." + first, [second], [(0, 1, 1, len(first)), (1, 1, 0, len(second))]),
    ):
        made = message(*frames, body=body, inline=inline, table=table, flags=trailer.flags, extensions=more)
        yield Row(f"buffers, {name}", in_blob(made), {"values": [neutral(obj)]})


def pickles() -> Iterator[Row]:
    """Give messages that are not portable: of plain data, which is read from the pickle alone."""
    large = np.arange(300.0)
    spaced = types.SimpleNamespace(a=1, b=[2])
    for name, obj in (
        ("None", None),
        ("dict", {"a": [1, 2.5, None, True], "b": ("größe", b"bytes")}),
        ("array", large),
        ("small array", np.arange(5, dtype="<i4")),
        ("array in Fortran's order", np.asfortranarray(np.arange(200.0).reshape(10, 20))),
        ("arrays", {"a": large, "b": [large[10:], large[::-1]], "c": np.arange(3)}),
        ("permuted", np.arange(1000, dtype="<i2").reshape(10, 10, 10).transpose(1, 2, 0)),
        ("structure", np.zeros(60, [("x", "<i2"), ("y", ">f8")])),
        ("record array", np.rec.array([(1, 2.5)] * 3, [("a", "<i4"), ("b", "<f8")])),
        ("masked", np.ma.masked_array(large, large % 2 == 0)),
        ("array of the standard library", stdarray.array("h", [1, 2])),
        ("ordered dict", collections.OrderedDict(b=1, a=2)),
        ("deque", collections.deque([1, [2]], maxlen=3)),
        ("Counter", collections.Counter("aab")),
        ("defaultdict", collections.defaultdict(list, {"a": [1]})),
        ("slices", [slice(None, 3), slice(1, 2, 3)]),
        ("constants", [..., NotImplemented]),
        ("namespace", spaced),
        ("large ints", [2**64, -(2**2100)]),
        ("dates", [dt.date(2024, 1, 31), dt.datetime(2024, 1, 31, tzinfo=dt.UTC)]),
    ):
        yield Row(name, in_blob(frames_of(obj, canning.Serializer())), {"values": [neutral(obj)]})


def rows() -> Iterator[Row]:
    """Give all rows."""
    for group in (plain, shared, arrays, times, tables):
        for name, obj in group():
            yield row(name, obj)
    yield from carried()
