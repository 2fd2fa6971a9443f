"""What the owner of an arena knows of a block."""

from __future__ import annotations


class Block:
    """A stretch of the arena in use.

    Attributes:
        number, generation: its name.
        offset, nbytes: where it lies, in whole pages, in bytes from the start of the arena's data.
        holds: arrays of the owner's that look at it.
        readers: how many were promised it, of which `opened` by consumers that are gone have had it.
        sent, until: the monotonic nanoseconds of its last promise, and at which its lease ends.
        queued: whether it is among those that were sent.
    """

    __slots__ = (
        "generation",
        "holds",
        "nbytes",
        "number",
        "offset",
        "opened",
        "queued",
        "readers",
        "sent",
        "until",
    )

    def __init__(self, number: int, generation: int, offset: int, nbytes: int) -> None:
        self.number = number
        self.generation = generation
        self.offset = offset
        self.nbytes = nbytes
        self.holds = 1
        self.readers = 0
        self.opened = 0
        self.sent = 0
        self.until = 0
        self.queued = False
