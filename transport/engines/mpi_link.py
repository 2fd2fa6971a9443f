"""The MPI side of a `Comm`: its copies of a communicator, the memory that ranks share, and waiting."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any, Final

import numpy as np

from canning import Codecs, DeserializationError, Serializer
from canning.forking import Lock
from canning.reading.reader import read_message
from canning.writing.draft import Draft
from canning.writing.messages import write

from ..errors import TransportTimeout
from ..outgoing import for_socket
from ..shared import ForReaders, SharedArena, default_memory
from ..shared.layout import SIZE
from .adapting import check_layout
from .arenas import new_arena
from .mpi_parts import (
    ENVELOPE,
    EQUAL,
    Steps,
    copied,
    drive,
    envelope_in,
    laid_out,
    pack,
    pieces,
    poll,
    unpack,
)

TRIED: Final = "4.1.2"
check_layout(
    "mpi4py",
    TRIED,
    {
        "mpi4py.MPI:Pickle": ("dumps", "loads", "PROTOCOL", "THRESHOLD"),
        "mpi4py.MPI:Comm": ("Isend", "Irecv", "Improbe", "Ibcast", "Iallgather", "Split_type"),
        "mpi4py.MPI:Request": ("Testall", "Waitall"),
        "mpi4py.util.pkl5": ("pickle",),
    },
)

from mpi4py import MPI  # noqa: E402 - only after the check of the layout
from mpi4py.util import pkl5  # noqa: E402

__all__ = ["KEPT", "LATE", "MPI", "TRIED", "Link", "pkl5"]

_LARGE: Final = 256 * 1024
"""Bytes from which memory is shared between ranks of one host."""
_LEASE: Final = 3600.0
"""Seconds for which a message may wait to be read; then its memory is reused."""
_EXIT: Final = 30.0
"""Seconds for which an ending rank waits for the readers of its messages."""
_COLLECTIVE: Final = 0
"""The tag of envelopes that collective calls send from rank to rank; large frames have other tags."""
LATE: Final = "other ranks have not taken part"
"""The reason that time limits give."""
_LEFT: Final[list[Any]] = []
"""Requests whose memory MPI may still use, since a time limit was over before they were complete."""
_LEAVING: Final = Lock()


class Link:
    """Two copies of a communicator: `comm` carries the user's envelopes, `parts` everything else.

    Args:
        comm: a communicator.
        serializer: writes and reads messages.
        timeout: seconds to wait for others; None waits without a limit.
        share: whether ranks of one host share memory.

    Attributes:
        writer: writes messages that go through MPI only.
        near: writes for each rank that can open this rank's arena.
        all: writes for all ranks.
        reader: reads messages of any rank.
    """

    def __init__(self, comm: Any, serializer: Serializer, timeout: float | None, share: bool) -> None:
        self.reader = self.writer = self.all = serializer
        self.timeout = timeout
        self.comm = comm.Dup()
        self.parts = comm.Dup()
        self.rank: int = self.comm.Get_rank()
        self.size: int = self.comm.Get_size()
        self._limits = None if serializer.trust == "code" else serializer.limits
        self._numbers = itertools.count()
        self.last: int = self.comm.Get_attr(MPI.TAG_UB) or 32767
        self._arena: SharedArena | None = None
        self._held: list[Any] = []
        self.near: dict[int, Serializer] = {}
        if not self.comm.Is_inter():
            self._meet(share)

    def _meet(self, share: bool) -> None:
        """Find out which ranks of this host can open this rank's arena: each tries, and reports."""
        node = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        ranks, here = np.empty(node.size, "i8"), np.zeros(SIZE, "u1")
        node.Allgather(np.array([self.rank], "i8"), ranks)
        if share and node.size > 1:
            self.reader = self.writer.evolve(codecs=Codecs([default_memory], beside=self.writer.codecs))
            self._arena = new_arena(lease=_LEASE, threshold=_LARGE, linger=_EXIT)
        if self._arena is not None:
            self._held.append(self._arena.array([1]))
            descriptor = self._arena.to_held().encode(memoryview(self._held[0]))
            here[:] = np.frombuffer(descriptor or bytes(SIZE), "u1")
        there, opened = np.empty((node.size, SIZE), "u1"), np.empty((node.size, node.size), "?")
        node.Allgather(here, there)
        node.Allgather(np.array([share and self._opens(bytes(row)) for row in there]), opened)
        node.Free()
        if self._arena is not None:
            near = ranks[opened[:, list(ranks).index(self.rank)]].tolist()
            self.near = dict.fromkeys(near, self._arena.to(1).serializer(self.writer))
            if len(near) == self.size:
                self.all = self._arena.to(self.size).serializer(self.writer)

    def _opens(self, descriptor: bytes) -> bool:
        """Try to open another rank's memory, and keep it open; tell whether that succeeded."""
        try:
            self._held.append(default_memory.decode(memoryview(descriptor), 8))
        except DeserializationError:  # there is no arena, or it cannot be reached from here
            return False
        return True

    def free(self) -> None:
        """Free the copies, and the memory that is no longer in use."""
        if self._arena is not None:
            self._arena.close()
        self._held.clear()
        self.comm.Free()
        self.parts.Free()

    # -- objects and frames ------------------------------------------------------------------------

    def frames(self, obj: Any, writer: Serializer) -> list[Any]:
        """Write an object; large memory goes into the arena if that is the writer's codec."""
        message = write(writer, obj)
        if type(message) is not Draft:
            return message if writer.key is None else writer.finish([message])
        undone = writer.codec.all_or_nothing() if isinstance(writer.codec, ForReaders) else nullcontext()
        with undone:
            return writer.finish([for_socket(message, None)])

    def load(self, frames: list[Any]) -> Any:
        """Read an object."""
        return read_message(self.reader, frames, None)[0]

    def copy(self, obj: Any) -> Any:
        """Give an object as another rank would read it."""
        return self.load(copied(self.frames(obj, self.writer)))

    # -- from rank to rank -------------------------------------------------------------------------

    def number(self) -> int:
        """Return a tag for the large frames of a message, unique among the messages on their way."""
        return int(next(self._numbers) % self.last) + 1

    def post(self, obj: Any, dest: int, tag: int = _COLLECTIVE, comm: Any = None) -> Steps:
        """Begin to send an object, by default on `parts`."""
        if dest == MPI.PROC_NULL:
            return _sent([], [])
        frames = self.frames(obj, self.near.get(dest, self.writer))
        envelope, outside = pack(frames, number := self.number())
        requests = [(comm or self.parts).Isend((envelope, MPI.BYTE), dest, tag)]
        for frame in outside:
            requests += [self.parts.Isend((piece, MPI.BYTE), dest, number) for piece in pieces(frame)]
        return _sent(requests, [envelope, *outside])

    def send(self, frames: list[Any], dest: int, tag: int) -> None:
        """Send the frames of a user's object, and wait."""
        envelope, outside = pack(frames, number := self.number())
        self.comm.Send(envelope, dest, tag)
        for frame in outside:
            for piece in pieces(frame):
                self.parts.Send(piece, dest, number)

    def envelope(self, comm: Any, source: int, tag: int, status: Any) -> bytes:
        """Receive an envelope; it is empty if the source is ``PROC_NULL``."""
        room = bytearray(ENVELOPE)
        if self.timeout is None:
            comm.Recv(room, source, tag, status)
        else:
            lost = f"nothing has come from {'any rank' if source == MPI.ANY_SOURCE else f'rank {source}'}"
            self.until(lambda: comm.Improbe(source, tag, status), lost).Recv(room, status)
        return bytes(room[: status.Get_count(MPI.BYTE)])

    def receiving(self, source: int, tag: int) -> Steps:
        """Begin to receive a user's object; returns it and its status."""
        room = bytearray(ENVELOPE)
        (status,) = yield [self.comm.Irecv(room, source, tag)]
        envelope = bytes(room[: status.Get_count(MPI.BYTE)])
        if not envelope:
            return None, status
        obj = yield from self._rest(envelope, status.Get_source())
        return obj, status

    def read(self, envelope: bytes, source: int) -> Any:
        """Receive the frames that do not fit into an envelope, and read the message."""
        return drive(self._rest(envelope, source), self.wait)

    def _rest(self, envelope: bytes, source: int) -> Steps:
        frames = yield from unpack(envelope, self._limits, _FromOne(self, source))
        return self.load(frames)

    def take(self, source: int) -> Any:
        """Receive the object that a collective call of another rank sends to this one."""
        return self.read(self.envelope(self.parts, source, _COLLECTIVE, MPI.Status()), source)

    def exchange(self, posted: list[Steps], sources: Sequence[int]) -> list[Any]:
        """Receive from ranks, and wait until what was posted is received."""
        try:
            received = [self.take(source) for source in sources]
            for each in posted:
                drive(each, self.wait)
        except BaseException:
            KEPT.extend(posted)
            raise
        return received

    # -- among all ---------------------------------------------------------------------------------

    def to_all(self, frames: list[Any], root: int) -> list[Any]:
        """Send frames to all; return frames for the sender's own copy of the object."""
        envelope, outside = pack(frames, 0)
        self.once("Bcast", laid_out(envelope), root)
        self._send_all(outside, root)
        return copied(frames)

    def from_all(self, root: int) -> list[Any]:
        """Receive the frames that a rank sends to all."""
        room = bytearray(EQUAL)
        self.once("Bcast", room, root)
        return self._frames_in(room, root)

    def all_to_all(self, frames: list[Any]) -> list[list[Any]]:
        """Send frames to all, and return the frames of every rank, including this one."""
        envelope, outside = pack(frames, 0)
        rooms, found = bytearray(self.size * EQUAL), []
        self.once("Allgather", laid_out(envelope), rooms)
        for rank in range(self.size):
            if rank == self.rank:
                self._send_all(outside, rank)
                found.append(copied(frames))
            else:
                found.append(self._frames_in(memoryview(rooms)[rank * EQUAL : (rank + 1) * EQUAL], rank))
        return found

    def _send_all(self, frames: list[Any], root: int) -> None:
        source = _FromAll(self, root)
        for frame in frames:
            source.fill(frame, 0)

    def _frames_in(self, room: bytearray | memoryview, root: int) -> list[Any]:
        frames: list[Any] = drive(unpack(envelope_in(room), self._limits, _FromAll(self, root)), self.wait)
        return frames

    def once(self, name: str, *arguments: Any) -> None:
        """Make a collective MPI call; use the non-blocking one if there is a time limit."""
        if self.timeout is None:
            getattr(self.comm, name)(*arguments)
        else:
            self.wait([getattr(self.comm, f"I{name.lower()}")(*arguments)])

    # -- waiting -----------------------------------------------------------------------------------

    def wait(self, requests: list[Any]) -> list[Any]:
        """Wait for requests, and return the status of each."""
        statuses = [MPI.Status() for _ in requests]
        if self.timeout is None:
            MPI.Request.Waitall(requests, statuses)
            return statuses
        self.until(lambda: MPI.Request.Testall(requests, statuses), LATE, requests)
        return statuses

    def until(self, look: Callable[[], Any], lost: str, requests: Iterable[Any] = ()) -> Any:
        """Look until there is something, and give it; raise `TransportTimeout` where that takes too long.

        Those of the requests that are not complete then are kept, with their memory.
        """
        try:
            found = poll(look, float("inf") if self.timeout is None else self.timeout)
        finally:
            _leave(requests)
        if not found:
            raise TransportTimeout(f"{lost} within {self.timeout} s")
        return found


KEPT: Final[list[Any]] = []
"""Objects on their way when a call for several failed: MPI may still read their memory."""


def _leave(requests: Iterable[Any]) -> None:
    """Keep requests that are not complete, and none that were kept and are complete now."""

    def leave() -> None:
        each_once = {id(request): request for request in (*_LEFT, *requests)}
        # not Test, which would take the status away from who waits again
        _LEFT[:] = [request for request in each_once.values() if not request.Get_status()]

    _LEAVING.run(leave)


def _sent(requests: list[Any], _kept: list[Any]) -> Steps:
    """Wait until an object is sent; until then MPI reads its memory."""
    yield requests
    return None, None


class _From:
    """A source of large frames: the rank that sends them."""

    def __init__(self, link: Link, rank: int) -> None:
        self._link, self._rank = link, rank


class _FromOne(_From):
    """Receive large frames from a rank."""

    def fill(self, memory: Any, tag: int) -> list[Any]:
        if not _COLLECTIVE < tag <= self._link.last:  # those of other messages, or of none
            raise DeserializationError(f"rank {self._rank} has announced frames under tag {tag}")
        return [self._link.parts.Irecv((piece, MPI.BYTE), self._rank, tag) for piece in pieces(memory)]

    def check(self, statuses: list[Any], nbytes: int) -> None:
        came = sum(status.Get_count(MPI.BYTE) for status in statuses)
        if came != nbytes:
            raise DeserializationError(
                f"{came:,} bytes came where rank {self._rank} had announced {nbytes:,}"
            )


class _FromAll(_From):
    """Receive, or send, large frames in a collective call."""

    def fill(self, memory: Any, tag: int) -> list[Any]:
        for piece in pieces(memory):
            self._link.once("Bcast", (piece, MPI.BYTE), self._rank)
        return []

    def check(self, statuses: list[Any], nbytes: int) -> None:
        """Do nothing: MPI itself raises if ranks do not agree."""
