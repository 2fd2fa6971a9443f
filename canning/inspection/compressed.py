"""Compressed data, recognized by its first bytes and unpacked within a budget."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Final

_DICTIONARY: Final = 128 * 2**20
"""Bytes that lzma may take for its dictionary."""
_STEP: Final = 2**20
_NAME: Final = 255
_COSTS: Final = {"bz2": 8, "xz": 2, "lzma": 2}
"""How many times longer a byte takes than one of zlib's."""
_TOOLS: Final[dict[str, Callable[[], Any]]] = {
    "gzip": lambda: zlib.decompressobj(31),
    "zlib": lambda: zlib.decompressobj(15),
    "deflate": lambda: zlib.decompressobj(-15),
    "bz2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=_DICTIONARY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_DICTIONARY),
}
_UNMARKED: Final = ("zlib", "lzma")
"""Formats without a mark of their own: only data that unpacks to the end is proof."""
CLOSED: Final = (
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x02\x21\x4c\x18", "compressed with lz4"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard"),
    *((bytes((first,)) + b"\x2a\x4d\x18", "compressed with zstandard or lz4") for first in range(0x50, 0x60)),
    (b"LZIP\1", "compressed with lzip"),
    (b"\x1f\x9d", "compressed with compress"),
    (b"ZF", "compressed by an early joblib"),
)
"""Formats that are not unpacked, by their first bytes."""


def kind_of(data: memoryview) -> str | None:
    """Return the probable compression of a file: zlib and lzma have no mark of their own."""
    head = bytes(data[:16])
    for magic, kind in ((b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz")):
        if head.startswith(magic):
            return kind
    if len(head) > 1 and head[0] & 0x8F == 8 and int.from_bytes(head[:2], "big") % 31 == 0:
        return "zlib"
    if len(head) < 14 or head[0] > 224 or head[13]:
        return None
    return "lzma" if head[5:13] == b"\xff" * 8 or head[10:13] == bytes(3) else None


def _starts(kind: str, data: memoryview) -> bool:
    """Tell whether any bytes are unpacked before the damage: reading all at once may return none."""
    try:
        return bool(_TOOLS[kind]().decompress(data[:4096], 16))
    except (zlib.error, lzma.LZMAError, MemoryError):
        return False


def _is_usual(head: bytes) -> bool:
    """Tell whether readers that guess the format take it for zlib, or for lzma by its dictionary size."""
    if head[:1] == b"\x78":
        return True
    dictionary = int.from_bytes(head[1:5], "little")
    top = 1 << max(0, dictionary.bit_length() - 1)
    return head[:2] == b"\x5d\0" or dictionary in (top, top + top // 2, 0xFFFF_FFFF)


class Budget:
    """Count down the bytes that may still be unpacked; `even` weighs those of each format equally."""

    __slots__ = ("even", "left")

    def __init__(self, left: int, *, even: bool) -> None:
        self.left = left
        self.even = even

    def take(self, kind: str, nbytes: int) -> None:
        """Subtract unpacked bytes."""
        self.left -= nbytes * (1 if self.even else _COSTS.get(kind, 1))


def expand(kind: str, data: memoryview, budget: Budget) -> tuple[bytearray | None, str | None]:
    """Unpack as much as the data and the budget allow; describe the error if it ends early.

    Returns None if nothing could be unpacked. Data without a mark and without a complete stream is not an
    error: it has another format.
    """
    out = bytearray()
    rest: Any = data
    unusual = None
    whole = kind not in _UNMARKED
    try:
        while len(rest):  # streams may be concatenated
            if kind == "gzip":
                unusual = unusual or _unusual(rest)
            tool = _TOOLS[kind]()
            rest = _stream(kind, tool, rest, out, budget)
            if rest is None:
                return out, "it unpacks to more bytes than are looked at: expanded= allows for more"
            if not tool.eof:
                return (out or None), "its compressed data breaks off" if whole else None
            whole = whole or bool(out)  # zeros are an empty stream of lzma
            if kind == "deflate":
                return out, "bytes after its compressed data" if len(rest) else None
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, MemoryError) as error:
        greedy = isinstance(error, MemoryError) or "Memory" in str(error)
        if greedy and (whole or _is_usual(bytes(data[:5]))):
            return (out or None), "its compressed data needs more memory than it gets"
        whole = whole or (_is_usual(bytes(data[:5])) and _starts(kind, data))
        return (out or None), "its compressed data is damaged" if whole else None
    return out or (None if kind in _UNMARKED else out), unusual


def _unusual(data: Any) -> str | None:
    """Describe the fields of a gzip header besides the name: other readers may interpret them differently."""
    head = bytes(data[: 10 + _NAME + 1])
    if len(head) > 3 and head[3] & ~8:
        return "a gzip header with extra fields"
    return "a gzip header with a long name" if len(head) > 3 and head[3] and b"\0" not in head[10:] else None


def _stream(kind: str, tool: Any, data: Any, out: bytearray, budget: Budget) -> Any:
    """Unpack one stream; return the data after it, or None if the budget is used up."""
    fed = 4096  # little at first: the data after a short stream is copied with it
    pending: Any = data[:fed]
    while True:
        piece = tool.decompress(pending, max(1, min(_STEP, budget.left + 1)))
        budget.take(kind, len(piece))
        out += piece
        if budget.left < 0:
            return None
        if tool.eof:
            return data[min(len(data), fed) - len(tool.unused_data) :]
        pending = getattr(tool, "unconsumed_tail", b"")
        if not pending and getattr(tool, "needs_input", True):
            pending = data[fed : fed + min(fed, _STEP)]
            fed += len(pending)
            if not len(pending) and not piece:
                return b""
