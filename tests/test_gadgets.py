"""Attacks by pickle: each works on pickle, and none on what reads for strangers. See `tests.gadgets`."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import canning
from tests.gadgets.gadget import Gadget
from tests.gadgets.table import GADGETS

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the watch reads /proc, and forks a process for each attack"
)
ROOT = Path(__file__).parent.parent
NAMES = [gadget.name for gadget in GADGETS]
Seen = dict[str, dict[str, Any]]
Run = Callable[[str], Seen]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Give what was seen of all attacks, run one way."""

    @functools.cache
    def run(kind: str) -> Seen:
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", "tests.gadgets.child", kind, str(tmp_path_factory.mktemp(kind))]
        done = subprocess.run(
            command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=900
        )
        assert done.returncode == 0, done.stderr.decode()
        return {seen["name"]: seen for seen in map(json.loads, done.stdout.splitlines())}

    return run


def test_the_collection_is_large_and_says_where_it_is_from() -> None:
    assert len(set(NAMES)) == len(NAMES) >= 400
    assert all(gadget.known for gadget in GADGETS)


@pytest.mark.slow  # it tests the collection
@pytest.mark.parametrize("gadget", GADGETS, ids=NAMES)
def test_it_works_on_pickle(gadget: Gadget, runs: Run) -> None:
    seen = runs("control")[gadget.name]
    if "needs" in seen:
        pytest.skip(f"works only with {seen['needs']}")
    assert seen["fired"], seen


@pytest.mark.timeout(300)
@pytest.mark.parametrize("gadget", GADGETS, ids=NAMES)
def test_it_does_nothing_to_what_reads_for_strangers(gadget: Gadget, runs: Run) -> None:
    seen = runs("offer")[gadget.name]
    assert not seen["died"], "the process ended"
    assert seen["events"] == {}
    assert seen["changed"] == []
    assert not seen["file"]
    assert not seen["gone"]
    assert seen["rss"] < 400_000, "memory, in kB"
    expected = {"value", "DeserializationError"} if gadget.plain else {"DeserializationError"}
    for surface, outcome in seen["outcome"].items():
        if surface.startswith("scan"):
            assert outcome in (
                {"clean", "needs code", "unreadable"}
                if gadget.plain
                else {"needs code", "unreadable", "dangerous"}
            )
        elif surface == "split" or surface.startswith("inspect"):
            assert outcome in ("value", "DeserializationError")
        else:
            assert outcome in expected, surface


@pytest.mark.slow
def test_most_were_seen_to_work(runs: Run) -> None:
    assert sum(seen.get("fired", False) for seen in runs("control").values()) >= 150


@pytest.mark.timeout(300)
def test_a_scan_looks_at_each(runs: Run) -> None:
    if not hasattr(canning, "scan"):
        pytest.skip("this version has no scan")
    assert all("scan" in seen["outcome"] for seen in runs("offer").values())
