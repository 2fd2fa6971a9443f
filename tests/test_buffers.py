"""Memory as flat views: where it lies, who keeps it alive."""

from __future__ import annotations

import array as stdarray
import gc
import pickle
from typing import Any

import numpy as np
import pytest
import zmq

from canning.memory.buffers import ALIGNMENT, address, aligned_copy, aligned_empty, flat, owner_of, span

from .harness import place_of

BYTES = bytes(range(24))
FRAMES = {
    "bytes": BYTES,
    "bytearray": bytearray(BYTES),
    "memoryview": memoryview(BYTES),
    "memoryview of doubles": memoryview(BYTES).cast("d"),
    "memoryview of two axes": memoryview(BYTES).cast("B", (4, 6)),
    "array": np.frombuffer(BYTES, "u4"),
    "array of two axes": np.frombuffer(BYTES, "u4").reshape(2, 3),
    "array.array": stdarray.array("I", BYTES),
    "PickleBuffer": pickle.PickleBuffer(BYTES),
    "zmq.Frame": zmq.Frame(BYTES),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_flat_views_are_unsigned_bytes_of_the_same_memory(frame: Any) -> None:
    view = flat(frame)
    assert (view.format, view.ndim, view.nbytes, len(view)) == ("B", 1, 24, 24)
    assert view == BYTES
    assert address(view) == np.frombuffer(memoryview(frame), np.uint8).ctypes.data


def test_a_flat_view_is_flat_already() -> None:
    view = memoryview(BYTES)
    assert flat(view) == view
    assert address(flat(view)) == address(view)


def test_what_is_not_contiguous_is_refused() -> None:
    with pytest.raises(TypeError):
        flat(memoryview(BYTES)[::2])


def test_an_empty_view_has_no_address() -> None:
    assert address(memoryview(b"")) == 0


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 5000])
def test_memory_of_our_own_is_aligned_and_writable(nbytes: int) -> None:
    room = aligned_empty(nbytes)
    assert room.nbytes == nbytes
    assert room.ctypes.data % ALIGNMENT == 0 or not nbytes
    room[:] = 1


@pytest.mark.parametrize(
    "parts", [[], [b"abc"], [b"abc", b"", b"defg"], [b"x" * 5000, bytearray(b"y" * 70_000)]]
)
def test_copies_stand_one_behind_the_other(parts: list[Any]) -> None:
    copy = aligned_copy(*map(memoryview, parts))
    assert bytes(copy) == b"".join(parts)
    assert not copy.readonly
    assert address(copy) % ALIGNMENT == 0


@pytest.mark.parametrize("readonly", [True, False])
def test_a_span_looks_at_memory_and_keeps_its_owner(readonly: bool) -> None:
    memory = bytearray(BYTES)
    low, _ = place_of(memory)
    view = span(low + 2, low + 6, memory, readonly=readonly)
    assert bytes(view) == BYTES[2:6]
    assert view.readonly == readonly
    if not readonly:
        view[0] = 99
        assert memory[2] == 99
    del memory
    gc.collect()
    assert bytes(view)[1:] == BYTES[3:6]


def test_owners_stand_behind_all_views() -> None:
    base = np.zeros(100)
    assert owner_of(base) is base
    assert owner_of(base[10:][::2].reshape(5, 9).T) is base
    assert owner_of(np.frombuffer(BYTES, np.uint8)[3:]) is BYTES
    assert owner_of(memoryview(memoryview(BYTES)[2:])) is BYTES
    assert owner_of(memoryview(base[2:])) is base
    assert owner_of(np.asarray(memoryview(BYTES)[2:])[1:]) is BYTES
    assert owner_of(BYTES) is BYTES
    held = np.broadcast_to(base, (3, 100))
    assert owner_of(held) is base
