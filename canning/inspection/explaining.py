"""Show how an object would be sent: `explain`."""

from __future__ import annotations

import html
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Unpack

from ..code.imports import find_spec, imports_of, names_of
from ..code.imports import is_local as is_local_module
from ..code.modules import Bundle, modules_for
from ..errors import CanningError, SerializationError, shortened
from ..memory.buffers import bytes_of, flat
from ..options import SerializerOptions
from ..pickles.outline import Line
from ..serializer import Serializer, default_serializer
from ..types.allowed import AS_CODE
from ..wire.trailer import CODE, parse
from ..writing.attempts import new_writer, pickled
from .explain_parts import PROBLEMS, TOO_DEEP, PartRow, Walk, find_problems
from .rendering import Table, _html_list, _html_tree, _rich_trees, html_tables, lines_of, rich_tables
from .reports import Report, inspect

_ROWS: Final = 200


@dataclass(slots=True)
class Explanation:
    """The frames and problems that an object would have. `str`, rich and notebooks show it.

    Attributes:
        parts: its parts, the upper ones first, 300 at most.
        problems: path and reason of each part that cannot be sent; if there are any, nothing would be sent.
        frames: bytes of each frame.
        needs: modules that the receiver must have, and what needs each: the path to it, or a module that
            comes along.
        modules: modules that are sent along as source.
        absent: modules that code imports and that cannot be sent along, with the reasons.
        data: why a reader under ``trust="data"`` would refuse the message; empty if it would read it.
        portable: whether other languages can read the message, as ``portable=True`` has it written.
        report: the report of `inspect` on the message; None if there is no message.
    """

    parts: list[PartRow] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    needs: dict[str, str] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    portable: bool = False
    report: Report | None = None
    tree: Line = field(default_factory=lambda: Line("obj", ""))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return {
            "parts": [part.to_dict() for part in self.parts],
            "problems": [{"path": path, "reason": reason} for path, reason in self.problems],
            "frames": self.frames,
            "needs": self.needs,
            "modules": self.modules,
            "absent": self.absent,
            "data": self.data,
            "portable": self.portable,
        }

    def __str__(self) -> str:
        return as_text(self)

    def __rich__(self) -> Any:
        return as_rich(self)

    def _repr_html_(self) -> str:
        return as_html(self)


@shortened
def explain(obj: Any, **options: Unpack[SerializerOptions]) -> Explanation:
    """Show how an object would be sent, without sending it.

    `options` are those of `Serializer`. It also explains objects that cannot be pickled; only invalid
    options raise. It pickles the object as for sending, so the object's pickling methods are called.

    >>> import numpy as np
    >>> found = explain({"x": np.zeros(1000), "f": print})
    >>> [(part.path, part.how) for part in found.parts]
    [('obj', 'header'), ("obj['x']", 'frame 1'), ("obj['f']", 'by reference')]
    >>> found.problems, found.data
    ([], ["obj['f']: needs builtins.print (a function): data holds no functions and no classes, so let ..."])
    """
    serializer = default_serializer.evolve(**options)
    found = Explanation()
    bundle = Bundle([], {}, {}, {})
    frames: list[Any] = []
    try:
        frames = serializer.serialize_object(obj)
        found.frames = [flat(frame).nbytes for frame in frames]
        bundle = _modules_of(found, obj, frames, serializer)
    except SerializationError as error:
        found.problems = [(error.path or "obj", error.reason)]
        if not error.reason.startswith(TOO_DEEP):
            others = find_problems(obj, serializer)
            found.problems += [each for each in others if each[0] != found.problems[0][0]]
    except (Exception, SystemExit) as error:  # an object that cannot be inspected
        found.problems = [("obj", f"{type(error).__name__} from its own pickling")]
    if found.problems:
        frames, found.frames = [], []
    else:
        _say_of_message(found, frames, serializer)
    walk = Walk(frames, serializer, dict(found.problems), found.modules)
    walk.run(obj)
    found.parts, found.tree = walk.rows, walk.tree
    _say_of_needs(found, bundle, walk)
    return found


# -- of the message --------------------------------------------------------------------------------------


def _say_of_message(found: Explanation, frames: list[Any], serializer: Serializer) -> None:
    found.report = inspect(frames)
    found.portable = serializer.portable
    try:
        reader = Serializer(registry=serializer.registry, trust="data", allow=serializer.allow)
        reader.deserialize_object(frames)
    except CanningError as error:
        said = str(error).replace("this message needs", "needs", 1).removesuffix(AS_CODE)
        found.data = [said.rstrip(":; ")]


def _modules_of(found: Explanation, obj: Any, frames: list[Any], serializer: Serializer) -> Bundle:
    """List the modules that are sent along, and those that code sent by value imports."""
    trailer = parse(flat(frames[0]))
    codes: list[Any] = []
    header = b""
    if trailer is not None and trailer.flags & CODE:
        writer = new_writer(serializer)
        header = bytes_of(pickled(serializer, writer, obj)[0])
        codes = writer.reducers.codes
    elif trailer is not None:
        header = bytes(flat(frames[0]))[: trailer.pickle_length]
    bundle = modules_for(serializer.by_value.also(serializer.registry.marked_modules), header, codes)
    found.modules = [source.name for source in bundle.sources]
    found.absent = {**bundle.absent, **bundle.missing}
    return bundle


def _say_of_needs(found: Explanation, bundle: Bundle, walk: Walk) -> None:
    """List the code that the receiver must have: names in the header, and imports in code."""
    for each in found.report.globals if found.report is not None else ():
        if each.module not in found.modules and not _is_everywhere(each.module):
            path = each.path or _row_of(each.module, found)
            found.needs.setdefault(each.module, f"{path}{_how_local(each.module)}")
    paths = {imported: path for path, code in reversed(walk.codes) for imported in _imported(code)}
    for module, by in bundle.needed.items():
        within = any(other.startswith(f"{module}.") for other in (*bundle.needed, *found.needs))
        if not within and not _is_everywhere(module):
            who = f"{by} imports it" if by else f"{paths.get(module, 'obj')}, whose code imports it"
            found.needs.setdefault(module, who + _how_local(module).replace("which is", "and is"))


def _row_of(module: str, found: Explanation) -> str:
    """Find the path to the name that a function or class sent by value uses from a module."""
    rows = (row for row in found.parts if row.how == "by reference")
    return next((row.path for row in rows if f"{row.kind}.".startswith(f"{module}.")), "obj")


def _imported(code: types.CodeType) -> Iterator[str]:
    for asked in imports_of(code):
        yield from (name for name, _ in names_of(asked, ""))


def _is_everywhere(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("canning", "cloudpickle", "numpy", "__main__")


def _how_local(module: str) -> str:
    try:
        local = is_local_module(module, find_spec(module))
    except Exception:  # a finder may raise anything
        local = False
    return ', which is local here: by_value="local" takes it along' if local else ""


# -- as text, as an object for rich, as HTML for notebooks -----------------------------------------------


def headline(found: Explanation) -> str:
    """Summarize the most important result in one line."""
    if found.problems:
        return f"cannot be sent: {found.problems[0][0]}: {found.problems[0][1]}"
    total = sum(found.frames)
    return f"{len(found.frames)} frame{'s' if len(found.frames) > 1 else ''}, {total:,} bytes"


def words(found: Explanation) -> list[str]:
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


def tables(found: Explanation) -> list[Table]:
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


def as_text(found: Explanation) -> str:
    """Render an explanation as plain text."""
    out = [headline(found), *(f"  - {word}" for word in words(found))]
    for title, heads, rows in tables(found):
        out += ["", title, *lines_of([heads, *rows])]
    return "\n".join(out)


def as_rich(found: Explanation) -> Any:
    """Render an explanation for rich, which must be installed: it is in the extra ``cli``."""
    from rich.console import Group
    from rich.text import Text

    colour = "red" if found.problems else "green"
    parts: list[Any] = [Text(headline(found), style=f"bold {colour}")]
    parts += [Text(f"  - {word}") for word in words(found)]
    return Group(*parts, *_rich_trees(found.tree), *rich_tables(tables(found)[1:]))


def as_html(found: Explanation) -> str:
    """Render an explanation as HTML; everything in it is escaped."""
    colour = "red" if found.problems else "green"
    out = [f'<div><b style="color: {colour}">{html.escape(headline(found))}</b>']
    out += [*_html_list(words(found)), *_html_tree(found.tree)]
    out += html_tables(tables(found)[1:])
    return "".join([*out, "</div>"])
