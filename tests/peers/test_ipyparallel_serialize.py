"""ipyparallel's own tests of serializing and canning, from its wheel, with canning's names in the place of its own."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

import pytest

import canning

pytest.importorskip("ipyparallel", reason="needs the package ipyparallel")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it imports is its own affair
    SERIALIZE = importlib.import_module("ipyparallel.tests.test_serialize")
    CANNING = importlib.import_module("ipyparallel.tests.test_canning")

NOT_OURS: dict[str, str] = {}
"""Tests that do not apply, by name, with the reason."""


def names_of(module: ModuleType) -> list[str]:
    return [name for name in vars(module) if name.startswith("test_") and name not in NOT_OURS]


def run(module: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for ours in ("CannedArray", "CannedClass", "can", "deserialize_object", "interactive", "serialize_object", "uncan"):
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
