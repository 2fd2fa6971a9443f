"""Random sets of xarray, as the steps of an analysis leave them: see `make_set`."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np


def _base(xr: Any, chance: random.Random) -> Any:
    import pandas as pd

    times, places = chance.choice((0, 1, 3, 6)), chance.choice((1, 2, 5))
    words = np.array([f"p{n}" for n in range(places)], chance.choice((object, "U3")))
    return xr.Dataset(
        {
            "t": (("time", "place"), np.arange(times * places * 1.0).reshape(times, places), {"unit": "K"}),
            "n": ("place", np.arange(places)),
            "text": ("place", words),
            "one": 3.5,
            "when": ("time", pd.date_range("2024", periods=times, freq="D").to_numpy()),
        },
        coords={
            "time": pd.date_range("2024-03-01", periods=times, freq=chance.choice(("D", "h", "ME"))),
            "place": chance.choice((words, np.arange(places) * 0.5, pd.Categorical(words))),
            "height": ("place", np.arange(places) * 10.0),
            "run": 7,
        },
        attrs={"by": "canning", "levels": [1, 2]},
    )


STEPS: Final[dict[str, Callable[[Any, Any, random.Random], Any]]] = {
    "nothing": lambda xr, obj, chance: obj,
    "transpose": lambda xr, obj, chance: obj.transpose(*reversed(list(obj.dims))),
    "transpose one": lambda xr, obj, chance: obj.transpose("place", ...),
    "select": lambda xr, obj, chance: obj.isel(place=0),
    "slice": lambda xr, obj, chance: obj.isel(place=slice(None, None, -1), time=slice(1, None)),
    "stack": lambda xr, obj, chance: obj.stack(both=("time", "place")),
    "swap": lambda xr, obj, chance: obj.swap_dims(place="height"),
    "rename": lambda xr, obj, chance: obj.rename(place="where", time="day"),
    "expand": lambda xr, obj, chance: obj.expand_dims("extra"),
    "mean": lambda xr, obj, chance: obj.mean("time", numeric_only=True),
    "group": lambda xr, obj, chance: obj.groupby("time.month").first(),
    "append": lambda xr, obj, chance: xr.concat([obj, obj], "time"),
    "assign": lambda xr, obj, chance: obj.assign_coords(size=("place", np.arange(obj.sizes["place"]))),
    "without an index": lambda xr, obj, chance: obj.drop_indexes("place"),
    "without a coordinate": lambda xr, obj, chance: obj.drop_vars("place"),
    "set index": lambda xr, obj, chance: obj.set_index(place=["place", "height"]),
    "reset": lambda xr, obj, chance: obj.reset_coords("height"),
    "where": lambda xr, obj, chance: obj.where(obj["n"] > 0),
    "shift": lambda xr, obj, chance: obj.shift(time=1),
    "broadcast": lambda xr, obj, chance: xr.broadcast(obj)[0],
    "variable": lambda xr, obj, chance: obj[chance.choice(list(obj.variables))],
    "coordinate": lambda xr, obj, chance: obj[chance.choice(list(obj.coords))],
    "encoding": lambda xr, obj, chance: _encoded(obj),
    "tree": lambda xr, obj, chance: xr.DataTree.from_dict(
        {"/": obj, "/a": obj.isel(place=0, drop=True), "/a/b": None}, name=chance.choice((None, "root"))
    ),
    "branch": lambda xr, obj, chance: xr.DataTree.from_dict({"/c": obj, "/c/d": obj})["c"],
    "heir": lambda xr, obj, chance: xr.DataTree.from_dict({"/": obj.coords.to_dataset(), "/c": obj})["c"],
}

USES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "said": lambda xr, obj: repr(obj),
    "frame": lambda xr, obj: repr(obj.to_dataframe()),
    "axes": lambda xr, obj: (list(obj.dims), dict(obj.sizes)),
    "names": lambda xr, obj: list(obj.variables if hasattr(obj, "variables") else obj.coords),
    "dtypes": lambda xr, obj: (
        {name: obj[name].dtype for name in obj.variables} if hasattr(obj, "variables") else obj.dtype
    ),
    "added": lambda xr, obj: repr(obj + 1),
    "set": lambda xr, obj: _set_first(obj),
    "stacked": lambda xr, obj: repr(obj.stack(all=list(obj.dims))),
    "transposed": lambda xr, obj: repr(obj.transpose()),
    "selected": lambda xr, obj: repr(obj.isel(dict.fromkeys(obj.dims, 0))),
    "looked up": lambda xr, obj: repr(obj.sel({name: obj[name].values[:1] for name in obj.xindexes})),
    "index": lambda xr, obj: {name: repr(index.to_pandas_index()) for name, index in obj.xindexes.items()},
    "sorted": lambda xr, obj: repr(obj.sortby(next(iter(obj.dims)))),
    "merged": lambda xr, obj: repr(xr.merge([obj, obj])),
    "appended": lambda xr, obj: repr(xr.concat([obj, obj], next(iter(obj.dims)))),
    "grouped": lambda xr, obj: repr(obj.groupby(next(iter(obj.dims))).first()),
    "encoding": lambda xr, obj: (obj.attrs, obj.encoding),
    "plain": lambda xr, obj: repr(obj.to_dict()),
    "reset": lambda xr, obj: repr(obj.reset_index(list(obj.xindexes))),
    "tree": lambda xr, obj: [(node.path, node.name, repr(node.to_dataset())) for node in obj.subtree],
}


def _encoded(obj: Any) -> Any:
    obj.encoding["unlimited_dims"] = {"time"}
    obj["t"].encoding["dtype"] = np.dtype("i2")
    return obj


def _set_first(obj: Any) -> str:
    target = obj["t"] if hasattr(obj, "data_vars") else obj
    target[(0,) * target.ndim] = 5
    return repr(obj)


def make_set(xr: Any, seed: int) -> Any:
    """Make the object of a seed, after up to four steps of those that can be taken."""
    chance = random.Random(seed)
    obj = _base(xr, chance)
    for _ in range(chance.randrange(5)):
        try:
            obj = STEPS[chance.choice(list(STEPS))](xr, obj, chance)
        except Exception:  # a step that this object does not have
            continue
    return obj


def outcome(use: Callable[[Any, Any], Any], xr: Any, obj: Any) -> Any:
    """Tell what a use gives, or the exception that it raises."""
    try:
        return use(xr, obj)
    except Exception as error:
        return type(error), str(error)
