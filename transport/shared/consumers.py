"""The consumers of an arena, as its owner reads them; it does not trust their words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .blocks import Block
from .layout import GROUP, GROUPS, PINS, SLOT_BYTES, SLOTS, UNTIL, Layout, words_of
from .memory import Mapping, started, try_lock, unlock, unlock_all


class Consumers:
    """Read the slots of an arena.

    Args:
        fd: the arena.
        layout: the places of its words.
        words: the words before the data.
    """

    def __init__(self, fd: int, layout: Layout, words: Any) -> None:
        self.fd = fd
        self._layout = layout
        self._words = words
        self._groups = layout.groups
        self._ids = np.asarray(words)[layout.slot(0) : layout.slot(SLOTS) : 2].reshape(GROUPS, GROUP)
        self._records: dict[int, Any] = {}

    def claimed(self) -> list[int]:
        """List the slots of consumers, including dead ones.

        The words are copied first: `nonzero` raises if another process writes in the meantime.
        """
        found: list[int] = []
        group = 0
        while group < GROUPS and self._words[self._groups + group]:
            slots = self._ids[group].copy().nonzero()[0].tolist()
            found += [group * GROUP + each for each in slots] if group else slots
            group += 1
        return found

    def has(self, pid: int, since: int) -> bool:
        """Tell whether a process, given by its id and start time, is a consumer."""
        words = self._words
        return any(
            (words[at], words[at + 1]) == (pid, since) for at in map(self._layout.slot, self.claimed())
        )

    def records(self, slot: int) -> Any:
        """Return the words of a slot's records; None for one claimed when the arena was already closed."""
        words = self._records.get(slot)
        if words is None and self.fd >= 0:
            layout = self._layout
            mapping = Mapping(self.fd, layout.records_bytes, layout.records(slot), writable=True)
            words = self._records.setdefault(slot, words_of(mapping))
        return words

    def of(self, block: Block, claimed: list[int]) -> Iterator[tuple[int, int, int, int]]:
        """Yield the records of these slots for a block: pins, opened, forwarded, until."""
        at = self._layout.record(block.number)
        for slot in claimed:
            words = self.records(slot)
            if words is not None and words[at] == block.generation:
                yield tuple(words[at + PINS : at + UNTIL + 1])

    def opened(self, block: Block) -> int:
        """Return how often a block was opened, including by consumers that are gone."""
        return block.opened + sum(opened for _, opened, _, _ in self.of(block, self.claimed()))

    # -- those that are gone ---------------------------------------------------------------------------

    def lock_if_gone(self, slot: int) -> bool:
        """Tell whether the consumer of a slot is gone; if so, the slot stays locked until `release`."""
        if try_lock(self.fd, SLOT_BYTES + slot, exclusive=True):
            return True
        at = self._layout.slot(slot)
        alive: bool = started(self._words[at]) == self._words[at + 1]
        return not alive  # otherwise a forked child still holds the lock

    def forget(self, slot: int, blocks: list[Block]) -> None:
        """Invalidate all records of a slot."""
        words = self.records(slot)
        for block in blocks:
            words[self._layout.record(block.number)] = 0

    def release(self, slot: int) -> None:
        """Make a slot available to others."""
        self._words[self._layout.slot(slot)] = 0
        unlock(self.fd, SLOT_BYTES + slot)

    def close(self) -> None:
        """Stop using the file."""
        for slot in self.claimed():
            self.records(slot)
        self.fd = -1

    def unlock_all(self) -> None:
        """Unlock the byte of every slot."""
        unlock_all(self.fd, SLOT_BYTES, SLOTS)


class Receipt(NamedTuple):
    """Tell whether a payload was opened as often as it was promised."""

    consumers: Consumers
    block: Block
    wanted: int

    def __bool__(self) -> bool:
        if self.block.read is not None:  # it was reclaimed
            return self.block.read
        return self.consumers.opened(self.block) >= self.wanted
