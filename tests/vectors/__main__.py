"""Judge a reader: ``python -m tests.vectors COMMAND…``, such as ``node tests/javascript/read.mjs``.

It prints what was not right, and how many vectors of each group were read right, wrong, or not at all. The
exit status is 0 if nothing failed; what the reader says that it cannot read is listed, and is no failure.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from . import vectors
from .judging import FINE, OUTCOMES, judged


def main(argv: list[str]) -> int:
    """Run the command, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors", description=__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the reader and its arguments")
    command = parser.parse_args(argv).command
    if not command:
        parser.error("which reader? Pass its command")
    counts: dict[str, Counter[str]] = {}
    for each in judged(command, vectors()):
        counts.setdefault(each.group, Counter())[each.outcome] += 1
        if each.outcome != "right":
            print(f"{each.outcome}: {each.group}: {each.name}: {each.said}")
    total = sum(counts.values(), Counter[str]())
    print(f"{'':14}" + "".join(f"{outcome:>13}" for outcome in OUTCOMES))
    for group, count in {**counts, "all": total}.items():
        print(f"{group:14}" + "".join(f"{count[outcome]:13}" for outcome in OUTCOMES))
    return int(any(count for outcome, count in total.items() if outcome not in FINE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
