"""Small messages of plain data: the short way gives what the long one gives, or leaves it to it."""

from __future__ import annotations

import pickle
import random
import tracemalloc
from typing import Any

import numpy as np
import pytest

import canning
import transport
from canning import DeserializationError, Limits, Serializer
from canning.reading.untrusted import data_message
from canning.reading.untrusted.short_cuts import LARGEST, UNREAD, read_small
from canning.wire.shapes import shape_of
from canning.wire.trailer import LONE, PLAIN, pack, pack_alone
from transport import incoming

DATA = Serializer(trust="data")
OPS = (
    b"\x8c\1a",
    b"\x8c\1b",
    b"\x94",
    b"K\1",
    b"h\0",
    b"h\1",
    b"(",
    b"}",
    b"]",
    b"u",
    b"e",
    b"t",
    b"a",
    b"s",
)
OPS += (
    b"N",
    b"\x85",
    b"\x86",
    b"\x87",
    b")",
    b"C\1x",
    b"0",
    b"M\1\2",
    b"J\1\2\3\x84",
    b"G" + bytes(8),
    b"\x8f",
)
VALUES: dict[str, Any] = {
    "numbers": {"a": 1, "b": 2.5, "c": -3, "d": 70_000, "e": True, "f": None},
    "text and bytes": ["x", "\N{SNOWMAN}", "\ud800", b"y", ("z",), ()],
    "shared parts": [[1]] * 3,
    "deep": [[[[({"a": [1]},)]]]],
    "an array in the header": np.arange(6, dtype="<i2").reshape(2, 3),
    "an array in a frame": np.arange(3000.0).reshape(3, 1000),
    "an array in Fortran's order": np.arange(3000.0).reshape(3, 1000, order="F"),
    "bytes": b"x" * 2000,
}
TIGHT = {
    "depth": ([[[1]]], Limits(depth=1)),
    "nodes": ([1, 2, 3], Limits(nodes=2)),
    "memo": (["a", "b", "c"], Limits(memo=1)),
    "message_bytes": ([1, 2, 3], Limits(message_bytes=20)),
    "message_bytes, an array": (np.zeros(10), Limits(message_bytes=100)),
    "message_bytes, a large array": (np.zeros(1000), Limits(message_bytes=5000)),
    "depth, an array": (np.zeros(1000), Limits(depth=1)),
}


def the_short_way(frames: list[Any]) -> Any:
    read = data_message._BY_SHAPE.get(shape_of(frames[0]))
    return UNREAD if read is None else read(DATA, frames[0], frames)


def long_way(frames: list[Any]) -> Any:
    work = data_message.Work(DATA.limits)
    try:
        return repr(data_message._read_at(DATA, frames[0], frames, 0, work)[0])
    except DeserializationError as error:
        return str(error)


@pytest.mark.parametrize("obj", VALUES.values(), ids=VALUES.keys())
def test_the_short_way_reads_what_the_long_one_reads(obj: Any) -> None:
    frames = [bytes(frame) for frame in canning.serialize_object(obj)]
    short = the_short_way(frames)
    assert short is not UNREAD
    assert repr(short) == long_way(frames) == repr(obj)
    assert DATA.deserialize_object([*frames, b"next"])[1] == [b"next"]


def test_whatever_opcodes_follow_each_other_the_two_ways_agree() -> None:
    chance = random.Random(5)
    read = 0
    for _ in range(30_000):
        body = b"".join(chance.choices(OPS, k=chance.randrange(1, 9))) + b"."
        made = read_small(body)
        if made is not UNREAD:
            read += 1
            assert repr(made) == long_way([pack_alone(body, PLAIN)]), body
    assert read > 500


@pytest.mark.parametrize(("obj", "limits"), TIGHT.values(), ids=TIGHT.keys())
def test_limits_hold_for_small_messages(obj: Any, limits: Limits) -> None:
    with pytest.raises(DeserializationError, match="limit"):
        Serializer(trust="data", limits=limits).deserialize_object(canning.serialize_object(obj))


def array(shape: bytes, dtype: bytes = b"\x8c\3<f8") -> bytes:
    return b"\x80\5\x8c\rcanning.calls\x8c\5array\x93\x940h\0(K\0(" + shape + b"t" + dtype + b"tR."


def size(number: int) -> bytes:
    return b"\x8a\x08" + number.to_bytes(8, "little", signed=True)


WRONG = {
    "too large": array(size(3)),
    "too small": array(size(1)),
    "less than nothing": array(size(-2) + size(-1)),
    "more than there is": array(size(1 << 62) + size(4)),
    "no dtype": array(size(2), b"\x8c\3|O8"),
    "a name of another length": array(size(2), b"\x8c\2<f8"),
    "steps over nothing": array(size(1) + size(2), b"\x8c\3<f8K\0(" + size(8) + size(1 << 40) + b"t\x86"),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_arrays_that_do_not_fit_are_refused(body: bytes) -> None:
    with pytest.raises(DeserializationError):
        DATA.deserialize_object([pack(body, len(body), [16], flags=LONE), bytes(16)])


def test_a_header_that_says_another_length_goes_the_long_way() -> None:
    body = pickle.dumps([1], 5)
    head = pack(body + b"x", len(body), [], flags=PLAIN)
    assert the_short_way([head]) is UNREAD
    assert DATA.deserialize_object([head])[0] == [1]


def test_all_small_objects_of_a_message_are_within_its_law_together() -> None:
    body = b"\x80\x05(" + b"}" * (LARGEST - 6) + b"t."
    one = pack(body, len(body), [])
    assert read_small(body) is not UNREAD
    here, there = transport.fake_pair()
    here.send_multipart([one] * 500)
    tracemalloc.start()
    try:
        got = transport.recv(there, many=True, timeout=10)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(got) == 500
    assert peak < 100 * 500 * len(one)


def test_objects_of_a_message_are_read_without_a_look_at_those_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    real = incoming.read_verified
    monkeypatch.setattr(incoming, "read_verified", lambda *args: seen.append(len(args[1])) or real(*args))
    here, there = transport.fake_pair()
    frames = [*canning.serialize_object(1), *canning.serialize_object(np.arange(3000.0))] * 100
    here.send_multipart([bytes(frame) for frame in frames])
    assert len(transport.recv(there, many=True, timeout=10)) == 200
    assert sum(seen) == len(frames)
