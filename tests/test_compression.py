"""Frames that go compressed: what comes back, what is refused, what `Adaptive` chooses."""

from __future__ import annotations

import struct
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import canning
from canning import (
    Adaptive,
    Blosc2,
    DeserializationError,
    Limits,
    PrePickled,
    Serializer,
    Zstd,
    deserialize_object,
    dumps,
    loads,
    serialize_object,
)
from canning.codecs.adaptive import link_speed
from canning.codecs.compression import BLOCK, shuffled
from canning.wire.trailer import parse

from .harness import assert_equal

RNG = np.random.default_rng(1)
CODECS: dict[str, Any] = {
    "lz4": "lz4",
    "zstd": "zstd",
    "blosc2": "blosc2",
    "zstd, level 9": Zstd(level=9),
    "blosc2, zstd": Blosc2("zstd", level=3),
}
OBJECTS: dict[str, Any] = {
    "ints": np.arange(50_000),
    "several blocks": np.arange(400_001, dtype=np.int64),
    "F order": np.asfortranarray(RNG.integers(0, 9, (300, 200))),
    "every third row": np.tile(np.arange(2000), (30, 1))[::3],
    "views": (lambda base: [base[10:20_000], base[5_000:]])(np.arange(30_000)),
    "items of 3 bytes": np.zeros(9_001, "V3"),
    "items of 40 bytes": np.zeros(999, "S40"),
    "records": np.zeros(3_333, [("a", "i4"), ("b", "f8"), ("c", "S3")]),
    "float16": np.linspace(0, 1, 30_000).astype(np.float16),
    "bytes": b"abc" * 10_000,
    "bytearray": bytearray(100_000),
    "nested": {"text": ["x" * 50_000, b"y" * 50_000], "small": np.arange(3), "random": RNG.bytes(9_999)},
    "half random": np.frombuffer(RNG.bytes(1 << BLOCK) + bytes(1 << BLOCK), np.uint8),
    "none": None,
}


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("trust", ["code", "data"])
def test_round_trip(name: str, codec: Any, trust: str) -> None:
    obj = OBJECTS[name]
    frames = [bytes(frame) for frame in serialize_object(obj, codec=codec)]
    if trust == "data" and (codec == "blosc2" or isinstance(codec, Blosc2)) and parse(frames[0]).encoded:  # type: ignore[union-attr]
        with pytest.raises(DeserializationError, match="codec='lz4' or 'zstd'"):
            deserialize_object(frames, trust="data")
        return
    got, rest = deserialize_object(frames, trust=trust)
    assert_equal(obj, got)
    assert rest == []


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_what_compresses_gets_smaller_and_arrives_writable_and_aligned(codec: Any) -> None:
    array = np.arange(100_000)
    _, frame = serialize_object(array, codec=codec)
    assert len(frame) < array.nbytes / 4
    got = loads(dumps(array, codec=codec), trust="code")  # as blosc2 needs
    assert got.flags.writeable
    assert got.ctypes.data % 64 == 0


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
def test_what_does_not_compress_goes_uncopied(codec: Any) -> None:
    array = np.frombuffer(RNG.bytes(100_000), np.uint8)
    _, frame = serialize_object(array, codec=codec)
    assert np.shares_memory(np.frombuffer(frame, np.uint8), array)
    _, small = serialize_object(np.zeros(300), codec=codec)
    assert len(small) == 2400


@settings(max_examples=60)
@given(
    st.binary(max_size=200),
    st.integers(1, 40),
    st.integers(0, 40_000),
    st.sampled_from(["lz4", "zstd", "blosc2"]),
)
def test_any_bytes_of_any_item_size(pattern: bytes, itemsize: int, size: int, name: str) -> None:
    codec = canning.default_codecs.find(name)
    data = (pattern * (size // max(len(pattern), 1) + 1))[:size]
    made = codec.encode(memoryview(data), itemsize=itemsize)
    if made is not None:
        assert len(made) < len(data)
        assert bytes(codec.decode(memoryview(made), len(data), writable=False)) == data


@given(st.binary(max_size=300), st.integers(1, 32))
def test_shuffling_is_what_it_says(data: bytes, width: int) -> None:
    items = len(data) // width * width
    expected = b"".join(data[n:items:width] for n in range(width)) + data[items:] if width > 1 else data
    assert bytes(shuffled(memoryview(data), width)) == expected


# -- messages that are not in order ------------------------------------------------------------------------


def frame_of(name: str) -> tuple[Any, bytes]:
    codec = canning.default_codecs.find(name)
    made = codec.encode(memoryview(np.arange(200_000)).cast("B"), itemsize=8)
    assert made is not None
    return codec, bytes(made)


@pytest.mark.parametrize("name", ["lz4", "zstd", "blosc2"])
def test_damaged_frames_end_in_an_error_or_in_as_many_bytes(name: str) -> None:
    array = np.arange(200_000)
    head, frame = serialize_object(array, codec=name)
    rng = np.random.default_rng(3)
    for _ in range(300):
        damaged = bytearray(frame)
        for at in rng.integers(0, min(len(frame), 4000), rng.integers(1, 4)):
            damaged[at] = rng.integers(256)
        try:
            got = deserialize_object([head, damaged])[0]
        except DeserializationError:
            continue
        assert got.nbytes == array.nbytes


@pytest.mark.parametrize("name", ["lz4", "zstd", "blosc2"])
def test_every_part_of_a_frame_is_checked(name: str) -> None:
    codec, frame = frame_of(name)
    length = 1_600_000
    first = struct.unpack_from("<I", frame, 2)[0]
    wrong = {
        "empty": b"",
        "cut": frame[:-1],
        "longer": frame + b"\0",
        "itemsize 0": b"\0" + frame[1:],
        "itemsize 33": b"\x21" + frame[1:],
        "tiny blocks": frame[:1] + b"\x00" + frame[2:],
        "huge blocks": frame[:1] + b"\x3f" + frame[2:],
        "block longer": frame[:2] + struct.pack("<I", first + 1) + frame[6:],
        "raw where it is not": frame[:2] + struct.pack("<I", first | 1 << 31) + frame[6:],
    }
    for what, bad in wrong.items():
        with pytest.raises((DeserializationError, ValueError)) as raised:
            codec.decode(memoryview(bad), length, writable=False)
        assert what, raised
    for other in (length - 1, length + 1, 2**50):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever; `canning` makes its own error of it
            codec.decode(memoryview(frame), other, writable=False)


def _stating(frame: bytes, size: int, flags: int = 0, more: bytes = b"") -> bytes:
    """Let a frame of zstd's state another size, by a header of eight bytes of it (RFC 8878, 3.1.1.1)."""
    said = frame[4]
    single = said >> 5 & 1
    head = 5 + (1 - single) + ([1, 2, 4, 8][said >> 6] if single else [0, 2, 4, 8][said >> 6])
    return frame[:4] + bytes([0b11100000 | flags]) + more + struct.pack("<Q", size) + frame[head:]


def test_frames_that_zstd_knows_and_canning_does_not_write_are_refused() -> None:
    codec = canning.default_codecs.find("zstd")
    size = 5000
    frame = bytes(codec.compress(memoryview(bytes(size)), 1))  # type: ignore[attr-defined]
    short = bytes(codec.compress(memoryview(bytes(1000)), 1))  # type: ignore[attr-defined]
    skippable = struct.pack("<II", 0x184D2A50, size)
    wrong = {
        "more than it has": _stating(short, size),
        "less than it has": _stating(frame, 1000),
        "a dictionary": _stating(frame, size, 3, struct.pack("<I", 77)),
        "nothing but a frame to skip": skippable,
        "a frame to skip": skippable + bytes(size) + frame,
        "two frames": short * 5,
        "cut": frame[:-3],
        "empty": b"",
    }
    assert len(codec.decode(memoryview(_block(_stating(frame, size))), size, writable=False)) == size
    for what, block in wrong.items():
        length = 1000 if what == "less than it has" else size
        with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever; `canning` makes its own of it
            codec.decode(memoryview(_block(block)), length, writable=False)
        assert what, raised


def _block(data: bytes) -> bytes:
    return struct.pack("<BBI", 1, 20, len(data)) + data


def test_a_bomb_is_refused_before_it_grows() -> None:
    frames = serialize_object(np.zeros(10_000_000, np.uint8), codec="zstd")
    assert sum(map(len, frames)) < 10_000
    with pytest.raises(DeserializationError, match="message_bytes"):
        deserialize_object(frames, trust="data", limits=Limits(message_bytes=1_000_000))


def test_what_is_decoded_is_counted_over_messages_within_messages() -> None:
    serializer = Serializer(codec="zstd")
    ready = [PrePickled(np.zeros(1_000_000, np.uint8), serializer) for _ in range(10)]
    message = serialize_object(ready)
    few = Limits(decoded_bytes=5_000_000)
    with pytest.raises(DeserializationError, match="decoded_bytes"):
        deserialize_object(message, trust="data", limits=few)
    assert len(deserialize_object(serialize_object(ready[:4]), trust="data", limits=few)[0]) == 4
    with pytest.raises(DeserializationError, match="decoded_bytes=1073741824"):
        deserialize_object(serialize_object(np.zeros(1_100_000_000, np.uint8), codec="zstd"), trust="data")


def test_a_codec_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = serialize_object(np.arange(5000), codec="lz4")
    monkeypatch.setitem(sys.modules, "lz4.block", None)
    with pytest.raises(DeserializationError, match=r"pip install lz4"):
        deserialize_object(frames)
    with pytest.raises(ImportError, match=r"pip install lz4"):
        serialize_object(np.arange(5000), codec="lz4")


# -- choosing ----------------------------------------------------------------------------------------------


class Known:
    """A codec that takes next to no time, and leaves of a frame what it says."""

    def __init__(self, name: str, ratio: float) -> None:
        self.id = name
        self.ratio = ratio

    def encode(self, buffer: memoryview, *, itemsize: int) -> bytes | None:
        return bytes(int(buffer.nbytes * self.ratio)) if self.ratio < 1 else None

    def decode(self, frame: memoryview, length: int, *, writable: bool) -> Any:
        return bytearray(length)


def test_the_choice_is_what_is_there_soonest() -> None:
    memory = memoryview(bytes(4_000_000))
    half, tenth, same = Known("half", 0.5), Known("tenth", 0.1), Known("same", 1.0)
    assert Adaptive("10Mbit/s", [half, tenth]).choose(memory, itemsize=1) is tenth
    assert Adaptive("10Mbit/s", [half, same]).choose(memory, itemsize=1) is half
    assert Adaptive("10Mbit/s", [same]).choose(memory, itemsize=1) is None
    assert Adaptive("100TB/s", [half, tenth]).choose(memory, itemsize=1) is None


def test_on_a_slow_link_what_compresses_does() -> None:
    obj = {"ints": np.arange(1_000_000), "noise": np.frombuffer(RNG.bytes(1_000_000), np.uint8)}
    frames = serialize_object(obj, codec=Adaptive("10Mbit/s"))
    assert len(frames[1]) < 2_000_000
    assert len(frames[2]) == 1_000_000
    assert_equal(obj, deserialize_object(frames)[0])


def test_one_chooser_serves_many_messages() -> None:
    serializer = Serializer(codec=Adaptive("1Mbit/s"))
    for _ in range(3):
        for obj in (np.arange(100_000), np.zeros((1000, 30)), b"ab" * 50_000):
            assert_equal(obj, serializer.deserialize_object(serializer.serialize_object(obj))[0])


@pytest.mark.parametrize("link", ["fast", "1 Gbit", "0 MB/s", -1.0, "1 Gbit/s of it", float("nan")])
def test_links_that_are_none(link: Any) -> None:
    with pytest.raises(ValueError, match="is not a speed"):
        Adaptive(link)


def test_links() -> None:
    assert link_speed("1Gbit/s") == link_speed("125 MB/s") == link_speed(125e6) == 125e6
