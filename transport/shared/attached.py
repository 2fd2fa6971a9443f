"""The consumer's side of an arena: opened once, mapped as long as needed, pinned block by block."""

from __future__ import annotations

import os
import time
import weakref
from bisect import bisect_right, insort
from typing import Final, NamedTuple, NoReturn

from canning.errors import DeserializationError
from canning.memory.buffers import span

from ..errors import SharedMemoryError
from .blocks import BlockRef, Ended, Reclaimer
from .layout import (
    BLOCK_BYTES,
    FORWARDED,
    GROUP,
    LARGEST,
    OPENED,
    OWNER_BYTE,
    PINS,
    SLOT_BYTES,
    SLOTS,
    UNTIL,
    Origin,
    Place,
    check_file,
    open_arena,
    read_head,
    words_of,
)
from .ledger import PATIENCE
from .memory import PAGE, Mapping, is_locked, started, try_lock, unlock, unlock_all
from .private import WARM, Lender

_PATIENCE: Final = 1.0
"""Seconds to wait for an owner that is just checking the block."""
_HIGHEST: Final = 1 << 62


class _Open(NamedTuple):
    """A block that is open here: a weak reference that tells whether it still is, and its place."""

    ended: Ended
    generation: int
    offset: int
    nbytes: int


class Attached(Reclaimer):
    """Another process's arena, mapped: its head writable, its data read-only.

    All live views of a block in this process share one pin. The table of open blocks is authoritative. A call
    made while its own thread is changing the books raises `SharedMemoryError`.

    Args:
        found: the process and descriptor to open; the file is checked to be the arena it names.
        warm: bytes at the low end of the arena whose private views stay mapped.

    Raises:
        SharedMemoryError: the arena cannot be opened from here, or is invalid.
    """

    def __init__(self, found: Origin, warm: int = WARM) -> None:
        super().__init__()
        self.started = started(self.pid)
        self.fd = open_arena(found)
        self.token = found.token
        self.origin = found._replace(pid=self.pid, fd=self.fd, started=self.started).pack()
        try:
            nbytes = check_file(self.fd, found)
            head = read_head(words_of(Mapping(self.fd, PAGE, writable=True)), nbytes)
            if head.token != found.token:
                raise SharedMemoryError("it is another arena than the one of the message")
            self.lease = head.lease
            self.layout = layout = head.layout
            self.words = words_of(Mapping(self.fd, layout.data, writable=True))
            self.slot = self._claim()
            at = layout.records(self.slot)
            self.records = words_of(Mapping(self.fd, layout.records_bytes, at, writable=True))
            self.mapping = Mapping(self.fd, layout.capacity, layout.data, writable=False)
            self._lender = Lender(layout.data, min(warm // PAGE * PAGE, layout.capacity))
        except DeserializationError as error:
            raise SharedMemoryError(f"the shared memory of the message cannot be used: {error}") from error
        except OSError as error:
            raise SharedMemoryError(
                f"the shared memory of the message cannot be mapped: {error.strerror}"
            ) from error
        self.forwarded_until = 0
        self._open: dict[int, _Open] = {}
        self._by_offset: list[tuple[int, int]] = []
        me = weakref.ref(self)

        def clear(_: object) -> None:
            if (attached := me()) is not None:
                attached.clear()

        self._clear_soon = clear

    def _claim(self) -> int:
        words, layout = self.words, self.layout
        for slot in range(SLOTS):
            at = layout.slot(slot)
            if words[at] or not try_lock(self.fd, SLOT_BYTES + slot, exclusive=True):
                continue
            if not words[at]:
                for group in range(slot // GROUP, -1, -1):
                    words[layout.groups + group] = 1
                words[at + 1] = self.started
                words[at] = self.pid
                return slot
            unlock(self.fd, SLOT_BYTES + slot)
        raise SharedMemoryError(
            f"{SLOTS:,} consumers use this arena already, which is as many as it can have"
        )

    # -- blocks ------------------------------------------------------------------------------------

    def view(self, place: Place) -> memoryview:
        """Return the payload in place, read-only; its block stays as long as a view of it does."""
        ref = self._pin(place)
        start = self.mapping.address + place.offset
        return span(start, start + place.length, ref, readonly=True)

    def private(self, place: Place) -> memoryview:
        """Return the payload as private pages, copied when they are written to."""
        ref = self._pin(place)
        low = place.offset // PAGE * PAGE
        nbytes = place.offset + place.length - low
        piece = self._lender.lend(self.fd, low, -(-nbytes // PAGE) * PAGE)
        start = piece.address + place.offset - low
        return span(start, start + place.length, (piece, ref), readonly=False)

    def _pin(self, place: Place) -> BlockRef:
        if place.block >= self.layout.blocks or place.length < 1:
            raise SharedMemoryError("the message names a block that its arena cannot have")
        if self._inside:
            raise SharedMemoryError(
                "the message came in a signal handler or a finalizer, which has interrupted the opening of "
                "another one: receive it outside of that"
            )
        end = 0.0
        while True:
            ref = self._change(lambda: self._try_to_pin(place))
            if ref is not None:
                return ref
            # The owner is just checking the block.
            end = end or time.monotonic() + _PATIENCE
            if time.monotonic() > end:
                self._refuse()
            time.sleep(0.0005)

    def _try_to_pin(self, place: Place) -> BlockRef | None:
        if self.fd < 0:
            raise SharedMemoryError("the owner of this arena is gone, and it was closed here")
        known = self._open.get(place.block)
        ref = None if known is None else known.ended()
        if ref is None:
            return self._enter(place)
        self._check_block(place)
        self._add(self.layout.record(place.block) + OPENED, 1)
        return ref

    def _enter(self, place: Place) -> BlockRef | None:
        """Pin a block that is not open here; None if it is locked."""
        number, byte = place.block, BLOCK_BYTES + place.block
        words, at = self.records, self.layout.record(number)
        ref = BlockRef(self, number)
        if not try_lock(self.fd, byte, exclusive=False):
            return None
        try:
            start, nbytes = self._check_block(place)
            # Registered before it is pinned: whatever interrupts this, it will be unpinned.
            ended = Ended.watch(ref, self._returned, self._clear_soon)
            self._open[number] = _Open(ended, place.generation, start, nbytes)
            if words[at] != place.generation:
                words[at + OPENED] = words[at + FORWARDED] = words[at + UNTIL] = 0
                words[at] = place.generation
            self._add(at + OPENED, 1)
            words[at + PINS] = 1
        finally:
            unlock(self.fd, byte)
        insort(self._by_offset, (start, number))
        return ref

    def _check_block(self, place: Place) -> tuple[int, int]:
        """Return offset and length of a block; they are checked, since the owner may write anything."""
        at = self.layout.block(place.block)
        generation, start, nbytes = self.words[at : at + 3]
        if generation != place.generation:
            self._refuse()
        if place.offset < start or place.offset + place.length > start + nbytes:
            raise SharedMemoryError("the message names memory outside of its block")
        if start + nbytes > self.layout.capacity:
            raise SharedMemoryError("the head of the arena contradicts itself")
        return start, nbytes

    def _add(self, at: int, count: int) -> None:
        """Add to one of our words; another process may have written anything there."""
        self.records[at] = min(self.records[at] + count, LARGEST)

    def _refuse(self) -> NoReturn:
        raise SharedMemoryError(
            "the message outlived its memory, which is in use for another: as many readers as were announced "
            f"have read it, or its lease of {self.lease / 1e9:g} s was over and memory was short; see "
            "to() and lease= of SharedArena at the sender"
        )

    def clear(self) -> None:
        """End the pins of closed blocks; if another call is changing the books, that call does it."""
        while (self._returned or self._changing) and not self._inside and os.getpid() == self.pid:
            if not self._change(lambda: True, wait=False):
                return

    def take_back(self, ended: Ended) -> None:
        """End a pin."""
        known = self._open.get(ended.number)
        if known is not None and known.ended is ended:
            # In this order: a block that has left the table must be unpinned.
            self.records[self.layout.record(ended.number) + PINS] = 0
            del self._open[ended.number]
            del self._by_offset[bisect_right(self._by_offset, (known.offset, -1))]

    def set_right(self) -> None:
        """Unpin closed blocks, and rebuild the order of the others."""
        if self.fd >= 0:
            unlock_all(self.fd, BLOCK_BYTES, self.layout.blocks)
        for number, known in list(self._open.items()):
            if known.ended() is None:
                self.records[self.layout.record(number) + PINS] = 0
                del self._open[number]
        self._by_offset = sorted((known.offset, number) for number, known in self._open.items())

    # -- passing on --------------------------------------------------------------------------------

    def forward(self, address: int, nbytes: int, readers: int) -> bytes | None:
        """Promise the pinned block that holds this memory to so many more readers; return its descriptor."""
        offset = address - self.mapping.address
        if not 0 <= offset < self.layout.capacity or self._inside:
            return None
        place = self._change(lambda: self._promise(offset, nbytes, readers))
        return None if place is None else self.origin + place.pack()

    def _promise(self, offset: int, nbytes: int, readers: int) -> Place | None:
        at = bisect_right(self._by_offset, (offset, _HIGHEST)) - 1
        if at < 0 or self.fd < 0:
            return None
        number = self._by_offset[at][1]
        known = self._open[number]
        if offset + nbytes > known.offset + known.nbytes:
            return None
        place = Place(number, known.generation, offset, nbytes)
        at = self.layout.record(number)
        self.forwarded_until = time.monotonic_ns() + PATIENCE * self.lease
        self.records[at + UNTIL] = self.forwarded_until
        self._add(at + FORWARDED, readers)
        return place

    def unforward(self, place: Place, readers: int) -> None:
        """Withdraw such a promise."""

        def unforward() -> None:
            at = self.layout.record(place.block)
            if self.records[at] == place.generation:
                self.records[at + FORWARDED] = max(self.records[at + FORWARDED] - readers, 0)

        self._soon(unforward)

    # -- the whole ---------------------------------------------------------------------------------

    def close_if_idle(self) -> bool:
        """Close the arena if it is unused: its owner is gone, and no block is pinned or on its way."""
        if self._inside:
            return False
        self._change(self._close_if_idle)
        return self.fd < 0

    def _close_if_idle(self) -> None:
        missed = self._open or time.monotonic_ns() < self.forwarded_until
        if not missed and not is_locked(self.fd, OWNER_BYTE):
            self.close()

    def close(self) -> None:
        """Close the file; the owner clears our slot when it sees that the slot is unlocked."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            self.close()
