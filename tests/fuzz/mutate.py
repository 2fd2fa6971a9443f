"""Ways to break a pickle: its bytes, its opcodes, its numbers and names, parts of another's."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

from .corpus import Message

EDGES: Final = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)
NUMBERS: Final = (
    0,
    1,
    -1,
    2,
    255,
    256,
    65_535,
    1 << 31,
    (1 << 31) - 1,
    1 << 32,
    1 << 62,
    (1 << 63) - 1,
    -(1 << 63),
)
_INTS: Final = tuple(b"\x8a" + bytes([9]) + number.to_bytes(9, "little", signed=True) for number in NUMBERS)
_NAMES: Final = tuple(
    b"".join(b"\x8c" + bytes([len(part)]) + part for part in dotted.encode().split(b":")) + b"\x93"
    for dotted in (
        *("canning.calls:array", "canning.calls:strings", "canning.calls:subclass"),
        *("canning.calls:masked", "canning.calls:scalar", "canning.calls:dtype"),
        *("canning.calls:raw", "canning.calls:view", "canning.calls:message"),
        *("canning.calls:attributes", "canning.calls:registered", "uuid:UUID"),
        *("canning.calls:stdlib_array", "datetime:datetime", "datetime:timezone", "decimal:Decimal"),
        *("fractions:Fraction", "collections:deque", "collections:OrderedDict", "numpy:matrix"),
        *("numpy:memmap", "pathlib:PosixPath", "builtins:range", "builtins:slice", "builtins:complex"),
        *("tests.fuzz.corpus:Spot", "tests.fuzz.corpus:Pair", "tests.fuzz.corpus:Colour", "os:system"),
    )
)
_BARE: Final = b"()]}[{.0125NRQabdehijloqrstu" + bytes(
    (0x81, *range(0x85, 0x8A), *range(0x8F, 0x95), 0x97, 0x98)
)
_PIECES: Final = (
    *(bytes([code]) for code in _BARE),
    *(
        b"K\x01",
        b"h\x00",
        b"h\x01",
        b"h\x05",
        b"j\x00\x00\x00\x00",
        b"C\x00",
        b"C\x08" + bytes(8),
        b"\x8c\x01a",
    ),
    *(b"\x8c\x03<f8", b"\x8c\x02|O", b"G" + struct.pack(">d", float("nan")), b"\x80\x04"),
    *(
        b"X\xff\xff\xff\xff",
        b"\x95" + bytes(8),
        b"(t",
        b"(l",
        b"(e",
        b"(u",
        b"\x8e" + b"\xff" * 8,
        b"\x8b\xff\xff\xff\x7f",
    ),
    *_INTS,
    *_NAMES,
)
"""What is put between opcodes."""

Mutator = Callable[[random.Random, bytearray, Message, Message], None]


def flip(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Flip a bit."""
    body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)


def put(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Replace a byte."""
    body[rng.randrange(len(body))] = rng.choice(EDGES) if rng.random() < 0.5 else rng.randrange(256)


def cut(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Take some bytes out."""
    at = rng.randrange(len(body))
    del body[at : at + rng.randrange(1, 9)]


def double(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Say some bytes again."""
    at = rng.randrange(len(body))
    body[at:at] = body[at : at + rng.randrange(1, 30)] * rng.choice((1, 1, 2, 50))


def truncate(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Cut the end off, and maybe end there."""
    del body[rng.randrange(1, len(body) + 1) :]
    if rng.random() < 0.5:
        body += b"."


def splice(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Put some opcodes of another pickle in."""
    start = rng.randrange(len(other.marks) - 1)
    end = min(start + rng.randrange(1, 12), len(other.marks) - 1)
    at = _between(rng, body, one)
    body[at:at] = other.body[other.marks[start] : other.marks[end]]


def graft(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Go on as another pickle does."""
    del body[_between(rng, body, one) :]
    body += other.body[rng.choice(other.marks) :]


def insert(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Put an opcode in, or a name, or an extreme number."""
    at = _between(rng, body, one)
    body[at:at] = b"".join(rng.choice(_PIECES) for _ in range(rng.choice((1, 1, 1, 2, 4))))


def remove(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Take opcodes out."""
    start = rng.randrange(len(one.marks) - 1)
    end = min(start + rng.choice((1, 1, 2, 3)), len(one.marks) - 1)
    del body[one.marks[start] : one.marks[end]]


def repeat(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Say opcodes again, where they are or elsewhere."""
    start = rng.randrange(len(one.marks) - 1)
    end = min(start + rng.randrange(1, 8), len(one.marks) - 1)
    at = one.marks[end] if rng.random() < 0.5 else _between(rng, body, one)
    body[at:at] = one.body[one.marks[start] : one.marks[end]] * rng.choice((1, 1, 2, 200))


def swap(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Exchange two opcodes that follow each other."""
    if len(one.marks) < 4:
        return
    at = rng.randrange(len(one.marks) - 2)
    first, second, third = one.marks[at : at + 3]
    body[first:third] = one.body[second:third] + one.body[first:second]


def renumber(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Replace what an opcode pushes by an extreme number, or by something else."""
    at = rng.randrange(len(one.marks) - 1)
    body[one.marks[at] : one.marks[at + 1]] = rng.choice(_INTS if rng.random() < 0.6 else _PIECES)


def argue(rng: random.Random, body: bytearray, one: Message, other: Message) -> None:
    """Change a byte in the argument of an opcode, and leave the opcodes be."""
    long = [at for at in range(len(one.marks) - 1) if one.marks[at + 1] - one.marks[at] > 1]
    if long:
        at = rng.choice(long)
        body[rng.randrange(one.marks[at] + 1, one.marks[at + 1])] = rng.choice((*EDGES, rng.randrange(256)))


def _between(rng: random.Random, body: bytearray, one: Message) -> int:
    return min(rng.choice(one.marks), len(body))


BLIND: Final[tuple[Mutator, ...]] = (flip, put, cut, double, truncate)
KNOWING: Final[tuple[Mutator, ...]] = (splice, graft, insert, remove, repeat, swap, renumber, argue)
"""These count on the opcodes being where they were, so each comes first, and one comes alone."""


def mutate_pickle(rng: random.Random, one: Message, other: Message) -> bytes:
    """Break a pickle in one way or a few."""
    body = bytearray(one.body)
    if rng.random() < 0.75:
        rng.choice(KNOWING)(rng, body, one, other)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 5)) if bytes(body) != one.body else 1):
        if body:
            rng.choice(BLIND)(rng, body, one, other)
    return bytes(body)
