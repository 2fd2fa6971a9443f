"""Processes of joblib and of the standard library, with canning in their pipes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest

from canning import DeserializationError
from transport.engines import multiprocessing as adapter
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


def who(_: int) -> int:
    time.sleep(0.3)
    return os.getpid()


def doubled(array: Any) -> Any:
    return array * 2


@pytest.mark.slow
def test_a_pool_of_more_processes_than_are_usual() -> None:
    arrays = [np.full(100_000, float(n)) for n in range(200)]
    with canned(), FORK.Pool(70) as pool:
        assert len(set(pool.map(who, range(140), chunksize=1))) == 70
        got = pool.map(doubled, arrays, chunksize=1)
    assert [(array.min(), array.max()) for array in got] == [(2.0 * n, 2.0 * n) for n in range(200)]


def test_processes_that_end_when_they_have_answered() -> None:
    arrays = [np.full(100_000, float(n)) for n in range(12)]
    with canned(), FORK.Pool(2, maxtasksperchild=1) as pool:
        got = pool.map(doubled, arrays, chunksize=1)
    assert [array.max() for array in got] == [2.0 * n for n in range(12)]


def test_executor_and_a_killed_process() -> None:
    array = np.ones(LARGE)
    spawn = multiprocessing.get_context("spawn")
    with canned(), ProcessPoolExecutor(1, mp_context=spawn, initializer=install) as executor:
        assert executor.submit(work, {"deep": [array, array]}).result(60)[0] == LARGE + 6
    with canned(), ProcessPoolExecutor(1, mp_context=FORK) as executor, pytest.raises(BrokenProcessPool):
        executor.submit(die, array).result(60)


def interrupt(array: Any) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell put in the background ignores it
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def total(array: Any) -> float:
    return float(array.sum())


def used_here() -> int:
    arena = getattr(adapter._SIDE, "_arena", None)  # none before the first message
    return 0 if arena is None else arena.stats().used


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_interrupted_processes(method: str) -> None:
    context = multiprocessing.get_context(method)
    array = np.ones(LARGE)
    options: dict[str, Any] = {} if method == "fork" else {"initializer": install}
    before = used_here()  # by what other tests left behind
    with canned(), ProcessPoolExecutor(1, mp_context=context, **options) as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.submit(interrupt, array).result(60)
        assert executor.submit(total, array).result(60) == LARGE
    eventually_unused(before)


@pytest.mark.parametrize("bad", [die, interrupt])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_call_of_a_pool_whose_process_ends(method: str, bad: Any) -> None:
    """As without canning: it has no answer, another process takes the place, and others are answered."""
    context = multiprocessing.get_context(method)
    options: dict[str, Any] = {} if method == "fork" else {"initializer": install}
    array = np.ones(LARGE)
    before = used_here()
    with canned(), context.Pool(1, **options) as pool:
        lost = pool.apply_async(bad, (array,))
        assert pool.apply_async(total, (array,)).get(60) == LARGE
        with pytest.raises(multiprocessing.TimeoutError):
            lost.get(0.1)
    eventually_unused(before)


def eventually_unused(before: int) -> None:
    """Wait until the readers that ended are noticed."""
    until = time.monotonic() + 30
    while used_here() > before:
        assert time.monotonic() < until
        gc.collect()
        time.sleep(0.05)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_a_pool_has_not_read_when_it_is_terminated_is_free(method: str) -> None:
    context = multiprocessing.get_context(method)
    options: dict[str, Any] = {} if method == "fork" else {"initializer": install}
    before = used_here()
    with canned(), context.Pool(1, **options) as pool:
        pool.map_async(slowly, [np.full(LARGE, float(n)) for n in range(4)], chunksize=1)
        until = time.monotonic() + 30
        while used_here() < before + 3 * 8 * LARGE:
            assert time.monotonic() < until
            time.sleep(0.02)
    eventually_unused(before)


def test_what_an_executor_has_not_read_when_it_breaks_is_free() -> None:
    before = used_here()
    with canned(), ProcessPoolExecutor(1, mp_context=FORK) as executor:
        given = [np.full(LARGE, float(n)) for n in range(3)]  # before: the first call may be quick to die
        calls = [executor.submit(die, array) for array in given]
        for call in calls:
            with pytest.raises(BrokenProcessPool):
                call.result(60)
    del call, calls, given
    eventually_unused(before)


def slowly(array: Any) -> float:
    time.sleep(60)
    return total(array)


def test_many_messages_leave_no_descriptor_and_no_memory() -> None:
    array = np.ones(LARGE)
    before = used_here()
    with canned(), FORK.Pool(1) as pool:
        seen = [pool.apply(count_descriptors, (array,)) for _ in range(100)]
        assert pool.apply(np.ndarray.copy, (array,)).sum() == LARGE
        assert used_here() <= before + 2 * array.nbytes
    assert max(seen[50:]) <= max(seen[:50])


def test_functions_of_a_generator_that_a_module_has_go_on_with_it() -> None:
    """The standard library and loky copy the generator with each call: all of them give one number."""
    with canned(), FORK.Pool(2) as pool, ProcessPoolExecutor(2, FORK) as executor:
        for choose in (pool.apply, lambda choice, args: executor.submit(choice, *args).result(30)):
            assert len({choose(random.choice, (range(10**6),)) for _ in range(8)}) > 1


def count_descriptors(array: Any) -> int:
    assert array.size == LARGE
    return len(os.listdir("/proc/self/fd"))


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
        small, large = parallel(delayed(np.ones)(size) for size in (1000, 1_000_000))
        assert half.flags.writeable == writable  # it is a view of an argument
        small += 1  # results can be written
        large += 1

from random import choice
assert len(set(Parallel(n_jobs=2)(delayed(choice)(numbers) for _ in range(8)))) > 1
assert len(set(Parallel(n_jobs=2)(delayed(lambda: choice(numbers))() for _ in range(8)))) > 1

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
    Parallel(n_jobs=2, pre_dispatch="all")(delayed(die)({"deep": [array + n]}) for n in range(8))
except TerminatedWorkerError:
    [got] = Parallel(n_jobs=2)(delayed(work)({"deep": [array], "by": abs}) for _ in range(1))
    assert (got[2] == array[::2]).all()
    del got
    import gc, time
    from transport.engines.joblib import _SIDE
    until = time.monotonic() + 30
    while _SIDE._arena is not None and _SIDE._arena.stats().used:  # by what the processes had not read
        gc.collect()
        time.sleep(0.05)
        assert time.monotonic() < until, _SIDE._arena.stats()

def interrupt(given):
    import os, signal, time
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

try:
    Parallel(n_jobs=2)(delayed(interrupt)({"deep": [array]}) for _ in range(2))
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("nothing was raised")

def descriptors(given):
    import os
    return len(os.listdir("/proc/self/fd")), given["deep"][0][::2]

import os
from transport.engines.joblib import _SIDE
with Parallel(n_jobs=2) as parallel:
    seen = []
    for _ in range(60):
        there = parallel(delayed(descriptors)({"deep": [array]}) for _ in range(2))
        seen.append(max(len(os.listdir("/proc/self/fd")), *(count for count, _ in there)))
        assert all((half == array[::2]).all() for _, half in there)
    assert max(seen[30:]) <= max(seen[:30]), seen
    assert _SIDE._arena is None or _SIDE._arena.stats().used <= 4 * array.nbytes, _SIDE._arena.stats()
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


class Unreadable:
    """Arrives nowhere: what builds it raises."""

    def __init__(self) -> None:
        self.array = np.ones(LARGE)

    def __reduce__(self) -> Any:
        return refuse, (self.array,)


def refuse(array: Any) -> None:
    raise LookupError("refused on arrival")


def same(given: Any) -> Any:
    return given


def make_unreadable() -> Any:
    return Unreadable()


def filled(number: int) -> Any:
    return np.full(LARGE, float(number))


@pytest.mark.parametrize(("function", "arguments"), [(same, (Unreadable(),)), (make_unreadable, ())])
def test_message_that_cannot_be_read_is_the_answer_of_its_call(function: Any, arguments: Any) -> None:
    """Without an answer to that call its caller would wait forever, and all others with it."""
    with canned(), FORK.Pool(1) as pool:
        with pytest.raises(DeserializationError, match="LookupError"):
            pool.apply_async(function, arguments).get(30)
        assert pool.apply_async(filled, (3,)).get(30)[0] == 3


def test_processes_that_end_after_each_task() -> None:
    """A process that ends would take with it what nobody has read."""
    with canned(), FORK.Pool(2, maxtasksperchild=1) as pool:
        answers = pool.map_async(filled, range(20), chunksize=1).get(60)
    assert [answer[0] for answer in answers] == list(range(20))


def put_and_end(queue: Any) -> None:
    queue.put(np.full(LARGE, 5.0))


def test_process_that_ends_before_its_message_is_read() -> None:
    with canned():
        queue = FORK.Queue()
        process = FORK.Process(target=put_and_end, args=(queue,))
        process.start()
        time.sleep(0.5)
        assert queue.get(timeout=30)[0] == 5
        process.join(30)
    assert process.exitcode == 0
    queue.close()
    queue.join_thread()


def leave_early(pool: Any) -> None:
    for answer in pool.imap_unordered(filled, range(100)):
        if answer[0] == 3:
            break


def terminate_soon(pool: Any) -> None:
    for number in range(50):
        pool.apply_async(same, (filled(number),))
    pool.terminate()


def take_one(pool: Any) -> None:
    answers = [pool.apply_async(same, (filled(number),)) for number in range(50)]
    assert answers[3].get(30)[0] == 3


def interrupt_here(pool: Any) -> None:
    take_one(pool)
    raise KeyboardInterrupt


@pytest.mark.parametrize("leave", [leave_early, terminate_soon, take_one, interrupt_here])
def test_pool_that_is_left_with_calls_on_their_way(leave: Any) -> None:
    before = used_here()
    for _ in range(4):
        outcome = None
        try:
            with canned(), FORK.Pool(2) as pool:
                leave(pool)
        except KeyboardInterrupt as error:
            outcome = type(error)
        assert outcome is (KeyboardInterrupt if leave is interrupt_here else None)
        assert not multiprocessing.active_children()
    del pool
    gc.collect()
    assert used_here() <= before


def test_pool_of_threads() -> None:
    from multiprocessing.pool import ThreadPool

    with canned(), ThreadPool(2) as pool:
        assert pool.map(filled, range(4))[3][0] == 3
