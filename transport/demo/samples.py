"""Real data for the demo: matplotlib's samples, or a user's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

IMAGES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
TABLES: Final = (".csv", ".parquet")


class DemoError(Exception):
    """Raised if the demo cannot continue; the text is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The data and the function that the demo sends.

    Attributes:
        title: the source of the data.
        payload: the objects, by name; nothing in it needs cloudpickle.
        function: the engine calls it with `payload`; a lambda over a local variable.
        window: the name of the array in `payload` that is not contiguous.
    """

    title: str
    payload: dict[str, Any]
    function: Callable[[dict[str, Any]], object]
    window: str


def shipped() -> Sample:
    """Load a photograph, a table, a price history and a terrain that matplotlib ships in its wheel."""
    photo = _image(_shipped_file("grace_hopper.jpg"))
    # A copy lays columns of one type side by side in one block, as most tables in use are.
    stocks = _table(_shipped_file("Stocks.csv"), comment="#", parse_dates=["Date"]).copy()
    prices = np.load(_shipped_file("goog.npz"))["price_data"]
    exposure = 0.25
    nested = {
        "face": photo[60:360, 120:400],
        "again": photo,
        "layers": [{"blue": photo[:, :, 2]}, ("deeper", {"prices": prices})],
        "notes": {"exposure": exposure, "units": ("USD", "m"), None: {1, 2, 3}},
    }
    return Sample(
        "matplotlib's sample data: grace_hopper.jpg, Stocks.csv, goog.npz, jacksboro_fault_dem.npz",
        {"photo": photo, "stocks": stocks, "prices": prices, "terrain": _terrain(), "nested": nested},
        lambda goods: {
            "darkened": (goods["photo"] * exposure).astype(np.uint8),
            "highest point": int(goods["terrain"].max()),
            "IBM, mean": float(goods["stocks"]["IBM"].mean()),
        },
        window="terrain",
    )


def from_file(path: Path) -> Sample:
    """Load a user's array, table or image.

    Raises:
        DemoError: the file is of another kind, or cannot be read.
    """
    try:
        data = _read(path)
    except (OSError, ValueError) as error:
        raise DemoError(f"cannot read {path}: {error}") from error
    nested = {"again": data, "deeper": [(data, {"name": path.name}), 1, 2.5, {None}]}
    share = 0.25
    return Sample(
        str(path),
        {"data": data, "window": _window(data), "nested": nested},
        lambda goods: goods["data"][: int(len(goods["data"]) * share)],
        window="window",
    )


def _shipped_file(name: str) -> Path:
    from matplotlib import get_data_path

    return Path(get_data_path()) / "sample_data" / name


def _terrain() -> Any:
    """Cut rows and columns out of the terrain: three quarters of each row, so no two rows touch."""
    with np.load(_shipped_file("jacksboro_fault_dem.npz")) as terrain:
        return terrain["elevation"][40:300, 50:350]


def _read(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return np.atleast_1d(np.load(path, allow_pickle=False))
    if suffix in TABLES:
        return _table(path)
    if suffix in IMAGES:
        return _image(path)
    raise DemoError(f"cannot tell what {path} is: give one of .npy, {', '.join(TABLES + IMAGES)}")


def _table(path: Path, **options: Any) -> Any:
    import pandas as pd

    return pd.read_parquet(path) if path.suffix.lower() == ".parquet" else pd.read_csv(path, **options)


def _image(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as image:
        # A palette's numbers are not colours; in every other mode the array holds the pixel values.
        return np.array(image.convert("RGB") if image.mode == "P" else image)


def _window(data: Any) -> Any:
    """Take every second row of the data's numbers; use the terrain if the result is contiguous."""
    numbers = data if isinstance(data, np.ndarray) else data.select_dtypes("number").to_numpy()
    before = (slice(None),) * int(np.argmax(numbers.shape))
    window = numbers[(*before, slice(None, None, 2))]
    return _terrain() if window.flags.c_contiguous or window.flags.f_contiguous else window
