"""What small programs do in the processes of an engine: functions that each process imports."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import os
import signal
import uuid
import zoneinfo
from typing import Any, NamedTuple

import numpy as np


class Color(enum.Enum):
    RED = 1
    GREEN = 2


@dataclasses.dataclass
class Point:
    x: float
    values: Any
    tags: dict[str, int] = dataclasses.field(default_factory=dict)

    def scaled(self, by: float) -> Point:
        return Point(self.x * by, self.values * by, self.tags)


class Row(NamedTuple):
    name: str
    values: Any


class Refused(ValueError):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def total(x: Any) -> float:
    return float(np.sum(x))


def singular(x: Any) -> Any:
    return np.linalg.svd(x, compute_uv=False)


def solved(seed: int) -> Any:
    return np.linalg.solve(numbers(seed, 30, 30), np.ones(30))


def overwritten(x: Any) -> Any:
    x = x if x.flags.writeable else x.copy()
    x[0] = 7
    return x


def sliced(x: Any) -> Any:
    return x[::-2, 1:], x.T, np.broadcast_to(x[0], (3, x.shape[1]))


def itself(obj: Any) -> Any:
    return obj


def shared(pair: list[Any]) -> Any:
    return pair[0] is pair[1], [pair[0], pair[0]]


def circle(n: int) -> Any:
    made: list[Any] = [n]
    made.append(made)
    return made


def raises(n: int) -> int:
    if n == 2:
        raise Refused(n, "not two")
    return n


def divided(n: int) -> float:
    return 1 / n


def scaled(point: Point) -> Point:
    return point.scaled(2.0)


def rows(n: int) -> list[Row]:
    return [Row(f"r{k}", np.arange(k)) for k in range(n)]


def is_red(color: Color) -> tuple[bool, Color]:
    return color is Color.RED, color


def frame(seed: int) -> Any:
    import pandas as pd

    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "group": draw.choice(list("abc"), 200),
            "kind": pd.Categorical(draw.choice(["x", "y"], 200)),
            "when": pd.date_range("2024", periods=200, freq="h", tz="Europe/Berlin"),
            "n": draw.integers(0, 9, 200),
            "value": draw.standard_normal(200),
        }
    )


def grouped(frame: Any) -> Any:
    return frame.groupby("group")[["n", "value"]].agg(["sum", "max"])


def merged(frame: Any) -> Any:
    return frame.merge(frame.groupby("group", as_index=False)["value"].mean(), on="group")


def pivoted(frame: Any) -> Any:
    return frame.pivot_table(index="group", columns="kind", values="value", observed=True)


def resampled(frame: Any) -> Any:
    return frame.set_index("when")["value"].resample("D").mean()


def tuples(frame: Any) -> Any:
    return [tuple(row) for row in frame.head(3).itertuples(index=False)]


def sparse(seed: int) -> Any:
    import scipy.sparse

    return scipy.sparse.random(50, 40, 0.1, format="csr", random_state=seed)


def product(matrix: Any) -> Any:
    return matrix @ matrix.T


def minimized(start: Any) -> Any:
    import scipy.optimize

    return np.round(scipy.optimize.minimize(scipy.optimize.rosen, start).x, 4)


def integrated(limit: float) -> float:
    import scipy.integrate

    return float(scipy.integrate.quad(np.sin, 0, limit)[0])


def table(n: int) -> Any:
    import pyarrow as pa

    return pa.table({"a": list(range(n)), "b": [f"t{k}" for k in range(n)]})


def lazy(n: int) -> Any:
    import polars as pl

    return pl.DataFrame({"a": range(n), "b": ["x", "y"] * (n // 2)}).group_by("b").sum().sort("b")


def cube(n: int) -> Any:
    import xarray as xr

    return xr.DataArray(numbers(n, 3, 4), dims=("x", "y"), coords={"x": [1, 2, 3]}, name="cube").mean("y")


def sample(n: int) -> dict[str, Any]:
    return {
        "time": dt.datetime(2024, 1, n, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        "decimal": decimal.Decimal("1.10") * n,
        "fraction": fractions.Fraction(n, 7),
        "uuid": uuid.UUID(int=n),
        "set": frozenset(range(n)),
        "counter": collections.Counter("abca"),
        "deque": collections.deque([n], 3),
        "large": 10**50,
        1: None,
        (2, "x"): slice(1, n),
    }


def kinds(n: int) -> list[Any]:
    fields = np.zeros(n, [("a", "i4"), ("b", ">f8", 2)])
    masked = np.ma.masked_greater(np.arange(n), 2)
    objects = np.array([None, "a", 1.5, (1,)], object)
    times = np.arange("2024-01", "2024-03", dtype="M8[D]")
    return [fields, masked, objects, times, np.float32(n), np.bool_(True), np.array("x"), np.empty((0, 3))]


def text(n: int) -> Any:
    return "é" * n, b"\0" * n, bytearray(n)


def once(path: str) -> int:
    """End this process the first time."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return os.path.getsize(path)
    os.kill(os.getpid(), signal.SIGKILL)
    return -1
