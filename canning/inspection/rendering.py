"""A report as text, as something that rich renders, as HTML for notebooks, as plain data for JSON."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from ..pickles.outline import Line
from .memory_use import FrameRow, Same

_ROWS: Final = 200
"""Rows of a table that are shown."""
_DEEP: Final = 60
"""Levels of the tree that are shown."""
_COLOURS: Final = {"clean": "green", "needs code": "yellow", "unreadable": "magenta", "dangerous": "red"}

Table = tuple[str, list[str], list[list[str]]]
"""A title, the columns, the rows."""


class Shown(Protocol):
    """What is shown of a report."""

    kind: str
    nbytes: int
    parts: list[Any]
    verdict: str
    reasons: list[str]
    notes: list[str]

    @property
    def tree(self) -> Line: ...  # noqa: D102 - as `Report` says

    @property
    def frames(self) -> list[FrameRow]: ...  # noqa: D102

    @property
    def globals(self) -> list[Any]: ...  # noqa: D102

    @property
    def shared(self) -> list[Same]: ...  # noqa: D102

    @property
    def duplicates(self) -> list[Same]: ...  # noqa: D102

    @property
    def savings(self) -> dict[str, int]: ...  # noqa: D102

    def opcodes(self) -> Iterator[str]: ...  # noqa: D102


def tables(report: Shown) -> list[Table]:
    """Give the tables of a report that have rows."""
    frames = [
        [
            str(row.number),
            f"{row.nbytes:,}",
            "" if row.at is None else f"{row.at:,}",
            row.what,
            _list(row.used_by),
        ]
        for row in report.frames[:_ROWS]
    ]
    named = [
        [
            f"{each.module}.{each.name}",
            each.purpose,
            each.use,
            each.path or "",
            f"{_in(each.part)}byte {each.at:,}",
        ]
        for each in report.globals[:_ROWS]
    ]
    shared = [[_list(same.paths), f"{same.nbytes:,}"] for same in report.shared[:_ROWS]]
    twice = [[_list(same.paths), f"{same.nbytes:,}"] for same in report.duplicates[:_ROWS]]
    savings = [[what, f"{nbytes:,}"] for what, nbytes in report.savings.items()]
    found: list[Table] = [
        ("Frames", ["frame", "bytes", "offset", "what", "used by"], frames),
        ("Names", ["name", "what for", "use", "path", "first asked for at"], named),
        ("Shared memory", ["by", "bytes in common"], shared),
        ("The same content again", ["in", "bytes of one"], twice),
        ("Could be saved", ["what", "bytes"], savings),
    ]
    return [table for table in found if table[2]]


def _reasons(report: Shown) -> list[str]:
    more = len(report.reasons) - _ROWS
    return [*report.reasons[:_ROWS], *([f"and {more:,} more reasons"] if more > 0 else [])]


def _in(part: str) -> str:
    return f"{part}, " if part else ""


def _list(words: list[str]) -> str:
    return ", ".join(words[:5]) + (f" and {len(words) - 5} more" if len(words) > 5 else "")


def headline(report: Shown) -> str:
    """Say what the source is, and its verdict."""
    return f"{report.kind}, {report.nbytes:,} bytes: {report.verdict}"


def _lines(tree: Line) -> Iterator[tuple[int, Line]]:
    """Give the lines of a tree with their level, from top to bottom."""
    rest = [(0, tree)]
    while rest:
        level, line = rest.pop()
        yield level, line
        if level < _DEEP:
            rest += [(level + 1, below) for below in reversed(line.children)]


def as_text(report: Shown) -> str:
    """Render a report as plain text."""
    out = [headline(report)]
    out += [f"  - {reason}" for reason in _reasons(report)]
    out += [f"  note: {note}" for note in report.notes[:_ROWS]]
    if report.parts:
        out.append("")
        out += [f"{'  ' * level}{line.label}: {line.text}" for level, line in _lines(report.tree)]
    for title, columns, rows in tables(report):
        out += ["", title, *_columns([columns, *rows])]
    return "\n".join(out)


def _columns(rows: list[list[str]]) -> Iterator[str]:
    widths = [min(60, max(map(len, column))) for column in zip(*rows, strict=True)]
    for row in rows:
        yield ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip()


def as_rich(report: Shown) -> Any:
    """Render a report for rich, which must be there: it is in the extra ``cli``."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(headline(report), style=f"bold {_COLOURS[report.verdict]}")]
    parts += [Text(f"  - {reason}") for reason in _reasons(report)]
    parts += [Text(f"  note: {note}", style="dim") for note in report.notes[:_ROWS]]
    if report.parts:
        parts += _rich_trees(report.tree)
    return Group(*parts, *_rich_tables(tables(report)))


def _rich_trees(tree: Line) -> list[Any]:
    """Make what rich draws of the lines of a tree: one tree for each line of level 0."""
    from rich.text import Text
    from rich.tree import Tree

    trees: list[Any] = []
    branches: list[Any] = []
    for level, line in _lines(tree):
        label = Text.assemble((line.label, "bold"), " ", line.text)
        branches[level:] = [branches[level - 1].add(label) if level else Tree(label)]
        if not level:
            trees.append(branches[0])
    return trees


def _rich_tables(found: Iterable[Table]) -> Iterator[Any]:
    from rich.table import Table as RichTable
    from rich.text import Text

    for title, columns, rows in found:
        table = RichTable(title=title, title_justify="left", show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        yield table


def as_html(report: Shown) -> str:
    """Render a report as HTML; everything in it is escaped."""
    colour = _COLOURS[report.verdict]
    out = [f'<div><b style="color: {colour}">{html.escape(headline(report))}</b>']
    out += _html_list([*_reasons(report), *(f"note: {note}" for note in report.notes[:_ROWS])])
    if report.parts:
        out += _html_tree(report.tree)
    for title, columns, rows in tables(report):
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        out.append(f"<details open><summary>{html.escape(title)}</summary><table><tr>{head}</tr>")
        out += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
        out.append("</table></details>")
    return "".join([*out, "</div>"])


def scan_as_html(kind: str, verdict: str, reasons: tuple[str, ...]) -> str:
    """Render what a scan says as HTML; everything in it is escaped."""
    head = f'<b style="color: {_COLOURS[verdict]}">{html.escape(verdict)}</b>'
    shown = [*reasons[:_ROWS], *(["and more"] if len(reasons) > _ROWS else [])]
    return "".join([f"<div>{html.escape(kind)}: {head}", *_html_list(shown), "</div>"])


def _html_list(words: list[str]) -> list[str]:
    return ["<ul>", *(f"<li>{html.escape(word)}</li>" for word in words), "</ul>"] if words else []


def _html_tree(tree: Line) -> Iterator[str]:
    open_levels = 0
    for level, line in _lines(tree):
        while open_levels > level:
            open_levels -= 1
            yield "</div></details>"
        label = f"<code>{html.escape(line.label)}</code> {html.escape(line.text)}"
        if line.children and level < _DEEP:
            shown = " open" if level < 3 else ""
            yield f'<details{shown}><summary>{label}</summary><div style="margin-left: 1.5em">'
            open_levels += 1
        else:
            yield f"<div>{label}</div>"
    yield "</div></details>" * open_levels


def as_dict(report: Shown, *, opcodes: bool) -> dict[str, Any]:
    """Give a report as plain data."""
    made: dict[str, Any] = {
        "kind": report.kind,
        "nbytes": report.nbytes,
        "verdict": report.verdict,
        "reasons": report.reasons,
        "notes": report.notes,
        "tree": [
            {"level": level, "label": line.label, "text": line.text} for level, line in _lines(report.tree)
        ]
        if report.parts
        else [],
        "frames": [
            {
                "part": row.part,
                "number": row.number,
                "nbytes": row.nbytes,
                "at": row.at,
                "what": row.what,
                "used_by": row.used_by,
            }
            for row in report.frames
        ],
        "globals": [each.to_dict() for each in report.globals],
        "shared": [{"paths": same.paths, "nbytes": same.nbytes} for same in report.shared],
        "duplicates": [{"paths": same.paths, "nbytes": same.nbytes} for same in report.duplicates],
        "savings": report.savings,
    }
    if opcodes:
        made["opcodes"] = list(report.opcodes())
    return made
