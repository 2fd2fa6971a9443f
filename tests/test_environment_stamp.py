"""What a message says of the environment that it comes from, and what a reader makes of it."""

from __future__ import annotations

import pickle
import struct
import sys
import types
import warnings
import zlib
from typing import Any

import cloudpickle
import pytest

import canning
from canning import DeserializationError, Serializer, VersionMismatch, VersionWarning
from canning.code.versions import version_of
from canning.wire.trailer import BIG_ENDIAN, NARROW, PLAIN, VERSIONS, extension, pack, parse


def stamped(frames: list[Any], *versions: int) -> list[Any]:
    """Let a message say that it was written by other versions."""
    head = bytearray(frames[0])
    head[-20 : -20 + len(versions)] = bytes(versions)
    head[-12:-8] = struct.pack("<I", zlib.crc32(head[:-12]))
    return [bytes(head), *frames[1:]]


def test_code_of_another_python_is_not_run() -> None:
    frames = stamped(canning.serialize_object([lambda: 1, b"x" * 2000]), 3, 9)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(VersionMismatch, match=f"Python 3.9, and this is Python {here}.*by_value_as"):
        canning.deserialize_object(frames)
    with pytest.warns(VersionWarning, match="code of Python 3.9"):
        assert canning.deserialize_object(frames, on_version_mismatch="warn")[0][0]() == 1
    assert canning.deserialize_object(frames, on_version_mismatch="ignore")[0][0]() == 1


def test_data_and_names_cross_versions() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for obj in ([1, "two"], struct.pack, {"f": struct.Struct("<I").unpack_from.__name__}):
            assert canning.deserialize_object(stamped(canning.serialize_object([obj]), 3, 9, 1, 20))[0] == [
                obj
            ]


def test_another_numpy_is_worth_a_warning() -> None:
    frames = stamped(canning.serialize_object(lambda: 1), *sys.version_info[:2], 1, 20)
    with pytest.warns(VersionWarning, match=r"numpy 1\.20; here is") as told:
        assert canning.deserialize_object(frames)[0]() == 1
    assert told[0].filename == __file__
    with pytest.raises(VersionMismatch, match=r"code, which may not work here: .* numpy 1\.20; here is"):
        canning.deserialize_object(frames, on_version_mismatch="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canning.deserialize_object(frames, on_version_mismatch="ignore")


def test_the_warning_comes_once() -> None:
    frames = stamped(canning.serialize_object(lambda: 2), *sys.version_info[:2], 1, 19)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            canning.deserialize_object(frames)
    assert len(caught) == 1


def flagged(frames: list[Any], flag: int) -> list[Any]:
    head = bytearray(frames[0])
    head[-15] ^= flag
    head[-12:-8] = struct.pack("<I", zlib.crc32(head[:-12]))
    return [bytes(head), *frames[1:]]


@pytest.mark.parametrize(("flag", "said"), [(BIG_ENDIAN, "endian machine"), (NARROW, "Python of .. bits")])
def test_other_machines(flag: int, said: str) -> None:
    with pytest.warns(VersionWarning, match=said):
        assert canning.deserialize_object(flagged(canning.serialize_object(lambda: 1), flag))[0]() == 1
    with warnings.catch_warnings():  # data and names cross freely
        warnings.simplefilter("error")
        for obj in ([1, b"x" * 3000], struct.pack):
            assert canning.deserialize_object(flagged(canning.serialize_object([obj]), flag))[0] == [obj]


class Shop(types.ModuleType):
    """A package of a version, with a class in it."""

    def __init__(self, version: str) -> None:
        super().__init__("shop")
        self.__version__ = version
        self.Item: Any = type("Item", (), {"__module__": "shop"})


class Fine:
    """Be nothing special."""


def test_versions_of_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shop", shop := Shop("1.2.3"))
    serializer = Serializer()
    frames = serializer.serialize_object([shop.Item(), [Fine()], b"x" * 2000])
    assert parse(frames[0]).extensions == {VERSIONS: b"shop 1.2.3"}  # type: ignore[union-attr]
    assert "types of shop 1.2.3" in str(canning.inspect(frames))
    plain = serializer.serialize_object([Fine(), "shop", {"shop": "Item"}])  # a string is no name
    assert parse(plain[0]).extensions == {}  # type: ignore[union-attr]
    (head,) = serializer.serialize_object([shop.Item()])
    assert pickle.loads(head)[0].__class__ is shop.Item
    assert parse(head).flags & PLAIN  # type: ignore[union-attr]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canning.deserialize_object(frames)
        monkeypatch.setattr(shop, "__version__", "1.2.9")
        canning.deserialize_object(frames)
        canning.deserialize_object(frames)
    for version in ("1.3", "2.2.3", "unknown"):
        monkeypatch.setattr(shop, "__version__", version)
        with pytest.warns(VersionWarning, match=f"objects of other packages.* shop 1.2.3; here is {version}"):
            assert len(canning.deserialize_object(frames)[0]) == 3
        with pytest.raises(VersionMismatch, match="shop 1"):
            canning.deserialize_object(frames, on_version_mismatch="error")


def test_errors_say_in_what_environments_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shop", shop := Shop("1.2"))
    item = shop.Item()
    item.x = 1
    frames = canning.serialize_object(item)
    monkeypatch.setattr(shop, "__version__", "1.3")
    monkeypatch.setattr(shop.Item, "__setstate__", lambda item, state: 1 / 0, raising=False)
    with (
        pytest.warns(VersionWarning),
        pytest.raises(DeserializationError, match=r"ZeroDivisionError; .* shop 1.2; here is 1.3"),
    ):
        canning.deserialize_object(frames)


def test_versions_that_strangers_write() -> None:
    for said in (b"", b"\xff\n\n x", b"a" * 10_000 + b" 1", b"os 1\n" * 1000, b"no_such_package_here 1.2"):
        head = pack(b"\x80\x05K\x01.", 5, [], None, 0, PLAIN, extension(VERSIONS, said))
        assert canning.deserialize_object([head])[0] == 1
        assert canning.deserialize_object([head], trust="data")[0] == 1
        assert len(str(canning.inspect([head]))) < 10_000


def test_versions_of_installed_packages() -> None:
    assert version_of("cloudpickle") == cloudpickle.__version__
    assert version_of("_no_such_module") is None
