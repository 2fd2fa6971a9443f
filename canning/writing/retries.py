"""What asks for another attempt at pickling, and what an attempt is told."""

from __future__ import annotations

from dataclasses import dataclass

from ..memory.layout import Key


class ByName(Exception):
    """Ask for `ByValuePickler`, since the C pickler would name what no other process finds by its name."""


class ShareAgain(Exception):
    """Ask for the message to be written again, since arrays of it turned out to share memory.

    Attributes:
        whole: keys of the blocks that must go with their whole extent.
        apart: that they do not share any after all, though they have one owner.
    """

    def __init__(self, whole: frozenset[Key] = frozenset(), *, apart: bool = False) -> None:
        self.whole = whole
        self.apart = apart


@dataclass(slots=True)
class Plan:
    """How to pickle an object, as far as earlier attempts have shown.

    Attributes:
        share, whole, apart: what `Reducers.reset` takes.
        by_value: whether `ByValuePickler` does all.
        bare: whether exceptions go without those that they came from, some of which cannot be sent.
    """

    share: bool = False
    whole: frozenset[Key] = frozenset()
    apart: bool = False
    by_value: bool = False
    bare: bool = False
