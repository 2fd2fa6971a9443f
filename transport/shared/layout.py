"""The words of an arena and their writers, and the descriptor of a payload, by which its arena is opened.

    page 0 | blocks | groups | slots | data | records of slot 0 | records of slot 1 | ...

All are unsigned 64-bit words in native byte order, and every word has one writer, so none needs an atomic
instruction. The *owner*, which made the arena, writes page 0 and the blocks:

    block:  generation, offset, length          odd generations are in use, even ones are free

A *consumer* claims a slot by locking its byte, and is the only one to write there:

    slot:   process id, its start               0 is free
    record: generation, pins, opened, forwarded, until          one for each block

Before that, like every process that claims a slot there, it writes 1 to the words of the slot's group and of
all earlier groups: the owner reads no other groups. A record is valid for a block if it has the block's
generation. `pins` is 1 while the consumer has the block open, `opened` counts how often it opened the block,
`forwarded` to how many more readers it promised the block, and `until` is the monotonic nanosecond up to
which these may open it. The owner clears slots that are no longer locked, and adds their `opened` and
`forwarded` to its own count.

To open, a consumer locks the block's byte (shared), compares generations, and pins. To reclaim a block, the
owner locks it (exclusively), checks for pins, and increments the generation. Neither waits for the other: an
owner that does not get the lock leaves that block for later.

No process trusts the words of others. The owner never reads its own words back: another process may have
changed them. A consumer checks every word before it uses it.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from canning.errors import DeserializationError
from canning.memory.buffers import span

from ..errors import SharedMemoryError
from .memory import NAME, PAGE, Host, Mapping, is_sealed, started, this_host, unsupported

MAGIC: Final = int.from_bytes(b"canarena", "little")
VERSION: Final = 2
SLOTS: Final = 32_768
"""The most consumers of an arena at a time: the number of process ids of a system by default.

A slot takes no memory before it is used."""
GROUP: Final = 64
"""Slots of a group."""
GROUPS: Final = SLOTS // GROUP
_FEWEST: Final = 64
_MOST: Final = 16384
_BYTES_A_BLOCK: Final = 64 * 1024
_LONGEST_LEASE: Final = 10**18

_BLOCK: Final = 4
_SLOT: Final = 2
RECORD: Final = 8
_WORDS_A_PAGE: Final = PAGE // 8

GENERATION: Final = 0
PINS: Final = 1
OPENED: Final = 2
FORWARDED: Final = 3
UNTIL: Final = 4
"""Words of a record."""
LARGEST: Final = 2**64 - 1
"""The largest number in a word."""

OWNER_BYTE: Final = 1 << 40
"""The byte that the owner keeps locked as long as it lives."""
SLOT_BYTES: Final = OWNER_BYTE + 1
BLOCK_BYTES: Final = 1 << 41


class Layout(NamedTuple):
    """The places of an arena's words, computed from its number of blocks and bytes of data.

    `block`, `group` and `slot` give the first word of each, counted from the start of the file; `record`
    gives one within the records of a slot. All others are in bytes.
    """

    blocks: int
    capacity: int

    def block(self, number: int) -> int:
        """Return the first word of a block: its generation, then offset and length."""
        return _WORDS_A_PAGE + number * _BLOCK

    @property
    def groups(self) -> int:
        """Return the first word of the groups; each group has one word."""
        return _WORDS_A_PAGE + _pad(self.blocks * _BLOCK)

    def slot(self, number: int) -> int:
        """Return the first word of a slot: a process id, then its start."""
        return self.groups + _pad(GROUPS) + number * _SLOT

    @staticmethod
    def record(block: int) -> int:
        """Return the first word for a block among the records of a slot."""
        return block * RECORD

    @property
    def data(self) -> int:
        """Return the offset of the data."""
        return 8 * (self.slot(0) + _pad(SLOTS * _SLOT))

    @property
    def records_bytes(self) -> int:
        """Return the length of the records of a slot."""
        return 8 * _pad(self.blocks * RECORD)

    def records(self, slot: int) -> int:
        """Return the offset of the records of a slot."""
        return self.data + self.capacity + slot * self.records_bytes

    @property
    def nbytes(self) -> int:
        """Return the length of the whole file; most of it never gets a page."""
        return self.records(SLOTS)


class Head(NamedTuple):
    """The contents of page 0."""

    layout: Layout
    token: bytes
    lease: int

    def write(self, words: Any) -> None:
        """Write it to the words of a new arena."""
        low, high = (int.from_bytes(half, "little") for half in (self.token[:8], self.token[8:]))
        layout = self.layout
        said = (MAGIC, VERSION, low, high, layout.capacity, layout.blocks, SLOTS, self.lease)
        for number, word in enumerate(said):
            words[number] = word


def read_head(words: Sequence[int], nbytes: int) -> Head:
    """Read the head of an arena whose file has so many bytes; raises `DeserializationError`."""
    magic, version, low, high, capacity, blocks, slots, lease = words[:8]
    if (magic, version, slots) != (MAGIC, VERSION, SLOTS):
        raise DeserializationError("it is not an arena of this version of canning")
    layout = Layout(blocks, capacity)
    whole = 0 < blocks <= _MOST and not capacity % PAGE and layout.nbytes == nbytes
    if not whole or lease > _LONGEST_LEASE:
        raise DeserializationError("the head of the arena contradicts itself")
    return Head(layout, low.to_bytes(8, "little") + high.to_bytes(8, "little"), lease)


def words_of(mapping: Mapping) -> Any:
    """View mapped memory as words; the view keeps it mapped."""
    low = mapping.address
    return span(low, low + mapping.nbytes, mapping, readonly=False).cast("Q")


def _pad(words: int) -> int:
    return -(-words // _WORDS_A_PAGE) * _WORDS_A_PAGE


def count_blocks(capacity: int) -> int:
    """Return the greatest number of blocks for an arena of so many bytes."""
    return min(max(capacity // _BYTES_A_BLOCK, _FEWEST), _MOST)


# -- the descriptor of a payload, which replaces the payload on the wire ---------------------------------
#
# The first part, the origin, is the same for all payloads of one arena that come from one process.

DESCRIPTOR: Final = b"\x93ARENA1\n"
_ORIGIN: Final = struct.Struct("<8sIII4xQ16sQ16sQ")
_PLACE: Final = struct.Struct("<QQQQ")
SIZE: Final = _ORIGIN.size + _PLACE.size
_TOKEN: Final = slice(56, 72)


class Origin(NamedTuple):
    """Which arena, and how to open it.

    Attributes:
        user, pid, fd: the process whose descriptor of the arena can be opened; it need not be the owner.
        started: when that process started, in ticks since boot.
        boot, namespace: the machine and the PID namespace of that process.
        token: 16 random bytes of the arena.
        inode: the memfd's.
    """

    user: int
    pid: int
    fd: int
    started: int
    boot: bytes
    namespace: int
    token: bytes
    inode: int

    @property
    def host(self) -> Host:
        """Return the attributes that must be the same at the reader."""
        return Host(self.user, self.boot, self.namespace)

    def pack(self) -> bytes:
        """Return the first part of the bytes on the wire."""
        return _ORIGIN.pack(DESCRIPTOR, *self)


class Place(NamedTuple):
    """A place in the arena: the block and its generation, and the bytes of the data."""

    block: int
    generation: int
    offset: int
    length: int

    def pack(self) -> bytes:
        """Return the second part."""
        return _PLACE.pack(*self)


def parse(frame: memoryview | bytes) -> tuple[bytes, Place]:
    """Cut a descriptor into its origin, still packed, and the place.

    Raises `DeserializationError` for an invalid frame.
    """
    raw = bytes(frame[: SIZE + 1])
    if len(raw) != SIZE or raw[:8] != DESCRIPTOR:
        raise DeserializationError(f"a frame of {len(frame)} bytes that is not a descriptor of shared memory")
    return raw[: _ORIGIN.size], Place._make(_PLACE.unpack_from(raw, _ORIGIN.size))


def parse_origin(raw: bytes) -> Origin:
    """Read the first part of a descriptor."""
    return Origin._make(_ORIGIN.unpack(raw)[1:])


def token_of(raw: bytes) -> bytes:
    """Return the token of the arena from the first part of a descriptor."""
    return raw[_TOKEN]


# -- the checks before anything is mapped ----------------------------------------------------------------


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


def open_arena(found: Origin) -> int:
    """Open the file of an arena that lies on this host; raises `SharedMemoryError`."""
    _check_host(found)
    path = f"/proc/{found.pid}/fd/{found.fd}"
    if found.started != started(found.pid):
        raise SharedMemoryError(f"the message lies in memory of process {found.pid}, which has ended")
    try:
        # Checked before it is opened: opening another kind of file could have effects, or block forever.
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


def check_file(fd: int, found: Origin) -> int:
    """Check that the opened file is the arena, and return its length; raises `SharedMemoryError`."""
    there = os.fstat(fd)
    if there.st_ino != found.inode or not stat.S_ISREG(there.st_mode):
        raise SharedMemoryError("it is another file than the one of the message")
    if there.st_uid != found.user:
        raise SharedMemoryError(f"it belongs to user {there.st_uid}, not to {found.user}")
    if not is_sealed(fd):
        raise SharedMemoryError("it is not a memfd that is sealed against being shrunk")
    if there.st_size < PAGE:
        raise SharedMemoryError(f"it has {there.st_size} bytes, too few for an arena")
    return there.st_size
