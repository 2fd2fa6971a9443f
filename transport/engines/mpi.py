"""canning between the processes of an MPI program, which `mpi4py` runs.

    from mpi4py import MPI
    from transport.engines.mpi import Comm

    with Comm(MPI.COMM_WORLD) as comm:
        weights = comm.bcast(weights)

`Comm` has the lower-case methods of mpi4py's communicators, and sends the frames of any object from where
they lie; between ranks of one host large frames go through memory that both have mapped. Programs that are to
stay as they are call `install`, which makes mpi4py use canning instead of pickle: their objects are copied,
as they are without it, but more types go.

As with mpi4py alone, every rank can run code in every other, unless its `Comm` has ``trust="data"``.
"""

from __future__ import annotations

import io
import itertools
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, Unpack

import numpy as np

from canning import Codecs, DeserializationError, SerializationError, Serializer
from canning.memory.buffers import aligned_copy
from canning.options import WithoutTrust
from canning.reading.options import Trust
from canning.writing.draft import Draft
from canning.writing.messages import write

from ..checks import check_timeout
from ..errors import TransportTimeout
from ..outgoing import for_socket
from ..shared import ForReaders, SharedArena, default_memory
from ..shared.layout import SIZE
from . import one_pickle as inband
from .adapting import EngineError, check_layout
from .arenas import new_arena
from .mpi_parts import ENVELOPE, Steps, drive, is_whole, pack, pieces, poll, unpack

TRIED: Final = "4.1.2"
check_layout(
    "mpi4py",
    TRIED,
    {
        "mpi4py.MPI:Pickle": ("dumps", "loads", "PROTOCOL", "THRESHOLD"),
        "mpi4py.MPI:Comm": ("Isend", "Irecv", "Improbe", "Ibcast", "Iallgather", "Split_type"),
        "mpi4py.MPI:Request": ("Testall", "Waitall"),
    },
)

from mpi4py import MPI  # noqa: E402 - only where it is as expected
from mpi4py.util import pkl5  # noqa: E402

_LARGE: Final = 256 * 1024
"""Bytes from which memory is shared between ranks of one host."""
_LEASE: Final = 3600.0
"""Seconds for which a message may wait to be read; then its memory is used for others."""
_EXIT: Final = 30.0
"""Seconds for which a rank that ends waits for the readers of what it sent."""
_COLLECTIVE: Final = 0
"""The tag of what collective calls send from rank to rank; large frames have others."""
_LENGTH: Final = 2
"""Bytes of the length before an envelope in collective calls, in which all send as many."""
_LEFT: Final[list[object]] = []
"""Memory that MPI may still read or write, since a time limit was over before it was done."""


class Comm:
    """Send any object between the ranks of a communicator, as mpi4py's lower-case methods do.

    All ranks make one together, since it has a copy of the communicator to itself; all free it together, at
    the end of a ``with`` block or by `Free`. What it sends is read by a `Comm` of the same communicator, not
    by the communicator itself. Arrays arrive writable, and are the receiver's own.

    Args:
        comm: an mpi4py communicator, within one group or between two.
        timeout: seconds that any call waits for others; None waits without a limit.
        share: False sends through MPI also what ranks of one host could share.
        trust: ``"code"`` (default): **other ranks can run any code here**, as with mpi4py. ``"data"`` reads
            plain data only, and no memory of others.
        options: those of `canning.Serializer`. Functions go by name, and lambdas by value; these run in the
            ``__main__`` of the other rank.

    Raises:
        TypeError: there is no such option.

    >>> with Comm(MPI.COMM_SELF) as comm:
    ...     request = comm.isend({"x": [1, 2]}, dest=0, tag=7)
    ...     comm.recv(source=0, tag=7)
    {'x': [1, 2]}
    """

    def __init__(
        self,
        comm: Any,
        *,
        timeout: float | None = None,
        share: bool = True,
        trust: Trust = "code",
        **options: Unpack[WithoutTrust],
    ) -> None:
        if timeout is not None:
            check_timeout(timeout)
        self._writer = self._reader = Serializer(trust=trust, **{**_USUAL, **options})
        self._most = sys.maxsize if trust == "code" else self._writer.limits.frames
        self._timeout = timeout
        self._comm = comm.Dup()
        self._parts = comm.Dup()
        self._numbers = itertools.count()
        self._last = self._comm.Get_attr(MPI.TAG_UB) or 32767
        self._arena: SharedArena | None = None
        self._near: frozenset[int] = frozenset()
        self._one: ForReaders | None = None
        self._all: ForReaders | None = None
        self._held: list[Any] = []
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        if not self._comm.Is_inter():
            self._meet(share and trust == "code")

    def _meet(self, share: bool) -> None:
        """Find out which ranks of this host can open this rank's arena: each tries, and tells."""
        node = self._comm.Split_type(MPI.COMM_TYPE_SHARED)
        ranks, here = np.empty(node.size, "i8"), np.zeros(SIZE, "u1")
        node.Allgather(np.array([self.rank], "i8"), ranks)
        if share and node.size > 1:
            self._arena = new_arena(lease=_LEASE, threshold=_LARGE, linger=_EXIT)
        if self._arena is not None:
            self._held.append(self._arena.array([1]))
            descriptor = self._arena.to_held().encode(memoryview(self._held[0]))
            here[:] = np.frombuffer(descriptor or bytes(SIZE), "u1")
            self._reader = self._writer.evolve(codecs=Codecs([default_memory], beside=self._writer.codecs))
        there, opened = np.empty((node.size, SIZE), "u1"), np.empty((node.size, node.size), "?")
        node.Allgather(here, there)
        node.Allgather(np.array([share and self._opens(bytes(row)) for row in there]), opened)
        self._near = frozenset(ranks[opened[:, node.rank]].tolist())
        node.Free()
        if self._arena is not None:
            self._one = self._arena.to(1)
            self._all = self._arena.to(self.size) if len(self._near) == self.size else None

    def _opens(self, descriptor: bytes) -> bool:
        """Tell whether memory can be opened, by trying, and keep it open."""
        try:
            self._held.append(default_memory.decode(memoryview(descriptor), 8))
        except DeserializationError:  # there is none, or it cannot be reached from here
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.Free()

    def Free(self) -> None:  # noqa: N802 - mpi4py's name
        """Free the copies of the communicator; all ranks do so together, when all is sent and received."""
        if self._arena is not None:
            self._arena.close()
        self._held.clear()
        self._comm.Free()
        self._parts.Free()

    # -- between two ranks ------------------------------------------------------------------------------

    def send(self, obj: Any, dest: int, tag: int = 0) -> None:
        """Send an object to a rank.

        Raises:
            SerializationError: it cannot be sent; the text has the path to the culprit.
            TransportTimeout: nobody has received it in time; it may still arrive.
        """
        if self._timeout is not None:
            self.isend(obj, dest, tag).wait()
        elif dest != MPI.PROC_NULL:
            frames = self._frames(obj, self._to(dest))
            envelope, outside = pack(frames, number := self._number())
            self._comm.Send((envelope, MPI.BYTE), dest, tag)
            for frame in outside:
                for piece in pieces(frame):
                    self._parts.Send((piece, MPI.BYTE), dest, number)

    def isend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        """Begin to send an object, which must not change before the request is complete."""
        return Request(self, self._post(obj, dest, tag, self._comm))

    def recv(
        self, buf: object = None, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG, status: Any = None
    ) -> Any:
        """Receive an object; `buf` is there for mpi4py's sake, and not used.

        `status` gets the source, the tag, and the length of the envelope.

        Raises:
            DeserializationError: what came cannot be read.
            TransportTimeout: nothing came in time. A message of which a part has come is lost then.
        """
        status = MPI.Status() if status is None else status
        envelope = self._envelope(self._comm, source, tag, status)
        if is_whole(envelope):
            return self._load([envelope])
        return drive(self._rest(envelope, status.Get_source()), self._wait) if envelope else None

    def irecv(self, buf: object = None, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG) -> Request:
        """Begin to receive an object, which the request gives; otherwise as `recv`."""
        room = bytearray(ENVELOPE)
        request = self._comm.Irecv((room, MPI.BYTE), source, tag)
        return Request(self, self._receiving(request, room))

    def sendrecv(
        self,
        sendobj: Any,
        dest: int,
        sendtag: int = 0,
        recvbuf: object = None,
        source: int = MPI.ANY_SOURCE,
        recvtag: int = MPI.ANY_TAG,
        status: Any = None,
    ) -> Any:
        """Send an object and receive one."""
        request = self.isend(sendobj, dest, sendtag)
        received = self.recv(None, source, recvtag, status)
        request.wait()
        return received

    def probe(self, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG, status: Any = None) -> bool:
        """Wait until there is an object to receive."""
        lost = f"nothing has come from {_name(source)}"
        return bool(self._until(lambda: self.iprobe(source, tag, status), lost))

    def iprobe(self, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG, status: Any = None) -> bool:
        """Tell whether there is an object to receive."""
        return bool(self._comm.Iprobe(source, tag, status))

    # -- among all ---------------------------------------------------------------------------------

    def barrier(self) -> None:
        """Wait until all ranks are here."""
        self._wait([self._comm.Ibarrier()])

    def bcast(self, obj: Any, root: int = 0) -> Any:
        """Send an object from one rank to all, and give it; the sender, too, gets one of its own."""
        self._check_group()
        room = bytearray(_LENGTH + ENVELOPE)
        source = _FromAll(self, root)
        if self.rank != root:
            source.once("Bcast", room, root)
            return self._load(self._from_all(source, room))
        frames = self._frames(obj, self._all)
        envelope, outside = pack(frames, 0)
        _put(envelope, room)
        source.once("Bcast", room, root)
        source.send(outside)
        return self._load(_own(frames, outside))

    def scatter(self, sendobj: Sequence[Any] | None, root: int = 0) -> Any:
        """Send each rank the object of a sequence that stands at its number, and give that of this rank.

        Raises:
            ValueError: there are more or fewer objects than ranks; on the sender alone.
        """
        self._check_group()
        objects = self._one_each(sendobj) if self.rank == root else []
        return self._exchange([self._post(obj, to) for to, obj in enumerate(objects)], [root])[0]

    def gather(self, sendobj: Any, root: int = 0) -> list[Any] | None:
        """Send an object of each rank to one, which gets a list; the others get None."""
        self._check_group()
        received = self._exchange([self._post(sendobj, root)], range(self.size) if self.rank == root else ())
        return received if self.rank == root else None

    def allgather(self, sendobj: Any) -> list[Any]:
        """Send an object of each rank to all; all get a list."""
        self._check_group()
        frames = self._frames(sendobj, self._all)
        envelope, outside = pack(frames, 0)
        mine, rooms = bytearray(_LENGTH + ENVELOPE), bytearray(self.size * (_LENGTH + ENVELOPE))
        _put(envelope, mine)
        _FromAll(self, 0).once("Allgather", mine, rooms)
        found = []
        for rank in range(self.size):
            source = _FromAll(self, rank)
            if rank == self.rank:
                source.send(outside)
                found.append(_own(frames, outside))
            else:
                at = rank * len(mine)
                found.append(self._from_all(source, memoryview(rooms)[at : at + len(mine)]))
        return list(map(self._load, found))

    def alltoall(self, sendobj: Sequence[Any]) -> list[Any]:
        """Send each rank the object of a sequence that stands at its number; all get a list.

        Raises:
            ValueError: there are more or fewer objects than ranks; the others wait then.
        """
        self._check_group()
        posted = [self._post(obj, to) for to, obj in enumerate(self._one_each(sendobj))]
        return self._exchange(posted, range(self.size))

    def reduce(self, sendobj: Any, op: Callable[[Any, Any], Any] = MPI.SUM, root: int = 0) -> Any:
        """Combine an object of each rank, in the order of ranks; one rank gets the result, the others None.

        `op` takes two objects, and is associative: ranks combine pairs at the same time.
        """
        self._check_group()
        result, step = sendobj, 1
        while step < self.size and not self.rank & step:
            if self.rank + step < self.size:
                result = op(result, self._take(self.rank + step))
            step *= 2
        if self.rank:
            self._exchange([self._post(result, self.rank - step)], ())
        if root and not self.rank:
            self._exchange([self._post(result, root)], ())
        if self.rank != root:
            return None
        return self._take(0) if root else result

    def allreduce(self, sendobj: Any, op: Callable[[Any, Any], Any] = MPI.SUM) -> Any:
        """Combine an object of each rank, as `reduce` does; all get the result."""
        return self.bcast(self.reduce(sendobj, op))

    # -- how ---------------------------------------------------------------------------------------

    def _check_group(self) -> None:
        if self._comm.Is_inter():
            raise EngineError("send and receive between two groups; collective calls need one group: Merge()")

    def _one_each(self, objects: Sequence[Any] | None) -> list[Any]:
        listed = list(objects or ())
        if len(listed) != self.size:
            raise ValueError(f"{len(listed)} objects for {self.size} ranks")
        return listed

    def _to(self, dest: int) -> ForReaders | None:
        return self._one if dest in self._near else None

    def _number(self) -> int:
        """Give the tag of the large frames of a message, which no other on its way has."""
        return int(next(self._numbers) % self._last) + 1

    def _frames(self, obj: Any, to: ForReaders | None) -> list[Any]:
        if to is None:
            return self._writer.finish([for_socket(write(self._writer, obj), None)])
        writer = to.serializer(self._writer)
        message = write(writer, obj)
        if type(message) is not Draft:
            return writer.finish([message])
        with to.all_or_nothing():
            return writer.finish([for_socket(message, None)])

    def _load(self, frames: list[Any]) -> Any:
        return self._reader.deserialize_object(frames, vars(sys.modules["__main__"]))[0]

    def _post(self, obj: Any, dest: int, tag: int = _COLLECTIVE, comm: Any = None) -> Steps:
        """Begin to send an object; of what collective calls send, the others know that it comes."""
        if dest == MPI.PROC_NULL:
            return _sent([], [])
        frames = self._frames(obj, self._to(dest))
        envelope, outside = pack(frames, number := self._number())
        requests = [(comm or self._parts).Isend((envelope, MPI.BYTE), dest, tag)]
        for frame in outside:
            requests += [self._parts.Isend((piece, MPI.BYTE), dest, number) for piece in pieces(frame)]
        return _sent(requests, [envelope, *outside])

    def _envelope(self, comm: Any, source: int, tag: int, status: Any) -> bytes:
        if self._timeout is None:
            room = bytearray(ENVELOPE)
            comm.Recv((room, MPI.BYTE), source, tag, status)
        else:
            lost = f"nothing has come from {_name(source)}"
            found = self._until(lambda: comm.Improbe(source, tag, status), lost)
            room = bytearray(ENVELOPE)
            found.Recv((room, MPI.BYTE), status)
        return bytes(memoryview(room)[: status.Get_count(MPI.BYTE)])

    def _take(self, source: int) -> Any:
        """Receive what a collective call of another rank sends this one."""
        envelope = self._envelope(self._parts, source, _COLLECTIVE, MPI.Status())
        return drive(self._rest(envelope, source), self._wait)

    def _exchange(self, posted: list[Steps], sources: Sequence[int]) -> list[Any]:
        """Receive from ranks, and wait until what was sent is received."""
        received = [self._take(source) for source in sources]
        for each in posted:
            drive(each, self._wait)
        return received

    def _receiving(self, request: Any, room: bytearray) -> Steps:
        (status,) = yield [request]
        envelope = bytes(room[: status.Get_count(MPI.BYTE)])
        if not envelope:
            return None, status
        obj = yield from self._rest(envelope, status.Get_source())
        return obj, status

    def _rest(self, envelope: bytes, source: int) -> Steps:
        """Receive what has no room in an envelope, and read the message."""
        frames = yield from unpack(envelope, self._most, _FromOne(self._parts, source))
        return self._load(frames)

    def _from_all(self, source: _FromAll, room: bytearray | memoryview) -> list[Any]:
        length = int.from_bytes(room[:_LENGTH], "little")
        envelope = bytes(room[_LENGTH : _LENGTH + length])
        frames: list[Any] = drive(unpack(envelope, self._most, source), self._wait)
        return frames

    def _wait(self, requests: list[Any]) -> list[Any]:
        statuses = [MPI.Status() for _ in requests]
        if self._timeout is None:
            MPI.Request.Waitall(requests, statuses)
            return statuses
        try:
            self._until(lambda: MPI.Request.Testall(requests, statuses), "other ranks have not taken part")
        except TransportTimeout:
            _LEFT.extend(requests)
            raise
        return statuses

    def _until(self, look: Callable[[], Any], lost: str) -> Any:
        found = poll(look, float("inf") if self._timeout is None else self._timeout)
        if not found:
            raise TransportTimeout(f"{lost} within {self._timeout} s")
        return found


def _name(rank: int) -> str:
    return "any rank" if rank == MPI.ANY_SOURCE else f"rank {rank}"


def _put(envelope: Any, room: bytearray) -> None:
    """Lay an envelope out for a collective call, in which all send as many bytes."""
    room[:_LENGTH] = len(envelope).to_bytes(_LENGTH, "little")
    room[_LENGTH : _LENGTH + len(envelope)] = envelope


def _own(frames: list[Any], outside: list[Any]) -> list[Any]:
    """Copy those frames that the object's own memory is."""
    return [aligned_copy(memoryview(frame)) if frame in outside else frame for frame in frames]


def _sent(requests: list[Any], _kept: list[Any]) -> Steps:
    """Wait until an object is sent; until then MPI looks at its memory."""
    yield requests
    return None, None


class _FromOne:
    """Receive large frames from a rank."""

    def __init__(self, comm: Any, rank: int) -> None:
        self._comm = comm
        self._rank = rank

    def fill(self, memory: Any, tag: int) -> list[Any]:
        return [self._comm.Irecv((piece, MPI.BYTE), self._rank, tag) for piece in pieces(memory)]

    def check(self, statuses: list[Any], nbytes: int) -> None:
        found = sum(status.Get_count(MPI.BYTE) for status in statuses)
        if found != nbytes:
            raise DeserializationError(
                f"{found:,} bytes came where rank {self._rank} had announced {nbytes:,}"
            )


class _FromAll:
    """Receive, or send, large frames in a collective call."""

    def __init__(self, comm: Comm, root: int) -> None:
        self._comm = comm
        self._root = root

    def once(self, name: str, *arguments: Any) -> None:
        """Make a call of MPI's, where there is a time limit without blocking."""
        if self._comm._timeout is None:
            getattr(self._comm._comm, name)(*arguments)
        else:
            self._comm._wait([getattr(self._comm._comm, f"I{name.lower()}")(*arguments)])

    def send(self, frames: list[Any]) -> None:
        for frame in frames:
            self.fill(frame, 0)

    def fill(self, memory: Any, tag: int) -> list[Any]:
        for piece in pieces(memory):
            self.once("Bcast", (piece, MPI.BYTE), self._root)
        return []

    def check(self, statuses: list[Any], nbytes: int) -> None:
        """MPI itself raises where ranks do not agree."""


class Request:
    """An object on its way, as `Comm.isend` and `Comm.irecv` give it; keep it until it is complete."""

    def __init__(self, comm: Comm, steps: Steps) -> None:
        self._comm = comm
        self._steps = steps
        self._requests: list[Any] = next(steps)
        self._done: tuple[Any, Any] | None = None

    def wait(self, status: Any = None) -> Any:
        """Wait until it is complete; give the object that was received, None for one that was sent.

        Raises:
            TransportTimeout: that takes too long; you can wait again.
        """
        while self._done is None:
            self._go_on(self._comm._wait(self._requests))
        return self._give(status)

    def test(self, status: Any = None) -> tuple[bool, Any]:
        """Tell whether it is complete, and give what `wait` does."""
        return (True, self._give(status)) if self._is_complete() else (False, None)

    def _is_complete(self) -> bool:
        while self._done is None:
            statuses = [MPI.Status() for _ in self._requests]
            if not MPI.Request.Testall(self._requests, statuses):
                return False
            self._go_on(statuses)
        return True

    def _go_on(self, statuses: list[Any]) -> None:
        try:
            self._requests = self._steps.send(statuses)
        except StopIteration as end:
            self._done = end.value

    def _give(self, status: Any) -> Any:
        obj, (found, self._done) = None, (self._done, (None, None))
        if found is not None:
            obj, came = found
            if status is not None and came is not None:
                status.Set_source(came.Get_source())
                status.Set_tag(came.Get_tag())
                status.Set_elements(MPI.BYTE, came.Get_count(MPI.BYTE))
        return obj

    @staticmethod
    def waitall(requests: Sequence[Request], statuses: Any = None) -> list[Any]:
        """Wait for requests, and give what each gives."""
        return [each.wait() for each in requests]

    @staticmethod
    def testall(requests: Sequence[Request], statuses: Any = None) -> tuple[bool, list[Any] | None]:
        """Tell whether all requests are complete, and give what each gives."""
        complete = [each._is_complete() for each in requests]  # all of them make progress
        return (True, [each.wait() for each in requests]) if all(complete) else (False, None)


# -- programs that stay as they are --------------------------------------------------------------------


def install() -> None:
    """Let mpi4py's lower-case methods use canning instead of pickle, in this process, until `uninstall`.

    Other ranks read what is sent even if they have not done so, as long as canning is installed there. Those
    of ``mpi4py.util.pkl5`` use it too. Calling it again is harmless.
    """
    for each in _PICKLES:
        each.__init__(_dumps, pickle.loads, None, each.THRESHOLD)


def uninstall() -> None:
    """Give mpi4py its own pickle back, whatever was there before `install`; harmless if it has it."""
    for each in _PICKLES:
        each.__init__(threshold=each.THRESHOLD)


@contextmanager
def installed() -> Iterator[None]:
    """Let mpi4py use canning instead of pickle until the block ends: `install`, and then `uninstall`.

    >>> with installed():
    ...     twice = MPI.COMM_SELF.bcast(lambda x: 2 * x)
    >>> twice(4)
    8
    """
    install()
    try:
        yield
    finally:
        uninstall()


def _dumps(obj: Any, protocol: int | None = None, *, buffer_callback: Any = None) -> bytes:
    """Be ``pickle.dumps``; an object that only raises when it is pickled raises as ever."""
    try:
        frames = _BY_NAME.serialize_object(obj)
    except SerializationError as error:
        raise pickle.PicklingError(str(error)) from error
    file = io.BytesIO()
    inband.write(file, frames, writable=True, in_main=True, buffer_callback=buffer_callback)
    return file.getvalue()


_USUAL: Final[dict[str, Any]] = {"pickler": "named", "interactive": True, "writable": True}
"""Ranks run the same script; what has no name in it runs in the reader's."""
_BY_NAME: Final = Serializer(**_USUAL)
_PICKLES: Final = (MPI.pickle, pkl5.pickle)
