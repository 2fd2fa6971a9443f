"""The format of a file, recognized by its content, and the pickles, messages and arrays in it.

A file is read as every reader would that might be given it: each format that its content allows is
followed; if several formats fit, or a format allows two readings, that is an error. A file's name, and the
names in an archive, are only claims of their writer.
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
from . import archives, npys
from .compressed import CLOSED, Budget, expand, kind_of
from .room import Uneven

_FREE: Final = 6 * 2**20
_EACH: Final = 40
"""Bytes that a file may unpack to, plus those for each of its bytes, over all members and levels."""
_LEVELS: Final = 4
_MEMBERS: Final = 100_000
SUFFIXES: Final = (".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".npy", ".dill", ".canned")
"""Name endings of files that claim to be pickles, or to hold some."""
_EXPORTED: Final = "a program of torch.export, whose expressions its loader evaluates"
MODELS: Final = {
    "*/archive_format": _EXPORTED,
    "serialized_exported_program.json": _EXPORTED,
    "config.json": "the layers of a Keras model, which may hold code",
}
"""Members that model loaders read and that are not followed here, by name; ``*`` is any folder."""


@dataclass(slots=True)
class Piece:
    """One message, pickle or other content of a file.

    Attributes:
        name: its place, empty for the file itself.
        kind: ``blob``, ``pickle``, ``array`` (nothing but memory), ``code`` (TorchScript), or ``none`` if it
            cannot be read.
        data: its content.
        flaw: the error in it.
        sure: whether its content or its name says that it is of this kind.
        beside: whether the same bytes fit another kind, too.
    """

    name: str
    kind: str
    data: memoryview
    flaw: str | None = None
    sure: bool = True
    beside: bool = False


Reader = Callable[[memoryview, str, int], Iterator[Piece]]


class Unpacker:
    """Find the messages, pickles and arrays in a file.

    `expanded` is the number of bytes that may be unpacked (by default it grows with the file), `suffix` the
    ending of the file's name; `kinds` collects the formats, outermost first.
    """

    def __init__(self, nbytes: int, expanded: int | None = None, suffix: str = "") -> None:
        left = _FREE + _EACH * nbytes if expanded is None else expanded
        self.budget = Budget(left, even=expanded is not None)
        self.suffix = suffix
        self.kinds: list[str] = []
        self.members = 0

    def pieces(self, data: memoryview, name: str = "", level: int = 0) -> Iterator[Piece]:
        """Yield all pieces of a file, or of a member of one."""
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
        """Return the formats that readers would recognize in a file, besides a pickle."""
        head = bytes(data[:8])
        if head.startswith(npys.MAGIC):
            yield "numpy file", self._arrays
        if head.startswith(BLOB):
            yield "canning blob", self._blob
        if archives.is_zip(data):
            yield "zip archive", self._zip
        if archives.is_tar(data):
            yield "tar archive", self._tar

    def _compressed(self, data: memoryview, name: str, level: int) -> Generator[Piece, None, bool]:
        """Yield the unpacked content of a file, and report whether it could be unpacked."""
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
        """Yield the consecutive blobs, as `load` reads them from one open file."""
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
        """Yield the consecutive arrays, as `numpy.load` reads them from one file."""
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
            for member in archives.zip_members(data):
                seen.add(member.start)
                yield from self._member(data, member, name, level)
        except Uneven as error:
            flaw = str(error)
        if flaw is not None:
            yield Piece(name, "none", data, flaw)
            for member in archives.zip_members_by_headers(data, max(0, _MEMBERS - self.members)):
                if member.start not in seen:
                    yield from self._member(data, member, name, level)

    def _member(self, data: memoryview, member: archives.Member, name: str, level: int) -> Iterator[Piece]:
        self._count()
        path = f"{name}!{member.name}" if name else member.name
        content, flaw = data[member.start : member.start + member.packed], None
        packed = archives.METHODS.get(member.method)
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
        for member, content in archives.tar_members(data):
            self._count()
            if len(content):
                yield from self.pieces(content, f"{name}!{member}".lstrip("!"), level + 1)
