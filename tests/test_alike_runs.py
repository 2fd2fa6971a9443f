"""Runs of instances of one class, and of dicts: the same objects, limits and refusals as opcode by opcode."""

from __future__ import annotations

import dataclasses
import pickle
import random
from typing import Any

import pytest

from canning import Limits, Serializer
from canning.reading.untrusted import data_reader

from . import test_runs


@dataclasses.dataclass
class Reading:
    number: int
    value: float | None
    name: str


@dataclasses.dataclass
class Guarded:
    number: int

    def __post_init__(self) -> None:
        raise AssertionError("no method of a class runs")

    def __setstate__(self, state: object) -> None:
        raise AssertionError("no method of a class runs")

    def __setattr__(self, name: str, value: object) -> None:
        raise AssertionError("no method of a class runs")


@dataclasses.dataclass(slots=True)
class Slotted:
    number: int


def guarded(number: int) -> Guarded:
    made = Guarded.__new__(Guarded)
    made.__dict__["number"] = number
    return made


READER = Serializer(trust="data", allow={Reading, Guarded, Slotted})
TEXT = "the same text"
INSERTED = (b"\x94", b"h\x05", b"ub", b"h\x04)\x81\x94}\x94(", b"K\x07", b"0")
KNOWN = [TEXT, "a", "b", "id", "name", "x", "ok", "y", *(f"text {number}" for number in range(253))]
SHARED: dict[str, int] = {}
LISTS: dict[str, list[Any]] = {
    "readings": [Reading(number, number / 7, f"n{number}") for number in range(300)],
    "the same text in each": [Reading(number, None, TEXT) for number in range(300)],
    "long texts among them": [Reading(number, 1.5, "x" * (number % 90)) for number in range(300)],
    "two classes": [Reading(1, 2.0, "a") if number % 3 else guarded(number) for number in range(300)],
    "methods that must not run": [guarded(number) for number in range(300)],
    "with slots": [Slotted(number) for number in range(300)],
    "nested": [Reading(Reading(1, 2.0, "b"), 3.0, "c") for number in range(300)],  # type: ignore[arg-type]
    "rows": [
        KNOWN,
        *({"id": n, "name": f"n{n}", "x": n / 7, "ok": n % 2 == 0, "y": None} for n in range(300)),
    ],
    "rows of one": [KNOWN, *({"name": n} for n in range(300))],
    "rows with texts of the memo": [KNOWN, *({"a": TEXT, KNOWN[9]: KNOWN[n % 250]} for n in range(300))],
    "rows with lists among them": [KNOWN, *({"a": 1, "b": [] if n % 9 == 5 else n} for n in range(300))],
    "rows with other keys among them": [KNOWN, *({n if n % 9 == 5 else "a": 1, "b": 2} for n in range(300))],
    "rows with a shared dict": [KNOWN, {}, *({"a": SHARED, "b": n} for n in range(300))],
    "one row twice": [KNOWN, *[{"a": 1, "b": 2}] * 9, *({"a": 1, "b": 2} for n in range(100))],
    "one twice": [Reading(1, 2.0, "a")] * 10 + [Reading(1, 2.0, "b") for _ in range(100)],
}


def read(data: bytes, limits: Limits | None = None) -> Any:
    return test_runs.read(data, limits, READER)


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read opcode by opcode."""

    def read_slowly(data: bytes, limits: Limits | None = None) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(data_reader, "read_alike", lambda data, at, memo, is_class, names: ([], at))
            patched.setattr(data_reader, "read_rows", lambda data, at, memo: ([], [], at))
            return read(data, limits)

    return read_slowly


def plain(obj: object) -> Any:
    """Show objects with the names of their classes, and which of them are one."""
    seen: dict[int, int] = {}

    def shown(each: Any) -> Any:
        if isinstance(each, list):
            known = id(each) in seen  # broken bytes may make a list that holds itself
            number = seen.setdefault(id(each), len(seen))
            return number if known else [shown(item) for item in each]
        if not dataclasses.is_dataclass(each):
            return repr(each)
        if id(each) in seen:
            return type(each).__name__, seen[id(each)]
        number = seen.setdefault(id(each), len(seen))
        fields = {field.name: shown(getattr(each, field.name, "unset")) for field in dataclasses.fields(each)}
        return type(each).__name__, number, fields

    return shown(obj)


def head(name: str) -> bytes:
    """Pickle a list as a sender does, without asking `__setstate__`."""
    return pickle.dumps(LISTS[name], 5)


@pytest.mark.parametrize("name", LISTS)
def test_the_objects_are_those_of_the_loop(name: str, slowly: Any) -> None:
    got = read(head(name))
    assert plain(got) == plain(slowly(head(name))) == plain(LISTS[name])


def test_most_of_a_list_is_read_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    original = data_reader.read_alike

    def counted(*args: Any) -> Any:
        run = original(*args)
        found.append(run[0].count(None))
        return run

    monkeypatch.setattr(data_reader, "read_alike", counted)
    assert read(head("readings")) == LISTS["readings"]
    assert sum(found) == 299
    assert read(head("the same text in each")) == LISTS["the same text in each"]
    assert sum(found) == 2 * 299


def test_most_rows_are_read_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    original = data_reader.read_rows

    def counted(*args: Any) -> Any:
        run = original(*args)
        found.append(len(run[0]))
        return run

    monkeypatch.setattr(data_reader, "read_rows", counted)
    for name in ("rows", "rows of one", "rows with texts of the memo"):
        found.clear()
        assert read(head(name)) == LISTS[name]
        assert sum(found) > 250


def test_later_parts_refer_to_the_rows_of_a_run() -> None:
    rows: list[Any] = LISTS["rows"]
    got = read(pickle.dumps([rows, rows[50], rows[99]["name"], {"last": rows[300]}], 5))
    assert got[:2] == [rows, rows[50]]
    assert got[1] is got[0][50]
    assert got[2] is got[0][99]["name"]
    assert got[3]["last"] is got[0][300]


def test_later_parts_refer_to_what_a_run_made() -> None:
    readings = [Reading(number, 0.5, f"name {number}") for number in range(100)]
    obj = [readings, readings[50], readings[99].name, vars(readings[3])]
    got = read(pickle.dumps(obj, 5))
    assert got == obj
    assert got[1] is got[0][50]
    assert got[2] is got[0][99].name


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("nodes", [100, 1000, 3915, 3916, 3917, 3918, 3919, 3920, 5000])
def test_the_limits_are_those_of_the_loop(name: str, nodes: int, slowly: Any) -> None:
    for limits in (Limits(nodes=nodes), Limits(memo=nodes // 4), Limits(depth=2), Limits(integer_bytes=2)):
        assert plain(read(head(name), limits)) == plain(slowly(head(name), limits))


def test_the_number_of_values_is_that_of_the_loop(slowly: Any) -> None:
    least = next(
        n for n in range(3800, 4100) if not isinstance(slowly(head("readings"), Limits(nodes=n)), str)
    )
    assert isinstance(read(head("readings"), Limits(nodes=least - 1)), str)
    assert read(head("readings"), Limits(nodes=least)) == LISTS["readings"]


@pytest.mark.parametrize("name", LISTS)
def test_damaged_bytes_are_read_or_refused_as_in_the_loop(name: str, slowly: Any) -> None:
    rnd = random.Random(name)
    data = pickle.dumps(LISTS[name][:40], 5)
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(rnd.choice((1, 1, 2, 4))):
            at = rnd.randrange(len(broken))
            if (kind := rnd.randrange(3)) == 0:
                broken[at] = rnd.choice((rnd.randrange(256), *b"hub()}]KN\x81\x94", *range(12)))
            elif kind == 1:
                del broken[at : at + rnd.randrange(1, 9)]
            else:
                broken[at:at] = rnd.choice(
                    (b"\x94", b"h\x05", b"ub", b"h\x04)\x81\x94}\x94(", b"K\x07", b"0")
                )
        assert plain(read(bytes(broken))) == plain(slowly(bytes(broken)))


def test_a_run_of_another_class_than_the_one_allowed_is_refused() -> None:
    data = pickle.dumps([[Reading(1, 2.0, "a")], *LISTS["readings"][:50], print], 5)
    assert "print" in read(data)
