"""A message is a value: which shape objects get, and what the functions of drafts do to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import canning
from canning import default_serializer
from canning.memory.buffers import bytes_of
from canning.wire.shapes import shape_of
from canning.wire.trailer import LONE, parse
from canning.writing.draft import LARGE, Draft, encoded, frames, join_small, name_bytes, split_large
from canning.writing.messages import write

SHAPES: dict[str, tuple[Any, str]] = {
    "a number": (5, "plain"),
    "a dict": ({"a": [1, 2.5, None]}, "plain"),
    "long text in a list": (["x" * 100_000], "plain"),
    "a small array": (np.arange(5), "single"),
    "an array": (np.zeros(1000), "single"),
    "an array in Fortran's order": (np.zeros((100, 100), order="F"), "single"),
    "bytes": (b"x" * 2000, "single"),
    "a small array in a list": ([np.arange(5)], "named"),
    "a function by value": (lambda: 1, "general"),  # which needs this Python
    "an array in a list": ([np.zeros(1000)], "general"),
    "a masked array": (np.ma.masked_array(np.zeros(1000), mask=True), "general"),
}


@pytest.mark.parametrize(("obj", "shape"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes(obj: Any, shape: str) -> None:
    head = canning.serialize_object(obj)[0]
    assert shape_of(bytes(head)) == shape_of(memoryview(bytearray(head))) == shape


@pytest.mark.parametrize("options", [{"key": b"k" * 16}, {"by_value": "local"}], ids=["signed", "modules"])
def test_what_says_more_is_general(options: Any) -> None:
    head = canning.serialize_object({"a": 1}, **options)[0]
    assert (shape_of(bytes(head)) == "general") is ("key" in options)


def test_what_is_damaged_has_no_shape_of_its_own() -> None:
    for obj in (5, [np.arange(5)], np.zeros(1000), ["x" * 100_000]):
        head = bytes(canning.serialize_object(obj)[0])
        for at in (3, len(head) // 2, len(head) - 40, len(head) - 10):
            assert shape_of(head[:at] + bytes([head[at] ^ 1]) + head[at + 1 :]) == "general"
        assert shape_of(head[:-1]) == shape_of(b"") == "general"


def test_functions_of_drafts_leave_the_draft_as_it_was() -> None:
    arrays = [np.full(2000, number, np.uint8) for number in range(6)]
    draft = write(default_serializer, arrays)
    assert type(draft) is Draft
    before = tuple(draft._replace(buffers=list(draft.buffers)))
    joined, coded = join_small(draft, 4096), encoded(draft, canning.Lz4())
    assert tuple(draft) == before
    assert (len(joined.buffers), len(coded.buffers)) == (1, 6)
    assert split_large(draft) is draft
    assert name_bytes(draft) is draft
    for each in (draft, joined):
        got = canning.deserialize_object(frames(each))[0]
        assert all(map(np.array_equal, got, arrays))


def test_a_single_array_that_is_large_can_be_cut() -> None:
    array = np.zeros(LARGE, np.uint8)
    draft = write(default_serializer, array)
    assert type(draft) is Draft
    assert draft.flags == LONE
    assert bytes_of(draft.body) == bytes(frames(draft)[0][: len(bytes_of(draft.body))])
    whole, cut = frames(draft), frames(split_large(draft))
    assert (len(whole), len(cut)) == (2, 33)
    trailer = parse(cut[0])
    assert trailer is not None
    assert not trailer.flags & LONE
    for each in (whole, cut):
        assert np.array_equal(canning.deserialize_object(each)[0], array)
