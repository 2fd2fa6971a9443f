"""The verdict of `scan` is that of the reader of data, for known types and plain values."""

from __future__ import annotations

import collections
import functools
import operator
import pickle
import types
from collections.abc import Callable
from typing import Any

import pytest

import canning
from canning import DeserializationError

from .types import Row
from .types_rows import ROWS

HERE = [
    pytest.param(row, id=row.name, marks=[] if row.is_here else pytest.mark.skip(f"needs {row.package}"))
    for row in ROWS
]
FACTORIES: tuple[Any, ...] = (list, dict, set, int, float, complex, str, bytes, bool, tuple, None)
VALUES: dict[str, Any] = {
    **{f"defaultdict({each})": collections.defaultdict(each, a=each and each()) for each in FACTORIES},
    "defaultdict of a frozenset": collections.defaultdict(frozenset),
    "defaultdict of a function": collections.defaultdict(operator.length_hint),
    "defaultdicts in a defaultdict": collections.defaultdict(dict, a=collections.defaultdict(list)),
    "numbers": [1, -1, 1.5, 2j, True, None, 10**40],
    "containers": [(1,), {2}, frozenset((3,)), {"a": {}}, bytearray(b"a"), range(3), slice(1, 2)],
    "counted": collections.Counter("aab"),
    "ordered": collections.OrderedDict(a=1),
    "queue": collections.deque([1], 3),
    "namespace": types.SimpleNamespace(a=1),
    "error": ValueError("a"),
    "partial": functools.partial(max, 3),
    "type": int,
    "types": [list, dict, str],
    "function": len,
    "ellipsis": ...,
}


def check(frames: list[Any]) -> None:
    try:
        canning.deserialize_object(frames, trust="data")
    except DeserializationError as error:
        if "refused its data" in str(error):  # a scan calls no decoder
            return
        assert canning.scan(frames).verdict != "clean"
    else:
        assert canning.scan(frames).verdict == "clean"


@pytest.mark.parametrize("write", [canning.serialize_object, lambda obj: [pickle.dumps(obj)]])
@pytest.mark.parametrize("name", VALUES)
def test_of_plain_values(name: str, write: Callable[[Any], list[Any]]) -> None:
    check(write({"k": [VALUES[name]]}))


@pytest.mark.parametrize("row", HERE)
def test_of_types_known_from_the_start(row: Row) -> None:
    check(canning.serialize_object({"k": [row.make()]}))
