"""Large buffers that go in parts over tcp, and are joined on arrival."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from canning import default_serializer, new_key, serialize_object
from canning.wire.trailer import BYTES, extend, extension, parse, seal
from canning.writing.draft import LARGE, PART, Draft, name_bytes, split_large
from canning.writing.messages import write
from tests.harness import assert_equal
from transport import joining as parts
from transport import recv, send
from transport.joining import join_parts

SIZE = LARGE // 8 + 1001
BASE = np.arange(2.0 * SIZE)
OBJECTS: dict[str, Any] = {
    "array": BASE[:SIZE].copy(),
    "F order": np.asfortranarray(BASE[: 1200 * 900].reshape(1200, 900)),
    "bytes": BASE[:SIZE].tobytes(),
    "bytearray": bytearray(BASE[:SIZE].tobytes()),
    "read-only": np.frombuffer(BASE[:SIZE].tobytes()),
    "large and small": {
        "large": BASE[:SIZE].copy(),
        "small": [np.ones(500) for _ in range(9)],
        "text": "x" * 999,
    },
    "views of one base": [BASE[: SIZE + 5], BASE[SIZE:]],
    "a view of a larger base": BASE[5 : SIZE + 5],
    "runs": np.zeros((600, 20_000), np.int8)[::3],
    "runs and large": [np.zeros((60, 20_000))[::3], BASE[:SIZE].copy()],
    "two": [BASE[:SIZE].copy(), BASE[:SIZE] + 1],
}


@pytest.fixture
def pair() -> Iterator[tuple[Any, Any]]:
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        port = here.bind_to_random_port("tcp://127.0.0.1")
        there.connect(f"tcp://127.0.0.1:{port}")
        yield here, there


@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("name", OBJECTS)
def test_round_trip(pair: tuple[Any, Any], name: str, trust: Any) -> None:
    obj = OBJECTS[name]
    tracker = send(pair[0], obj, timeout=20)
    got = recv(pair[1], trust=trust, timeout=20)
    tracker.wait(20)
    assert_equal(obj, got)


def test_signed_and_many(pair: tuple[Any, Any]) -> None:
    key = new_key()
    objects = [OBJECTS["two"], "between", OBJECTS["runs"]]
    send(pair[0], *objects, prefix=b"topic", key=key, timeout=20)
    prefix, got = recv(pair[1], prefix=1, many=True, key=key, timeout=20)
    assert prefix == [b"topic"]
    assert_equal(objects, got)


def test_parts_are_cut_and_not_copied() -> None:
    array = OBJECTS["array"]
    frames = in_parts(array)
    assert [len(frame) for frame in frames[1:-1]] == [PART] * (array.nbytes // PART)
    assert all(np.shares_memory(np.frombuffer(frame, np.uint8), array) for frame in frames[1:])


def test_parts_of_one_array_are_joined_once() -> None:
    array = OBJECTS["array"]
    frames = arranged(array)
    made = []

    def allocate(size: int) -> Any:
        made.append(np.empty(size, np.uint8))
        return made[-1]

    join_parts(frames, allocate)
    got = default_serializer.deserialize_object(frames)[0]
    assert len(made) == 1
    assert np.shares_memory(got, made[0])
    assert_equal(array, got)


def test_what_is_not_in_order_is_left_for_the_reader() -> None:
    frames: list[Any] = serialize_object(OBJECTS["runs"])
    for bad in (
        [b"no header", b"x", b"y"],
        [frames[0][:-1] + b"!", *frames[1:]],
        frames[:-1],
        [frames[0], frames[1][:-1], *frames[2:]],
        [*frames, b"behind it"],
    ):
        kept = list(bad)
        join_parts(kept)
        assert len(kept) == len(bad)
    assert len(serialize_object(OBJECTS["array"])) == 2  # in one piece where no socket asks for parts


def in_parts(obj: Any) -> list[Any]:
    """Give the frames of an object as they leave over tcp."""
    message = write(default_serializer, obj)
    assert type(message) is Draft
    return list(default_serializer.finish([split_large(name_bytes(message))]))


def arranged(obj: Any) -> list[Any]:
    """Give the frames of an object as they arrive over tcp, in memory of their own."""
    return [bytearray(frame) for frame in in_parts(obj)]


@pytest.mark.parametrize("trust", ["code", "data"])
def test_bytes_are_made_once(trust: str) -> None:
    data = OBJECTS["bytes"]
    array = OBJECTS["array"]
    few = [bytes([number]) * PART for number in range(40)]
    frames = arranged({"lone": data, "array": array, "few": few, "view": memoryview(few[3])})
    before = [id(frame) for frame in frames]
    join_parts(frames)
    made = {id(frame.obj) for frame in frames[1:] if type(frame.obj) is bytes}
    assert len(made) == 1 + len(few)
    assert not set(before[1:]) & set(map(id, frames))
    got = default_serializer.deserialize_object(frames, trust=trust)[0]
    assert {id(got["lone"]), *map(id, got["few"])} == made
    assert_equal({"lone": data, "array": array, "few": few, "view": memoryview(few[3])}, got)
    assert got["array"].flags.writeable


def test_small_messages_say_nothing_of_their_bytes() -> None:
    frames = arranged([b"x" * PART, b"y" * 2000])
    assert parse(frames[0]).extensions == {}  # type: ignore[union-attr]
    assert BYTES in parse(arranged([b"x" * LARGE])[0]).extensions  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "said", [b"\0\0\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\0", b"", b"\0\0\0\0\1\0\0\0\2\0\0\0\7"]
)
@pytest.mark.parametrize("split", [True, False])
def test_who_says_that_an_array_is_bytes_gets_an_array(said: bytes, split: bool) -> None:
    objects = [OBJECTS["array"], np.arange(9), {"b": BASE[:SIZE], "part": BASE[5:SIZE]}, b"z" * 3000]
    frames = in_parts(objects) if split else serialize_object(objects)
    head, footer, start = extend(frames[0], extension(BYTES, said), 0, 0)
    for trust in ("code", "data"):
        lies = [seal(head, footer, start), *map(bytearray, frames[1:])]
        join_parts(lies)
        got = default_serializer.deserialize_object(lies, trust=trust)[0]
        for one, other in zip(objects, got, strict=True):
            assert_equal(one, other, writeable="at most")
        got = default_serializer.deserialize_object(lies, trust=trust, writable=True)[0]
        assert_equal(objects, got)


@pytest.mark.parametrize(("rows", "asked"), [(LARGE // 20_000 + 1, 20), (100, 0)])
def test_memory_of_runs_is_handed_back_while_they_are_joined(
    rows: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(parts, "_malloc_trim", lambda: calls.append)
    array = np.arange(rows * 40_000, dtype=np.uint16).view(np.uint8).reshape(rows, 4, 20_000)[:, 1]
    frames = arranged(array)
    assert len(frames) == rows + 1
    join_parts(frames)
    assert asked <= len(calls) <= 25
    assert_equal(array, default_serializer.deserialize_object(frames)[0])


def test_memory_is_not_handed_back_where_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(parts, "_malloc_trim", lambda: calls.append)
    monkeypatch.setattr(parts, "_PATIENCE", 0.0)
    frames = arranged(np.zeros((LARGE // 20_000 + 1, 4, 20_000), np.uint8)[:, 1])
    join_parts(frames)
    assert len(calls) == 1


def test_the_function_of_the_c_library_is_found_once() -> None:
    trim = parts._malloc_trim()
    assert trim is parts._malloc_trim()
    if trim is not None:
        trim(0)
