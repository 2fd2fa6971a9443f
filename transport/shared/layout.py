"""The head of an arena: which words it has, and who writes each.

    page 0 | blocks | slot 0 | slot 1 | ... | data

All are unsigned 64-bit words of the machine, and every word has one writer, so that none needs an atomic
instruction. The *owner*, who made the arena, writes page 0 and the blocks:

    block:  generation, offset, length          odd generations are in use, even ones are free

A *consumer* claims a slot by a lock on a byte of it, and is the only one to write there:

    slot:   process id, its start               0 is free; and then for each block
            generation, pins, opened, forwarded, until

A record counts for a block if its generation is the block's. `pins` are the views that live there, `opened`
how often the block was opened, `forwarded` how many more readers this consumer has promised it to, and
`until` the monotonic nanosecond up to which they may take their time. A slot that nobody locks any more is
cleared by the owner, who adds `opened` and `forwarded` to his own count.

To open, a consumer locks the block's byte (shared), compares generations, and pins. To take a block back,
the owner locks it (exclusively), looks for pins, and steps the generation. Neither waits for the other: an
owner who does not get the lock leaves that block for later.
"""

from __future__ import annotations

from typing import Any, Final

from canning.buffers import span
from canning.errors import DeserializationError

from .memory import PAGE, Mapping

MAGIC: Final = int.from_bytes(b"canarena", "little")
VERSION: Final = 1
SLOTS: Final = 64
"""Consumers that an arena can have at a time."""
_FEWEST: Final = 64
_MOST: Final = 16384
_BYTES_A_BLOCK: Final = 64 * 1024

_FIXED: Final = 16
"""Words of page 0 that are used."""
_BLOCK: Final = 4
_RECORD: Final = 8
_SLOT_HEAD: Final = 8
_WORDS_A_PAGE: Final = PAGE // 8

GENERATION: Final = 0
PINS: Final = 1
OPENED: Final = 2
FORWARDED: Final = 3
UNTIL: Final = 4
"""Words of a record."""

OWNER_BYTE: Final = 1 << 40
"""What the owner keeps locked as long as it lives."""
SLOT_BYTES: Final = OWNER_BYTE + 1
BLOCK_BYTES: Final = 1 << 41


class Head:
    """Find words by what they mean.

    Args:
        mapping: the head, writable; its first page at least.
        nbytes: bytes of the whole file; what the head says must fit into that.
        fresh: blocks to write a new head for, and bytes of data; None reads the head that is there.
    """

    def __init__(
        self, mapping: Mapping, nbytes: int, fresh: tuple[int, int, bytes, int] | None = None
    ) -> None:
        self.words: Any = span(mapping.address, mapping.address + mapping.nbytes, mapping, readonly=False)
        self.words = self.words.cast("Q")
        if fresh is not None:
            blocks, capacity, token, lease = fresh
            said = (MAGIC, VERSION, *_halves(token), capacity, blocks, SLOTS, lease)
            for number, word in enumerate(said):
                self.words[number] = word
        magic, version, low, high, capacity, blocks, slots, lease = self.words[:8]
        self.token = low.to_bytes(8, "little") + high.to_bytes(8, "little")
        self.capacity: int = capacity
        self.blocks: int = blocks
        self.lease: int = lease
        if (magic, version, slots) != (MAGIC, VERSION, SLOTS):
            raise DeserializationError("it is no arena of this version of canning")
        if not 0 < blocks <= _MOST or capacity % PAGE or head_bytes(blocks) + capacity != nbytes:
            raise DeserializationError("the head of the arena contradicts itself")
        self.data = head_bytes(blocks)
        self._slots = (_WORDS_A_PAGE + _pad(blocks * _BLOCK)) if blocks else 0
        self._slot = _pad(_SLOT_HEAD + blocks * _RECORD)

    def block(self, number: int) -> int:
        """Give the first word of a block: its generation, then offset and length."""
        return _WORDS_A_PAGE + number * _BLOCK

    def slot(self, number: int) -> int:
        """Give the first word of a slot: a process id, then its start."""
        return self._slots + number * self._slot

    def record(self, slot: int, block: int) -> int:
        """Give the first word that a slot has for a block."""
        return self._slots + slot * self._slot + _SLOT_HEAD + block * _RECORD

    @property
    def slot_words(self) -> slice:
        """Give the words of process ids, slot by slot."""
        return slice(self._slots, self._slots + SLOTS * self._slot, self._slot)


def _halves(token: bytes) -> tuple[int, int]:
    return int.from_bytes(token[:8], "little"), int.from_bytes(token[8:], "little")


def _pad(words: int) -> int:
    return -(-words // _WORDS_A_PAGE) * _WORDS_A_PAGE


def count_blocks(capacity: int) -> int:
    """Choose how many blocks an arena of so many bytes may be cut into."""
    return min(max(capacity // _BYTES_A_BLOCK, _FEWEST), _MOST)


def head_bytes(blocks: int) -> int:
    """Tell how long the head of an arena with so many blocks is; most of it never gets a page."""
    slot = _pad(_SLOT_HEAD + blocks * _RECORD)
    return 8 * (_WORDS_A_PAGE + _pad(blocks * _BLOCK) + SLOTS * slot)
