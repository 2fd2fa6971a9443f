"""Every dtype of numpy 2, and of packages that bring their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canning import Serializer, deserialize_object, serialize_object
from canning.memory.dtypes import build, describe

from . import strategies
from .harness import check_round_trip, compare_dtype
from .samples import MyRecord
from .strategies import FOREIGN, GENERIC, NUMBERS, UNITS, filled, quiet

NESTED = np.dtype([("x", ">f4"), ("y", [("a", "U3"), ("b", "?")])])

STRUCTURED = {
    "packed": np.dtype([("a", "i1"), ("b", "f8")]),
    "aligned": np.dtype([("a", "i1"), ("b", "f8")], align=True),
    "nested": NESTED,
    "nested sub-array": np.dtype([("n", NESTED, (2, 3)), ("m", "u2", 2)]),
    "titled": np.dtype([(("the first", "a"), "i4"), (("the second", "b"), "f8")]),
    "one titled": np.dtype([(("the first", "a"), "i4"), ("b", "f8")]),
    "padded": np.dtype({"names": ["a", "b"], "formats": ["i4", "f8"], "offsets": [3, 20], "itemsize": 40}),
    "reordered": np.dtype({"names": ["a", "b"], "formats": ["i4", "i4"], "offsets": [4, 0]}),
    "overlapping": np.dtype({"names": ["all", "low"], "formats": ["u8", "u4"], "offsets": [0, 0]}),
    "some fields": np.dtype([("a", "i4"), ("b", "f8"), ("c", "U2")])[["c", "a"]],
    "unicode name": np.dtype([("größe", "f8")]),
    "record": np.dtype((np.record, [("a", "i4"), ("b", "f8")])),
    "record subclass": np.dtype((MyRecord, [("a", "i4")])),
    "nested record": np.dtype([("r", np.dtype((np.record, [("a", "i4")])))]),
    "dates": np.dtype([("when", "M8[7us]"), ("long", ">m8[D]")]),
    "empty text": np.dtype([("s", "S0"), ("u", "U0"), ("v", "V0"), ("n", "i4")]),
    "metadata within": np.dtype([("a", np.dtype("f8", metadata={"unit": "m"}))]),
    "number with fields": np.dtype((np.int32, {"low": (np.int16, 0), "high": (np.int16, 2)})),
    "big-endian number with fields": np.dtype((">u4", {"low": (">u2", 2), "high": (">u2", 0)})),
    "time with fields": np.dtype((">M8[3D]", {"days": (">i8", 0)})),
    "text with fields": np.dtype((">U2", {"first": (">u4", 0), "second": (">u4", 4)})),
    "number with fields within": np.dtype([("n", np.dtype((">f8", {"raw": (">u8", 0)})), (2,))]),
    "metadata of a number with fields": np.dtype(
        np.dtype((">u4", {"low": (">u2", 2)})), metadata={"unit": "m"}
    ),
}
ROWS: dict[str, np.dtype[Any]] = {
    **{f"{order}{code}": np.dtype(code).newbyteorder(order) for code in NUMBERS for order in "<>"},
    **{f"{kind}8[{unit}]": np.dtype(f"{kind}8[{unit}]") for kind in "mM" for unit in UNITS},
    **{f"{dtype.kind}8": dtype for dtype in GENERIC},
    "M8[25us]": np.dtype("M8[25us]"),
    ">M8[3M]": np.dtype(">M8[3M]"),
    "S5": np.dtype("S5"),
    "U5": np.dtype("U5"),
    ">U5": np.dtype(">U5"),
    "V5": np.dtype("V5"),
    "metadata": np.dtype("f8", metadata={"unit": "m", "scale": (1, 2)}),
    **STRUCTURED,
}
WITHOUT_SIZE = {"empty structure": np.dtype([]), "V0": np.dtype("V0")}


def rows(table: dict[str, Any]) -> Any:
    return pytest.mark.parametrize("dtype", [pytest.param(value, id=name) for name, value in table.items()])


@rows({**ROWS, **WITHOUT_SIZE})
def test_a_description_is_plain_data_and_gives_the_dtype_again(dtype: np.dtype[Any]) -> None:
    description = describe(dtype)
    assert_plain(description)
    compare_dtype("dtype", dtype, build(description))


def assert_plain(data: Any) -> None:
    assert type(data) in (str, int, bool, type(None), tuple, dict)
    for part in data if isinstance(data, tuple) else ():
        assert_plain(part)


@rows({**ROWS, **WITHOUT_SIZE})
def test_dtypes_themselves(dtype: np.dtype[Any]) -> None:
    check_round_trip(dtype)


@rows({**ROWS, **WITHOUT_SIZE})
@pytest.mark.parametrize("length", [0, 3, 3000])
def test_arrays(dtype: np.dtype[Any], length: int) -> None:
    few = ("itself", "list", "depth 3")
    check_round_trip(filled((length,), dtype), depths=few, carriers=("bytes", "bytearray", "1 past"))


@rows(ROWS)
def test_a_matrix_of_each_in_fortran_order(dtype: np.dtype[Any]) -> None:
    array = np.asfortranarray(filled((40, 50), dtype))
    check_round_trip(array, depths=("itself", "list"), carriers=("bytearray", "5 past"))


@rows(ROWS)
def test_scalars(dtype: np.dtype[Any]) -> None:
    scalar = filled((1,), dtype)[0]
    check_round_trip(scalar, depths=("itself", "list"), carriers=("bytes",))


SCALARS = [
    np.bool_(True),
    np.float64("nan"),
    np.float64(-0.0),
    np.float16(0.1),
    np.longdouble(1) / 3,
    np.clongdouble(1 + 2j) / 3,
    np.str_("größe"),
    np.bytes_(b"a\0b"),
    np.bytes_(b""),
    np.str_(""),
    np.str_("a\0"),
    np.bytes_(b"a\0\0"),
    np.void(b"abc"),
    np.datetime64("NaT", "s"),
    *quiet(lambda: np.datetime64("NaT")),
    np.datetime64("2024-02-29T12:00", "m"),
    np.datetime64(5, "25us"),
    np.timedelta64(3, "h"),
    *quiet(lambda: np.timedelta64(3)),
    np.longlong(5),
    np.int64(5),
    np.intc(5),
    np.array([(1, "x")], [("a", ">i4"), ("b", "U3")])[0],
    np.rec.array([(1, "x")], [("a", ">i4"), ("b", "U3")])[0],
    np.array([(1, [None])], [("a", "i4"), ("b", "O")])[0],
]


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
def test_scalars_keep_type_and_value(scalar: Any) -> None:
    check_round_trip(scalar, depths=("itself", "list", "depth 3"), carriers=("bytes",))
    if isinstance(scalar, str | bytes):  # which numpy compares without NULs at the end
        assert list(deserialize_object(serialize_object([scalar]))[0][0]) == list(scalar)


def test_the_elements_of_what_arrives_are_of_the_same_type() -> None:
    for dtype in (np.int64, np.uint64, np.intc, np.float64, np.longdouble, np.bool_):
        for array in (np.ones(3, dtype), np.ones(3000, dtype)):
            for sent in (array, [array]):
                got = deserialize_object(serialize_object(sent))[0]
                element = got[0] if sent is array else got[0][0]
                assert type(element) is dtype


@pytest.mark.parametrize("name", FOREIGN)
def test_dtypes_of_other_packages(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, name))
    check_round_trip(dtype)
    for length in (0, 5, 5000):
        check_round_trip(filled((length,), dtype))
    check_round_trip(filled((50, 60), dtype).T)
    check_round_trip(filled((3,), dtype)[0])
    check_round_trip(filled((300,), [("a", dtype), ("b", "f8")]))


def string_dtypes() -> dict[str, Any]:
    make = getattr(np.dtypes, "StringDType", None)
    if make is None:
        return {}
    return {
        "plain": make(),
        "no coercion": make(coerce=False),
        "nan": make(na_object=np.nan),
        "None": make(na_object=None, coerce=False),
        "text": make(na_object="missing"),
    }


@pytest.mark.skipif(not string_dtypes(), reason="this numpy has no StringDType")
@rows(string_dtypes())
def test_strings_of_variable_width(dtype: Any) -> None:
    missing = [dtype.na_object] if hasattr(dtype, "na_object") else []
    texts = ["", "a", "größe", "日本語" * 40, "x" * 3000, *missing]
    check_round_trip(dtype)
    for array in (
        np.array(texts, dtype),
        np.array(texts * 50, dtype),
        np.array(texts, dtype)[::-2],
        np.array([texts, texts[::-1]], dtype),
        np.array([texts, texts[::-1]], dtype, order="F"),
        np.array("alone", dtype),
        np.array([], dtype).reshape(0, 3),
    ):
        check_round_trip(array)
    cube = np.array(texts[:1] * 24, dtype).reshape(2, 3, 4)
    for axes in ((1, 2, 0), (1, 0, 2), (2, 0, 1)):
        (got,), _ = deserialize_object(serialize_object([cube.transpose(axes)]))
        assert got.strides == cube.transpose(axes).strides
    readonly = np.array(texts, dtype)
    readonly.flags.writeable = False
    check_round_trip(readonly)


@pytest.mark.skipif(not string_dtypes(), reason="this numpy has no StringDType")
def test_strings_with_pandas_na() -> None:
    pd = pytest.importorskip("pandas")
    array = np.array(["a", pd.NA, "c"], np.dtypes.StringDType(na_object=pd.NA))
    got = deserialize_object(serialize_object([array]))[0][0]
    assert got.dtype == array.dtype
    assert got.tolist() == ["a", pd.NA, "c"]


@given(dtype=st.one_of(strategies.dtypes(), strategies.structures(strategies.parted_dtypes())))
@settings(max_examples=200)
def test_any_dtype(dtype: np.dtype[Any]) -> None:
    compare_dtype("dtype", dtype, build(describe(dtype)))
    for trust in ("code", "data"):
        got = Serializer(trust=trust).deserialize_object(serialize_object([dtype]))[0][0]
        compare_dtype("dtype", dtype, got)


def structures_with_objects() -> dict[str, Any]:
    made = np.zeros((2, 3, 4), [("n", ">i4"), ("o", "O"), ("t", "U3"), ("in", [("o", "O")], (2,))])
    made["n"], made["o"], made["in"]["o"] = 7, [None, {"a": 1}, "text", 2.5], "in"
    readonly = made.copy()
    readonly.flags.writeable = False
    return {
        "plain": made,
        "read-only": readonly,
        "transposed": made.transpose(1, 2, 0),
        "records": made.view(np.recarray),
        "slice": made[:, ::2],
        "one": made[0, 0, 0:1].reshape(()),
        "none": made[:0],
    }


@pytest.mark.parametrize("name", structures_with_objects())
def test_structures_that_hold_objects(name: str) -> None:
    array = structures_with_objects()[name]
    (got,), _ = deserialize_object(serialize_object([array]))
    compare_dtype("dtype", array.dtype, got.dtype)
    assert type(got) is type(array)
    assert (got.shape, repr(got.tolist())) == (array.shape, repr(array.tolist()))
    assert got.flags.writeable == array.flags.writeable
    steps = [np.argsort([-step for step in each.strides], kind="stable").tolist() for each in (array, got)]
    assert steps[0] == steps[1] or not array.size


def test_a_structure_may_hold_the_array_that_it_stands_in() -> None:
    array = np.zeros(1, [("o", "O")])
    array["o"][0] = array
    got = deserialize_object(serialize_object([array]))[0][0]
    assert got["o"][0] is got


def test_an_equal_dtype_with_metadata_is_not_taken_for_the_plain_one() -> None:
    plain, marked = np.ones(2000), np.ones(2000, np.dtype("f8", metadata={"unit": "m"}))
    got = deserialize_object(serialize_object([plain, marked, plain.dtype, marked.dtype]))[0]
    assert [dict(each.metadata or {}) for each in (got[0].dtype, got[1].dtype, got[2], got[3])] == [
        {},
        {"unit": "m"},
        {},
        {"unit": "m"},
    ]
