"""Pictures of the results; each suite has its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .links import RAW
from .report import TITLES, Report
from .results import OURS, Result
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
    "send_pyobj": "#7f7f7f",
    "mp.connection": "#8c564b",
    RAW: "#000000",
    "raw, copied": "#999999",
    OURS: _OURS_COLOR,
}
_MEMORY_BARS: Final = {"sender": 1.05, "receiver": 1.1}


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
    results = [result for result in report.of("codec") if _reference(result)]
    figure, axes = _figure(1, (9, 0.42 * len(results) + 1.6))
    axis = axes[0]
    seen: dict[str, Any] = {}
    for y, result in enumerate(reversed(results)):
        one = result.values[_reference(result)]
        for name, value in result.values.items():
            if name == OURS:
                seen[name] = axis.barh(y, value / one, color=_OURS_COLOR, height=0.55, zorder=2)
            else:
                (seen[name],) = axis.plot(value / one, y, "o", color=_COLORS.get(name), zorder=3)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_xscale("log")
    axis.set_yticks(range(len(results)), [_label(result) for result in reversed(results)])
    axis.set_xlabel(f"time relative to {PICKLE}, or where that fails (*) to the best peer; left is faster")
    axis.grid(axis="x", alpha=0.3)
    axis.legend(list(seen.values()), list(seen), loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axis.set_title(TITLES["codec"])
    return figure


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
        for limit, rate in report.limits.items():
            points = [(row.nbytes, row.nbytes / rate * 1e3) for row in rows if row.nbytes >= 10**6]
            axis.plot(*_columns(points), ":", color="black", linewidth=1, label=limit)
        axis.set(xscale="log", yscale="log", xlabel="bytes", ylabel="ms", title=kind)
        axis.grid(alpha=0.3)
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
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
        axis.axhline(_MEMORY_BARS[end], color="black", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(rows)), [row.name.rpartition("-")[0] for row in rows])
        axis.set(ylabel="peak memory / data", title=end)
        axis.grid(axis="y", alpha=0.3)
    axes[-1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.suptitle(TITLES["memory"])
    return figure


def _figure(panels: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


_PICTURES: Final[dict[str, Callable[[Report], Figure]]] = {"codec": codec, "wire": wire, "memory": memory}
