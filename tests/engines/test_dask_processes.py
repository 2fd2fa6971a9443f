"""Dask as people start it: ``dask scheduler``, ``dask worker`` and a script, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="needs the package distributed")

pytestmark = pytest.mark.timeout(150)

WITHOUT_CANNING = """
import sys
sys.modules.update(canning=None, transport=None)  # importing them fails, as where they are not installed
from dask.__main__ import main
sys.argv[0] = "dask"
main()
"""
SCRIPT = Path(__file__).with_name("dask_script.py")
EXPECTED: dict[str, Any] = {
    "sum": 3,
    "lambda": 2,
    "array": 200_000,
    "closure": 3,
    "map": [1, 2, 3, 4],
    "scatter": [200_000, 200_000, True],
    "scatter, direct": [200_000, 200_000, True],
    "graph": 1600,
    "actor": 200_000,
    "error": "ZeroDivisionError",
    # The scheduler pickles tasks again, for a worker. Could canning send it one of these, it would lose its
    # workers and all would hang: they raise when they are submitted, as without canning.
    # A cached property holds no lock any more since Python 3.12, and so can be pickled.
    "cached property": "TypeError" if sys.version_info < (3, 12) else "cached_property",
    "structure": "TypeError",
    "dispatch": "TypeError",
    "frame": "TypeError",
    "structure, scattered": 3,
    "after these": 3,
    "publish": None,
}
UNREGISTERED = """
import sys, distributed
with distributed.Client(scheduler_file=sys.argv[1], timeout=30) as client:
    first, second = client.get_dataset("left").result(timeout=30)["deep"]
    print(first is second, first.flags.writeable, first.sum())
"""


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Path]:
    """Start a scheduler that has no canning, and two workers; give the file that tells where they are."""
    file = folder / "scheduler.json"
    quiet = ("--no-dashboard", "--scheduler-file", str(file))
    started = [dask("-c", WITHOUT_CANNING, "scheduler", "--port", "0", *quiet)]
    for number in range(2):
        own = ("--nthreads", "1", "--no-nanny", "--local-directory", str(folder / str(number)))
        started.append(dask("-m", "dask", "worker", *quiet, *own))
    try:
        until = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        yield file
    finally:
        for process in reversed(started):  # a worker whose scheduler is gone takes long to end
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()


def dask(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with processes(tmp_path_factory.mktemp("dask")) as file:
        yield file


@pytest.fixture(scope="module")
def found(cluster: Path) -> Any:
    return json.loads(run(str(SCRIPT), str(cluster)))


@pytest.mark.parametrize("name", EXPECTED)
def test_script(found: Any, name: str) -> None:
    assert found[name] == EXPECTED[name]


def test_client_that_registered_nothing_reads_what_is_canned(cluster: Path, found: Any) -> None:
    assert run("-c", UNREGISTERED, str(cluster)).split() == ["True", "True", "200000.0"]
