"""The programs in `docs/examples`, run as their users run them, in processes of their own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"
RUNS = [
    ("camera.py", [], "20 photos arrived as they were sent"),
    ("camera.py", ["--arena"], "20 photos went through the arena"),
    ("router_curve.py", [], "bob: the mean is 7.0"),
    ("asyncio_service.py", [], "quick: 4999950000\nslow: 4999950000"),
    ("files.py", [], "a Scan of the roof, (400, 300)"),
    ("topics.py", [], "temperature of day 2: up to 2.0"),
    ("arena_pipeline.py", [], "part 4: (240, 640, 3)"),
    ("channel.py", [], "sum of powers of 3: 100\nrefused: "),
    ("progress.py", [], "100 % of 32 MiB"),
    ("worker_pool.py", [], "means: [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]"),
    ("multiprocessing_pool.py", [], "brightest: [0, 1, 2, 3]\ndarkest: [0, 1, 2, 3]"),
    ("joblib_parallel.py", [], "means: [0.0, 1.0, 2.0, 3.0]"),
    ("scan_folder.py", [], "{'dangerous': 1, 'unreadable': 1, 'needs code': 1, 'clean': 2}"),
    ("strangers.py", [], "roof: 21.5\nnot a reading\nrefused: "),
    ("custom_type.py", [], "44100 samples at 44100 Hz in 2 frames\nrefused: "),
    ("torch_state_dict.py", [], "weights.canned: clean\nloaded weight, bias"),
]
"""A program, its arguments, and what it must say."""
CLUSTERS = [
    ("ipyparallel_local_module.py", [], "brightest: 150"),
    ("dask_cluster.py", [], "the sum is 7000000"),
]
NEEDS = {
    "ipyparallel_local_module.py": "ipyparallel",
    "dask_cluster.py": "distributed",
    "joblib_parallel.py": "joblib",
    "torch_state_dict.py": "torch",
    "topics.py": "lz4",
}
LINUX_ONLY = {("camera.py", "--arena"), ("arena_pipeline.py",)}


@pytest.mark.parametrize(
    ("name", "arguments", "said"), RUNS, ids=[" ".join([run[0], *run[1]]) for run in RUNS]
)
def test_example(name: str, arguments: list[str], said: str, tmp_path: Path) -> None:
    run_example(name, arguments, said, tmp_path, 55)


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("name", "arguments", "said"), CLUSTERS, ids=[run[0] for run in CLUSTERS])
def test_example_with_a_cluster(name: str, arguments: list[str], said: str, tmp_path: Path) -> None:
    run_example(name, arguments, said, tmp_path, 190)


def run_example(name: str, arguments: list[str], said: str, folder: Path, seconds: float) -> None:
    if (package := NEEDS.get(name)) and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    if (name, *arguments) in LINUX_ONLY and sys.platform != "linux":
        pytest.skip("shared memory is there on Linux only")
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent.parent)}
    run = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / name), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert said in run.stdout


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {name for name, _, _ in RUNS + CLUSTERS}
