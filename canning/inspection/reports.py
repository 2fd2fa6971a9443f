"""Report the content of a message, a pickle or a file, without running any of it."""

from __future__ import annotations

import mmap as mapping
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from ..arguments import check_whole
from ..errors import DeserializationError, name_for_errors, shortened
from ..files import open_regular
from ..memory.buffers import flat
from ..pickles.nodes import Named
from ..pickles.outline import Line
from . import rendering
from .containers import Unpacker
from .disassembly import disassemble
from .known_names import purpose_of
from .memory_use import FrameRow, Same
from .parts import Part, parts_of_blob, parts_of_frames, parts_of_pickle
from .room import Room
from .verdicts import CLEAN, NEEDS_CODE, ORDER, UNREADABLE, worst

UNKNOWN: Final = "no pickle"
"""The kind of a file with nothing to judge."""


@dataclass(frozen=True, slots=True)
class Global:
    """One name that a pickle asks for.

    Attributes:
        module, name: the name, as the unpickler looks it up.
        purpose: its purpose.
        dangerous: whether it is known to run code, or to reach outside of the process.
        part: the pickle of the source that asks for it.
        at: the offset in that pickle of the first opcode that asks.
        count: how often it asks.
        use: how the pickle uses it.
        path: the path in the object to it, or to what it makes; None if it is not part of the object.
    """

    module: str
    name: str
    purpose: str
    dangerous: bool
    part: str
    at: int
    count: int
    use: str
    path: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        return {key: getattr(self, key) for key in self.__slots__}


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The result of a scan; `str` and a notebook show it with one reason a line.

    Attributes:
        verdict: ``clean``, ``needs code``, ``unreadable`` or ``dangerous``, from best to worst.
        kind: what the source is.
        reasons: why it is not clean.
        globals: the names that it asks for.
    """

    verdict: str
    kind: str
    reasons: tuple[str, ...] = ()
    globals: tuple[Global, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for JSON."""
        found = [each.to_dict() for each in self.globals]
        return {"verdict": self.verdict, "kind": self.kind, "reasons": list(self.reasons), "globals": found}

    def __str__(self) -> str:
        return "\n".join((f"{self.kind}: {self.verdict}", *(f"  - {reason}" for reason in self.reasons)))

    def _repr_html_(self) -> str:
        return rendering.scan_as_html(self.kind, self.verdict, self.reasons)


@dataclass
class Report:
    """What a source contains. `str`, rich and notebooks show it.

    Attributes:
        kind: what the source is: ``canning message``, ``pickle``, ``zip archive``, ...
        nbytes: its size.
        parts: its messages and pickles.
        verdict: ``clean`` if it can be read as data, ``needs code``, ``unreadable``, or ``dangerous``; the
            worst verdict of its parts.
        reasons: why it is not clean.
        notes: other observations.
    """

    kind: str
    nbytes: int
    parts: list[Part]
    verdict: str
    reasons: list[str]
    notes: list[str] = field(default_factory=list)

    @cached_property
    def tree(self) -> Line:
        """The outline of the object, or of all objects."""
        lines = [part.tree for part in self.parts]
        if len(lines) == 1:
            return lines[0]
        return Line(self.kind, f"{len(lines)} objects", lines)

    @property
    def frames(self) -> list[FrameRow]:
        """The frames of the messages, in their order."""
        return [row for part in self.parts for row in part.rows]

    @cached_property
    def globals(self) -> list[Global]:
        """The names that it asks for, dangerous ones first."""
        found = [_global_of(part, named) for part in self.parts for named in part.names()]
        return sorted(found, key=lambda each: not each.dangerous)

    @property
    def shared(self) -> list[Same]:
        """Memory that several arrays share; `nbytes` are the bytes that were not sent twice."""
        return [same for part in self.parts for same in part.shared]

    @property
    def duplicates(self) -> list[Same]:
        """Memory of 1 KiB and more that was sent more than once."""
        return [same for part in self.parts for same in part.duplicates]

    @property
    def savings(self) -> dict[str, int]:
        """Bytes that could be saved, by the measure that saves them."""
        total: dict[str, int] = {}
        for part in self.parts:
            for what, nbytes in part.savings.items():
                total[what] = total.get(what, 0) + nbytes
        return total

    def opcodes(self) -> Iterator[str]:
        """Yield a line for each opcode of each pickle: its offset, name, argument, and result."""
        for part in self.parts:
            if len(self.parts) > 1:
                yield f"-- {part.name}"
            yield from disassemble(part)

    def to_dict(self, *, opcodes: bool = False) -> dict[str, Any]:
        """Return plain data, for JSON; with `opcodes`, their lines too."""
        return rendering.as_dict(self, opcodes=opcodes)

    def __str__(self) -> str:
        return rendering.as_text(self)

    def __rich__(self) -> Any:
        return rendering.as_rich(self)

    def _repr_html_(self) -> str:
        return rendering.as_html(self)


@shortened
def inspect(source: Any, *, expanded: int | None = None) -> Report:
    """Show what frames, bytes or a file contain, without running any of it.

    `source` is a list of frames, one blob or pickle as bytes, or the path to a file: one of canning's, any
    pickle, files of ``torch.save``, ``joblib.dump`` or ``numpy.save``, and zip and tar archives of these.
    Compressed data is unpacked up to `expanded` bytes, by default 6 MiB and 40 times its size. You always
    get a report, whatever the source holds; only a file that cannot be opened raises `OSError`.

    >>> import pickle
    >>> report = inspect(pickle.dumps({"f": print, "n": [1, 2]}))
    >>> report.verdict, [(each.name, each.path) for each in report.globals]
    ('needs code', [('print', "obj['f']")])
    """
    if expanded is not None:
        check_whole("expanded", expanded, "bytes")
    if isinstance(source, str | os.PathLike):
        try:
            return _inspect_file(_map_file(Path(source)), expanded, os.fspath(source))
        except DeserializationError as error:
            return Report(UNKNOWN, 0, [], UNREADABLE, [str(error)])
    if isinstance(source, list | tuple):
        frames = [flat(frame) for frame in source]
        parts = parts_of_frames(frames)
        return _report("canning message", sum(map(len, frames)), parts, [], [])
    try:
        data = flat(source)
    except TypeError as error:
        hint = "to see what becomes of an object, call canning.explain"
        raise TypeError(f"frames, bytes or a path are inspected: {error}; {hint}") from None
    return _inspect_file(data, expanded, "")


@shortened
def scan(source: Any, *, expanded: int | None = None) -> ScanResult:
    r"""Tell whether frames, bytes or a file can be read as data; `source` is as for `inspect`.

    ``clean``: `loads` reads it with ``trust="data"``, or it is a pickle that names and calls nothing.
    ``needs code``: reading it would call what it names. ``unreadable``: it is damaged, beyond a limit, or
    readers differ in what they find in it; a file that may not be opened is unreadable, too.
    ``dangerous``: it calls what is known to run code, or to reach outside of the process. Raises
    `FileNotFoundError` if there is no such file.

    >>> scan(b"cos\nsystem\n(S'true'\ntR.").reasons
    ('dangerous: os.system',)
    """
    try:
        report = inspect(source, expanded=expanded)
    except FileNotFoundError:
        raise
    except OSError as error:
        return ScanResult(UNREADABLE, "file", (f"cannot be opened: {type(error).__name__}",))
    return ScanResult(report.verdict, report.kind, tuple(report.reasons), tuple(report.globals))


def _map_file(path: Path) -> memoryview:
    """Map a stranger's file, unless opening it could block; an empty file, a folder or device is refused."""
    try:
        with open_regular(path) as file:
            return memoryview(mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_READ))
    except IsADirectoryError:
        raise DeserializationError("it is a folder") from None
    except ValueError:
        raise DeserializationError("it is empty") from None


def _inspect_file(data: memoryview, expanded: int | None, name: str) -> Report:
    unpacker = Unpacker(len(data), expanded, os.path.splitext(name)[1])
    parts: list[Part] = []
    flaws: list[str] = []
    harmless = 0
    suspicious: list[str] = []
    room = Room(max(len(data), expanded or 0))
    for piece in unpacker.pieces(data, ""):
        if not room.left:
            flaws.append("more pickles than are looked at")
            break
        where = f"{name_for_errors('', piece.name)[1:]}: " if piece.name else ""
        if piece.kind == "blob":
            parts += parts_of_blob(piece, room)
        elif piece.kind == "pickle":
            found = parts_of_pickle(piece, room)
            parts += found
            if found and piece.beside:
                flaws.append(f"{where}a pickle, too: readers differ in what they find")
        elif piece.kind == "array":
            harmless += 1
        elif piece.kind == "code":
            suspicious.append(f"{where}TorchScript code")
        else:
            flaws.append(f"{where}{piece.flaw}")
    kind = " of a ".join(reversed(unpacker.kinds)) if unpacker.kinds else (parts[0].kind if parts else "file")
    return _report(kind, len(data), parts, flaws, suspicious, harmless)


def _report(
    kind: str, nbytes: int, parts: list[Part], flaws: list[str], suspicious: list[str], harmless: int = 0
) -> Report:
    verdicts = [part.verdict for part in parts] + [CLEAN] * bool(harmless)
    verdicts += [UNREADABLE] * bool(flaws) + [NEEDS_CODE] * bool(suspicious)
    reasons = list(
        dict.fromkeys(part.say(reason) for part in sorted(parts, key=_badly) for reason in part.reasons)
    )
    reasons += suspicious + flaws
    if not verdicts:
        kind, reasons = UNKNOWN, ["neither a canning message nor a pickle, and nothing that holds one"]
    notes = [part.say(note) for part in parts for note in part.notes]
    return Report(kind, nbytes, parts, worst(verdicts), reasons, notes)


def _badly(part: Part) -> int:
    return -ORDER.index(part.verdict)


def _global_of(part: Part, named: Named) -> Global:
    purpose, dangerous = purpose_of(named.module, named.name)
    use = "named"
    if named.calls:
        arguments = named.arguments or 0
        use = f"called with {arguments} argument{'' if arguments == 1 else 's'}"
        use += f", {named.calls} times in all" if named.calls > 1 else ""
        if named.place is not None and named.place.states:
            use += ", state set"
    path = part.paths.of(named.place or named.node)
    module, name = (name_for_errors("", text)[1:] for text in (named.module, named.name))
    return Global(module, name, purpose, dangerous, part.name, named.at, named.count, use, path)


__all__ = ["Global", "Report", "ScanResult", "inspect", "scan"]
