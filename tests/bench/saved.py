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
    saved = {**dataclasses.asdict(result), "verdicts": [verdict._asdict() for verdict in result.verdicts]}
    for cell in saved["cells"].values():
        if not cell["more"]:
            del cell["more"]
    return saved


def read_json(file: Path) -> Report:
    """Read what `write_json` has written."""
    saved = json.loads(file.read_text(encoding="utf-8"))
    return Report(**{**saved, "results": list(map(_from_json, saved["results"]))})


def _from_json(saved: dict[str, Any]) -> Result:
    cells = {name: Cell(**cell) for name, cell in saved["cells"].items()}
    verdicts = [Verdict(**verdict) for verdict in saved["verdicts"]]
    return Result(**{**saved, "cells": cells, "verdicts": verdicts})


def merge(old: Report, new: Report) -> Report:
    """Keep the rows of an older report that a newer one has not.

    A suite is of one machine, and a row is never mixed: all of its numbers are of one run.

    Raises:
        ValueError: some rows of a suite would be of another machine than the rest.
    """
    measured = {(result.suite, result.name) for result in new.results}
    kept = [result for result in old.results if (result.suite, result.name) not in measured]
    suites = {result.suite for result in new.results}
    for suite in suites & {result.suite for result in kept}:
        if what := _difference(old.machine_of(suite), new.machine):
            raise ValueError(f"the older results of {suite} are of another machine: {what}; leave --keep out")
    machines = {suite: machine for suite, machine in old.machines.items() if suite not in suites}
    machine = old.machine if kept else new.machine
    if _difference(machine, new.machine):
        machines.update(dict.fromkeys(suites, new.machine))
    else:
        versions = {**machine["versions"], **{k: v for k, v in new.machine["versions"].items() if v}}
        machine = {**new.machine, "versions": versions}
    return Report(
        machine,
        old.quick or new.quick,
        [*kept, *new.results],
        new.limits or old.limits,
        {**old.absent, **new.absent},
        machines,
    )


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Say in what one machine is not another; empty where it is the same."""
    different = (what for what in old.keys() - _CHANGES if old[what] != new.get(what))
    return next((f"{what} was {old[what]!r}, and is {new.get(what)!r}" for what in different), "")
