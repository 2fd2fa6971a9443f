"""The verdict of `scan` is that of the reader of data, for known types and plain values."""

from __future__ import annotations

import collections
import functools
import json
import operator
import pickle
import subprocess
import sys
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


# -- code by value, and what looks like it ---------------------------------------------------------------


SCRIPT = """
import collections, dataclasses, enum, functools, json, os, canning

@dataclasses.dataclass
class Record:
    a: int

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int

class Kind(enum.Enum):
    A = 1

class Flags(enum.Flag):
    A = 1

class Full:
    @property
    def one(self): return len(str(max(self.two(), 1)))
    @classmethod
    def two(cls): return 2
    @staticmethod
    def three(): return 3

Pair = collections.namedtuple("Pair", "x y")
objects = Record(1), Frozen(1), Kind.A, Flags.A, Pair(1, 2), Full(), functools.partial(max, 3), lambda: os.sep
for each in objects:
    result = canning.scan(canning.dumps([each]))
    print(json.dumps([result.verdict, result.reasons]))
"""


def test_what_canning_writes_of_a_script_needs_code_and_says_why() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 8
    for verdict, reasons in results:
        assert (verdict, bool(reasons)) == ("needs code", True), reasons
        assert not [reason for reason in reasons if "dangerous" in reason]


def test_exceptions_as_tblib_pickles_them_need_code() -> None:
    stream = b"\x80\x04ctblib.pickling_support\nunpickle_exception\n(cbuiltins\nValueError\n(Vx\ntNNtR."
    result = canning.scan(stream)
    assert result.verdict == "needs code"
    assert "tblib" in result.reasons[0]


ACTING: dict[str, bytes] = {
    "getattr of a class": b"cbuiltins\ngetattr\n(cbuiltins\nobject\nV__subclasses__\ntR)R.",
    "getattr of a module": b"cbuiltins\ngetattr\n(crandom\n_os\nVsystem\ntR(VtruetR.".replace(
        b"etR", b"e\ntR"
    ),
    "getattr of a call": b"cbuiltins\ngetattr\n(ccloudpickle.cloudpickle\nsubimport\n(Vstring\ntRVa\ntR.",
    "getattr as a value": b"cbuiltins\ngetattr\nq\0(cenum\nEnum\nV__new__\ntR0cfunctools\npartial\n(h\0tR.",
    "getattr of three": b"cbuiltins\ngetattr\n(cenum\nEnum\nVa\nNtR.",
    "import that acts": b"ccloudpickle.cloudpickle\nsubimport\n(Vantigravity\ntR.",
    "import of a pickler": b"ccloudpickle.cloudpickle\nsubimport\n(Vdill\ntR.",
    "import of what is patched": b"ccloudpickle.cloudpickle\nsubimport\n(Vos\ntR}b.",
    "import of a made name": b"ccloudpickle.cloudpickle\nsubimport\n((ltR.",
    "map, called": b"cbuiltins\nmap\n(cnumpy\nsin\n(ltR.",
    "map, called by a partial": b"cfunctools\npartial\n(cbuiltins\nmap\ncnumpy\nsin\ntR((ltR.",
    "getattr of a class that was patched": b"cenum\nEnum\n}b0cbuiltins\ngetattr\n(cenum\nEnum\nVa\ntR.",
}


@pytest.mark.parametrize("name", ACTING)
def test_what_acts_is_dangerous(name: str) -> None:
    result = canning.scan(b"\x80\x02" + ACTING[name])
    assert result.verdict == "dangerous", result
    assert any("dangerous" in reason for reason in result.reasons)
