"""Tables and tensors in portable messages: columns that JSON describes, and the same objects in Python."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import canning
from canning.wire.trailer import TREE, parse

from .tree_reader import read

pd: Any = pytest.importorskip("pandas")
pa: Any = pytest.importorskip("pyarrow")
pl: Any = pytest.importorskip("polars")
torch: Any = pytest.importorskip("torch")
PORTABLE = canning.Serializer(portable=True)
ENUM = pl.Enum(["b", "a"])
N = 300
DAYS = pd.date_range("2024-03-30", periods=N, freq="h")


def frame() -> Any:
    return pd.DataFrame(
        {
            "int": np.arange(N),
            "float": np.arange(N) / 4,
            "other": np.arange(N) / 8,
            "flag": np.arange(N) % 2 == 0,
            "half": np.arange(N, dtype="f2"),
            "text": [f"größe {n}" for n in range(N)],
            "object": pd.Series(["a", None, ""] * (N // 3), dtype=object),
            "mixed": pd.Series([1, "a", None] * (N // 3), dtype=object),
            "day": DAYS,
            "zone": DAYS.tz_localize("UTC").tz_convert("Europe/Berlin"),
            "utc": DAYS.tz_localize(dt.UTC),
            "span": DAYS - DAYS[0],
            "category": pd.Categorical(["p", "q", None] * (N // 3), ordered=True),
            "Int": pd.array([1, None, 3] * (N // 3), dtype="Int64"),
            "Flag": pd.array([True, None, False] * (N // 3), dtype="boolean"),
            "Float": pd.array([1.5, None, 2] * (N // 3), dtype="Float32"),
            "string": pd.array(["a", None, "ß"] * (N // 3), dtype=pd.StringDtype("python")),
            "arrow": pd.array(["a", None, "ß"] * (N // 3), dtype=pd.StringDtype("pyarrow")),
        }
    )


PANDAS: dict[str, Callable[[], Any]] = {
    "frame": frame,
    "slice": lambda: frame()[3:200:2],
    "block": lambda: pd.DataFrame(np.arange(4000.0).reshape(1000, 4)),
    "no columns": lambda: pd.DataFrame(index=["a", "b"]),
    "nothing": pd.DataFrame,
    "missing times": lambda: pd.DataFrame({"t": pd.to_datetime(["2024-01-01", None])}),
    "labels": lambda: pd.DataFrame([[1, 2, 3]], columns=pd.Index(["a", 2, None], dtype=object, name="n")),
    "numbers as labels": lambda: pd.DataFrame([[1, 2]], columns=[10, 5]),
    "twice": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "frequency": lambda: pd.DataFrame({"a": range(N)}, index=DAYS),
    "series": lambda: pd.Series(range(N), name=("a", 1), index=pd.Index(range(1, N + 1), name="i")),
    "text": lambda: pd.Series(["a", None]),
    "range": lambda: pd.RangeIndex(1, 9, 3, name="r"),
    "times": lambda: DAYS.tz_localize("Europe/Berlin", ambiguous=True, nonexistent="shift_forward"),
    "spans": lambda: pd.timedelta_range("1s", periods=4),
    "categories": lambda: pd.CategoricalIndex(["a", "b", "a"]),
    "index": lambda: pd.Index([1.5, 2]),
}


def same(one: Any, other: Any) -> None:
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
        pd.testing.assert_index_equal(one.columns, other.columns, exact=True)
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other)
    else:
        pd.testing.assert_index_equal(one, other, exact=True)


@pytest.mark.parametrize("name", PANDAS)
@pytest.mark.parametrize("trust", ["data", "code"])
def test_pandas(name: str, trust: Any) -> None:
    obj = PANDAS[name]()
    got, _ = canning.deserialize_object(PORTABLE.serialize_object(obj), trust=trust)
    same(obj, got)


def test_attributes_and_unique_labels() -> None:
    obj = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    obj.attrs["unit"] = "m"
    got, _ = canning.deserialize_object(PORTABLE.serialize_object(obj), trust="data")
    assert got.attrs == {"unit": "m"}
    assert not got.flags.allows_duplicate_labels


def test_columns_of_numbers_and_times_are_not_copied_and_can_be_written_to() -> None:
    obj = pd.DataFrame({"x": np.arange(1000.0), "t": pd.date_range("2024", periods=1000)})
    frames = PORTABLE.serialize_object(obj)
    for number, memory in enumerate((obj["x"].to_numpy(), obj["t"].to_numpy()), 1):
        assert np.shares_memory(np.frombuffer(frames[number], "u1"), memory)
    got, _ = canning.deserialize_object([bytearray(frame) for frame in frames], trust="data")
    got.loc[0, "x"] = 5.0
    assert got["x"].tolist()[:2] == [5.0, 1.0]


def texts_of(column: Any) -> list[str | None]:
    """Read a column of text as the page says."""
    offsets, data, mask = column["offsets"].tolist(), bytes(column["data"]), column.get("mask")
    texts = [data[low:high].decode() for low, high in itertools.pairwise(offsets)]
    return texts if mask is None else [None if gone else text for text, gone in zip(texts, mask, strict=True)]


@pytest.mark.parametrize(
    ("kind", "obj"),
    [
        ("pandas.DataFrame", lambda: frame()[["int", "text", "day", "Int"]]),
        ("polars.DataFrame", lambda: pl.from_pandas(frame()[["int", "text", "day", "Int"]])),
        (
            "pyarrow.Table",
            lambda: pa.Table.from_pandas(frame()[["int", "text", "day", "Int"]], preserve_index=False),
        ),
    ],
)
def test_a_reader_of_the_json_gets_the_columns(kind: str, obj: Callable[[], Any]) -> None:
    name, version, fields = read(PORTABLE.serialize_object(obj()))
    assert (name, version, fields["names"]) == (kind, 1, ["int", "text", "day", "Int"])
    whole, text, day, some = fields["columns"]
    assert whole["values"].tolist() == list(range(N))
    assert texts_of(text) == [f"größe {n}" for n in range(N)]
    assert (day["values"] == DAYS.to_numpy()).all()
    assert some["mask"].tolist() == [False, True, False] * (N // 3)
    assert some["values"][::3].tolist() == [1] * (N // 3)


ARROW = {
    "int": pa.array([1, 2, None]),
    "float": pa.array([1.5, None, 2]),
    "flag": pa.array([True, None, False]),
    "text": pa.array(["a", None, "größe"]),
    "large": pa.array(["x", "y", None], pa.large_string()),
    "time": pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(2024, 1, 3)], pa.timestamp("us")),
    "zone": pa.array([0, None, 10**10], pa.timestamp("ms", "Europe/Berlin")),
    "offset": pa.array([1, 2, 3], pa.timestamp("s", "-02:30")),
    "day": pa.array([dt.date(2024, 1, 1), None, dt.date(1960, 1, 1)]),
    "span": pa.array([1, None, 3], pa.duration("ns")),
    "category": pa.array(["p", "q", None]).dictionary_encode(),
    "small": pa.array([1, 2, 3], pa.uint8()),
}
TABLES: dict[str, Callable[[], Any]] = {
    "table": lambda: pa.table(ARROW),
    "slice": lambda: pa.table(ARROW)[1:],
    "no rows": lambda: pa.table(ARROW)[:0],
    "nothing": lambda: pa.table({}),
    "large": lambda: pa.table({"x": np.arange(1000.0)}),
    "polars": lambda: pl.from_arrow(pa.table({name: ARROW[name] for name in ARROW if name != "offset"})),
    "polars slice": lambda: pl.from_arrow(pa.table({"text": ARROW["text"], "int": ARROW["int"]}))[1:],
    "polars nothing": pl.DataFrame,
    "polars series": lambda: pl.Series("s", ["a", None, "größe"]),
    "polars words": lambda: pl.DataFrame({"c": pl.Series(["a", None, "b"], dtype=pl.Categorical)}),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("trust", ["data", "code"])
def test_arrow_and_polars(name: str, trust: Any) -> None:
    obj = TABLES[name]()
    got, _ = canning.deserialize_object(PORTABLE.serialize_object(obj), trust=trust)
    assert got.equals(obj)
    assert getattr(got, "schema", None) == getattr(obj, "schema", None)


def test_chunks_arrive_as_one() -> None:
    table = pa.concat_tables([pa.table(ARROW), pa.table(ARROW)])
    got, _ = canning.deserialize_object(PORTABLE.serialize_object(table), trust="data")
    assert got.equals(table)


def test_a_table_arrives_without_what_the_page_says() -> None:
    fields = [
        pa.field("a", pa.int64(), nullable=False, metadata={"unit": "m"}),
        pa.field("b", pa.string_view()),
    ]
    table = pa.table([pa.array([1]), pa.array(["x"], pa.string_view())], pa.schema(fields, {"by": "me"}))
    got, _ = canning.deserialize_object(PORTABLE.serialize_object(table), trust="data")
    assert got.schema.equals(pa.schema({"a": pa.int64(), "b": pa.large_string()}), check_metadata=True)
    kept, _ = canning.deserialize_object(canning.serialize_object(table), trust="data")
    assert kept.schema.equals(table.schema, check_metadata=True)


TENSORS: dict[str, Callable[[], Any]] = {
    "row": lambda: torch.arange(5.0),
    "turned": lambda: torch.arange(600.0).reshape(20, 30).T,
    "bfloat16": lambda: torch.arange(3).to(torch.bfloat16),
    "gradient": lambda: torch.tensor(1.5, requires_grad=True),
    "conjugate": lambda: torch.tensor([1j]).conj(),
    "nothing": lambda: torch.zeros(0, 3),
    "flags": lambda: torch.tensor([True, False]),
    "expanded": lambda: torch.ones(3).expand(4, 3),
}


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.parametrize("trust", ["data", "code"])
def test_tensors(name: str, trust: Any) -> None:
    obj = TENSORS[name]()
    got, _ = canning.deserialize_object(PORTABLE.serialize_object(obj), trust=trust)
    assert torch.equal(got, obj)
    assert (got.dtype, got.requires_grad) == (obj.dtype, obj.requires_grad)


def test_a_reader_of_the_json_gets_a_tensor() -> None:
    name, version, fields = read(PORTABLE.serialize_object(torch.arange(600.0).reshape(20, 30).T))
    assert (name, version, fields["dtype"]) == ("torch.Tensor", 1, "float32")
    assert (fields["values"] == np.arange(600.0).reshape(20, 30).T).all()


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", ["csr", "csc", "bsr", "coo", "dia"])
def test_sparse_matrices(form: str, kind: str) -> None:
    sp = pytest.importorskip("scipy.sparse")
    obj = getattr(sp, f"{form}_{kind}")(np.diag(np.arange(1.0, 5)))
    frames = PORTABLE.serialize_object(obj)
    name, version, fields = read(frames)
    assert (name, version, fields["shape"]) == (f"scipy.sparse.{form}_{kind}", 1, (4, 4))
    assert not any(field.startswith("_") for field in fields)
    for trust in ("data", "code"):
        got, _ = canning.deserialize_object(frames, trust=trust)
        assert type(got) is type(obj)
        assert (got.toarray() == obj.toarray()).all()
        assert vars(got).keys() - {"has_canonical_format"} >= vars(obj).keys() - {"has_canonical_format"} - {
            "_has_canonical_format",
            "_has_sorted_indices",
        }


# -- what is refused -------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "periods": (lambda: pd.DataFrame({"p": pd.period_range("2024", periods=2)}), r"period\[D\]"),
    "levels": (lambda: pd.MultiIndex.from_tuples([(1, 2)]), "reset_index"),
    "levels of a frame": (lambda: frame().set_index(["int", "text"]), "reset_index"),
    "levels of names": (
        lambda: pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([(1, 2)])),
        "MultiIndex",
    ),
    "a point in time": (lambda: pd.Timestamp("2024"), "pandas.Timestamp"),
    "functions in a column": (lambda: pd.DataFrame({"f": [print]}), "builtins.print"),
    "lists in Arrow": (lambda: pa.table({"l": [[1]]}), "the column 'l' of .* list<item: int64>"),
    "an array of Arrow's": (lambda: pa.array([1]), "pyarrow.Array"),
    "lists in polars": (lambda: pl.DataFrame({"n": [1], "l": [[1]]}), "the column 'l' of .* is not portable"),
    "a series of lists in polars": (lambda: pl.Series("l", [[1]]), "the column 'l' of .* is not portable"),
    "rows alone": (lambda: pl.DataFrame({"a": [1]}).drop("a"), "rows without columns"),
    "rows alone in Arrow": (lambda: pa.table({"a": [1]}).select([]), "rows without columns"),
    "an Enum in a frame": (lambda: pl.DataFrame({"n": [1], "e": pl.Series(["b"], dtype=ENUM)}), "column 'e'"),
    "an Enum": (lambda: pl.Series("e", ["b", "a"], dtype=ENUM), "column 'e'.*cast it"),
    "integers of 128 bits": (
        lambda: pl.Series("n", [1], dtype=pl.Int128),
        "'n'.*Int128.*make it numbers of 64",
    ),
    "meta": (lambda: torch.zeros(2, device="meta"), "plain numbers"),
    "surrogates": (lambda: pd.Series(["\ud800"], dtype=object), "surrogates"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_portable_is_an_error_with_its_path(name: str) -> None:
    make, word = REFUSED[name]
    with pytest.raises(canning.SerializationError, match=word) as caught:
        PORTABLE.serialize_object({"k": [make()]})
    assert caught.value.path is not None
    assert caught.value.path.startswith("obj['k'][0]")


# -- what strangers say ----------------------------------------------------------------------------------

GOOD = {"kind": "array", "values": np.arange(3)}
TEXT = {"kind": "text", "offsets": np.array([0, 1, 2, 3]), "data": np.frombuffer(b"abc", np.uint8)}
WORDS = {"kind": "categories", "codes": np.array([0, 1, 0], "i1"), "categories": TEXT, "ordered": False}
BAD_COLUMNS: dict[str, Any] = {
    "no column": 5,
    "no kind": {},
    "unknown kind": {"kind": "other"},
    "kind that cannot be looked up": {"kind": []},
    "no values": {"kind": "array"},
    "text as values": {"kind": "array", "values": np.array(["a"])},
    "objects as values": {"kind": "array", "values": np.array([None])},
    "two axes": {"kind": "array", "values": np.zeros((3, 1))},
    "too short": {"kind": "array", "values": np.arange(2)},
    "no mask": {"kind": "masked", "values": np.arange(3)},
    "mask of another length": {"kind": "masked", "values": np.arange(3), "mask": np.zeros(2, bool)},
    "mask of numbers": {"kind": "masked", "values": np.arange(3), "mask": np.zeros(3, "i1")},
    "offsets backwards": {**TEXT, "offsets": np.array([0, 2, 1, 3])},
    "offsets beyond": {**TEXT, "offsets": np.array([0, 1, 2, 4])},
    "offsets before": {**TEXT, "offsets": np.array([-1, 1, 2, 3])},
    "offsets of 32 bits": {**TEXT, "offsets": np.array([0, 1, 2, 3], "i4")},
    "no offsets": {**TEXT, "offsets": np.empty(0, "i8")},
    "text that is none": {**TEXT, "data": np.frombuffer(b"a\xffc", np.uint8)},
    "missing text that is none": {
        **TEXT,
        "data": np.frombuffer(b"a\xffc", np.uint8),
        "mask": np.array([False, True, False]),
    },
    "offsets in the middle of a letter": {
        **TEXT,
        "offsets": np.array([0, 1, 2, 3]),
        "data": np.frombuffer("aé".encode(), np.uint8),
    },
    "times beyond what polars shows": {"kind": "array", "values": np.full(3, 1 << 62, "M8[s]")},
    "days beyond what polars shows": {"kind": "array", "values": np.full(3, (1 << 31) - 1, "M8[D]")},
    "storage of text": {**TEXT, "dtype": "str", "storage": "elsewhere"},
    "no zone": {"kind": "times", "values": np.zeros(3, "M8[ns]")},
    "spans in a zone": {"kind": "times", "values": np.zeros(3, "m8[ns]"), "zone": dt.UTC},
    "codes beyond": {**WORDS, "codes": np.array([0, 1, 9], "i1")},
    "codes of floats": {**WORDS, "codes": np.zeros(3)},
    "categories of categories": {**WORDS, "categories": WORDS},
    "no order": {**WORDS, "ordered": None},
}


def stranger(name: str, state: Any) -> list[Any]:
    """Write a message as a stranger would, of a state that nobody has checked."""
    registry = canning.Registry()
    registry.register(Stranger, can=lambda _: state, uncan=lambda _: None)
    frames = canning.serialize_object(Stranger(), registry=registry)
    body = frames[0][: parse(frames[0]).pickle_length]  # type: ignore[union-attr]
    old = f"{__name__}.Stranger".encode()
    assert body.count(b"\x8c" + bytes([len(old)]) + old) == 1
    return _with_body(
        body.replace(b"\x8c" + bytes([len(old)]) + old, b"\x8c" + bytes([len(name)]) + name.encode()), frames
    )


class Stranger:
    pass


def _with_body(body: bytes, frames: list[Any]) -> list[Any]:
    from canning.writing.draft import Draft
    from canning.writing.draft import frames as frames_of

    at = body.find(b"\x95")
    if at >= 0:  # a frame of pickle's, whose length has changed
        body = body[: at + 1] + (len(body) - at - 9).to_bytes(8, "little") + body[at + 9 :]
    return frames_of(Draft(body, list(map(memoryview, frames[1:]))))


@pytest.mark.parametrize("name", BAD_COLUMNS)
@pytest.mark.parametrize("kind", ["pandas.DataFrame", "pyarrow.Table", "polars.DataFrame"])
def test_columns_of_strangers_are_checked(kind: str, name: str) -> None:
    column = BAD_COLUMNS[name]
    if kind != "pandas.DataFrame" and name in ("storage of text", "text as values"):
        pytest.skip("Arrow does not ask")
    if kind == "pandas.DataFrame" and name.startswith("times beyond"):
        pytest.skip("pandas shows them")
    index = {"kind": "range", "start": 0, "stop": 3, "step": 1, "name": None}
    state = {"names": ["a", "b"], "columns": [GOOD, column], "index": index}
    with pytest.raises(canning.DeserializationError):
        canning.deserialize_object(stranger(f"{kind}/1", state), trust="data")


def test_a_good_column_of_a_stranger_is_read() -> None:
    index = {"kind": "range", "start": 0, "stop": 3, "step": 1, "name": None}
    state = {"names": ["a", "b", "c"], "columns": [GOOD, TEXT, WORDS], "index": index}
    got, _ = canning.deserialize_object(stranger("pandas.DataFrame/1", state), trust="data")
    assert got["b"].tolist() == ["a", "b", "c"]
    assert got["c"].tolist() == ["a", "b", "a"]
    table, _ = canning.deserialize_object(stranger("pyarrow.Table/1", state), trust="data")
    assert table["c"].to_pylist() == ["a", "b", "a"]


BAD_STATES: list[tuple[str, Any]] = [
    ("pandas.DataFrame/1", (1, 2)),
    ("pandas.DataFrame/1", {"names": ["a"], "columns": []}),
    ("pandas.DataFrame/1", {"names": ["a"], "columns": [GOOD]}),
    ("pandas.DataFrame/1", {"names": [[]], "columns": [GOOD], "index": {**GOOD, "name": None}}),
    ("pandas.DataFrame/1", {"names": ["a"], "columns": [GOOD], "index": {**GOOD, "name": []}}),
    (
        "pandas.DataFrame/1",
        {"names": ["a"], "columns": [GOOD], "index": GOOD, "labels": {"kind": "os.system"}},
    ),
    ("pandas.DataFrame/1", {"names": ["a"], "columns": [GOOD], "index": GOOD, "labels": []}),
    (
        "pandas.DataFrame/1",
        {"names": ["a"], "columns": [GOOD], "index": GOOD, "attrs": {"__array_interface__": 1}},
    ),
    (
        "pandas.Series/1",
        {"name": "s", "values": GOOD, "index": {"kind": "range", "start": 0, "stop": 9, "step": 1}},
    ),
    (
        "pandas.Series/1",
        {"name": "s", "values": GOOD, "index": {"kind": "range", "start": 0, "stop": 9, "step": 0}},
    ),
    ("pandas.Index/1", {"name": None, "values": {"kind": "range", "start": 0, "stop": 2**70, "step": 1}}),
    ("pandas.Index/1", {"name": None, "values": {**GOOD, "freq": "D"}}),
    ("pandas.Index/1", {"name": None, "values": None}),
    ("pyarrow.Table/1", {"names": [5], "columns": [GOOD]}),
    ("polars.DataFrame/1", {"names": ["a", "a"], "columns": [GOOD, GOOD]}),
    ("polars.DataFrame/1", {"names": ["\0"], "columns": [GOOD]}),
    ("polars.Series/1", {"name": 5, "values": GOOD}),
    ("torch.Tensor/1", {"values": np.zeros(2), "dtype": "float32", "requires_grad": False}),
    ("torch.Tensor/1", {"values": np.zeros(2, "i8"), "dtype": "int64", "requires_grad": True}),
    ("torch.Tensor/1", {"values": np.zeros(2, "f4"), "dtype": "quint8", "requires_grad": False}),
    ("torch.Tensor/1", {"values": [1], "dtype": "float32", "requires_grad": False}),
    ("torch.Tensor/1", {"values": np.zeros(2, ">f4"), "dtype": "float32", "requires_grad": False}),
]


@pytest.mark.parametrize(("kind", "state"), BAD_STATES)
def test_states_of_strangers_are_checked(kind: str, state: Any) -> None:
    with pytest.raises(canning.DeserializationError):
        canning.deserialize_object(stranger(kind, state), trust="data")


@pytest.mark.parametrize("kind", ["pandas.DataFrame", "pyarrow.Table", "polars.DataFrame"])
def test_what_was_found_to_be_right_cannot_be_changed_any_more(kind: str) -> None:
    count, each = 10_000, 10
    codes = np.zeros(count, "i8")
    text = {"offsets": np.arange(count + 1) * each, "data": np.full(count * each, ord("a"), np.uint8)}
    columns = [
        {"kind": "text", **text, "dtype": "str", "storage": "pyarrow"},
        {**WORDS, "codes": codes},
        *([] if kind.startswith("pandas") else [{"kind": "array", "values": np.zeros(count, "M8[us]")}]),
    ]
    index = {"kind": "range", "start": 0, "stop": count, "step": 1, "name": None}
    names = ["a", "b", "c"][: len(columns)]
    state = {"names": names, "columns": columns, "index": index}
    header, *frames = stranger(f"{kind}/1", state)
    frames = list(map(bytearray, frames))
    assert len(frames) >= len(columns)
    got, _ = canning.deserialize_object([header, *frames], trust="data")
    for frame in frames:  # as another object of the message may, which shows the same memory
        frame[:] = b"\xf4" * len(frame)
    values = [list(got[name].to_pylist() if kind.startswith("pyarrow") else got[name]) for name in names]
    assert set(values[0]) == {"a" * each}
    assert set(values[1]) == {"a"}
    assert all(value.year == 1970 for column in values[2:] for value in column)


def test_pandas_is_not_asked_whether_labels_are_unique(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its table of numbers takes hours, where they were chosen for it."""
    asked: list[Any] = []
    state = {"name": None, "values": GOOD, "index": {**GOOD, "name": None}, "unique": True}
    monkeypatch.setattr(pd.Index, "is_unique", property(lambda index: not asked.append(index)))
    got, _ = canning.deserialize_object(stranger("pandas.Series/1", state), trust="data")
    assert not asked
    assert not got.flags.allows_duplicate_labels
    state["index"] = {**GOOD, "values": np.zeros(3), "name": None}
    with pytest.raises(canning.DeserializationError, match="twice"):
        canning.deserialize_object(stranger("pandas.Series/1", state), trust="data")


def test_times_in_another_order_of_bytes_keep_to_their_frequency() -> None:
    days = pd.date_range("2024", periods=3, freq="D", unit="ns")
    values = {"kind": "array", "values": days.to_numpy().astype(">M8[ns]"), "freq": "D"}
    got, _ = canning.deserialize_object(
        stranger("pandas.Index/1", {"name": None, "values": values}), trust="data"
    )
    assert got.equals(days)
    assert got.freq == days.freq
    assert got._data._ndarray.dtype.isnative


def test_the_json_is_json() -> None:
    trailer = parse(PORTABLE.serialize_object(frame())[0])
    assert trailer is not None
    assert json.loads(trailer.extensions[TREE])["object"]["fields"]["names"] == list(frame())
