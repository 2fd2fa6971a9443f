"""Pickles of a grammar: opcodes that readers take differently, around a payload that one reader may miss."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

Piece = Callable[[random.Random, bytes], bytes]

_PLAIN: Final = (
    b"N",
    b"K\1",
    b"]",
    b"}",
    b")",
    b"(",
    b"0",
    b"1",
    b"2",
    b"\x94",
    b"\x88",
    b"\x8f",
    b"J\1\0\0\0",
)
_LINES: Final = (
    *(
        b"I+0\n",
        b"I 1\n",
        b"I001\n",
        b"I01\n",
        b"I0x1\n",
        b"I1_0\n",
        b"I1\r\n",
        b"L1\n",
        b"L1L\n",
        b"L0x1L\n",
    ),
    *(b"F1\n", b"F1_0\n", b"F nan\n", b"S'a'\n", b'S"a"\n', b"S'a' \n", b"Va\n", b"V\\u0061\n"),
    *(
        b"p0\n",
        b"p+0\n",
        b"p 0\n",
        b"g0\n",
        b"g+0\n",
        b"p00\n",
        b"p1_0\n",
        b"q\0",
        b"h\0",
        b"r\0\0\0\0",
        b"j\0\0\0\0",
    ),
)
_ENDS: Final = (
    b"t",
    b"l",
    b"d",
    b"a",
    b"e",
    b"s",
    b"u",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x90",
    b"\x91",
    b"b",
    b"R",
    b"\x81",
)
_COUNTS: Final = {
    b"C": "<B",
    b"B": "<I",
    b"\x8e": "<Q",
    b"\x8c": "<B",
    b"X": "<I",
    b"\x8d": "<Q",
    b"\x96": "<Q",
    b"U": "<B",
    b"T": "<I",
}
"""Opcodes with a length, and the length's format."""


def _swallow(rng: random.Random, evil: bytes) -> bytes:
    """Write bytes or text that hold the payload, of the right length or another."""
    code = rng.choice(list(_COUNTS))
    inside = rng.choice((evil, evil + b".", b"." + evil, b"N." + evil, b"abc"))
    size = max(0, len(inside) + rng.choice((0, 0, 0, -1, 1, 2, -len(inside))))
    return code + struct.pack(_COUNTS[code], min(size, 255)) + (b"" if rng.random() < 0.2 else inside)


def _frame(rng: random.Random, evil: bytes) -> bytes:
    return b"\x95" + struct.pack("<Q", rng.choice((0, 1, 2, 3, 4, 5, 8, 13, len(evil), rng.randrange(64))))


def _mark(rng: random.Random, evil: bytes) -> bytes:
    return rng.choice((b"\x80\4", b"\x80\5", b"\x80\2", b"\x80\0", b"."))


_PIECES: Final[tuple[tuple[Piece, int], ...]] = (
    (lambda rng, evil: rng.choice(_PLAIN), 8),
    (lambda rng, evil: rng.choice(_LINES), 4),
    (lambda rng, evil: rng.choice(_ENDS), 2),
    (_swallow, 3),
    (_frame, 4),
    (_mark, 3),
    (lambda rng, evil: evil, 2),
    (lambda rng, evil: bytes([rng.randrange(256)]), 1),
)


def stream(rng: random.Random, evil: bytes) -> bytes:
    """Make some pickles, one after the other, in each of which little is wrong.

    >>> len(stream(random.Random(1), b"cos\\nsystem\\n.")) > 0
    True
    """
    makes, weights = zip(*_PIECES, strict=True)
    pieces = [make(rng, evil) for make in rng.choices(makes, weights, k=rng.randrange(1, 10))]
    pieces.insert(0, rng.choice((b"", b"\x80\4", b"N.", b"\x80\4N.")))
    whole = b"".join(pieces) + rng.choice((b".", b"N.", b"", evil, b"N." + evil))
    if rng.random() < 0.4:  # a frame whose end is near one of the ends
        at = rng.randrange(len(whole) + 1)
        length = max(
            0, rng.choice((len(whole) - at, whole.find(b".", at) + 1 - at)) + rng.choice((0, 0, 1, -1))
        )
        whole = whole[:at] + b"\x95" + struct.pack("<Q", length) + whole[at:]
    return whole
