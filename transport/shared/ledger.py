"""The owner's side of an arena: which block is whose, and when it can be used again.

A block is *held* while arrays of the owner's look at it. Once it was sent, it is *read* when as many readers
as were promised have opened it and nobody has it open; then it is free. A reader may be killed with the
message unread, or nobody may have been there to take it: such a block is *given up* when its lease is over,
and is used again only where memory is short, so that a late reader still finds it as long as possible.

The lease is `SharedArena`'s where no consumer is, and begins anew for unread blocks when one dies; as long
as the consumers live, who may just be slow, it is `PATIENCE` times as long.

Looking after all of that costs no thread: it is done when memory is asked for, a few of the oldest blocks at
a time, and all of them when there is too little.

The truth is the table of blocks, of which each knows what holds it (see `reclaiming`).
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import Final

from .blocks import Block, Places
from .consumers import Consumers, Receipt
from .layout import BLOCK_BYTES, OWNER_BYTE, Head, Layout, Origin, Place, count_blocks, words_of
from .memory import PAGE, Mapping, make_memfd, started, this_host, try_lock, unlock, unlock_all
from .reclaiming import BlockRef, Ended, Reclaimer

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


class Ledger(Reclaimer):
    """Keep the books of one arena; every public method may be called from any thread.

    A method that is called while its own thread is in the books, by a signal handler or a finalizer, finds
    no room and nothing to promise, so that what is sent goes as ordinary frames.

    Args:
        capacity: bytes of data, a multiple of `PAGE`.
        lease: seconds.
        linger: seconds that its end waits for payloads that nobody has opened.

    Attributes:
        dropped: whether nobody can use it any more but those who receive what was sent.
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
        self._generations = [-1] * self.layout.blocks  # the last that each number had in use
        self._blocks: dict[int, Block] = {}
        self._places = Places(capacity, self.layout.blocks)
        self._sent: deque[Block] = deque()
        # of a consumer that is gone: its slot, and by block how often it was opened, and promised, until when
        self._gone: tuple[int, list[tuple[Block, int, int, int]]] | None = None
        self._known = 0
        self._died = 0
        self._next_search = 0.0

    def set_right(self) -> None:
        """Make all anew from the table of blocks."""
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
        """Return a block of whole pages for so many bytes; None where there is no room now.

        It is held as long as what is given lives. Where it is not to be `thorough`, a search of everything
        that just found nothing is not repeated.
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
        """Tell how many numbers of blocks are left, and how many there are."""
        return self.layout.blocks - len(self._blocks), self.layout.blocks

    def start_of(self, ref: BlockRef) -> int:
        """Return the address at which a block that was taken begins."""
        return self.data + self._blocks[ref.number].offset

    def take_back(self, ended: Ended) -> None:
        """See to a block that no array looks at any more."""
        block = self._blocks.get(ended.number)
        if block is None or block.ref is not ended or block.readers:
            return
        if not block.queued:
            self._free(block)
        elif self.fd >= 0:
            self._retire(block, _READ)  # a reader may have it open: then it is looked at again later

    def _free(self, block: Block) -> None:
        self.words[self.layout.block(block.number)] = block.generation + 1
        del self._blocks[block.number]
        self._places.give(block)

    # -- messages ----------------------------------------------------------------------------------

    def send(self, address: int, nbytes: int, readers: int) -> Place | None:
        """Promise memory to so many more readers; None where it does not lie in a block.

        With none, it stays as long as it is held, and then as long as somebody has it open.
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
        """Take a promise back: the message was not sent."""

        def unsend() -> None:
            block = self._blocks.get(place.block)
            if block is not None and block.generation == place.generation:
                block.readers = max(block.readers - readers, 0)

        self._soon(unsend)

    def lose(self, place: Place) -> None:
        """Say that nobody will come for a message any more; where somebody has, nothing changes."""

        def lose() -> None:
            if self.fd >= 0 and self.is_waiting(place):
                block = self._blocks[place.block]
                block.readers = 0
                self._retire(block, _READ)

        self._soon(lose)

    def is_waiting(self, place: Place) -> bool:
        """Tell whether a message's memory is there and nobody has opened it yet."""
        block = self._blocks.get(place.block)
        if block is None or block.generation != place.generation:
            return False
        return not self.consumers.opened(block)

    def receipt(self, place: Place) -> Receipt | None:
        """Return what tells whether all who were promised a payload up to now have opened it."""
        block = self._blocks.get(place.block)
        if block is None or block.generation != place.generation:
            return None  # opened by all, and used for another by now
        return Receipt(self.consumers, block, block.readers if block.readers < UNKNOWN else 1)

    def unopened(self) -> list[Block]:
        """Return the blocks that fewer readers have opened than were promised them; takes no lock.

        Of a message of which nobody knows how many readers it has, one is enough.
        """
        found = []
        for block in list(self._blocks.values()):
            wanted = block.readers if block.readers < UNKNOWN else 1
            if wanted and self.consumers.opened(block) < wanted:
                found.append(block)
        return found

    def _collect(self, count: int, least: int) -> None:
        """Look at so many of the blocks that were sent, and take back those that are read, or given up."""
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
        """Clear the slots of consumers that are gone, however they went."""
        claimed = self.consumers.claimed()
        self._known = len(claimed)
        for slot in claimed:
            if self.consumers.lock_if_gone(slot):
                self._clear_slot(slot)

    def _clear_slot(self, slot: int) -> None:
        """Count what a consumer has read and promised once, whatever interrupts this: see `_count_gone`."""
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
        """Set what was counted; to do it twice, or from the middle on, changes nothing."""
        if self._gone is not None:
            slot, counts = self._gone
            for block, opened, readers, until in counts:
                block.opened, block.readers, block.until = opened, readers, until
            self.consumers.forget(slot, [each[0] for each in counts])
            self._gone = None

    # -- the whole ---------------------------------------------------------------------------------

    def look(self) -> tuple[int, int, int]:
        """Take back all that was read; return bytes in use, blocks in use, consumers."""
        if not self._inside:
            self._change(self._look)
        return self.glance()

    def _look(self) -> None:
        if self.fd >= 0:
            self._sweep()
            self._collect(len(self._sent), _READ)

    def glance(self) -> tuple[int, int, int]:
        """Return the same as it stands; takes no lock."""
        blocks = list(self._blocks.values())
        used = [each.nbytes for each in blocks if each.held or self._state(each) == _BUSY]
        return sum(used), len(used), len(self.consumers.claimed())

    def close(self) -> None:
        """Let no consumer come any more; those that are here keep what they have."""
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
