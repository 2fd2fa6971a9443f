"""Pictures of a camera's photos, and of how time grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .camera import KINDS, RATES
from .drawing import COLORS, columns, legend, panels
from .links import ARENA
from .report import TITLES, Report
from .results import OURS, Cell, Result
from .viewers import IN_PLACE, MEMORY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEADS: Final = {MEMORY: "through shared memory"}
_ROWS: Final[tuple[tuple[str, Callable[[Cell], float]], ...]] = (
    ("50 %, ms", lambda cell: (cell.value or 0) * 1e3),
    ("99 %, ms", lambda cell: cell.more["p99"] * 1e3),
    ("99.9 %, ms", lambda cell: cell.more["p99.9"] * 1e3),
    ("photos a second", lambda cell: cell.more["a second"]),
)
_LOST: Final = 0.01
"""The part of the photos from which a marker is hollow."""
_AXES: Final = {
    "arrays": "arrays of 1 KiB in a message",
    "consumers": "consumers of a message of 1 MB",
    "bytes": "bytes in a message",
}


def camera(report: Report, suite: str) -> Figure:
    """Draw latencies and photos a second against those offered: a column for each kind of way."""
    from matplotlib.figure import Figure

    results = report.of(suite)
    kinds = [kind for kind in KINDS if any(_kind(result) == kind for result in results)]
    figure = Figure(figsize=(3.4 * len(kinds) + 3, 10), layout="constrained")
    grid = figure.subplots(len(_ROWS), len(kinds), squeeze=False, sharex=True, sharey="row")
    for column, kind in enumerate(kinds):
        rows = [result for result in results if _kind(result) == kind]
        for axis, (label, number) in zip(grid[:, column], _ROWS, strict=True):
            for name in dict.fromkeys(name for row in rows for name in row.cells):
                _line(axis, rows, name, number)
            axis.grid(alpha=0.3)
            axis.set(xscale="log", yscale="log")
            axis.set_xticks(list(RATES), list(map(str, RATES)))
            axis.minorticks_off()
            _plain_numbers(axis)
            if not column:
                axis.set_ylabel(label)
        grid[0, column].set_title(_HEADS.get(kind, f"over {kind}"))
        grid[-1, column].plot(list(RATES), list(RATES), ":", color="black", label="as offered")
    figure.supxlabel("photos a second offered (hollow: more than 1 % of them lost)", fontsize=10)
    legend(figure, list(grid.flat))
    figure.suptitle(TITLES[suite])
    return figure


def _kind(result: Result) -> str:
    return result.name.split("-")[1]


def _line(axis: Any, rows: Sequence[Result], name: str, number: Callable[[Cell], float]) -> None:
    cells = [(_count(row), row.cells[name]) for row in rows if row.cells.get(name, Cell(None)).value]
    placed = name.endswith(IN_PLACE)
    color = COLORS.get(name)
    width = 2.2 if name.startswith(OURS) else 1.2
    points = [(rate, number(cell)) for rate, cell in cells]
    axis.plot(*columns(points), "--" if placed else "-", color=color, linewidth=width)
    for rate, cell in cells:
        face = "white" if cell.more["lost"] > _LOST else color
        axis.plot(rate, number(cell), "s" if placed else "o", color=color, markerfacecolor=face, markersize=5)
    axis.plot([], [], "s--" if placed else "o-", color=color, linewidth=width, markersize=5, label=name)


def _plain_numbers(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def growth(report: Report) -> Figure:
    """Draw time against the number of arrays, of consumers and of bytes, all logarithmic."""
    results = report.of("growth")
    whats = [what for what in _AXES if any(f"-{what}-" in result.name for result in results)]
    figure, axes = panels(len(whats), (3.7 * len(whats) + 2, 4.6))
    for axis, what in zip(axes, whats, strict=True):
        rows = [result for result in results if f"-{what}-" in result.name]
        for name in dict.fromkeys(name for row in rows for name in row.cells):
            points = [(_count(row), row.values[name] * 1e3) for row in rows if name in row.values]
            width = 2.5 if name.startswith(OURS) else 1.2
            line = "s--" if name == ARENA else "o-"
            axis.plot(*columns(points), line, color=COLORS.get(name), linewidth=width, label=name)
        axis.set(xscale="log", yscale="log", xlabel=_AXES[what])
        axis.grid(alpha=0.3)
        _plain_numbers(axis)
        if what == "consumers":
            ticks = sorted(map(_count, rows))
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axis.minorticks_off()
    axes[0].set_ylabel("ms until all of them were read")
    legend(figure, axes)
    figure.suptitle(TITLES["growth"])
    return figure


def _count(result: Result) -> float:
    """Read the number that the name of a row ends with; bytes may have a unit.

    >>> [_count(Result("growth", name, "", {})) for name in ("ipc-consumers-8", "ipc-bytes-4GB")]
    [8.0, 4000000000.0]
    """
    number = result.name.rpartition("-")[2].removesuffix("B")
    units = {"K": 1e3, "M": 1e6, "G": 1e9}
    return float(number.rstrip("KMG")) * units.get(number[-1], 1.0)
