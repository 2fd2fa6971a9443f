"""Run ``python -m tests.soak`` with ``messages`` (20,000 of 1 MB), ``kills`` (300) or ``signals`` (60 s)."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from . import signals
from .sides import MB, Counters, fork, receive, send

PATIENCE = 5.0
"""Seconds without a message after which something hangs."""


SIDES = ("sender", "receiver")


class Failure(Exception):
    """What was promised did not happen."""


class Usage(NamedTuple):
    """What a process uses: bytes of its own, descriptors by what they are, threads."""

    memory: int
    descriptors: list[str]
    threads: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        """Look at a process; what it has open under ``/proc`` it is just reading."""
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            said = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
        names = []
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        descriptors = [name for name in names if not name.startswith("/proc/")]
        return cls(int(said["RssAnon"].split()[0]) * 1024, descriptors, int(said["Threads"]))

    def __str__(self) -> str:
        return f"{self.memory:,} bytes, {len(self.descriptors)} descriptors, {self.threads} threads"


class Run:
    """A sender and a receiver on one address, whatever becomes of them."""

    def __init__(self, folder: str, **options: Any) -> None:
        self.address = f"ipc://{folder}/soak"
        self.counters = Counters()
        self.ours: set[str] = set()
        self.options = options
        self.sender = self.receiver = 0
        self.start("sender")
        self.start("receiver")

    def start(self, side: str) -> None:
        if side == "sender":
            self.sender = fork(lambda: send(self.address, self.counters, **self.options))
        else:
            self.receiver = fork(lambda: receive(self.address, self.counters, keep=3))

    def kill(self, side: str) -> None:
        pid = getattr(self, side)
        if pid:
            self.ours |= arenas_of(pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            setattr(self, side, 0)

    def wait(self, what: str, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for a condition; raises `Failure` where it does not come, or a side has ended by itself."""
        end = time.monotonic() + seconds
        while not condition():
            for side in SIDES:
                pid = getattr(self, side)
                if pid and os.waitpid(pid, os.WNOHANG)[0]:
                    setattr(self, side, 0)
                    raise Failure(f"the {side} ended by itself")
            if time.monotonic() > end:
                raise Failure(f"not within {seconds:g} s: {what}")
            time.sleep(0.002)

    def progress(self, messages: int) -> None:
        """Wait for so many messages more, each within `PATIENCE`."""
        for _ in range(messages):
            before = self.counters["received"]
            self.wait("the next message", lambda before=before: self.counters["received"] > before)  # type: ignore[misc]

    def quieten(self, lease: float) -> None:
        """Let the sender be quiet, and wait until all of the arena is free again."""
        self.counters["quiet"] = 1
        self.counters["used"] = -1
        self.wait("the arena's space back", lambda: self.counters["used"] == 0, lease + PATIENCE)

    def end(self) -> None:
        """Kill both sides, and see that nothing was wrong and nothing is left."""
        self.kill("sender")
        self.kill("receiver")
        if self.counters["partial"]:
            raise Failure(f"{self.counters['partial']} arrays that were not whole")
        left = self.ours & set().union(*map(arenas_of, filter(str.isdigit, os.listdir("/proc"))))
        if left or not self.ours:
            raise Failure(f"{len(left)} arenas are left" if left else "no arena was seen")


def arenas_of(pid: int | str) -> set[str]:
    """List the arenas that a process has mapped, by inode."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/maps", errors="replace") as file:
        return {line.split()[4] for line in file if "memfd:canning-arena" in line}
    return set()


def messages(options: argparse.Namespace, folder: str) -> None:
    """Send many messages, and see that nothing grows."""
    run = Run(folder, count=options.count, size=options.size, capacity=options.capacity, lease=30.0)
    start = time.monotonic()
    warm = max(options.count // 10, 200)
    run.wait("warm-up", lambda: run.counters["received"] >= warm, 60)
    before = {side: Usage.of(getattr(run, side)) for side in SIDES}
    pooled = {"sender": -run.counters["pooled"], "receiver": 0}
    while run.counters["received"] < options.count:
        run.progress(1)
    seconds = time.monotonic() - start
    run.quieten(0)  # messages on their way as ordinary frames are the sender's memory too
    pooled["sender"] += run.counters["pooled"]
    for side in SIDES:
        then, now = before[side], Usage.of(getattr(run, side))
        print(f"{side} after {warm:,}: {then}; at the end: {now}")
        if now.memory > then.memory + max(pooled[side], 0) + 2 * options.size + 2 * MB:
            raise Failure(f"the memory of the {side} grew")
        if len(now.descriptors) > len(then.descriptors) or now.threads > then.threads:
            raise Failure(f"the {side} has more open: {sorted(now.descriptors)}")
    run.end()
    print(
        f"{options.count:,} messages of {options.size:,} bytes in {seconds:.1f} s, "
        f"{run.counters['copied']:,} through the arena, {run.counters['fallbacks']:,} as ordinary frames"
    )
    if run.counters["refused"]:
        raise Failure(f"{run.counters['refused']} messages were lost")


def kills(options: argparse.Namespace, folder: str) -> None:
    """Kill either side at random moments, and see that the other goes on."""
    draw = random.Random(options.seed)
    run = Run(folder, count=0, size=options.size, capacity=options.capacity, lease=1.0)
    worst = 0.0
    for number in range(options.count):
        run.progress(1)
        time.sleep(draw.random() * 0.05)
        side = draw.choice(("sender", "receiver", "both"))
        for each in SIDES:
            if side in (each, "both"):
                run.kill(each)
                run.start(each)
        start = time.monotonic()
        run.progress(1)
        worst = max(worst, time.monotonic() - start)
        if (number + 1) % 50 == 0:
            print(f"{number + 1} kills, {run.counters['received']:,} messages", flush=True)
    run.quieten(1.0)
    run.end()
    print(
        f"{options.count} kills, {run.counters['received']:,} messages received whole, none in part, "
        f"{run.counters['refused']} refused as their sender was gone; the longest pause was {worst:.2f} s"
    )


def interrupted(options: argparse.Namespace, folder: str) -> None:
    """Use an arena under alarms, finalizers, threads and forks, and see that no block is lost."""
    signals.run(folder, options.count, options.seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 1 where a promise was broken."""
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("what", choices=("messages", "kills", "signals"))
    parser.add_argument("--count", type=int, help="messages (20,000), kills (300), seconds (60)")
    parser.add_argument("--size", type=int, default=MB, help="bytes of an array (1 MB)")
    parser.add_argument("--capacity", default="64MiB")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    action, count = {"messages": (messages, 20_000), "kills": (kills, 300), "signals": (interrupted, 60)}[
        options.what
    ]
    options.count = options.count or count
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        try:
            action(options, folder)
        except (Failure, signals.Fault) as failure:
            print(f"FAILED: {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
