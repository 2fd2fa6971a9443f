"""Run ipyparallel's own tests, from its wheel, with canning in every client and every engine.

    python -m tests.engines.run_ipyparallel [names of its modules, as test_view, or arguments of pytest]

What fails with canning is run once more with it, since several wait for so long and no longer, and then
without. All of them take six minutes, most of which is the starting of clusters.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.peers.checkouts import ROOT, Outcomes, report, run_pytest

MODULES = (
    "test_serialize",
    "test_canning",
    "test_view",
    "test_lbview",
    "test_view_broadcast",
    "test_asyncresult",
    "test_client",
    "test_dependency",
    "test_remotefunction",
    "test_executor",
    "test_magics",
    "test_joblib",
    "test_async",
)
NOT_OURS: dict[str, str] = {}
"""Tests that do not apply, by name, with the reason: none."""


def run(tests: Sequence[str], *, canned: bool) -> Outcomes:
    """Run tests; `canned` with the plugin that puts canning into clients and engines."""
    links = {"canning": ROOT / "canning", "transport": ROOT / "transport"}
    plugin = []
    if canned:
        plugin = ["-p", "ipyparallel_plugin"]
        links["ipyparallel_plugin.py"] = Path(__file__).with_name("ipyparallel_plugin.py")
    return run_pytest([*plugin, *tests], links=links, stand_in=None)


def main(argv: Sequence[str]) -> int:
    """Run the tests; return 1 where one fails with canning alone."""
    spec = importlib.util.find_spec("ipyparallel")
    if spec is None or spec.origin is None:
        print("this needs the package ipyparallel")
        return 2
    folder = Path(spec.origin).parent / "tests"
    names = [name for name in argv if name in MODULES] or list(MODULES)
    arguments = [argument for argument in argv if argument not in MODULES]
    files = [str(folder / f"{name}.py") for name in names]
    canned = run([*arguments, *files], canned=True)
    plain: Outcomes = {}
    if failed := _failed(canned):
        canned |= run([*arguments, "-k", failed, *files], canned=True)
    if failed := _failed(canned):
        plain = run([*arguments, "-k", failed, *files], canned=False)
    return report(plain, canned, NOT_OURS, whose="ipyparallel")


def _failed(outcomes: Outcomes) -> str:
    """Give what `pytest -k` takes for the tests that failed."""
    names = [name for name, outcome in outcomes.items() if outcome.result == "failed"]
    return " or ".join(sorted({name.partition("::")[2].partition("[")[0] for name in names}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
