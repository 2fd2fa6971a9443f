"""The best of several rounds, in which all actions take turns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Final

Action = Callable[[], object]

_MOST_CALLS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Args:
        rounds: turns that each action gets.
        budget: seconds that an action is to take in all its rounds together.
        patience: seconds after which a slow action gets no more turns.
        share: the part of the full number of messages, or of the full data, for suites with fixed sizes.
    """

    rounds: int
    budget: float
    patience: float
    share: float


FULL: Final = Effort(rounds=7, budget=0.8, patience=6, share=1)
QUICK: Final = Effort(rounds=2, budget=0.03, patience=0.3, share=0.25)


def best(actions: Mapping[str, Action], first: Mapping[str, float], effort: Effort) -> dict[str, float]:
    """Give the seconds that one call of each action takes, in its best round.

    `first` is what a first call took: one that used up all patience is not repeated. Nothing that comes
    and goes with time, such as other load, then falls on one action alone.
    """
    seconds = dict(first)
    spent = dict(first)
    calls: dict[str, int] = {}
    for _ in range(effort.rounds):
        for name, action in actions.items():
            if spent[name] >= effort.patience:
                continue
            if name not in calls:
                once = clock(action, 1)
                calls[name] = _calls(once, effort)
            n = calls[name]
            one = clock(action, n)
            seconds[name] = min(seconds[name], one)
            spent[name] += one * n
    return seconds


def clock(action: Action, calls: int) -> float:
    """Give the mean seconds of so many calls, garbage collection held off."""
    with _no_collection():
        start = time.perf_counter()
        for _ in repeat(None, calls):
            action()
        return (time.perf_counter() - start) / calls


def _calls(once: float, effort: Effort) -> int:
    return min(_MOST_CALLS, max(1, int(effort.budget / effort.rounds / max(once, 1e-7))))


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
