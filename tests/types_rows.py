"""The rows of `tests.types`."""

from __future__ import annotations

import array
import collections
import ctypes
import datetime as dt
import decimal
import fractions
import io
import ipaddress
import mmap
import pathlib
import re
import struct
import types
import uuid
import warnings
import zoneinfo
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .harness import assert_equal
from .samples import Color, Pair, Point
from .types import Row
from .types_rows_more import ALLOWED, ATTRS, BERLIN, MORE
from .types_same import (
    arrow_memory,
    buffer_memory,
    fields_memory,
    pandas_memory,
    parts_memory,
    polars_memory,
    same_arrow,
    same_bytes,
    same_exception,
    same_file,
    same_format,
    same_mapping,
    same_pandas,
    same_polars,
    same_sparse,
    same_torch,
    same_value,
    torch_memory,
)

PACKAGES: Final = {
    "": ("The standard library", ""),
    "numpy": ("numpy", ""),
    "attr": ("attrs", ""),
    "pandas": ("pandas", "pandas_frames"),
    "pyarrow": ("pyarrow", "pyarrow_types"),
    "polars": ("polars", "polars_frames"),
    "scipy": ("scipy.sparse", "scipy_sparse"),
    "xarray": ("xarray", "xarray_sets"),
    "PIL": ("Pillow", "pillow_images"),
    "pint": ("pint", "pint_quantities"),
    "astropy": ("astropy", "astropy_units"),
    "pytz": ("pytz", "pytz_zones"),
    "dateutil": ("dateutil", "dateutil_zones"),
    "geopandas": ("geopandas", "geopandas_geometry"),
    "torch": ("torch", "torch_tensors"),
    "jax": ("jax", "jax_arrays"),
}
"""By package, how the page calls it, and which module knows its types."""


class Sample(ctypes.Structure):
    """A structure that other processes can import."""

    _fields_ = (("number", ctypes.c_int), ("values", ctypes.c_double * 300))


# -- the standard library --------------------------------------------------------------------------------


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 5000)
    memory[:5] = b"bytes"
    memory.seek(3)
    return memory


def numbers() -> Any:
    return (ctypes.c_double * 500)(*range(500))


def sample() -> Sample:
    return Sample(5, (ctypes.c_double * 300)(*range(300)))


def value(name: str, make: Callable[[], Any], **more: Any) -> Row:
    return Row(name, "", make, more.pop("same", same_value), **more)


OWNS: Final = "arrives as a copy, since it owns its memory"
SMALL: Final = "what is under 1024 bytes goes with the header"
STANDARD: Final = (
    value(
        "mmap.mmap",
        mapped,
        same=same_mapping,
        memory=buffer_memory,
        golden=True,
        remark="arrives as an anonymous mapping: copied there",
    ),
    value(
        "io.BytesIO",
        lambda: io.BytesIO(b"x" * 2000),
        same=same_file,
        remark=OWNS,
    ),
    value("ctypes array", numbers, same=same_bytes, memory=buffer_memory, golden=True),
    value(
        "ctypes array of arrays", lambda: (ctypes.c_int * 3 * 200)(), same=same_bytes, memory=buffer_memory
    ),
    value(
        "ctypes.c_int and others", lambda: ctypes.c_int(4), same=same_bytes, remark="pointers cannot be sent"
    ),
    value(
        "ctypes.c_int and others, in the other order of bytes",
        lambda: (ctypes.c_double.__ctype_be__ * 500)(*range(500)),
        same=same_bytes,
        memory=buffer_memory,
    ),
    value(
        "ctypes.Structure, Union",
        sample,
        same=same_bytes,
        memory=buffer_memory,
        data=False,
        remark="a stranger's message names no class",
    ),
    value("zoneinfo.ZoneInfo", lambda: zoneinfo.ZoneInfo(BERLIN), golden=True),
    value(
        "datetime.datetime with a ZoneInfo", lambda: dt.datetime(2024, 7, 1, tzinfo=zoneinfo.ZoneInfo(BERLIN))
    ),
    value("ipaddress: addresses", lambda: ipaddress.ip_address("192.0.2.1")),
    value("ipaddress: networks", lambda: ipaddress.ip_network("2001:db8::/32")),
    value("ipaddress: interfaces", lambda: ipaddress.ip_interface("192.0.2.1/24")),
    value("struct.Struct", lambda: struct.Struct("<i4d"), same=same_format),
    value(
        "re.Pattern",
        lambda: re.compile("a+", re.I),
        data=False,
        remark="a stranger's pattern may take forever to match",
    ),
    value("decimal.Decimal", lambda: decimal.Decimal("1.10")),
    value("fractions.Fraction", lambda: fractions.Fraction(1, 3)),
    value("uuid.UUID", lambda: uuid.UUID(int=5)),
    value("pathlib: paths", lambda: pathlib.PurePosixPath("a/b")),
    value("collections.Counter", lambda: collections.Counter("aab")),
    value("collections.deque", lambda: collections.deque([1, 2], maxlen=3)),
    value(
        "collections.deque of arrays",
        lambda: collections.deque([np.arange(400.0), np.arange(5)], 7),
        same=assert_equal,
        memory=list,
        remark=SMALL,
    ),
    value("array.array", lambda: array.array("d", range(400)), memory=buffer_memory, remark=OWNS),
    value("enum.Enum", lambda: Color(1), allow=(Color,), remark=ALLOWED),
    value(
        "dataclasses with arrays",
        lambda: Point(np.arange(400.0), "a"),
        same=assert_equal,
        memory=fields_memory,
        allow=(Point,),
        remark=ALLOWED,
    ),
    value("named tuples", lambda: Pair(1, 2.0), allow=(Pair,), remark=ALLOWED),
    value("collections.OrderedDict", lambda: collections.OrderedDict(a=1)),
    value(
        "collections.defaultdict",
        lambda: collections.defaultdict(list, a=[1]),
        remark="of a builtin type such as `list` or `int`, or None; of any other function under `code` alone",
    ),
    value(
        "types.SimpleNamespace",
        lambda: types.SimpleNamespace(a=1, b=[2]),
        remark="as data, names begin with no underscore",
    ),
    value(
        "builtin exceptions",
        lambda: FileNotFoundError(2, "No such file"),
        same=same_exception,
        remark="as data, with arguments, attributes, notes, cause and context that are data, without the "
        "traceback; not SyntaxError, nor exceptions that do not derive from `Exception`",
    ),
)


# -- numpy -----------------------------------------------------------------------------------------------


def numpy_array(name: str, make: Callable[[], Any], **more: Any) -> Row:
    return Row(name, "numpy", make, assert_equal, more.pop("memory", lambda array: [array]), **more)


def masked_matrix() -> Any:
    return np.ma.array(np.arange(400).reshape(20, 20).view(np.matrix), mask=np.eye(20, dtype=bool))


def numbers_with_fields() -> Any:
    return np.arange(400, dtype=np.dtype((">u4", {"lo": (">u2", 2), "hi": (">u2", 0)})))


NO_MEMORY_OF_ITS_OWN: Final = "objects go as a list, in the header"
NUMPY: Final = (
    numpy_array("arrays of numbers, times, text of fixed width", lambda: np.arange(400.0)),
    numpy_array("arrays of structures", lambda: np.zeros(400, [("x", "f4"), ("y", "U3")])),
    numpy_array("numbers, text and times with fields", numbers_with_fields),
    numpy_array("dtypes with metadata", lambda: np.zeros(400, np.dtype("f8", metadata={"unit": "m"}))),
    numpy_array("arrays of 32 and more axes", lambda: np.zeros((20, 20) + (1,) * 30)),
    numpy_array(
        "arrays of objects",
        lambda: np.array(["a", None, 1.5], object),
        memory=None,
        remark=NO_MEMORY_OF_ITS_OWN + "; data where the objects are",
    ),
    numpy_array(
        "arrays of structures with objects",
        lambda: np.array([(1, None)], [("a", "i4"), ("b", "O")]),
        memory=None,
        data=False,
        remark="field by field",
    ),
    numpy_array("masked arrays", lambda: np.ma.array(np.arange(400.0), mask=np.arange(400) % 2), memory=None),
    numpy_array("masked matrices", masked_matrix, memory=None),
    numpy_array("record arrays", lambda: np.rec.array(np.zeros(400, [("a", "f8")])), memory=None),
    numpy_array("dtypes", lambda: np.dtype([("a", ">i4"), ("b", "O")]), memory=None),
    numpy_array("scalars", lambda: np.str_("with a NUL at its end\0"), memory=None),
)


# -- pandas ----------------------------------------------------------------------------------------------


def mixed_frame() -> Any:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "a": np.arange(400.0),
            "b": np.arange(400),
            "t": pd.date_range("2024", periods=400, freq="s", unit="ns"),
            "c": pd.Categorical.from_codes(
                np.arange(400, dtype="i1") % 2, pd.Index(["x", "y"], dtype=object)
            ),
            "f": np.arange(400) % 3 == 0,
        },
        index=pd.Index(np.arange(400) * 2, name="row"),
    )
    frame.attrs["unit"] = "m"
    frame.columns = frame.columns.astype(object)  # as in pandas 2, for the golden frames
    return frame


def with_missing() -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            "i": pd.array([1, None] * 200, "Int32"),
            "f": pd.array([1.5, None] * 200, "Float64"),
            "b": pd.array([True, None] * 600, "boolean")[:400],
            "s": pd.array(["text", None] * 200, "string[python]"),
        }
    )


def unique_series() -> Any:
    import pandas as pd

    series = pd.Series(np.arange(300), name=("a", 1))
    series.flags.allows_duplicate_labels = False
    return series


def pandas(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        import pandas as pd

        return make(pd)

    return Row(name, "pandas", make_it, same_pandas, more.pop("memory", pandas_memory), **more)


def arrow_text(pd: Any) -> Any:
    try:
        return pd.StringDtype("pyarrow", na_value=np.nan)
    except TypeError:  # by pandas 2.2
        return pd.StringDtype("pyarrow_numpy")


TEXT: Final = [f"name {number}" for number in range(400)]
PANDAS: Final = (
    pandas("DataFrame: numbers, times, categories", lambda pd: mixed_frame(), golden=True),
    pandas("DataFrame over one array", lambda pd: pd.DataFrame(np.arange(1200).reshape(300, 4))),
    pandas("DataFrame, transposed", lambda pd: pd.DataFrame(np.arange(1200).reshape(300, 4)).T),
    pandas(
        "DataFrame: rows of another",
        lambda pd: pd.DataFrame(np.arange(9000).reshape(3000, 3))[500:900],
        memory=None,
        remark="the slice is sent, compact where it is sparse: see [copies.md](copies.md)",
    ),
    pandas(
        "DataFrame: missing values",
        lambda pd: with_missing(),
        remark="text in Python's own strings goes as a list",
    ),
    pandas(
        "DataFrame: objects",
        lambda pd: pd.DataFrame({"o": pd.Series([{"a": 1}, "text", None], dtype=object)}),
        remark="objects go as a list",
    ),
    pandas("DataFrame without rows, without columns", lambda pd: pd.DataFrame(index=range(5))),
    pandas(
        "DataFrame: labels of any kind that may be a key",
        lambda pd: pd.DataFrame(
            [[1, 2, 3]],
            columns=pd.Index([pd.Interval(0, 1), dt.time(12), decimal.Decimal("1.5")], dtype=object),
            index=pd.period_range("2024", periods=1, freq="M"),
        ),
    ),
    pandas("DataFrame.dtypes", lambda pd: mixed_frame().dtypes),
    pandas("Series: bytes of fixed width", lambda pd: pd.Series(np.array([b"ab"] * 400), dtype="S2")),
    pandas("DataFrame: labels twice", lambda pd: pd.DataFrame(np.zeros((2, 3)), columns=list("aab"))),
    pandas("Series", lambda pd: pd.Series(np.arange(400.0), name="s"), golden=True),
    pandas("Series whose labels are unique", lambda pd: unique_series()),
    pandas(
        "Series: text, in Arrow",
        lambda pd: pd.Series(TEXT, dtype=arrow_text(pd)),
        golden=True,
    ),
    pandas(
        "Series: text, in Arrow, missing as NA", lambda pd: pd.Series([*TEXT, None], dtype="string[pyarrow]")
    ),
    pandas(
        "Series: times in a zone",
        lambda pd: pd.Series(pd.date_range("2024", periods=400, tz="UTC", unit="ns")),
        golden=True,
    ),
    pandas("Series: spans of time", lambda pd: pd.Series(pd.timedelta_range("1s", periods=400))),
    pandas("Series: periods", lambda pd: pd.Series(pd.period_range("2024", periods=400, freq="D"))),
    pandas("Series: intervals", lambda pd: pd.Series(pd.interval_range(0, 400))),
    pandas("Series: categories of text", lambda pd: pd.Series(TEXT * 5).astype("category")),
    pandas("Series: sparse", lambda pd: pd.Series(pd.arrays.SparseArray(np.arange(400.0) % 2))),
    pandas(
        "Series: any type of Arrow",
        lambda pd: pd.Series([[1, 2], None] * 200, dtype=pd.ArrowDtype(_arrow().list_(_arrow().int64()))),
    ),
    pandas("Index", lambda pd: pd.Index(np.arange(400.0), name="x"), golden=True),
    pandas(
        "Series: many strings of Python's own",
        lambda pd: pd.Series([*TEXT, None, *TEXT[:300]], dtype=object),
        memory=None,
        remark="joined: in 0.5 to 0.9 of pickle's time",
        golden=True,
    ),
    pandas(
        "Series: many longer ones",
        lambda pd: pd.Series(
            [f"{text}, and some more of it {text}" for text in [*TEXT, *TEXT]], dtype=object
        ),
        memory=None,
        remark="joined by pyarrow, where it is imported",
        golden=True,
    ),
    pandas(
        "Series: many of them, missing as NA",
        lambda pd: pd.Series([*TEXT, None, *TEXT[:300]], dtype="string[python]"),
        memory=None,
        remark="as above",
    ),
    pandas(
        "DataFrame: many in several columns",
        lambda pd: pd.DataFrame({"a": [*TEXT, *TEXT], "b": [*TEXT, *TEXT]}, dtype=object),
        memory=None,
        remark="as above",
    ),
    pandas("Index of text", lambda pd: pd.Index(TEXT, dtype=object), remark="objects go as a list"),
    pandas("RangeIndex", lambda pd: pd.RangeIndex(3, 90, 7, name="r"), golden=True),
    pandas(
        "MultiIndex",
        lambda pd: pd.MultiIndex.from_product(
            [np.arange(50) * 2, pd.Index(["a", "b", *TEXT[:30]], dtype=object)], names=["n", None]
        ),
        golden=True,
        remark="its codes are read-only everywhere",
    ),
    pandas(
        "DatetimeIndex",
        lambda pd: pd.date_range(
            "2024-03-01", periods=400, freq="D", tz=zoneinfo.ZoneInfo(BERLIN), unit="ns", name="t"
        ),
        golden=True,
    ),
    pandas("TimedeltaIndex", lambda pd: pd.timedelta_range("1s", periods=400, freq="3s")),
    pandas("PeriodIndex", lambda pd: pd.period_range("2024", periods=400, freq="Q")),
    pandas("IntervalIndex", lambda pd: pd.interval_range(0, 400, closed="left")),
    pandas("CategoricalIndex", lambda pd: pd.CategoricalIndex(["a", "b"] * 600, ordered=True)),
    pandas("Categorical", lambda pd: pd.Categorical(["a", None, "b"] * 400, ["b", "a"], ordered=True)),
    pandas("extension arrays", lambda pd: pd.array([1, 2, None] * 300, "Int64")),
    pandas("array of a DatetimeIndex", lambda pd: pd.date_range("2024", periods=400, freq="D").array),
    pandas(
        "DatetimeIndex: an offset that its name does not tell",
        lambda pd: pd.date_range("2024", periods=400, freq=pd.offsets.CustomBusinessDay(weekmask="Mon Tue")),
        data=False,
        remark="by pandas' own hooks",
    ),
    pandas("extension array over numpy's", lambda pd: pd.arrays.NumpyExtensionArray(np.arange(400))),
    pandas(
        "Timestamp", lambda pd: pd.Timestamp("2024-02-29 12:00:00.5", tz="UTC").as_unit("ns"), golden=True
    ),
    pandas("Timedelta", lambda pd: pd.Timedelta("3s")),
    pandas("Period", lambda pd: pd.Period("2024-02", "M")),
    pandas("Interval", lambda pd: pd.Interval(1, 2.5, "both")),
    pandas("NaT", lambda pd: pd.NaT),
    pandas("NA", lambda pd: pd.NA),
    pandas("Series: labels that are times", lambda pd: pd.Series([1, 2], name=pd.Timestamp("2024"))),
    pandas("dtypes of columns", lambda pd: with_missing().dtypes.tolist()[0]),
    pandas("StringDtype", lambda pd: pd.StringDtype("python")),
    pandas("ArrowDtype", lambda pd: pd.ArrowDtype(_arrow().list_(_arrow().int64()))),
    pandas(
        "PeriodDtype, IntervalDtype, SparseDtype, DatetimeTZDtype",
        lambda pd: pd.DatetimeTZDtype("ns", zoneinfo.ZoneInfo(BERLIN)),
    ),
)


# -- pyarrow ---------------------------------------------------------------------------------------------


def _arrow() -> Any:
    import pyarrow as pa

    return pa


def arrow(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    return Row(
        name,
        "pyarrow",
        lambda: make(_arrow()),
        more.pop("same", same_arrow),
        more.pop("memory", arrow_memory),
        **more,
    )


def table(pa: Any) -> Any:
    whole = pa.table({"n": pa.array(range(1000)), "s": pa.array([f"name {n}" for n in range(1000)])})
    return pa.concat_tables([whole, whole]).replace_schema_metadata({"by": "canning"})


def dense_union(pa: Any) -> Any:
    numbers, places = pa.array(range(300)), pa.array(np.arange(600, dtype=np.int32) // 2)
    return pa.UnionArray.from_dense(
        pa.array([0, 1] * 300, pa.int8()), places, [numbers, numbers.cast("string")]
    )


REBASED: Final = "offsets are copied where the slice leaves out more than they take"
COMPACT: Final = "a slice is copied, compact"
NO_MEMORY: Final = {"memory": None}
NOT_IN_ARROW: Final = "by pyarrow's own pickling: Arrow's message of a schema has no such type"


def nested_dictionary(pa: Any) -> Any:
    words = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int16()), pa.array(["a", "b"]))
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None] * 400, pa.int8()), words)


def uuids(pa: Any) -> Any:
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16, b"b" * 16], pa.binary(16)))


def uuid_dictionary(pa: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None] * 400, pa.int8()), uuids(pa))


def uuid_structs(pa: Any) -> Any:
    return pa.StructArray.from_arrays([uuids(pa)], names=["u"])


def named_maps(pa: Any) -> Any:
    kind = pa.map_(pa.field("k", pa.string(), nullable=False), pa.field("v", pa.int64(), metadata={"a": "b"}))
    return pa.array([[("k", 1)], []] * 300, kind)


ARROW: Final = (
    arrow("Table", table, golden=True),
    arrow("Table: rows of another", lambda pa: table(pa).slice(300, 400), memory=None, remark=REBASED),
    arrow("RecordBatch", lambda pa: table(pa).to_batches()[0], golden=True),
    arrow("ChunkedArray", lambda pa: pa.chunked_array([range(500), range(700)])),
    arrow("Array: numbers", lambda pa: pa.array(range(500)), golden=True),
    arrow("Array: numbers that may be missing", lambda pa: pa.array([1, None] * 5000, pa.int16())),
    arrow("Array: booleans", lambda pa: pa.array([True, False, None] * 5000)),
    arrow("Array: text", lambda pa: pa.array(TEXT * 3), golden=True),
    arrow("Array: large text, bytes", lambda pa: pa.array([b"ab", None] * 500, pa.large_binary())),
    arrow("Array: a slice", lambda pa: pa.array(TEXT * 9)[100:3000], memory=None, remark=REBASED),
    arrow(
        "Array: times, decimals, fixed bytes",
        lambda pa: pa.array([decimal.Decimal("1.1")] * 100, pa.decimal128(5, 1)),
    ),
    arrow("Array: lists", lambda pa: pa.array([[1, 2], None, []] * 300), golden=True),
    arrow("Array: lists of fixed size", lambda pa: pa.array([[1, 2], [3, 4]] * 200, pa.list_(pa.int32(), 2))),
    arrow("Array: structs", lambda pa: pa.array([{"a": 1, "b": [{"c": "x"}]}, None] * 300), golden=True),
    arrow("Array: maps", lambda pa: pa.array([[("k", 1)], []] * 300, pa.map_(pa.string(), pa.int64()))),
    arrow("Array: dictionary", lambda pa: pa.array(["a", "b", None] * 600).dictionary_encode(), golden=True),
    arrow("Array: null", lambda pa: pa.nulls(100)),
    arrow("Array: dictionary of a dictionary", nested_dictionary, data=False, remark=NOT_IN_ARROW),
    arrow("Array: dictionary of uuids", uuid_dictionary, data=False, remark=NOT_IN_ARROW),
    arrow("Array: maps with names of their own", named_maps, data=False, remark=NOT_IN_ARROW),
    arrow("Array: structs of uuids", uuid_structs, data=False, remark="a stranger's types are not nested"),
    arrow(
        "Array: unions, sparse and dense",
        lambda pa: pa.UnionArray.from_sparse(
            pa.array([0, 1] * 300, pa.int8()), [pa.array(range(600)), pa.array(range(600))]
        ),
        remark=COMPACT,
        memory=None,
    ),
    arrow("Array: a slice of a dense union", lambda pa: dense_union(pa)[5:25], remark=COMPACT, memory=None),
    arrow(
        "Array: run-end encoded",
        lambda pa: pa.RunEndEncodedArray.from_arrays([3, 10], [1, 2])[2:9],
        remark=COMPACT,
        memory=None,
    ),
    arrow(
        "Array: views of lists",
        lambda pa: pa.array([[1, 2], None, [3]] * 300, pa.list_view(pa.int64())),
        remark=COMPACT,
    ),
    arrow(
        "Array: views of text",
        lambda pa: pa.array(["a", "b" * 50] * 400, pa.string_view()),
        remark="a slice: its views are copied, to leave out text that they do not show",
    ),
    arrow(
        "Array: a slice of views",
        lambda pa: pa.array([f"a text of some length, {n}" for n in range(900)], pa.string_view())[7:40],
        remark="as above",
        memory=None,
    ),
    arrow(
        "Array: extension types",
        lambda pa: pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.int32(), [2, 2]), pa.array([[1, 2, 3, 4]] * 100, pa.list_(pa.int32(), 4))
        ),
        remark="those that Arrow itself defines: json, uuid, bool8, opaque, tensors",
    ),
    arrow(
        "Array: extension types, nested",
        lambda pa: pa.StructArray.from_arrays([pa.array([b"x" * 16] * 90, pa.uuid())], ["u"]),
        memory=None,
        data=False,
        remark="their schema is read by Arrow, which may run a class's code",
    ),
    arrow(
        "Tensor", lambda pa: pa.Tensor.from_numpy(np.arange(600.0).reshape(20, 30), ["y", "x"]), memory=None
    ),
    arrow("Scalar", lambda pa: pa.scalar([1, 2]), **NO_MEMORY),
    arrow("Buffer", lambda pa: pa.py_buffer(b"x" * 2000), remark="read-only where it was so"),
    arrow("Schema", lambda pa: table(pa).schema, **NO_MEMORY, golden=True),
    arrow("Field", lambda pa: pa.field("x", pa.int8(), nullable=False), **NO_MEMORY),
    arrow("DataType", lambda pa: pa.struct([("a", pa.int8())]), **NO_MEMORY),
)


# -- scipy.sparse ----------------------------------------------------------------------------------------


def sparse(form: str, kind: str, **more: Any) -> Row:
    def make() -> Any:
        import scipy.sparse as sp

        cells = sp.dia_array((np.arange(1200.0).reshape(3, 400), [0, 1, -1]), shape=(400, 400))
        if form in ("coo", "csc"):  # versions of scipy order what they convert differently
            dense = cells.toarray().T if form == "csc" else cells.toarray()
            rows, columns = (places.astype(np.int32) for places in dense.nonzero())
            values = dense[rows, columns]
            starts = np.searchsorted(rows, np.arange(401)).astype(np.int32)
            parts = (values, (rows, columns)) if form == "coo" else (values, columns, starts)
            return getattr(sp, f"{form}_{kind}")(parts, shape=(400, 400))
        return getattr(sp, f"{form}_{kind}")(cells.tobsr((2, 2)) if form == "bsr" else cells)

    return Row(f"{form}_{kind}", "scipy", make, same_sparse, **more)


LISTS: Final = "consists of lists: convert it to coo first"
SPARSE: Final = (
    *(
        sparse(form, kind, memory=parts_memory, golden=kind == "array")
        for form in ("csr", "csc", "bsr", "coo", "dia")
        for kind in ("array", "matrix")
    ),
    *(
        sparse(form, kind, data=False, remark=LISTS)
        for form in ("lil", "dok")
        for kind in ("array", "matrix")
    ),
)

# -- polars ----------------------------------------------------------------------------------------------


def polars_frame(pl: Any) -> Any:
    return pl.DataFrame(
        {
            "n": range(400),
            "s": [f"a name of some length {n}" for n in range(400)],
            "l": [[1, 2], None] * 200,
            "r": [{"a": 1, "b": "x"}] * 400,
            "t": [dt.datetime(2024, 1, 1)] * 400,
            "d": pl.Series([decimal.Decimal("1.5")] * 400),
            "b": [True, None] * 200,
        }
    )


def polars(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        import polars as pl

        return make(pl)

    return Row(name, "polars", make_it, same_polars, more.pop("memory", polars_memory), **more)


POLARS: Final = (
    polars("DataFrame", polars_frame, golden=True),
    polars("DataFrame in chunks", lambda pl: pl.concat([polars_frame(pl)] * 2, rechunk=False)),
    polars("DataFrame: rows of another", lambda pl: polars_frame(pl)[50:100], memory=None),
    polars("DataFrame without columns", lambda pl: pl.DataFrame()),
    polars("Series", lambda pl: pl.Series("x", range(400), dtype=pl.Int64)),
    polars(
        "Series: Categorical",
        lambda pl: pl.Series(["a", "b"] * 600, dtype=pl.Categorical),
        remark="polars copies its codes",
    ),
    polars(
        "Series: Enum",
        lambda pl: pl.Series("e", ["x", "y"] * 1000, dtype=pl.Enum(["y", "x"])),
        remark='looked up once more under `trust="data"`',
    ),
    polars(
        "Series: categories with a name",
        lambda pl: pl.Series("c", ["x", None, "y"] * 500, dtype=pl.Categorical(pl.Categories("animals"))),
        remark="looked up once more, in the reader's categories of that name",
    ),
    polars(
        "DataFrame of rows without columns", lambda pl: pl.DataFrame({"a": [1, 2]}).drop("a"), memory=None
    ),
    polars("DataFrame: structs without fields", lambda pl: pl.DataFrame({"s": [{}] * 3}), memory=None),
    polars(
        "Series: categories within lists",
        lambda pl: pl.Series([["x"]] * 400, dtype=pl.List(pl.Enum(["x"]))),
        data=False,
        remark="polars does not check them",
    ),
    polars(
        "Series: Object",
        lambda pl: pl.Series("o", [{"a": 1}, None, "x"], dtype=pl.Object),
        data=False,
        memory=None,
        remark="goes as a list: polars cannot pickle it, and panics where it hashes or sorts one",
    ),
    polars(
        "DataFrame: objects between others",
        lambda pl: pl.DataFrame({"n": [1, 2], "o": pl.Series([1, "a"], dtype=pl.Object), "m": [3, 4]}),
        data=False,
        memory=None,
        remark="goes as a list",
    ),
    polars(
        "DataFrame: integers of 128 bits",
        lambda pl: pl.DataFrame(
            {
                "n": range(3),
                "": pl.Series(["y", "x", None], dtype=pl.Enum(["x", "y"])),
                "i": pl.Series([2**100, None, -5], dtype=pl.Int128),
            }
        ),
        memory=None,
        remark="goes as a list: pyarrow has no such type",
    ),
    polars(
        "LazyFrame",
        lambda pl: polars_frame(pl).lazy(),
        data=False,
        memory=None,
        remark="its plan, by polars' own pickling, which copies the frames in it; it may hold functions",
    ),
)

# -- torch -----------------------------------------------------------------------------------------------


def tied(torch: Any) -> Any:
    model = torch.nn.Sequential(torch.nn.Linear(40, 40), torch.nn.Linear(40, 40))
    model[1].weight = model[0].weight
    return model


def compressed_memory(obj: Any) -> list[Any]:
    by_row = str(obj.layout) in ("torch.sparse_csr", "torch.sparse_bsr")
    rows, columns = ("crow", "col") if by_row else ("ccol", "row")
    indices = [getattr(obj, f"{name}_indices")() for name in (rows, columns)]
    return [memory for part in (*indices, obj.values()) for memory in torch_memory(part)]


def quietly(make: Callable[[], Any]) -> Any:
    with warnings.catch_warnings(action="ignore"):  # of what is in beta, or to go
        return make()


def torch(name: str, make: Callable[[Any], Any], **more: Any) -> Row:
    def make_it() -> Any:
        import torch

        return quietly(lambda: make(torch))

    return Row(name, "torch", make_it, same_torch, more.pop("memory", torch_memory), **more)


TORCH: Final = (
    torch("Tensor", lambda torch: torch.arange(600.0).reshape(20, 30), golden=True),
    torch("Tensor: bfloat16", lambda torch: torch.arange(600.0).to(torch.bfloat16), golden=True),
    torch("Tensor: float8", lambda torch: torch.arange(2000.0).to(torch.float8_e5m2)),
    torch("Tensor: complex, bool", lambda torch: torch.arange(600.0).to(torch.complex128)),
    torch("Tensor: transposed, other strides", lambda torch: torch.arange(600.0).reshape(20, 30).T),
    torch("Tensor: expanded", lambda torch: torch.arange(600.0).expand(5, 600), memory=None),
    torch(
        "Tensor: a slice",
        lambda torch: torch.arange(9000.0)[500:900],
        memory=None,
        remark="only the slice is sent",
    ),
    torch("Tensor: conj and neg bits", lambda torch: torch.arange(600.0).to(torch.complex64).conj()),
    torch("Tensor: requires_grad", lambda torch: torch.arange(600.0).requires_grad_()),
    torch("Parameter", lambda torch: torch.nn.Parameter(torch.arange(600.0)), golden=True),
    torch("Tensor: requires_grad, not a leaf", lambda torch: torch.arange(600.0).requires_grad_() * 2),
    torch("Tensor: no axes", lambda torch: torch.tensor(3.0), memory=None),
    torch(
        "Tensor: sparse COO",
        lambda torch: torch.eye(2000).to_sparse(),
        golden=True,
        memory=lambda obj: [*torch_memory(obj._indices()), *torch_memory(obj._values())],
    ),
    torch(
        "Tensor: sparse COO, places twice",
        lambda torch: torch.sparse_coo_tensor([[1, 0, 1]], torch.ones(3, 400), (4, 400)),
        memory=None,
    ),
    *(
        torch(
            f"Tensor: sparse {form.upper()}",
            lambda torch, form=form: _compressed(torch, form),
            memory=compressed_memory,
        )
        for form in ("csr", "csc", "bsr", "bsc")
    ),
    torch(
        "Tensor: quantized",
        lambda torch: torch.quantize_per_tensor(torch.arange(2000.0), 0.1, 10, torch.quint8),
        golden=True,
    ),
    torch(
        "Tensor: quantized by channel",
        lambda torch: torch.quantize_per_channel(
            torch.arange(2000.0).reshape(20, 100),
            torch.ones(20),
            torch.zeros(20, dtype=torch.int64),
            0,
            torch.qint32,
        ),
    ),
    torch("Tensor: meta", lambda torch: torch.empty(5, device="meta"), memory=None),
    torch("Buffer", lambda torch: torch.nn.Buffer(torch.arange(600.0), persistent=False)),
    torch("UntypedStorage", lambda torch: torch.arange(600.0).untyped_storage(), memory=None),
    torch(
        "Module",
        tied,
        data=False,
        memory=None,
        remark="its tensors as above; a stranger's message names no class",
    ),
    torch("state_dict", lambda torch: tied(torch).state_dict(), memory=None, remark="its tensors as above"),
    torch("dtype", lambda torch: torch.bfloat16, memory=None),
    torch("device", lambda torch: torch.device("cpu", 0), memory=None),
    torch("Size", lambda torch: torch.Size([2, 3]), memory=None),
)


def _compressed(torch: Any, form: str) -> Any:
    blocks = ((2, 2),) if form.startswith("b") else ()
    return getattr(torch.eye(2000), f"to_sparse_{form}")(*blocks)


ROWS: Final = (*STANDARD, *NUMPY, *ATTRS, *PANDAS, *ARROW, *POLARS, *SPARSE, *MORE, *TORCH)
