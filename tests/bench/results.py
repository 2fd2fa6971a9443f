"""What the suites measure, and the bars that canning is to pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

OURS: Final = "canning"
BEST: Final = "best peer"


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of one peer; what went wrong, if something did.

    With both, the peer did bring something back, and it is not what was sent. `more` has further numbers
    of the same measurement, by name.
    """

    value: float | None
    problem: str = ""
    more: dict[str, float] = field(default_factory=dict)


class Verdict(NamedTuple):
    """A bar, what was measured for it, and whether that passes."""

    bar: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One row: a cell for each peer, in seconds, or as a multiple of the data's size for memory."""

    suite: str
    name: str
    what: str
    cells: dict[str, Cell]
    nbytes: int = 0
    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def values(self) -> dict[str, float]:
        """Give the number of each peer that has one."""
        return {name: cell.value for name, cell in self.cells.items() if cell.value is not None}

    @property
    def best_peer(self) -> str | None:
        """Name the best of the others, of those that brought back what was sent."""
        values = {
            name: cell.value
            for name, cell in self.cells.items()
            if not name.startswith(OURS) and cell.value is not None and not cell.problem
        }
        return min(values, key=values.__getitem__) if values else None

    def ratio(self, peer: str | None) -> float | None:
        """Divide our number by a peer's; None where either is missing."""
        values = self.values
        if peer is None or OURS not in values or peer not in values:
            return None
        return values[OURS] / values[peer]

    def judge(self, bars: Sequence[Bar]) -> None:
        """Add a verdict for each bar that can be told; ours failing misses them all."""
        if OURS not in self.cells:
            return
        values = self.values
        if self.best_peer:
            values[BEST] = values[self.best_peer]
        for bar in bars:
            verdict = Verdict(str(bar), "failed", False) if OURS not in values else bar.judge(values)
            if verdict:
                self.verdicts.append(verdict)


class Bar(Protocol):
    """A limit for our number, alone or beside a peer's."""

    def judge(self, values: Mapping[str, float]) -> Verdict | None:
        """Tell whether our number passes; None where the peer has none."""


@dataclass(frozen=True, slots=True)
class Times:
    """At most so many times a peer's number."""

    limit: float
    peer: str

    def __str__(self) -> str:
        return f"≤ {self.limit:g} of {self.peer}"

    def judge(self, values: Mapping[str, float]) -> Verdict | None:
        """Compare the ratio to the peer with the limit."""
        if self.peer not in values:
            return None
        ratio = values[OURS] / values[self.peer]
        # One digit more than elsewhere, since a miss by a little is a miss.
        measured = f"{ratio:.3f}" if ratio >= 0.1 else show_ratio(ratio)
        return Verdict(str(self), measured, ratio <= self.limit)


@dataclass(frozen=True, slots=True)
class Above:
    """At most so many seconds more than a peer."""

    seconds: float
    peer: str

    def __str__(self) -> str:
        return f"≤ {show_seconds(self.seconds)} over {self.peer}"

    def judge(self, values: Mapping[str, float]) -> Verdict | None:
        """Compare the difference from the peer with the limit."""
        if self.peer not in values:
            return None
        more = values[OURS] - values[self.peer]
        return Verdict(str(self), show_seconds(more), more <= self.seconds)


@dataclass(frozen=True, slots=True)
class AtMost:
    """At most so many seconds."""

    seconds: float

    def __str__(self) -> str:
        return f"≤ {show_seconds(self.seconds)}"

    def judge(self, values: Mapping[str, float]) -> Verdict | None:
        """Compare our time with the limit."""
        return Verdict(str(self), show_seconds(values[OURS]), values[OURS] <= self.seconds)


@dataclass(frozen=True, slots=True)
class OfData:
    """At most so many times the size of the data."""

    limit: float

    def __str__(self) -> str:
        return f"≤ {self.limit:g} of the data"

    def judge(self, values: Mapping[str, float]) -> Verdict | None:
        """Compare our memory with the limit."""
        return Verdict(str(self), f"{values[OURS]:.3f}", values[OURS] <= self.limit)


def show_ratio(ratio: float) -> str:
    """Write a ratio with two decimals, or two digits where it is small.

    >>> show_ratio(1.234), show_ratio(0.00123)
    ('1.23', '0.0012')
    """
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def show_seconds(seconds: float) -> str:
    """Write a time with three digits.

    >>> show_seconds(2.5e-6), show_seconds(0.0123), show_seconds(14.4)
    ('2.50 µs', '12.3 ms', '14.4 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            number = seconds / size
            return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
    raise AssertionError(seconds)
