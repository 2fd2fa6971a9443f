"""Run a peer's own tests from a checkout of it twice, as they are and with canning, and tell the difference."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).absolute().parent
ROOT = HERE.parents[1]
"""Where `canning` lies."""


@dataclass(frozen=True)
class Outcome:
    """What became of one test: ``passed``, ``failed`` or ``skipped``, and the first line of the reason."""

    result: str
    reason: str = ""


def run_pytest(top: Path, arguments: Iterable[str], environment: Mapping[str, str]) -> dict[str, Outcome]:
    """Run pytest in `top`, without any configuration, and return what became of each test."""
    report = top / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={top}", "-c", os.devnull]
    done = subprocess.run(
        [*command, f"--junitxml={report}", *arguments],
        cwd=top,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not report.exists() or "Error in sitecustomize" in done.stdout:
        raise SystemExit(f"pytest did not run as it should (code {done.returncode}):\n{done.stdout}")
    cases = ElementTree.parse(report).iter("testcase")
    return {f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": _outcome(case) for case in cases}


def _outcome(case: ElementTree.Element) -> Outcome:
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            result = "skipped" if child.tag == "skipped" else "failed"
            lines = (child.get("message") or "").strip().split("\n")
            return Outcome(result, (lines[0] if len(lines) < 3 else f"{lines[0]} ... {lines[-1]}")[:200])
    return Outcome("passed")


def report(
    plain: Mapping[str, Outcome], canned: Mapping[str, Outcome], not_ours: Mapping[str, str], *, whose: str
) -> int:
    """Print the two runs side by side; return 1 where a test fails with canning alone, and nobody knows why."""
    for name, outcomes in ((whose, plain), ("canning", canned)):
        count = Counter(outcome.result for outcome in outcomes.values())
        print(f"{name:>12}: " + ", ".join(f"{count[result]} {result}" for result in ("passed", "failed", "skipped")))
    unknown = 0
    for name, outcome in sorted(canned.items()):
        if outcome.result != "failed":
            continue
        if plain[name].result == "failed":
            print(f"  fails both ways  {name}: {outcome.reason}")
        elif (known := not_ours.get(name.partition("::")[2].partition("[")[0])) is not None:
            print(f"  does not apply   {name}: {known}")
        else:
            unknown += 1
            print(f"  FAILS            {name}: {outcome.reason}")
    return 1 if unknown else 0
