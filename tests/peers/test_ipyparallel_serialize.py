"""ipyparallel's own tests of serializing and canning, from its wheel, with canning's names for its own."""

from __future__ import annotations

import importlib
import pickle
import warnings
from types import ModuleType

import pytest

import canning

pytest.importorskip("ipyparallel", reason="needs the package ipyparallel")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it imports is its own affair
    SERIALIZE = importlib.import_module("ipyparallel.tests.test_serialize")
    CANNING = importlib.import_module("ipyparallel.tests.test_canning")

_CLASS = "looks for a CannedClass in the header, and ours gives the class itself to any unpickler"
NOT_OURS = {
    "test_class": _CLASS,
    "test_class_inheritance": _CLASS,
    "test_class_oldstyle": _CLASS,
    "test_roundtrip_buffered": "asserts that bytes of 1,025 have a frame; ours have from 64 KiB on",
}
"""Tests that do not apply, by name, with the reason; ``test_class_travels`` is in their place."""

OURS = (
    "CannedArray",
    "CannedClass",
    "can",
    "deserialize_object",
    "interactive",
    "serialize_object",
    "uncan",
)


def names_of(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if name.startswith("test_")]


def run(module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in NOT_OURS:
        pytest.skip(NOT_OURS[name])
    for ours in OURS:
        if hasattr(module, ours):
            monkeypatch.setattr(module, ours, getattr(canning, ours))
    monkeypatch.setattr(module, "canning", canning, raising=False)
    getattr(module, name)()


@pytest.mark.parametrize("name", names_of(SERIALIZE))
def test_serialize(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(SERIALIZE, name, monkeypatch)


@pytest.mark.parametrize("name", names_of(CANNING))
def test_canning(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(CANNING, name, monkeypatch)


def test_class_travels() -> None:
    class Base:
        a = 5

    class Derived(Base):
        b = 10

    header, *buffers = canning.serialize_object({"Base": Base, "Derived": Derived})
    for arrived in (canning.deserialize_object([header, *buffers])[0], pickle.loads(header)):
        assert arrived["Derived"].b == 10
        assert issubclass(arrived["Derived"], arrived["Base"])
