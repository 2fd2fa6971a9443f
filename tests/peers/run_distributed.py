"""Run distributed's own tests of its protocol with canning as the serializer.

    python -m tests.peers.run_distributed PATH_TO_CHECKOUT [arguments of pytest]

They are not in its wheel: PATH_TO_CHECKOUT is a clone of https://github.com/dask/distributed, and the package under
test is the one that is installed, which should be of about the same age. What pandas, pyarrow and scipy
are for is skipped where these are missing. No cluster is started.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .checkouts import HERE, ROOT, Outcome, report, run_pytest

FILES = ("test_arrow", "test_collection", "test_numpy", "test_pandas", "test_pickle", "test_scipy")
"""Those that send objects there and back; the others try how distributed chooses among its families."""

NOT_OURS: dict[str, str] = {}
"""Tests that do not apply, by name, with the reason."""


def run(checkout: Path, arguments: Sequence[str], *, canned: bool) -> dict[str, Outcome]:
    """Run the tests in a folder of links."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        links = {f"{name}.py": checkout / "distributed" / "protocol" / "tests" / f"{name}.py" for name in FILES}
        if canned:
            links |= {"canning": ROOT / "canning", "sitecustomize.py": HERE / "as_distributed.py"}
        for link, target in links.items():
            (top / link).symlink_to(target)
        chosen = ["-m", "not slow", *arguments]
        return run_pytest(top, chosen, {"PYTHONPATH": str(top)})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tests both ways; return 1 where one fails with canning alone."""
    parser = argparse.ArgumentParser(description="Run distributed's own tests of its protocol through canning.")
    parser.add_argument("checkout", type=Path, help="a clone of distributed")
    options, arguments = parser.parse_known_args(argv)
    checkout = options.checkout.absolute()
    if not (checkout / "distributed" / "protocol" / "tests").is_dir():
        parser.error(f"{checkout} is no checkout of distributed: it has no distributed/protocol/tests")
    runs = [run(checkout, arguments, canned=canned) for canned in (False, True)]
    return report(*runs, NOT_OURS, whose="distributed")


if __name__ == "__main__":
    sys.exit(main())
