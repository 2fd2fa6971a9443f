"""The messages and pickles of a source, each followed and judged, and described on demand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from ..code.versions import packages
from ..errors import DeserializationError, name_for_errors
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Blob, Named, Node
from ..pickles.outline import Line, outline
from ..pickles.paths import Paths
from ..types.budget import MESSAGES
from ..wire.blob import frames_of
from ..wire.encoded import CODECS
from ..wire.names import CALLS
from ..wire.trailer import (
    BYTES,
    CALL,
    CHANNEL,
    MODULES,
    PORTABLE,
    SIGNATURE,
    TREE,
    VERSIONS,
    Trailer,
    check_frames,
    parse,
)
from .containers import Piece
from .memory_use import FrameRow, Memory, Same, users_of
from .room import Room, follow
from .verdicts import CLEAN, DANGEROUS, NEEDS_CODE, UNREADABLE, judge, worst

EXTENSIONS: Final[dict[int, str]] = {
    SIGNATURE: "signed (not checked: no key)",
    CHANNEL: "a message of a channel",
    MODULES: "modules that came along",
    BYTES: "buffers that arrive as bytes objects",
    CODECS: "frames that a codec has encoded, and which one",
    TREE: "what it holds, as JSON",
}
"""The extensions of the trailer, by tag."""
_PICKLES: Final = 10_000
"""Consecutive pickles in one file that are examined."""
_BRINGS: Final = 'modules come along, whose code runs where the message is read with trust="code"'
_MORE: Final = "more pickles than are looked at"
_WITHIN: Final = 1000
"""Messages inside one message that are examined, and frames of one of them."""


class Part:
    """One message, or one pickle.

    Attributes:
        name: its place in the source.
        kind: ``canning message`` or ``pickle``.
        machine: the machine that followed it.
        frames: its frames; a pickle alone is one.
        trailer: its trailer, if it has a valid one.
        offsets: those of its frames in the file, if it is in one.
        verdict, reasons, notes: the result.
    """

    def __init__(
        self,
        name: str,
        machine: PickleMachine,
        frames: list[memoryview],
        *,
        trailer: Trailer | None = None,
        wire: str | None = None,
        offsets: list[int] | None = None,
        room: Room | None = None,
        said: str | None = None,
    ) -> None:
        self.name = name_for_errors("", name)[1:]
        self.machine = machine
        self.frames = frames
        self.trailer = trailer
        self.offsets = offsets
        self.kind = "pickle" if trailer is None else "canning message"
        self._steps = None if room is None else room.steps
        self.verdict, self.reasons = judge(machine, list(frames), wire, said)
        if trailer is not None and MODULES in trailer.extensions:
            self.verdict = worst([self.verdict, NEEDS_CODE])
            self.reasons.append(_BRINGS)
        self.notes: list[str] = list(_stamp(trailer)) if trailer is not None else []
        if self.verdict in (NEEDS_CODE, DANGEROUS) and machine.broken:
            self.notes.append(f"it breaks: {machine.broken}")

    def say(self, text: str) -> str:
        """Prefix a text with the name of the part."""
        return f"{self.name}: {text}" if self.name else text

    def names(self) -> list[Named]:
        """List the names that it asks for."""
        return list(self.machine.names.values())

    @cached_property
    def paths(self) -> Paths:
        """The paths to the parts of its object."""
        return Paths(self.machine.root, self._steps)

    @cached_property
    def memory(self) -> Memory:
        """The memory of its buffers."""
        return Memory(self.trailer, self.frames, users_of(self.machine, self.paths))

    @property
    def tree(self) -> Line:
        """The outline of its object; of a truncated stream, the values on the stack."""
        machine = self.machine
        if machine.stopped:
            line = outline(machine.root, self.memory.where)
        else:
            left = Node("list", machine.start, machine.stack[-1000:])
            line = outline(left, self.memory.where)
            line.text = f"unfinished: {machine.broken}"
        line.label = self.name or "obj"
        return line

    @property
    def rows(self) -> list[FrameRow]:
        """Its frames; none for a pickle alone."""
        rows = self.memory.rows(self.offsets) if self.trailer or len(self.frames) > 1 else []
        for row in rows:
            row.part = self.name
        return rows

    @cached_property
    def shared(self) -> list[Same]:
        """Memory that several arrays share."""
        return self.memory.shared()

    @cached_property
    def duplicates(self) -> list[Same]:
        """Memory that occurs more than once in the message."""
        return self.memory.duplicates()

    @property
    def savings(self) -> dict[str, int]:
        """Bytes that could be saved."""
        machine = self.machine
        found = {
            "memory sent more than once": sum(
                same.nbytes * (len(same.paths) - 1) for same in self.duplicates
            ),
            "long strings and bytes written out again": sum(
                (count - 1) * size for count, size in machine.texts.values()
            ),
            "memo entries that nothing reads": sum(
                machine.stored.get(index, 1) for index in machine.memo if index not in machine.fetched
            ),
        }
        return {what: nbytes for what, nbytes in found.items() if nbytes}


def _stamp(trailer: Trailer) -> Iterator[str]:
    """Describe the trailer, apart from the frames."""
    major, minor, numpy_major, numpy_minor, version = trailer.stamp
    call = "a call, " if trailer.flags & CALL else ""
    call += "portable, " if trailer.flags & PORTABLE else ""
    yield f"{call}written by Python {major}.{minor} with numpy {numpy_major}.{numpy_minor}, format {version}"
    versions = packages(trailer.extensions.get(VERSIONS, b""))
    if versions:
        yield f"types of {', '.join(' '.join(each) for each in versions)}"
    for tag, content in trailer.extensions.items():
        if tag == VERSIONS:
            continue
        yield f"{EXTENSIONS.get(tag, f'extension {tag}')}: {len(content)} bytes"


def parts_of_frames(
    frames: list[memoryview],
    name: str = "",
    offsets: list[int] | None = None,
    level: int = 0,
    room: Room | None = None,
    said: str | None = None,
) -> list[Part]:
    """Follow a message, or a chain of them, and the messages inside.

    `said` is the reader's complaint about the message around these, empty if it accepted it.
    """
    room = Room(sum(map(len, frames))) if room is None else room
    parts: list[Part] = []
    at = 0
    while at < len(frames) and room.left:
        wire = trailer = None
        count = len(frames) - at
        try:
            trailer = parse(frames[at])
            if trailer is not None:
                count = min(trailer.frames, count)
                check_frames(trailer, list(frames[at + 1 : at + trailer.frames]))
        except DeserializationError as error:
            wire = str(error)
        title = f"{name} message {len(parts) + 1}".strip() if at or count < len(frames) - at else name
        mine = frames[at : at + count]
        machine = follow(mine[0], 0, room)
        where = offsets[at : at + count] if offsets else None
        part = Part(title, machine, mine, trailer=trailer, wire=wire, offsets=where, room=room, said=said)
        parts.append(part)
        if trailer is not None and MODULES in trailer.extensions:
            content = memoryview(trailer.extensions[MODULES])
            parts.append(Part(f"{title} modules".strip(), follow(content, 0, room), [content], room=room))
        parts += _within(part, level, room)
        at += count
    if at < len(frames) and parts and parts[-1].verdict in (CLEAN, NEEDS_CODE):
        parts[-1].verdict = UNREADABLE
        parts[-1].reasons.append("more messages than are looked at")
    return parts


def _within(part: Part, level: int, room: Room) -> list[Part]:
    """Follow the messages inside a message, as long as they are no larger than the input."""
    seen: set[tuple[Any, ...]] = set()
    found: list[Part] = []
    memory = Memory(part.trailer, part.frames, {})
    calls = [node for node in part.machine.calls if node.target == (CALLS, "message")]
    more = len(calls) > _WITHIN or (bool(calls) and level >= MESSAGES)
    for node in calls[: 0 if more else _WITHIN]:
        sources = tuple(source for source in node.args[:_WITHIN] if type(source) in (int, bytes, Blob))
        size = sum(memory.size(source) for source in sources)
        more |= len(sources) != len(node.args) or room.within < size or not room.left
        more |= any(type(source) is int and not memory.has(source) for source in sources)
        if sources and sources not in seen and not more:
            seen.add(sources)
            room.within -= size
            frames = [memory.content(source) for source in sources]
            name = f"{part.name} within {part.paths.of(node) or ''}".strip()
            here = [frame for frame in frames if frame is not None]
            found += parts_of_frames(here, name, None, level + 1, room, _said(part, size, room))
    if more:
        part.verdict = worst([part.verdict, UNREADABLE])
        part.reasons.append("more messages within it than are looked at")
    return found


def _said(part: Part, size: int, room: Room) -> str | None:
    """Return the reader's result for a message, which covers those inside; None: it must read them itself."""
    if part.verdict == CLEAN:
        return ""
    room.read -= size
    return None if room.read > 0 else "it is in a message that needs code"


def parts_of_blob(piece: Piece, room: Room) -> list[Part]:
    """Follow the message in a blob."""
    try:
        frames = frames_of(piece.data)
    except DeserializationError as error:
        machine = follow(piece.data[:0], 0, room)
        return [Part(piece.name, machine, [piece.data], wire=str(error), room=room)]
    offsets, at = [], 16 + 8 * len(frames)
    for frame in frames:
        at += -at % 64
        offsets.append(at)
        at += frame.nbytes
    parts = parts_of_frames(frames, piece.name, offsets, room=room)
    first = parts[0]
    if first.trailer is not None and first.trailer.frames < len(frames) and first.verdict == CLEAN:
        first.verdict = UNREADABLE
        first.reasons.append("the blob holds more frames than its object has")
    return parts


def parts_of_pickle(piece: Piece, room: Room) -> list[Part]:
    """Follow consecutive pickles; none if anything else follows."""
    parts: list[Part] = []
    data, at = piece.data, 0
    try:
        message = parse(data) is not None
    except DeserializationError:
        # A blob that ends with its header looks like a damaged header as a whole, which no reader accepts.
        message = not piece.beside
    if message:
        parts = parts_of_frames([data], piece.name, room=room)
        return parts + _behind(piece, parts[0].machine if parts else follow(data, 0, room), room)
    known = True
    while at < len(data) and len(parts) < _PICKLES and room.left:
        machine = follow(data, at, room)
        told = machine.stopped or machine.limited or machine.doubtful or _tells(machine, room)
        if not told and (parts or not piece.sure):
            known = False
            break
        name = f"{piece.name} pickle {len(parts) + 1} at byte {at}".strip() if parts else piece.name
        parts.append(Part(name, machine, [data[at : machine.at]], room=room))
        at = machine.at
        if not machine.stopped:
            break
    if parts and at < len(data) and parts[-1].machine.stopped:
        foreign = bytes(data[at : at + 8]).startswith((b"\x93", b"PK\3\4", b"PK\5\6"))  # as numpy.load tells
        _judge_rest(parts, len(data) - at, sure=piece.sure or foreign, known=known, foreign=foreign)
    elif not parts and piece.sure:
        parts = [Part(piece.name, follow(data, 0, room), [data], room=room)]
    return parts


def _behind(piece: Piece, machine: PickleMachine, room: Room) -> list[Part]:
    """Follow the data after a pickle, which a second `load` from the open file of a message would read."""
    found: list[Part] = []
    while machine.stopped and room.left:
        machine = follow(piece.data, machine.at, room)
        acts = machine.stopped and machine.acts
        if machine.limited or machine.doubtful or _tells(machine, room) or acts:
            name = f"{piece.name} after its pickle at byte {machine.start}".strip()
            found.append(Part(name, machine, [piece.data[machine.start : machine.at]], room=room))
    if not room.left and found == []:
        found.append(Part(f"{piece.name} after its pickle".strip(), machine, [], wire=_MORE, room=room))
    return found


def _tells(machine: PickleMachine, room: Room) -> bool:
    """Tell whether a damaged stream asks for an importable name before the damage."""
    return any(
        all(word.isidentifier() for word in named.module.split("."))
        and (
            all(word.isidentifier() for word in named.name.split("."))
            or room.has(named.module.partition(".")[0])
        )
        for named in machine.names.values()
    )


def _judge_rest(parts: list[Part], left: int, *, sure: bool, known: bool, foreign: bool) -> None:
    if not sure and not known and not any(part.machine.acts or part.machine.doubtful for part in parts):
        parts.clear()
        return
    last = parts[-1]
    text = (
        f"{left:,} bytes follow its end that are not a pickle"
        if not known
        else "more pickles than are looked at"
    )
    asks = any(part.verdict in (NEEDS_CODE, DANGEROUS) for part in parts)
    if asks and not known and not foreign:  # as torch writes them
        last.notes.append(text)
    else:
        last.verdict = worst([last.verdict, UNREADABLE])
        last.reasons.append(text)
