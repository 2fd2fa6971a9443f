"""Runs of scalars: the same values, limits and refusals as opcode by opcode, whatever bytes come."""

from __future__ import annotations

import pickle
import random
import struct
import tracemalloc
from typing import Any

import pytest

from canning import DeserializationError, Limits, Serializer
from canning.reading.untrusted import opcodes, short_cuts

DATA = Serializer(trust="data")
RND = random.Random(7)
LISTS: dict[str, list[Any]] = {
    "small ints": [number % 256 for number in range(3000)],
    "ints of two bytes": list(range(300, 4000)),
    "negative ints": list(range(-4000, 0)),
    "large ints": [RND.randrange(-(1 << 63), 1 << 63) for _ in range(2000)],
    "larger ints": [1 << RND.randrange(60, 90) for _ in range(500)],
    "floats": [RND.random() for _ in range(2500)],
    "texts": [f"{number:x}" * (number % 9) for number in range(2500)],
    "long texts": ["x" * RND.randrange(50, 300) for _ in range(500)],
    "texts beyond ASCII": ["\u00e4\U0001f600\ud800"[: 1 + number % 3] + str(number) for number in range(500)],
    "constants": [None, True, False] * 500,
    "mixed": [RND.choice([7, 1.5, "a", None, True, 1 << 40, -3]) for _ in range(5000)],
    "with lists": [RND.choice([7, 1.5, [1, 2]]) for _ in range(500)],
    "the same text": ["text"] * 2000,
    "opcodes within values": [int.from_bytes(b"Kl.e", "little")] * 400 + ["l.(e\x94"] * 3,
}


def head(obj: object) -> bytes:
    return pickle.dumps(obj, 5)


def read(data: bytes, limits: Limits | None = None, reader: Serializer = DATA) -> Any:
    """Return what the reader makes of a header, or the kind of its refusal."""
    if limits is not None:
        reader = reader.evolve(limits=limits)
    try:
        return reader.deserialize_object([data])[0]
    except DeserializationError as error:
        said = str(error).removeprefix(f"{error.path}: ")  # the path is to where it was noticed
        return said.partition(" byte ")[0]


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Read opcode by opcode."""

    def read_slowly(data: bytes, limits: Limits | None = None) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(opcodes, "read_run", lambda data, at: None)
            return read(data, limits)

    return read_slowly


@pytest.mark.parametrize("name", LISTS)
def test_the_values_are_those_of_pickle(name: str) -> None:
    items = LISTS[name]
    assert read(head(items)) == items
    assert list(map(type, read(head(items)))) == list(map(type, items))
    assert read(head({"a": items, "b": [items, "text"]}))["b"] == [items, "text"]
    keys = {str(number): item for number, item in enumerate(items)}
    assert read(head(keys)) == keys


def test_a_run_takes_all_of_a_batch() -> None:
    data = head(LISTS["floats"])
    start = data.index(b"(") + 1
    found = short_cuts.read_run(data, start)
    assert found is not None
    assert found[0] == LISTS["floats"][:1000]
    assert data[found[2]] == ord("e")
    assert short_cuts.read_run(b"K\x01" * 10, 0) is None


def test_texts_are_found_in_the_memo_later() -> None:
    texts = [f"text {number}" for number in range(100)]
    got = read(head([texts, texts[70], {texts[3]: texts[99]}]))
    assert got == [texts, texts[70], {texts[3]: texts[99]}]
    assert got[1] is got[0][70]


@pytest.mark.parametrize(
    "limits", [Limits(nodes=1500), Limits(integer_bytes=5), Limits(integer_bytes=8), Limits(memo=40)], ids=str
)
@pytest.mark.parametrize("name", LISTS)
def test_the_limits_are_those_of_the_loop(name: str, limits: Limits, slowly: Any) -> None:
    data = head(LISTS[name])
    assert read(data, limits) == slowly(data, limits)


def test_nodes_count_within_a_batch_without_end() -> None:
    data = b"\x80\x05](" + b"N" * 5_000_000 + b"e."
    assert read(data, Limits(nodes=100_000)) == "more values than this reader's limit, nodes=100000"


@pytest.mark.parametrize("limits", [Limits(nodes=1000), Limits(memo=1000)])
def test_a_limit_counts_before_the_whole_batch_is_made(limits: Limits) -> None:
    reader = Serializer(trust="data", limits=limits)
    data = b"\x80\x05](" + b"\x8c\x02ab\x94" * 400_000 + b"e."
    tracemalloc.start()
    with pytest.raises(DeserializationError, match="=1000"):
        reader.deserialize_object([data])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data)


@pytest.mark.parametrize("name", LISTS)
def test_damaged_bytes_are_read_or_refused_as_in_the_loop(name: str, slowly: Any) -> None:
    """Change, cut out and put in bytes: the reader that knows runs must see the same in them."""
    rnd = random.Random(name)
    data = head(LISTS[name][:120])
    outcomes = set()
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(rnd.choice((1, 1, 2, 5))):
            at = rnd.randrange(len(broken))
            if (kind := rnd.randrange(3)) == 0:
                broken[at] = rnd.choice((rnd.randrange(256), *b"KJMGN(el.\x8a\x8c\x94\x88h"))
            elif kind == 1:
                del broken[at : at + rnd.randrange(1, 9)]
            else:
                broken[at:at] = rnd.choice(
                    (b"\x94", b"K\x07", b"e", b"(", b"\x8c\x01a\x94", bytes([at % 256]))
                )
        got, expected = read(bytes(broken)), slowly(bytes(broken))
        assert repr(got) == repr(expected)  # NaN is not equal to itself
        outcomes.add(type(got))
    assert {list, str} <= outcomes


def test_a_text_that_is_no_text_is_refused() -> None:
    data = b"\x80\x05](" + b"\x8c\x02\xff\xff\x94" * 40 + b"e."
    assert "damaged" in read(data)


def test_what_follows_a_run_is_checked() -> None:
    run = b"G" + struct.pack(">d", 1.5)
    assert read(b"\x80\x05](" + run * 30 + b"e.") == [1.5] * 30
    assert "breaks off" in read(b"\x80\x05](" + run * 30)
    assert "damaged" in read(b"\x80\x05}(" + run * 30 + b"e.")
    assert "unfinished" in read(b"\x80\x05](" + run * 30 + b".")
    assert "opcode" in read(b"\x80\x05](" + run * 30 + b"i.")
