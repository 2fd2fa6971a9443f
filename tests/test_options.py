"""Options: unknown ones, what a `Serializer` shows of them, and its methods for blobs and files."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import canning
import transport
from canning import DeserializationError, Serializer
from transport import aio

FAKE: Any = transport.fake_pair()


@pytest.mark.parametrize(
    ("call", "near"),
    [
        (lambda **o: Serializer(**o), {"codek": "codec"}),
        (lambda **o: Serializer().evolve(**o), {"tust": "trust"}),
        (lambda **o: canning.serialize_object(1, **o), {"picler": "pickler"}),
        (lambda **o: canning.dumps(1, **o), {"readable": "readable_as"}),
        (lambda **o: canning.loads(canning.dumps(1), **o), {"trsut": "trust"}),
        (lambda **o: canning.load("none", **o), {"mmpa": "mmap"}),
        (lambda **o: canning.dump(1, "none", **o), {"progres": "progress"}),
        (lambda **o: Serializer().loads(b"", **o), {"mising": "missing"}),
        (lambda **o: transport.send(FAKE[0], 1, **o), {"kye": "key"}),
        (lambda **o: transport.recv(FAKE[1], **o), {"trsut": "trust"}),
        (lambda **o: transport.Sender(FAKE[0], **o), {"copi": "copy"}),
        (lambda **o: transport.Receiver(FAKE[1], **o), {"writeable": "writable"}),
        (lambda **o: transport.Channel(FAKE[0], **o), {"kye": "key"}),
        (lambda **o: asyncio.run(aio.send(FAKE[0], 1, **o)), {"flag": "flags"}),
        (lambda **o: asyncio.run(aio.recv(FAKE[1], **o)), {"prefixes": "prefix"}),
    ],
    ids=[
        *("make", "evolve", "serialize", "dumps", "loads", "load", "dump", "method"),
        *("send", "recv", "sender", "receiver", "channel", "aio.send", "aio.recv"),
    ],
)
def test_an_unknown_option_names_the_near_one(call: Callable[..., Any], near: dict[str, str]) -> None:
    ((wrong, right),) = near.items()
    with pytest.raises(TypeError, match=f"'{wrong}': did you mean '{right}'"):
        call(**{wrong: 1})


def test_the_representation_names_what_is_not_the_default() -> None:
    assert repr(Serializer()) == "Serializer()"
    assert repr(Serializer(trust="data", missing="error", by_value="local")) == (
        "Serializer(by_value='local', trust='data')"
    )
    key = b"0123456789abcdef0123"
    assert "0123" not in repr(Serializer(key=key))


def test_options_do_not_change() -> None:
    for frozen in (Serializer(), canning.Limits()):
        with pytest.raises(AttributeError, match="make another one"):
            frozen.depth = 1  # type: ignore[misc]
        with pytest.raises(AttributeError, match="keeps"):
            del frozen.depth  # type: ignore[union-attr]


def test_limits_are_compared_by_what_they_say() -> None:
    limits = canning.Limits(depth=9)
    assert limits == canning.Limits().replace(depth=9) != canning.Limits()
    assert len({limits, canning.Limits(depth=9)}) == 1
    assert repr(limits).startswith("Limits(depth=9, nodes=20000000, ")
    assert pickle.loads(pickle.dumps(limits)) == limits
    with pytest.raises(ValueError, match="depth=0"):
        limits.replace(depth=0)


def test_methods_write_and_read_with_the_options(tmp_path: Path) -> None:
    signer, other = Serializer(key=b"k" * 32), Serializer(key=b"o" * 32)
    path = tmp_path / "file"
    signer.dump({"a": 1}, path)
    assert signer.load(path) == signer.loads(signer.dumps({"a": 1})) == {"a": 1}
    for read in (lambda: other.load(path), lambda: other.loads(signer.dumps(1))):
        with pytest.raises(canning.AuthenticationError):
            read()


def test_methods_read_data_unless_the_call_says_otherwise(tmp_path: Path) -> None:
    serializer, path = Serializer(trust="code"), tmp_path / "file"
    serializer.dump(print, path)
    with pytest.raises(DeserializationError, match="print"):
        serializer.load(path)
    with pytest.raises(DeserializationError, match="print"):
        serializer.loads(serializer.dumps(print))
    assert serializer.load(path, trust="code") is print
    assert serializer.loads(serializer.dumps(print), trust="code") is print
