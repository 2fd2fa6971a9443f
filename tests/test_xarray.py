"""Sets of xarray that arrived are used as those that were sent."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

import canning

from .xarray_sets import USES, make_set, outcome

xr: Any = pytest.importorskip("xarray")
_SIZE = re.compile(r" \d+B\b| Size: \S+")
"""Text in Arrow's memory that has marks of missing ones, though none is, arrives without them."""


def differences(seed: int, trust: Any) -> list[str]:
    """Tell in which uses the object of a seed differs after its way from its copy here."""
    with warnings.catch_warnings(action="ignore"):
        sent = make_set(xr, seed)
        frames = canning.serialize_object([sent])
        found = []
        for name, use in USES.items():
            (got,), _ = canning.Serializer(trust=trust).deserialize_object(
                [bytearray(frame) for frame in frames]
            )
            assert type(got) is type(sent)
            ours, theirs = outcome(use, xr, got), outcome(use, xr, _again(seed))
            if _SIZE.sub("", repr(ours)) != _SIZE.sub("", repr(theirs)):
                found.append(f"seed {seed}, {trust}, {name}: {ours!r:.300}, not {theirs!r:.300}")
        return found


def _again(seed: int) -> Any:
    """Make it again, and of a branch of a tree the copy that xarray makes of one."""
    made = make_set(xr, seed)
    return made.copy() if getattr(made, "parent", None) is not None else made


@pytest.mark.parametrize(("first", "trust"), [(0, "data"), (12, "data"), (48, "code")])
def test_sets_can_be_used_as_before(first: int, trust: str) -> None:
    assert [line for seed in range(first, first + 12) for line in differences(seed, trust)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1000, 1800, 200))
def test_many_sets_can_be_used_as_before(first: int) -> None:
    assert [line for seed in range(first, first + 200) for line in differences(seed, "data")] == []
