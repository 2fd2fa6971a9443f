"""Processes of joblib and of the standard library, with canning in their pipes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

from transport.engines.multiprocessing import canned, install

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks"),
]
FORK = multiprocessing.get_context("fork") if sys.platform != "win32" else None
LARGE = 1_000_000
STATE: dict[str, Any] = {}


def work(given: dict[str, Any]) -> Any:
    array = given["deep"][0]
    array[0] = 7  # writable, and ours alone
    return array.sum(), array[::2], given["deep"][1] is array, STATE.get("set")


def begin(value: int) -> None:
    STATE["set"] = value


def die(array: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_pool_and_queue() -> None:
    before = ForkingPickler.dumps
    array = np.ones(LARGE)
    with canned():
        with FORK.Pool(1, begin, (5,)) as pool:
            total, half, same, state = pool.apply(work, ({"deep": [array, array]},))
            assert pool.map(lambda n: n + LARGE, [1, 2]) == [LARGE + 1, LARGE + 2]
        queue = FORK.Queue()
        queue.put({"a": [array], "lock": None})
        assert queue.get(timeout=30)["a"][0].sum() == LARGE
        queue.close()
        queue.join_thread()
    assert (total, same, state, array[0]) == (LARGE + 6, True, 5, 1)
    assert half.shape == (LARGE // 2,)
    assert ForkingPickler.dumps == before


def test_blobs_do_not_hold_what_is_shared() -> None:
    array = np.ones(LARGE)
    plain = len(ForkingPickler.dumps([array]))
    with canned():
        assert len(ForkingPickler.dumps([array])) < 2000 < plain
        with canned(writable=False):
            assert not ForkingPickler.loads(ForkingPickler.dumps([array]))[0].flags.writeable
        assert ForkingPickler.loads(ForkingPickler.dumps([array]))[0].flags.writeable
        with pytest.raises(Exception, match="cannot pickle"):
            ForkingPickler.dumps([sys._getframe()])


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_pools_and_queues_of_processes_that_are_not_forked(method: str) -> None:
    context = multiprocessing.get_context(method)
    array = np.ones(LARGE)
    with canned():
        with context.Pool(1, install) as pool:
            total, half, same, _ = pool.apply(work, ({"deep": [array, array]},))
        queue = context.Queue()
        process = context.Process(target=queue.put, args=({"deep": [array]},))
        process.start()
        assert queue.get(timeout=60)["deep"][0].sum() == LARGE
        process.join(60)
    assert (total, same, half.shape, array[0]) == (LARGE + 6, True, (LARGE // 2,), 1)


def test_executor_and_a_killed_process() -> None:
    array = np.ones(LARGE)
    spawn = multiprocessing.get_context("spawn")
    with canned(), ProcessPoolExecutor(1, mp_context=spawn, initializer=install) as executor:
        assert executor.submit(work, {"deep": [array, array]}).result(60)[0] == LARGE + 6
    with canned(), ProcessPoolExecutor(1, mp_context=FORK) as executor, pytest.raises(BrokenProcessPool):
        executor.submit(die, array).result(60)


JOBLIB = """
import numpy as np
from joblib import Parallel, delayed
from transport.engines.joblib import Pickler

def work(given):
    array = given["deep"][0]
    return type(array).__name__, array.flags.writeable, array[::2], given["by"](3)

array = np.arange(1_000_000.0)
numbers = list(range(100_000))
with Parallel(n_jobs=1 + 1) as parallel:
    for writable in (False, True):
        Pickler.writable = writable
        by = 2
        (kind, written, half, six), = parallel(
            delayed(work)({"deep": [array], "by": lambda n: by * n, "numbers": numbers}) for _ in range(1)
        )
        assert (kind, written, six) == ("ndarray", writable, 6), (kind, written, six)
        assert (half == array[::2]).all()

def fail(given):
    raise ValueError(given["deep"][0][:3])

calls = (delayed(work)({"deep": [array], "by": abs}) for _ in range(3))
for got in Parallel(n_jobs=2, return_as="generator")(calls):
    assert (got[2] == array[::2]).all()
try:
    Parallel(n_jobs=2)(delayed(fail)({"deep": [array]}) for _ in range(2))
except ValueError as error:
    assert error.args[0].tolist() == [0, 1, 2]

def die(given):
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)

from joblib.externals.loky.process_executor import TerminatedWorkerError
try:
    Parallel(n_jobs=2)(delayed(die)({"deep": [array]}) for _ in range(2))
except TerminatedWorkerError:
    [got] = Parallel(n_jobs=2)(delayed(work)({"deep": [array], "by": abs}) for _ in range(1))
    assert (got[2] == array[::2]).all()
    print("fine")
"""


def test_joblib() -> None:
    pytest.importorskip("joblib", reason="needs the package joblib")
    done = subprocess.run(
        [sys.executable, "-c", JOBLIB],
        env={**os.environ, "LOKY_PICKLER": "transport.engines.joblib"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.stdout == "fine\n", done.stderr
