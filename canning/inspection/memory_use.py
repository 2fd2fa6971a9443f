"""The memory of a message: its frames, overlaps, and duplicates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from ..memory.layout import clusters
from ..pickles.nodes import Blob, size_of
from ..wire.names import CALLS
from ..wire.trailer import Entry, Trailer

_WORTH: Final = 1024
"""Bytes from which memory is compared with other memory."""
_BUFFERS: Final = 1 << 32
"""Highest number of a buffer; no two numbers have the same hash."""
_USERS: Final = 20
"""Paths that are kept for one buffer."""


@dataclass(slots=True)
class FrameRow:
    """One frame of a message.

    Attributes:
        number: of the frame in its message.
        nbytes: its length.
        at: its offset in the file, if it is in one.
        what: ``header``, ``memory``, or ``a part of joined memory``.
        used_by: paths of the objects in it.
        part: the message of the source that it belongs to.
    """

    number: int
    nbytes: int
    at: int | None
    what: str
    used_by: list[str] = field(default_factory=list)
    part: str = ""


@dataclass(slots=True)
class Same:
    """Memory that overlaps, or that is in a message more than once.

    Attributes:
        paths: the objects that use it.
        nbytes: bytes in common, or of one copy.
    """

    paths: list[str]
    nbytes: int


class Memory:
    """Hold the buffers of one message. `frames` are flat, frame 0 first; `users` are paths by buffer."""

    def __init__(
        self, trailer: Trailer | None, frames: list[memoryview], users: dict[int, list[str]]
    ) -> None:
        self.trailer = trailer
        self.frames = frames
        self.users = users
        table = trailer.table if trailer is not None else None
        rest = range(1, len(frames))
        self.entries: list[Entry] = list(table or [(n, 1, 0, frames[n].nbytes) for n in rest])

    def where(self, number: int) -> str:
        """Return the place of a buffer."""
        if not 0 <= number < len(self.entries):
            return f"in buffer {number}, which there is not"
        first, count, offset, length = self.entries[number]
        size = f"{length:,} bytes"
        if first == 0:
            return f"{size} inline in frame 0"
        if count > 1:
            return f"{size} in the frames {first} to {first + count - 1}"
        if first >= len(self.frames):
            return f"{size} in frame {first}, which is not here"
        part = "" if length == self.frames[first].nbytes else f" at {offset:,}"
        return f"{size} in frame {first}{part}"

    def has(self, number: int) -> bool:
        """Tell whether a buffer has this number."""
        return 0 <= number < len(self.entries)

    def size(self, source: int | bytes | Blob) -> int:
        """Count the bytes that `content` returns, and some for the overhead."""
        if type(source) is not int:
            return 64 + (size_of(source) or 0)
        return 64 + (self.entries[source][3] if 0 <= source < len(self.entries) else 0)

    def content(self, source: int | bytes | Blob) -> memoryview | None:
        """Return the memory of a buffer by its number, or bytes themselves; None if it is missing."""
        if type(source) is bytes:
            return memoryview(source)
        if type(source) is Blob:
            return self.frames[0][source.at : source.at + source.nbytes]
        if type(source) is not int or not 0 <= source < len(self.entries):
            return None
        first, count, offset, length = self.entries[source]
        if first == 0 and self.trailer is not None:
            start = self.trailer.pickle_length + offset
            return self.frames[0][start : start + length]
        if count == 1 and first < len(self.frames):
            return self.frames[first][offset : offset + length]
        return memoryview(b"".join(self.frames[first : first + count]))

    def rows(self, offsets: list[int] | None) -> list[FrameRow]:
        """List the frames."""
        joined = {f for first, count, _, _ in self.entries if count > 1 for f in range(first, first + count)}
        rows = [
            FrameRow(
                number,
                frame.nbytes,
                offsets[number] if offsets else None,
                "header" if number == 0 else "a part of joined memory" if number in joined else "memory",
            )
            for number, frame in enumerate(self.frames)
        ]
        for number, (first, count, _, _) in enumerate(self.entries):
            for frame in range(first, first + count):
                if frame < len(rows):
                    rows[frame].used_by += self.users.get(number, [])
        return rows

    def shared(self) -> list[Same]:
        """List the objects that share memory."""
        by_place: dict[int, list[int]] = {}
        for number, (first, count, _, _) in enumerate(self.entries):
            if count == 1:
                by_place.setdefault(first, []).append(number)
        found = []
        for numbers in by_place.values():
            extents = [(self.entries[n][2], self.entries[n][2] + self.entries[n][3]) for n in numbers]
            for group in clusters(extents) if len(numbers) > 1 else []:
                paths = [path for member in group for path in self._paths(numbers[member])]
                union = max(extents[i][1] for i in group) - min(extents[i][0] for i in group)
                total = sum(extents[i][1] - extents[i][0] for i in group)
                if len(group) > 1 and total > union:
                    found.append(Same(paths, total - union))
        twice = [number for number, paths in self.users.items() if len(paths) > 1]
        found += [Same(self.users[n], self.entries[n][3]) for n in twice if n < len(self.entries)]
        return found

    def duplicates(self) -> list[Same]:
        """List memory of 1 KiB and more that occurs more than once in the message, by its content."""
        by_size: dict[int, dict[tuple[int, int], list[int]]] = {}
        for number, (first, count, offset, length) in enumerate(self.entries):
            whole = length == self.frames[first].nbytes if 0 < first < len(self.frames) else False
            if count == 1 and length >= _WORTH and whole:
                by_size.setdefault(length, {}).setdefault((first, offset), []).append(number)
        found = []
        for length, places in by_size.items():
            alike: dict[bytes, list[list[int]]] = {}
            for (first, offset), numbers in places.items() if len(places) > 1 else ():
                content = self.frames[first][offset : offset + length]
                alike.setdefault(hashlib.blake2b(content, digest_size=16).digest(), []).append(numbers)
            found += [
                Same([path for numbers in same for path in self._paths(numbers[0])], length)
                for same in alike.values()
                if len(same) > 1
            ]
        return found

    def _paths(self, number: int) -> list[str]:
        return self.users.get(number) or [f"buffer {number}"]


def users_of(machine: Any, paths: Any) -> dict[int, list[str]]:
    """For each buffer, find the parts of the object that are made from it."""
    users: dict[int, list[str]] = {}
    for node in machine.calls:
        sources = node.args[:_USERS]
        if node.target in ((CALLS, "array"), (CALLS, "raw")):
            sources = sources[:1]
        elif node.target != (CALLS, "message"):
            continue
        path = ""
        for source in sources:
            if type(source) is int and 0 <= source < _BUFFERS and len(users.setdefault(source, [])) < _USERS:
                path = path or paths.of(node) or "something that is dropped"
                users[source].append(path)
    return users
