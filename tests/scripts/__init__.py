"""Scripts that define what goes by value, each object with a question to it.

``python -m tests.scripts.enums FOLDER code`` writes a message for each, with its question and its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import canning

FOUND: dict[str, tuple[Any, Callable[[Any], Any]]] = {}


def ask(name: str, obj: Any, question: Callable[[Any], Any]) -> None:
    """Add an object, and what to ask of it."""
    FOUND[name] = obj, question


def write(folder: str, by_value_as: str) -> None:
    """Write a message for each object, with its question and its answer, in a file by its number."""
    for number, (name, (obj, question)) in enumerate(FOUND.items()):
        message = canning.dumps(
            [name, obj, question]
        )  # before anything is asked, which may change the object
        again = canning.loads(message, trust="code")[1]
        answer = question(obj)
        assert repr(question(again)) == repr(answer), (name, "in the same process")
        Path(folder, f"{number:03}").write_bytes(canning.dumps([message, answer]))
