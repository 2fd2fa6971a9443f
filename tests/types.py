"""The types that canning knows from the start, one row each: what tests run, and what ``docs/types.md`` says.

    python -m tests.types --write docs/types.md

`describe` finds out what becomes of an object; nothing in the table is written by hand but the remarks.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import canning

from .harness import check_uncopied

NOTHING: Final = "\N{EN DASH}"
DATA: Final = canning.Serializer(trust="data")
INTRODUCTION: Final = """# Types that are known from the start

canning knows these types from the start. It imports none of these packages before you do.
`canning.unregister("pandas.DataFrame")` leaves a type to pickle, and your own registration takes precedence.
Under `trust="data"`, the reader must have imported the package, since a stranger's message imports nothing.
If a package is older than the table says, an error tells you. [states.md](states.md) says of which parts each
type is made in a message.

Subclasses of these types, such as a GeoDataFrame, are sent by their own pickling hooks, and the parts that
those return are sent as in the table. Typed containers of numba cannot be sent, and an error says so; send
`list(container)`.

`python -m tests.types --write docs/types.md` makes this page from the rows that the tests run.

* **uncopied**: whether memory of 1024 bytes and more is sent without a copy; a dash if there is no memory.
* **writable**, **aligned**: how arrays arrive in frames of writable memory. Arrow's buffers are aligned to 8
  bytes, and to 64 from a `SharedArena`. Tensors are always writable: over read-only memory, a tensor is a
  copy. Receive with `writable=True` to get a view of private pages of an arena instead.
* **data**: whether it is read under `trust="data"`.

## What `trust="data"` does not read

Every row says whether it is read as data. Other than these rows, the following are refused, with an error
that names what the message asked for:

* of Python: functions, classes and modules as values, instances of classes that `allow=` does not name,
  exceptions that are not builtin, SyntaxError and exceptions that do not derive from `Exception`,
  `re.Pattern`, `io.StringIO`,
  `random.Random`, `functools.partial`, `ChainMap`, `UserDict` and the like, `time.struct_time`, a
  defaultdict of any other function than those of builtin types, attributes of a SimpleNamespace that begin
  with an underscore;
* of numpy: arrays of structures that hold objects, dtypes of packages other than `ml_dtypes`, subclasses of
  arrays other than `matrix`, `recarray`, `memmap` and `MaskedArray`, random generators;
* of pandas: frequencies by themselves (`pd.offsets.Day()`) and those that have no name, sparse
  arrays of objects, subclasses, extension arrays of other packages, and an index of business times (`"C"`,
  `"bh"`, `"cbh"`, `"REQ"` and such, from some 300 to 5,000 times on, depending on the frequency) whose
  check would take longer than what arrived is good for: set `index.freq = None` to send it;
* of polars: columns of Python's objects;
* of xarray: lazily indexed arrays, chunks of Dask, and indexes other than those of pandas;
* keys of dicts, elements of sets and labels: hashable objects whose hash is not known to be harmless. Known
  are None, bool, int, float, complex, str, bytes, dates and times of Python, numpy and pandas, Decimal,
  Fraction, UUID, paths, IP addresses and networks, time zones of `zoneinfo`, Period, Interval, NaT, NA,
  range, numpy's scalars and dtypes, enums and named tuples that are allowed, and tuples and frozensets of
  these.

## Others that were tried

These are sent by their own pickling hooks, at any depth. They arrive equal, their arrays uncopied and
writable:
estimators, pipelines and trees of scikit-learn 1.9 (a coefficient that is a slice of larger memory goes
compact), graphs of networkx 3.6 with arrays, expressions and matrices of sympy 1.14, arrays and DataFrames
of Dask 2026.8 and sets of xarray in its chunks, which stay lazy, models of pydantic 2.14, pint-pandas 0.8,
awkward 2.14, and arrays of zarr 3.1 in memory, chunk by chunk. Structs of msgspec 0.22, classes of attrs
and models that stand in a script go with their class, by value. What h5py makes stands for an open file,
and cannot be sent: send what you read from it.

## How fast

A round trip in one process, as a part of the time that pickle protocol 5 takes with its buffers out of
band; measured alternately with the other peers, in one run on a quiet machine (Python 3.11, pandas
3.1.1, two cores).
Such rows are run by `python -m tests.bench codec --only "frame_*,arrow_*,xarray_*"`; geopandas and jax were
tried beside pickle alone. No other peer was faster than pickle by more than a tenth, but for tensors: 100 of
them take 0.30 of the best peer's time, a `state_dict` 0.94, a sparse one 0.03.

| | of pickle's time |
|---|---|
| DataFrame of 10 x 3 numbers; with text; of 10 x 6 mixed | 0.31; 0.30; 0.43 |
| 1,000 x 50 of six kinds; 1,000 columns, a third of them text; 1M x 50 numbers | 0.67; 0.88; 0.48 |
| 200,000 times; categories; categories of 300 names | 0.26; 0.31; 0.45 |
| 200,000 texts in Arrow; strings of Python's own | 0.24; 0.57 |
| 100,000 points of geopandas; 5,000 polygons | 0.49; 0.55 |
| polars DataFrame of 200,000 rows; Pillow image of 8 MB | 0.05; 0.19 |
| 100 tensors of 100 KB; a `state_dict` with tied weights; a sparse tensor | 0.08; 0.06; 0.01 |
| 16 MB of jax; 4 KB | 0.03; 1.2 |
| xarray Dataset of 16 MB; 10 places of it; pint Quantity of 8 MB | 0.77; 0.78; 0.82 |
| Arrow table of two columns; 1,000 of its rows; structs of lists and dictionaries | 1.08; 1.41; 1.13 |
| sparse matrix; the same as coordinates | 1.19; 1.06 |

Pickle is faster where it only refers to memory, and the object is one of pyarrow or scipy, whose pickling is
compiled or trivial; here it is looked up which buffers share memory, and what a slice leaves out. An Arrow
table takes 20 µs to write and 15 to read, in a loop of its own, and pickle 21 and 13; measured
alternately, as in the table above, each step costs more. Of the 35 µs, 5 go to inspecting the table, 5 to
rebuilding it, and the rest to any message of three buffers. The 1,000 rows are 23 KB here, and 4.5 MB as
pickle refers to them, which have yet to be sent. A sparse matrix takes 12 and 9.5 µs, and
pickle 12.5 and 7.5.

Strings of Python's own stay above half of pickle's time, since most of it is to make each of them again: of
27 ms for 200,000 short ones pickle takes 9 for that, and this 8 to 12, which depends on what memory is at
hand. 2,000 of them take 0.7 of its time; 200,000 of 45 characters 0.47, of 85 0.69; with one missing in seven
as long as pickle.
"""


@dataclass(frozen=True)
class Row:
    """One object of a type, and how to look at it.

    Attributes:
        name: the type, and what is special about this object.
        package: what must be installed; empty for the standard library.
        make: makes the object.
        same: compares what was sent with what arrived; raises `AssertionError`.
        memory: lists the memory of an object as arrays; None where that says nothing, as for slices.
        data: whether it is read under ``trust="data"``.
        remark: what is copied, and why; what arrives as something else.
        golden: whether frames of it are kept.
        allow: the classes that a reader of plain data allows for it.
    """

    name: str
    package: str
    make: Callable[[], Any]
    same: Callable[..., None]
    memory: Callable[[Any], list[Any]] | None = None
    data: bool = True
    remark: str = ""
    golden: bool = False
    allow: tuple[type | str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether the package is installed."""
        return not self.package or importlib.util.find_spec(self.package) is not None

    @property
    def reader(self) -> canning.Serializer:
        """What reads it as plain data."""
        return canning.Serializer(trust="data", allow=self.allow) if self.allow else DATA

    @property
    def file(self) -> str:
        """The name of its golden frames."""
        words = re.findall(r"\w+", f"{self.package or 'standard'} {self.name}".lower())
        return "-".join(("type", *words))


def describe(row: Row) -> tuple[str, ...]:
    """Tell what becomes of an object: uncopied, writable, aligned, data."""
    obj = row.make()
    frames = canning.serialize_object([obj])
    (got,), _ = canning.deserialize_object([bytearray(frame) for frame in frames])
    row.same(obj, got, writeable="same")
    return (*_memory(row, obj, got, frames), "yes" if _is_data(row, frames) else "no")


def _memory(row: Row, obj: Any, got: Any, frames: list[Any]) -> tuple[str, str, str]:
    large = [array for array in row.memory(obj) if array.nbytes >= 1024] if row.memory else []
    if not large:
        return NOTHING, NOTHING, NOTHING
    assert row.memory is not None
    try:
        check_uncopied(large, frames)
        uncopied = "yes"
    except AssertionError:
        uncopied = "no"
    arrived = [array for array in row.memory(got) if array.nbytes >= 1024]
    writable = all(array.flags.writeable for array in arrived)
    aligned = all(
        array.flags.aligned and array.ctypes.data % min(array.itemsize, 8) == 0 for array in arrived
    )
    return uncopied, "yes" if writable else "no", "yes" if aligned else "no"


def _is_data(row: Row, frames: list[Any]) -> bool:
    try:
        row.reader.deserialize_object(frames)
    except canning.DeserializationError:
        return False
    return True


def page(before: str = "") -> str:
    """Make the page; of packages that are not here, take the part from the page `before`."""
    from canning.types.libraries.known import LIBRARIES

    from .types_rows import PACKAGES, ROWS

    parts = [INTRODUCTION]
    for package, (called, module) in PACKAGES.items():
        since = f", from {'.'.join(map(str, LIBRARIES[module].since))} on" if module else ""
        title = called + since
        rows = [row for row in ROWS if row.package == package]
        if not all(row.is_here for row in rows):
            parts.append(_section(before, title))
            continue
        lines = [
            f"## {title}",
            "",
            "| type | uncopied | writable | aligned | data | remarks |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {' | '.join((row.name, *describe(row), row.remark))} |".replace("|  |", "| |") for row in rows
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _section(text: str, title: str) -> str:
    start = text.find(f"## {title}\n")
    end = text.find("\n## ", start)
    return "" if start < 0 else text[start : len(text) if end < 0 else end]


def main(argv: list[str]) -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.types", description=main.__doc__)
    parser.add_argument("--write", metavar="PATH", type=Path, help="the file to write the page to")
    path: Path | None = parser.parse_args(argv).write
    if path is None:
        print(page())
    else:
        path.write_text(page(path.read_text() if path.exists() else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
