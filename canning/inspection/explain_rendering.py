"""An explanation as text, as an object for rich, as HTML for notebooks."""

from __future__ import annotations

import html
from typing import Any, Final, Protocol

from ..pickles.outline import Line
from .explain_parts import PROBLEMS, PartRow
from .rendering import Table, _html_list, _html_tree, _rich_trees, html_tables, lines_of, rich_tables

_ROWS: Final = 200


class Shown(Protocol):
    """The parts of an explanation that are shown."""

    parts: list[PartRow]
    problems: list[tuple[str, str]]
    frames: list[int]
    needs: dict[str, str]
    modules: list[str]
    absent: dict[str, str]
    data: list[str]
    portable: bool
    tree: Line


def headline(found: Shown) -> str:
    """Summarize the most important result in one line."""
    if found.problems:
        return f"cannot be sent: {found.problems[0][0]}: {found.problems[0][1]}"
    total = sum(found.frames)
    return f"{len(found.frames)} frame{'s' if len(found.frames) > 1 else ''}, {total:,} bytes"


def words(found: Shown) -> list[str]:
    """Return the further remarks."""
    said = [f"cannot go: {path}: {reason}" for path, reason in found.problems[1:]]
    if len(found.problems) >= PROBLEMS:
        said.append("and perhaps more: the search has ended here")
    said += [f'trust="data" refuses it: {reason}' for reason in found.data]
    if found.frames and not found.data:
        said.append('trust="data" reads it')
    if found.portable:
        said.append("it is portable: other languages read it")
    return said


def tables(found: Shown) -> list[Table]:
    """Return the tables that have rows."""
    parts = [
        [
            row.path,
            row.kind,
            row.how,
            "" if row.nbytes is None else f"{row.nbytes:,}",
            row.copied or ("" if row.nbytes is None else "not copied"),
        ]
        for row in found.parts[:_ROWS]
    ]
    made: list[Table] = [
        ("Parts", ["part", "what", "how it goes", "bytes", "copied"], parts),
        ("The receiver must have", ["module", "for"], [list(pair) for pair in found.needs.items()]),
        ("Comes along as source", ["module"], [[name] for name in found.modules]),
        ("Does not come along", ["module", "since"], [list(pair) for pair in found.absent.items()]),
    ]
    return [table for table in made if table[2]]


def as_text(found: Shown) -> str:
    """Render an explanation as plain text."""
    out = [headline(found), *(f"  - {word}" for word in words(found))]
    for title, heads, rows in tables(found):
        out += ["", title, *lines_of([heads, *rows])]
    return "\n".join(out)


def as_rich(found: Shown) -> Any:
    """Render an explanation for rich, which must be installed: it is in the extra ``cli``."""
    from rich.console import Group
    from rich.text import Text

    colour = "red" if found.problems else "green"
    parts: list[Any] = [Text(headline(found), style=f"bold {colour}")]
    parts += [Text(f"  - {word}") for word in words(found)]
    return Group(*parts, *_rich_trees(found.tree), *rich_tables(tables(found)[1:]))


def as_html(found: Shown) -> str:
    """Render an explanation as HTML; everything in it is escaped."""
    colour = "red" if found.problems else "green"
    out = [f'<div><b style="color: {colour}">{html.escape(headline(found))}</b>']
    out += [*_html_list(words(found)), *_html_tree(found.tree)]
    out += html_tables(tables(found)[1:])
    return "".join([*out, "</div>"])
