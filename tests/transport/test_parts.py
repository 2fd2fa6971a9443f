"""Large buffers that go in parts over tcp, and are joined on arrival."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from canning import default_serializer, new_key, serialize_object
from canning.packing import LARGE, PART, split_large
from tests.harness import assert_equal
from transport import recv, send
from transport.parts import join_parts

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
    frames = default_serializer.serialize_chain([array], arrange=split_large)
    assert [len(frame) for frame in frames[1:-1]] == [PART] * (array.nbytes // PART)
    assert all(np.shares_memory(np.frombuffer(frame, np.uint8), array) for frame in frames[1:])


def test_parts_of_one_array_are_joined_once() -> None:
    array = OBJECTS["array"]
    frames: list[Any] = [
        bytearray(f) for f in default_serializer.serialize_chain([array], arrange=split_large)
    ]
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
    frames: list[Any] = default_serializer.serialize_chain([OBJECTS["runs"]])
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
