"""Pictures of the results; each suite has its own."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import curves
from .arena import LIMIT, RAY
from .drawing import COLORS, OURS_COLOR, caption, columns, legend, panels
from .memory import ENDS
from .report import TITLES, Report
from .results import OURS, Result, show_ratio
from .workloads import PICKLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EDGES: Final = (0.03, 30.0)
"""What the picture of ratios shows; between these, differences that matter can be seen."""
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_LIMIT_LINES: Final = (":", "--")


def draw(report: Report, folder: Path, suffix: str = "svg") -> dict[str, str]:
    """Draw each suite that was measured into `folder`; return the file names by suite."""
    import matplotlib as mpl

    mpl.use("agg")
    # Without a salt and a date of its own, a file changes only where its numbers do.
    mpl.rcParams["svg.hashsalt"] = "canning"
    names = {}
    for suite, picture in PICTURES.items():
        if report.of(suite):
            names[suite] = f"{suite}.{suffix}"
            figure = picture(report)
            figure.text(0.01, 0, caption(report.machine_of(suite)), fontsize=6, color="#555555", va="top")
            figure.savefig(folder / names[suite], **_how(suffix))
    if report.of("wire") and report.of("arena"):
        overview(report).savefig(folder / f"overview.{suffix}", **_how(suffix))
    return names


def _how(suffix: str) -> dict[str, Any]:
    return {"metadata": {"Date": None} if suffix == "svg" else None, "bbox_inches": "tight"}


def codec(report: Report) -> Figure:
    """Draw times relative to pickle's, or else to the best peer's: ours as bars, the others as dots."""
    results = [result for result in reversed(report.of("codec")) if _reference(result)]
    figure, axes = panels(1, (9, 0.36 * len(results) + 1.6))
    axis = axes[0]
    for y, result in enumerate(results):
        for name, ratio in _ratios(result).items():
            color = COLORS.get(name)
            if name == OURS:
                axis.barh(y, _clip(ratio) - 1, left=1, height=0.6, color=color, alpha=0.85, label=name)
                axis.text(_EDGES[1] * 1.1, y, show_ratio(ratio), va="center", color=color)
            else:
                face = "none" if result.cells[name].problem else color
                axis.plot(
                    _clip(ratio),
                    y,
                    "o",
                    color=color,
                    markerfacecolor=face,
                    zorder=3,
                    clip_on=False,
                    label=name,
                )
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set(xscale="log", xlim=_EDGES, title=TITLES["codec"])
    axis.set_yticks(range(len(results)), [_label(result) for result in results])
    axis.set_ylim(-0.7, len(results) - 0.3)
    axis.set_xlabel(
        f"time relative to {PICKLE}, or (*) to the best peer where that fails: left is faster\n"
        "at an edge: beyond it; hollow: came back changed"
    )
    axis.grid(axis="x", alpha=0.3)
    legend(figure, axes)
    return figure


def _ratios(result: Result) -> dict[str, float]:
    one = result.values[_reference(result)]
    return {name: value / one for name, value in result.values.items()}


def _clip(ratio: float) -> float:
    return min(max(ratio, _EDGES[0]), _EDGES[1])


def _reference(result: Result) -> str:
    """Name the peer whose time is 1; empty where no one but us has a time."""
    return PICKLE if PICKLE in result.values else result.best_peer or ""


def _label(result: Result) -> str:
    return result.name if _reference(result) == PICKLE else f"{result.name} *"


def wire(report: Report) -> Figure:
    """Draw time against size, both logarithmic, a panel for tcp and one for ipc."""
    results = report.of("wire")
    kinds = list(dict.fromkeys(result.name.partition("-")[0] for result in results))
    figure, axes = panels(len(kinds), (5.5 * len(kinds) + 1, 4.6))
    for axis, kind in zip(axes, kinds, strict=True):
        _against_size(axis, [result for result in results if result.name.startswith(kind)], report.limits)
        axis.set(title=kind)
    axes[0].set_ylabel("ms")
    return _finish(figure, axes, "wire")


def arena(report: Report) -> Figure:
    """Draw time against size, both logarithmic: what was copied, and what was there already."""
    figure, (axis,) = panels(1, (6.5, 4.6))
    results = report.of("arena")
    copied = [result for result in results if result.nbytes]
    _against_size(axis, copied, report.limits)
    placed = [(_size(result.name), result.values[OURS] * 1e3) for result in results if not result.nbytes]
    if placed:
        axis.plot(*columns(placed), "s--", color=OURS_COLOR, label="canning, in the arena already")
    axis.set(ylabel="ms")
    return _finish(figure, [axis], "arena")


def _size(name: str) -> float:
    """Read the bytes that the name of a row ends with.

    >>> _size("arena-placed-2GB")
    2000000000.0
    """
    number, unit = re.fullmatch(r".*?(\d+)([KMG]?)B", name).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def _against_size(axis: Any, rows: Sequence[Result], limits: Mapping[str, float]) -> None:
    for name in dict.fromkeys(name for row in rows for name in row.cells):
        points = [(row.nbytes, row.values[name] * 1e3) for row in rows if name in row.values]
        width = 2.5 if name == OURS else 1.2
        line = ":" if name == LIMIT else "o-"
        axis.plot(*columns(points), line, color=COLORS.get(name), linewidth=width, label=name)
    for (limit, rate), line in zip(limits.items(), _LIMIT_LINES, strict=False):
        points = [(row.nbytes, row.nbytes / rate * 1e3) for row in rows if row.nbytes >= 10**6]
        axis.plot(*columns(points), line, color="black", linewidth=1, label=limit)
    axis.set(xscale="log", yscale="log", xlabel="bytes")
    axis.grid(alpha=0.3)


def bars(report: Report, suite: str) -> Figure:
    """Draw a group of bars for each row: messages a second, or ms."""
    results = report.of(suite)
    figure, (axis,) = panels(1, (2.2 * len(results) + 3.5, 4.2))
    peers = list(dict.fromkeys(name for row in results for name in row.cells))
    width = 0.8 / len(peers)
    for number, name in enumerate(peers):
        places = [x + (number - (len(peers) - 1) / 2) * width for x in range(len(results))]
        values = [row.values.get(name) for row in results]
        heights = [(1 / v if suite == "messages" else v * 1e3) if v else 0.0 for v in values]
        axis.bar(places, heights, width, color=COLORS.get(name), label=name)
    axis.set_xticks(range(len(results)), [row.name for row in results])
    axis.set(ylabel="messages a second" if suite == "messages" else "ms")
    axis.grid(axis="y", alpha=0.3)
    return _finish(figure, [axis], suite)


def overview(report: Report) -> Figure:
    """Draw what a reader of the project looks for: time against size over tcp, and on one host."""
    figure, axes = panels(2, (12, 4.8))
    tcp = [result for result in report.of("wire") if result.name.startswith("tcp")]
    _against_size(axes[0], tcp, report.limits)
    axes[0].set(title="over tcp", ylabel="ms until the receiver has read it")
    ipc = [_without(result, OURS) for result in report.of("wire") if result.name.startswith("ipc")]
    shared = [result for result in report.of("arena") if result.nbytes]
    _against_size(axes[1], ipc, {})
    _against_size(axes[1], [_only(result, (OURS, RAY)) for result in shared], report.limits)
    placed = [
        (_size(result.name), result.values[OURS] * 1e3) for result in report.of("arena") if not result.nbytes
    ]
    if placed:
        axes[1].plot(*columns(placed), "s--", color=OURS_COLOR, label="canning, in the arena already")
    axes[1].set(title="on one host: canning in a SharedArena")
    return _finish(figure, axes, "", caption(report.machine_of("wire")))


def _only(result: Result, names: Sequence[str]) -> Result:
    cells = {name: cell for name, cell in result.cells.items() if name in names}
    return dataclasses.replace(result, cells=cells)


def _without(result: Result, name: str) -> Result:
    return _only(result, [each for each in result.cells if each != name])


def _finish(figure: Figure, axes: Sequence[Any], suite: str, below: str = "") -> Figure:
    legend(figure, axes)
    if suite:
        figure.suptitle(TITLES[suite])
    if below:
        figure.supxlabel(below, fontsize=7, color="#555555")
    return figure


def memory(report: Report) -> Figure:
    """Draw a panel for senders and one for receivers: a group of bars for each kind of data."""
    results = report.of("memory")
    ends = list(dict.fromkeys(result.name.rpartition("-")[2] for result in results))
    figure, axes = panels(len(ends), (5.5 * len(ends) + 1, 4.2))
    for axis, end in zip(axes, ends, strict=True):
        rows = [result for result in results if result.name.endswith(end)]
        peers = list(dict.fromkeys(name for row in rows for name in row.cells))
        width = 0.8 / len(peers)
        for number, name in enumerate(peers):
            places = [x + (number - (len(peers) - 1) / 2) * width for x in range(len(rows))]
            heights = [row.values.get(name, 0.0) for row in rows]
            axis.bar(places, heights, width, color=COLORS.get(name), label=name)
        axis.axhline(ENDS[end].limit, color="black", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(rows)), [row.name.rpartition("-")[0] for row in rows])
        axis.set(ylabel="peak memory / data", title=end)
        axis.grid(axis="y", alpha=0.3)
    return _finish(figure, axes, "memory")


PICTURES: Final[dict[str, Callable[[Report], Figure]]] = {
    "codec": codec,
    "wire": wire,
    "many": partial(bars, suite="many"),
    "messages": partial(bars, suite="messages"),
    "arena": arena,
    "memory": memory,
    "camera": partial(curves.camera, suite="camera"),
    "viewers": partial(curves.camera, suite="viewers"),
    "growth": curves.growth,
}
