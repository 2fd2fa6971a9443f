"""The lengths that a rank announces are checked before any memory is taken for them; this needs no MPI."""

from __future__ import annotations

from typing import Any, Final
from unittest import mock

import pytest

from canning import DeserializationError, Limits
from canning.wire.trailer import pack as trailer_of
from transport.engines import mpi_parts
from transport.engines.mpi_parts import _END, _MARK, drive, pack, unpack

LIMITS: Final = Limits(message_bytes=100_000, frames=10)
PICKLE: Final = b"\x80\x05N."


class Ready:
    """Fill memory at once, as a collective call does; `heads` come first."""

    def __init__(self, *heads: bytes) -> None:
        self.heads = list(heads)

    def fill(self, memory: Any, tag: int) -> list[Any]:
        head = self.heads.pop(0) if self.heads else bytes(len(memory))
        memory[:] = head
        return []

    def check(self, statuses: list[Any], nbytes: int) -> None:
        """Nothing can be missing."""


def unpacked(envelope: bytes, limits: Limits | None, *heads: bytes) -> tuple[Any, int]:
    """Return the frames or the error, and how many bytes were taken."""
    taken: list[int] = []

    def take(nbytes: int) -> Any:
        taken.append(nbytes)
        return bytearray(nbytes)

    with mock.patch.object(mpi_parts, "long_empty", take):
        try:
            return drive(unpack(envelope, limits, Ready(*heads)), lambda requests: []), sum(taken)
        except DeserializationError as error:
            return error, sum(taken)


def announced(lengths: list[int]) -> bytes:
    """Make an envelope that holds frame 0, and announces frames of these lengths behind it."""
    head = trailer_of(PICKLE, len(PICKLE), lengths)
    return head + _END.pack(len(head), 1, _MARK)


@pytest.mark.parametrize("size", [100_001, 2**31, 2**62, 2**63, 2**64 - 1])
def test_a_frame_0_that_is_too_long(size: int) -> None:
    error, taken = unpacked(_END.pack(size, 1, _MARK), LIMITS)
    assert f"{size} bytes: this reader's limit is message_bytes=100000" in str(error)
    assert not taken


@pytest.mark.parametrize(
    "lengths", [[100_001], [50_000, 60_000], [2**63], [2**64 - 1] * 2, [99_999, 1, 1], [100] * 5 + [99_990]]
)
def test_frames_that_are_too_long_together(lengths: list[int]) -> None:
    error, taken = unpacked(announced(lengths), LIMITS)
    assert "this reader's limit is message_bytes=100000" in str(error)
    assert not taken


@pytest.mark.parametrize("lengths", [[5000] * 10, [0] * 10, [2**63] * 10])
def test_more_frames_than_the_limit(lengths: list[int]) -> None:
    error, taken = unpacked(announced(lengths), LIMITS)
    assert "11 frames: this reader's limit is frames=10" in str(error)
    assert not taken


def test_a_long_frame_0_that_announces_more() -> None:
    head = trailer_of(PICKLE + bytes(5000), len(PICKLE) + 5000, [98_000])
    error, taken = unpacked(_END.pack(len(head), 1, _MARK), LIMITS, head)
    assert "this reader's limit is message_bytes=100000" in str(error)
    assert taken == len(head)


def test_frames_within_the_limits() -> None:
    frames = [trailer_of(PICKLE, len(PICKLE), [90_000, 10]), bytes(90_000), bytes(range(10))]
    envelope, outside = pack(frames, 1)
    assert list(map(len, outside)) == [90_000]
    for limits in (LIMITS, None):
        found, taken = unpacked(envelope, limits)
        assert [bytes(frame) for frame in found] == frames
        assert taken == 90_000


def test_ranks_that_are_trusted_have_no_limit_but_memory() -> None:
    with mock.patch.object(mpi_parts, "long_empty", side_effect=MemoryError):
        steps = unpack(_END.pack(2**62, 1, _MARK), None, Ready())
        with pytest.raises(DeserializationError, match="no memory for a frame"):
            drive(steps, lambda requests: [])
