"""Frames of pandas that arrived as plain data are used as any other: changed, sorted, merged, sent again."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import pathlib
import pickle
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import canning

from .frames import DATA, check
from .test_types_hostile import frames_of

pd: Any = pytest.importorskip("pandas")
KEYS: dict[str, Callable[[], Any]] = {
    "Timestamp": lambda: pd.Timestamp("2024-03-01"),
    "Timestamp in a zone": lambda: pd.Timestamp("2024-03-01", tz="Europe/Berlin"),
    "Timedelta": lambda: pd.Timedelta("3s"),
    "Period": lambda: pd.Period("2024-03", "M"),
    "Interval": lambda: pd.Interval(1, 2.5),
    "NaT": lambda: pd.NaT,
    "NA": lambda: pd.NA,
    "ZoneInfo": lambda: zoneinfo.ZoneInfo("Europe/Berlin"),
    "IP address": lambda: ipaddress.ip_address("2001:db8::1"),
    "IP network": lambda: ipaddress.ip_network("192.0.2.0/24"),
    "IP interface": lambda: ipaddress.ip_interface("192.0.2.1/24"),
    "time": lambda: dt.time(12, 30),
    "Decimal": lambda: decimal.Decimal("1.50"),
    "UUID": lambda: uuid.UUID(int=7),
    "Path": lambda: pathlib.PurePosixPath("a/b"),
    "frozenset": lambda: frozenset((1, "a")),
    "tuple of them": lambda: ("a", pd.Interval(1, 2), pd.Period("2024", "Y")),
    "numpy's times": lambda: np.datetime64("2024-03-01"),
}
PLACES: dict[str, Callable[[Any], Any]] = {
    "key": lambda key: {key: 1},
    "set": lambda key: {key, 1},
    "index": lambda key: pd.Series([1, 2], index=_objects([key, "b"])),
    "columns": lambda key: pd.DataFrame([[1, 2]], columns=_objects([key, "b"])),
    "name": lambda key: pd.Series([1], name=key),
    "attribute": lambda key: _with_attribute(key),
}


def sent(obj: Any) -> Any:
    return DATA.deserialize_object(DATA.serialize_object(obj))[0]


def _objects(labels: list[Any]) -> Any:
    array = np.empty(len(labels), object)
    array[:] = labels
    return pd.Index(array, dtype=object, tupleize_cols=False)


def _with_attribute(key: Any) -> Any:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs[key] = 5
    return frame


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS)
def test_keys_and_labels(key: str, place: str) -> None:
    sent = PLACES[place](KEYS[key]())
    got, _ = DATA.deserialize_object(DATA.serialize_object(sent))
    if place in ("key", "set"):
        assert got == sent
        return
    assert repr(got) == repr(sent)
    assert (repr(got.attrs), repr(got.axes)) == (repr(sent.attrs), repr(sent.axes))


@pytest.mark.parametrize("place", ["index", "columns"])
def test_labels_that_were_made_to_collide_are_refused(place: str) -> None:
    labels = [decimal.Decimal(number * (2**61 - 1)) for number in range(1, 300)]
    assert len({hash(label) for label in labels}) == 1
    sent = pd.Series(range(299), index=pd.Index(labels, dtype=object))
    frames = DATA.serialize_object(sent if place == "index" else sent.to_frame().T)
    with pytest.raises(canning.DeserializationError, match="collide"):
        DATA.deserialize_object(frames)
    twice = pd.Series(range(300), index=pd.Index(labels[:1] * 300, dtype=object))
    assert DATA.deserialize_object(DATA.serialize_object(twice))[0].index.equals(twice.index)


def _four_columns() -> Any:
    return pd.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "k": [3, 4], "y": [2.5, 3.5]})


@pytest.mark.parametrize(
    "order",
    [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3], [3, 1], [3, 0, 1], [2], [0, 2, 1, 3], []],
    ids=lambda order: "".join(map(str, order)) or "none",
)
def test_blocks_stand_anywhere_in_a_frame(order: list[int]) -> None:
    sent = _four_columns().iloc[:, order]
    frames = DATA.serialize_object(sent)
    for trust in ("data", "code"):
        got, _ = canning.Serializer(trust=trust).deserialize_object(frames)
        pd.testing.assert_frame_equal(got, sent)


@pytest.mark.parametrize("freq", ["D", "h", "15min", "us", "W-SAT", "2M", "Q-DEC", "Q-JAN", "Y-JUN"])
def test_periods_of_all_frequencies_are_data(freq: str) -> None:
    frame = pd.DataFrame({"when": pd.period_range("2024", periods=3, freq=freq), "n": range(3)})
    got, _ = DATA.deserialize_object(DATA.serialize_object([frame, frame.dtypes, frame["when"].dtype]))
    pd.testing.assert_frame_equal(got[0], frame)
    pd.testing.assert_series_equal(got[1], frame.dtypes)
    assert got[2] == frame["when"].dtype


def test_text_can_be_set() -> None:
    sent = pd.DataFrame({"name": ["ann", "bob"], "n": [1, 2]})
    for dtype in (None, "string[python]", "string[pyarrow]"):
        frame = sent if dtype is None else sent.astype({"name": dtype})
        got, _ = DATA.deserialize_object(DATA.serialize_object(frame))
        got.loc[0, "name"] = "eve"
        assert got["name"].tolist() == ["eve", "bob"]
        assert got["name"].dtype == frame["name"].dtype


@pytest.mark.parametrize("first", range(0, 40, 8))
def test_frames_can_be_changed_as_the_copies_of_pickle(first: int) -> None:
    pytest.importorskip("pyarrow")
    assert [line for seed in range(first, first + 8) for line in check(pd, seed)] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1000, 2000, 200))
def test_many_frames_can_be_changed_so(first: int) -> None:
    pytest.importorskip("pyarrow")
    assert [line for seed in range(first, first + 200) for line in check(pd, seed)] == []


def _owners() -> dict[str, Any]:
    """Make frames, columns and indexes that look at the same memory until one of them is changed."""
    frame = pd.DataFrame({"a": np.arange(600), "b": np.arange(600) * 2, "c": np.arange(600.0)})
    return {
        "frame": frame,
        "columns": frame[["a", "b"]],
        "column": frame["a"],
        "shallow": frame.copy(deep=False),
        "indexed": frame.set_index("a", drop=False),
        "beside": pd.concat([frame, frame], axis=1),
    }


@pytest.mark.skipif(pd.__version__ < "3", reason="copies on writing came with pandas 3")
@pytest.mark.parametrize("trust", ["data", "code"])
@pytest.mark.parametrize("name", _owners())
def test_what_is_changed_changes_in_nothing_else(name: str, trust: Any) -> None:
    sent = _owners()
    frames = canning.serialize_object(sent)
    assert sum(map(len, frames)) < 25_000, "their memory is sent once"
    got, _ = canning.Serializer(trust=trust).deserialize_object([bytearray(frame) for frame in frames])
    got[name].iloc[(0,) * sent[name].ndim if sent[name].ndim > 1 else 0] = -7
    for other, obj in got.items():
        if other != name:
            assert obj.equals(sent[other]), other
            assert obj.index.equals(sent[other].index), other
    if name == "beside":
        assert got[name].iloc[0].tolist() == [-7, 0, 0, 0, 0, 0]


INDEXES: dict[str, Callable[[], Any]] = {
    "numbers": lambda: pd.Index([1, 2, 3]),
    "objects": lambda: pd.Index(["a", 2, None]),
    "times": lambda: pd.date_range("2024", periods=3),
    "times of a zone": lambda: pd.date_range("2024", periods=3, tz="Europe/Berlin"),
    "spans": lambda: pd.timedelta_range("1D", periods=3),
    "periods": lambda: pd.period_range("2024", periods=3, freq="D"),
    "categories": lambda: pd.CategoricalIndex(["a", "b", "a"]),
    "intervals": lambda: pd.interval_range(0, 3),
    "sparse": lambda: pd.Index(pd.arrays.SparseArray([1, 0, 0])),
    **{
        name: lambda name=name, labels=labels: pd.Index(labels, dtype=name)  # type: ignore[misc]
        for name, labels in {
            "Int64": [1, None, 3],
            "Float64": [1.5, None, 3],
            "boolean": [True, False],
            "string[python]": ["a", "b"],
            "string[pyarrow]": ["a", "b"],
            "str": ["a", "b"],
            "int64[pyarrow]": [1, 2],
        }.items()
    },
}


@pytest.mark.parametrize("trust", ["data", "code"])
@pytest.mark.parametrize("name", INDEXES)
def test_what_an_index_shows_of_its_memory_stays_read_only(name: str, trust: Any) -> None:
    """Since pandas 3.1, in its pickles too; before that, whoever writes to it writes to the index."""
    if "pyarrow" in name or name == "str":
        pytest.importorskip("pyarrow")
    index = INDEXES[name]()
    shown = index.array
    sent = {"index": index, "array": shown, "column": pd.Series(shown, copy=False), "own": pd.Series(shown)}
    frames = canning.serialize_object(sent)
    got, _ = canning.Serializer(trust=trust).deserialize_object([bytearray(frame) for frame in frames])
    theirs = pickle.loads(pickle.dumps(sent))
    for each in sent:
        array, other = (getattr(made[each], "array", made[each]) for made in (got, theirs))
        assert getattr(array, "_readonly", False) is getattr(other, "_readonly", False), each
    for each in ("array", "column", "own"):
        outcomes = []
        for made in (got, sent, theirs):
            try:
                made[each][0] = made[each][1]
                outcomes.append("written")
            except Exception as error:
                outcomes.append(type(error).__name__)
        assert outcomes[0] in outcomes[1:], each
    if getattr(shown, "_readonly", False):
        pd.testing.assert_index_equal(got["index"], index)


def _refused(name: str, state: Any) -> str:
    with pytest.raises(canning.DeserializationError) as caught:
        DATA.deserialize_object(frames_of(name, state))
    return str(caught.value)


def test_the_time_to_check_a_frequency_is_on_the_account() -> None:
    times = pd.date_range("2000", periods=40, freq="REQ-N-DEC-MON-1")
    assert sent(times).freq == times.freq
    state = times.to_numpy().copy(), None, times.freq.freqstr, None
    assert "time" in _refused("pandas.DatetimeIndex", (np.tile(state[0], 50), *state[1:]))


def test_long_indexes_of_days_and_months_keep_their_frequency() -> None:
    for freq in ("D", "B", "h"):
        times = pd.date_range("1700", periods=100_000, freq=freq, unit="s")
        assert sent(times).freq == times.freq


HOSTILE: dict[str, Callable[[], tuple[str, Any]]] = {
    "blocks of a sparse array beyond 32 bits": lambda: (
        "pandas.arrays.SparseArray",
        (np.zeros(2), 2**31 - 1, (np.array([2**31 - 2]), np.array([2])), 0.0),
    ),
    "places of a sparse array beyond 32 bits": lambda: (
        "pandas.arrays.SparseArray",
        (np.zeros(1), 10, (np.array([2**32 + 1]),), 0.0),
    ),
    "a range longer than any": lambda: ("pandas.RangeIndex", (-(2**62) - 5, 2**63 - 1, 1, None)),
    "levels of 2**40 labels": lambda: (
        "pandas.MultiIndex",
        ([pd.RangeIndex(2**40)], [np.zeros(1, np.int64)], ["a"], None),
    ),
    "2**40 categories": lambda: ("pandas.Categorical", (np.zeros(1, np.int64), pd.RangeIndex(2**40), False)),
    "many blocks of no columns": lambda: (
        "pandas.DataFrame",
        ([(0, 0, 1, np.zeros((0, 3)))] * 1000, pd.RangeIndex(3), pd.RangeIndex(0)),
    ),
    "columns in two blocks": lambda: (
        "pandas.DataFrame",
        ([(0, 3, 2, np.zeros((2, 3))), (0, 3, 2, np.zeros((2, 3)))], pd.RangeIndex(3), pd.RangeIndex(4)),
    ),
    "a block beyond the columns": lambda: (
        "pandas.DataFrame",
        ([(1, 5, 2, np.zeros((2, 3)))], pd.RangeIndex(3), pd.RangeIndex(2)),
    ),
    "short strings from frames, which take many times their bytes": lambda: (
        "pandas.Series",
        (
            ("T", (400_000,), np.arange(400_001) * 2, np.full(800_000, 97, np.uint8), None),
            pd.RangeIndex(400_000),
            None,
        ),
    ),
    "owners of memory that are none": lambda: (
        "pandas.DataFrame",
        ([(0, 1, 1, np.zeros((1, 3)), "refs")], pd.RangeIndex(3), pd.RangeIndex(1)),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_states_of_a_stranger(name: str) -> None:
    assert _refused(*HOSTILE[name]())


def test_codes_are_nobody_elses() -> None:
    codes = np.array([0, 1, 0, 1] * 500)
    for name, state in (
        ("pandas.Categorical", (codes, pd.Index(["a", "b"]), False)),
        ("pandas.MultiIndex", ([pd.Index(["a", "b"])], [codes], ["x"], None)),
    ):
        frames = [bytearray(frame) for frame in frames_of(name, state, codes)]
        (made, array), _ = DATA.deserialize_object(frames)
        array[:] = 1 << 40
        assert set(np.ravel(made.codes)) == {0, 1}


def test_pandas_keeps_nothing_of_a_message() -> None:
    kept = dict(getattr(pd.PeriodDtype, "_cache_dtypes", {}))
    frames = [
        DATA.serialize_object([pd.Period("2024", f"{n}D"), pd.period_range("2024", periods=2, freq=f"{n}D")])
        for n in range(3001, 3011)
    ]
    frames.append(DATA.serialize_object(pd.PeriodDtype("4001D")))
    getattr(pd.PeriodDtype, "_cache_dtypes", {}).clear()
    for each in frames:
        DATA.deserialize_object(each)
    left = {freq.n for freq in getattr(pd.PeriodDtype, "_cache_dtypes", {})}
    getattr(pd.PeriodDtype, "_cache_dtypes", {}).update(kept)
    assert left.isdisjoint((*range(3001, 3011), 4001))
