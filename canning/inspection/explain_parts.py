"""How each part of an object would be sent: the walk of `explain`."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..code.functions import is_local
from ..code.stubs import class_name, is_stub_class
from ..errors import SerializationError
from ..memory.buffers import flat
from ..memory.layout import extent
from ..pickles.outline import Line
from ..pickles.paths import CANNED, attributes_of, columns_of
from ..serializer import Serializer
from ..types.canned import CannedObject
from ..types.canner import canned_state
from ..types.registry import dotted_name
from ..writing.attempts import new_writer, pickled
from ..writing.diagnose import parts_of, with_way_out
from ..writing.stream import DIRECT

ROWS: Final = 300
"""Parts that are examined."""
_LOOKED_AT: Final = 10 * ROWS
_WIDE: Final = 50
PROBLEMS: Final = 20
_TRIES: Final = 500
_PATH: Final = 300
"""Characters of a path that are shown."""
_SCALARS: Final = (str, int, float, complex, bool, type(None), np.generic)
_MEMORY: Final = (np.ndarray, bytes, bytearray, memoryview)
TOO_DEEP: Final = "nested too deeply"


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part of an object.

    Attributes:
        path: the path to it, as Python would write it.
        kind: its type; the name of a function, class or module.
        how: ``header``; ``frame 1``; ``a copy`` in a frame; ``by value``; ``by reference``, so that the
            receiver must have it; ``module``, in a module that comes along; ``cannot go``.
        nbytes: bytes of its memory; None where it has none of its own.
        copied: why its memory is copied; None if it is not.
    """

    path: str
    kind: str
    how: str
    nbytes: int | None = None
    copied: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


class Walk:
    """Examine an object's parts, the upper ones first.

    Attributes:
        rows: the parts.
        tree: the same as a tree.
        codes: path and code of the functions that are sent by value.
    """

    def __init__(
        self, frames: list[Any], serializer: Serializer, problems: Mapping[str, str], modules: Collection[str]
    ) -> None:
        self.rows: list[PartRow] = []
        self.tree = Line("obj", "")
        self.codes: list[tuple[str, types.CodeType]] = []
        self._memory = [_extent(frame) for frame in frames]
        self._serializer = serializer
        self._problems = problems
        self._modules = modules
        self._inner: set[int] = set()
        self._kept: list[tuple[str, Any]] = []  # keeps the objects, so that no other object gets their ids

    def run(self, obj: Any) -> None:
        """Examine an object and everything in it, up to `ROWS` parts."""
        seen: set[int] = set()
        rest: deque[tuple[str, str, Any, Line | None]] = deque([("", "obj", obj, None)])
        looked_at = 0
        while rest and len(self.rows) < ROWS and looked_at < _LOOKED_AT:
            looked_at += 1
            before, step, part, above = rest.popleft()
            path = before + step
            row = self._row(path, part)
            if step.endswith(".__class__") and row.how == "by reference":
                continue
            line = Line(step, one_line(row))
            inner = CANNED in path or id(part) in self._inner
            if inner and row.how == "header" and row.nbytes is None and above is not None:
                line = above  # the numbers and tuples inside a registered type mean nothing to its user
            else:
                self.rows.append(row)
                if above is None:
                    self.tree = line
                else:
                    above.children.append(line)
            if id(part) in seen or issubclass(type(part), _SCALARS):
                continue
            seen.add(id(part))
            if row.how not in ("by reference", "module") and len(path) < _PATH:
                parts = self._canned(part) or some_parts(part)
                if id(part) in self._inner:
                    parts = [("", value) for _, value in parts]
                    self._inner.update(id(value) for _, value in parts)
                    self._kept += parts
                rest += [(path, step, value, line) for step, value in parts]
        if rest:
            self.tree.children.append(Line("…", "and more"))

    def _canned(self, part: Any) -> list[tuple[str, Any]]:
        """Return the state of an object of a registered type; nothing for any other object."""
        try:
            canner = self._serializer.registry.find(type(part))
            if canner is not None and self._serializer.portable:
                canner = self._serializer.registry.specified(canner)
            state = NotImplemented if canner is None else canned_state(canner, part)
        except Exception:
            return []
        if state is NotImplemented:
            return []
        if isinstance(state, CannedObject):
            return list(enumerate_buffers(state))
        name = "" if canner is None else canner.name
        columns = columns_of(name, state, _names_of(name, part))
        if columns is not None:
            self._inner.update(id(value) for _, value in columns)
            self._kept += columns
            return columns
        self._kept.append((CANNED, state))
        return attributes_of(name, state) or [(CANNED, state)]

    def _row(self, path: str, part: Any) -> PartRow:
        kind = type(part)
        if path in self._problems:
            return PartRow(path, kind_of(part), "cannot go")
        if issubclass(kind, types.ModuleType):
            return PartRow(path, str(vars(part).get("__name__")), self._named(vars(part).get("__name__")))
        if is_stub_class(part):
            return PartRow(path, class_name(part), "by reference")
        if issubclass(kind, type) or kind is types.FunctionType:
            return self._code_row(path, part)
        if kind is types.BuiltinFunctionType:
            return PartRow(path, part.__qualname__, "by reference")
        if issubclass(kind, _MEMORY):
            return self._memory_row(path, part, kind_of(part))
        return PartRow(path, kind_of(part), "header")

    def _code_row(self, path: str, code: Any) -> PartRow:
        serializer = self._serializer
        name = kind_of(code, of=code)
        try:
            by_value = serializer.registry.goes_by_value(code) or is_local(code)
            module = code.__module__
        except Exception:  # raised by a metaclass
            return PartRow(path, name, "by value")
        if not by_value or serializer.pickler == "pickle":
            return PartRow(path, name, self._named(module))
        if type(code) is types.FunctionType:
            self.codes.append((path, code.__code__))
            if code.__name__ == "<lambda>":
                name = "a lambda"
        return PartRow(path, name, "by value")

    def _named(self, module: Any) -> str:
        return "module" if module in self._modules else "by reference"

    def _memory_row(self, path: str, part: Any, kind: str) -> PartRow:
        array = isinstance(part, np.ndarray)
        nbytes = part.nbytes if array or isinstance(part, memoryview) else len(part)
        if array and part.dtype.hasobject:
            return PartRow(path, kind, "header", nbytes, "it holds objects, which are pickled one by one")
        low, high = _extent(part)
        for number, (start, end) in enumerate(self._memory):
            if number and low >= start and high <= end and low < high:
                return PartRow(path, kind, f"frame {number}", nbytes)
        for number, (start, end) in enumerate(self._memory):
            if number and low < end and start < high:
                return PartRow(path, kind, f"frame {number} and more", nbytes)
        threshold = self._serializer.buffer_threshold
        if nbytes < threshold:
            return PartRow(path, kind, "header", nbytes, f"under buffer_threshold={threshold}")
        if nbytes < DIRECT and isinstance(part, bytes | bytearray):
            return PartRow(path, kind, "header", nbytes, "bytes under 64 KiB are in the header")
        if not self._memory:
            return PartRow(path, kind, "frame", nbytes)
        why = "it is sparse, misaligned, or not memory that can be lent: see docs/copies.md"
        return PartRow(path, kind, "a copy", nbytes, why)


def _names_of(kind: str, part: Any) -> list[str]:
    """Return the names of an Arrow table's columns."""
    return list(part.schema.names) if kind.startswith("pyarrow.") and hasattr(part, "schema") else []


def enumerate_buffers(canned: CannedObject) -> Iterator[tuple[str, Any]]:
    """Return the attributes and buffers of a canned object."""
    yield from ((f".{name}", value) for name, value in vars(canned).items() if name != "buffers")
    yield from ((f".buffers[{number}]", buffer) for number, buffer in enumerate(canned.buffers))


def kind_of(obj: Any, of: Any = None) -> str:
    """Name the class of an object, or a class or function, without calling its metaclass."""
    cls = type(obj) if of is None else of
    try:
        return str(dotted_name(cls))
    except Exception:
        return str(type.__getattribute__(cls, "__name__")) if isinstance(cls, type) else type(obj).__name__


def some_parts(part: Any) -> Iterator[tuple[str, Any]]:
    """Return the first parts of an object, each with its step; none if its own methods raise."""
    try:
        for number, each in enumerate(parts_of(part)):
            if number >= _WIDE:
                return
            yield each
    except (Exception, SystemExit):
        return


def _extent(obj: Any) -> tuple[int, int]:
    """Return the place of an object's memory."""
    try:
        array = obj
        if not isinstance(obj, np.ndarray):
            array = np.asarray(obj if isinstance(obj, memoryview) else flat(obj))
        return extent(array) if array.size else (0, 0)
    except (TypeError, ValueError, BufferError, AttributeError):
        return 0, 0


def one_line(row: PartRow) -> str:
    """Format a row as one line."""
    size = "" if row.nbytes is None else f", {row.nbytes:,} bytes"
    why = f", copied: {row.copied}" if row.copied else ""
    return f"{row.kind}: {row.how}{size}{why}"


def find_problems(obj: Any, serializer: Serializer) -> Iterator[tuple[str, str]]:
    """Find all objects that cannot be sent: parts that fail although their own parts do not."""
    tries = _TRIES
    rest: deque[tuple[str, Any]] = deque([("obj", obj)])
    seen: set[int] = set()
    count = 0
    while rest and count < PROBLEMS:
        path, part = rest.popleft()
        if id(part) in seen or issubclass(type(part), _SCALARS):
            continue
        seen.add(id(part))
        within = []
        for step, value in some_parts(part):
            tries -= 1
            if tries > 0 and not issubclass(type(value), _SCALARS) and _fails(value, serializer):
                within.append((path + step, value))
        rest += within
        if not within and path != "obj":
            error = _fails(part, serializer)
            if error is not None and not error.startswith(TOO_DEEP):
                count += 1
                yield path, error


def _fails(part: Any, serializer: Serializer) -> str | None:
    try:
        pickled(serializer, new_writer(serializer), part)
    except SerializationError as error:
        return error.reason
    except RecursionError:
        return TOO_DEEP
    except (Exception, SystemExit) as error:
        text = str(error)
        text = text if text.startswith("cannot pickle") else f"cannot pickle {kind_of(part)!r} object"
        return with_way_out(text, part)
    return None
