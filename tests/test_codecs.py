"""Codecs: frames that go through one, ids that nobody knows, and what a stranger may say of them."""

from __future__ import annotations

import pickle
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import canning
from canning import (
    Codecs,
    DeserializationError,
    Limits,
    PrePickled,
    Serializer,
    deserialize_object,
    serialize_object,
)
from canning.wire.encoded import CODECS, parse_encoded
from canning.wire.trailer import parse

from .harness import assert_equal

LARGE = np.arange(5000.0)


class Deflate:
    id = "deflate"

    def __init__(self, least: int = 0) -> None:
        self.least = least
        self.itemsizes: list[int] = []

    def encode(self, buffer: memoryview, *, itemsize: int) -> bytes | None:
        self.itemsizes.append(itemsize)
        return zlib.compress(buffer, 1) if buffer.nbytes >= self.least else None

    def decode(self, frame: memoryview, length: int, *, writable: bool) -> Any:
        data = zlib.decompressobj().decompress(frame, length)
        return bytearray(data) if writable else data


class Broken(Deflate):
    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result

    def decode(self, frame: memoryview, length: int, *, writable: bool) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


SENDER = Serializer(codec=Deflate())
READERS = {
    "as its own": Serializer(codec=Deflate()),
    "registered": Serializer(codecs=Codecs([Deflate()])),
    "plain data": Serializer(codecs=Codecs([Deflate()]), trust="data"),
}
OBJECTS: dict[str, Any] = {
    "array": LARGE,
    "bytes": b"x" * 5000,
    "nested": {"a": LARGE, "b": [bytearray(5000), LARGE.astype("i2")], "c": 1},
    "views": [LARGE[:3000], LARGE[2000:]],
    "sparse": np.zeros((40, 4000))[::3],
    "Fortran": np.ones((90, 80), order="F"),
    "nothing to encode": [1, "two"],
    "small": np.arange(3),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("obj", OBJECTS.values(), ids=OBJECTS)
def test_round_trips(obj: Any, reader: Serializer) -> None:
    frames = SENDER.serialize_object(obj)
    got, rest = reader.deserialize_object(frames)
    assert_equal(obj, got, writeable="at most")
    assert rest == []
    got, _ = reader.deserialize_object(frames, writable=True)
    assert_equal(obj, got)


def test_views_share_memory_again() -> None:
    (a, b), _ = READERS["registered"].deserialize_object(
        SENDER.serialize_object([LARGE[:3000], LARGE[2000:]])
    )
    assert np.shares_memory(a, b)


def test_frames_are_what_the_codec_made_of_them() -> None:
    frames = SENDER.serialize_object([LARGE, b"y" * 70_000])
    assert [zlib.decompress(frame) for frame in frames[1:]] == [LARGE.tobytes(), b"y" * 70_000]
    trailer = parse(frames[0])
    assert trailer is not None
    assert trailer.lengths == tuple(map(len, frames[1:]))
    expected = b"".join(
        struct.pack("<IQB", number, length, 7) + b"deflate" for number, length in ((1, 40_000), (2, 70_000))
    )
    assert trailer.extensions == {CODECS: expected}


def test_what_a_codec_leaves_goes_as_it_is() -> None:
    frames = Serializer(codec=Deflate(least=10_000)).serialize_object([memoryview(b"x" * 5000), LARGE])
    assert bytes(frames[1]) == b"x" * 5000
    assert [frame for frame, *_ in parse_encoded(parse(frames[0]).extensions[CODECS], 2)] == [2]  # type: ignore[union-attr]
    frames = Serializer(codec=Deflate(least=10**9)).serialize_object([LARGE])
    assert deserialize_object(frames)[0][0].sum() == LARGE.sum()


def test_a_codec_learns_the_size_of_items() -> None:
    codec = Deflate()
    Serializer(codec=codec).serialize_object([LARGE, LARGE.astype("i2"), b"x" * 70_000])
    assert codec.itemsizes == [8, 2, 1]


def test_an_unknown_codec_is_named() -> None:
    with pytest.raises(DeserializationError, match=r"'deflate'.*register_codec"):
        deserialize_object(SENDER.serialize_object(LARGE))
    with pytest.raises(ValueError, match=r"'gzip' is not registered: there are blosc2, lz4, zstd, and"):
        Serializer(codec="gzip")
    assert list(Codecs([Deflate()], beside=canning.default_codecs)) == ["blosc2", "deflate", "lz4", "zstd"]


def test_register_and_unregister() -> None:
    codec = Deflate()
    frames = Serializer(codec=codec).serialize_object(LARGE)
    canning.register_codec(codec)
    try:
        assert_equal(LARGE, deserialize_object(frames)[0], writeable="at most")
        assert Serializer(codec="deflate").codec is codec
        assert Codecs(beside=canning.default_codecs).find("deflate") is codec
        with pytest.raises(ValueError, match="already"):
            canning.register_codec(Deflate())
    finally:
        canning.unregister_codec(codec)
    with pytest.raises(DeserializationError):
        deserialize_object(frames)
    with pytest.raises(ValueError, match="not registered"):
        canning.unregister_codec(codec)


def test_messages_within_messages() -> None:
    inner = PrePickled(LARGE)
    got, _ = READERS["registered"].deserialize_object(SENDER.serialize_object({"inner": inner}))
    assert_equal(LARGE, got["inner"], writeable="at most")


def test_serializers_with_codecs_travel() -> None:
    sent = pickle.loads(pickle.dumps(Serializer(codec=Deflate(), codecs=Codecs([Deflate()]))))
    assert_equal(LARGE, sent.deserialize_object(sent.serialize_object(LARGE))[0], writeable="at most")
    assert pickle.loads(pickle.dumps(Serializer())).codecs is canning.default_codecs


@pytest.mark.parametrize("codec", [3, Deflate, object()], ids=["number", "class", "object"])
def test_what_is_no_codec(codec: Any) -> None:
    with pytest.raises(TypeError):
        Serializer(codec=codec)


@pytest.mark.parametrize("name", ["", "With Space", "x" * 33, 5, "ümlaut"])
def test_ids_that_do_not_fit(name: Any) -> None:
    codec = Deflate()
    codec.id = name
    with pytest.raises(ValueError, match="id"):
        Codecs([codec])


def test_a_name_that_nobody_registered() -> None:
    with pytest.raises(ValueError, match="'lz5'"):
        Serializer(codec="lz5")


# -- what goes wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (b"", "decoded to 0 bytes"),
        (bytes(40_001), "decoded to 40001"),
        (ZeroDivisionError("secret"), "cannot decode frame 1: ZeroDivisionError"),
        (DeserializationError("it is no good"), "it is no good"),
        (None, "TypeError"),
    ],
)
def test_codecs_that_fail(result: Any, what: str) -> None:
    with pytest.raises(DeserializationError, match=what) as caught:
        deserialize_object(SENDER.serialize_object(LARGE), codec=Broken(result))
    assert "secret" not in str(caught.value)


def test_what_is_decoded_is_bounded_before_it_is() -> None:
    frames = SENDER.serialize_object(np.zeros(10**6))
    assert sum(map(len, frames)) < 100_000
    reader = READERS["plain data"].evolve(limits=Limits(message_bytes=10**6))
    with pytest.raises(DeserializationError, match=r"8000\d\d\d bytes: .*message_bytes=1000000"):
        reader.deserialize_object(frames)


def entry(frame: int, length: int = 5, name: bytes = b"deflate", size: int | None = None) -> bytes:
    return struct.pack("<IQB", frame, length, len(name) if size is None else size) + name


@pytest.mark.parametrize(
    "content",
    [
        entry(0),
        entry(4),
        entry(2) + entry(2),
        entry(2) + entry(1),
        entry(1, name=b""),
        entry(1, name=b"no spaces"),
        entry(1, name=b"x" * 33),
        entry(1, size=200),
        entry(1) + b"more",
    ],
)
def test_extensions_that_do_not_fit(content: bytes) -> None:
    with pytest.raises(DeserializationError, match="codecs"):
        parse_encoded(content, 3)


@given(st.binary(max_size=60), st.integers(0, 5))
def test_no_extension_raises_anything_else(content: bytes, frames: int) -> None:
    try:
        found = parse_encoded(content, frames)
    except DeserializationError:
        return
    assert b"".join(entry(part.frame, part.length, part.codec.encode()) for part in found) == content


def test_a_table_is_checked_against_decoded_lengths() -> None:
    frames = SENDER.serialize_object([LARGE[:3000], LARGE[2000:]])
    head = bytes(frames[0])
    trailer = parse(head)
    assert trailer is not None
    assert trailer.table is not None
    assert max(entry[2] + entry[3] for entry in trailer.table) == LARGE.nbytes > len(frames[1])


def test_plain_messages_stay_as_they_are() -> None:
    for obj in OBJECTS.values():
        assert [bytes(frame) for frame in serialize_object(obj)] == [
            bytes(frame) for frame in Serializer(codec=Deflate(least=10**9)).serialize_object(obj)
        ] or isinstance(obj, np.ndarray | bytes)


@pytest.mark.parametrize(
    ("codec", "module"),
    [
        ("lz4", "lz4.block"),
        ("zstd", "compression.zstd" if sys.version_info >= (3, 14) else "zstandard"),
        ("blosc2", "blosc2"),
    ],
)
def test_a_codec_that_is_not_installed_is_told_at_once(
    codec: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    way = "this Python was built without" if "." in module[4:] else f"pip install {module.partition('.')[0]}"
    with pytest.raises(ImportError, match=way):
        canning.Serializer(codec=codec)
