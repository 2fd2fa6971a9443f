"""Rows for `tests.hostile`: what a stranger may make up of other libraries' objects."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from .hostile import Hostile, Made, run

Rows = dict[str, Hostile]


def rows_of(package: str) -> Rows:
    """List the rows of a package, by their names, and import it."""
    importlib.import_module(package)
    return {row.what: row for row in ROWS[package]()}


# -- scipy -----------------------------------------------------------------------------------------------

I4: Final = np.int32


def sparse(name: str, shape: Any, **fields: Any) -> Made:
    return Made(f"scipy.sparse.{name}", {"_shape": shape, **fields})


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
        one("Tensor: an attribute that is no name", lambda: having(5)),
        one("Tensor: an attribute that is no plain data", lambda: having("other", [np.dtype("i4")])),
        one("Tensor: attributes of plain data", lambda: having("_is_mark", [1, {"a": np.arange(3)}]), False),
    ]


ROWS: Final[dict[str, Callable[[], list[Hostile]]]] = {"scipy": scipy_rows, "torch": torch_rows}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    run(rows_of(sys.argv[1]))
