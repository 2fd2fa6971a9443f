"""The owner's side of an arena: which block is whose, and when it can be used again.

A block is *held* while arrays of the owner's look at it. Once it was sent, it is *read* when as many readers
as were promised have opened it and nobody has it open; then it is free. A reader may be killed with the
message unread, or nobody may have been there to take it: such a block is *given up* when its lease is over,
and is used again only where memory is short, so that whoever is late still finds it as long as can be.

The lease is `SharedArena`'s where no consumer is, and begins anew for unread blocks when one dies; as long
as the consumers live, who may just be slow, it is `PATIENCE` times as long.

Looking after all of that costs no thread: it is done when memory is asked for, a few of the oldest blocks at
a time, and all of them when there is too little.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_right, insort
from collections import deque
from typing import Final

import numpy as np

from .blocks import Block
from .descriptor import Origin, Place
from .finalizing import Desk, Hold
from .layout import (
    BLOCK_BYTES,
    FORWARDED,
    OPENED,
    OWNER_BYTE,
    PINS,
    SLOT_BYTES,
    UNTIL,
    Head,
    count_blocks,
    head_bytes,
)
from .memory import PAGE, Mapping, make_memfd, started, this_host, try_lock, unlock
from .space import Space

UNKNOWN: Final = 1 << 32
"""Readers of a message of which nobody knows how many there will be: more than ever open it."""
PATIENCE: Final = 10
"""Leases for which a message that consumers have not opened is kept while all of them live."""
_GLANCE: Final = 4
"""Blocks that are looked at whenever memory is asked for."""
_REST: Final = 20
"""How many times as long as a search of all blocks took no other is made, while messages find no room."""
_BUSY: Final = 0
_GIVEN_UP: Final = 1
_READ: Final = 2


class Ledger(Desk):
    """Keep the books of one arena; every public method may be called from any thread.

    Args:
        capacity: bytes of data, a multiple of `PAGE`.
        lease: seconds.
    """

    def __init__(self, capacity: int, lease: float) -> None:
        super().__init__()
        self.capacity = capacity
        self.lease = int(lease * 1e9)
        self.token = os.urandom(16)
        blocks = count_blocks(capacity)
        nbytes = head_bytes(blocks) + capacity
        self.fd = make_memfd(nbytes)
        user, boot, namespace = this_host()
        self.origin = Origin(
            user, self.pid, self.fd, started(self.pid), boot, namespace, self.token, os.fstat(self.fd).st_ino
        ).pack()
        try_lock(self.fd, OWNER_BYTE, exclusive=True)
        self.mapping = Mapping(self.fd, nbytes, writable=True)
        self.head = Head(self.mapping, nbytes, (blocks, capacity, self.token, self.lease))
        self.words = self.head.words
        self.data = self.mapping.address + self.head.data
        self._claimed = np.asarray(self.words)[self.head.slot_words]
        self._space = Space(capacity)
        self._numbers = list(range(blocks - 1, -1, -1))
        self._blocks: dict[int, Block] = {}
        self._by_offset: list[tuple[int, int]] = []
        self._sent: deque[Block] = deque()
        self._consumers = 0
        self._died = 0
        self._next_search = 0.0

    # -- blocks ------------------------------------------------------------------------------------

    def take(self, nbytes: int, *, thorough: bool = True) -> Block | None:
        """Give a block of whole pages for so many bytes, held once; None where there is no room now.

        Where it is not to be `thorough`, a search of everything that just found nothing is not repeated.
        """
        size = max(-(-nbytes // PAGE), 1) * PAGE
        with self:
            if self._count() != self._consumers:
                self._sweep()
            self._collect(_GLANCE, _READ)
            block = self._allot(size, nbytes)
            start = time.monotonic()
            if block is None and size <= self.capacity and (thorough or start >= self._next_search):
                self._sweep()
                self._collect(len(self._sent), _GIVEN_UP)
                block = self._allot(size, nbytes)
                self._next_search = start + (1 + _REST) * (time.monotonic() - start)
            return block

    def _allot(self, size: int, nbytes: int) -> Block | None:
        offset = self._space.take(size) if self._numbers else None
        if offset is None:
            return None
        number = self._numbers.pop()
        at = self.head.block(number)
        self.words[at + 1] = offset
        self.words[at + 2] = nbytes
        generation = self.words[at] = self.words[at] + 1
        block = self._blocks[number] = Block(number, generation, offset, size)
        insort(self._by_offset, (offset, number))
        return block

    def hold(self, block: Block) -> Hold:
        """Give what stands for the hold that came with a new block."""
        return Hold(self, block.number)

    def take_back(self, block: int) -> None:
        """End a hold."""
        held = self._blocks[block]
        held.holds -= 1
        if held.holds or held.readers:
            return
        if not held.queued:
            self._free(held)
        elif self.fd >= 0:
            self._retire(held, _READ)  # a reader may have it open: then it is looked at again later

    def _free(self, block: Block) -> None:
        self.words[self.head.block(block.number)] = block.generation + 1
        del self._blocks[block.number]
        del self._by_offset[bisect_right(self._by_offset, (block.offset, -1))]
        self._numbers.append(block.number)
        self._space.give(block.offset, block.nbytes)

    # -- messages ----------------------------------------------------------------------------------

    def send(self, address: int, nbytes: int, readers: int) -> Place | None:
        """Promise memory to so many more readers; None where it does not lie in a block that is held.

        With none, it stays as long as it is held, and then as long as somebody has it open.
        """
        offset = address - self.data
        if not 0 <= offset < self.capacity:
            return None
        with self:
            at = bisect_right(self._by_offset, (offset, UNKNOWN)) - 1
            block = self._blocks[self._by_offset[at][1]] if at >= 0 else None
            if block is None or offset + nbytes > block.offset + block.nbytes:
                return None
            if not block.queued:
                block.queued = True
                self._sent.append(block)
            block.readers += readers
            block.sent = time.monotonic_ns()
            block.until = block.sent + PATIENCE * self.lease
            return Place(block.number, block.generation, offset, nbytes)

    def unsend(self, place: Place, readers: int) -> None:
        """Take a promise back: the message was not sent."""
        with self:
            block = self._blocks.get(place.block)
            if block is not None and block.generation == place.generation:
                block.readers = max(block.readers - readers, 0)

    def is_waiting(self, place: Place) -> bool:
        """Tell whether a message's memory is there and nobody has opened it yet."""
        block = self._blocks.get(place.block)
        if block is None or block.generation != place.generation or block.opened:
            return False
        records = (self.head.record(slot, block.number) for slot in self._claimed.nonzero()[0].tolist())
        return not any(self.words[at] == block.generation and self.words[at + OPENED] for at in records)

    def lose(self, place: Place) -> None:
        """Say that nobody will come for a message any more; where somebody has, nothing changes."""
        with self:
            if self.is_waiting(place):
                block = self._blocks[place.block]
                block.readers = 0
                self._retire(block, _READ)

    def _collect(self, count: int, least: int) -> None:
        """Look at so many of the blocks that were sent, and take back those that are read, or given up."""
        for _ in range(min(count, len(self._sent))):
            block = self._sent.popleft()
            if not self._retire(block, least):
                self._sent.append(block)

    def _retire(self, block: Block, least: int) -> bool:
        if self._blocks.get(block.number) is not block:
            return True
        if block.holds:
            return False
        byte = BLOCK_BYTES + block.number
        if self._state(block) < least or not try_lock(self.fd, byte, exclusive=True):
            return False
        try:
            done = self._state(block) >= least
            if done:
                self._free(block)
            return done
        finally:
            unlock(self.fd, byte)

    def _state(self, block: Block) -> int:
        words, readers, opened, until = self.words, block.readers, block.opened, block.until
        claimed = self._claimed.nonzero()[0].tolist()
        if not claimed:
            until = min(until, max(block.sent, self._died) + self.lease)
        for slot in claimed:
            at = self.head.record(slot, block.number)
            if words[at] == block.generation:
                if words[at + PINS]:
                    return _BUSY
                opened += words[at + OPENED]
                readers += words[at + FORWARDED]
                until = max(until, words[at + UNTIL])
        if opened >= readers:
            return _READ
        return _GIVEN_UP if time.monotonic_ns() >= until else _BUSY

    # -- consumers ---------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Clear the slots of consumers that are gone, however they went."""
        self._consumers = self._count()
        for slot in self._claimed.nonzero()[0].tolist():
            at = self.head.slot(slot)
            if try_lock(self.fd, SLOT_BYTES + slot, exclusive=True):
                self._clear_slot(slot)
                unlock(self.fd, SLOT_BYTES + slot)
            elif started(self.words[at]) != self.words[at + 1]:
                self._clear_slot(slot)  # a child of it, forked, has the lock still

    def _count(self) -> int:
        return int(np.count_nonzero(self._claimed))

    def _clear_slot(self, slot: int) -> None:
        words = self.words
        self._died = time.monotonic_ns()
        for block in self._blocks.values():
            at = self.head.record(slot, block.number)
            if words[at] == block.generation:
                block.opened += words[at + OPENED]
                block.readers += words[at + FORWARDED]
            block.until = min(block.until, self._died + self.lease)
            words[at] = 0
        words[self.head.slot(slot)] = 0

    def has_consumer(self, pid: int, started: int) -> bool:
        """Tell whether a process, by its id and when it started, has the arena open."""
        slots = self._claimed.nonzero()[0].tolist()
        return any(
            (self.words[at], self.words[at + 1]) == (pid, started) for at in map(self.head.slot, slots)
        )

    # -- the whole ---------------------------------------------------------------------------------

    def look(self) -> tuple[int, int, int]:
        """Take back all that was read; return bytes in use, blocks in use, consumers."""
        with self:
            if self.fd >= 0:
                self._sweep()
                self._collect(len(self._sent), _READ)
            blocks = self._blocks.values()
            used = [each.nbytes for each in blocks if each.holds or self._state(each) == _BUSY]
            return sum(used), len(used), self._count()

    def close(self) -> None:
        """Let no consumer come any more; those that are here keep what they have."""
        with self:
            fd, self.fd = self.fd, -1
        if fd >= 0:
            unlock(fd, OWNER_BYTE)  # the mapping would keep it locked
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            os.close(self.fd)
