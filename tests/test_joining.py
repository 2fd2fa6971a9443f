"""Small buffers in common frames: what arrives is the same, and one of them does not keep the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canning import Serializer, default_serializer, deserialize_object, new_key
from canning.writing.draft import Draft, join_small
from canning.writing.messages import write
from transport import fake_pair, recv, send

from .harness import assert_equal
from .strategies import objects

BELOW = 16 * 1024


def joined(*objects: Any, serializer: Serializer = default_serializer) -> list[Any]:
    """Give the frames of objects, small ones of each in common ones."""
    messages = [write(serializer, obj) for obj in objects]
    return list(serializer.finish([join_small(m, BELOW) if type(m) is Draft else m for m in messages]))


LISTS: dict[str, tuple[Any, int]] = {
    # object, frames with frame 0
    "of 10 kB": ([np.arange(1250.0) + n for n in range(256)], 2),
    "more than one frame has room for": ([np.arange(1250.0) + n for n in range(900)], 4),
    "of odd sizes": ([np.full(1025 + n, n, np.uint8) for n in range(100)], 2),
    "few": ([np.ones(1000)] * 3, 2),
    "too few to join": ([np.ones(1000), np.ones(1000), np.ones(1000)], 4),
    "with large ones between": ([np.ones(n % 3 * 2000 + 200) for n in range(12)], 10),
    "views of bytes": ([memoryview(bytes([n]) * 3000) for n in range(50)], 2),
    "views of bytearrays": ([memoryview(bytearray([n]) * 3000) for n in range(50)], 2),
    "read-only": ([np.frombuffer(bytes([n]) * 4000, "i4") for n in range(9)], 10),
}


@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str, trust: str) -> None:
    obj, count = LISTS[name]
    frames = joined(obj)
    if name != "read-only":
        assert len(frames) == count
    got, rest = deserialize_object([bytes(frame) for frame in frames], trust=trust)
    assert_equal(obj, got)
    assert rest == []


@settings(max_examples=8)
@given(st.lists(objects(), min_size=4, max_size=8), st.sampled_from([100, 1000]))
def test_any_object(obj: list[Any], threshold: int) -> None:
    serializer = default_serializer.evolve(buffer_threshold=threshold)
    frames = joined(obj, "next", serializer=serializer)
    got, rest = deserialize_object(frames)
    assert_equal(obj, got)
    assert deserialize_object(rest)[0] == "next"


def test_what_is_kept_does_not_keep_the_joined_frame() -> None:
    frames = joined(LISTS["of 10 kB"][0])
    [head, *rest] = [bytearray(frame) for frame in frames]
    kept = deserialize_object([head, *rest])[0][77]
    assert not any(np.shares_memory(kept, np.frombuffer(frame, np.uint8)) for frame in rest)
    for frame in rest:
        frame.append(0)  # raises BufferError where a view of it is left


@pytest.mark.parametrize("key", [None, new_key()], ids=["unsigned", "signed"])
def test_over_a_socket(key: bytes | None) -> None:
    here, there = fake_pair()
    obj = LISTS["of 10 kB"][0]
    send(here, obj, "and more", key=key)
    got, more = recv(there, many=True, key=key, timeout=5)
    assert_equal(obj, got)
    assert more == "and more"
    got[3][0] = 5  # its own, and writable
    assert got[4][0] == 4
