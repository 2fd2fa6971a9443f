"""Run a peer's own tests as they are and with canning in its place, and tell the difference."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    """What became of one test: ``passed``, ``failed`` or ``skipped``, and the reason in a line."""

    result: str
    reason: str = ""


Outcomes = dict[str, Outcome]


def run_pytest(
    arguments: Iterable[str], *, links: Mapping[str, Path], stand_in: str | None, path: Iterable[str] = ()
) -> Outcomes:
    """Run pytest, without any configuration, in a folder that holds nothing but `links`.

    The folder and the ones below it that `path` names are on the path of that Python and of those that it
    starts. `stand_in` is the function of `standin` that all of them call first.
    """
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        if stand_in is not None:
            ours = {name: ROOT / name for name in ("canning", "transport")}
            links = {**links, **ours, "canning_standin.py": HERE / "standin.py"}
            (top / "sitecustomize.py").write_text(f"import canning_standin\ncanning_standin.{stand_in}()\n")
        for link, target in links.items():
            (top / link).symlink_to(target)
        report = top / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
        not_theirs = ("COVERAGE_", "PYTEST_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(not_theirs)}
        paths = os.pathsep.join([*(str(top / part) for part in path), str(top)])
        done = subprocess.run(
            [*command, f"--rootdir={top}", f"--junitxml={report}", *arguments],
            cwd=top,
            env={**kept, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not report.exists() or "Error in sitecustomize" in done.stdout:
            raise RuntimeError(f"pytest did not run as it should (code {done.returncode}):\n{done.stdout}")
        return {_name(case): _outcome(case) for case in ElementTree.parse(report).iter("testcase")}


def _name(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


def _outcome(case: ElementTree.Element) -> Outcome:
    for child in case:
        if child.tag in ("failure", "error", "skipped"):
            lines = (child.get("message") or "").strip().split("\n")
            reason = lines[0] if len(lines) < 3 else f"{lines[0]} ... {lines[-1]}"
            return Outcome("skipped" if child.tag == "skipped" else "failed", reason[:200])
    return Outcome("passed")


def known(name: str, not_ours: Mapping[str, str]) -> str | None:
    """Look up why a test does not apply: by its name with its parameters, without, or with its file's."""
    test = name.partition("::")[2]
    without = name.partition("[")[0]
    return not_ours.get(test) or not_ours.get(test.partition("[")[0]) or not_ours.get(without)


def report(plain: Outcomes, canned: Outcomes, not_ours: Mapping[str, str], *, whose: str) -> int:
    """Print the two runs; return 1 where a test fails with canning alone, and `not_ours` does not say why."""
    for who, outcomes in ((whose, plain), ("canning", canned)):
        count = Counter(outcome.result for outcome in outcomes.values())
        print(f"{who:>12}: {count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    unknown = 0
    for name, outcome in sorted(canned.items()):
        if outcome.result != "failed":
            continue
        if name in plain and plain[name].result == "failed":
            print(f"  fails both ways  {name}: {outcome.reason}")
        elif (reason := known(name, not_ours)) is not None:
            print(f"  does not apply   {name}: {reason}")
        else:
            unknown += 1
            print(f"  FAILS            {name}: {outcome.reason}")
    return 1 if unknown else 0
