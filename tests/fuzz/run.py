"""Run inputs in processes of their own, and see what becomes of these."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import resource
import select
import signal
import struct
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from . import surfaces
from .sources import Input, Source

GOOD: Final = ("value", "refused")
HANGS: Final = 30.0
"""Seconds after which an input counts as endless."""
MEMORY: Final = 2 << 30
"""Bytes that a process may take beyond what it starts with."""
_SAYS: Final = 1000
_SLOWEST: Final = 5
_NUMBER: Final = struct.Struct("<Q")


@dataclass
class Tally:
    """What came of inputs.

    Attributes:
        outcomes: how many inputs, by way, surface and outcome.
        bad: number of input and what happened, of those that should not have.
        slowest: seconds and number, the slowest first.
        started, peak: memory of the process at its start and its most, in kB; the largest of all processes.
        seconds: how long it all took.
    """

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)
    slowest: list[tuple[float, int]] = field(default_factory=list)
    started: int = 0
    peak: int = 0
    seconds: float = 0.0

    @property
    def inputs(self) -> int:
        """Give the number of inputs that ended."""
        return self.outcomes.total()

    def add(self, said: dict[str, Any]) -> None:
        """Add what a process said since it last said something."""
        for *key, count in said["outcomes"]:
            way, surface, outcome = key
            self.outcomes[way, surface, outcome] += count
        self.bad += [(number, what) for number, what in said["bad"]]
        self.slowest = sorted([*self.slowest, *map(tuple, said["slowest"])], reverse=True)[:_SLOWEST]
        self.started = max(self.started, said["started"])
        self.peak = max(self.peak, said["peak"])


@dataclass
class Worker:
    """A process that runs every `step`-th input from `start` on."""

    pid: int
    pipe: int
    now: mmap.mmap
    buffer: bytes = b""
    seen: int = -1
    since: float = 0.0

    @property
    def number(self) -> int:
        """Give the number of the input that it is at."""
        return int(_NUMBER.unpack_from(self.now)[0])


def run(source: Source, *, seconds: float | None, inputs: int | None, procs: int, first: int = 0) -> Tally:
    """Run inputs from `first` on, until the time is over or there are no more.

    A process that dies, or stays at one input for `HANGS` seconds, is followed by another one.
    """
    began = time.monotonic()
    until = None if seconds is None else began + seconds
    ends = [end for end in (inputs, source.total) if end is not None]
    last = first + min(ends) if ends else None
    tally = Tally()
    workers = [_start(source, first + at, procs, until, last) for at in range(procs)]
    while workers:
        ready, _, _ = select.select([worker.pipe for worker in workers], [], [], 0.5)
        for worker in list(workers):
            if worker.pipe in ready and not _listen(worker, tally):
                workers.remove(worker)
                dead = _bury(worker, tally)
                if dead is not None:
                    workers.append(_start(source, dead + procs, procs, until, last))
            elif _hangs(worker):
                os.kill(worker.pid, signal.SIGKILL)
    tally.seconds = time.monotonic() - began
    return tally


def _start(source: Source, start: int, step: int, until: float | None, last: int | None) -> Worker:
    ours, theirs = os.pipe()
    now = mmap.mmap(-1, _NUMBER.size)
    _NUMBER.pack_into(now, 0, start)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()  # of threads, which libraries leave: since Python 3.12
    if pid:
        os.close(theirs)
        return Worker(pid, ours, now, since=time.monotonic())
    code = 1
    with contextlib.suppress(BaseException):
        os.close(ours)
        _work(source, start, step, until, last, theirs, now)
        code = 0
    os._exit(code)


def _listen(worker: Worker, tally: Tally) -> bool:
    """Take in what a worker says; tell whether it goes on."""
    said = os.read(worker.pipe, 1 << 20)
    worker.buffer += said
    *lines, worker.buffer = worker.buffer.split(b"\n")
    for line in lines:
        tally.add(json.loads(line))
    return bool(said)


def _bury(worker: Worker, tally: Tally) -> int | None:
    """See how a worker ended; where it was by its input, give that one's number."""
    os.close(worker.pipe)
    _, status = os.waitpid(worker.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if not code:
        return None
    what = (
        f"the process died of {signal.Signals(-code).name}" if code < 0 else f"the process ended with {code}"
    )
    tally.bad.append((worker.number, what))
    tally.outcomes["", "", what] += 1
    return worker.number


def _hangs(worker: Worker) -> bool:
    number, now = worker.number, time.monotonic()
    if number != worker.seen:
        worker.seen, worker.since = number, now
    return now - worker.since > HANGS


def _work(
    source: Source, start: int, step: int, until: float | None, last: int | None, pipe: int, now: mmap.mmap
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else 0
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if pages:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
    began = _memory()
    tally, number = Tally(), start
    while last is None or number < last:
        if until is not None and time.monotonic() >= until:
            break
        for at in range(number, min(number + step * _SAYS, 1 << 62 if last is None else last), step):
            _NUMBER.pack_into(now, 0, at)
            _one(source.make(at), at, tally)
            if until is not None and time.monotonic() >= until:
                break
        number += step * _SAYS
        tally.started, tally.peak = began, _memory()
        _say(tally, pipe)
        tally = Tally()


def _one(given: Input, number: int, tally: Tally) -> None:
    before = time.perf_counter()
    outcome = surfaces.attempt(given.surface, given.frames)
    took = time.perf_counter() - before
    if outcome not in GOOD:
        tally.bad.append((number, f"{given.surface}: {outcome}"))
        outcome = outcome.partition(":")[0]
    tally.outcomes[given.way, given.surface, outcome] += 1
    if len(tally.slowest) < _SLOWEST or took > tally.slowest[-1][0]:
        tally.slowest = sorted([*tally.slowest, (took, number)], reverse=True)[:_SLOWEST]


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _say(tally: Tally, pipe: int) -> None:
    said = {
        "outcomes": [[*key, count] for key, count in tally.outcomes.items()],
        "bad": tally.bad[:20],
        "slowest": tally.slowest,
        "started": tally.started,
        "peak": tally.peak,
    }
    line = json.dumps(said).encode() + b"\n"
    while line:
        line = line[os.write(pipe, line) :]
