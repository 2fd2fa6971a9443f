"""What the owner of an arena knows of a block."""

from __future__ import annotations

from .reclaiming import Ended


class Block:
    """A stretch of the arena in use.

    Attributes:
        number, generation: its name.
        offset, nbytes: where it lies, in whole pages, in bytes from the start of the arena's data.
        ref: tells whether arrays of the owner's look at it.
        readers: how many were promised it, of which `opened` by consumers that are gone have had it.
        sent, until: the monotonic nanoseconds of its last promise, and at which its lease ends.
        queued: whether it is among those that were sent.
        read: whether all who were promised it had opened it when it was taken back; None before that.
    """

    __slots__ = (
        "generation",
        "nbytes",
        "number",
        "offset",
        "opened",
        "queued",
        "read",
        "readers",
        "ref",
        "sent",
        "until",
    )

    def __init__(self, number: int, generation: int, offset: int, nbytes: int, ref: Ended) -> None:
        self.number = number
        self.generation = generation
        self.offset = offset
        self.nbytes = nbytes
        self.ref = ref
        self.readers = 0
        self.opened = 0
        self.sent = 0
        self.until = 0
        self.queued = False
        self.read: bool | None = None

    @property
    def held(self) -> bool:
        """Tell whether arrays of the owner's look at it."""
        return self.ref() is not None
