"""Rows of headers that contradict themselves: portable messages which readers of their JSON must refuse.

The pickle of each holds None, so that a reader of pickles, which leaves the JSON alone, takes most of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from canning.wire.trailer import PLAIN, PORTABLE, TREE, extension

from . import Row, in_blob
from .containers import BODY, FRAME, message

ARRAY: Final = {"$": "array", "dtype": "<i4", "shape": [24], "buffer": 0}
LAYOUT: Final = {"offset": 0, "strides": [1]}
WITHIN: Final = {"at": 0, "length": len(BODY)}


def bad(name: str, why: str, header: bytes) -> Row:
    """Say that a message with this header is refused."""
    made = message(FRAME, flags=PLAIN | PORTABLE, extensions=extension(TREE, header))
    return Row(name, in_blob(made), {"refused": why})


def node(name: str, why: str, told: Any) -> Row:
    """Say that a header with this node is refused."""
    return bad(name, why, json.dumps({"portable": 1, "object": [told]}).encode())


def texts() -> Iterator[Row]:
    """Give headers that are no JSON, or of another kind."""
    for name, header in (
        ("nothing", b""),
        ("no JSON", b'{"portable": 1, "object": [}'),
        ("two objects", b'{"portable": 1, "object": 1}{}'),
        ("NaN, which JSON does not have", b'{"portable": 1, "object": NaN}'),
        ("text that is no UTF-8", b'{"portable": 1, "object": "\xff"}'),
        ("a mark of the order of bytes", b'\xef\xbb\xbf{"portable": 1, "object": 1}'),
        ("no version", b'{"object": 1}'),
        ("another version", b'{"portable": 2, "object": 1}'),
        ("a list", b"[1, 2]"),
        ("no object", b'{"portable": 1}'),
    ):
        yield bad(f"header of {name}", "the header is not the JSON of this version", header)
    flagless = message(FRAME, flags=PLAIN | PORTABLE)
    yield Row("no header", in_blob(flagless), {"refused": "the flag is set, and the extension is not there"})


def nodes() -> Iterator[Row]:
    """Give nodes that are none."""
    for name, told in (
        ("of an unknown kind", {"$": "no such kind"}),
        ("whose kind is no text", {"$": 1}),
        ("whose kind JavaScript knows", {"$": "constructor"}),
        ("that refers to nothing", {"$": "ref", "id": 0}),
        ("that refers to what follows", [{"$": "ref", "id": 0}, {"$": "list", "items": [], "id": 0}]),
        ("int of letters", {"$": "int", "v": "12x"}),
        ("int of nothing", {"$": "int", "v": ""}),
        ("float of text", {"$": "float", "v": "1.5"}),
        ("complex without a part", {"$": "complex", "real": 1}),
        ("list without items", {"$": "list"}),
        ("set of no list", {"$": "set", "items": 1}),
        ("dict of half a pair", {"$": "dict", "items": [1, 2, 3]}),
        ("date of text", {"$": "date", "v": "yesterday"}),
        ("datetime without a time", {"$": "datetime", "v": "2024-01-31"}),
        ("UUID that is too short", {"$": "uuid", "v": "1234"}),
        ("fraction of decimals", {"$": "fraction", "v": "1.5"}),
        ("int of a number beyond 2**53 - 1", 2**53),
        ("UUID of nothing", {"$": "uuid"}),
        ("timedelta without days", {"$": "timedelta", "seconds": 1, "microseconds": 0}),
        ("timezone of a number", {"$": "timezone", "offset": 3600}),
        ("time in a zone that is text", {"$": "time", "v": "12:00:00", "zone": "Europe/Berlin"}),
        ("range of text", {"$": "range", "start": 0, "stop": "5", "step": 1}),
        ("dtype of an unknown unit", {"$": "dtype", "dtype": "<M8[x]"}),
        ("dtype without a unit", {"$": "dtype", "dtype": "<m8"}),
        ("scalar without its text", {"$": "scalar", "dtype": "U"}),
        ("date of no month", {"$": "date", "v": "2024-13-01"}),
        ("date of no day", {"$": "date", "v": "2023-02-29"}),
        ("date before the first", {"$": "date", "v": "0000-12-31"}),
        ("datetime of no day", {"$": "datetime", "v": "2024-02-30T12:00:00"}),
        ("decimal of letters", {"$": "decimal", "v": "12x"}),
        ("fraction of nothing", {"$": "fraction", "v": "1/0"}),
        ("dtype without fields", {"$": "dtype", "dtype": {"itemsize": 4}}),
        ("masked without data", {"$": "masked", "mask": None, "fill_value": None, "hard_mask": False}),
        ("object without fields", {"$": "object", "type": "a.B", "version": 1}),
        ("object without a version", {"$": "object", "type": "a.B", "fields": {}}),
    ):
        yield node(f"a node {name}", "the node is not as it should be", told)


def memory() -> Iterator[Row]:
    """Give nodes whose memory is not there, or is not what they say."""
    for name, source in (
        ("of a buffer that is not there", {"buffer": 1}),
        ("of buffer -1", {"buffer": -1}),
        ("of a buffer that is text", {"buffer": "length"}),
        ("from nowhere", {}),
        ("behind the end of frame 0", {"at": 10_000, "length": 1}),
        ("before its start", {"at": -1, "length": 1}),
        ("of a negative length", {"at": 1, "length": -1}),
        ("of half a byte", {"at": 0, "length": 0.5}),
    ):
        yield node(f"bytes {name}", "the memory is not in the message", {"$": "bytes", **source})
    yield node("text that is no UTF-8", "the memory is no UTF-8", {"$": "str", **WITHIN})
    for name, change in (
        ("of a larger shape", {"shape": [25]}),
        ("of a smaller shape", {"shape": [23]}),
        ("of a negative shape", {"shape": [-24]}),
        ("of halves", {"shape": [2.5]}),
        ("of no shape", {"shape": None}),
        ("of 2**64 items", {"shape": [2**32, 2**32]}),
        ("of an unknown dtype", {"dtype": "<q4"}),
        ("of long doubles", {"dtype": "<f16", "shape": [6]}),
        ("of objects", {"dtype": "|O", "shape": [12]}),
        ("whose fields do not fit", _fields(itemsize=8, offset=5)),
        ("whose field is before it", _fields(itemsize=8, offset=-1)),
        ("with strides behind the end", {"shape": [25], "offset": 0, "strides": [4]}),
        ("with strides before the start", {"shape": [2], "offset": 0, "strides": [-4]}),
        ("with an offset behind the end", {"shape": [1], "offset": 93, "strides": [4]}),
        ("with a stride too few", {"shape": [2, 2], "offset": 0, "strides": [4]}),
        ("with strides of text", {"shape": [2], "offset": 0, "strides": ["4"]}),
        ("with an offset alone", {"offset": 0}),
        ("with strides alone", {"strides": [4]}),
    ):
        yield node(f"an array {name}", "the array does not fit its memory", {**ARRAY, **change})
    for name, told in (
        ("with an item too few", {"shape": [3], "items": [1, 2]}),
        ("with an axis twice", {"shape": [1, 2], "items": [1, 2], "axes": [0, 0]}),
        ("with an axis too many", {"shape": [2], "items": [1, 2], "axes": [0, 1]}),
    ):
        yield node(f"objects {name}", "the items do not fit their shape", {"$": "objects", **told})


def _fields(itemsize: int, offset: int) -> dict[str, Any]:
    dtype = {"itemsize": itemsize, "fields": [{"name": "a", "offset": offset, "dtype": "<i4"}]}
    return {"dtype": dtype, "shape": [96 // itemsize]}


def columns() -> Iterator[Row]:
    """Give tables whose columns are none."""
    array = {**ARRAY, "dtype": "<i8", "shape": [12]}
    text = {
        "kind": "text",
        "offsets": array,
        "data": {**ARRAY, "dtype": "|u1", "shape": [1], **LAYOUT},
    }
    for name, fields in (
        ("without columns", {"names": ["a"]}),
        ("with a name too few", {"names": [], "columns": [{"kind": "array", "values": array}]}),
        ("with a column of an unknown kind", {"names": ["a"], "columns": [{"kind": "no such kind"}]}),
        ("with a column that is none", {"names": ["a"], "columns": [1]}),
        (
            "with columns of two lengths",
            {"names": ["a", "b"], "columns": [{"kind": "array", "values": each} for each in (array, ARRAY)]},
        ),
        ("with a column without values", {"names": ["a"], "columns": [{"kind": "array"}]}),
        ("with text that ends behind its data", {"names": ["a"], "columns": [text]}),
        (
            "with codes of no categories",
            {"names": ["a"], "columns": [{"kind": "categories", "codes": array}]},
        ),
    ):
        told = {"$": "object", "type": "polars.DataFrame", "version": 1, "fields": fields}
        yield node(f"a table {name}", "the table is not as it should be", told)
    of_pandas = {"names": ["a"], "columns": [{"kind": "array", "values": array}]}
    told = {"$": "object", "type": "pandas.DataFrame", "version": 1, "fields": of_pandas}
    yield node("a table of pandas without an index", "the table is not as it should be", told)


def rows() -> Iterator[Row]:
    """Give all rows."""
    for group in (texts, nodes, memory, columns):
        yield from group()
