# ruff: noqa: E501
"""Rows for `tests.hostile`: what a stranger may make up of other libraries' objects."""

from __future__ import annotations

import importlib
import struct
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .hostile import Hostile, Made, run
from .hostile_rows_more import MORE

Rows = dict[str, Hostile]


def rows_of(package: str) -> Rows:
    """List the rows of a package, by their names, and import it."""
    importlib.import_module(package)
    return {row.what: row for row in ROWS[package]()}


# -- scipy -----------------------------------------------------------------------------------------------

I4: Final = np.int32


def sparse(name: str, shape: Any, **fields: Any) -> Made:
    return Made(f"scipy.sparse.{name}", {"shape": shape, **fields})


def rows(name: str, shape: Any, data: Any, indices: Any, indptr: Any, dtype: Any = I4) -> Made:
    data = data if isinstance(data, np.ndarray) else np.array(data, float)
    indices, indptr = (np.array(part, dtype) for part in (indices, indptr))
    return sparse(name, shape, data=data, indices=indices, indptr=indptr)


def scipy_rows() -> list[Hostile]:
    far, nothing = 1 << 28, np.empty(0)
    blocks = np.ones((2, 2, 2))

    def refused(what: str, *args: Any, **more: Any) -> Hostile:
        return Hostile(what, lambda: rows(*args, **more))

    def coo(shape: Any, data: Any, *coords: Any, name: str = "coo_array", dtype: Any = I4) -> Made:
        return sparse(
            name, shape, data=np.array(data, float), coords=tuple(np.array(c, dtype) for c in coords)
        )

    def dia(shape: Any, data: Any, offsets: Any, dtype: Any = I4) -> Made:
        return sparse("dia_array", shape, data=np.array(data, float), offsets=np.array(offsets, dtype))

    def write_data(matrices: Any) -> None:
        for matrix in matrices if isinstance(matrices, list) else [matrices]:
            if isinstance(matrix, np.ndarray):
                matrix[...] = 1 << 40
            else:
                matrix.data[...] = 1 << 40

    return [
        *(
            refused(f"{form}_{kind}: {what}", f"{form}_{kind}", shape, data, indices, starts)
            for form in ("csr", "csc")
            for kind in ("array", "matrix")
            for what, shape, data, indices, starts in (
                ("a far start where nothing is", (2, 2), nothing, [], [0, far, 0]),
                ("a negative start", (2, 2), nothing, [], [0, -far, 0]),
                ("a first start that is not 0", (2, 2), [1, 2], [0, 1], [1, 1, 2]),
                ("starts going back", (2, 2), [1, 2], [0, 1], [0, 2, 1]),
                ("an end beyond the values", (2, 2), [1, 2], [0, 1], [0, 1, 3]),
                ("too few starts", (2, 2), [1, 2], [0, 1], [0, 2]),
                ("too many starts", (2, 2), [1, 2], [0, 1], [0, 1, 2, 2]),
                ("no starts", (2, 2), [1, 2], [0, 1], []),
                ("a place beyond the shape", (2, 2), [1, 2], [0, 2], [0, 1, 2]),
                ("a negative place", (2, 2), [1, 2], [0, -1], [0, 1, 2]),
                ("fewer places than values", (2, 2), [1, 2, 3], [0, 1], [0, 1, 3]),
                ("fewer values than places", (2, 2), [1], [0, 1], [0, 1, 2]),
                (
                    "places in a shape without any",
                    (2, 0) if form == "csr" else (0, 2),
                    [1, 2],
                    [0, 0],
                    [0, 1, 2],
                ),
                ("three axes", (2, 2, 2), [1, 2], [0, 1], [0, 1, 2]),
                ("a negative length", (-1, 2), [1, 2], [0, 1], [0]),
            )
        ),
        refused(
            "csr: starts that wrap in 32 bits", "csr_array", (2, 2), [1, 2], [0, 1], [0, 1 << 32, 2], np.int64
        ),
        refused(
            "csr: places that wrap in 32 bits", "csr_array", (2, 2), [1, 2], [0, 1 << 32], [0, 1, 2], np.int64
        ),
        refused(
            "csr: places that wrap in 64 bits", "csr_array", (2, 2), [1, 2], [0, 2**64 - 1], [0, 1, 2], "u8"
        ),
        refused(
            "csr: places of the other byte order", "csr_array", (2, 2), [1, 2], [0, 1 << 24], [0, 1, 2], ">i4"
        ),
        refused("csr: places that are no integers", "csr_array", (2, 2), [1, 2], [0, 1], [0, 1, 2], float),
        refused("csr: two axes of values", "csr_array", (2, 2), np.ones((2, 2)), [0, 1], [0, 1, 2]),
        refused("csr: objects", "csr_array", (2, 2), np.array(["a", "b"]), [0, 1], [0, 1, 2]),
        refused("csr of one axis: a place beyond", "csr_array", (2,), [1, 2], [0, 2], [0, 2]),
        refused(
            "bsr: a far start where nothing is", "bsr_array", (4, 4), np.empty((0, 2, 2)), [], [0, far, 0]
        ),
        refused("bsr: a place beyond the shape", "bsr_array", (4, 4), blocks, [0, 2], [0, 1, 2]),
        refused("bsr: blocks that do not fit", "bsr_array", (5, 4), blocks, [0, 1], [0, 1, 2]),
        refused("bsr: blocks without columns", "bsr_array", (4, 4), np.ones((2, 2, 0)), [0, 1], [0, 1, 2]),
        refused("bsr: blocks without rows", "bsr_array", (4, 4), np.ones((2, 0, 2)), [0, 1], [0, 1, 2]),
        refused("bsr: two axes of blocks", "bsr_array", (4, 4), np.ones((2, 2)), [0, 1], [0, 1, 2]),
        refused("bsr: fewer blocks than places", "bsr_matrix", (4, 4), blocks[:1], [0, 1], [0, 1, 2]),
        Hostile("coo: a place beyond the shape", lambda: coo((2, 2), [1, 2], [0, 2], [0, 1])),
        Hostile("coo: a negative place", lambda: coo((2, 2), [1, 2], [0, 1], [0, -1])),
        Hostile(
            "coo: places that wrap in 32 bits", lambda: coo((2, 2), [1, 2], [0, 1 << 32], [0, 1], dtype="i8")
        ),
        Hostile("coo: fewer places than values", lambda: coo((2, 2), [1, 2], [0], [0])),
        Hostile("coo: coordinates of other axes", lambda: coo((2, 2), [1, 2], [0, 1], [0, 1], [0, 1])),
        Hostile("coo: three axes, a place beyond", lambda: coo((2, 2, 2), [1, 2], [0, 1], [0, 1], [0, 9])),
        Hostile("coo: one axis, a place beyond", lambda: coo((2,), [1, 2], [0, far])),
        Hostile("coo: no axes", lambda: coo((), [1])),
        Hostile(
            "coo: a shape that no memory holds",
            lambda: coo((1 << 61, 1 << 61), [1], [5], [9], dtype="i8"),
            False,
        ),
        Hostile("dia: an offset that wraps", lambda: dia((2, 2), [[1, 2]], [(1 << 31) - 1])),
        Hostile("dia: the least offset", lambda: dia((2, 2), [[1, 2]], [-(1 << 31)])),
        Hostile("dia: an offset that wraps in 32 bits", lambda: dia((2, 2), [[1, 2]], [(1 << 32) + 1], "i8")),
        Hostile("dia: an offset beyond the shape", lambda: dia((2, 2), [[1, 2]], [-3])),
        Hostile("dia: a diagonal twice", lambda: dia((2, 2), [[1, 2], [1, 2]], [1, 1])),
        Hostile("dia: fewer offsets than diagonals", lambda: dia((2, 2), [[1, 2], [1, 2]], [1])),
        Hostile(
            "dia: a shape beyond 32 bits", lambda: dia((1 << 31, 1 << 31), [[1, 2]], [(1 << 31) - 1], "i8")
        ),
        Hostile("dia: fewer values than the diagonal has", lambda: dia((9, 9), [[1, 2]], [0]), False),
        Hostile("csr: values that are its places", lambda: _all_of(_shared()), False, write_data),
        Hostile("csr: places that are an array, too", lambda: _with(_shared()), False, write_data),
        Hostile("csr: starts within another's values", lambda: _one_in_another(), False, write_data),
        Hostile("csr: flags that say what is not so", lambda: _with_flags(), False),
        Hostile("csr: values of the other byte order", lambda: _other_order(">f8"), False),
        Hostile("csr: values of two bytes", lambda: _other_order("f2"), False),
        Hostile("csr: values of no strides", lambda: _no_strides(), False),
    ]


def _shared() -> Any:
    return np.arange(2000, dtype=np.int64) % 10


def _all_of(shared: Any) -> Made:
    starts = np.array([0, 1000, 2000])
    return sparse("csr_array", (2, 10), data=shared, indices=shared, indptr=starts)


def _with(shared: Any) -> Any:
    return [shared, _all_of(shared)]


def _one_in_another() -> Any:
    memory = np.zeros(3000, np.int64)
    other = rows("csr_array", (1, 3000), memory, list(range(3000)), [0, 3000])
    return [
        other,
        sparse("csr_array", (1999, 5), data=memory[:0], indices=memory[:0], indptr=memory[500:2500]),
    ]


def _with_flags() -> Made:
    made = rows("csr_array", (2, 5), [1, 2, 3], [4, 4, 0], [0, 2, 3])
    flags = {"_has_sorted_indices": True, "_has_canonical_format": True, "has_canonical_format": True}
    return Made(
        made.name, {**made.state, **flags, "maxprint": 10**9, "__array_interface__": 5, "dtype": "f8"}
    )


def _other_order(dtype: str) -> Made:
    return rows("csr_array", (2, 5), np.array([1, 2, 3], dtype), [4, 1, 0], [0, 2, 3])


def _no_strides() -> Made:
    return rows("csr_array", (2, 5), np.broadcast_to(np.ones(1), (3,)), [4, 1, 0], [0, 2, 3])


# -- torch -----------------------------------------------------------------------------------------------

_ADDRESS: Final = {"data": (0x4141414141, False), "shape": (1 << 20,), "typestr": "|u1", "version": 3}
HOOKS: Final = (
    *(
        "__array_interface__",
        "__array_struct__",
        "__cuda_array_interface__",
        "__array_priority__",
        "__dlpack__",
    ),
    *(
        "__array__",
        "__dataframe__",
        "__torch_function__",
        "__buffer__",
        "__class__",
        "__getattr__",
        "__dask_graph__",
    ),
    *("_as_parameter_", "_repr_html_", "_ipython_display_", "_repr_mimebundle_", "_sympy_", "_typ", "_data"),
    *("data", "grad", "numpy", "_backward_hooks", "", "a b", "mro", "__x"),
)


def torch_rows() -> list[Hostile]:
    values = np.arange(300.0)

    def tensor(*more: Any) -> Any:
        return (values.view("<i8"), "float64", False, False, False)

    def having(name: Any, value: Any = _ADDRESS) -> Made:
        return Made("torch.Tensor", ("with", tensor(), {name: value}))

    def parameter(name: Any) -> Made:
        return Made("torch.nn.Parameter", (Made("torch.Tensor", tensor()), True, {name: _ADDRESS}))

    def one(what: str, make: Callable[[], Any], refused: bool = True, change: Any = None) -> Hostile:
        return Hostile(what, make, refused, change)

    return [
        *(one(f"Tensor: the attribute {name!r}", lambda name=name: having(name)) for name in HOOKS),
        *(one(f"Parameter: the attribute {name!r}", lambda name=name: parameter(name)) for name in HOOKS),
        *_layouts(),
        *(
            Hostile(f"dtype: {name}", lambda name=name: Made("torch.dtype", (name,)))
            for name in ("_dynamo", "_inductor", "nn", "Tensor", "float31")
        ),
        Hostile("dtype: float32", lambda: Made("torch.dtype", ("float32",)), False),
        one("Tensor: an attribute that is no name", lambda: having(5)),
        one("Tensor: an attribute that is no plain data", lambda: having("other", [np.dtype("i4")])),
        one("Tensor: attributes of plain data", lambda: having("_is_mark", [1, {"a": np.arange(3)}]), False),
    ]


def _layouts() -> list[Hostile]:
    def tensor(array: Any, name: str = "int64") -> Made:
        return Made("torch.Tensor", (np.ascontiguousarray(array), name, False, False, False))

    def of(values: Any, dtype: Any = "i8") -> Made:
        return tensor(np.array(values, dtype))

    def real(values: Any) -> Made:
        return tensor(np.array(values, float).view("i8"), "float64")

    def coo(shape: Any, indices: Any, values: Any, coalesced: bool = False) -> Made:
        return Made("torch.Tensor", ("coo", shape, of(indices), real(values), coalesced, False))

    def by(word: str, shape: Any, rows: Any, columns: Any, values: Any, dtype: Any = "i8") -> Made:
        return Made("torch.Tensor", (word, shape, of(rows, dtype), of(columns, dtype), real(values), False))

    def write(parts: Any) -> None:
        for part in parts if isinstance(parts, list) else ():
            if part.layout.__str__() == "torch.strided":
                part.fill_(1 << 40)

    def shared(word: str) -> Any:
        many = np.zeros(1000, np.int64) + np.arange(1000)
        rows = tensor(np.arange(1001, dtype=np.int64))
        columns = tensor(many)
        if word == "coo":
            sparse = Made(
                "torch.Tensor", (word, (1000,), tensor(many.reshape(1, -1)), real(many), True, False)
            )
        else:
            sparse = Made("torch.Tensor", (word, (1000, 1000), rows, columns, real(many), False))
        return [rows, columns, tensor(many), sparse]

    def of_storage(shape: Any, name: str) -> Made:
        return Made(
            "torch.Tensor",
            ("of", Made("torch.UntypedStorage", (np.zeros(1000, "u1"),)), shape, name, False, False, False),
        )

    far = 1 << 40
    return [
        Hostile("coo: a place out of range", lambda: coo((2, 2), [[0, 2], [0, 1]], [1, 2])),
        Hostile("coo: a negative place", lambda: coo((2, 2), [[0, -1], [0, 1]], [1, 2])),
        Hostile("coo: fewer places than values", lambda: coo((2, 2), [[0], [0]], [1, 2])),
        Hostile("coo: coalesced, out of order", lambda: coo((2, 2), [[1, 0], [0, 1]], [1, 2], True)),
        Hostile("coo: coalesced, twice", lambda: coo((2, 2), [[1, 1], [0, 0]], [1, 2], True)),
        Hostile("coo: more axes than the shape", lambda: coo((2,), [[0, 1], [0, 1]], [1, 2])),
        Hostile(
            "coo: a shape that no memory holds", lambda: coo((far - 1, far - 1), [[0, 1], [0, 1]], [1, 2])
        ),
        Hostile("coo: indices that are written to", lambda: shared("coo"), False, write),
        *(
            Hostile(f"{word}: {what}", lambda word=word, args=args: by(word, *args))
            for word in ("csr", "csc")
            for what, args in {
                "a far start where nothing is": ((2, 2), [0, far, 0], [], []),
                "a start beyond": ((2, 2), [0, far, 2], [0, 1], [1, 2]),
                "starts going back": ((2, 2), [0, 2, 1], [0, 1], [1, 2]),
                "a first start that is not 0": ((2, 2), [1, 1, 2], [0, 1], [1, 2]),
                "a place out of range": ((2, 2), [0, 1, 2], [0, 2], [1, 2]),
                "a negative place": ((2, 2), [0, 1, 2], [0, -1], [1, 2]),
                "too few starts": ((2, 2), [0, 2], [0, 1], [1, 2]),
                "fewer values than places": ((2, 2), [0, 1, 2], [0, 1], [1]),
                "one axis": ((2,), [0, 1, 2], [0, 1], [1, 2]),
                "starts of no axes": ((2, 2), 0, [0, 1], [1, 2]),
                "batches of other numbers": ((2, 2, 2), [[0, 1, 2]] * 2, [[0, 1]], [[1, 2]] * 2),
            }.items()
        ),
        Hostile("csr: starts that wrap", lambda: by("csr", (2, 2), [0, 1 << 31, 2], [0, 1], [1, 2], "u4")),
        Hostile("bsr: blocks without rows", lambda: by("bsr", (4, 4), [0, 1, 2], [0, 1], np.ones((2, 0, 2)))),
        Hostile(
            "bsr: a place out of range", lambda: by("bsr", (4, 4), [0, 1, 2], [0, 2], np.ones((2, 2, 2)))
        ),
        Hostile(
            "bsr: blocks that do not fit", lambda: by("bsr", (5, 4), [0, 1, 2], [0, 1], np.ones((2, 2, 2)))
        ),
        *(
            Hostile(f"{word}: indices that are written to", lambda word=word: shared(word), False, write)
            for word in ("csr", "csc")
        ),
        Hostile(
            "quantized: a scale that is none",
            lambda: Made("torch.Tensor", ("quantized", np.zeros(9, "u1"), "quint8", float("nan"), 0)),
            False,
        ),
        Hostile(
            "quantized: a zero point out of range",
            lambda: Made("torch.Tensor", ("quantized", np.zeros(9, "u1"), "quint8", 0.0, 1 << 62)),
            False,
        ),
        Hostile(
            "meta: a shape that no memory holds",
            lambda: Made("torch.Tensor", ("meta", (1 << 39,) * 3, (0,) * 3, "float32", False)),
        ),
        *(
            Hostile(f"Tensor: a storage and {what}", lambda args=args: of_storage(*args))
            for what, args in {
                "a larger shape": ((1001,), "uint8"),
                "a wider dtype": ((1000,), "int64"),
                "a shape that wraps": ((1 << 61, 1 << 61, 1000), "int64"),
                "a negative shape": ((-10, -100), "uint8"),
                "no shape": (None, "uint8"),
                "a dtype that is none": ((1000,), "quint8"),
            }.items()
        ),
        Hostile(
            "Tensor: an array for a storage",
            lambda: Made("torch.Tensor", ("of", np.zeros(1000, "u1"), (1000,), "uint8", False, False, False)),
        ),
        Hostile("Tensor: no elements of many axes", lambda: tensor(np.empty((0, 1 << 30, 1 << 20)))),
        Hostile(
            "storage: bytes that are a tensor, too",
            lambda: [Made("torch.UntypedStorage", (np.zeros(2000, "u1"),))],
            False,
        ),
    ]


# -- pyarrow, and polars, which trusts what pyarrow has checked ------------------------------------------------

GARBAGE: Final = b"\xff" * 16
FAR: Final = (1 << 31) - 1


def node(
    length: int, *buffers: Any, children: Any = (), words: Any = None, offset: int = 0, nulls: int = -1
) -> Any:
    return length, nulls, offset, buffers, children, words


def numbers(*values: int, dtype: str = "<i4") -> bytes:
    return np.array(values, dtype).tobytes()


def view(text: bytes, buffer: int = 0, offset: int = 0, size: int | None = None) -> bytes:
    size = len(text) if size is None else size
    if size <= 12:
        return numbers(size) + text.ljust(12, b"\0")
    return numbers(size) + text[:4] + numbers(buffer, offset)


def arrow_rows() -> list[Hostile]:
    """List nodes of every layout: what Arrow takes without a look, and what those do that trust Arrow."""
    import pyarrow as pa

    from canning.types.libraries.arrow_schemas import text_of_type

    long = b"a text of more than twelve bytes"
    ints = node(3, None, numbers(1, 2, 3))
    words = node(2, None, numbers(0, 1, 2), b"ab")

    def of(kind: Any, made: Any) -> Made:
        return Made("pyarrow.Array", (text_of_type(kind), made))

    def bad(what: str, kind: Any, *args: Any, **more: Any) -> Hostile:
        return Hostile(f"{kind}: {what}", lambda: of(kind, node(*args, **more)))

    def fine(what: str, kind: Any, *args: Any, **more: Any) -> Hostile:
        return Hostile(f"{kind}: {what}", lambda: of(kind, node(*args, **more)), False)

    one = b"\x01"  # of two elements the first is there
    texts = (pa.string(), pa.binary(), pa.large_string(), pa.large_binary())
    lists = (pa.list_(pa.int32()), pa.large_list(pa.int32()), pa.map_(pa.int32(), pa.int32()))
    views, list_views = (
        (pa.string_view(), pa.binary_view()),
        (pa.list_view(pa.int32()), pa.large_list_view(pa.int32())),
    )
    codes = pa.dictionary(pa.int8(), pa.string())
    union = (
        pa.sparse_union([pa.field("a", pa.int32()), pa.field("b", pa.int32())], [0, 5]),
        pa.dense_union([pa.field("a", pa.int32()), pa.field("b", pa.int32())], [0, 5]),
    )
    runs = pa.run_end_encoded(pa.int32(), pa.int32())
    entries = node(3, None, children=(ints, ints))

    def width(kind: Any) -> str:
        return "<i8" if "large" in str(kind) else "<i4"

    def below(kind: Any) -> Any:
        return (entries,) if kind == lists[2] else (ints,)

    return [
        *(
            bad("too short", kind, 9, None, numbers(1, 2))
            for kind in (pa.int32(), pa.float64(), pa.date32(), pa.binary(4))
        ),
        *(
            bad("bits too short", kind, 99, b"\1", bytes(99 * 16))
            for kind in (pa.int32(), pa.bool_(), pa.decimal128(9), pa.binary(4))
        ),
        *(
            bad("no values", kind, 3, None, None)
            for kind in (pa.int32(), pa.bool_(), pa.time32("s"), pa.binary(4))
        ),
        *(bad("no length", kind, -1, None, b"") for kind in (pa.int32(), pa.bool_())),
        bad("a length that wraps", pa.int64(), (1 << 47), None, numbers(1, 2)),
        bad("an offset beyond", pa.int32(), 3, None, numbers(1, 2, 3), offset=7),
        *(
            bad("a size of the day that there is not", kind, 1, None, bytes([255]) * (kind.bit_width // 8))
            for kind in (pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"))
        ),
        bad("no whole day", pa.date64(), 1, None, numbers(5, dtype="<i8")),
        *(
            bad("more digits than it has", kind, 1, None, b"\x7f" * (kind.bit_width // 8))
            for kind in (pa.decimal128(5, 2), pa.decimal256(5, 2), pa.decimal32(5, 2), pa.decimal64(5, 2))
        ),
        *(
            bad("times far away", kind, 1, None, b"\xff" * (kind.bit_width // 8 - 1) + sign)
            for kind in (
                pa.date32(),
                pa.timestamp("s"),
                pa.timestamp("us", "Europe/Berlin"),
                pa.duration("s"),
                pa.duration("ms"),
            )
            for sign in (b"\x7f", b"\x80")
        ),
        *(
            fine("times far away", kind, 1, None, b"\xff" * (kind.bit_width // 8 - 1) + sign)
            for kind in (pa.timestamp("ns", "Europe/Berlin"), pa.duration("us"), pa.month_day_nano_interval())
            for sign in (b"\x7f", b"\x80")
        ),
        *(
            fine(
                "times far away where they are missing",
                kind,
                2,
                one,
                bytes(kind.bit_width // 8) + b"\xff" * (kind.bit_width // 8 - 1) + b"\x7f",
            )
            for kind in (
                pa.date32(),
                pa.timestamp("s"),
                pa.timestamp("us", "Europe/Berlin"),
                pa.duration("ms"),
            )
        ),
        fine("a zone that is none", pa.timestamp("us", "No/Where"), 1, None, numbers(5, dtype="<i8")),
        *(
            bad("an offset beyond the text", kind, 1, None, numbers(0, FAR, dtype=width(kind)), b"abc")
            for kind in texts
        ),
        *(
            bad("a negative offset", kind, 1, None, numbers(-5, 2, dtype=width(kind)), b"abc")
            for kind in texts
        ),
        *(
            bad("offsets going back", kind, 2, None, numbers(0, 3, 1, dtype=width(kind)), b"abc")
            for kind in texts
        ),
        *(
            bad(
                "garbage offsets where it is missing",
                kind,
                2,
                one,
                numbers(0, 1, FAR, dtype=width(kind)),
                b"abc",
            )
            for kind in texts
        ),
        *(bad("too few offsets", kind, 9, None, numbers(0, 1, dtype=width(kind)), b"abc") for kind in texts),
        *(bad("no offsets", kind, 2, None, None, b"abc") for kind in texts),
        *(bad("no text", kind, 1, None, numbers(0, 3, dtype=width(kind)), None) for kind in texts),
        *(
            bad("no text, but bytes", kind, 1, None, numbers(0, 2, dtype=width(kind)), b"\xff\xfe")
            for kind in (texts[0], texts[2])
        ),
        *(
            bad("no text where it is missing", kind, 2, one, numbers(0, 0, 2, dtype=width(kind)), b"\xff\xfe")
            for kind in (texts[0], texts[2])
        ),
        *(
            bad("half of a letter", kind, 2, None, numbers(0, 1, 2, dtype=width(kind)), "ä".encode())
            for kind in (texts[0], texts[2])
        ),
        *(
            bad(
                "an offset beyond the items",
                kind,
                1,
                None,
                numbers(0, 9, dtype=width(kind)),
                children=below(kind),
            )
            for kind in lists
        ),
        *(
            bad("a negative offset", kind, 1, None, numbers(-1, 2, dtype=width(kind)), children=below(kind))
            for kind in lists
        ),
        *(
            bad(
                "offsets going back", kind, 2, None, numbers(0, 3, 1, dtype=width(kind)), children=below(kind)
            )
            for kind in lists
        ),
        *(
            bad(
                "garbage offsets where it is missing",
                kind,
                2,
                one,
                numbers(0, 1, FAR, dtype=width(kind)),
                children=below(kind),
            )
            for kind in lists
        ),
        *(bad("no items", kind, 1, None, numbers(0, 1, dtype=width(kind))) for kind in lists),
        bad(
            "keys that are missing",
            lists[2],
            1,
            None,
            numbers(0, 2),
            children=(node(2, None, children=(node(2, one, numbers(1, 2)), ints)),),
        ),
        *(bad("a view of another buffer", kind, 1, None, view(long, 1), long) for kind in views),
        *(bad("a view of a negative buffer", kind, 1, None, view(long, -1), long) for kind in views),
        *(bad("a view beyond its text", kind, 1, None, view(long, 0, 5), long) for kind in views),
        *(bad("a view at a negative offset", kind, 1, None, view(long, 0, -9), long) for kind in views),
        *(bad("a view of no buffer", kind, 1, None, view(long)) for kind in views),
        *(bad("a view of another beginning", kind, 1, None, view(b"b" + long[1:]), long) for kind in views),
        *(
            bad("a view of negative size", kind, 1, None, view(long, size=-1) + bytes(16), long)
            for kind in views
        ),
        *(
            bad("a short view with more behind", kind, 1, None, numbers(2) + b"abcdefghijkl")
            for kind in views
        ),
        *(bad("too few views", kind, 3, None, view(long), long) for kind in views),
        *(bad("no views", kind, 3, None, None, long) for kind in views),
        *(fine("garbage where it is missing", kind, 2, one, view(long) + GARBAGE, long) for kind in views),
        *(
            fine(
                "another buffer where it is missing", kind, 2, one, view(long) + view(long, 7, 1 << 20), long
            )
            for kind in views
        ),
        *(
            fine("garbage before it begins", kind, 2, b"\xff", GARBAGE * 3 + view(long) * 2, long, offset=3)
            for kind in views
        ),
        bad("bytes that are no text", views[0], 1, None, view(b"\xff\xfe" * 8), b"\xff\xfe" * 8),
        bad("bytes that are no text, short", views[0], 1, None, view(b"\xff\xfe")),
        *(
            bad(
                "beyond its items",
                kind,
                1,
                None,
                numbers(1, dtype=width(kind)),
                numbers(3, dtype=width(kind)),
                children=(ints,),
            )
            for kind in list_views
        ),
        *(
            bad(
                "a negative size",
                kind,
                1,
                None,
                numbers(1, dtype=width(kind)),
                numbers(-1, dtype=width(kind)),
                children=(ints,),
            )
            for kind in list_views
        ),
        *(
            bad(
                "a negative offset",
                kind,
                1,
                None,
                numbers(-1, dtype=width(kind)),
                numbers(1, dtype=width(kind)),
                children=(ints,),
            )
            for kind in list_views
        ),
        *(
            bad(
                "too few sizes",
                kind,
                2,
                None,
                numbers(0, 0, dtype=width(kind)),
                numbers(1, dtype=width(kind)),
                children=(ints,),
            )
            for kind in list_views
        ),
        *(
            fine(
                "garbage where it is missing",
                kind,
                2,
                one,
                numbers(0, FAR, dtype=width(kind)),
                numbers(1, FAR, dtype=width(kind)),
                children=(ints,),
            )
            for kind in list_views
        ),
        *(
            fine(
                "lists that overlap",
                kind,
                2,
                None,
                numbers(0, 0, dtype=width(kind)),
                numbers(3, 3, dtype=width(kind)),
                children=(ints,),
            )
            for kind in list_views
        ),
        bad("a code beyond the words", codes, 1, None, b"\x02", words=words),
        bad("a negative code", codes, 1, None, b"\xff", words=words),
        bad("words that are wrong", codes, 1, None, b"\0", words=node(2, None, numbers(0, 9, 9), b"ab")),
        bad("no words", codes, 1, None, b"\0"),
        bad("codes and no words", codes, 1, None, b"\0", words=node(0, None, numbers(0), b"")),
        bad("too few codes", codes, 9, None, b"\0", words=words),
        fine("a garbage code where it is missing", codes, 2, one, b"\0\x7f", words=words),
        fine("a negative code where it is missing", codes, 2, one, b"\0\x80", words=words),
        fine(
            "a code and no words, where it is missing",
            codes,
            1,
            b"\0",
            b"\x05",
            words=node(0, None, numbers(0), b""),
        ),
        fine("words that are missing", codes, 2, None, b"\0\1", words=node(2, one, numbers(0, 1, 1), b"a")),
        fine("words twice", codes, 2, None, b"\0\1", words=node(2, None, numbers(0, 1, 2), b"aa")),
        bad("a code that wraps", pa.dictionary(pa.uint64(), pa.string()), 1, None, b"\xff" * 8, words=words),
        *(
            bad("another type", kind, 1, b"\3", *extra, children=(ints, ints))
            for kind, extra in zip(union, ((), (numbers(0),)), strict=True)
        ),
        *(
            bad("a negative type", kind, 1, None, b"\xff", *extra, children=(ints, ints))
            for kind, extra in zip(union, ((), (numbers(0),)), strict=True)
        ),
        *(
            bad("bits of what is missing", kind, 1, one, b"\0", *extra, children=(ints, ints))
            for kind, extra in zip(union, ((), (numbers(0),)), strict=True)
        ),
        *(
            bad("too few types", kind, 3, None, b"\0", *extra, children=(ints, ints))
            for kind, extra in zip(union, ((), (numbers(0, 1, 2),)), strict=True)
        ),
        bad("parts that are too short", union[0], 9, None, b"\0" * 9, children=(ints, ints)),
        bad("a place beyond its part", union[1], 1, None, b"\0", numbers(3), children=(ints, ints)),
        bad("a negative place", union[1], 1, None, b"\5", numbers(-1), children=(ints, ints)),
        bad("too few places", union[1], 3, None, b"\0\0\0", numbers(1), children=(ints, ints)),
        bad("runs that end before it does", runs, 9, None, children=(ints, ints)),
        bad("runs going back", runs, 3, None, children=(node(3, None, numbers(1, 0, 3)), ints)),
        bad(
            "a run that ends where it begins", runs, 3, None, children=(node(3, None, numbers(0, 1, 3)), ints)
        ),
        bad("a run that ends nowhere", runs, 3, None, children=(node(3, b"\5", numbers(1, 2, 3)), ints)),
        bad("fewer values than runs", runs, 3, None, children=(ints, node(2, None, numbers(1, 2)))),
        bad(
            "more elements than there is anything",
            runs,
            FAR,
            None,
            children=(node(1, None, numbers(FAR)), node(1, None, numbers(1))),
        ),
        bad("more elements than there is anything", pa.null(), 1 << 40, None),
        bad("more elements than there is anything", pa.struct([]), 1 << 40, None),
        bad(
            "more elements than there is anything",
            pa.list_(pa.int8(), 0),
            1 << 40,
            None,
            children=(node(0, None, b""),),
        ),
        bad("more elements than there is anything", pa.binary(0), 1 << 40, None, b""),
        bad("parts that are too short", pa.struct([("a", pa.int32())]), 9, None, children=(ints,)),
        bad("a size that wraps", pa.list_(pa.int32(), 1 << 30), 1 << 30, None, children=(ints,)),
        bad("items that are too few", pa.list_(pa.int32(), 2), 3, None, children=(ints,)),
        bad("children of numbers", pa.int32(), 3, None, numbers(1, 2, 3), children=(ints,)),
        bad("words of numbers", pa.int32(), 3, None, numbers(1, 2, 3), words=words),
        bad("more buffers than it has", pa.int32(), 3, None, numbers(1, 2, 3), numbers(1)),
        bad("fewer buffers than it has", pa.string(), 0, None),
        fine("nothing", pa.string(), 0, None, None, None),
        fine("nothing", pa.list_(pa.int32()), 0, None, None, children=(node(0, None, None),)),
        fine("text that is missing, and none at all", pa.string_view(), 1, b"\0", GARBAGE),
        *_shared_buffers(of),
        *_schemas_by_hand(),
    ]


def _shared_buffers(of: Any) -> list[Hostile]:
    """List arrays whose buffers are numpy's, too, which are written to after they were checked."""
    import pyarrow as pa

    def write(parts: Any) -> None:
        for part in parts:
            if isinstance(part, np.ndarray):
                part.view("u1")[...] = 0xF7

    count = 1200
    memory = {
        "offsets": np.arange(count + 1, dtype="<i4"),
        "places": np.arange(count, dtype="<i4"),
        "codes": np.zeros(count, "i1"),
        "views": np.frombuffer(view(b"a text of more than twelve bytes") * count, "u1").copy(),
        "bits": np.full(count, 255, "u1"),
        "times": np.zeros(count, "<i8"),
    }
    text = np.full(count, ord("a"), "u1")
    ints, items = node(count, None, np.zeros(count, "<i4")), node(count, None, np.zeros(count, "<i4"))
    kinds: list[tuple[str, Any, Any]] = [
        ("offsets", pa.string(), node(count, None, "offsets", text)),
        ("offsets", pa.list_(pa.int32()), node(count, None, "offsets", children=(ints,))),
        ("views", pa.string_view(), node(count, None, "views", b"a text of more than twelve bytes")),
        (
            "codes",
            pa.dictionary(pa.int8(), pa.string()),
            node(count, None, "codes", words=node(1, None, numbers(0, 1), b"a")),
        ),
        (
            "places",
            pa.dense_union([pa.field("a", pa.int32())], [0]),
            node(count, None, bytes(count), "places", children=(ints,)),
        ),
        (
            "codes",
            pa.dense_union([pa.field("a", pa.int32())], [0]),
            node(count, None, "codes", memory["places"].tobytes(), children=(ints,)),
        ),
        (
            "places",
            pa.list_view(pa.int32()),
            node(count, None, "places", numbers(*[1] * count), children=(ints,)),
        ),
        (
            "offsets",
            pa.run_end_encoded(pa.int32(), pa.int32()),
            node(count, None, children=(node(count, None, "ends"), items)),
        ),
        ("bits", pa.int32(), node(count, "bits", np.zeros(count, "<i4"))),
        ("times", pa.time64("ns"), node(count, None, "times")),
    ]

    def put(part: Any, array: Any) -> Any:
        if type(part) is tuple:
            return tuple(put(item, array) for item in part)
        if type(part) is str:
            return array[1:] if part == "ends" else array
        return part

    return [
        Hostile(
            f"{kind}: {name} that are written to",
            lambda name=name, kind=kind, made=made: _both(of, kind, made, memory[name].copy(), put),
            False,
            write,
        )
        for name, kind, made in kinds
    ]


def _both(of: Any, kind: Any, made: Any, array: Any, put: Any) -> Any:
    return [array, of(kind, put(made, array))]


def _schemas_by_hand() -> list[Hostile]:
    import pyarrow as pa

    def of(schema: bytes, *nodes: Any) -> Made:
        return Made("pyarrow.Table", (schema, 3, [[one] for one in nodes]))

    text = pa.schema([("a", pa.int32())]).serialize().to_pybytes()
    ints = node(3, None, numbers(1, 2, 3))
    return [
        Hostile("Table: a column of another length", lambda: of(text, node(2, None, numbers(1, 2)))),
        Hostile("Table: more columns than it has", lambda: of(text, ints, ints)),
        Hostile(
            "Table: no columns, and endless rows",
            lambda: Made("pyarrow.Table", (pa.schema([]).serialize().to_pybytes(), 1 << 40, [])),
        ),
        Hostile("Buffer: addresses", lambda: Made("pyarrow.Buffer", (np.array([[], {}], object),))),
        Hostile("Buffer: structures", lambda: Made("pyarrow.Buffer", (np.zeros(2, "i4,i4"),))),
        Hostile("Tensor: no axes", lambda: Made("pyarrow.Tensor", (np.array(5.0), ()))),
        Hostile(
            "Tensor: the other byte order", lambda: Made("pyarrow.Tensor", (np.arange(5.0).astype(">f8"), ()))
        ),
        Hostile("Tensor: names of other axes", lambda: Made("pyarrow.Tensor", (np.arange(5.0), ("a", "b")))),
        Hostile("Schema: one field many times", lambda: Made("pyarrow.Schema", (_named_again(),))),
        Hostile("Schema: many fields", lambda: Made("pyarrow.Schema", (_of_many(),)), False),
        Hostile("Table: a schema that is none", lambda: of(b"\xff" * 40, ints)),
    ]


def _of_many() -> bytes:
    import pyarrow as pa

    fields = [pa.field("x" * 10_000, pa.int8()), *[pa.field("", pa.timestamp("s", "UTC"))] * 50]
    text: bytes = pa.schema(fields, metadata={"a": "b"}).serialize().to_pybytes()
    return text


def _named_again() -> bytes:
    """Let a schema name its first field, which has a long name, in the place of all others."""
    text = bytearray(_of_many())
    vector = text.index(struct.pack("<I", 51))
    first = vector + 4 + struct.unpack_from("<I", text, vector + 4)[0]
    for place in range(vector + 4, vector + 4 + 4 * 51, 4):
        struct.pack_into("<I", text, place, first - place)
    return bytes(text)


def polars_rows() -> list[Hostile]:
    """List frames of all that Arrow has rows for, and what polars has besides."""
    import pyarrow as pa

    from canning.types.libraries.arrow_schemas import text_of

    def frame(row: Hostile) -> Any:
        made = row.make()
        if not isinstance(made, Made) or made.name != "pyarrow.Array":
            return None
        kind = pa.ipc.read_schema(pa.py_buffer(made.state[0])).field(0).type
        text = text_of(pa.schema([pa.field("a", kind)]))
        return Made(
            "polars.DataFrame", (Made("pyarrow.Table", (text, made.state[1][0], [[made.state[1]]])), {})
        )

    def of(table: Any, words: Any, *lists: Any, name: str = "DataFrame") -> Made:
        return Made(f"polars.{name}", (table, words, *lists))

    codes = pa.table({"a": pa.array(["x", "y", None]).dictionary_encode()})
    numbers = pa.table({"a": [1, 2, 3]})
    own = pa.schema([pa.field("a", codes.schema.field(0).type, metadata={"_PL_ENUM_VALUES2": "1;x"})])
    listed = pa.table(
        {
            "a": pa.array(
                [["x"]],
                pa.list_(
                    pa.field("b", pa.dictionary(pa.int8(), pa.string()), metadata={"_PL_CATEGORICAL": "0"})
                ),
            )
        }
    )
    through = [
        Hostile(row.what, lambda row=row: frame(row), row.refused or "No/Where" in row.what)
        for row in arrow_rows()
        if frame(row) is not None and not any(word in row.what for word in _UNKNOWN_TO_POLARS)
    ]
    return [
        *through,
        Hostile("Enum: words that it does not have", lambda: of(codes, {0: ["x"]})),
        Hostile("Enum: words twice", lambda: of(codes, {0: ["x", "y", "x"]})),
        Hostile("Enum: words that are no text", lambda: of(codes, {0: ["x", 5]})),
        Hostile("Enum: a word with NUL", lambda: of(codes, {0: ["x", "y", "a\0b"]})),
        Hostile("Enum: of a column that there is not", lambda: of(codes, {1: ["x", "y"]})),
        Hostile("Enum: of a column by its name", lambda: of(codes, {"a": ["x", "y"]})),
        Hostile("Enum: of a column of numbers", lambda: of(numbers, {0: ["x", "y"]})),
        Hostile("Enum: in another order", lambda: of(codes, {0: ["y", "z", "x"]}), False),
        Hostile("Enum: in what polars keeps for itself", lambda: of(codes.cast(own), {}), False),
        Hostile("Enum: within lists", lambda: of(listed, {})),
        Hostile("Categories: of a type that codes are not", lambda: of(codes, {0: ("name", "", "Object")})),
        Hostile("Categories: without a name", lambda: of(codes, {0: ("", "", "UInt32")})),
        Hostile("Categories: a name with NUL", lambda: of(codes, {0: ("a\0;", "b\0", "UInt8")}), False),
        Hostile("a name with NUL", lambda: of(pa.table({"a\0b": [1]}), {})),
        Hostile("Series: a name with NUL", lambda: of(pa.table({"a": [1]}), {}, "a\0b", name="Series")),
        Hostile("columns of one name", lambda: of(pa.table([[1], [2]], ["a", "a"]), {})),
        Hostile(
            "no columns, and endless rows",
            lambda: of(Made("pyarrow.Table", (pa.schema([]).serialize().to_pybytes(), 1 << 40, [])), {}),
        ),
        Hostile("Object: of another length", lambda: of(numbers, {}, [(0, "Object", [1]), ["o", "a"]])),
        Hostile(
            "Object: what cannot be hashed", lambda: of(numbers, {}, [(0, "Object", [[]] * 3), ["o", "a"]])
        ),
        Hostile("Int128: of something else", lambda: of(numbers, {}, [(0, "Int128", [[]] * 3), ["o", "a"]])),
        Hostile(
            "Int128: beyond its bits", lambda: of(numbers, {}, [(0, "Int128", [1 << 200] * 3), ["o", "a"]])
        ),
        Hostile("Series: of two columns", lambda: of(pa.table({"a": [1], "b": [1]}), {}, "a", name="Series")),
    ]


# -- pandas ----------------------------------------------------------------------------------------------


def pandas_rows() -> list[Hostile]:
    """List cells that numpy takes for an address where a label names the protocol, and texts that are parsed."""
    import collections

    import pandas as pd

    labels = pd.Index(["__array_interface__", "x"])
    ordered = collections.OrderedDict(_ADDRESS)
    objects = np.array([_ADDRESS, 1], object)

    def series(values: Any) -> Made:
        return Made("pandas.Series", (values, labels, None))

    def dtype(text: str) -> Made:
        return Made("pandas.api.extensions.ExtensionDtype", text)

    def period(text: str) -> Made:
        return Made("pandas.Period", (1, text))

    return [
        Hostile("Series: an interface", lambda: series(("O", (2,), [_ADDRESS, 1]))),
        Hostile("Series: an interface in order", lambda: series(("O", (2,), [ordered, 1]))),
        Hostile("Series: an interface in an array", lambda: series(objects)),
        Hostile(
            "Series: an interface in an array of pandas",
            lambda: series(Made("pandas.arrays.NumpyExtensionArray", (objects,))),
        ),
        Hostile(
            "DataFrame: an interface in a row",
            lambda: Made(
                "pandas.DataFrame",
                ([(0, 2, 1, ("O", (2, 1), [_ADDRESS, 1]))], pd.RangeIndex(1), labels),
            ),
        ),
        Hostile("Series: a dict that is none", lambda: series(("O", (2,), [{"data": 1}, 1])), False),
        *(
            Hostile(f"dtype: {text}", lambda text=text: dtype(text))
            for text in (
                "interval[datetime64[ns, dateutil//etc/passwd], right]",
                "Sparse[datetime64[ns, dateutil//etc/passwd]]",
                "interval[datetime64[ns, dateutil/Europe/Berlin], right]",
                "interval[interval[int64]]",
                "category",
                "object",
            )
        ),
        *(
            Hostile(f"dtype: {text}", lambda text=text: dtype(text), False)
            for text in (
                *("Int8", "Float64", "boolean", "interval", "interval[int64, both]"),
                *("interval[datetime64[us, Europe/Berlin], right]", "Sparse[float64, nan]", "period[W-MON]"),
            )
        ),
        *(
            Hostile(
                f"{what}: a label twice of {pd.Index(twice).dtype}",
                lambda make=make, twice=twice: make(pd.Index(twice)),
            )
            for what, make in {
                "Categorical": lambda twice: Made("pandas.Categorical", (np.zeros(1, "i1"), twice, False)),
                "CategoricalDtype": lambda twice: Made("pandas.CategoricalDtype", (twice, False)),
                "MultiIndex": lambda twice: Made(
                    "pandas.MultiIndex", ([twice], [np.zeros(1, "i1")], [None], None)
                ),
                "Series": lambda twice: Made("pandas.Series", (np.zeros(3), twice, None, {}, True)),
            }.items()
            for twice in (
                [2, 1, 2],
                ["b", "a", "b"],
                pd.array([2, 1, 2], "Int8"),
                pd.PeriodIndex(["2020"] * 3, freq="Y"),
            )
        ),
        Hostile(
            "MultiIndex: an order that it has not",
            lambda: Made("pandas.MultiIndex", ([pd.Index([1, 2])], [np.array([1, 0], "i1")], [None], 1)),
        ),
        Hostile("Period: many frequencies", lambda: [period("0.0000001D" * 6) for _ in range(1000)]),
    ]


_UNKNOWN_TO_POLARS: Final = ("union", "month_day", "decimal256", "list_view", "decimal32", "decimal64")


ROWS: Final[dict[str, Callable[[], list[Hostile]]]] = {
    "scipy": scipy_rows,
    "pandas": pandas_rows,
    "torch": torch_rows,
    "pyarrow": arrow_rows,
    "polars": polars_rows,
    **MORE,
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(rows_of(sys.argv[1]))
