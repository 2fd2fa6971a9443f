"""What all pictures share: colors, columns of points, a legend, what was measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .arena import FRAMES, LIMIT, RAY
from .links import ARENA, JOINED, RAW
from .results import OURS
from .viewers import IN_PLACE, QUEUE, SHARED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS_COLOR: Final = "#c8102e"
COLORS: Final = {
    "pickle5": "#7f7f7f",
    "cloudpickle5": "#bcbd22",
    "ipyparallel": "#ff7f0e",
    "distributed": "#1f77b4",
    "xoscar": "#2ca02c",
    "joblib": "#9467bd",
    "send_pyobj": "#e377c2",
    "mp.connection": "#8c564b",
    QUEUE: "#8c564b",
    RAW: "#000000",
    "raw, copied": "#999999",
    JOINED: "#17becf",
    SHARED: "#1f77b4",
    SHARED + IN_PLACE: "#1f77b4",
    RAY: "#e6a000",
    FRAMES: "#f4a6b0",
    LIMIT: "#000000",
    OURS: OURS_COLOR,
    OURS + IN_PLACE: OURS_COLOR,
    ARENA: OURS_COLOR,
}


def caption(machine: Mapping[str, Any]) -> str:
    """Say what the numbers of a picture were measured on and with."""
    versions = [f"{name} {number}" for name, number in machine["versions"].items() if number]
    about = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}"
    return f"{about}; {machine['python']}\n{', '.join(versions)}"


def columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Give the sizes, in their order, and what belongs to each: a file of results keeps no order of rows."""
    points = sorted(points)
    return [x for x, _ in points], [y for _, y in points]


def panels(number: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    """Make a figure of panels in a row, with one scale of y."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(1, number, squeeze=False, sharey=True)[0])


def legend(figure: Figure, axes: Sequence[Any]) -> None:
    """Name everything that is in any of the panels, once, in the order of the colors."""
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    order = [*COLORS, *handles]
    names = sorted(handles, key=order.index)
    figure.legend([handles[name] for name in names], names, loc="outside right center", frameon=False)
