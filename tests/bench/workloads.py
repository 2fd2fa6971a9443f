"""The rows of the codec suite, each with the bar that canning is to pass."""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from .results import BEST, Above, AtMost, Bar, Times

MB: Final = 2**20
PICKLE: Final = "pickle5"


@dataclass(frozen=True, slots=True)
class Row:
    """An object to serialize.

    Args:
        name: what ``--only`` selects it by.
        what: the object in a few words.
        make: builds it; rows are made one at a time, since together they fill 1 GB.
        bars: what canning is to pass.
        send_only: whether the sender alone is timed.
        slow: peers that take seconds for it, and are left out of quick runs.
        elsewhere: entered while its frames are read for the check; stands in for another process.
        bare: what pickle is given in its place, which sends no code: the object without that.
    """

    name: str
    what: str
    make: Callable[[], Any]
    bars: tuple[Bar, ...] = ()
    send_only: bool = False
    slow: frozenset[str] = frozenset()
    elsewhere: Callable[[], AbstractContextManager[None]] = nullcontext
    bare: Callable[[Any], Any] | None = None


@dataclass
class Particle:
    """An ordinary record, which any process can import."""

    name: str
    pos: tuple[int, int, int]
    mass: float
    tags: list[str]


def numbers(nbytes: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Make random float64 numbers, which no compression makes smaller."""
    return np.random.default_rng(0).random(nbytes // 8)


def square() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Make 128 MB in 4096 rows of 32 KB."""
    return numbers(128 * MB).reshape(4096, 4096)


def task() -> dict[str, Any]:
    """Make a message as task queues send them: small, and without arrays."""
    return {
        "op": "apply",
        "id": "c0ffee-42",
        "args": [1, 2.5, "x"],
        "kw": {"n": 10, "flag": True},
        "deps": ["a", "b"],
    }


def nested() -> dict[str, Any]:
    """Make 50 arrays of 100 KB at two depths."""
    return {
        f"layer{i}": {"w": numbers(102_400), "meta": {"i": i, "b": [numbers(102_400)]}} for i in range(25)
    }


def frame() -> Any:
    """Make a table of a million rows and six columns of four kinds."""
    import pandas as pd

    random = np.random.default_rng(0)
    n = 1_000_000
    return pd.DataFrame(
        {
            "a": random.random(n),
            "b": random.random(n),
            "c": random.integers(0, 9, n),
            "d": random.integers(0, 9, n),
            "t": pd.date_range("2020", periods=n, freq="s"),
            "k": pd.Categorical.from_codes(random.integers(0, 3, n), pd.Index(["x", "y", "z"])),
        }
    )


def particles(make: Callable[..., Any] = Particle) -> list[Any]:
    """Make 10,000 records of one dataclass."""
    return [make(f"p{i}", (i, i + 1, i + 2), i * 0.5, ["a", "b"]) for i in range(10_000)]


_NOTEBOOK: Final = "NotebookParticle"


def notebook_particles() -> list[Any]:
    """Make the same records of a class that stands in ``__main__``, as one typed in a notebook does."""
    fields = [(field.name, Any) for field in dataclasses.fields(Particle)]
    cls = dataclasses.make_dataclass(_NOTEBOOK, fields)
    cls.__module__ = "__main__"
    setattr(sys.modules["__main__"], _NOTEBOOK, cls)
    return particles(cls)


@contextmanager
def without_notebook() -> Iterator[None]:
    """Hide the notebook's class, as another process would: sent by its name alone, it is not found."""
    main = sys.modules["__main__"]
    cls = getattr(main, _NOTEBOOK)
    delattr(main, _NOTEBOOK)
    try:
        yield
    finally:
        setattr(main, _NOTEBOOK, cls)


def closure() -> Callable[[Any], Any]:
    """Make a lambda over a local function and 1 MB."""
    array = numbers(MB)

    def inner(x: Any, a: Any = array) -> Any:
        return (a * x).sum()

    return lambda x: inner(x) + array.sum()


ITEM_BY_ITEM: Final = frozenset(("distributed", "joblib"))
"""Peers that spend microseconds on each item of a large container."""

ROWS: Final[tuple[Row, ...]] = (
    Row("int", "5", lambda: 5, (Above(2.5e-6, PICKLE),)),
    Row("task_dict", "a task queue's message", task, (Above(2.5e-6, PICKLE),)),
    Row("arr_800B", "array of 800 B", lambda: numbers(800), (Times(0.75, PICKLE),)),
    Row("arr_1MB", "array of 1 MB", lambda: numbers(MB), (Times(0.75, PICKLE),)),
    Row("arr_100MB", "array of 100 MB", lambda: numbers(100 * MB), (Times(0.75, PICKLE),)),
    Row(
        "list_1000x1KB",
        "1,000 arrays of 1 KB",
        lambda: [numbers(1024) for _ in range(1000)],
        (Times(0.60, PICKLE),),
    ),
    Row(
        "list_200x100KB",
        "200 arrays of 100 KB",
        lambda: [numbers(102_400) for _ in range(200)],
        (Times(0.65, PICKLE),),
    ),
    Row("nested_50x100KB", "50 arrays of 100 KB in nested dicts", nested, (Times(0.75, PICKLE),)),
    Row("frame_1Mx6", "DataFrame of 1M rows, 6 columns", frame, (Times(1.0, PICKLE),)),
    Row(
        "list_1M_int",
        "list of 1M ints",
        lambda: list(range(1_000_000)),
        (Times(1.05, PICKLE),),
        slow=ITEM_BY_ITEM,
    ),
    Row(
        "dict_100k_str",
        "dict of 100,000 strings",
        lambda: {f"key{i}": f"value{i}" for i in range(100_000)},
        (Times(1.05, PICKLE),),
        slow=ITEM_BY_ITEM,
    ),
    Row(
        "dataclass_10k",
        "10,000 dataclasses, importable",
        particles,
        (Times(1.05, PICKLE),),
        slow=ITEM_BY_ITEM,
    ),
    Row(
        "dataclass_10k_main",
        "10,000 dataclasses of __main__, by value",
        notebook_particles,
        slow=ITEM_BY_ITEM | {"xoscar"},
        elsewhere=without_notebook,
    ),
    Row("rows_slice_96MB", "columns 512 to 3584 of 4096", lambda: square()[:, 512:3584], (Times(1.0, BEST),)),
    Row(
        "fortran_128MB",
        "Fortran array of 128 MB",
        lambda: np.asfortranarray(square()),
        (Times(0.75, PICKLE),),
    ),
    Row("bytes_50MB", "bytes of 50 MB", lambda: b"x" * (50 * MB)),
    Row("bytes_50MB_send", "bytes of 50 MB, the sender alone", lambda: b"x" * (50 * MB), send_only=True),
    Row(
        "bytes_50MB_deep_send",
        "bytes of 50 MB at depth 3, the sender alone",
        lambda: {"a": [{"b": b"x" * (50 * MB)}]},
        (AtMost(100e-6),),
        send_only=True,
    ),
    Row("closure_1MB", "lambda over 1 MB", closure),
    Row(
        "list_1M_int_lambda",
        "list of 1M ints beside a lambda; pickle: the list",
        lambda: {"items": list(range(1_000_000)), "f": lambda x: x + 1},
        (Times(1.10, PICKLE),),
        slow=ITEM_BY_ITEM,
        bare=operator.itemgetter("items"),
    ),
    Row(
        "dataclass_10k_lambda",
        "10,000 dataclasses and a lambda; pickle: these",
        lambda: [*particles(), lambda x: x + 1],
        (Times(1.20, PICKLE),),
        slow=ITEM_BY_ITEM,
        bare=lambda items: items[:-1],
    ),
)
