"""What is shown and written: tables, JSON, a page with both tables and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import growth
from .camera import METHOD, VIEWERS
from .links import JOINED, RAW
from .results import OURS, Cell, Result, Verdict, show_ratio, show_seconds
from .signing import HASH
from .workloads import PICKLE

if TYPE_CHECKING:
    from rich.console import Console

WIDTH: Final = 190
"""Columns where the output is no terminal, so that no table is folded in a file."""

TITLES: Final = {
    "codec": "Round trips in one process",
    "wire": "Process to process on one host, until the receiver has read it",
    "many": "256 small buffers in one message, until the receiver has read them",
    "messages": "Small messages one behind the other: messages a second",
    "memory": "Peak memory, as multiples of the data's size",
    "signing": "Signing a message and checking it, beside the bare hash over the same bytes",
    "arena": "Process to process through memory that both have mapped, until the receiver has read it",
    "camera": "A camera and one viewer: latency until a photo of 6.2 MB was read, and photos a second",
    "viewers": "A camera and four viewers: latency until a photo of 6.2 MB was read, and photos a second",
    "growth": "How time grows, over ipc: with the arrays of a message, with its consumers, with its bytes",
}
_REFERENCE: Final = {
    "codec": PICKLE,
    "wire": RAW,
    "many": JOINED,
    "messages": "send_pyobj",
    "arena": "ray",
    "signing": HASH,
    "growth": RAW,
}
METHODS: Final = {**dict.fromkeys(VIEWERS, METHOD), growth.SUITE: growth.METHOD}
"""What a reader of a suite's numbers has to know."""
_CHANGED: Final = "≠"
_NOTE: Final = f"{_CHANGED}: what came back is not what was sent; not counted as best peer."


@dataclass(slots=True)
class Report:
    """All that one run measured."""

    machine: dict[str, Any]
    quick: bool
    results: list[Result] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    machines: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of the suites that were measured on another machine than the rest."""

    def machine_of(self, suite: str) -> dict[str, Any]:
        """Give the machine that a suite was measured on."""
        return self.machines.get(suite, self.machine)

    def of(self, suite: str) -> list[Result]:
        """Give the rows of one suite."""
        return [result for result in self.results if result.suite == suite]

    @property
    def missed(self) -> list[tuple[str, Verdict]]:
        """Give the bars that were not passed, each with its row's name."""
        return [(row.name, verdict) for row in self.results for verdict in row.verdicts if not verdict.met]

    @property
    def failures(self) -> list[str]:
        """Give the rows in which canning itself did not bring back what was sent."""
        cells = [(row.name, row.cells[OURS]) for row in self.results if OURS in row.cells]
        return [f"{name}: {cell.problem}" for name, cell in cells if cell.problem]


def console(*, errors: bool = False) -> Console:
    """Make a console that does not fold tables where no one sees them."""
    from rich.console import Console

    plain = Console(stderr=errors)
    return plain if plain.is_terminal else Console(stderr=errors, width=WIDTH)


# -- tables --------------------------------------------------------------------------------------------


def header(suite: str, results: Sequence[Result]) -> list[str]:
    """Name the columns of a suite's table."""
    if suite in VIEWERS:
        return ["", *_peers(results)]
    reference = [f"/ {_REFERENCE[suite]}"] if suite in _REFERENCE else []
    return ["", *_peers(results), *reference, "/ best peer", "bars"]


def row(suite: str, result: Result, peers: Sequence[str]) -> list[str]:
    """Write a row of a suite's table."""
    cells = [_show(suite, result, name) for name in peers]
    if suite in VIEWERS:
        return [result.name, *cells]
    if suite in _REFERENCE:
        ratio = result.ratio(_REFERENCE[suite])
        cells.append("" if ratio is None else show_ratio(ratio))
    best = result.best_peer
    ratio = result.ratio(best)
    beside_best = "" if ratio is None else f"{show_ratio(ratio)} {best}"
    return [result.name, *cells, beside_best, "\n".join(map(_verdict, result.verdicts))]


def _peers(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(name for result in results for name in result.cells))


def _show(suite: str, result: Result, name: str) -> str:
    cell = result.cells.get(name, Cell(None))
    if cell.value is None:
        return cell.problem.partition(":")[0]
    if suite in VIEWERS:
        number = show_film(cell)
    elif suite == "messages":
        number = f"{1 / cell.value:,.0f} /s"
    else:
        number = f"{cell.value:.2f}" if suite == "memory" else show_seconds(cell.value)
    if suite in ("wire", "arena", "signing") and result.nbytes >= 10**6:
        number += f"\n{result.nbytes / cell.value / 1e9:.1f} GB/s"
    return f"{_CHANGED} {number}" if cell.problem else number


def show_film(cell: Cell) -> str:
    """Write what became of a camera's photos.

    >>> print(show_film(Cell(0.00123, "", {"p99": 0.002, "p99.9": 0.01, "a second": 98.7, "lost": 0.013})))
    1.23 ms, 2.00 ms, 10.0 ms
    99 /s, 1.3 % lost
    """
    latencies = (cell.value or 0, cell.more["p99"], cell.more["p99.9"])
    lost = f", {cell.more['lost']:.1%} lost".replace("%", " %") if cell.more["lost"] else ""
    return f"{', '.join(map(show_seconds, latencies))}\n{cell.more['a second']:,.0f} /s{lost}"


def _verdict(verdict: Verdict) -> str:
    return f"{'✓' if verdict.met else '✗'} {verdict.measured} ({verdict.bar})"


def show(report: Report, suite: str, out: Console) -> None:
    """Print a suite's table."""
    from rich.table import Table
    from rich.text import Text

    results = report.of(suite)
    table = Table(title=TITLES[suite], title_justify="left")
    names = header(suite, results)
    for name in names:
        table.add_column(name, justify="left" if name in ("", "bars") else "right", overflow="fold")
    for result in results:
        style = "bold" if any(not verdict.met for verdict in result.verdicts) else None
        table.add_row(*map(Text, row(suite, result, _peers(results))), style=style)
    out.print(table)
    for note in _notes(report, suite):
        out.print(note, markup=False, highlight=False)
    out.print()


def _notes(report: Report, suite: str) -> list[str]:
    results = report.of(suite)
    notes = []
    if any(cell.problem and cell.value is not None for result in results for cell in result.cells.values()):
        notes.append(_NOTE)
    notes += METHODS.get(suite, ())
    if suite == "wire":
        notes += [f"Limit: {name} {rate / 1e9:.1f} GB/s." for name, rate in report.limits.items()]
    # In a table there is room for the kind of an error only.
    problems = {cell.problem for result in results for cell in result.cells.values() if ":" in cell.problem}
    return notes + sorted(problems)


def summary(report: Report) -> list[str]:
    """Say what was absent, how many bars were passed, and which were not."""
    judged = [verdict for result in report.results for verdict in result.verdicts]
    lines = [f"Absent: {name} ({reason})" for name, reason in report.absent.items()]
    lines.append(f"Bars passed: {len(judged) - len(report.missed)} of {len(judged)}.")
    lines += [f"  missed: {name}: {verdict.measured} ({verdict.bar})" for name, verdict in report.missed]
    lines += [f"  FAILED: {failure}" for failure in report.failures]
    if report.quick:
        lines.append("A quick run: it shows that everything works, and its numbers are rough.")
    return lines


# -- files ---------------------------------------------------------------------------------------------


def write_page(report: Report, file: Path, pictures: Mapping[str, str]) -> None:
    """Write the tables as Markdown; `pictures` are the file names of the plots, by suite."""
    lines = ["# Benchmarks", "", *_about(report), ""]
    for suite, title in TITLES.items():
        results = report.of(suite)
        if not results:
            continue
        lines += [f"## {title}", ""]
        if suite in report.machines:
            lines += [f"Measured on another machine. {_machine(report.machines[suite])}", ""]
        if suite in pictures:
            lines += [f"![{title}]({pictures[suite]})", ""]
        names = header(suite, results)
        lines += [markdown(names), markdown(["---"] * len(names))]
        lines += [markdown(row(suite, result, _peers(results))) for result in results]
        lines += ["", *(f"- {note}" for note in _notes(report, suite)), ""]
        lines += [f"- `{result.name}`: {result.what}" for result in results] + [""]
    lines += ["## Bars", "", *(f"- {line.strip()}" for line in summary(report))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _about(report: Report) -> list[str]:
    return [
        "Written by `python -m tests.bench`. In each row, all libraries were measured alternately, in one",
        "run, on the same object; the best round counts. Ratios within a row carry over to other machines",
        "better than times do. A",
        f"column that starts with / is {OURS}'s number divided by that one.",
        "",
        _machine(report.machine),
    ]


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items() if number)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']};\n"
        f"load {machine['load']} at the start. {machine['python']}, {versions}."
    )


def markdown(cells: Sequence[str]) -> str:
    """Write a row of a table in Markdown."""
    return f"| {' | '.join(cell.replace('|', ' ').replace(chr(10), '<br>') for cell in cells)} |"
