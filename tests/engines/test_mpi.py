"""canning between processes that `mpiexec` starts; `mpi_script.py` is what they run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.transport.engine import ROOT

pytest.importorskip("mpi4py", reason="needs the package mpi4py")

PLACES: Final = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
MPIEXEC: Final = shutil.which("mpiexec", path=PLACES)
pytestmark = [
    pytest.mark.skipif(MPIEXEC is None, reason="needs an MPI, as the package mpich is"),
    pytest.mark.timeout(240),
]
RANKS: Final = 4


def environment() -> dict[str, str]:
    allowed = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")
    more_ranks_than_cores = {
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, **allowed, **more_ranks_than_cores, "PYTHONPATH": path}


def run(
    *arguments: str, ranks: int = RANKS, timeout: float = 200, within: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(MPIEXEC), "-n", str(ranks), *within, sys.executable, "-m", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(),
        cwd=ROOT,
        check=False,
    )


def script(*names: str, **options: int) -> str:
    done = run("mpi4py", "-m", "tests.engines.mpi_script", *names, **options)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    return done.stdout


def test_ranks() -> None:
    names = ["alone", "own", "functions", "pieces", "together"]
    names += ["between", "installed", "strangers", "unshared"]
    assert script(*names).count("is done") == RANKS * len(names)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["requests", "same"])
def test_ranks_that_take_long(name: str) -> None:
    assert script(name).count("is done") == RANKS


@pytest.mark.slow
def test_more_than_two_gigabytes() -> None:
    assert script("large", ranks=2).count("is done") == 2


def test_time_limits_end_in_errors() -> None:
    done = run("mpi4py", "-m", "tests.engines.mpi_script", "timeouts")
    assert "timed out" in done.stdout, done.stderr[-3000:]  # the first rank that ends may end the others


def ours() -> set[str]:
    """Give the processes of this machine that run the script."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"tests.engines.mpi_script\0killed" in line:
            found.add(folder.name)
    return found


ALONE: Final = ("unshare", "--pid", "--fork", "--mount-proc")
"""Runs a command as process 1, which sees no processes but its own."""


@pytest.mark.slow
def test_ranks_that_cannot_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("unshare") or subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("needs unshare, and the right to use it")
    monkeypatch.setenv("MPIR_CVAR_CH4_CMA_ENABLE", "0")  # MPICH itself reads memory by process ids
    done = run("mpi4py", "-m", "tests.engines.mpi_script", "apart", within=ALONE)
    assert done.stdout.count("is done") == RANKS, done.stdout[-1000:] + done.stderr[-3000:]


@pytest.mark.slow
def test_a_rank_that_is_killed_ends_all() -> None:
    before = ours()
    done = run("mpi4py", "-m", "tests.engines.mpi_script", "killed", timeout=120)
    assert done.returncode != 0
    assert "done" not in done.stdout
    deadline = time.monotonic() + 20
    while ours() - before:
        assert time.monotonic() < deadline, "ranks are left"
        time.sleep(0.05)


@pytest.mark.slow
def test_an_error_of_one_rank_ends_all() -> None:
    done = run("mpi4py", "-m", "tests.engines.mpi_script", "raising", timeout=120)
    assert done.returncode != 0
    assert "rank 1 gives up" in done.stderr


def test_nothing_is_changed_where_mpi4py_is_another() -> None:
    program = "import mpi4py.MPI as M\ndel M.Pickle\nimport transport.engines.mpi"
    done = run("mpi4py", "-c", program, ranks=1)
    assert done.returncode != 0
    assert "UnknownEngine: mpi4py" in done.stderr
    assert "nothing was changed" in done.stderr


def test_an_executor_of_mpi4py() -> None:
    done = run("mpi4py.futures", str(ROOT / "tests/engines/mpi_pool.py"), ranks=3)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "pool is done" in done.stdout


@pytest.mark.slow
def test_mpi4pys_own() -> None:
    """Fetches mpi4py's sources."""
    command = [sys.executable, "-m", "tests.engines.run_mpi4py", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=230, env=environment(), cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "OK" in done.stderr


ENGINES_BY_MPI = """
import ipyparallel, numpy, transport.engines.ipyparallel as canned

def mean():
    import numpy, mpi4py.MPI, transport.engines.mpi as mpi
    with mpi.Comm(mpi4py.MPI.COMM_WORLD) as comm:
        return float(comm.allreduce(numpy.ones(100_000)).mean()), comm.allgather(comm.rank)

with ipyparallel.Cluster(n=2, engines="mpi", log_level=40) as client:
    with canned.installed(client):
        print(client[:].apply_sync(mean), client[:].apply_sync(lambda x: float(x.sum()), numpy.ones(10**6)))
"""


@pytest.mark.slow
def test_engines_of_ipyparallel_that_mpi_starts() -> None:
    pytest.importorskip("ipyparallel", reason="needs the package ipyparallel")
    env = {**environment(), "PATH": PLACES}
    command = [sys.executable, "-c", ENGINES_BY_MPI]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=env, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "[(2.0, [0, 1]), (2.0, [0, 1])] [1000000.0, 1000000.0]"
