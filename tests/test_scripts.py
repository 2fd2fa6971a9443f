"""Objects that a script defines arrive in another process as they were."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

import canning

SCRIPTS = ("enums", "records", "classes", "states", "functions", "bodies", "raised")


@pytest.mark.parametrize("by_value_as", ["code", "source"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_they_answer_as_where_they_come_from(script: str, by_value_as: str, tmp_path: Path) -> None:
    root = Path(__file__).parent.parent
    made = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"tests.scripts.{script}", tmp_path, by_value_as],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    files = sorted(tmp_path.iterdir())
    assert len(files) >= 10
    wrong = []
    for path in files:
        message, answer = canning.load(path, trust="code")
        name, obj, question = canning.loads(message, trust="code")
        got = question(obj)
        if repr(got) != repr(answer):
            wrong.append(f"{name}: {got!r} where it was {answer!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("how", ["fork", "spawn"])
def test_names_of_a_script_lead_to_the_same_in_its_processes(how: str) -> None:
    pytest.importorskip("attrs")
    if how not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {how} here")
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.scripts.pool", how],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
