"""Messages to break: those that were kept, and those of what else plain data can be."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import pathlib
import pickletools
import struct
import typing
import uuid
from typing import Any, Final, NamedTuple

import numpy as np

import canning
from canning.wire.blob import frames_of
from canning.wire.trailer import FOOTER, pack, parse
from tests.golden.make import FOLDER


@dataclasses.dataclass
class Spot:
    """A class that the reader allows."""

    x: Any
    y: Any = None


class Pair(typing.NamedTuple):
    """A named tuple that the reader allows."""

    a: Any
    b: Any


class Colour(enum.Enum):
    """An enum that the reader allows."""

    RED = 1
    BLUE = "b"


class Celsius:
    """Is registered with a decoder that is safe."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


REGISTRY: Final = canning.Registry()
REGISTRY.register(
    Celsius,
    can=lambda obj: obj.degrees,
    uncan=lambda state: Celsius(state if type(state) is float else 0.0),
    data=True,
)
READER: Final = canning.Serializer(trust="data", allow=(Spot, Pair, Colour), registry=REGISTRY)


class Message(NamedTuple):
    """A message, taken apart so that a part can be changed and the rest made to fit.

    Attributes:
        name: of the object.
        body: the pickle.
        inline: the inline data behind it.
        table, outside, flags: as in the trailer.
        extensions: the block of them.
        frames: those behind frame 0.
        marks: where in `body` each opcode starts, and its end.
    """

    name: str
    body: bytes
    inline: bytes
    table: tuple[tuple[int, int, int, int], ...] | None
    outside: int
    flags: int
    extensions: bytes
    frames: list[bytes]
    marks: list[int]

    def head(self, body: bytes | None = None) -> bytes:
        """Make frame 0 again, maybe with another pickle."""
        body = self.body if body is None else body
        lengths = [len(frame) for frame in self.frames]
        table = None if self.table is None else list(self.table)
        return pack(
            body + self.inline, len(body), lengths, table, self.outside, self.flags & 0xFF, self.extensions
        )

    def whole(self) -> list[bytes]:
        """Make all frames again."""
        return [self.head(), *self.frames]


def take_apart(name: str, frames: list[Any]) -> Message:
    """Take a message apart."""
    head, *others = map(bytes, frames)
    trailer = parse(head)
    assert trailer is not None
    more = FOOTER.unpack_from(head, len(head) - FOOTER.size)[4]
    behind = len(head) - FOOTER.size
    body = head[: trailer.pickle_length]
    marks = [at for _, _, at in pickletools.genops(body) if at is not None] + [len(body)]
    inline = head[trailer.pickle_length : trailer.inline_end]
    extensions = head[behind - more : behind]
    return Message(
        name, body, inline, trailer.table, trailer.outside, trailer.flags, extensions, others, marks
    )


def golden(largest: int | None = None) -> list[Message]:
    """Give the messages that were kept, those of at most so many bytes."""
    found = []
    for path in sorted(FOLDER.glob("*.bin")):
        frames = frames_of(path.read_bytes())
        if largest is None or sum(map(len, frames)) <= largest:
            found.append(take_apart(path.stem, frames))
    return found


def plain() -> list[Message]:
    """Give messages of plain data, small ones, each with what the others lack."""
    grid = np.arange(600.0).reshape(20, 30)
    made = {
        "numbers": [0, -1, 255, 65_536, 2**40, -(2**200), 1.5, 1j, True, None],
        "texts": ["", "é", "s" * 300, "\ud800", b"", b"x" * 300, bytearray(b"q")],
        "containers": [[], (), {}, set(), frozenset({1}), [[[1]]], (1, (2, (3, 4, 5, 6))), {"a": {1: {2}}}],
        "dates": [
            dt.datetime(2020, 1, 2, tzinfo=dt.UTC),
            dt.date(1, 1, 1),
            dt.time(1, 2),
            dt.timedelta(1, 2, 3),
        ],
        "zones": dt.datetime(2020, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1), "name")),
        "exact": [
            decimal.Decimal("-1.5e10"),
            fractions.Fraction(-1, 3),
            uuid.UUID(int=5),
            range(1, 9, 2),
            slice(1),
        ],
        "ordered": [collections.OrderedDict(b=1), collections.deque([1], 5), pathlib.PurePosixPath("a/b")],
        "keys": {
            dt.date(2020, 1, 1): 1,
            (1, ("a", 2.5)): 2,
            uuid.UUID(int=1): 3,
            range(3): 4,
            np.float64(2): 5,
        },
        "arrays": [grid, grid.T, grid[::2, ::3], grid[3], np.arange(3), np.zeros((0, 3)), np.array(5.0)],
        "dtypes": [
            np.zeros(3, "M8[25s]"),
            np.zeros(3, ">f4"),
            np.zeros(2, "U5"),
            np.dtype("f4"),
            np.float32(2),
        ],
        "structs": np.zeros(30, [("a", "i4"), (("t", "b"), "f8", (2,)), ("c", [("d", "S3")])]),
        "records": [
            np.rec.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
            np.zeros((1, 2)).view(np.matrix),
        ],
        "masked": np.ma.array([1.0, 2.0], mask=[True, False], fill_value=3),
        "views": [memoryview(grid), memoryview(b"abc"), array.array("d", [1, 2])],
        "overlapping": [grid, grid[2:9], grid[5:]],
        "allowed": [Spot(1, grid), Pair(1, [2]), Colour.BLUE, {Colour.RED: Pair(1, 2)}],
        "registered": [Celsius(3.5)],
        "prepickled": [canning.PrePickled([1, grid])] * 2,
        "shared": [shared := [1], shared, {"a": shared}],
    }
    loop: list[Any] = [1]
    loop.append({"self": loop})
    made["loop"] = loop
    writer = canning.Serializer(registry=REGISTRY)
    return [take_apart(name, writer.serialize_object(obj)) for name, obj in made.items()]


U64: Final = struct.Struct("<Q")
