"""Check what is asked for, and measure it suite by suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from typing import Final

from . import arena, camera, codec, growth, machine, many, memory, messages, report, signing, wire
from .links import LINKS
from .peers import PEERS, Peer, available
from .results import Result
from .timing import FULL, QUICK, Effort

Tell = Callable[[str], object]
"""Called with what is at work."""

SUITES: Final = {
    "codec": codec.NAMES,
    "wire": wire.NAMES,
    "many": many.NAMES,
    "messages": messages.NAMES,
    "arena": arena.NAMES,
    "memory": memory.NAMES,
    "signing": signing.NAMES,
    **camera.NAMES,
    growth.SUITE: growth.NAMES,
}
PEER_NAMES: Final = tuple(dict.fromkeys((*PEERS, *LINKS, arena.RAY, *camera.PEERS, *growth.WAYS)))


class UnknownName(Exception):
    """Nothing is called as the command line says."""


def measure(
    suites: Sequence[str] = (),
    only: str | None = None,
    peers: str | None = None,
    *,
    quick: bool = False,
    tell: Tell = lambda _: None,
    done: Callable[[report.Report, str], object] = lambda *_: None,
) -> report.Report:
    """Run suites, all of them by default; from within a running loop, as a notebook's, in a thread.

    Args:
        suites: names of `SUITES`.
        only: rows to measure, separated by commas; ``*`` and ``?`` match.
        peers: peers to measure, in the same way.
        quick: try everything once; the numbers are rough.
        tell: called with what is at work.
        done: called with the report so far and the suite that is done.

    Raises:
        UnknownName: nothing is called so; the error lists what there is.
    """
    for suite in suites:
        if suite not in SUITES:
            raise UnknownName(f"{suite!r} is no suite: {', '.join(SUITES)}")
    suites = suites or list(SUITES)
    rows = _matching(only, [name for suite in suites for name in SUITES[suite]])
    names = _matching(peers, PEER_NAMES)
    effort = QUICK if quick else FULL
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _measure(suites, rows, names, effort, tell, done)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_measure, suites, rows, names, effort, tell, done).result()


def _measure(
    suites: Sequence[str],
    rows: Collection[str],
    names: Sequence[str],
    effort: Effort,
    tell: Tell,
    done: Callable[[report.Report, str], object],
) -> report.Report:
    found = report.Report(machine.describe(), effort is QUICK)
    installed, found.absent = available(names)
    if arena.RAY in names and (problem := arena.ray_problem()):
        found.absent[arena.RAY] = problem
    for suite in suites:
        found.results += _run(suite, rows, installed, names, found.absent, effort, tell)
        if suite == "wire" and found.of(suite):
            found.limits = wire.limits(effort)
        if found.of(suite):
            done(found, suite)
    return found


def _run(
    suite: str,
    rows: Collection[str],
    installed: Mapping[str, Peer],
    names: Sequence[str],
    absent: Collection[str],
    effort: Effort,
    tell: Tell,
) -> list[Result]:
    if suite == "codec":
        return codec.run(rows, installed, effort, tell)
    if suite == "memory":
        return memory.run(rows, list(installed), effort, tell)
    if suite == "signing":
        return signing.run(rows, effort, tell)
    others = [name for name in names if name not in absent]
    if suite in camera.VIEWERS:
        return camera.run(suite, rows, others, effort, tell)
    run = {
        "wire": wire.run,
        "many": many.run,
        "messages": messages.run,
        "arena": arena.run,
        growth.SUITE: growth.run,
    }[suite]
    return run(rows, others, effort, tell)


def _matching(patterns: str | None, names: Iterable[str]) -> list[str]:
    names = list(names)
    if patterns is None:
        return names
    for pattern in patterns.split(","):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownName(f"nothing is called {pattern!r}; there is {', '.join(names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns.split(","))]
