"""The exceptions that ask for another attempt at pickling, and the plan of an attempt."""

from __future__ import annotations

from ..memory.layout import ArrayKey
from ..values import Value


class ByName(Exception):
    """Ask for `ByValuePickler`, since the C pickler would write a name that no other process can find."""


class ShareAgain(Exception):
    """Ask for the message to be written again, since some of its arrays turned out to share memory.

    Attributes:
        whole: keys of the blocks that must be sent with their whole extent.
        apart: whether they do not share memory after all, though they have one owner.
    """

    def __init__(self, whole: frozenset[ArrayKey] = frozenset(), *, apart: bool = False) -> None:
        self.whole = whole
        self.apart = apart


class Plan(Value):
    """How to pickle an object, as earlier attempts have shown.

    Attributes:
        share, whole, apart: the arguments of `Reducers.reset`.
        by_value: whether `ByValuePickler` pickles the whole object.
        bare: whether exceptions are sent without causes and contexts, some of which cannot be sent.
    """

    share: bool
    whole: frozenset[ArrayKey]
    apart: bool
    by_value: bool
    bare: bool

    def __init__(
        self,
        share: bool = False,
        whole: frozenset[ArrayKey] = frozenset(),
        apart: bool = False,
        by_value: bool = False,
        bare: bool = False,
    ) -> None:
        super().__init__(share=share, whole=whole, apart=apart, by_value=by_value, bare=bare)
