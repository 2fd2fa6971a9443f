"""Signatures: what is signed arrives, and whatever was changed, by anyone without the key, does not."""

from __future__ import annotations

import copy
import hashlib
import hmac
import os
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import canning
from canning import (
    AuthenticationError,
    DeserializationError,
    InsecureKeyWarning,
    Key,
    PrePickled,
    SerializationError,
    Serializer,
    new_key,
)
from canning.wire.keys import verify
from canning.wire.trailer import FOOTER, SIGNATURE, SIGNED, pack, parse
from canning.writing import single as lone
from canning.writing.stream import DIRECT

from .harness import assert_equal
from .samples import double

KEY = b"0123456789abcdef0123456789abcdef"
SIGNER = Serializer(key=KEY)
DATA_READER = Serializer(key=KEY, trust="data")
READERS = [SIGNER, DATA_READER]
LARGE = np.arange(1000.0)
OBJECTS: dict[str, Any] = {
    "atom": 5,
    "text": ["text", {"a": None}],
    "lone array": LARGE,
    "F array": np.ones((30, 40), order="F"),
    "small lone array": np.arange(3),
    "lone bytes": b"x" * 2000,
    "nested": {"a": LARGE, "b": [b"x" * 2000, np.arange(3)]},
    "views": [LARGE[:600], LARGE[500:]],
    "long header": list(range(30_000)),
    "long header and frames": [list(range(30_000)), LARGE],
    "prepared": PrePickled(LARGE),
    "prepared within": [PrePickled([LARGE, PrePickled(LARGE)])],
    "empty frame": pickle.PickleBuffer(b""),
}


def objects() -> Any:
    return pytest.mark.parametrize("obj", OBJECTS.values(), ids=OBJECTS)


def refused(frames: list[Any], reader: Serializer = SIGNER) -> None:
    with pytest.raises(AuthenticationError):
        reader.deserialize_object(frames)


# -- what is signed arrives -------------------------------------------------------------------------------


@objects()
def test_round_trip(obj: Any) -> None:
    frames = SIGNER.serialize_object(obj)
    expected = canning.deserialize_object(canning.serialize_object(obj))[0]
    got, rest = SIGNER.deserialize_object([*frames, b"next"])
    assert_equal(got, expected)
    assert rest == [b"next"]
    assert_equal(canning.deserialize_object(frames)[0], expected)  # a reader without a key
    assert type(pickle.loads(frames[0][: parse(frames[0]).pickle_length], buffers=frames[1:])) is not None


@pytest.mark.parametrize("name", ["atom", "text", "lone array", "nested", "prepared within"])
def test_plain_data(name: str) -> None:
    frames = DATA_READER.serialize_object(OBJECTS[name])
    expected = canning.deserialize_object(frames)[0]
    assert_equal(DATA_READER.deserialize_object(frames)[0], expected)


def test_nothing_but_frame_0_is_another() -> None:
    unsigned, signed = canning.serialize_object([A, LARGE]), SIGNER.serialize_object([A, LARGE])
    assert len(signed) == len(unsigned) == 3
    assert len(signed[0]) == len(unsigned[0]) + 40
    for frame, other in zip(signed[1:], unsigned[1:], strict=True):
        assert np.shares_memory(np.frombuffer(frame, "u1"), np.frombuffer(other, "u1"))


def test_calls() -> None:
    frames = SIGNER.pack_apply_message(double, [LARGE], {"k": 1})
    f, args, kwargs = SIGNER.unpack_apply_message(frames)
    assert (f, kwargs) == (double, {"k": 1})
    assert_equal(args[0], LARGE)
    with pytest.raises(AuthenticationError):
        SIGNER.unpack_apply_message(canning.pack_apply_message(double, [LARGE]))


def test_chained_objects_are_signed_one_by_one() -> None:
    first, second = SIGNER.serialize_object([LARGE]), SIGNER.serialize_object(2)
    obj, rest = SIGNER.deserialize_object(first + second)
    assert_equal(obj, [LARGE])
    assert SIGNER.deserialize_object(rest) == (2, [])
    refused(SIGNER.deserialize_object(first + canning.serialize_object(2))[1])


def test_what_was_prepared_is_signed_as_it_is_when_it_is_sent() -> None:
    array = np.zeros(1000)
    for ready in (PrePickled(array), PrePickled(array, SIGNER)):
        array[0] += 1
        assert SIGNER.deserialize_object(SIGNER.serialize_object(ready))[0][0] == array[0]


def test_functions_by_value() -> None:
    frames = SIGNER.serialize_object(lambda: LARGE.sum())
    assert SIGNER.deserialize_object(frames)[0]() == LARGE.sum()


@pytest.mark.parametrize("mmap", [True, False])
def test_blobs_and_files(tmp_path: Path, mmap: bool) -> None:
    path = tmp_path / "signed"
    canning.dump([LARGE], path, key=KEY)
    assert_equal(canning.load(path, mmap=mmap, key=KEY), [LARGE])
    assert_equal(canning.loads(bytearray(path.read_bytes()), key=[KEY]), [LARGE])
    blob = bytearray(path.read_bytes())
    blob[-100] ^= 1
    path.write_bytes(blob)
    for load in (lambda: canning.load(path, mmap=mmap, key=KEY), lambda: canning.loads(blob, key=KEY)):
        with pytest.raises(AuthenticationError):
            load()


def test_what_was_checked_is_not_mapped(tmp_path: Path) -> None:
    path = tmp_path / "signed"
    canning.dump([LARGE], path, key=KEY)
    array = canning.load(path, key=KEY)[0]
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert_equal(array, LARGE)


# -- the signature, made as the specification says ---------------------------------------------------------


@objects()
def test_the_signature_is_what_the_specification_says(obj: Any) -> None:
    frames = SIGNER.serialize_object(obj)
    head = frames[0]
    assert head[-84:-76] == struct.pack("<HHI", 0x8001, 0, 32)
    lengths = [len(frames), *map(len, frames)]
    signed = [struct.pack(f"<{len(lengths)}Q", *lengths), head[:-76], head[-44:-12], head[-8:], *frames[1:]]
    code = hmac.digest(KEY, b"canning signature 1\n" + b"".join(map(bytes, signed)), hashlib.sha256)
    assert head[-76:-44] == code
    trailer = parse(head)
    assert trailer is not None
    assert trailer.flags & SIGNED
    assert trailer.extensions == {SIGNATURE: code}


# -- what is changed does not arrive -----------------------------------------------------------------------

A, B = b"a" * DIRECT, b"b" * DIRECT
FAULTS: dict[str, Any] = {
    "a frame missing at the end": lambda f: f[:-1],
    "a frame missing inside": lambda f: f[:1] + f[2:],
    "all frames missing": lambda f: f[:1],
    "a frame more": lambda f: [*f[:2], b"", *f[2:]],
    "swapped": lambda f: [f[0], f[2], f[1], *f[3:]],
    "twice": lambda f: [f[0], f[1], *f[1:-1]],
    "emptied": lambda f: [f[0], b"", *f[2:]],
    "all emptied": lambda f: [f[0], *([b""] * (len(f) - 1))],
    "moved across a boundary": lambda f: [f[0], bytes(f[1])[:-1], bytes(f[1])[-1:] + bytes(f[2]), *f[3:]],
    "joined": lambda f: [f[0], b"".join(map(bytes, f[1:3])), *f[3:]],
    "cut": lambda f: [f[0], f[1][:-1], *f[2:]],
    "longer": lambda f: [f[0], bytes(f[1]) + b"\0", *f[2:]],
    "a bit in a buffer": lambda f: [f[0], flipped(f[1], 777), *f[2:]],
    "header first in the next frame": lambda f: [f[1], f[0], *f[2:]],
    "header of another message": lambda f: [SIGNER.serialize_object([B, A, LARGE])[0], *f[1:]],
    "frames of another message": lambda f: [f[0], *SIGNER.serialize_object([A, B, LARGE + 1])[1:]],
    "not signed": lambda f: canning.serialize_object([A, B, LARGE]),
    "another key": lambda f: Serializer(key=new_key()).serialize_object([A, B, LARGE]),
    "a plain pickle": lambda f: [pickle.dumps([A, B])],
    "a signature that was taken off": lambda f: [without_signature(f[0]), *f[1:]],
    "a code of zeros": lambda f: [f[0][:-76] + bytes(32) + f[0][-44:], *f[1:]],
    "nothing": lambda f: [b""],
    "half a header": lambda f: [f[0][-80:]],
}


def flipped(frame: Any, bit: int) -> bytes:
    changed = bytearray(frame)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def without_signature(head: bytes) -> bytes:
    trailer = parse(head)
    assert trailer is not None
    body = head[: trailer.inline_end]
    return pack(body, trailer.pickle_length, list(trailer.lengths), None, 0, trailer.flags)


@pytest.mark.parametrize("reader", READERS, ids=["code", "data"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_faults(fault: Any, reader: Serializer) -> None:
    frames = SIGNER.serialize_object([A, B, LARGE])
    assert len(frames) == 4
    refused(fault(list(frames)), reader)


def test_every_bit_of_the_header_is_signed() -> None:
    for obj in (5, b"x" * 2000, [LARGE, "x"]):
        frames = SIGNER.serialize_object(obj)
        for bit in range(8 * len(frames[0])):
            changed = [flipped(frames[0], bit), *frames[1:]]
            if bit // 8 in range(len(frames[0]) - 12, len(frames[0]) - 8):  # the checksum: not signed
                with pytest.raises(DeserializationError):
                    SIGNER.deserialize_object(changed)
            else:
                refused(changed)


PARTS = SIGNER.serialize_object([A, B, LARGE, "text"]) + SIGNER.serialize_object(np.arange(500))


@st.composite
def mutations(draw: Any) -> list[bytes]:
    """Draw a message of the frames of two signed ones, cut, joined, exchanged and changed."""
    frames = [bytes(frame) for frame in PARTS]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(frames) - 1))
        other = draw(st.integers(0, len(frames) - 1))
        kind = draw(st.sampled_from(["drop", "swap", "copy", "cut", "join", "bit", "insert", "splice"]))
        if kind == "drop":
            del frames[at]
        elif kind == "swap":
            frames[at], frames[other] = frames[other], frames[at]
        elif kind == "copy":
            frames.insert(other, frames[at])
        elif kind == "cut":
            point = draw(st.integers(0, len(frames[at])))
            frames[at : at + 1] = [frames[at][:point], frames[at][point:]]
        elif kind == "join":
            frames[at : at + 2] = [b"".join(frames[at : at + 2])]
        elif kind == "bit" and frames[at]:
            frames[at] = flipped(frames[at], draw(st.integers(0, 8 * len(frames[at]) - 1)))
        elif kind == "insert":
            frames.insert(at, draw(st.binary(max_size=100)))
        elif kind == "splice":
            point = draw(st.integers(0, min(len(frames[at]), len(frames[other]))))
            frames[at] = frames[at][:point] + frames[other][point:]
        if not frames:
            break
    return frames


@settings(max_examples=150)
@given(mutations(), st.sampled_from(READERS))
def test_mutations(frames: list[bytes], reader: Serializer) -> None:
    genuine = [[bytes(frame) for frame in part] for part in canning.split(PARTS)]
    assume(frames)
    assume(all(frames[: len(part)] != part for part in genuine))
    code = [without_checksum(part[0]) for part in genuine]
    assume(without_checksum(frames[0]) not in code or frames[0] in (part[0] for part in genuine))
    refused(frames, reader)


def without_checksum(head: bytes) -> bytes:
    return head[:-12] + head[-8:]


class Bomb:
    """Set itself off when it is unpickled."""

    went_off = False

    def __reduce__(self) -> Any:
        return setattr, (Bomb, "went_off", True)


@pytest.mark.parametrize("reader", READERS, ids=["code", "data"])
def test_nothing_runs_before_the_check(reader: Serializer) -> None:
    frames = canning.serialize_object(Bomb())
    for message in (frames, [pickle.dumps(Bomb())], Serializer(key=new_key()).serialize_object(Bomb())):
        refused(message, reader)
    assert not Bomb.went_off


def test_a_key_gives_no_more_trust_than_the_reader_has() -> None:
    """What is signed for readers of code is no code to a reader of data, and unsigned data none to either."""
    with pytest.raises(DeserializationError, match="this message needs"):
        DATA_READER.deserialize_object(SIGNER.serialize_object(Bomb()))
    assert not Bomb.went_off
    refused(Serializer(trust="data").serialize_object([1]), SIGNER)


def test_a_signed_message_within_an_unsigned_one_is_not_signed() -> None:
    signed = SIGNER.serialize_object(1)
    assert SIGNER.deserialize_object(signed)[0] == 1
    refused(canning.serialize_object(PrePickled(1, SIGNER)))
    refused([b"", *signed])


def test_the_header_is_read_where_it_cannot_be_changed() -> None:
    frames = SIGNER.serialize_object(["checked"])
    shared = bytearray(frames[0])
    checked = verify([shared], SIGNER.key or ())
    shared[:] = bytes(len(shared))
    assert checked == frames


def test_signed_headers_are_not_kept() -> None:
    """Each is another one, and would push those out that are seen again."""
    kept = lone._read_head.cache_info().misses
    for number in range(3):
        SIGNER.deserialize_object(SIGNER.serialize_object(LARGE + number + 0.5))
    assert lone._read_head.cache_info().misses == kept


def test_memory_that_changed_before_it_was_read() -> None:
    array = np.zeros(1000)
    frames = SIGNER.serialize_object([array])
    array[5] = 1
    refused(frames)


# -- keys --------------------------------------------------------------------------------------------------


def test_rotation() -> None:
    old, new = new_key(), new_key()
    both = Serializer(key=[new, old])
    assert both.deserialize_object(Serializer(key=old).serialize_object(1))[0] == 1
    assert Serializer(key=new).deserialize_object(both.serialize_object(2))[0] == 2
    refused(both.serialize_object(3), Serializer(key=old))
    refused(SIGNER.serialize_object(3), both)


WRONG = [
    (b"", ValueError, "16 to 4096 bytes"),
    (b"x" * 15, ValueError, "this one 15"),
    (b"x" * 4097, ValueError, "this one 4097"),
    ([], ValueError, "names no key"),
    (7, TypeError, "not int"),
    (bytearray(32), TypeError, "not bytearray"),
    ([b"x" * 16, 7], TypeError, "not int"),
    (Path("/no/such/key"), FileNotFoundError, "/no/such/key"),
    ("my secret key in a str", FileNotFoundError, "a key itself is bytes"),
]


@pytest.mark.parametrize(("key", "kind", "text"), WRONG)
def test_wrong_keys(key: Any, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        Serializer(key=key)
    assert "xxx" not in repr(caught.value)
    assert "secret" not in repr(caught.value)


def test_a_key_is_shown_nowhere() -> None:
    key = Key(KEY)
    serializer = Serializer(key=key)
    shown = [repr(key), str(key), f"{key}", repr(serializer), repr(serializer.key), repr(key.derive(b"x"))]
    with pytest.raises(AuthenticationError) as caught:
        serializer.deserialize_object(Serializer(key=new_key()).serialize_object(1))
    shown.append(str(caught.value))
    for text in shown:
        assert "0123" not in text
        assert KEY.hex()[:8] not in text
    assert "key=(<Key>,)" in repr(serializer)


@pytest.mark.parametrize(
    "send", [pickle.dumps, canning.serialize_object, lambda o: SIGNER.serialize_object([o])]
)
@pytest.mark.parametrize("obj", [Key(KEY), SIGNER], ids=["key", "serializer"])
def test_keys_are_not_sent(obj: Any, send: Any) -> None:
    with pytest.raises(SerializationError, match="cannot be sent"):
        send(obj)


def test_a_captured_key_is_found() -> None:
    key = Key(KEY)
    with pytest.raises(SerializationError, match=r"closure key.*a key cannot be sent"):
        canning.serialize_object([1, lambda: key])


def test_copies_are_the_key() -> None:
    key = Key(KEY)
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key


def test_derived_keys_differ() -> None:
    key = Key(KEY)
    signers = [Serializer(key=k) for k in (key, key.derive(b"a"), key.derive(b"b"))]
    heads = {serializer.serialize_object(1)[0] for serializer in signers}
    assert len(heads) == 3
    assert Serializer(key=key.derive(b"a")).serialize_object(1)[0] in heads


# -- files -------------------------------------------------------------------------------------------------


def test_a_new_key_file_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = new_key(path)
    assert path.read_bytes() == key
    assert len(key) == 32
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    for name in (path, str(path), [path]):
        assert Serializer(key=key).deserialize_object(Serializer(key=name).serialize_object(1))[0] == 1
    with pytest.raises(FileExistsError):
        new_key(path)
    assert path.read_bytes() == key


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    new_key(path)
    path.chmod(mode)
    with pytest.warns(InsecureKeyWarning, match=f"{path}.*chmod 600, its mode is {mode:o}"):
        Serializer(key=path)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such owners")
def test_a_file_of_another_user_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    new_key(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.warns(InsecureKeyWarning, match="belongs to another user"):
        Serializer(key=path)


@pytest.mark.parametrize(
    ("content", "text"), [(b"short", "it has 5 bytes"), (bytes(9999), "4097 bytes or more")]
)
def test_a_file_that_holds_no_key(tmp_path: Path, content: bytes, text: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with warnings.catch_warnings(), pytest.raises(ValueError, match=text) as caught:
        Serializer(key=path)
    assert "short" not in str(caught.value)


def test_a_directory_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the key file"):
        Serializer(key=tmp_path)


def test_the_footer_says_where_the_signature_is() -> None:
    """The check reads nothing of a message that it does not trust but the footer's number of frames."""
    head = bytearray(SIGNER.serialize_object(1)[0])
    for frames in (0, 2, 2**32 - 1):
        struct.pack_into("<I", head, len(head) - FOOTER.size + 8, frames)
        refused([bytes(head)])
