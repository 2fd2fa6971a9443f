"""The arena itself: memory for arrays, and a codec that puts large payloads there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from canning.arguments import check_number, check_seconds, check_whole, parse_size
from canning.errors import shortened, warn
from canning.memory.buffers import Frame, address, span

from ..errors import ArenaError
from ..events import note
from .arrays import Arrays
from .blocks import ArenaStats
from .codecs import ID, ForReaders, default_memory, promised
from .consumers import Receipt
from .layout import DESCRIPTOR, SIZE, Place, parse
from .ledger import UNKNOWN, Ledger
from .lingering import LONGEST, drain, drop, enter, leave
from .memory import PAGE, copy, unsupported

THRESHOLD: Final = 512 * 1024
"""Bytes from which payloads are copied into an arena.

Round trips over ipc (median, µs, through an arena against as frames): 128 kB 578 and 426, 256 kB 602 and 492,
384 kB 626 and 576, 512 kB 640 and 624, 768 kB 673 and 708. Measured on 2 busy cores of an AMD EPYC.
"""


class SharedArena(Arrays):
    """Memory that processes of this host share, so that only the location of a payload is sent; Linux.

    Pass it as ``arena=`` to `transport.send`, or as ``codec=`` to a `canning.Serializer`. Payloads from
    `threshold` bytes on are copied into it once, however many receivers there are; arrays made by `empty`
    and `array`, views of them, and arrays that were received from any arena are not copied at all. Do not
    write to such an array after you sent it: its readers use the same memory. Receivers pass
    ``shared_memory=True``.

    A full arena never blocks: payloads that do not fit are sent as ordinary frames, and `stats` counts them.
    Nothing is left behind in the system, whichever process is killed. Threads may share an arena; forked
    processes may not.

    Args:
        capacity: bytes, or text like ``"1GiB"``. Pages are taken from the system when they are first used.
        lease: seconds after which the memory of an unopened message may be reused if the arena is full. They
            count from sending, or from the death of a consumer if that is later; the time is ten times as
            long while consumers live, since they may just be slow.
        threshold: bytes from which payloads are copied into the arena.
        linger: seconds that `close`, and the end of the process, wait for unopened payloads. After that they
            are lost: a `transport.UndeliveredWarning` counts them. With 0 they are lost at once, without a
            warning. None means the lease, but at most 10.

    Raises:
        ArenaError: this system has no such memory.
        ValueError: a size or a time is not valid.

    >>> import numpy as np, transport
    >>> here, there = transport.fake_pair()
    >>> with SharedArena("16MiB") as arena:
    ...     image = arena.array(np.arange(10**6))
    ...     tracker = transport.send(here, {"image": image}, arena=arena)
    ...     got = transport.recv(there, shared_memory=True)["image"]
    ...     int(got[-1]), got.flags.writeable, arena.stats().copied
    (999999, False, 0)
    """

    id = ID
    shares = True

    @shortened
    def __init__(
        self,
        capacity: int | str = "1GiB",
        *,
        lease: float = 10.0,
        threshold: int = THRESHOLD,
        linger: float | None = None,
    ) -> None:
        nbytes = parse_size(capacity)
        check_number("lease", lease, "seconds")
        if not 0 < lease < 1e9:
            raise ValueError(f"lease={lease!r} is not a number of seconds above 0")
        check_whole("threshold", threshold, "bytes", least=1)
        _check_linger(linger)
        if type(capacity) is int and capacity < PAGE:
            warn(
                f"capacity={capacity} is a number of bytes, less than the smallest arena has: write "
                f"'{capacity}MiB' or '{capacity}GiB' if that is meant",
                UserWarning,
            )
        reason = unsupported()
        if reason:
            raise ArenaError(f"{reason}; send without arena=")
        self.capacity = max(-(-nbytes // PAGE), 1) * PAGE
        self.threshold = threshold
        self._ledger = Ledger(self.capacity, lease, min(lease, LONGEST) if linger is None else linger)
        enter(self._ledger)
        self._copied = self._in_place = self._fallbacks = 0
        self._one = ForReaders(self, 1)
        self._unknown = ForReaders(self, UNKNOWN)
        self._held = ForReaders(self, 0)

    # -- the codec ---------------------------------------------------------------------------------

    @shortened
    def to(self, readers: int) -> ForReaders:
        """Return a codec for a known number of receivers: memory is free again as soon as all have read it.

        `transport.send` knows that sockets other than PUB and XPUB send to one receiver. If the number is
        unknown, a message keeps its memory for the lease.

        Raises:
            ValueError: there is no receiver.
        """
        check_whole("readers", readers, "receivers", least=1)
        return self._one if readers == 1 else ForReaders(self, readers)

    def to_unknown(self) -> ForReaders:
        """Share a message with an unknown number of receivers: it keeps its memory for the lease."""
        return self._unknown

    def to_held(self) -> ForReaders:
        """Share memory that the sender holds until it knows that it was read, by any process.

        It is free again when the arrays in it are gone and no receiver has it open, even if processes died in
        the meantime. Only memory in an arena is sent this way; nothing is copied into one.

        >>> with SharedArena("1MiB") as arena:
        ...     numbers = arena.array(range(1000))
        ...     len(arena.to_held().encode(memoryview(numbers)))
        112
        """
        return self._held

    def is_open_in(self, pid: int, started: int) -> bool:
        """Tell whether a process has the arena open; `started` is its start time, in ticks since boot."""
        return self._open().consumers.has(pid, started)

    def encode(self, buffer: memoryview, *, itemsize: int = 1) -> Frame | None:
        """Return a descriptor of memory in an arena, or copied into this one; else None."""
        return self.share(buffer, UNKNOWN)

    def decode(self, frame: memoryview, length: int, *, writable: bool = False) -> Any:
        """Return the memory of a descriptor, like `SharedMemory.decode`."""
        return default_memory.decode(frame, length, writable=writable)

    def share(self, buffer: memoryview, readers: int) -> bytes | None:
        """Do the same as `encode`, for so many readers; for none, copy nothing."""
        ledger = self._open()
        nbytes = buffer.nbytes
        if not nbytes:
            return None
        start = address(buffer)
        place = ledger.send(start, nbytes, readers)
        if place is not None:
            self._in_place += 1
            return promised(ledger.origin + place.pack())
        found = default_memory.forward(start, nbytes, readers)
        if found is not None:
            self._in_place += 1
            return promised(found)
        return self._put(buffer, readers) if readers and nbytes >= self.threshold else None

    def _put(self, buffer: memoryview, readers: int) -> bytes | None:
        ledger = self._ledger
        ref = ledger.take(buffer.nbytes, thorough=False)  # holds the block until the end of this function
        if ref is None:
            self._fallbacks += 1
            note("fallbacks", "%d bytes found no room in %r: they go as a frame", buffer.nbytes, self)
            return None
        start = ledger.start_of(ref)
        copy(span(start, start + buffer.nbytes, None, readonly=False), buffer)
        place = ledger.send(start, buffer.nbytes, readers)
        if place is None:
            return None
        self._copied += 1
        return promised(ledger.origin + place.pack())

    def revoke(self, frames: Sequence[Any], readers: int) -> None:
        """Withdraw the promises of these frames: they were not sent after all."""
        for frame in frames:
            if type(frame) is not bytes or len(frame) != SIZE or not frame.startswith(DESCRIPTOR):
                continue
            origin, place = parse(frame)
            if origin == self._ledger.origin:
                self._ledger.unsend(place, readers)
            else:
                default_memory.unforward(origin, place, readers)

    def receipts(self, frames: Sequence[Any]) -> list[Receipt]:
        """Return receipts, which tell whether a payload was opened, for the descriptors of this arena."""
        receipts = (self._ledger.receipt(place) for _, place in self._own(frames))
        return [receipt for receipt in receipts if receipt is not None]

    def waiting(self, frames: Sequence[Any]) -> list[bytes]:
        """Return the frames that are descriptors of this arena and that no receiver has opened yet."""
        return [frame for frame, place in self._own(frames) if self._ledger.is_waiting(place)]

    def lose(self, frames: Sequence[Any]) -> None:
        """Free the memory of messages that their receivers have not opened and never will.

        >>> with SharedArena("16MiB", threshold=1000) as arena:
        ...     lost = arena.to(1).encode(memoryview(bytes(5000)))
        ...     arena.lose([lost])
        ...     arena.stats().used
        0
        """
        for _, place in self._own(frames):
            self._ledger.lose(place)

    def _own(self, frames: Sequence[Any]) -> Iterator[tuple[bytes, Place]]:
        for frame in frames:
            if type(frame) is bytes and len(frame) == SIZE and frame.startswith(self._ledger.origin):
                yield frame, parse(frame)[1]

    # -- the whole ---------------------------------------------------------------------------------

    def stats(self) -> ArenaStats:
        """Free all memory that can be freed, and return the state of the arena."""
        self._check_process()
        used, blocks, consumers = self._ledger.look()
        return ArenaStats(
            self.capacity, used, blocks, consumers, self._copied, self._in_place, self._fallbacks
        )

    @shortened
    def drain(self, timeout: float | None = None) -> None:
        """Wait until all receivers have opened all payloads that were sent.

        A payload whose number of receivers is unknown, as on a PUB socket, must be opened once.

        Args:
            timeout: seconds; None waits without a limit.

        Raises:
            TransportTimeout: the time is over; the text counts the unopened payloads.

        >>> with SharedArena("16MiB", threshold=1000) as arena:
        ...     frame = arena.to(1).encode(memoryview(bytes(5000)))
        ...     payload = arena.decode(memoryview(frame), 5000)
        ...     arena.drain(timeout=1)
        """
        check_seconds("timeout", timeout)
        drain(self._open(), timeout)

    @shortened
    def close(self, linger: float | None = None) -> None:
        """Close the arena: open arrays and messages stay valid, and nobody can open others.

        It first waits for unopened payloads, for `linger` seconds, by default the arena's own `linger`. An
        `UndeliveredWarning` counts the payloads that are lost. Leaving the ``with`` block closes an arena.

        A receiver that has opened a message of the arena still has the arena mapped, and can open other
        messages; every other receiver gets an error.
        """
        _check_linger(linger)
        self._check_process()
        if not self.closed:
            leave(self._ledger, self._ledger.linger if linger is None else linger)

    @property
    def closed(self) -> bool:
        """Tell whether `close` was called."""
        return self._ledger.closing

    @property
    def is_ours(self) -> bool:
        """Tell whether this process made the arena, not a parent that it was forked from."""
        return os.getpid() == self._ledger.pid

    def _open(self) -> Ledger:
        self._check_process()
        if self.closed:
            raise ArenaError(
                "this arena is closed: make another one with SharedArena(...), and stay in its `with` block "
                "until you have sent all"
            )
        return self._ledger

    def _check_process(self) -> None:
        if os.getpid() != self._ledger.pid:
            raise ArenaError(
                f"this arena was made by process {self._ledger.pid}, and this is {os.getpid()}, forked from "
                "it: make another one here"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an interrupt, do not wait.
        self.close(None if error is None or isinstance(error, Exception) else 0.0)

    def __del__(self) -> None:
        if hasattr(self, "_ledger") and self.is_ours and not self.closed:
            drop(self._ledger)

    def __repr__(self) -> str:
        if os.getpid() != self._ledger.pid:
            return f"<SharedArena of process {self._ledger.pid}>"
        used, blocks, consumers = self._ledger.glance()
        state = ", closed" if self.closed else ""
        return (
            f"<SharedArena {used:,} of {self.capacity:,} bytes in {blocks} blocks, {consumers} consumers, "
            f"{self._fallbacks} fallbacks{state}>"
        )


def _check_linger(linger: float | None) -> None:
    if linger is None:
        return
    check_number("linger", linger, "seconds")
    if not 0 <= linger < 1e9:
        raise ValueError(f"linger={linger!r} is not a number of seconds, 0 or more")
