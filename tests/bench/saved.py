"""Results in a file: written, read again, and joined with those of another run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

from .report import Report
from .results import Cell, Result, Verdict

_CHANGES: Final = ("load", "versions")
"""What may differ between the runs whose results stand in one file."""


def write_json(report: Report, file: Path) -> None:
    """Write everything measured, seconds and multiples unrounded."""
    measured = {**dataclasses.asdict(report), "results": list(map(_as_json, report.results))}
    file.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _as_json(result: Result) -> dict[str, Any]:
    return {**dataclasses.asdict(result), "verdicts": [verdict._asdict() for verdict in result.verdicts]}


def read_json(file: Path) -> Report:
    """Read what `write_json` has written."""
    saved = json.loads(file.read_text(encoding="utf-8"))
    return Report(**{**saved, "results": list(map(_from_json, saved["results"]))})


def _from_json(saved: dict[str, Any]) -> Result:
    cells = {name: Cell(**cell) for name, cell in saved["cells"].items()}
    verdicts = [Verdict(**verdict) for verdict in saved["verdicts"]]
    return Result(**{**saved, "cells": cells, "verdicts": verdicts})


def merge(old: Report, new: Report) -> Report:
    """Keep the rows of an older report that a newer one has not; they must be of the same machine.

    A row is never mixed: all of its numbers are of one run.
    """
    for what in old.machine.keys() - _CHANGES:
        if old.machine[what] != new.machine.get(what):
            raise ValueError(
                f"the older results are of another machine: {what} was {old.machine[what]!r}, "
                f"and is {new.machine.get(what)!r}; leave --keep out"
            )
    measured = {(result.suite, result.name) for result in new.results}
    kept = [result for result in old.results if (result.suite, result.name) not in measured]
    versions = {**old.machine["versions"], **{k: v for k, v in new.machine["versions"].items() if v}}
    return Report(
        {**new.machine, "versions": versions},
        old.quick or new.quick,
        [*kept, *new.results],
        new.limits or old.limits,
        {**old.absent, **new.absent},
    )
