"""Functions, errors, numbers and times of a script, each with a question to it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import inspect
import sys
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from . import ask, write

LARGE = np.arange(500.0)


def counters() -> Any:
    count = 0

    def more() -> int:
        nonlocal count
        count += 1
        return count

    return more, lambda: count


def even(n: int) -> bool:
    return n == 0 or odd(n - 1)


def odd(n: int) -> bool:
    return n != 0 and even(n - 1)


def annotated(x: int = 3, /, *args: LARGE.dtype, k: str = "z", **kw: Any) -> list[int]:
    """Documented."""
    return [x]


annotated.extra = LARGE


@functools.wraps(annotated)
def wrapped(*args: Any, **keywords: Any) -> Any:
    return annotated(*args, **keywords)


@functools.lru_cache(maxsize=3)
def cached(x: float) -> float:
    return x + float(LARGE[1])


def generates() -> Any:
    yield 1


async def awaited() -> int:
    return 1


@contextlib.contextmanager
def managed() -> Any:
    yield 7


ask("functions: shared cells", counters(), lambda f: (f[0](), f[0](), f[1]()))
ask("functions: each other", even, lambda f: f(10))
ask(
    "functions: annotations",
    annotated,
    lambda f: (f.__doc__, f.extra.sum(), f.__kwdefaults__, f.__defaults__),
)
ask("functions: wrapped", wrapped, lambda f: (f(4), f.__name__, str(inspect.signature(f))))
ask("functions: cached", cached, lambda f: (f(1.0), f.cache_parameters()))
ask("functions: generators", generates, lambda f: list(f()))
ask("functions: coroutines", awaited, lambda f: asyncio.run(f()))
ask("functions: context managers", managed, lambda f: f().__enter__())
ask(
    "functions: vectorized",
    np.vectorize(lambda x: x + LARGE[1], doc="d"),
    lambda f: (f([1]).sum(), f.__doc__),
)
ask("functions: partial method", type("P", (), {"f": functools.partialmethod(divmod)}), lambda c: c.__name__)


class Fails(Exception):
    def __init__(self, a: int, b: int = 2) -> None:
        super().__init__(a)
        self.b = b
        self.extra = LARGE


class Several(ExceptionGroup[Exception]):
    def derive(self, errors: Any) -> Several:
        return Several(self.message, errors)


failure = Fails(1, 3)
failure.add_note("a note")
group = Several("several", [ValueError(LARGE), ExceptionGroup("inner", [Fails(5)])])
group.add_note("of the group")

ask("errors: attributes, notes", failure, lambda e: (e.args, e.b, e.__notes__, e.extra.sum()))
ask(
    "errors: groups",
    group,
    lambda g: (
        g.message,
        g.__notes__,
        g.exceptions[1].exceptions[0].b,
        type(g.split(ValueError)[0]).__name__,
    ),
)
ask("errors: of the system", OSError(2, "no", "f"), lambda e: (type(e).__name__, e.filename, e.errno))
ask("numbers: a generator", np.random.default_rng(5), lambda g: g.integers(1000))
ask("numbers: bits", np.random.Philox(3), lambda b: b.random_raw())
ask("numbers: an old state", np.random.RandomState(3), lambda s: s.rand())
ask("numbers: a spawned seed", np.random.SeedSequence(3).spawn(2)[1], lambda s: s.generate_state(2).tolist())
ask(
    "numbers: a polynomial",
    np.polynomial.Chebyshev([1, 2], domain=[0, 5]),
    lambda p: (p(2.0), p.domain.tolist()),
)
ask("numbers: ufuncs", [np.add, np.add.reduce], lambda f: (f[0](1, 2), f[1]([1, 2])))
ask(
    "times: folded, in a zone",
    dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    lambda t: (t.isoformat(), t.fold, str(t.tzinfo)),
)

if __name__ == "__main__":
    write(*sys.argv[1:])
