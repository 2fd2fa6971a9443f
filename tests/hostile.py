# ruff: noqa: E501 - what is done with an object is read as a table
"""States of other libraries' objects that somebody made up by hand, one row each, run in a process of their own.

    python -m tests.hostile_rows scipy

A row is refused, or gives an object that can be used in every way in which people use one; what would end
the process ends one of ours.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import canning
from canning.types.registry import default_registry

DATA: Final = canning.Serializer(trust="data")


class Made:
    """Stand for an object of another type in what is sent: its state is what somebody made up."""

    def __init__(self, name: str, state: Any) -> None:
        self.name = name
        self.state = state


@dataclass(frozen=True)
class Hostile:
    """One state, or several objects that belong together.

    Attributes:
        what: what is wrong with it.
        make: makes the message's object, in which each `Made` stands for an object.
        refused: whether the reader must refuse it; else it is used.
        change: what is done with the object before it is used.
    """

    what: str
    make: Callable[[], Any]
    refused: bool = True
    change: Callable[[Any], None] | None = None


def frames_of(obj: Any) -> list[Any]:
    """Make the message of a stranger who says that these are the states of such types."""
    registry = default_registry.copy()
    serializer = canning.Serializer(registry=registry)
    names = {made.name for made in _made(obj)}
    for name in names:
        real = default_registry.by_name(name)  # an object of this type may be part of a state
        module, _, short = name.rpartition(".")
        cls = _Stand.setdefault(name, type(short, (Made,), {"__module__": module}))
        registry.register(cls, can=_state_or(cls, real.can), uncan=_nothing)
    return serializer.serialize_object(_standing(obj))


_Stand: Final[dict[str, Any]] = {}


def _state_or(cls: type, can: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda obj: obj.state if type(obj) is cls else can(obj)


def _nothing(state: Any) -> None:
    return None


def _made(obj: Any) -> Iterator[Made]:
    if isinstance(obj, Made):
        yield obj
        yield from _made(obj.state)
    elif type(obj) in (list, tuple):
        for item in obj:
            yield from _made(item)
    elif type(obj) is dict:
        yield from _made(list(obj.values()))


def _standing(obj: Any, known: dict[int, Any] | None = None) -> Any:
    known = {} if known is None else known
    if id(obj) in known:
        return known[id(obj)][1]
    if isinstance(obj, Made):
        made: Any = _Stand[obj.name](obj.name, _standing(obj.state, known))
    elif type(obj) in (list, tuple):
        made = type(obj)(_standing(item, known) for item in obj)
    elif type(obj) is dict:
        made = {key: _standing(value, known) for key, value in obj.items()}
    else:
        made = obj
    known[id(obj)] = obj, made
    return made


# -- use -------------------------------------------------------------------------------------------------

_METHODS: Final = (
    *("to_pylist", "as_py", "tolist", "to_list", "to_pandas", "to_numpy", "to_arrow", "numpy", "toarray"),
    *("tocsr", "tocsc", "tocoo", "todia", "tobsr", "tolil", "todok", "transpose", "sum", "diagonal"),
    *("copy", "clone", "rechunk", "unique", "sort", "hash", "hash_rows", "describe", "dictionary_decode"),
    *("cast", "null_count", "to_struct_array", "to_batches", "combine_chunks", "flatten", "value_counts"),
    *(
        "get_total_buffer_size",
        "to_dense",
        "coalesce",
        "dequantize",
        "int_repr",
        "nonzero",
        "isnan",
        "is_null",
    ),
    *("drop_null", "unique_counts", "n_unique", "estimated_size", "to_dummies", "min", "max", "arg_sort"),
    *("nnz", "sum_duplicates", "sort_indices", "eliminate_zeros", "has_canonical_format", "to_dicts", "rows"),
)


@contextlib.contextmanager
def not_yet_implemented() -> Iterator[None]:
    """Let pass what polars says by a panic although all is well: that it has yet to learn something."""
    try:
        yield
    except BaseException as error:
        if "not yet implemented" not in str(error):
            raise
        raise NotImplementedError from error


def use(obj: Any, depth: int = 0) -> None:
    """Do with an object what people do; its errors are errors, and nothing else may happen."""
    if type(obj) in (list, tuple):
        for item in obj:
            use(item, depth)
        return
    attempts: list[Callable[[], Any]] = [
        *(lambda: repr(obj), lambda: str(obj), lambda: hash(obj), lambda: obj == obj, lambda: copy.copy(obj)),
        *(lambda: copy.deepcopy(obj), lambda: pickle.loads(pickle.dumps(obj)), lambda: np.asarray(obj)),
        *(lambda: obj + obj, lambda: obj * 2, lambda: _product(obj), lambda: obj[:1]),
        *(
            lambda: obj[0],
            lambda: obj[-1],
            lambda: len(obj),
            lambda: list(itertools.islice(obj, 100)),
        ),
        lambda: DATA.deserialize_object(canning.serialize_object(obj)),
        *(getattr(obj, name) for name in _METHODS if callable(getattr(type(obj), name, None))),
        *_conversions(obj),
    ]
    for attempt in attempts:
        with (
            contextlib.suppress(Exception),
            not_yet_implemented(),
        ):  # no BaseException, as panics of polars are
            made = attempt()
            if depth == 0 and type(made).__module__.partition(".")[0] in _LIBRARIES and made is not obj:
                use(made, 1)


_LIBRARIES: Final = ("pyarrow", "polars", "pandas", "torch", "scipy", "PIL", "xarray", "astropy", "pint")


def _conversions(obj: Any) -> list[Callable[[], Any]]:
    """List what makes an object of another library of one."""
    package = type(obj).__module__.partition(".")[0]
    if package == "pyarrow":
        import polars as pl
        import pyarrow as pa
        import pyarrow.compute as pc

        table = obj if isinstance(obj, pa.Table) else pa.table({"a": obj}) if hasattr(obj, "type") else None
        return [
            *(lambda: _as_polars(obj), lambda: pc.take(obj, pa.array([0])), lambda: obj.cast(pa.string())),
            *(lambda: pc.hash_min_max(obj), lambda: pc.utf8_upper(obj), lambda: pc.utf8_length(obj)),
            *(lambda: pc.count_distinct(obj), lambda: pc.sort_indices(obj), lambda: pc.drop_null(obj)),
            *(lambda: pa.concat_arrays([obj, obj]), lambda: _as_stream(table), lambda: obj.field(0)),
            *(lambda: table.group_by("a").aggregate([]), lambda: table.join(table[:9], "a")),
            lambda: np.asarray(obj.buffers()[0]),
        ]
    if package == "polars":
        import polars as pl

        frame = obj if isinstance(obj, pl.DataFrame) else obj.to_frame()
        columns = frame.get_columns()
        return [
            *(
                lambda: frame.join(frame[:9], on=frame.columns[0]),
                lambda: frame.group_by(frame.columns).len(),
            ),
            *(
                lambda: frame.write_csv(),
                lambda: frame.write_json(),
                lambda: frame.filter(pl.all().is_not_null()),
            ),
            *(lambda: frame.sort(frame.columns), lambda: frame.select(pl.all().cast(pl.String))),
            *(lambda: frame.equals(frame.clone()), lambda: pl.concat([frame, frame], rechunk=True)),
            *(
                lambda: frame.select(pl.all().cast(pl.Int64)),
                lambda: frame.to_pandas(),
                lambda: frame.to_arrow(),
            ),
            *(lambda: frame.select(pl.all().dt.year()), lambda: frame.select(pl.all().dt.offset_by("1y"))),
            *(lambda: frame.select(pl.all().dt.to_string()), lambda: frame.select(pl.all().dt.date())),
            *(
                lambda: frame.select(pl.all() + pl.duration(days=1)),
                lambda: frame.select(pl.all() - pl.all()),
            ),
            *(lambda: frame.select(pl.all().str.to_uppercase()), lambda: frame.select(pl.all().list.len())),
            *(lambda: frame.select(pl.all().explode()), lambda: frame.select(pl.all().cat.get_categories())),
            *(lambda: frame.to_torch(), lambda: [column.to_list() for column in columns]),
            *(lambda: [hash(value) for column in columns for value in column.to_list()],),
            *(lambda: [column.to_physical().to_list() for column in columns],),
            *(lambda: [column.struct.unnest() for column in columns],),
        ]
    if package == "PIL":
        import io

        modes = (
            "1",
            "L",
            "LA",
            "P",
            "PA",
            "RGB",
            "RGBA",
            "RGBa",
            "CMYK",
            "YCbCr",
            "HSV",
            "LAB",
            "I",
            "F",
            "I;16",
        )
        return [
            *(lambda mode=mode: obj.convert(mode) for mode in modes),
            *(
                lambda kind=kind: obj.save(io.BytesIO(), kind)
                for kind in ("PNG", "GIF", "TIFF", "JPEG", "BMP", "WEBP")
            ),
            *(
                lambda: obj.apply_transparency(),
                lambda: obj.getexif().get_ifd(34665),
                lambda: obj.quantize(4),
            ),
            *(
                lambda: obj.getcolors(),
                lambda: obj.getpalette("RGBA"),
                lambda: obj.resize((3, 3)),
                lambda: obj.split(),
            ),
            *(lambda: obj.rotate(9), lambda: obj.getbbox(), lambda: obj.histogram(), lambda: obj.entropy()),
            *(
                lambda: obj.remap_palette([3, 200]),
                lambda: obj.getdata()[0],
                lambda: obj.putpixel((3, 3), 255),
            ),
            *(lambda: obj.paste(obj, (1, 1), obj), lambda: obj.point(range(256)), lambda: obj.getxmp()),
            *(
                lambda: obj.tobytes(),
                lambda: obj.putalpha(9),
                lambda: obj.thumbnail((2, 2)),
                lambda: obj.reduce(2),
            ),
        ]
    if package == "xarray":
        return [
            *(lambda: obj.values, lambda: obj.to_pandas(), lambda: obj.to_dataframe(), lambda: obj.load()),
            *(
                lambda: obj.isel(x=[0, 0]),
                lambda: obj.sel(x=1),
                lambda: obj.mean(),
                lambda: obj.stack(z=("x",)),
            ),
            *(
                lambda: obj.to_dict(),
                lambda: obj._repr_html_(),
                lambda: obj.reset_index("x"),
                lambda: obj.to_array(),
            ),
            *(lambda: obj.reindex(x=[3, 1]), lambda: obj.equals(obj.copy()), lambda: obj.astype("f4").data),
            *(
                lambda: obj.dtype,
                lambda: obj.nbytes,
                lambda: obj.groupby("x").mean(),
                lambda: obj.transpose().data,
            ),
        ]
    if package in ("astropy", "pint"):
        return [
            *(
                lambda: obj.si,
                lambda: obj.to("km"),
                lambda: obj.decompose(),
                lambda: obj**2,
                lambda: obj.unit,
            ),
            *(
                lambda: obj.to_base_units(),
                lambda: obj.dimensionality,
                lambda: format(obj, "~P"),
                lambda: obj.m,
            ),
            *(lambda: obj.to_string(), lambda: obj.wrap_at("180d"), lambda: 1 / obj, lambda: obj.value.sum()),
        ]
    if package == "scipy":
        from scipy.sparse import csgraph, linalg

        other = np.ones(min(obj.shape[-1], 10_000))
        return [
            *(lambda: obj.dot(other), lambda: obj.T @ np.ones(obj.shape[0]), lambda: obj.multiply(obj)),
            *(
                lambda: obj[:, 0],
                lambda: obj[0, :],
                lambda: obj.max(),
                lambda: obj.sum(axis=0),
                lambda: abs(obj),
            ),
            *(
                lambda: obj.astype("c16"),
                lambda: obj.reshape(-1, 1),
                lambda: obj + obj.tocsr(),
                lambda: obj.power(2),
            ),
            *(
                lambda: csgraph.connected_components(obj),
                lambda: linalg.norm(obj),
                lambda: linalg.spsolve(obj, other),
            ),
            *(lambda: obj.count_nonzero(), lambda: obj.resize((9, 9)), lambda: obj.tocsr()[[0]]),
        ]
    if package == "torch":
        import torch

        return [
            *(
                lambda: obj.numpy(),
                lambda: obj.to_dense().sum(),
                lambda: obj.sum(),
                lambda: obj @ obj.to_dense().T,
            ),
            *(
                lambda: torch.asarray(obj),
                lambda: obj.contiguous(),
                lambda: obj.tolist(),
                lambda: obj.T.to_dense(),
            ),
            *(
                lambda: obj.float(),
                lambda: obj.dequantize().sum(),
                lambda: obj.untyped_storage()[5],
            ),
            *(
                lambda: np.asarray(memoryview(obj)),
                lambda: np.frombuffer(obj),
                lambda: obj.index_select(0, obj.int()),
            ),
            *(lambda: torch.tensor(obj), lambda: torch.stack([obj, obj]), lambda: obj.fill_(0)),
        ]
    return []


def _product(obj: Any) -> Any:
    """Multiply a matrix; numpy itself may crash where objects that are no numbers are multiplied so."""
    if type(obj).__module__.partition(".")[0] not in ("scipy", "torch"):
        raise TypeError
    return obj @ np.ones(min(obj.shape[-1], 10_000)), obj @ obj.T


def _as_polars(obj: Any) -> Any:
    """Make a series; of types that polars does not know it says so by a panic, also where all is well."""
    import polars as pl

    try:
        return pl.from_arrow(obj)
    except pl.exceptions.PanicException as panic:
        raise ValueError from panic


def _as_stream(table: Any) -> None:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    pa.ipc.open_stream(sink.getvalue()).read_all()


def run(rows: dict[str, Hostile]) -> None:
    """Run rows one by one; say what became of each, after its name is out."""
    for name, row in rows.items():
        print(f"{name}: ", end="", flush=True)
        try:
            got, _ = DATA.deserialize_object(frames_of(row.make()))
        except canning.DeserializationError as error:
            if "this message needs" in str(error):  # which has nothing to do with the row
                raise
            print("refused", *([error] if "-v" in sys.argv else []), flush=True)
            continue
        if row.change:
            row.change(got)
        try:
            use(got)
        except BaseException as error:  # a panic of polars is no `Exception`
            print(type(error).__name__, *([error] if "-v" in sys.argv else []), flush=True)
            continue
        print("used", flush=True)
