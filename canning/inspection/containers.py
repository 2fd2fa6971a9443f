"""What a file is, told by its content, and the pickles, messages and arrays that stand in it.

A file's name and what its table of contents says are only what its writer says: members of an archive are
read whatever their flags and checksums are, and looked at whatever they are called.
Unpacked memory is bounded by one budget for all that stands within each other.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..files import MAGIC as BLOB
from ..wire import MAGIC as HEADER

EXPANDED: Final = 256 * 2**20
"""Bytes that compressed files and members of archives may become, all together."""
_MEMORY: Final = 128 * 2**20
"""Bytes that lzma may take for its dictionary."""
_STEP: Final = 2**20
_LEVELS: Final = 4
_MEMBERS: Final = 100_000
_TABLE: Final = 4 * 2**20
"""Bytes of a table of contents: those of some 50,000 members."""
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_NPY: Final = b"\x93NUMPY"
SUFFIXES: Final = (".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".npy", ".dill", ".canned")
"""What the names of files end with that claim to be pickles, or to hold some."""
_COMPRESSED: Final = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"\x78\x01", "zlib"),
    (b"\x78\x5e", "zlib"),
    (b"\x78\x9c", "zlib"),
    (b"\x78\xda", "zlib"),
)
_CLOSED: Final = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard"),
)


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
    """

    name: str
    kind: str
    data: memoryview
    flaw: str | None = None
    sure: bool = True


class Unpacker:
    """Find what stands in a file.

    `budget` is how many bytes may be unpacked, `suffix` what the name of the file ends with; `kinds` collects
    what the file is, outermost first.
    """

    def __init__(self, budget: int = EXPANDED, suffix: str = "") -> None:
        self.budget = budget
        self.suffix = suffix
        self.kinds: list[str] = []
        self.members = 0

    def pieces(self, data: memoryview, name: str = "", level: int = 0) -> Iterator[Piece]:
        """Give all pieces of a file, or of a member of one."""
        head = bytes(data[:16])
        if level > _LEVELS:
            yield Piece(name, "none", data, f"archives within archives, more than {_LEVELS} deep")
            return
        for magic, kind in _COMPRESSED:
            if head.startswith(magic):
                content, flaw = self._expand(kind, data)
                if content is None and kind not in ("zlib", "lzma"):  # of which two bytes are no proof
                    yield Piece(name, "none", data, flaw)
                    return
                if content is not None:
                    self._say(level, kind)
                    yield from self.pieces(memoryview(content), name, level + 1)
                    if flaw:
                        yield Piece(name, "none", data, flaw)
                    return
        for magic, what in _CLOSED:
            if head.startswith(magic):
                yield Piece(name, "none", data, f"{what}, which is not looked into")
                return
        if head.startswith((b"PK\3\4", b"PK\5\6")):
            self._say(level, "zip archive")
            yield from self._zip(data, name, level)
            yield Piece(name, "pickle", data, sure=False)
        elif bytes(data[257:262]) == b"ustar":
            self._say(level, "tar archive")
            yield from self._tar(data, name, level)
            yield Piece(name, "pickle", data, sure=False)
        elif head.startswith(_NPY):
            self._say(level, "numpy file")
            piece = _numpy_file(data, name)
            if not piece.sure:
                yield Piece(name, "array", piece.data)
            yield piece
        elif head.startswith(BLOB):
            self._say(level, "canning blob")
            yield Piece(name, "blob", data)
        else:
            sure = head[:1] == b"\x80" and head[1:2] <= b"\5"
            sure = sure or (name or self.suffix).lower().endswith(SUFFIXES) or bytes(data[-8:]) == HEADER
            yield Piece(name, "pickle", data, sure=sure)
            if b"PK\5\6" in bytes(data[-66_000:]):  # an archive may have anything in front of it
                for piece in self._zip(data, name, level):
                    if piece.kind != "none":
                        yield piece

    def _say(self, level: int, kind: str) -> None:
        if level == len(self.kinds):
            self.kinds.append(kind)

    # -- compression -----------------------------------------------------------------------------------

    def _expand(self, kind: str, data: memoryview) -> tuple[bytearray | None, str | None]:
        """Unpack as much as there is, and as the budget allows; say what is wrong where it ends early."""
        import bz2
        import lzma
        import zlib

        make: dict[str, Callable[[], Any]] = {
            "gzip": lambda: zlib.decompressobj(31),
            "zlib": lambda: zlib.decompressobj(15),
            "deflate": lambda: zlib.decompressobj(-15),
            "bz2": bz2.BZ2Decompressor,
            "xz": lambda: lzma.LZMADecompressor(memlimit=_MEMORY),
            "lzma": lambda: lzma.LZMADecompressor(memlimit=_MEMORY),
        }
        out = bytearray()
        rest: Any = data
        try:
            while len(rest):  # one stream may follow the other
                tool = make[kind]()
                rest = self._stream(tool, rest, out)
                if rest is None:
                    return out, "it unpacks to more bytes than are looked at: expanded= allows for more"
                if not tool.eof:
                    return out, "its compressed data breaks off"
                if kind == "deflate":
                    break
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError):
            return (out or None), "its compressed data is damaged"
        return out, None

    def _stream(self, tool: Any, data: Any, out: bytearray) -> Any:
        """Unpack one stream; give what stands behind it, or None where the budget is used up."""
        fed = 4096  # little at first: what follows a short stream is copied with it
        pending: Any = data[:fed]
        while True:
            piece = tool.decompress(pending, max(1, min(_STEP, self.budget + 1)))
            self.budget -= len(piece)
            out += piece
            if self.budget < 0:
                return None
            if tool.eof:
                return data[min(len(data), fed) - len(tool.unused_data) :]
            pending = getattr(tool, "unconsumed_tail", b"")
            if not pending and getattr(tool, "needs_input", True):
                pending = data[fed : fed + min(fed, _STEP)]
                fed += len(pending)
                if not len(pending) and not piece:
                    return b""

    # -- archives --------------------------------------------------------------------------------------

    def _count(self) -> bool:
        self.members += 1
        return self.members <= _MEMBERS

    def _zip(self, data: memoryview, name: str, level: int) -> Iterator[Piece]:
        """Give the members of a zip archive, by their own headers where its table of contents is damaged."""
        listed, flaw = _listed(data)
        if flaw is not None:
            yield Piece(name, "none", data, flaw)
        looked_at = 0
        for start, packed, method, member in listed:
            looked_at += packed
            if not self._count() or looked_at > len(data):
                what = f"more than {_MEMBERS} members" if looked_at <= len(data) else "members that overlap"
                yield Piece(name, "none", data, f"an archive of {what}")
                return
            path = f"{name}!{member}" if name else member
            content, damage = self._member(data, start, packed, method)
            if content is not None and len(content):
                if member.endswith(".py") and "/code/" in f"/{member}":
                    yield Piece(path, "code", content)
                    continue
                yield from self.pieces(content, path, level + 1)
            if damage:
                yield Piece(path, "none", data, damage)

    def _member(
        self, data: memoryview, start: int, packed: int, method: int
    ) -> tuple[memoryview | None, str | None]:
        if start + _LOCAL.size > len(data) or bytes(data[start : start + 4]) != b"PK\3\4":
            return None, "a member that is not where the archive says"
        head = _LOCAL.unpack_from(data, start)
        first = start + _LOCAL.size + head[9] + head[10]
        raw = data[first : first + packed]
        if method != head[3]:
            return None, "a member whose two descriptions differ"
        if method == 0:
            return raw, None
        kind = {8: "deflate", 12: "bz2"}.get(method)
        if kind is None:
            return None, f"a member packed by method {method}, which is not looked into"
        content, damage = self._expand(kind, raw)
        return None if content is None else memoryview(content), damage

    def _tar(self, data: memoryview, name: str, level: int) -> Iterator[Piece]:
        at = 0
        while at + 512 <= len(data):
            head = bytes(data[at : at + 512])
            if not head.strip(b"\0"):
                return
            digits = head[124:136].strip(b"\0 ")
            if not self._count() or not re.fullmatch(rb"[0-7]{1,12}", digits):
                yield Piece(name, "none", data, "a tar archive that is damaged")
                return
            size = int(digits, 8)
            member = head[:100].split(b"\0")[0].decode("utf-8", "replace")
            if size and head[156:157] in b"07\0":
                yield from self.pieces(
                    data[at + 512 : at + 512 + size], f"{name}!{member}".lstrip("!"), level + 1
                )
            at += 512 + -(-size // 512) * 512


class _Window(io.RawIOBase):
    """Let `zipfile` read a table of contents, but none longer than `_TABLE`: entries take much more."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, len(self._data))[whence]
        if base + offset < 0:
            raise OSError("a place in front of the file")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else min(self._at + size, len(self._data))
        if end - self._at > _TABLE:
            raise OSError("a table of contents that is too long")
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece


Member = tuple[int, int, int, str]
"""Where a member's own header is, its packed size, its method, its name."""


def _listed(data: memoryview) -> tuple[list[Member], str | None]:
    import zipfile

    try:
        with zipfile.ZipFile(_Window(data)) as archive:
            infos = archive.infolist()
            found = [
                (info.header_offset, info.compress_size, info.compress_type, info.filename) for info in infos
            ]
    except Exception:  # whatever a made-up table of contents leads zipfile to
        return _by_headers(data), "its table of contents is damaged"
    return found, None


def _by_headers(data: memoryview) -> list[Member]:
    raw = bytes(data[:EXPANDED])
    found: list[Member] = []
    at = raw.find(b"PK\3\4")
    while at >= 0 and at + _LOCAL.size <= len(raw) and len(found) < _MEMBERS:
        head = _LOCAL.unpack_from(raw, at)
        first = at + _LOCAL.size
        behind = raw.find(b"PK\3\4", first)
        size = head[7] or (behind if behind >= 0 else len(raw)) - first - head[9] - head[10]
        found.append((at, max(0, size), head[3], raw[first : first + head[9]].decode("utf-8", "replace")))
        at = behind
    return found


def _numpy_file(data: memoryview, name: str) -> Piece:
    """Tell memory from a pickle of objects, by the header of a ``.npy`` file."""
    width = 2 if bytes(data[6:7]) == b"\1" else 4
    start = 8 + width
    end = start + int.from_bytes(data[8:start], "little")
    if end > len(data) or end - start > 1 << 20:
        return Piece(name, "none", data, "a numpy file that is damaged")
    header = bytes(data[start:end]).decode("latin-1")
    if not re.search(r"[Oo\\+#]", header.replace("'fortran_order'", "")):  # no dtype of objects without an O
        return Piece(name, "array", data[end:])
    return Piece(name, "pickle", data[end:], sure=re.search(r"'[<>|=]?O\d*'", header) is not None)
