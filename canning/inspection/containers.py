"""What a file is, told by its content, and the pickles, messages and arrays that stand in it.

A file is looked at as every reader would that might be given it: each format that its content allows is
followed, and where more than one does, or where a format leaves room for two readings, that is a flaw. A
file's name, and what an archive says of its members, are only what their writer says.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import DeserializationError
from ..wire.blob import MAGIC as BLOB
from ..wire.blob import end_of
from ..wire.trailer import MAGIC as HEADER
from . import npys, tars, zips
from .compressed import CLOSED, Budget, expand, kind_of
from .room import Uneven

_FREE: Final = 6 * 2**20
_EACH: Final = 40
"""Bytes that a file may unpack to, and those more for each of its bytes, all members and levels together."""
_LEVELS: Final = 4
_MEMBERS: Final = 100_000
SUFFIXES: Final = (".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".npy", ".dill", ".canned")
"""What the names of files end with that claim to be pickles, or to hold some."""
_EXPORTED: Final = "a program of torch.export, whose expressions its loader evaluates"
MODELS: Final = {
    "*/archive_format": _EXPORTED,
    "serialized_exported_program.json": _EXPORTED,
    "config.json": "the layers of a Keras model, which may hold code",
}
"""By the names of members, what loaders of models find that is not followed; ``*`` is any folder."""


@dataclass(slots=True)
class Piece:
    """One thing that stands in a file.

    Attributes:
        name: where it stands, empty for the file itself.
        kind: ``blob``, ``pickle``, ``array`` (nothing but memory), ``code`` (TorchScript), or ``none`` for
            what cannot be read.
        data: its content.
        flaw: what is wrong with it.
        sure: whether it is said to be what `kind` says, by its content or its name.
        beside: whether the same bytes are something else, too.
    """

    name: str
    kind: str
    data: memoryview
    flaw: str | None = None
    sure: bool = True
    beside: bool = False


Reader = Callable[[memoryview, str, int], Iterator[Piece]]


class Unpacker:
    """Find what stands in a file.

    `expanded` is how many bytes may be unpacked (by default that grows with the file), `suffix` what the name
    of the file ends with; `kinds` collects what the file is, outermost first.
    """

    def __init__(self, nbytes: int, expanded: int | None = None, suffix: str = "") -> None:
        left = _FREE + _EACH * nbytes if expanded is None else expanded
        self.budget = Budget(left, even=expanded is not None)
        self.suffix = suffix
        self.kinds: list[str] = []
        self.members = 0

    def pieces(self, data: memoryview, name: str = "", level: int = 0) -> Iterator[Piece]:
        """Give all pieces of a file, or of a member of one."""
        if level > _LEVELS:
            yield Piece(name, "none", data, f"archives within archives, more than {_LEVELS} deep")
            return
        for magic, what in CLOSED:
            if bytes(data[:8]).startswith(magic):
                yield Piece(name, "none", data, f"{what}, which is not looked into")
        readings = list(self._readings(data))
        if len(readings) > 1:
            words = " and a ".join(kind for kind, _ in readings)
            yield Piece(name, "none", data, f"a {words} at once: readers differ in what they find")
        for kind, read in readings:
            if level == len(self.kinds):
                self.kinds.append(kind)
            try:
                yield from read(data, name, level)
            except Uneven as error:
                yield Piece(name, "none", data, str(error))
        packed = yield from self._compressed(data, name, level)
        said = bytes(data[:1]) == b"\x80" and bytes(data[1:2]) <= b"\5"
        named = (name or self.suffix).lower().endswith(SUFFIXES)
        sure = not (readings or packed) and (said or named or bytes(data[-8:]) == HEADER)
        yield Piece(name, "pickle", data, sure=sure, beside=bool(readings))

    def _readings(self, data: memoryview) -> Iterator[tuple[str, Reader]]:
        """Give the formats that readers would take a file for, besides a pickle."""
        head = bytes(data[:8])
        if head.startswith(npys.MAGIC):
            yield "numpy file", self._arrays
        if head.startswith(BLOB):
            yield "canning blob", self._blob
        if zips.is_zip(data):
            yield "zip archive", self._zip
        if tars.is_tar(data):
            yield "tar archive", self._tar

    def _compressed(self, data: memoryview, name: str, level: int) -> Generator[Piece, None, bool]:
        """Give what a file unpacks to, and say whether it does."""
        kind = kind_of(data)
        if kind is None:
            return False
        content, flaw = expand(kind, data, self.budget)
        if content is None and flaw is None:
            return False
        if level == len(self.kinds):
            self.kinds.append(kind)
        if content is not None:
            yield from self.pieces(memoryview(content), name, level + 1)
        if flaw:
            yield Piece(name, "none", data, flaw)
        return True

    def _blob(self, data: memoryview, name: str, level: int) -> Iterator[Piece]:
        """Give the blobs that stand one behind the other, as `load` reads them from one open file."""
        while bytes(data[:8]) == BLOB:
            try:
                end = end_of(data)
            except DeserializationError:
                end = len(data)
            yield Piece(name, "blob", data[:end])
            data = data[end:]
        if len(data):
            yield from self.pieces(data, name, level + 1)
            raise Uneven("bytes after a blob")

    def _arrays(self, data: memoryview, name: str, level: int) -> Iterator[Piece]:
        """Give the arrays that stand one behind the other, as `numpy.load` reads them from one file."""
        at = 0
        while at < len(data):
            if bytes(data[at : at + 6]) != npys.MAGIC:
                yield from self.pieces(data[at:], name, level + 1)
                raise Uneven("bytes after a numpy file")
            array = npys.array_at(data, at)
            if array.end is None:
                yield Piece(name, "pickle", data[array.start :])
                return
            yield Piece(name, "array", data[array.start : array.end])
            at = array.end

    def _count(self) -> None:
        self.members += 1
        if self.members > _MEMBERS:
            raise Uneven(f"an archive of more than {_MEMBERS} members")

    def _zip(self, data: memoryview, name: str, level: int) -> Iterator[Piece]:
        seen: set[int] = set()
        flaw = None
        try:
            for member in zips.members(data):
                seen.add(member.start)
                yield from self._member(data, member, name, level)
        except Uneven as error:
            flaw = str(error)
        if flaw is not None:
            yield Piece(name, "none", data, flaw)
            for member in zips.by_headers(data, max(0, _MEMBERS - self.members)):
                if member.start not in seen:
                    yield from self._member(data, member, name, level)

    def _member(self, data: memoryview, member: zips.Member, name: str, level: int) -> Iterator[Piece]:
        self._count()
        path = f"{name}!{member.name}" if name else member.name
        content, flaw = data[member.start : member.start + member.packed], None
        packed = zips.METHODS.get(member.method)
        if packed is not None:
            made, flaw = expand(packed, content, self.budget)
            content = memoryview(made or b"")
        if member.size >= 0 and (len(content) != member.size or zlib.crc32(content) != member.crc):
            flaw = flaw or "a member that is not what the archive says"
        if member.name.endswith(".py") and "/code/" in f"/{member.name}" and len(content):
            yield Piece(path, "code", content)
        elif len(content):
            yield from self.pieces(content, path, level + 1)
        model = MODELS.get(member.name) or MODELS.get(f"*/{member.name.partition('/')[2]}")
        if model:
            yield Piece(path, "none", data, f"{model}; it is not followed")
        if flaw:
            yield Piece(path, "none", data, flaw)

    def _tar(self, data: memoryview, name: str, level: int) -> Iterator[Piece]:
        for member, content in tars.members(data):
            self._count()
            if len(content):
                yield from self.pieces(content, f"{name}!{member}".lstrip("!"), level + 1)
