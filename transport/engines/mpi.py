"""canning between the processes of an MPI program that uses `mpi4py`.

    from mpi4py import MPI
    from transport.engines.mpi import Comm

    with Comm(MPI.COMM_WORLD) as comm:
        weights = comm.bcast(weights)

`Comm` has lower-case methods of mpi4py's communicators, and sends the frames of any object from where
they lie; between ranks of one host large frames go through memory that both have mapped. Programs that are to
stay as they are call `install`, which makes mpi4py use canning instead of pickle: their objects are copied,
as they are without it, but more types go.

As with mpi4py alone, every rank can run code in every other, unless its `Comm` has ``trust="data"``.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self, Unpack

from canning import SerializationError, Serializer
from canning.options import WithoutTrust
from canning.reading.options import Trust

from ..checks import check_timeout
from . import one_pickle as inband
from .adapting import EngineError
from .mpi_link import KEPT, MPI, TRIED, Link, pkl5
from .mpi_parts import ENVELOPE, is_whole
from .mpi_requests import Request

__all__ = ["TRIED", "Comm", "Request", "install", "installed", "uninstall"]


class Comm:
    """Send any object between the ranks of a communicator, as mpi4py's lower-case methods do.

    All ranks make one together, since it duplicates the communicator; all free it together, at the end of a
    ``with`` block or by `Free`. Only a `Comm` of the same communicator can read its messages, not the
    communicator itself. Arrays arrive writable, and belong to the receiver.

    Args:
        comm: an mpi4py communicator, within one group or between two.
        timeout: seconds that any call waits for others; None waits without a limit.
        share: False sends everything through MPI, even between ranks of one host.
        trust: ``"code"`` (default): **other ranks can run any code here**, as with mpi4py. ``"data"`` reads
            plain data only, and no shared memory.
        options: those of `canning.Serializer`. Functions go by name, ``__main__``'s too; lambdas go by
            value, with the globals that they use.

    Raises:
        TypeError: `comm` is no communicator, or there is no such option.
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
        if not isinstance(comm, MPI.Comm):
            raise TypeError(
                f"Comm takes a communicator of mpi4py, such as MPI.COMM_WORLD, not {type(comm).__name__}"
            )
        if timeout is not None:
            check_timeout(timeout)
        serializer = Serializer(trust=trust, **{**_OF_COMM, **options})
        self._link = link = Link(comm, serializer, timeout, share and trust == "code")
        self._comm = link.comm
        self.rank = link.rank
        self.size = link.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.Free()

    def Free(self) -> None:  # noqa: N802 - mpi4py's name
        """Free the copies of the communicator; all ranks do so together, after all messages are received."""
        self._link.free()

    # -- between two ranks -------------------------------------------------------------------------

    def send(self, obj: Any, dest: int, tag: int = 0) -> None:
        """Send an object to a rank.

        Raises:
            SerializationError: it cannot be sent; the text has the path to the culprit.
            TransportTimeout: the object was not received in time; it may still arrive.
        """
        link = self._link
        if link.timeout is not None:
            self.isend(obj, dest, tag).wait()
        elif dest != MPI.PROC_NULL:
            frames = link.frames(obj, link.near.get(dest, link.writer))
            if len(frames) == 1 and len(frames[0]) <= ENVELOPE:
                self._comm.Send(frames[0], dest, tag)
            else:
                link.send(frames, dest, tag)

    def isend(self, obj: Any, dest: int, tag: int = 0) -> Request:
        """Begin to send an object, which must not change before the request is complete."""
        return Request(self._link, self._link.post(obj, dest, tag, self._comm))

    def recv(
        self,
        buf: object = None,
        source: int = MPI.ANY_SOURCE,
        tag: int = MPI.ANY_TAG,
        status: Any = None,
    ) -> Any:
        """Receive an object; `buf` exists for compatibility with mpi4py, and is not used.

        `status` gets the source, the tag, and the length of the envelope.

        Raises:
            DeserializationError: the message cannot be read.
            TransportTimeout: no message came in time. A message that has arrived in part is lost then.
        """
        status = MPI.Status() if status is None else status
        envelope = self._link.envelope(self._comm, source, tag, status)
        if is_whole(envelope):
            return self._link.load([envelope])
        return self._link.read(envelope, status.Get_source()) if envelope else None

    def irecv(self, buf: object = None, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG) -> Request:
        """Begin to receive an object, which the request returns; otherwise as `recv`."""
        return Request(self._link, self._link.receiving(source, tag))

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
        try:
            received = self.recv(None, source, recvtag, status)
            request.wait()
        except BaseException:
            KEPT.append(request)
            raise
        return received

    def probe(self, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG, status: Any = None) -> bool:
        """Wait until there is an object to receive."""
        return bool(self._link.until(lambda: self.iprobe(source, tag, status), "nothing has come"))

    def iprobe(self, source: int = MPI.ANY_SOURCE, tag: int = MPI.ANY_TAG, status: Any = None) -> bool:
        """Tell whether there is an object to receive."""
        return bool(self._comm.Iprobe(source, tag, status))

    # -- among all ---------------------------------------------------------------------------------

    def barrier(self) -> None:
        """Wait until all ranks have called this."""
        self._link.once("Barrier")

    def bcast(self, obj: Any, root: int = 0) -> Any:
        """Send an object from one rank to all, and return it; the sender gets a copy too."""
        link = self._in_one_group()
        if self.rank != root:
            return link.load(link.from_all(root))
        return link.load(link.to_all(link.frames(obj, link.all), root))

    def scatter(self, sendobj: Sequence[Any] | None, root: int = 0) -> Any:
        """Send each rank the element of a sequence at the rank's index, and return that of this rank.

        Raises:
            ValueError: there are more or fewer objects than ranks; raised on the sender only.
        """
        link = self._in_one_group()
        return link.exchange(self._post_each(sendobj) if self.rank == root else [], [root])[0]

    def gather(self, sendobj: Any, root: int = 0) -> list[Any] | None:
        """Send one object from each rank to the root, which gets a list; the others get None."""
        link = self._in_one_group()
        received = link.exchange([link.post(sendobj, root)], range(self.size) if self.rank == root else ())
        return received if self.rank == root else None

    def allgather(self, sendobj: Any) -> list[Any]:
        """Send one object from each rank to all; all get a list."""
        link = self._in_one_group()
        return list(map(link.load, link.all_to_all(link.frames(sendobj, link.all))))

    def alltoall(self, sendobj: Sequence[Any]) -> list[Any]:
        """Send each rank the element of a sequence at the rank's index; all get a list.

        Raises:
            ValueError: there are more or fewer objects than ranks; the other ranks keep waiting.
        """
        return self._in_one_group().exchange(self._post_each(sendobj), range(self.size))

    def reduce(self, sendobj: Any, op: Callable[[Any, Any], Any] = MPI.SUM, root: int = 0) -> Any:
        """Combine one object from each rank, in rank order; the root gets the result, the others None.

        `op` takes two objects, and is associative: ranks combine pairs at the same time. It may change its
        first object, which is a copy of `sendobj` or what it gave before.
        """
        link, step = self._in_one_group(), 1
        result = sendobj if self.rank % 2 else link.copy(sendobj)  # odd ranks only send theirs
        while step < self.size and not self.rank & step:
            if self.rank + step < self.size:
                result = op(result, link.take(self.rank + step))
            step *= 2
        if self.rank:
            link.exchange([link.post(result, self.rank - step)], ())
        elif root:
            link.exchange([link.post(result, root)], ())
        if self.rank != root:
            return None
        return link.take(0) if root else result

    def allreduce(self, sendobj: Any, op: Callable[[Any, Any], Any] = MPI.SUM) -> Any:
        """Combine one object from each rank, as `reduce` does; all get the result."""
        return self.bcast(self.reduce(sendobj, op))

    def _in_one_group(self) -> Link:
        if self._comm.Is_inter():
            raise EngineError("send and receive between two groups; collective calls need one group: Merge()")
        return self._link

    def _post_each(self, objects: Sequence[Any] | None) -> list[Any]:
        listed = list(objects or ())
        if len(listed) != self.size:
            raise ValueError(f"{len(listed)} objects for {self.size} ranks")
        return [self._link.post(obj, rank) for rank, obj in enumerate(listed)]


# -- programs that stay as they are --------------------------------------------------------------------


def install() -> None:
    """Let mpi4py's lower-case methods use canning instead of pickle, in this process, until `uninstall`.

    Other ranks can read these messages without calling `install`, as long as canning is installed there. The
    methods of ``mpi4py.util.pkl5`` use canning too. Calling it again is harmless.
    """
    for each in _PICKLES:
        each.__init__(_dumps, pickle.loads, None, each.THRESHOLD)


def uninstall() -> None:
    """Restore the pickle that mpi4py had before `install`; harmless if it has it already."""
    for each in _PICKLES:
        each.__init__(threshold=each.THRESHOLD)


@contextmanager
def installed() -> Iterator[None]:
    """Let mpi4py use canning instead of pickle until the block ends: `install`, and then `uninstall`."""
    install()
    try:
        yield
    finally:
        uninstall()


def _dumps(obj: Any, protocol: int | None = None, *, buffer_callback: Any = None) -> bytes:
    """Be ``pickle.dumps``, with its error for what cannot be pickled."""
    try:
        frames = _BY_NAME.serialize_object(obj)
    except SerializationError as error:
        raise pickle.PicklingError(str(error)) from error
    file = io.BytesIO()
    inband.write(file, frames, writable=True, buffer_callback=buffer_callback)
    return file.getvalue()


_USUAL: Final[dict[str, Any]] = {"pickler": "named", "writable": True}
"""Ranks run the same script, so objects that have a name there go by name."""
_OF_COMM: Final[dict[str, Any]] = {**_USUAL, "buffer_threshold": ENVELOPE}
"""Memory that fits into an envelope is cheaper in the header: 5 and 6 µs to send and receive an array of 2 kB
in a dict, instead of 18 and 27 as a frame."""
_BY_NAME: Final = Serializer(**_USUAL)
_PICKLES: Final[tuple[Any, ...]] = (MPI.pickle, pkl5.pickle)
