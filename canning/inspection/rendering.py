"""A report as text, as an object for rich, as HTML for notebooks, as plain data for JSON."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any, Final, Protocol

from ..pickles.outline import Line
from .memory_use import FrameRow, Same

_ROWS: Final = 200
"""Rows of a table that are shown."""
_WIDE: Final = 80
_FIRST: Final = 14
_LAST: Final = 22
"""Characters of a line, and minimum of the first and the last column."""
_DEEP: Final = 60
"""Levels of the tree that are shown."""
_COLOURS: Final = {"clean": "green", "needs code": "yellow", "unreadable": "magenta", "dangerous": "red"}

Table = tuple[str, list[str], list[list[str]]]
"""A title, the columns, the rows."""


class Shown(Protocol):
    """The parts of a report that are shown."""

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
    """Return the tables of a report that have rows."""
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
    """Return the kind of the source, and its verdict."""
    return f"{report.kind}, {report.nbytes:,} bytes: {report.verdict}"


def _lines(tree: Line) -> Iterator[tuple[int, Line]]:
    """Yield the lines of a tree with their level, from top to bottom."""
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
    for title, heads, rows in tables(report):
        out += ["", title, *lines_of([heads, *rows])]
    return "\n".join(out)


def lines_of(rows: list[list[str]]) -> Iterator[str]:
    """Format a table, its header first, in 80 characters; no cell of the first column is broken."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = _WIDE - sum(width + 2 for width in widths[1:-1]) - 4 - min(widths[-1], _LAST)
    if 2 * len(widths) + sum(widths) > _WIDE and room < _FIRST:
        yield from _records(rows)
        return
    widths[0] = min(widths[0], max(room, _FIRST))
    for row in rows:
        first = row[0]
        if len(first) > widths[0]:
            yield f"  {first}"
            first = ""
        cells = [first, *row[1:-1]]
        line = "  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)) + "  "
        last = wrap(row[-1], max(_WIDE - len(line), _LAST), break_long_words=False) or [""]
        yield (line + last[0]).rstrip()
        yield from (" " * len(line) + more for more in last[1:])


def _records(rows: list[list[str]]) -> Iterator[str]:
    """Put the first cell of each row on a line of its own, and the others below; no cell is broken."""
    for row in rows:
        yield f"  {row[0]}"
        line = ""
        for cell in filter(None, row[1:]):
            if line and len(line) + len(cell) + 8 > _WIDE:
                yield f"      {line};"
                line = ""
            line += f"{'; ' * bool(line)}{cell}"
        if line:
            yield f"      {line}"


def as_rich(report: Shown) -> Any:
    """Render a report for rich, which must be installed: it is in the extra ``cli``."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(headline(report), style=f"bold {_COLOURS[report.verdict]}")]
    parts += [Text(f"  - {reason}") for reason in _reasons(report)]
    parts += [Text(f"  note: {note}", style="dim") for note in report.notes[:_ROWS]]
    if report.parts:
        parts += _rich_trees(report.tree)
    return Group(*parts, *rich_tables(tables(report)))


def _rich_trees(tree: Line) -> list[Any]:
    """Make rich's trees from the lines of a tree: one for each line of level 0."""
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


def rich_tables(found: Iterable[Table]) -> Iterator[Any]:
    """Return tables for rich: the same lines as in plain text, since rich would break names."""
    from rich.text import Text

    for title, heads, rows in found:
        yield Text(f"\n{title}", style="italic")
        first, *rest = lines_of([heads, *rows])
        yield Text(first, style="bold", no_wrap=True, overflow="ignore")
        yield Text("\n".join(rest), no_wrap=True, overflow="ignore")


def as_html(report: Shown) -> str:
    """Render a report as HTML; everything in it is escaped."""
    colour = _COLOURS[report.verdict]
    out = [f'<div><b style="color: {colour}">{html.escape(headline(report))}</b>']
    out += _html_list([*_reasons(report), *(f"note: {note}" for note in report.notes[:_ROWS])])
    if report.parts:
        out += _html_tree(report.tree)
    out += html_tables(tables(report))
    return "".join([*out, "</div>"])


def html_tables(found: Iterable[Table]) -> Iterator[str]:
    """Render tables as collapsible HTML; everything in them is escaped."""
    for title, heads, rows in found:
        head = "".join(f"<th>{html.escape(each)}</th>" for each in heads)
        yield f"<details open><summary>{html.escape(title)}</summary><table><tr>{head}</tr>"
        yield from (
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        yield "</table></details>"


def scan_as_html(kind: str, verdict: str, reasons: tuple[str, ...]) -> str:
    """Render the result of a scan as HTML; everything in it is escaped."""
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
    """Return a report as plain data."""
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
