"""Run cloudpickle's own tests with canning's `dumps` and `loads` in the place of its own.

    python -m tests.peers.run_cloudpickle PATH_TO_CHECKOUT [arguments of pytest]

They are not in its wheel: PATH_TO_CHECKOUT is a clone of https://github.com/cloudpipe/cloudpickle. They need
psutil, and skip what tornado and scipy are for where these are missing. The processes that they start use
canning too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .checkouts import report, run_pytest

NOT_OURS: dict[str, str] = {
    "test_pickling_file_handles": "canning refuses text files, as pickle does, and says what to send",
    "test_recursion_during_pickling": "canning has an error of its own for what is nested too deeply",
}
"""Tests that do not apply, by name, with the reason."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests both ways; return 1 where one fails with canning alone."""
    parser = argparse.ArgumentParser(description="Run cloudpickle's own tests through canning.")
    parser.add_argument("checkout", type=Path, help="a clone of cloudpickle")
    options, arguments = parser.parse_known_args(argv)
    checkout = options.checkout.absolute()
    if not (checkout / "tests" / "cloudpickle_test.py").is_file():
        parser.error(f"{checkout} is no checkout of cloudpickle: it has no tests/cloudpickle_test.py")
    links = {name: checkout / name for name in ("tests", "cloudpickle")}
    # Protocol 2 is the same tests once more, and canning writes protocol 5 whatever it is asked for.
    chosen = ["-s", "tests/cloudpickle_test.py", "-k", "not Protocol2CloudPickleTest", *arguments]
    path = ["tests", "tests/cloudpickle_testpkg"]
    plain = run_pytest(chosen, links=links, stand_in=None, path=path)
    canned = run_pytest(chosen, links=links, stand_in="as_cloudpickle", path=path)
    return report(plain, canned, NOT_OURS, whose="cloudpickle")


if __name__ == "__main__":
    sys.exit(main())
