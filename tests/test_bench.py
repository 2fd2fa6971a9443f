"""The benchmarks run; how fast anything is, is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the benchmarks' tables need rich")

ROOT = Path(__file__).resolve().parents[1]


def bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


def test_codec(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    ran = bench("codec", "--quick", "--only", "int,arr_1MB", "--json", file)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "arr_1MB" in ran.stdout
    results = json.loads(file.read_text())["results"]
    assert [result["name"] for result in results] == ["int", "arr_1MB"]
    for result in results:
        assert result["cells"]["canning"]["problem"] == ""
        assert result["cells"]["pickle5"]["value"] > 0


@pytest.mark.slow
def test_signing(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    ran = bench("signing", "--quick", "--only", "sign-1MB,check-100B", "--json", file)
    assert (ran.returncode, ran.stderr) == (0, "")
    results = json.loads(file.read_text())["results"]
    assert [result["name"] for result in results] == ["check-100B", "sign-1MB"]
    assert [len(result["verdicts"]) for result in results] == [0, 1]


def test_unknown_row() -> None:
    ran = bench("codec", "--only", "no_such_row")
    assert ran.returncode == 2
    assert "nothing is called 'no_such_row'" in ran.stderr
