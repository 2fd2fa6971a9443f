"""Pictures of the results; each suite has its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .links import RAW
from .memory import ENDS
from .report import TITLES, Report
from .results import OURS, Result, show_ratio
from .workloads import PICKLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OURS_COLOR: Final = "#c8102e"
_COLORS: Final = {
    "pickle5": "#7f7f7f",
    "cloudpickle5": "#bcbd22",
    "ipyparallel": "#ff7f0e",
    "distributed": "#1f77b4",
    "xoscar": "#2ca02c",
    "joblib": "#9467bd",
    "send_pyobj": "#e377c2",
    "mp.connection": "#8c564b",
    RAW: "#000000",
    "raw, copied": "#999999",
    OURS: _OURS_COLOR,
}
_EDGES: Final = (0.03, 30.0)
"""What the picture of ratios shows; between these, differences that matter can be seen."""
_LIMIT_LINES: Final = (":", "--")


def draw(report: Report, folder: Path, suffix: str = "svg") -> dict[str, str]:
    """Draw each suite that was measured into `folder`; return the file names by suite."""
    import matplotlib as mpl

    mpl.use("agg")
    # Without a salt and a date of its own, a file changes only where its numbers do.
    mpl.rcParams["svg.hashsalt"] = "canning"
    names = {}
    for suite, picture in _PICTURES.items():
        if report.of(suite):
            names[suite] = f"{suite}.{suffix}"
            figure = picture(report)
            figure.savefig(folder / names[suite], metadata={"Date": None} if suffix == "svg" else None)
    return names


def codec(report: Report) -> Figure:
    """Draw times relative to pickle's, or else to the best peer's: ours as bars, the others as dots."""
    results = [result for result in reversed(report.of("codec")) if _reference(result)]
    figure, axes = _figure(1, (9, 0.36 * len(results) + 1.6))
    axis = axes[0]
    for y, result in enumerate(results):
        for name, ratio in _ratios(result).items():
            color = _COLORS.get(name)
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
    axis.set_xlabel(
        f"time relative to {PICKLE}, or (*) to the best peer where that fails: left is faster\n"
        "at an edge: beyond it; hollow: came back changed"
    )
    axis.grid(axis="x", alpha=0.3)
    _legend(figure, axes)
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
    figure, axes = _figure(len(kinds), (5.5 * len(kinds) + 1, 4.6))
    for axis, kind in zip(axes, kinds, strict=True):
        rows = [result for result in results if result.name.startswith(kind)]
        for name in dict.fromkeys(name for row in rows for name in row.cells):
            points = [(row.nbytes, row.values[name] * 1e3) for row in rows if name in row.values]
            width = 2.5 if name == OURS else 1.2
            axis.plot(*_columns(points), "o-", color=_COLORS.get(name), linewidth=width, label=name)
        for (limit, rate), line in zip(report.limits.items(), _LIMIT_LINES, strict=False):
            points = [(row.nbytes, row.nbytes / rate * 1e3) for row in rows if row.nbytes >= 10**6]
            axis.plot(*_columns(points), line, color="black", linewidth=1, label=limit)
        axis.set(xscale="log", yscale="log", xlabel="bytes", ylabel="ms", title=kind)
        axis.grid(alpha=0.3)
    _legend(figure, axes)
    figure.suptitle(TITLES["wire"])
    return figure


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def memory(report: Report) -> Figure:
    """Draw a panel for senders and one for receivers: a group of bars for each kind of data."""
    results = report.of("memory")
    ends = list(dict.fromkeys(result.name.rpartition("-")[2] for result in results))
    figure, axes = _figure(len(ends), (5.5 * len(ends) + 1, 4.2))
    for axis, end in zip(axes, ends, strict=True):
        rows = [result for result in results if result.name.endswith(end)]
        peers = list(dict.fromkeys(name for row in rows for name in row.cells))
        width = 0.8 / len(peers)
        for number, name in enumerate(peers):
            places = [x + (number - (len(peers) - 1) / 2) * width for x in range(len(rows))]
            heights = [row.values.get(name, 0.0) for row in rows]
            axis.bar(places, heights, width, color=_COLORS.get(name), label=name)
        axis.axhline(ENDS[end].limit, color="black", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(rows)), [row.name.rpartition("-")[0] for row in rows])
        axis.set(ylabel="peak memory / data", title=end)
        axis.grid(axis="y", alpha=0.3)
    _legend(figure, axes)
    figure.suptitle(TITLES["memory"])
    return figure


def _figure(panels: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False, sharey=True)[0])


def _legend(figure: Figure, axes: Sequence[Any]) -> None:
    """Name everything that is in any of the panels, once, in the order of the colors."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    order = [*_COLORS, *handles]
    names = sorted(handles, key=order.index)
    figure.legend([handles[name] for name in names], names, loc="outside right upper", frameon=False)


_PICTURES: Final[dict[str, Callable[[Report], Figure]]] = {"codec": codec, "wire": wire, "memory": memory}
