"""The conversation of channels, against all that an attacker without the key can do: see `channel_model`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transport.channel_model import SEARCHES, search
from transport.sessions import Answer, Note, Refusal, Sessions


def test_the_honest_way() -> None:
    found = search({"A": ("1", "2"), "C": ("5",), "B": ()}, 4, 1)
    assert found.fault is None
    assert any(reads[1][0] == (("A", "1"), ("A", "2")) for reads in found.ends)
    replaced = search({"A": ("1",), "C": (), "B": ()}, 6, 1)  # B in the place of C
    assert any(reads[2][0] == (("A", "1"),) and reads[0][1] == ("refused",) for reads in replaced.ends)


LONG = ("one session is remembered", "another one sends as well")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in SEARCHES]
)
@pytest.mark.timeout(600)
def test_no_promise_is_broken(name: str) -> None:
    found = SEARCHES[name]()
    assert (found.fault, found.path) == (None, ())
    assert found.worlds > 10


class BelievesAnybody(Sessions):
    """Takes a refusal from whoever has the key."""

    def refused(self, place: bytes, refusal: Note) -> Any:
        return Answer.REPLACED if super().refused(place, refusal) is Refusal.DOUBT else Refusal.OTHER


class GoesBack(Sessions):
    """Sends to one that was replaced."""

    def answered(self, place: bytes, welcome: Note) -> Answer:
        answer = super().answered(place, welcome)
        self._replaced.clear()
        return answer


class BelievesThePeer(Sessions):
    """Takes what a peer has forgotten for unread."""

    def refused(self, place: bytes, refusal: Note) -> Any:
        found = super().refused(place, refusal)
        return Answer.REPLACED if found is Refusal.LOST else found


class ForgetsWhatIsOld(Sessions):
    """Takes a number that was forgotten for one that is new."""

    def accept(self, note: Note) -> int:
        first = self._first
        try:
            return super().accept(note)
        finally:
            self._first = first


class CountsNothing(Sessions):
    """Reads whatever has its number."""

    def accept(self, note: Note) -> int:
        self._seen.pop((note.number, note.sender), None)
        return super().accept(note)


TWO = {"A": ("1",), "C": (), "B": ()}
BOTH = {"A": ("1",), "C": (), "B": ("7",)}
WORSE: list[Any] = [
    (BelievesAnybody, TWO, 8, 1, 10),
    (GoesBack, TWO, 11, 1, 10),
    pytest.param(BelievesThePeer, BOTH, 9, 2, 1, marks=[pytest.mark.slow, pytest.mark.timeout(600)]),
    (ForgetsWhatIsOld, BOTH, 6, 2, 1),
    (CountsNothing, TWO, 2, 2, 10),
]


@pytest.mark.parametrize(("sessions", "outboxes", "deliveries", "copies", "limit"), WORSE)
def test_worse_protocols_are_found_out(
    sessions: type[Sessions], outboxes: dict[str, tuple[str, ...]], deliveries: int, copies: int, limit: int
) -> None:
    found = search(outboxes, deliveries, copies, sessions, limit=limit)
    assert found.fault is not None
    assert "'1' of A 2 times" in found.fault
