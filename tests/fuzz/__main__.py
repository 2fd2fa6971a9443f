"""Run broken messages: ``python -m tests.fuzz --seconds 60 --seed 1 --procs 2``."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from .report import fine, keep, show
from .run import run
from .sources import Everything, Mutants, Source


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 0 if every input ended in a value or a `DeserializationError`."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop after this time (default: 10 without --inputs)")
    parser.add_argument("--inputs", type=int, help="stop after so many inputs")
    parser.add_argument("--seed", type=int, help="decides on the inputs (default: another one each time)")
    parser.add_argument("--procs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument(
        "--every",
        action="store_true",
        help="all bits and lengths of the golden messages, not mutants at random",
    )
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail"
    )
    given = parser.parse_args(arguments)
    seed = random.randrange(1 << 20) if given.seed is None else given.seed
    source: Source = Everything() if given.every else Mutants(seed)
    seconds = given.seconds
    if seconds is None and given.inputs is None and not given.every:
        seconds = 10.0
    tally = run(source, seconds=seconds, inputs=given.inputs, procs=given.procs, first=given.first)
    show(tally, "every bit and length" if given.every else f"mutants of seed {seed}")
    for line in keep(tally, source, given.keep):
        print(line)
    return 0 if fine(tally) else 1


if __name__ == "__main__":
    sys.exit(main())
