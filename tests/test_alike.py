"""Types that are registered by what they show of their memory."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, Registry, SerializationError, Serializer

from .harness import check_uncopied


class Wrapped:
    """Memory of which pickle makes a copy."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)

    def __reduce__(self) -> Any:
        return Wrapped, (self.array.tolist(),)


class Interface(Wrapped):
    @property
    def __array_interface__(self) -> Any:
        return self.array.__array_interface__


class Exchange(Wrapped):
    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("memory_package")
    monkeypatch.setitem(sys.modules, "memory_package", module)
    for cls in (Interface, Exchange):
        monkeypatch.setattr(cls, "__module__", "memory_package")
        setattr(module, cls.__name__, cls)
    module.from_dlpack = lambda array: Exchange(np.from_dlpack(array))  # type: ignore[attr-defined]
    return module


@pytest.mark.parametrize(("cls", "like"), [(Interface, "array_interface"), (Exchange, "dlpack")])
@pytest.mark.parametrize("frame_of", [bytes, bytearray])
def test_memory_travels_uncopied(package: Any, cls: Any, like: str, frame_of: Any) -> None:
    registry = Registry()
    registry.register(f"memory_package.{cls.__name__}", like=like)
    serializer = Serializer(registry=registry)
    obj = cls(np.arange(600.0).reshape(20, 30))
    frames = serializer.serialize_object({"a": [obj]})
    check_uncopied([obj.array], frames)
    got, _ = serializer.deserialize_object([frame_of(frame) for frame in frames])
    assert type(got["a"][0]) is cls
    assert (got["a"][0].array == obj.array).all()


def test_a_buffer_and_an_uncan_of_ones_own() -> None:
    registry = Registry()
    registry.register("mmap.mmap", like="buffer", uncan=lambda array: bytes(array))
    import mmap

    mapped = mmap.mmap(-1, 5000)
    serializer = Serializer(registry=registry)
    frames = serializer.serialize_object([mapped])
    check_uncopied([np.frombuffer(mapped, np.uint8)], frames)
    assert serializer.deserialize_object(frames)[0] == [bytes(5000)]


def test_a_package_without_from_dlpack_is_named(package: Any) -> None:
    del package.from_dlpack
    serializer = Serializer(registry=Registry())
    serializer.registry.register("memory_package.Exchange", like="dlpack")
    frames = serializer.serialize_object(Exchange(np.arange(3)))
    with pytest.raises(DeserializationError) as caught:
        serializer.deserialize_object(frames)
    assert "uncan=" in str(caught.value.__cause__)


def test_a_package_with_from_dlpack_in_a_module_of_that_name(package: Any) -> None:
    package.dlpack = types.SimpleNamespace(from_dlpack=package.from_dlpack)
    del package.from_dlpack
    serializer = Serializer(registry=Registry())
    serializer.registry.register("memory_package.Exchange", like="dlpack")
    got, _ = serializer.deserialize_object(serializer.serialize_object(Exchange(np.arange(3))))
    assert (got.array == np.arange(3)).all()


def test_an_object_that_shows_no_memory_is_an_error(package: Any) -> None:
    serializer = Serializer(registry=Registry())
    serializer.registry.register(Wrapped, like="array_interface")
    with pytest.raises(SerializationError, match="Wrapped"):
        serializer.serialize_object([Wrapped([1])])


@pytest.mark.parametrize("options", [{"like": "cuda"}, {"like": "buffer", "can": bytes}])
def test_like_is_one_of_three_and_alone(options: Any) -> None:
    with pytest.raises(TypeError, match="dlpack, buffer, array_interface"):
        Registry().register("a.B", **options)


def test_a_registration_needs_a_canner() -> None:
    with pytest.raises(TypeError, match=r"can= for a\.B must be callable"):
        canning.Registry().register("a.B")
