"""The benchmarks' command line: ``python -m tests.bench [SUITE ...]``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import pages, plots, report
from .running import UnknownName, measure
from .saved import merge, read_json, write_json

RESULTS: Final = "results.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 where canning did not bring back what was sent."""
    options = _parser().parse_args(argv)
    logging.disable(logging.CRITICAL)  # peers log at length what the tables say in a word
    out, progress = report.console(), report.console(errors=True)
    try:
        with progress.status("") as status:
            found = measure(
                options.suites,
                options.only,
                options.peers,
                quick=options.quick,
                tell=status.update,
                done=lambda so_far, suite: report.show(so_far, suite, out),
            )
    except UnknownName as error:
        print(f"tests.bench: {error}", file=sys.stderr)
        return 2
    for line in report.summary(found):
        out.print(line, markup=False, highlight=False)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        file = options.plots / RESULTS
        whole = merge(read_json(file), found) if options.keep and file.exists() else found
        pictures = plots.draw(whole, options.plots)
        report.write_page(whole, options.plots / "README.md", pictures)
        write_json(whole, file)
        if options.pages:
            pages.fill(options.pages, whole)
    if options.json:
        keep = options.keep and options.json.exists()
        write_json(merge(read_json(options.json), found) if keep else found, options.json)
    return 1 if found.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tests.bench",
        description="Measure canning beside its peers on this machine, in one run: those that are installed, "
        "on the same objects by turns.",
        epilog="Exit status: 1 where canning did not bring back what was sent, 2 where a name is unknown.",
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: all; a wrong one lists them")
    parser.add_argument("--only", metavar="ROW,...", help="rows to measure, * and ? match: arr_*,tcp-100B")
    parser.add_argument("--peers", metavar="NAME,...", help="peers to measure, * and ? match; default: all")
    parser.add_argument("--quick", action="store_true", help="try everything once; the numbers are rough")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all numbers")
    parser.add_argument("--plots", metavar="FOLDER", type=Path, help="write plots, tables and numbers")
    parser.add_argument(
        "--pages", metavar="FOLDER", type=Path, help="with --plots: fill the marked tables of its pages anew"
    )
    parser.add_argument("--keep", action="store_true", help="keep what FOLDER or FILE has of other rows")
    return parser


if __name__ == "__main__":
    sys.exit(main())
