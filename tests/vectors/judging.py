"""Ask a reader what vectors hold, and judge its answers."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from . import ASKED
from .neutral import same

OUTCOMES: Final = {
    "right": "read as it should be, or refused as it should be",
    "unsupported": "the reader says that it cannot read it",
    "wrong": "read as something else",
    "refused": "a good message was refused",
    "accepted": "a bad message was read",
    "no answer": "the reader ended or took too long, or its answer is no JSON",
}
"""What may become of a vector; the first two are no failures."""
FINE: Final = ("right", "unsupported")


class Judged(NamedTuple):
    """What became of a vector."""

    group: str
    name: str
    outcome: str
    said: str


def judge(vector: dict[str, Any], answer: Any) -> tuple[str, str]:
    """Compare an answer with what a vector states; give the outcome, and what there is to say of it.

    >>> judge({"values": [[1, 2]]}, {"values": [[1, 3]]})
    ('wrong', 'values: [0][1]: 3 instead of 2')
    >>> judge({"refused": "it is cut"}, {"refused": "too short"})
    ('right', 'too short')
    """
    if not isinstance(answer, dict):
        return "no answer", f"{answer!r:.200}"
    why = answer.get("refused", answer.get("unsupported"))
    if "refused" in vector:
        return ("accepted", vector["refused"]) if why is None else ("right", why)
    if "refused" in answer:
        return "refused", why
    for part in ("containers", "values"):
        if part in vector and part in answer:
            differs = same(vector[part], answer[part])
            if differs:
                return "wrong", f"{part}: {differs}"
    if any(part in vector and part not in answer for part in ("containers", "values")):
        return ("unsupported", why) if why is not None else ("no answer", "what it holds is not said")
    return "right", ""


class Reader:
    """A command that reads vectors; started again if it ended early, or took more than `patience` seconds."""

    def __init__(self, command: Sequence[str], patience: float = 30) -> None:
        self.command = command
        self.patience = patience
        self._process: subprocess.Popen[str] | None = None

    def ask(self, vector: dict[str, Any]) -> Any:
        """Give the answer to a vector; None where there is none."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(self.patience, self._process.kill)
        try:
            print(
                json.dumps({name: vector[name] for name in ASKED if name in vector}), file=self._process.stdin
            )
            self._process.stdin.flush()
            timer.start()
            return json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            self.close()
            return None
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the command."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def judged(command: Sequence[str], vectors: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Judged]:
    """Judge a reader by vectors, one after the other."""
    reader = Reader(command)
    try:
        for group, vector in vectors:
            yield Judged(group, vector["name"], *judge(vector, reader.ask(vector)))
    finally:
        reader.close()
