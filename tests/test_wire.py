"""Frame 0 on the wire: what its trailer says, and that no damage to it goes unnoticed."""

from __future__ import annotations

import pickle
import random
import struct
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from canning import (
    DeserializationError,
    PrePickled,
    deserialize_object,
    pack_apply_message,
    serialize_object,
    split,
)
from canning.wire.trailer import CALL, MAGIC, PLAIN, VERSION, parse

from .harness import assert_equal
from .samples import Trace, double

LARGE = np.arange(1000.0)
MESSAGES: dict[str, Any] = {
    "plain": lambda: serialize_object([1, "text", {"a": None}]),
    "atom": lambda: serialize_object(5),
    "array": lambda: serialize_object(LARGE),
    "F array": lambda: serialize_object(np.ones((30, 40), order="F")),
    "small array": lambda: serialize_object(np.arange(3)),
    "bytes": lambda: serialize_object(b"x" * 2000),
    "nested": lambda: serialize_object({"a": LARGE, "b": [b"x" * 2000, np.arange(3)]}),
    "views": lambda: serialize_object([LARGE[:600], LARGE[500:]]),
    "small views": lambda: serialize_object([np.arange(20)[3:], np.arange(5)]),
    "views of small memory": lambda: serialize_object([SMALL[3:9], SMALL[6:12]]),
    "runs": lambda: serialize_object([np.zeros((20, 4000))[::3]]),
    "call": lambda: pack_apply_message(double, [LARGE], {"k": 1}),
    "out-of-band buffer": lambda: serialize_object([pickle.PickleBuffer(bytes(2000))]),
    "function": lambda: serialize_object(lambda: LARGE),
    "prepared": lambda: serialize_object([PrePickled(LARGE)]),
}
SMALL = np.arange(20)


def messages() -> Any:
    return pytest.mark.parametrize("frames", [make() for make in MESSAGES.values()], ids=MESSAGES)


# -- the trailer, read as the specification says ---------------------------------------------------------


def read_by_hand(head: bytes) -> dict[str, Any]:
    """Read a trailer with nothing but `struct` and `zlib`."""
    size = struct.calcsize("<QIIII5sHBI8s")
    length, frames, entries, outside, extension, stamp, flags, _, total, magic = struct.unpack(
        "<QIIII5sHBI8s", head[-size:]
    )
    assert magic == b"\x93CANNED\n"
    start = len(head) - size - extension - 24 * entries - 8 * (frames - 1)
    if start < 32 * 1024:
        assert total == zlib.crc32(head[:-12])
    behind = start + 8 * (frames - 1)
    return {
        "pickle_length": length,
        "inline_end": start,
        "frames": frames,
        "lengths": struct.unpack_from(f"<{frames - 1}Q", head, start),
        "table": tuple(struct.iter_unpack("<IIQQ", head[behind : behind + 24 * entries])) or None,
        "outside": outside,
        "flags": flags,
        "stamp": stamp,
        "extensions": {},
        "encoded": (),
    }


@messages()
def test_the_trailer_is_what_the_specification_says(frames: list[Any]) -> None:
    by_hand = read_by_hand(frames[0])
    trailer = parse(frames[0])
    assert trailer is not None
    assert trailer._asdict() == by_hand
    assert by_hand["frames"] == len(frames)
    assert by_hand["lengths"] == tuple(map(len, frames[1:]))
    versions = [*sys.version_info[:2], *map(int, np.__version__.split(".")[:2]), VERSION]
    assert list(by_hand["stamp"]) == versions
    assert frames[0][by_hand["pickle_length"] - 1 : by_hand["pickle_length"]] == b"."


@messages()
def test_the_pickle_stands_first_and_is_whole(frames: list[Any]) -> None:
    trailer = parse(frames[0])
    assert trailer is not None
    buffers = [bytes(frame) for frame in frames[1:]] if trailer.outside else None
    alone = pickle.loads(frames[0][: trailer.pickle_length], buffers=buffers)
    whole = pickle.loads(frames[0], buffers=buffers)
    assert type(alone) is type(whole)


FLAGS = [("plain", PLAIN), ("atom", PLAIN), ("array", 0), ("nested", 0), ("call", CALL), ("prepared", 0)]


@pytest.mark.parametrize(("name", "flags"), FLAGS)
def test_flags(name: str, flags: int) -> None:
    trailer = parse(MESSAGES[name]()[0])
    assert trailer is not None
    assert trailer.flags & (PLAIN | CALL) == flags


TABLES = [
    # message, entries as (first frame, frames, offset, length)
    ("array", None),
    ("nested", None),
    ("views", ((1, 1, 0, 4800), (1, 1, 4000, 4000))),
    ("views of small memory", ((0, 1, 0, 48), (0, 1, 24, 48))),
]


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_tables(name: str, table: Any) -> None:
    trailer = parse(MESSAGES[name]()[0])
    assert trailer is not None
    assert trailer.table == table


def test_joined_frames_in_the_table() -> None:
    trailer = parse(MESSAGES["runs"]()[0])
    assert trailer is not None
    assert trailer.table == ((1, 7, 0, 7 * 32_000),)
    assert trailer.lengths == (32_000,) * 7


def test_a_frame_without_a_trailer_is_a_plain_pickle() -> None:
    assert parse(pickle.dumps([1] * 100)) is None
    assert parse(b"") is None
    assert parse(b"short") is None


# -- damage ----------------------------------------------------------------------------------------------


def assert_refused(frames: list[Any], what: Any) -> None:
    """Check that a damaged message gives the one error there is for that, whatever the kind of its frames."""
    for read in (deserialize_object, split):
        try:
            read(frames)
        except DeserializationError:
            continue
        if read is deserialize_object:
            pytest.fail(f"{what}: went through")


@messages()
def test_every_bit_of_frame_0_that_flips_is_noticed(frames: list[Any]) -> None:
    for position in range(len(frames[0])):
        for bit in range(8):
            head = bytearray(frames[0])
            head[position] ^= 1 << bit
            assert_refused([bytes(head), *frames[1:]], f"bit {bit} of byte {position} of {len(head)}")


@messages()
def test_every_cut_of_frame_0_is_noticed(frames: list[Any]) -> None:
    trailer = parse(frames[0])
    assert trailer is not None
    for length in range(len(frames[0])):
        if length != trailer.pickle_length:  # which is a plain pickle
            assert_refused([frames[0][:length], *frames[1:]], f"cut to {length} of {len(frames[0])}")


@messages()
@pytest.mark.parametrize("more", [b"\0", b".", b"\n", MAGIC, b"\x80\x05N."])
def test_bytes_behind_frame_0_are_noticed(frames: list[Any], more: bytes) -> None:
    assert_refused([frames[0] + more, *frames[1:]], more)


def large_header() -> list[Any]:
    return serialize_object([list(range(30_000)), [f"text {number}" for number in range(3000)], LARGE])


def test_damage_to_a_large_header_is_noticed() -> None:
    frames = large_header()
    assert len(frames[0]) > 100_000
    draw = random.Random(5)
    for _ in range(400):
        head = bytearray(frames[0])
        head[draw.randrange(len(head))] ^= 1 << draw.randrange(8)
        assert_refused([bytes(head), *frames[1:]], "a bit")
    for size in (1, 512, 4096, 8192, 10_000):
        for start in (0, 5, 8192, 16_384):
            one, other = frames[0][start : start + size], frames[0][start + 40_960 : start + 40_960 + size]
            head = bytearray(frames[0])
            head[start : start + size], head[start + 40_960 : start + 40_960 + size] = other, one
            if head != frames[0]:
                assert_refused([bytes(head), *frames[1:]], f"{size} bytes at {start} changed places")
            assert_refused([frames[0][:start] + frames[0][start + size :], *frames[1:]], "bytes are missing")


@messages()
def test_bits_that_flip_in_payload_are_delivered(frames: list[Any]) -> None:
    """The checksum covers frame 0 alone: payload has those of the network, or a signature."""
    for number in range(1, len(frames)):
        flipped = [bytearray(frame) for frame in frames]
        flipped[number][-1] ^= 1
        deserialize_object(flipped)


@messages()
def test_frames_that_are_missing_or_of_another_length(frames: list[Any]) -> None:
    for number in range(1, len(frames)):
        frame = bytes(frames[number])
        for other in ([], [frame[:-1]], [frame + b"x"], [b""], [frame, frame[:-1]]):
            damaged = [*frames[:number], *other, *frames[number + 1 :]]
            if other[:1] != [frame]:
                with pytest.raises(DeserializationError, match=r"bytes|cut"):
                    deserialize_object(damaged)


def test_frames_that_change_places_or_come_twice() -> None:
    frames = serialize_object([np.arange(250.0), np.arange(375.0), LARGE])
    for order in (
        [0, 2, 1, 3],
        [0, 3, 2, 1],
        [0, 1, 1, 2, 3],
        [0, 1, 2, 2, 3],
        [1, 0, 2, 3],
        [0, 0, 1, 2, 3],
    ):
        with pytest.raises(DeserializationError):
            deserialize_object([bytes(frames[number]) for number in order])
    assert_equal(deserialize_object(frames)[0], deserialize_object([*frames, b"more"])[0])
    assert deserialize_object([*frames, b"more"])[1] == [b"more"]


@pytest.fixture
def calls() -> Iterator[list[str]]:
    Trace.calls.clear()
    yield Trace.calls
    Trace.calls.clear()


TRACES = [serialize_object([Trace(), "padding" * 20]), serialize_object([Trace(), LARGE, np.arange(4)[1:]])]


def test_what_is_in_order_runs(calls: list[str]) -> None:
    for frames in TRACES:
        deserialize_object(frames)
    assert calls == ["ran", "ran"]


changes = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 5000), st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("cut"), st.integers(0, 5000), st.integers(1, 60)),
    st.tuples(st.just("insert"), st.integers(0, 5000), st.binary(min_size=1, max_size=30)),
    st.tuples(st.just("repeat"), st.integers(0, 5000), st.integers(1, 60)),
    st.tuples(st.just("zero"), st.integers(0, 5000), st.integers(1, 60)),
)


def changed(head: bytes, change: tuple[str, int, Any]) -> bytes:
    kind, at, what = change
    at %= len(head)
    if kind == "set":
        return (head[:at] + what + head[at + len(what) :])[: len(head)]
    if kind == "cut":
        return head[:at] + head[at + what :]
    if kind == "insert":
        return head[:at] + what + head[at:]
    if kind == "repeat":
        return head[:at] + head[at : at + what] + head[at:]
    return (head[:at] + bytes(what) + head[at + what :])[: len(head)]


@given(which=st.sampled_from(range(len(TRACES))), changes=st.lists(changes, min_size=1, max_size=3))
@settings(max_examples=400)
def test_nothing_runs_of_a_damaged_header(which: int, changes: list[Any]) -> None:
    frames = TRACES[which]
    head = frames[0]
    for change in changes:
        head = changed(head, change) or b"x"
    trailer = parse(frames[0])
    assert trailer is not None
    assume(head != frames[0])
    assume(head[-1:] != b".")  # as all plain pickles end
    Trace.calls.clear()
    with pytest.raises(DeserializationError):
        deserialize_object([head, *frames[1:]])
    assert Trace.calls == []


# -- trailers that add up, and contradict themselves -----------------------------------------------------

FOOTER = struct.Struct("<QIIII5sHBI8s")


def forged(head: bytes, table: list[tuple[int, ...]] | None = None, **fields: Any) -> bytes:
    """Write another trailer behind the pickle of a frame 0, with a checksum that is right."""
    old = read_by_hand(head)
    entries = list(old["table"] or ()) if table is None else table
    values = {
        "pickle_length": old["pickle_length"],
        "frames": old["frames"],
        "entries": len(entries),
        "outside": old["outside"],
        "extension": 0,
        "stamp": old["stamp"],
        "flags": old["flags"],
        "reserved": 0,
        **fields,
    }
    lengths = values.pop("lengths", old["lengths"])
    body = head[: old["inline_end"]] + struct.pack(f"<{len(lengths)}Q", *lengths)
    body += b"".join(struct.pack("<IIQQ", *entry) for entry in entries)
    body += FOOTER.pack(*values.values(), 0, MAGIC)[:-12]
    return body + struct.pack("<I", zlib.crc32(body)) + MAGIC


FORGERIES: list[tuple[str, str, dict[str, Any]]] = [
    # message, what is wrong, fields
    ("array", "no pickle", {"pickle_length": 0}),
    ("array", "pickle longer than all", {"pickle_length": 10**6}),
    ("array", "pickle of 2**63", {"pickle_length": 2**63}),
    ("array", "no frames", {"frames": 0}),
    ("array", "2**32 frames", {"frames": 2**32 - 1}),
    ("array", "more buffers outside than there are", {"outside": 5}),
    ("array", "2**32 entries", {"entries": 2**32 - 1}),
    ("array", "extension longer than all", {"extension": 2**31}),
    ("array", "frame of another length", {"lengths": (7999,)}),
    ("array", "frame of 2**63 bytes", {"lengths": (2**63,)}),
    ("array", "buffer that is too short", {"lengths": (7999,)}),
    ("views", "frame that is not there", {"table": [(9, 1, 0, 10), (1, 1, 0, 10)]}),
    ("views", "beyond its frame", {"table": [(1, 1, 7999, 10), (1, 1, 0, 10)]}),
    ("views", "offset of 2**64", {"table": [(1, 1, 2**64 - 5, 10), (1, 1, 0, 10)]}),
    ("views", "length of 2**64", {"table": [(1, 1, 8, 2**64 - 5), (1, 1, 0, 10)]}),
    ("views", "no frames", {"table": [(1, 0, 0, 0), (1, 1, 0, 10)]}),
    ("views", "joined beyond the last", {"table": [(1, 5, 0, 8000), (1, 1, 0, 10)]}),
    ("views", "inline data that is not there", {"table": [(0, 1, 0, 10), (1, 1, 0, 10)]}),
    ("views", "buffers too short for the arrays", {"table": [(1, 1, 0, 10), (1, 1, 0, 10)]}),
    ("views", "fewer buffers than the pickle names", {"table": [(1, 1, 0, 8000)]}),
    ("runs", "joined twice", {"table": [(1, 7, 0, 7 * 32_000)] * 2}),
    ("runs", "joined with another length", {"table": [(1, 7, 0, 32_000)]}),
    ("runs", "joined with an offset", {"table": [(1, 7, 8, 7 * 32_000)]}),
    ("plain", "frames that are not there", {"frames": 2, "lengths": (5,)}),
]


@pytest.mark.parametrize(
    ("name", "fields"), [(row[0], row[2]) for row in FORGERIES], ids=[row[1] for row in FORGERIES]
)
def test_contradictions_are_refused_though_the_checksum_is_right(name: str, fields: dict[str, Any]) -> None:
    frames = MESSAGES[name]()
    head = forged(frames[0], **fields)
    for convert in (bytes, bytearray):
        with pytest.raises(DeserializationError):
            deserialize_object([convert(head), *map(convert, frames[1:])])


@messages()
def test_forging_nothing_changes_nothing(frames: list[Any]) -> None:
    assert forged(frames[0]) == frames[0]


@pytest.mark.parametrize("version", [0, 1, 2, 4, 255])
def test_another_version_says_so(version: int) -> None:
    for name in ("plain", "array", "views"):
        head, *rest = MESSAGES[name]()
        stamp = bytes([*read_by_hand(head)["stamp"][:4], version])
        with pytest.raises(DeserializationError, match=f"version {version}"):
            deserialize_object([forged(head, stamp=stamp), *rest])


@pytest.mark.parametrize("stamp", [bytes([3, 99, 9, 9, VERSION]), bytes([2, 7, 1, 6, VERSION])])
def test_other_environments_are_read(stamp: bytes) -> None:
    for make in MESSAGES.values():
        head, *rest = make()
        expected, got = (
            deserialize_object([head, *rest])[0],
            deserialize_object([forged(head, stamp=stamp), *rest], on_version_mismatch="ignore")[0],
        )
        assert type(got) is type(expected)


def extended(head: bytes, block: bytes) -> bytes:
    """Put extensions in front of the footer, with a checksum that is right."""
    old = read_by_hand(head)
    entries = len(old["table"] or ())
    footer = (old["pickle_length"], old["frames"], entries, old["outside"], len(block), old["stamp"])
    body = head[: -FOOTER.size] + block + FOOTER.pack(*footer, old["flags"], 0, 0, MAGIC)[:-12]
    return body + struct.pack("<I", zlib.crc32(body)) + MAGIC


def of_tag(tag: int, content: bytes) -> bytes:
    return struct.pack("<HHI", tag, 0, len(content)) + content


@pytest.mark.parametrize("name", ["plain", "array", "views", "call"])
def test_extensions_that_a_reader_can_do_without(name: str) -> None:
    head, *rest = MESSAGES[name]()
    block = of_tag(0x8765, b"of later days") + of_tag(0xFFFF, b"")
    got = deserialize_object([extended(head, block), *rest])[0]
    if name == "call":
        assert got[0] is double
    else:
        assert_equal(deserialize_object([head, *rest])[0], got)
    trailer = parse(extended(head, block))
    assert trailer is not None
    assert trailer.extensions == {0x8765: b"of later days", 0xFFFF: b""}


BAD_EXTENSIONS = {
    "unknown": (of_tag(0x7FFF, b"content"), "extension 32767"),
    "twice": (of_tag(0x8765, b"") * 2, "contradicts"),
    "cut": (of_tag(0x8765, b"content")[:-1], "contradicts"),
    "cut before its length": (of_tag(0x8765, b"")[:5], "contradicts"),
    "too long": (struct.pack("<HHI", 0x8765, 0, 2**32 - 1), "contradicts"),
}


@pytest.mark.parametrize("name", ["plain", "array", "views", "call"])
@pytest.mark.parametrize(("block", "what"), BAD_EXTENSIONS.values(), ids=BAD_EXTENSIONS)
def test_extensions_that_do_not_fit(name: str, block: bytes, what: str) -> None:
    head, *rest = MESSAGES[name]()
    for convert in (bytes, bytearray):
        with pytest.raises(DeserializationError, match=what):
            deserialize_object([convert(extended(head, block)), *rest])
