"""The soaks of shared memory, for a few seconds each."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.transport.engine import ROOT

# Without coverage: while a signal is pending, CPython 3.11 takes no further step in a thread that is traced,
# unless it is the main one; and if that waits for a lock of the other, neither goes on.
WITHOUT_COVERAGE = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


@pytest.mark.timeout(200)
@pytest.mark.skipif(sys.platform != "linux", reason="arenas are memfds, which Linux has")
@pytest.mark.parametrize(
    "what", ["messages --count 1000", "kills --count 8 --size 600000", "signals --count 4"]
)
def test_soak(what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.soak", *what.split()],
        capture_output=True,
        text=True,
        timeout=180,
        env=WITHOUT_COVERAGE,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
