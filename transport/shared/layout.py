"""The words of an arena, who writes each, and the descriptor of a payload, by which its arena is opened.

    page 0 | blocks | groups | slots | data | records of slot 0 | records of slot 1 | ...

All are unsigned 64-bit words of the machine, and every word has one writer, so that none needs an atomic
instruction. The *owner*, who made the arena, writes page 0 and the blocks:

    block:  generation, offset, length          odd generations are in use, even ones are free

A *consumer* claims a slot by a lock on a byte of it, and is the only one to write there:

    slot:   process id, its start               0 is free
    record: generation, pins, opened, forwarded, until          one for each block

Before, it writes 1 to the words of the slot's group and of all groups before, as does any other process that
claims one
there: the owner looks at no others. A record counts for a block if its generation is the block's. `pins` is 1
while the consumer has the block open, `opened` how often it opened it, `forwarded` how many more readers it
has promised it to, and `until` the monotonic nanosecond up to which they may take their time. A slot that
nobody locks any more is cleared by the owner, who adds `opened` and `forwarded` to his own count.

To open, a consumer locks the block's byte (shared), compares generations, and pins. To take a block back,
the owner locks it (exclusively), looks for pins, and steps the generation. Neither waits for the other: an
owner who does not get the lock leaves that block for later.

Nobody trusts what others write. The owner never reads its own words again: another process may have changed
them. What a consumer reads is checked before it is used.
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
"""Consumers that an arena can have at a time: as many as a system has process ids where nobody asks for more.

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
"""What the owner keeps locked as long as it lives."""
SLOT_BYTES: Final = OWNER_BYTE + 1
BLOCK_BYTES: Final = 1 << 41


class Layout(NamedTuple):
    """Tell where the words of an arena are, by how many blocks and bytes of data it has.

    `block`, `group` and `slot` give the first word of each, counted from the start of the file; `record` one
    within the records of a slot. All else is in bytes.
    """

    blocks: int
    capacity: int

    def block(self, number: int) -> int:
        """Return the first word of a block: its generation, then offset and length."""
        return _WORDS_A_PAGE + number * _BLOCK

    @property
    def groups(self) -> int:
        """Return the first word of the groups, of which each has one."""
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
        """Tell where the data begin."""
        return 8 * (self.slot(0) + _pad(SLOTS * _SLOT))

    @property
    def records_bytes(self) -> int:
        """Tell how long the records of a slot are."""
        return 8 * _pad(self.blocks * RECORD)

    def records(self, slot: int) -> int:
        """Tell where the records of a slot begin."""
        return self.data + self.capacity + slot * self.records_bytes

    @property
    def nbytes(self) -> int:
        """Tell how long the whole file is; most of it never gets a page."""
        return self.records(SLOTS)


class Head(NamedTuple):
    """What stands in page 0."""

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
    """View mapped memory as words, which keep it mapped."""
    low = mapping.address
    return span(low, low + mapping.nbytes, mapping, readonly=False).cast("Q")


def _pad(words: int) -> int:
    return -(-words // _WORDS_A_PAGE) * _WORDS_A_PAGE


def count_blocks(capacity: int) -> int:
    """Choose how many blocks an arena of so many bytes may be cut into."""
    return min(max(capacity // _BYTES_A_BLOCK, _FEWEST), _MOST)


# -- the descriptor of a payload, which stands on the wire in its place ---------------------------------
#
# The first part, the origin, is the same for all payloads of one arena that come from one process.

DESCRIPTOR: Final = b"\x93ARENA1\n"
_ORIGIN: Final = struct.Struct("<8sIII4xQ16sQ16sQ")
_PLACE: Final = struct.Struct("<QQQQ")
SIZE: Final = _ORIGIN.size + _PLACE.size
_TOKEN: Final = slice(56, 72)


class Origin(NamedTuple):
    """Say which arena, and how to come by it.

    Attributes:
        user, pid, fd: whose descriptor of the arena can be opened; it need not be the owner's.
        started: when that process started, in ticks since the kernel did.
        boot, namespace: the machine and the PID namespace in which that is so.
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
        """Return what must be the same at the reader."""
        return Host(self.user, self.boot, self.namespace)

    def pack(self) -> bytes:
        """Return the first part of the bytes that go on the wire."""
        return _ORIGIN.pack(DESCRIPTOR, *self)


class Place(NamedTuple):
    """Say where in the arena: which use of which block, and which bytes of the data."""

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
    """Read from the first part of a descriptor which arena it means."""
    return raw[_TOKEN]


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


def open_arena(found: Origin) -> int:
    """Open the file of an arena that lies on this host; raises `SharedMemoryError`."""
    _check_host(found)
    path = f"/proc/{found.pid}/fd/{found.fd}"
    if found.started != started(found.pid):
        raise SharedMemoryError(f"the message lies in memory of process {found.pid}, which has ended")
    try:
        # Looked at before it is opened: to open something else could do anything, or wait forever.
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
    """Check that what was opened is the arena, and return its length; raises `SharedMemoryError`."""
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
