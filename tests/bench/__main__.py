"""The command line: ``python -m tests.bench [codec|wire|memory|signing|arena ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from . import arena, codec, machine, memory, plots, report, signing, wire
from .links import LINKS
from .peers import PEERS, available
from .timing import FULL, QUICK

SUITES: Final = {
    "codec": codec.NAMES,
    "wire": wire.NAMES,
    "memory": memory.NAMES,
    "signing": signing.NAMES,
    "arena": arena.NAMES,
}
PEER_NAMES: Final = tuple(dict.fromkeys((*PEERS, *LINKS, arena.RAY)))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; names that nothing matches end the program."""
    parser = argparse.ArgumentParser("python -m tests.bench", description="Compare canning with its peers.")
    # `choices` would refuse the empty list that a missing positional argument is in older Pythons.
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"{', '.join(SUITES)}; default all")
    parser.add_argument("--only", metavar="ROW,...", help="rows to measure, * and ? match: arr_*,tcp-100B")
    parser.add_argument("--peers", metavar="NAME,...", help=f"of {', '.join(PEER_NAMES)}; default all")
    parser.add_argument("--quick", action="store_true", help="try everything once; the numbers are rough")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers")
    parser.add_argument("--plots", metavar="DIR", type=Path, help="write plots, tables and numbers")
    options = parser.parse_args(arguments)
    for suite in options.suites:
        if suite not in SUITES:
            parser.error(f"{suite!r} is no suite: {', '.join(SUITES)}")
    options.suites = options.suites or list(SUITES)
    rows = [name for suite in options.suites for name in SUITES[suite]]
    options.rows = _matching(parser, options.only, rows)
    options.peers = _matching(parser, options.peers, PEER_NAMES)
    return options


def _matching(parser: argparse.ArgumentParser, patterns: str | None, names: Iterable[str]) -> list[str]:
    names = list(names)
    if patterns is None:
        return names
    for pattern in patterns.split(","):
        if not any(fnmatchcase(name, pattern) for name in names):
            parser.error(f"nothing is called {pattern!r}; there is {', '.join(names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns.split(","))]


def measure(
    suites: Sequence[str], rows: Collection[str], names: Sequence[str], *, quick: bool
) -> report.Report:
    """Run the suites, and print the table of each when it is done."""
    effort = QUICK if quick else FULL
    out, progress = report.console(), report.console(errors=True)
    found = report.Report(machine.describe(), quick)
    peers, found.absent = available(names)
    others = [name for name in names if name not in found.absent]
    with progress.status("") as status:
        for suite in suites:
            if suite == "codec":
                found.results += codec.run(rows, peers, effort, status.update)
            elif suite == "wire":
                found.results += wire.run(rows, others, effort, status.update)
            elif suite == "signing":
                found.results += signing.run(rows, effort, status.update)
            elif suite == "arena":
                found.results += arena.run(rows, others, effort, status.update)
            else:
                found.results += memory.run(rows, list(peers), effort, status.update)
            if not found.of(suite):
                continue
            if suite == "wire":
                found.limits = wire.limits(effort)
            report.show(found, suite, out)
    for line in report.summary(found):
        out.print(line, markup=False, highlight=False)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 where canning did not bring back what was sent."""
    logging.disable(logging.CRITICAL)  # peers log at length what the tables say in a word
    options = parse(arguments)
    found = measure(options.suites, options.rows, options.peers, quick=options.quick)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        pictures = plots.draw(found, options.plots)
        report.write_page(found, options.plots / "README.md", pictures)
        report.write_json(found, options.plots / "results.json")
    if options.json:
        report.write_json(found, options.json)
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
