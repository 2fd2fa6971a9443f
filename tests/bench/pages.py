"""Tables of measured numbers in pages about something else, between marks that only the source shows.

A page says where a table goes, and `fill` writes it there:

    <!-- measured: camera -->
    <!-- end -->
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .camera import KINDS, PEERS, RATES
from .report import Report, markdown
from .results import Cell, show_seconds

_MARK: Final = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SUITES: Final = ("camera", "viewers")


def fill(folder: Path, report: Report) -> None:
    """Write the tables of all marked pages in a folder."""
    for page in folder.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        filled = filled_in(text, report)
        if filled != text:
            page.write_text(filled, encoding="utf-8")


def filled_in(text: str, report: Report) -> str:
    """Give a page with its tables made anew; one about what was not measured stays as it is."""
    return _MARK.sub(
        lambda mark: f"{mark[1]}{table}{mark[3]}" if (table := TABLES[mark[2]](report)) else mark[0], text
    )


def camera(report: Report) -> str:
    """Sum up a camera in a row for each way: its latency where there is time, what it can do where not."""
    if not all(map(report.of, _SUITES)):
        return ""
    slow, fast = min(RATES), max(RATES)
    cells = {result.name: result.cells for suite in _SUITES for result in report.of(suite)}
    asked = (f"at {slow} /s", f"of {fast:,} /s")
    rows = [
        ["", *(f"{viewers}: {what}" for viewers in ("one viewer", "four viewers") for what in asked)],
        ["---", *["---:"] * 4],
    ]
    for kind in KINDS:
        for name in PEERS:
            found = [
                cells.get(f"{suite}-{kind}-{rate}", {}).get(name)
                for suite in _SUITES
                for rate in (slow, fast)
            ]
            if any(cell and cell.value for cell in found):
                shows = (_latency, _rate, _latency, _rate)
                shown = (show(cell) for show, cell in zip(shows, found, strict=True))
                rows.append([f"{kind}: {name}", *shown])
    machine = report.machine_of(_SUITES[0])
    about = f"{machine['cpu']}, {machine['cores']} cores, {machine['python']}; load {machine['load']} before."
    return "\n".join([*map(markdown, rows), "", about, ""])


def _latency(cell: Cell | None) -> str:
    if not cell or cell.value is None:
        return ""
    return f"{show_seconds(cell.value)} ({show_seconds(cell.more['p99'])})"


def _rate(cell: Cell | None) -> str:
    return f"{cell.more['a second']:,.0f} /s" if cell and cell.value is not None else ""


TABLES: Final[dict[str, Callable[[Report], str]]] = {"camera": camera}
