"""The owner's side of an arena: the users of each block, and when it can be reused.

A block is *held* while arrays of the owner use it. After it was sent, it is *read* when all promised readers
have opened it and none has it open; then it is free. A reader may be killed before it reads the message, or
no reader may have existed: such a block is *given up* when its lease is over, and is reused only if memory is
short, so that a late reader can still open it as long as possible.

Without consumers the lease is that of `SharedArena`. It restarts for unread blocks when a consumer dies, and
is `PATIENCE` times as long while all consumers live, since they may just be slow.

This needs no thread: each request for memory checks a few of the oldest blocks, and all of them if there is
too little.

The table of blocks is authoritative; each block knows the references that hold it (see `blocks`).
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Final

from .blocks import Block, BlockRef, Ended, Places, Reclaimer
from .consumers import Consumers, Receipt
from .layout import BLOCK_BYTES, OWNER_BYTE, Head, Layout, Origin, Place, count_blocks, words_of
from .memory import PAGE, Mapping, make_memfd, started, this_host, try_lock, unlock, unlock_all

UNKNOWN: Final = 1 << 32
"""The number that stands for an unknown number of readers: more than ever open a message."""
PATIENCE: Final = 10
"""The number of leases for which an unopened message is kept while all consumers live."""
_GLANCE: Final = 4
"""Blocks that each request for memory checks."""
_REST: Final = 20
"""After a full search without success, no other is made for so many times its duration."""
_BUSY: Final = 0
_GIVEN_UP: Final = 1
_READ: Final = 2


class Ledger(Reclaimer):
    """Keep the books of one arena; every public method may be called from any thread.

    If a signal handler or a finalizer calls a method while its own thread is changing the books, the method
    finds no room and no block to promise, so payloads are sent as ordinary frames.

    Args:
        capacity: bytes of data, a multiple of `PAGE`.
        lease: seconds.
        linger: seconds that its end waits for unopened payloads.

    Attributes:
        dropped: whether only the receivers of sent messages can still use it.
    """

    def __init__(self, capacity: int, lease: float, linger: float) -> None:
        super().__init__()
        self.linger = linger
        self.dropped = False
        self.capacity = capacity
        self.lease = int(lease * 1e9)
        self.token = os.urandom(16)
        self.layout = Layout(count_blocks(capacity), capacity)
        self.fd = make_memfd(self.layout.nbytes)
        self.closing = False
        user, boot, namespace = this_host()
        self.origin = Origin(
            user, self.pid, self.fd, started(self.pid), boot, namespace, self.token, os.fstat(self.fd).st_ino
        ).pack()
        try_lock(self.fd, OWNER_BYTE, exclusive=True)
        self.mapping = Mapping(self.fd, self.layout.data + capacity, writable=True)
        self.words = words_of(self.mapping)[: self.layout.data // 8]
        Head(self.layout, self.token, self.lease).write(self.words)
        self.data = self.mapping.address + self.layout.data
        self.consumers = Consumers(self.fd, self.layout, self.words)
        self._generations = [-1] * self.layout.blocks  # the last generation in use of each number
        self._blocks: dict[int, Block] = {}
        self._places = Places(capacity, self.layout.blocks)
        self._sent: deque[Block] = deque()
        # of a consumer that is gone: its slot; for each block, how often it was opened and promised, until
        # when
        self._gone: tuple[int, list[tuple[Block, int, int, int]]] | None = None
        self._known = 0
        self._died = 0
        self._next_search = 0.0

    def set_right(self) -> None:
        """Rebuild everything else from the table of blocks."""
        if self.fd >= 0:
            unlock_all(self.fd, BLOCK_BYTES, self.layout.blocks)
            self._count_gone()
            self.consumers.unlock_all()
        blocks = sorted(self._blocks.values(), key=lambda block: block.offset)
        self._places = Places(self.capacity, self.layout.blocks, blocks)
        for block in blocks:
            block.queued = True
        self._sent = deque(blocks)

    # -- blocks ------------------------------------------------------------------------------------

    def take(self, nbytes: int, *, thorough: bool = True) -> BlockRef | None:
        """Return a block of whole pages for so many bytes; None if there is no room now.

        The block is held as long as the returned reference lives. Unless `thorough`, a full search that has
        just found nothing is not repeated.
        """
        size = max(-(-nbytes // PAGE), 1) * PAGE
        if self._inside:
            return None
        return self._change(lambda: self._take(size, nbytes, thorough) if self.fd >= 0 else None)

    def _take(self, size: int, nbytes: int, thorough: bool) -> BlockRef | None:
        if len(self.consumers.claimed()) != self._known:
            self._sweep()
        self._collect(_GLANCE, _READ)
        ref = self._allot(size, nbytes)
        start = time.monotonic()
        if ref is None and size <= self.capacity and (thorough or start >= self._next_search):
            self._sweep()
            self._collect(len(self._sent), _GIVEN_UP)
            ref = self._allot(size, nbytes)
            self._next_search = start + (1 + _REST) * (time.monotonic() - start)
        return ref

    def _allot(self, size: int, nbytes: int) -> BlockRef | None:
        place = self._places.take(size)
        if place is None:
            return None
        number, offset = place
        generation = self._generations[number] = self._generations[number] + 2
        at = self.layout.block(number)
        self.words[at + 1] = offset
        self.words[at + 2] = nbytes
        self.words[at] = generation
        ref = BlockRef(self, number)
        self._blocks[number] = Block(number, generation, offset, size, Ended.watch(ref, self._returned))
        return ref

    @property
    def room(self) -> tuple[int, int]:
        """Return how many block numbers are left, and how many exist."""
        return self.layout.blocks - len(self._blocks), self.layout.blocks

    def start_of(self, ref: BlockRef) -> int:
        """Return the address of a block that was taken."""
        return self.data + self._blocks[ref.number].offset

    def take_back(self, ended: Ended) -> None:
        """Process a block that no array uses any more."""
        block = self._blocks.get(ended.number)
        if block is None or block.ref is not ended or block.readers:
            return
        if not block.queued:
            self._free(block)
        elif self.fd >= 0:
            self._retire(block, _READ)  # a reader may have it open: then it is checked again later

    def _free(self, block: Block) -> None:
        self.words[self.layout.block(block.number)] = block.generation + 1
        del self._blocks[block.number]
        self._places.give(block)

    # -- messages ----------------------------------------------------------------------------------

    def send(self, address: int, nbytes: int, readers: int) -> Place | None:
        """Promise memory to so many more readers; None if it is in no block.

        With 0 readers, it stays as long as it is held, and then as long as a reader has it open.
        """
        offset = address - self.data
        if not 0 <= offset < self.capacity or self._inside:
            return None
        return self._change(lambda: self._promise(offset, nbytes, readers))

    def _promise(self, offset: int, nbytes: int, readers: int) -> Place | None:
        number = self._places.find(offset)
        block = None if number is None else self._blocks[number]
        if block is None or offset + nbytes > block.offset + block.nbytes:
            return None
        if not block.queued:
            block.queued = True
            self._sent.append(block)
        place = Place(block.number, block.generation, offset, nbytes)
        block.sent = time.monotonic_ns()
        block.until = block.sent + PATIENCE * self.lease
        block.readers += readers
        return place

    def unsend(self, place: Place, readers: int) -> None:
        """Withdraw a promise: the message was not sent."""

        def unsend() -> None:
            block = self._blocks.get(place.block)
            if block is not None and block.generation == place.generation:
                block.readers = max(block.readers - readers, 0)

        self._soon(unsend)

    def lose(self, place: Place) -> None:
        """Give up a message that no reader will open; nothing changes if one has opened it."""

        def lose() -> None:
            if self.fd >= 0 and self.is_waiting(place):
                block = self._blocks[place.block]
                block.readers = 0
                self._retire(block, _READ)

        self._soon(lose)

    def is_waiting(self, place: Place) -> bool:
        """Tell whether a message's memory is still kept and no reader has opened it yet."""
        block = self._blocks.get(place.block)
        if block is None or block.generation != place.generation:
            return False
        return not self.consumers.opened(block)

    def receipt(self, place: Place) -> Receipt | None:
        """Return a receipt that tells whether all readers promised a payload so far have opened it."""
        block = self._blocks.get(place.block)
        if block is None or block.generation != place.generation:
            return None  # opened by all, and reused since
        return Receipt(self.consumers, block, block.readers if block.readers < UNKNOWN else 1)

    def unopened(self) -> list[Block]:
        """Return the blocks that fewer readers have opened than were promised; takes no lock.

        If the number of readers is unknown, one is enough.
        """
        found = []
        for block in list(self._blocks.values()):
            wanted = block.readers if block.readers < UNKNOWN else 1
            if wanted and self.consumers.opened(block) < wanted:
                found.append(block)
        return found

    def _collect(self, count: int, least: int) -> None:
        """Check so many of the sent blocks, and reclaim those that are read or given up."""
        for _ in range(min(count, len(self._sent))):
            block = self._sent.popleft()
            if not self._retire(block, least):
                self._sent.append(block)

    def _retire(self, block: Block, least: int) -> bool:
        if self._blocks.get(block.number) is not block:
            return True
        if block.held:
            return False
        byte = BLOCK_BYTES + block.number
        if self._state(block) < least or not try_lock(self.fd, byte, exclusive=True):
            return False
        try:
            state = self._state(block)
            if state >= least:
                block.read = state == _READ
                self._free(block)
            return state >= least
        finally:
            unlock(self.fd, byte)

    def _state(self, block: Block) -> int:
        readers, opened, until = block.readers, block.opened, block.until
        claimed = self.consumers.claimed()
        if not claimed:
            until = min(until, max(block.sent, self._died) + self.lease)
        for pins, times, forwarded, kept in self.consumers.of(block, claimed):
            if pins:
                return _BUSY
            opened += times
            readers += forwarded
            until = max(until, kept)
        if opened >= readers:
            return _READ
        return _GIVEN_UP if time.monotonic_ns() >= until else _BUSY

    # -- consumers ---------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Clear the slots of consumers that have ended, for whatever reason."""
        claimed = self.consumers.claimed()
        self._known = len(claimed)
        for slot in claimed:
            if self.consumers.lock_if_gone(slot):
                self._clear_slot(slot)

    def _clear_slot(self, slot: int) -> None:
        """Count a consumer's reads and promises exactly once, whatever interrupts this: see `_count_gone`."""
        died = time.monotonic_ns()
        counts = []
        for block in self._blocks.values():
            opened, readers = block.opened, block.readers
            for _, times, forwarded, _ in self.consumers.of(block, [slot]):
                opened, readers = opened + times, readers + forwarded
            counts.append((block, opened, readers, min(block.until, died + self.lease)))
        self._died = died
        self._gone = slot, counts
        self._count_gone()
        self.consumers.release(slot)

    def _count_gone(self) -> None:
        """Store the counts; doing it twice, or from the middle on, changes nothing."""
        if self._gone is not None:
            slot, counts = self._gone
            for block, opened, readers, until in counts:
                block.opened, block.readers, block.until = opened, readers, until
            self.consumers.forget(slot, [each[0] for each in counts])
            self._gone = None

    # -- the whole ---------------------------------------------------------------------------------

    def look(self) -> tuple[int, int, int]:
        """Reclaim all blocks that were read; return bytes in use, blocks in use, consumers."""
        if not self._inside:
            self._change(self._look)
        return self.glance()

    def _look(self) -> None:
        if self.fd >= 0:
            self._sweep()
            self._collect(len(self._sent), _READ)

    def glance(self) -> tuple[int, int, int]:
        """Return the same figures without reclaiming; takes no lock."""
        blocks = list(self._blocks.values())
        used = [each.nbytes for each in blocks if each.held or self._state(each) == _BUSY]
        return sum(used), len(used), len(self.consumers.claimed())

    def close(self) -> None:
        """Admit no more consumers; present ones keep their memory."""
        self.closing = True
        self._soon(self._close)

    def _close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self.consumers.close()
            unlock(fd, OWNER_BYTE)  # the mapping would keep it locked
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            os.close(self.fd)
