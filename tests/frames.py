"""Random frames of pandas as people send them, and what is then done with them.

    python -m tests.frames --count 5000

reads each as plain data, and changes it beside the copy that pickle makes: both must give the same, in
value, in type, or in the type of the exception. What differs is printed with its seed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import decimal
import pickle
import random
import sys
import uuid
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

import canning

DATA: Final = canning.Serializer(trust="data")
Make = Callable[[Any, random.Random, int], Any]
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", dt.timezone(dt.timedelta(hours=3)))
UNITS: Final = ("s", "ms", "us", "ns")
WORDS: Final = ("a", "b", "name", "größe", "", "日本", "x" * 40, "eve")


# -- values of a column -----------------------------------------------------------------------------------


def _numbers(pd: Any, chance: random.Random, rows: int) -> Any:
    kind = chance.choice("bhilqBHIQfdgFD?")
    return np.array([chance.randrange(100) for _ in range(rows)]).astype(kind)


def _holes(make: Callable[[random.Random], Any], missing: Any = None) -> Any:
    def values(chance: random.Random, rows: int) -> list[Any]:
        holes = chance.random() < 0.5
        return [missing if holes and chance.random() < 0.2 else make(chance) for _ in range(rows)]

    return values


_words = _holes(lambda chance: chance.choice(WORDS))
_ints = _holes(lambda chance: chance.randrange(100))


def _text(pd: Any, chance: random.Random, rows: int) -> Any:
    texts = _words(chance, rows)
    return pd.Series(texts, dtype=chance.choice(("string[python]", "string[pyarrow]", object, None, "str")))


def _times(pd: Any, chance: random.Random, rows: int) -> Any:
    start = np.datetime64("2024-01-01", "s").astype(np.int64)
    steps = np.array([chance.randrange(10**6) for _ in range(rows)], np.int64)
    times = pd.Series((steps + start).astype("M8[s]").astype(f"M8[{chance.choice(UNITS)}]"))
    if rows and chance.random() < 0.3:
        times.iloc[chance.randrange(rows)] = pd.NaT
    return times if chance.random() < 0.5 else times.dt.tz_localize("UTC").dt.tz_convert(chance.choice(ZONES))


def _spans(pd: Any, chance: random.Random, rows: int) -> Any:
    steps = np.array([chance.randrange(10**6) for _ in range(rows)], np.int64)
    return steps.astype("m8[s]").astype(f"m8[{chance.choice(UNITS)}]")


def _periods(pd: Any, chance: random.Random, rows: int) -> Any:
    freq = chance.choice(("D", "M", "h", "Y-DEC", "Q-DEC"))
    return pd.arrays.PeriodArray._from_sequence(
        [pd.Period("2024-01-05", freq) + chance.randrange(50) for _ in range(rows)],
        dtype=pd.PeriodDtype(freq),
    )


def _intervals(pd: Any, chance: random.Random, rows: int) -> Any:
    lows = [chance.randrange(50) for _ in range(rows)]
    closed = chance.choice(("left", "right", "both", "neither"))
    return pd.arrays.IntervalArray.from_arrays(lows, [low + 2 for low in lows], closed)


def _categories(pd: Any, chance: random.Random, rows: int) -> Any:
    source = chance.choice((_text, _numbers, _times, _intervals))
    values = pd.Series(source(pd, chance, rows))
    if values.dtype.kind in "fc":  # pandas takes no long double, half or complex for categories
        values = values.abs().astype(float)
    made = pd.Categorical(values, ordered=False)
    return made.as_ordered() if chance.random() < 0.3 else made


def _masked(pd: Any, chance: random.Random, rows: int) -> Any:
    kind = chance.choice(("Int8", "Int64", "UInt16", "Float32", "Float64", "boolean"))
    return pd.array([None if n is None else n % 2 for n in _ints(chance, rows)], kind)


def _sparse(pd: Any, chance: random.Random, rows: int) -> Any:
    values = np.array([chance.choice((0, 0, 0, 7)) for _ in range(rows)], chance.choice(("f8", "i8", "i4")))
    return pd.arrays.SparseArray(values, kind=chance.choice(("integer", "block")))


def _arrow(pd: Any, chance: random.Random, rows: int) -> Any:
    import pyarrow as pa

    values, kind = chance.choice(
        (
            (_ints(chance, rows), pa.int32()),
            (_words(chance, rows), pa.string()),
            ([[1, 2], None] * (rows // 2) + [[3]] * (rows % 2), pa.list_(pa.int64())),
            ([dt.datetime(2024, 1, n % 28 + 1) for n in range(rows)], pa.timestamp("us")),
            ([decimal.Decimal("1.5")] * rows, pa.decimal128(7, 2)),
            ([{"a": n, "b": "x"} for n in range(rows)], pa.struct([("a", pa.int8()), ("b", pa.string())])),
            ([n % 2 == 0 for n in range(rows)], pa.bool_()),
        )
    )
    return pd.array(values, dtype=pd.ArrowDtype(kind))


def _objects(pd: Any, chance: random.Random, rows: int) -> Any:
    kinds: tuple[Callable[[int], Any], ...] = (
        lambda n: decimal.Decimal(n) / 4,
        lambda n: dt.date(2024, 1, n % 28 + 1),
        lambda n: dt.time(n % 24, 30),
        lambda n: uuid.UUID(int=n),
        lambda n: [n, str(n)],
        lambda n: {"a": n},
        lambda n: (n, n + 1),
        lambda n: n if n % 2 else str(n),
        lambda n: pd.NA if n % 3 == 0 else n,
        lambda n: pd.Timestamp("2024-03-01") + pd.Timedelta(n, "h"),
        lambda n: pd.Timedelta(n, "s"),
        lambda n: pd.Period("2024", "M") + n,
        lambda n: pd.Interval(n, n + 1),
        lambda n: np.arange(n % 4),
        lambda n: np.float32(n),
        lambda n: f"s{n}".encode(),
        lambda n: None,
    )
    make = chance.choice(kinds)
    values = np.empty(rows, object)
    for row in range(rows):
        values[row] = make(chance.randrange(40))
    return pd.Series(values, dtype=object)


VALUES: Final[tuple[Make, ...]] = (
    *(_numbers, _numbers, _numbers, _text, _text, _times, _spans, _periods, _intervals, _categories),
    *(_masked, _sparse, _arrow, _objects),
)


# -- labels -----------------------------------------------------------------------------------------------


def _some_labels(pd: Any, chance: random.Random, count: int) -> Any:
    kinds: tuple[Callable[[], Any], ...] = (
        lambda: [f"c{n}" for n in range(count)],
        lambda: [f"c{n}" for n in range(count)],
        lambda: list(range(count)),
        lambda: pd.RangeIndex(5, 5 + 3 * count, 3),
        lambda: pd.Index([n * 0.5 for n in range(count)], name="half"),
        lambda: [chance.choice("abc") for _ in range(count)],
        lambda: pd.date_range("2024", periods=count, freq=chance.choice(("D", "h", "B", "ME")), name="day"),
        lambda: pd.date_range("2024", periods=count, tz=chance.choice(ZONES[:3])),
        lambda: pd.timedelta_range("1s", periods=count),
        lambda: pd.period_range("2024", periods=count, freq=chance.choice("DMQ")),
        lambda: pd.interval_range(0, count),
        lambda: pd.CategoricalIndex([chance.choice("xyz") for _ in range(count)]),
        lambda: pd.MultiIndex.from_arrays([[chance.choice("ab") for _ in range(count)], list(range(count))]),
        lambda: pd.MultiIndex.from_arrays(
            [pd.date_range("2024", periods=count), pd.Categorical(["p"] * count)], names=["when", None]
        ),
        lambda: pd.Index([dt.time(n % 24, n % 60) for n in range(count)], dtype=object),
        lambda: pd.Index([decimal.Decimal(n) for n in range(count)], dtype=object),
        lambda: pd.Index([uuid.UUID(int=n) for n in range(count)], dtype=object),
        lambda: pd.Index([dt.date(2024, 1, 1) + dt.timedelta(n) for n in range(count)], dtype=object),
        lambda: pd.Index([n if n % 2 else str(n) for n in range(count)], dtype=object),
        lambda: pd.Index([pd.Period("2024", "M"), pd.NaT, None, "a", 1.5] * count, dtype=object)[:count],
        lambda: pd.Index([frozenset((n, "a")) for n in range(count)], dtype=object),
        lambda: pd.array(range(count), "Int64"),
    )
    made = chance.choice(kinds)()
    return made if isinstance(made, pd.Index) else pd.Index(made)


# -- frames -----------------------------------------------------------------------------------------------


def _relaid(pd: Any, frame: Any, chance: random.Random) -> Any:
    """Give a frame that lies in memory in another way."""
    ways: tuple[Callable[[], Any], ...] = (
        lambda: frame,
        lambda: frame,
        lambda: frame.iloc[:, ::-1],
        lambda: frame.iloc[::2],
        lambda: frame.iloc[:, ::2],
        lambda: frame.iloc[::-1, 1:],
        lambda: frame.T,
        lambda: frame.copy(),
        lambda: frame.iloc[chance.sample(range(len(frame)), len(frame) // 2)],
        lambda: frame.iloc[:, chance.sample(range(frame.shape[1]), frame.shape[1])],
        lambda: pd.concat([frame, frame]),
        lambda: pd.concat([frame, frame], axis=1),
        lambda: frame.iloc[:0],
        lambda: frame.iloc[:, :0],
        lambda: frame.assign(**{"new one": 1.5}),
        lambda: frame.describe(include="all"),
    )
    try:
        return chance.choice(ways)()
    except Exception:
        return frame


def make_frame(pd: Any, seed: int) -> Any:
    """Make the frame of a seed, the same one for each version of pandas as far as that goes."""
    chance = random.Random(seed)
    rows, columns = chance.choice((0, 1, 2, 5, 12, 30)), chance.randrange(11)
    if chance.random() < 0.1:
        frame = pd.DataFrame(np.arange(rows * columns * 1.0).reshape(rows, columns))
    else:
        parts = [
            pd.Series(chance.choice(VALUES)(pd, chance, rows)).reset_index(drop=True) for _ in range(columns)
        ]
        frame = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=range(rows))
    frame.columns = _some_labels(pd, chance, frame.shape[1])
    frame.index = _some_labels(pd, chance, len(frame))
    frame = _relaid(pd, frame, chance)
    if chance.random() < 0.1:
        frame.attrs["unit"] = "m"
    if chance.random() < 0.3 and frame.shape[1]:
        series = frame.iloc[:, chance.randrange(frame.shape[1])]
        if chance.random() < 0.2:
            return frame.dtypes
        return series
    return frame


# -- what is done with them -------------------------------------------------------------------------------


def _set_cell(pd: Any, obj: Any) -> Any:
    at = (0,) * obj.ndim
    obj.iloc[at if obj.ndim > 1 else 0] = obj.iloc[at if obj.ndim > 1 else 0]
    return obj


def _set_to(value: Any) -> Callable[[Any, Any], Any]:
    def change(pd: Any, obj: Any) -> Any:
        if obj.ndim == 1:
            obj.iloc[-1] = value
        else:
            obj.iloc[-1, -1] = value
        return obj

    return change


def _set_column(pd: Any, obj: Any) -> Any:
    if obj.ndim > 1:
        obj[obj.columns[0]] = range(len(obj))
        obj["added"] = 1
        obj.insert(0, "first", obj["added"] * 2.0)
        del obj["added"]
    return obj


def _add_in_place(pd: Any, obj: Any) -> Any:
    obj += 1
    return obj


def _write_values(pd: Any, obj: Any) -> Any:
    values = obj.to_numpy()
    return values, values.flags.writeable


def _frame_of(pd: Any, obj: Any) -> Any:
    return obj.to_frame("one") if obj.ndim == 1 else obj


OPERATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "nothing": lambda pd, obj: obj,
    "set a cell": _set_cell,
    "set None": _set_to(None),
    "set text": _set_to("eve"),
    "set a number": _set_to(3),
    "set columns": _set_column,
    "add in place": _add_in_place,
    "sort by index": lambda pd, obj: obj.sort_index(),
    "sort by value": lambda pd, obj: (
        obj.sort_values() if obj.ndim == 1 else obj.sort_values(list(obj.columns[:1]))
    ),
    "append": lambda pd, obj: pd.concat([obj, obj], ignore_index=True),
    "append beside": lambda pd, obj: pd.concat([obj, obj.copy()], axis=1),
    "add a row": lambda pd, obj: obj.reindex([*obj.index, "a new row"]),
    "merge": lambda pd, obj: _frame_of(pd, obj).merge(_frame_of(pd, obj), left_index=True, right_index=True),
    "join by value": lambda pd, obj: _frame_of(pd, obj).merge(
        _frame_of(pd, obj), on=_frame_of(pd, obj).columns[0]
    ),
    "group": lambda pd, obj: (
        obj.groupby(obj).size() if obj.ndim == 1 else obj.groupby(list(obj.columns[:1])).count()
    ),
    "group by index": lambda pd, obj: obj.groupby(level=0).first(),
    "as objects": lambda pd, obj: obj.astype(object),
    "as text": lambda pd, obj: obj.astype(str),
    "as categories": lambda pd, obj: obj.astype("category"),
    "fill": lambda pd, obj: obj.fillna(0),
    "fill forward": lambda pd, obj: obj.ffill(),
    "drop missing": lambda pd, obj: obj.dropna(),
    "to numpy": _write_values,
    "transposed": lambda pd, obj: obj.T,
    "pickled again": lambda pd, obj: pickle.loads(pickle.dumps(obj)),
    "copied": lambda pd, obj: obj.copy(),
    "some rows": lambda pd, obj: obj.iloc[::-2],
    "index set": lambda pd, obj: obj.reset_index(),
    "unique": lambda pd, obj: obj.drop_duplicates(),
    "counted": lambda pd, obj: obj.value_counts() if obj.ndim == 1 else obj.nunique(),
    "stacked": lambda pd, obj: obj.stack() if obj.ndim > 1 else obj.unstack(),
    "shifted": lambda pd, obj: obj.shift(1),
    "index shifted": lambda pd, obj: obj.index.shift(1),
    "looked up": lambda pd, obj: obj.loc[obj.index[0]],
    "inferred": lambda pd, obj: obj.infer_objects().convert_dtypes(),
    "described": lambda pd, obj: obj.describe(include="all") if obj.ndim > 1 else obj.describe(),
    "said": lambda pd, obj: repr(obj),
    "memory": lambda pd, obj: int(obj.memory_usage(deep=True).sum() >= 0),
    "to a dict": lambda pd, obj: obj.to_dict(),
    "frequency": lambda pd, obj: (getattr(obj.index, "freq", None), obj.attrs),
    "hashed": lambda pd, obj: pd.util.hash_pandas_object(obj),
    "upper": lambda pd, obj: obj.str.upper() if obj.ndim == 1 else obj.iloc[:, 0].str.upper(),
    "year": lambda pd, obj: obj.dt.year if obj.ndim == 1 else obj.iloc[:, 0].dt.year,
}


def _outcome(change: Callable[[Any, Any], Any], pd: Any, obj: Any) -> Any:
    try:
        return "made", change(pd, obj)
    except Exception as error:
        return "raised", type(error), str(error)


def difference(pd: Any, ours: Any, theirs: Any, where: str = "") -> str | None:
    """Tell the first thing in which two results differ; None where they are the same."""
    if type(ours) is not type(theirs):
        return f"{where}: {type(ours).__name__}, pickle's {type(theirs).__name__}"
    if isinstance(ours, tuple | list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            found = difference(pd, one, other, f"{where}[{number}]")
            if found:
                return found
        return None
    if isinstance(ours, dict) and len(ours) == len(theirs):
        return difference(pd, list(ours.items()), list(theirs.items()), where)
    if isinstance(ours, pd.DataFrame):
        parts = [(name, getattr(ours, name), getattr(theirs, name)) for name in ("index", "columns", "attrs")]
        places = range(min(ours.shape[1], theirs.shape[1]))
        parts += [(f"column {n}", ours.iloc[:, n], theirs.iloc[:, n]) for n in places]
    elif isinstance(ours, pd.Series):
        parts = [
            ("index", ours.index, theirs.index),
            ("name", ours.name, theirs.name),
            ("values", ours._values, theirs._values),
        ]
    elif isinstance(ours, pd.Index):
        parts = [("names", list(ours.names), list(theirs.names)), ("dtype", ours.dtype, theirs.dtype)]
        parts += [(name, getattr(ours, name, None), getattr(theirs, name, None)) for name in ("freq", "step")]
        parts += [("labels", ours.tolist(), theirs.tolist())]
    elif isinstance(ours, pd.api.extensions.ExtensionArray):
        parts = [("dtype", ours.dtype, theirs.dtype), ("items", list(ours), list(theirs))]
    elif isinstance(ours, np.ndarray):
        parts = [("dtype", ours.dtype, theirs.dtype), ("shape", ours.shape, theirs.shape)]
        parts += [("items", ours.tolist(), theirs.tolist())]
    elif ours is theirs or (ours != ours and theirs != theirs) or repr(ours) == repr(theirs):
        return None
    else:
        return f"{where}: {str(ours)[:200]}, pickle's {str(theirs)[:200]}"
    for name, one, other in parts:
        found = difference(pd, one, other, f"{where}.{name}")
        if found:
            return found
    return None


def check(pd: Any, seed: int, serializer: canning.Serializer = DATA) -> list[str]:
    """Send the frame of a seed, change what arrived in every way, and tell what differs from pickle."""
    with warnings.catch_warnings(action="ignore"):
        frame = make_frame(pd, seed)
        frames = serializer.serialize_object({"frame": frame})
        kept = pickle.dumps({"frame": frame})
        found = []
        for name, change in OPERATIONS.items():
            try:
                (got, _) = serializer.deserialize_object([bytearray(part) for part in frames])
            except canning.CanningError as error:
                return [f"seed {seed}: {error}"]
            ours = _outcome(change, pd, got["frame"])
            theirs = _outcome(change, pd, pickle.loads(kept)["frame"])
            what = difference(pd, ours, theirs)
            if what:
                found.append(f"seed {seed}, {name}: {what}")
        return found


def main(argv: list[str]) -> int:
    """Try frames of random seeds, and print what differs."""
    import pandas as pd

    parser = argparse.ArgumentParser(prog="python -m tests.frames", description=main.__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--start", type=int, default=0)
    args = parser.parse_args(argv)
    wrong = 0
    for seed in range(args.start, args.start + args.count):
        for line in check(pd, seed):
            wrong += 1
            print(line, flush=True)
    print(f"pandas {pd.__version__}: {args.count} frames, {wrong} differences")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
