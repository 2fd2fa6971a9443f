"""State that a stranger made up: every decoder refuses it, or makes an object that can be used."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning.types.canner import Canner
from canning.types.libraries.known import LIBRARIES
from canning.types.registry import default_registry

from .hostile import Made
from .hostile import frames_of as of_hand
from .hostile_rows import ROWS as BY_HAND
from .hostile_rows import rows_of
from .types import DATA, Row
from .types_rows import ROWS

EACH = 40
"""Messages for each row."""
NUMBERS = (0, -1, 1, 7, 2**31, -(2**31), 2**47, 2**62, 2**63, -(2**63), 2**70)
VALUES = (None, True, 1.5, "", "ns", "D", "x" * 100, b"", b"\xff" * 40, (), [], {}, (None,), (1, 2, 3), [[]])
LISTED = 10_000
"""Elements up to which an object is looked through."""


def changed(state: Any, chance: random.Random) -> Any:
    """Change one thing in a state, wherever it stands."""
    if type(state) in (tuple, list) and state and chance.random() < 0.9:
        items = list(state)
        at = chance.randrange(len(items))
        if chance.random() < 0.1:
            items.insert(at, items[chance.randrange(len(items))])
        elif chance.random() < 0.1:
            del items[at]
        else:
            items[at] = changed(items[at], chance)
        return type(state)(items)
    if type(state) is dict and state:
        key = chance.choice(list(state))
        return {**state, key: changed(state[key], chance)}
    if type(state) is np.ndarray and state.nbytes < 10**6 and chance.random() < 0.8:
        return other_array(state, chance)
    if type(state) is bytes and state and chance.random() < 0.7:
        damaged = bytearray(state)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        return bytes(damaged[: chance.choice((len(damaged), len(damaged), len(damaged) // 2))])
    if type(state) is int and chance.random() < 0.5:
        return state + chance.choice((1, -1, 2, 100))
    return chance.choice(
        (*NUMBERS, *VALUES, np.arange(5), np.zeros((2, 3)), np.zeros(3, "M8[s]"), np.zeros(9, "u1"))
    )


def other_array(array: Any, chance: random.Random) -> Any:
    """Make an array that is like another, but for one thing."""
    which = chance.randrange(7)
    if which == 0:
        return array[: len(array) // 2] if array.ndim else array
    if which == 1:
        return np.concatenate([array.ravel()] * 2)
    if which == 2:
        return array.astype(chance.choice("bBhHiIlLfdD")) if array.dtype.kind in "biuf" else array.view("u1")
    if which == 3:
        return np.broadcast_to(array.ravel()[:1], (2**40,)) if array.size else array
    if which == 4:
        return array.reshape(1, *array.shape)
    if which == 5:
        return array.astype(array.dtype.newbyteorder())
    other = array.copy()
    if other.size and other.dtype.kind in "iu":
        other.ravel()[chance.randrange(other.size)] = np.iinfo(other.dtype).max
        other = np.array(other)
        other.reshape(-1)[chance.randrange(other.size)] = chance.choice(
            (np.iinfo(other.dtype).max, np.iinfo(other.dtype).min)
        )
    return other


def frames_of(name: str, state: Any, *more: Any) -> list[Any]:
    """Make the message of a stranger who says that this is the state of such a type; with more objects."""
    module, _, short = name.rpartition(".")
    cls = type(short, (), {"__module__": module})
    registry = canning.default_registry.copy()
    real = default_registry.by_name(name)  # an object of this type may be part of the state

    def can(obj: Any) -> Any:
        return state if type(obj) is cls else real.can(obj)

    registry.register(cls, can=can, uncan=lambda state: None)
    return canning.serialize_object([cls(), *more], registry=registry)


def use(obj: Any) -> None:
    """Do with an object what anybody does; a crash of the process is what this is to find."""
    if hasattr(obj, "validate"):
        obj.validate(full=True)
    try:
        small = len(obj) < LISTED
    except (TypeError, OverflowError, ValueError):
        small = True
    if not small or sum(getattr(obj, "shape", ())) > LISTED:
        return
    repr(obj)
    for name in ("to_pylist", "as_py", "tolist", "tocsr", "to_pandas", "copy", "memory_usage"):
        method = getattr(obj, name, None)
        if method is not None:
            method()
    if hasattr(obj, "get_indexer") and obj.is_unique:
        obj.get_indexer(obj[:3])
    for part in ("index", "columns"):
        if hasattr(obj, "to_numpy") and hasattr(obj, part):
            use(getattr(obj, part))


def canner_of(obj: Any) -> Canner | None:
    return default_registry.find(type(obj))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", [row for row in ROWS if row.data], ids=lambda row: row.name)
def test_states_that_a_stranger_made_up(row: Row) -> None:
    if not row.is_here:
        pytest.skip(f"needs {row.package}")
    obj = row.make()
    canner = canner_of(obj)
    if canner is None:
        pytest.skip("has no state of its own: pickle takes it apart")
    state = canner.can(obj)
    chance = random.Random(row.name)
    for _ in range(EACH):
        hostile = changed(state, chance)
        for _ in range(chance.randrange(2)):
            hostile = changed(hostile, chance)
        try:
            (got,), _rest = DATA.deserialize_object(frames_of(canner.name, hostile))
        except canning.DeserializationError:
            continue
        with contextlib.suppress(Exception):  # an object of odd values may raise, but not crash
            use(got)


def test_every_canner_that_is_listed_is_there() -> None:
    for module, library in LIBRARIES.items():
        if library.package and find_spec(library.package) is None:
            continue
        for name in library.types:
            canner = default_registry.by_name(name)
            assert canner.name == name
            assert canner.data or canner.wants_class or module == "geopandas_geometry", module


@pytest.mark.parametrize(
    "package",
    [pytest.param(name, marks=pytest.mark.slow) if name in ("PIL", "polars") else name for name in BY_HAND],
)
def test_states_that_are_made_up_by_hand(package: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"needs {package}")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.hostile_rows", package],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    found = dict(line.rsplit(": ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0, f"{done.stdout.splitlines()[-1:]}\n{done.stderr[-2000:]}"
    assert found == {name: "refused" if row.refused else "used" for name, row in rows_of(package).items()}


def test_a_container_that_a_decoder_has_checked_cannot_grow() -> None:
    registry = canning.default_registry.copy()
    registry.register(Checked, can=lambda obj: [obj.items], uncan=lambda state: Checked(state[0]), data=True)
    items: list[Any] = []
    items.append(Checked(items))  # the list is filled after the object is made that looks at it
    frames = canning.serialize_object(items, registry=registry)
    with pytest.raises(canning.DeserializationError, match="grows after it was found to be complete"):
        canning.deserialize_object(frames, registry=registry, trust="data")


def test_bits_that_polars_has_counted_are_nobody_elses() -> None:
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    bits, count = np.full(100_000, 1, np.uint8), 800_000
    schema = pa.schema([("a", pa.bool_())]).serialize().to_pybytes()
    table = Made("pyarrow.Table", (schema, count, [[(count, -1, 0, (None, bits), (), None)]]))
    (frame, shared), _ = DATA.deserialize_object(of_hand([Made("polars.DataFrame", (table, {})), bits]))
    assert frame["a"].sum() == 100_000
    shared[...] = 255  # with shared memory, a filter would write eight times what it has room for
    assert frame["a"].to_numpy().sum() == 100_000
    assert pl.arange(count, eager=True).filter(frame["a"]).len() == 100_000


def test_labels_of_a_stranger_are_hashed_by_no_function_that_is_known() -> None:
    pd = pytest.importorskip("pandas")
    index = pd.Index([2**40, 3, 2**50, 1])  # of labels in order pandas makes no table
    got = DATA.deserialize_object(
        canning.serialize_object(
            [pd.Categorical.from_codes([0], index), pd.MultiIndex([index], [[0]]), pd.Series(range(4), index)]
        )
    )[0]
    for labels in (got[0].categories, got[1].levels[0], got[2].index):
        assert not labels._engine.is_mapping_populated


class Checked:
    def __init__(self, items: list[Any]) -> None:
        self.items = items


def test_attributes_that_xarray_would_find_are_refused() -> None:
    xr = pytest.importorskip("xarray")
    for attrs in ({"__array_interface__": {"data": (1, False)}}, {"_repr_html_": "x"}, {"__x": 1}):
        frames = canning.serialize_object(xr.DataArray(np.arange(3), attrs=attrs))
        with pytest.raises(canning.DeserializationError, match="that protocols look for"):
            DATA.deserialize_object(frames)


def test_no_program_is_compiled_for_an_array_of_jax() -> None:
    jax = pytest.importorskip("jax")
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
    arrays = [Made("jax.Array", (np.zeros(length, "i1"), length % 2 == 0)) for length in range(1, 300)]
    assert len(DATA.deserialize_object(of_hand(arrays))[0]) == 299
    assert not [event for event in events if "compile" in event]
    jax.jit(lambda number: number + 1)(np.zeros(301))
    assert [event for event in events if "compile" in event]
