"""Fence the sessions in docstrings, which Markdown would take for quotations."""

from __future__ import annotations

import re
from typing import Any

import griffe

SESSION = re.compile(r"^([ \t]*)>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


class Sessions(griffe.Extension):
    """Change docstrings when they are read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put a fence around each session of a docstring."""
        if obj.docstring is not None:
            obj.docstring.value = SESSION.sub(fenced, obj.docstring.value)


def fenced(session: re.Match[str]) -> str:
    """Give a session with its fence, indented alike."""
    return f"{session[1]}```pycon\n{session[0]}\n{session[1]}```"
