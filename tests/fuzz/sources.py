"""Inputs by number: the same number and seed give the same input, on any machine and in any process."""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from canning.wire.blob import blob_of
from canning.wire.trailer import pack

from .corpus import Message, golden, plain
from .mutate import mutate_pickle
from .surfaces import SURFACES
from .trailers import TRAILERS, repair, shuffle

LARGEST: Final = 32 * 1024
"""Bytes of the largest message that is broken in every way there is."""


class Input(NamedTuple):
    """Frames, what they are handed to, and how they came about."""

    frames: list[bytes]
    surface: str
    way: str


class Source(Protocol):
    """Inputs by number, as many as `total` says, or without end."""

    total: int | None

    def make(self, number: int) -> Input:
        """Make one."""


@dataclass
class Mutants:
    """Messages broken at random, without end.

    Attributes:
        seed: decides on all of them.
    """

    seed: int
    total: int | None = None

    def __post_init__(self) -> None:
        self.messages = [message for message in (*golden(), *plain()) if len(message.body) < 4000]

    def make(self, number: int) -> Input:
        """Make the mutant of a number."""
        rng = random.Random((self.seed << 40) + number)
        one, other = rng.choice(self.messages), rng.choice(self.messages)
        surface = rng.choices(tuple(SURFACES), [weight for _, weight in SURFACES.values()])[0]
        way = rng.random()
        if way < 0.6:
            return Input(self._pickle(rng, one, other), surface, "pickle")
        if way < 0.75:
            return Input([rng.choice(TRAILERS)(rng, one), *one.frames], surface, "trailer")
        if way < 0.9:
            return Input(shuffle(rng, one.whole(), other.whole()), surface, "frames")
        return Input(self._bytes(rng, one), surface, "bytes")

    def _pickle(self, rng: random.Random, one: Message, other: Message) -> list[bytes]:
        body = mutate_pickle(rng, one, other)
        if rng.random() < 0.05:
            return [body, *one.frames]  # a plain pickle
        length = len(body) if rng.random() < 0.97 else rng.randrange(len(body) + 1)
        head = pack(
            body + one.inline,
            length,
            [len(frame) for frame in one.frames],
            None if one.table is None else list(one.table),
            one.outside,
            one.flags,
            one.extensions,
        )
        return [head, *one.frames]

    def _bytes(self, rng: random.Random, one: Message) -> list[bytes]:
        """Change bytes anywhere; in half of the cases the checksum fits."""
        frames = list(map(bytearray, one.whole()))
        for _ in range(rng.choice((1, 1, 3, 10))):
            frame = frames[0] if rng.random() < 0.7 else rng.choice(frames)
            if frame:
                frame[rng.randrange(len(frame))] = rng.randrange(256)
        head = bytes(frames[0])
        return [repair(head) if rng.random() < 0.5 else head, *map(bytes, frames[1:])]


class Everything:
    """Every message that was kept, with every bit flipped and at every length, of all its frames.

    Frame 0 stands twice: as it then is, and with a checksum that fits.
    """

    def __init__(self) -> None:
        self.messages = [message.whole() for message in golden(LARGEST)]
        self.parts = [
            (number, frame, mend)
            for number, message in enumerate(self.messages)
            for frame in range(len(message))
            for mend in ((False, True) if frame == 0 else (False,))
        ]
        self.ends = list(accumulate(9 * len(self.messages[n][frame]) for n, frame, _ in self.parts))
        self.total: int | None = self.ends[-1]

    def make(self, number: int) -> Input:
        """Make the input of a number: eight flips and a cut for each byte."""
        part = bisect_right(self.ends, number)
        message, frame, mend = self.parts[part]
        at, bit = divmod(number - (self.ends[part - 1] if part else 0), 9)
        frames = list(self.messages[message])
        if bit == 8:
            frames[frame] = frames[frame][:at]
        else:
            changed = bytearray(frames[frame])
            changed[at] ^= 1 << bit
            frames[frame] = bytes(changed)
        if mend:
            frames[0] = repair(frames[0])
        return Input(frames, "deserialize", "cut" if bit == 8 else "flip")


def blob(frames: list[bytes]) -> bytes:
    """Give an input as a file would hold it."""
    return b"".join(blob_of(list(frames)))
