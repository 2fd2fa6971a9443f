"""The consumer's side of an arena: opened once, mapped as long as it is needed, pinned block by block."""

from __future__ import annotations

import os
import stat
import time
from bisect import bisect_right, insort
from typing import Final, NoReturn

from canning.buffers import span
from canning.errors import DeserializationError

from .descriptor import Origin, Place
from .errors import SharedMemoryError
from .finalizing import Desk, Hold
from .layout import (
    BLOCK_BYTES,
    FORWARDED,
    OPENED,
    OWNER_BYTE,
    PINS,
    SLOT_BYTES,
    SLOTS,
    UNTIL,
    Head,
)
from .ledger import PATIENCE
from .memory import (
    NAME,
    PAGE,
    Mapping,
    is_locked,
    is_sealed,
    started,
    this_host,
    try_lock,
    unlock,
    unsupported,
)
from .private import WARM, Lender

_PATIENCE: Final = 1.0
"""Seconds to wait for an owner who is just looking at the block."""
_HIGHEST: Final = 1 << 62


class Attached(Desk):
    """One arena of another's, mapped: its head writable, its data not.

    Args:
        found: says whose descriptor to open; it is checked that what is there is the arena it means.
        warm: bytes at the low end of the arena of which private views stay mapped.

    Raises:
        SharedMemoryError: it cannot be opened from here, or is not what it should be.
    """

    def __init__(self, found: Origin, warm: int = WARM) -> None:
        super().__init__()
        _check_host(found)
        self.started = started(self.pid)
        self.fd = _open(found)
        self.origin = found._replace(pid=self.pid, fd=self.fd, started=self.started).pack()
        try:
            nbytes = _check_file(self.fd, found)
            first = Head(Mapping(self.fd, PAGE, writable=True), nbytes)
            self.head = Head(Mapping(self.fd, first.data, writable=True), nbytes)
            if self.head.token != found.token:
                raise SharedMemoryError("it is another arena than the one of the message")
            self.mapping = Mapping(self.fd, self.head.capacity, self.head.data, writable=False)
            self._lender = Lender(self.head.data, min(warm // PAGE * PAGE, self.head.capacity))
            self.words = self.head.words
            self.slot = self._claim()
        except DeserializationError as error:
            raise SharedMemoryError(f"the shared memory of the message cannot be used: {error}") from error
        self.forwarded_until = 0
        self._pins: dict[int, int] = {}
        self._by_offset: list[tuple[int, int]] = []

    def _claim(self) -> int:
        for slot in range(SLOTS):
            at = self.head.slot(slot)
            if self.words[at] or not try_lock(self.fd, SLOT_BYTES + slot, exclusive=True):
                continue
            if not self.words[at]:
                self.words[at + 1] = self.started
                self.words[at] = self.pid
                return slot
            unlock(self.fd, SLOT_BYTES + slot)
        raise SharedMemoryError(f"{SLOTS} consumers use this arena already, which is as many as it can have")

    # -- blocks ------------------------------------------------------------------------------------

    def view(self, place: Place) -> memoryview:
        """Give the payload where it lies, read-only; its block stays as long as a view of it does."""
        self._pin(place)
        start = self.mapping.address + place.offset
        return span(start, start + place.length, Hold(self, place.block), readonly=True)

    def private(self, place: Place) -> memoryview:
        """Give the payload as pages that become our own when they are written to."""
        self._pin(place)
        hold = Hold(self, place.block)
        low = place.offset // PAGE * PAGE
        nbytes = place.offset + place.length - low
        piece = hold.what = self._lender.lend(self.fd, low, -(-nbytes // PAGE) * PAGE)
        start = piece.address + place.offset - low
        return span(start, start + place.length, hold, readonly=False)

    def _pin(self, place: Place) -> None:
        block, generation, _, length = place
        if block >= self.head.blocks or length < 1:
            raise SharedMemoryError("the message names a block that its arena cannot have")
        words, at = self.words, self.head.record(self.slot, block)
        with self:
            pins = self._pins.get(block, 0)
            if pins:
                self._check_block(place)
                words[at + PINS] = self._pins[block] = pins + 1
                words[at + OPENED] += 1
                return
            self._enter(block)
            try:
                offset = self._check_block(place)
                if words[at] != generation:
                    words[at + OPENED] = words[at + FORWARDED] = words[at + UNTIL] = 0
                    words[at] = generation
                words[at + PINS] = self._pins[block] = 1
                words[at + OPENED] += 1
            finally:
                unlock(self.fd, BLOCK_BYTES + block)
            insort(self._by_offset, (offset, block))

    def _enter(self, block: int) -> None:
        end = 0.0
        while not try_lock(self.fd, BLOCK_BYTES + block, exclusive=False):
            end = end or time.monotonic() + _PATIENCE
            if time.monotonic() > end:
                self._refuse()
            time.sleep(0.0005)

    def _check_block(self, place: Place) -> int:
        generation, start, nbytes = self._block(place.block)
        if generation != place.generation:
            self._refuse()
        if place.offset < start or place.offset + place.length > start + nbytes:
            raise SharedMemoryError("the message names memory outside of its block")
        if start + nbytes > self.head.capacity:
            raise SharedMemoryError("the head of the arena contradicts itself")
        return start

    def _block(self, number: int) -> tuple[int, int, int]:
        """Give generation, offset and length of a block."""
        at = self.head.block(number)
        return self.words[at], self.words[at + 1], self.words[at + 2]

    def _refuse(self) -> NoReturn:
        raise SharedMemoryError(
            "the message outlived its memory, which is in use for another: as many readers as were announced "
            f"have read it, or its lease of {self.head.lease / 1e9:g} s was over and memory was short; see "
            "to() and lease= of SharedArena at the sender"
        )

    def take_back(self, block: int) -> None:
        """End a pin."""
        left = self._pins[block] - 1
        if left:
            self._pins[block] = left
        else:
            del self._pins[block]
            offset = self.words[self.head.block(block) + 1]
            del self._by_offset[bisect_right(self._by_offset, (offset, -1))]
        # Last, since from here on the owner may use the block for something else.
        self.words[self.head.record(self.slot, block) + PINS] = left

    # -- passing on --------------------------------------------------------------------------------

    def forward(self, address: int, nbytes: int, readers: int) -> bytes | None:
        """Promise a pinned block, in which memory lies, to so many more readers; give its descriptor."""
        offset = address - self.mapping.address
        if not 0 <= offset < self.head.capacity:
            return None
        with self:
            at = bisect_right(self._by_offset, (offset, _HIGHEST)) - 1
            if at < 0:
                return None
            block = self._by_offset[at][1]
            generation, start, size = self._block(block)
            if offset + nbytes > start + size:
                return None
            at = self.head.record(self.slot, block)
            self.forwarded_until = time.monotonic_ns() + PATIENCE * self.head.lease
            self.words[at + UNTIL] = self.forwarded_until
            self.words[at + FORWARDED] += readers
            return self.origin + Place(block, generation, offset, nbytes).pack()

    def unforward(self, place: Place, readers: int) -> None:
        """Take such a promise back."""
        with self:
            at = self.head.record(self.slot, place.block)
            if self.words[at] == place.generation:
                self.words[at + FORWARDED] = max(self.words[at + FORWARDED] - readers, 0)

    # -- the whole ---------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Tell whether nobody will miss this: the owner is gone, nothing is pinned or on its way."""
        if self._pins or time.monotonic_ns() < self.forwarded_until:
            return False
        return not is_locked(self.fd, OWNER_BYTE)

    def close(self) -> None:
        """Let go of the arena; the owner clears our slot when it sees that nobody locks it."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            self.close()


# -- what is checked before anything is mapped -----------------------------------------------------------


def _check_host(found: Origin) -> None:
    reason = unsupported()
    if reason:
        raise SharedMemoryError(f"the message lies in shared memory of its sender's host, and {reason}")
    try:
        here = this_host()
    except OSError as error:
        raise SharedMemoryError(f"shared memory is found through /proc: {error.strerror}") from error
    if found.boot != here.boot:
        reason = "another machine"
    elif found.namespace != here.namespace:
        reason = "another PID namespace, as of a container"
    elif found.user != here.user:
        reason = f"another user, {found.user}, and this is user {here.user}"
    if reason:
        raise SharedMemoryError(f"the message lies in shared memory of {reason}: send it without arena=")


def _open(found: Origin) -> int:
    path = f"/proc/{found.pid}/fd/{found.fd}"
    if found.started != started(found.pid):
        raise SharedMemoryError(f"the message lies in memory of process {found.pid}, which has ended")
    try:
        # Looked at before it is opened: to open something else could do anything, or wait for ever.
        there = os.stat(path)
        name = os.readlink(path)
        if (there.st_ino, stat.S_ISREG(there.st_mode)) == (found.inode, True) and NAME in name:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SharedMemoryError(
            f"the arena of the message cannot be opened at process {found.pid}: {error.strerror}; its "
            "sender may have closed it"
        ) from error
    raise SharedMemoryError(f"process {found.pid} has closed the arena of the message")


def _check_file(fd: int, found: Origin) -> int:
    there = os.fstat(fd)
    if there.st_ino != found.inode or not stat.S_ISREG(there.st_mode):
        raise SharedMemoryError("it is another file than the one of the message")
    if there.st_uid != found.user:
        raise SharedMemoryError(f"it belongs to user {there.st_uid}, not to {found.user}")
    if not is_sealed(fd):
        raise SharedMemoryError("it is no memfd that is sealed against being shrunk")
    if there.st_size < PAGE:
        raise SharedMemoryError(f"it has {there.st_size} bytes, too few for an arena")
    return there.st_size
