"""What would become of an object if it were sent: `explain`."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from .buffers import flat
from .culprit import parts_of
from .errors import CanningError, SerializationError
from .functions import is_local
from .inspection import Report, inspect
from .layout import extent
from .locating import find_spec
from .locating import is_local as is_local_module
from .message import Serializer, default_serializer
from .modules import Bundle, unpack
from .outline import Line
from .registry import dotted_name
from .stubs import class_name, is_stub_class
from .wire import MODULES, parse

_ROWS: Final = 300
"""Parts that are looked at."""
_WIDE: Final = 50
_PROBLEMS: Final = 20
_TRIES: Final = 500
_SCALARS: Final = (str, int, float, complex, bool, type(None), np.generic)


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of an object.

    Attributes:
        path: the way to it, as Python would write it.
        kind: its type.
        how: ``header``, ``frame 1``, ``by value``, ``by reference``, ``module``, ``cannot go``.
        nbytes: bytes of its memory; None where it has none of its own.
        copied: why its memory is copied; None where it is not.
    """

    path: str
    kind: str
    how: str
    nbytes: int | None = None
    copied: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain data, for JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


@dataclass(slots=True)
class Explanation:
    """What would become of an object. `str` and rich show it; so does a notebook.

    Attributes:
        parts: its parts, the upper ones first, 300 at most.
        problems: path and reason of what cannot go; where there are some, nothing would be sent.
        frames: bytes of each frame.
        needs: modules that the receiver must have, and the way to what needs each.
        modules: what travels along as source.
        absent: modules that code asks for and that do not come along, and why.
        data: what ``trust="data"`` would say: why the message is refused; empty where it is read.
        report: what `inspect` says of the message; None where there is none.
    """

    parts: list[PartRow] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    needs: dict[str, str] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    data: list[str] = field(default_factory=list)
    report: Report | None = None
    tree: Line = field(default_factory=lambda: Line("obj", ""))

    def to_dict(self) -> dict[str, Any]:
        """Give plain data, for JSON."""
        return {
            "parts": [part.to_dict() for part in self.parts],
            "problems": [{"path": path, "reason": reason} for path, reason in self.problems],
            "frames": self.frames,
            "needs": self.needs,
            "modules": self.modules,
            "absent": self.absent,
            "data": self.data,
        }

    def __str__(self) -> str:
        from .explain_rendering import as_text

        return as_text(self)

    def __rich__(self) -> Any:
        from .explain_rendering import as_rich

        return as_rich(self)

    def _repr_html_(self) -> str:
        from .explain_rendering import as_html

        return as_html(self)


def explain(obj: Any, **options: Any) -> Explanation:
    """Say what would become of an object, and send nothing.

    `options` are those of `Serializer`. An object that cannot be pickled is explained too; only options that
    make no sense raise. The object is pickled as for sending, so that its methods for that are called.

    >>> found = explain({"x": np.zeros(1000), "f": print})
    >>> [(part.path, part.how) for part in found.parts]
    [('obj', 'header'), ("obj['x']", 'frame 1'), ("obj['f']", 'by reference')]
    >>> found.problems, found.data
    ([], ['needs builtins.print (a function)'])
    """
    serializer = default_serializer.evolve(**options)
    found = Explanation()
    frames: list[Any] = []
    try:
        frames = serializer.serialize_object(obj)
    except SerializationError as error:
        found.problems = [(error.path or "obj", error.reason)]
        found.problems += [each for each in _problems(obj, serializer) if each[0] != found.problems[0][0]]
    except Exception as error:  # an object that does not let itself be looked at
        found.problems = [("obj", f"{type(error).__name__} from its own pickling")]
    if frames:
        found.frames = [flat(frame).nbytes for frame in frames]
        _say_of_message(found, frames, serializer)
    _walk(found, obj, frames, serializer)
    return found


# -- of the message --------------------------------------------------------------------------------------


def _say_of_message(found: Explanation, frames: list[Any], serializer: Serializer) -> None:
    found.report = inspect(frames)
    trailer = parse(flat(frames[0]))
    said = None if trailer is None else trailer.extensions.get(MODULES)
    bundle = Bundle([], {}, {}) if said is None else unpack(said)
    found.modules = [source.name for source in bundle.sources]
    found.absent = dict(bundle.absent)
    for each in found.report.globals:
        top = each.module.partition(".")[0]
        known = top in sys.stdlib_module_names or top in ("canning", "cloudpickle", "__main__")
        if not known and each.module not in found.modules:
            local = is_local_module(each.module, find_spec(each.module))
            note = ', which is local here: by_value="local" takes it along' if local else ""
            found.needs.setdefault(each.module, f"{each.path or 'obj'}{note}")
    try:
        reader = Serializer(registry=serializer.registry, trust="data", allow=serializer.allow)
        reader.deserialize_object(frames)
    except CanningError as error:
        text = str(error).removeprefix("this message ").partition(": load it with")[0]
        found.data = [text]


# -- of the object ---------------------------------------------------------------------------------------


def _walk(found: Explanation, obj: Any, frames: list[Any], serializer: Serializer) -> None:
    memory = [_extent(frame) for frame in frames]
    problems = dict(found.problems)
    seen: set[int] = set()
    rest: list[tuple[str, str, Any, Line | None]] = [("", "obj", obj, None)]
    while rest and len(found.parts) < _ROWS:
        before, step, part, above = rest.pop(0)
        path = before + step
        row = _row(path, part, memory, serializer, problems)
        found.parts.append(row)
        line = Line(step, _describe(row))
        if above is None:
            found.tree = line
        else:
            above.children.append(line)
        if id(part) in seen or isinstance(part, _SCALARS) or row.how in ("by reference", "module"):
            continue
        seen.add(id(part))
        rest += [(path, step, value, line) for step, value in _some_parts(part)]


def _some_parts(part: Any) -> Iterator[tuple[str, Any]]:
    try:
        for number, each in enumerate(parts_of(part)):
            if number >= _WIDE:
                return
            yield each
    except Exception:  # whatever its own methods raise
        return


def _row(
    path: str, part: Any, memory: list[tuple[int, int]], serializer: Serializer, problems: dict[str, str]
) -> PartRow:
    kind = dotted_name(type(part))
    if path in problems:
        return PartRow(path, kind, "cannot go")
    if isinstance(part, types.ModuleType):
        return PartRow(path, part.__name__, "module")
    if is_stub_class(part):
        return PartRow(path, class_name(part), "by reference")
    if isinstance(part, type | types.FunctionType):
        marked = serializer.registry.goes_by_value(part)
        value = serializer.pickler != "pickle" and (marked or is_local(part))
        return PartRow(path, dotted_name(part), "by value" if value else "by reference")  # type: ignore[arg-type]
    if isinstance(part, types.BuiltinFunctionType):
        return PartRow(path, part.__qualname__, "by reference")
    if isinstance(part, np.ndarray | bytes | bytearray | memoryview):
        return _memory_row(path, part, kind, memory, serializer.buffer_threshold)
    return PartRow(path, kind, "header")


def _memory_row(path: str, part: Any, kind: str, memory: list[tuple[int, int]], threshold: int) -> PartRow:
    nbytes = part.nbytes if isinstance(part, np.ndarray | memoryview) else len(part)
    if isinstance(part, np.ndarray) and part.dtype.hasobject:
        return PartRow(path, kind, "header", nbytes, "it holds objects, which are pickled one by one")
    low, high = _extent(part)
    for number, (start, end) in enumerate(memory):
        if number and low >= start and high <= end and low < high:
            return PartRow(path, kind, f"frame {number}", nbytes)
    for number, (start, end) in enumerate(memory):
        if number and low < end and start < high:
            return PartRow(path, kind, f"frame {number} and more", nbytes)
    if nbytes < threshold:
        return PartRow(path, kind, "header", nbytes, f"under buffer_threshold={threshold}")
    if not memory:
        return PartRow(path, kind, "frame", nbytes)
    why = "it is sparse, misaligned, or not memory that can be lent: see docs/copies.md"
    return PartRow(path, kind, "a copy", nbytes, why)


def _extent(obj: Any) -> tuple[int, int]:
    """Tell where the memory of an object lies."""
    try:
        array = (
            obj
            if isinstance(obj, np.ndarray)
            else np.asarray(obj if isinstance(obj, memoryview) else flat(obj))
        )
        return extent(array) if array.size else (0, 0)
    except (TypeError, ValueError, BufferError, AttributeError):
        return 0, 0


def _describe(row: PartRow) -> str:
    size = "" if row.nbytes is None else f", {row.nbytes:,} bytes"
    why = f", copied: {row.copied}" if row.copied else ""
    return f"{row.kind}: {row.how}{size}{why}"


def _problems(obj: Any, serializer: Serializer) -> Iterator[tuple[str, str]]:
    """Find all that cannot go: parts that fail while all of their parts do not."""
    tries = _TRIES
    rest: list[tuple[str, Any]] = [("obj", obj)]
    seen: set[int] = set()
    count = 0
    while rest and count < _PROBLEMS:
        path, part = rest.pop(0)
        if id(part) in seen or isinstance(part, _SCALARS):
            continue
        seen.add(id(part))
        within = []
        for step, value in _some_parts(part):
            tries -= 1
            if tries > 0 and not isinstance(value, _SCALARS) and _fails(value, serializer):
                within.append((path + step, value))
        rest += within
        if not within and path != "obj":
            error = _fails(part, serializer)
            if error is not None:
                count += 1
                yield path, error


def _fails(part: Any, serializer: Serializer) -> str | None:
    try:
        serializer._write(serializer._new_writer(), part)
    except SerializationError as error:
        return error.reason
    except Exception as error:
        text = str(error)
        return (
            text if text.startswith("cannot pickle") else f"cannot pickle {dotted_name(type(part))!r} object"
        )
    return None
