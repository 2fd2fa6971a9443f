"""Receive objects: the options once, in a `Receiver`, and then one message after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Never, TypedDict, TypeVar, Unpack, overload

import numpy.typing as npt
import zmq

from canning import Serializer
from canning.arguments import check_bools, check_callable
from canning.errors import shorten, shortened
from canning.options import unknown_option
from canning.progress import OnProgress
from canning.wire.keys import KeyOption

from .checks import Trust, check_flags, check_timeout
from .incoming import Received, unpack
from .joining import check_into
from .kinds import KNOWN, Kind, check_receives, learn, out_of_turn, streams_of, with_hint
from .multipart import SocketLike, pull
from .pool import Pool
from .progress import unpack_watched
from .reading import Reading, reading
from .waiting import Deadline, limit_of, recv_timeout, retry, retry_async

if TYPE_CHECKING:
    import zmq.asyncio

    from .shared import SharedMemory
    from .streams import Streams

Got = TypeVar("Got")
_ROUTER: Final = int(zmq.ROUTER)
_ENDED: Final = frozenset(map(int, (zmq.ETERM, zmq.ENOTSOCK)))
"""The errors of a socket that was closed, or whose context was."""


class ReceiverOptions(TypedDict, total=False):
    """The options of `Receiver` that do not change the type of its result."""

    trust: Trust | None
    allow: Iterable[type | str] | type | str
    g: dict[str, Any] | None
    writable: bool
    alias: bool
    shared_memory: bool | SharedMemory
    serializer: Serializer | None
    key: KeyOption
    pool: Pool | None
    timeout: float | None


class StreamOptions(ReceiverOptions, total=False):
    """The options of `Receiver`, beyond those of `recv`."""

    stream: bool


class Ending:
    """Turn the error of a closed socket or context into the exception that ends a loop."""

    def __init__(self, stop: type[StopIteration | StopAsyncIteration]) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, zmq.ZMQError) and error.errno in _ENDED:
            raise self._stop from None


ENDING: Final = Ending(StopIteration)
ENDING_LATER: Final = Ending(StopAsyncIteration)


def _check(socket: Any, kind: Kind, how: Reading, timeout: float | None, flags: int) -> None:
    """Check the options before anything is received from the socket."""
    if kind.no_recv or kind.code == _ROUTER:
        check_receives(kind, socket, how.prefix)
    if timeout is not None:
        check_timeout(timeout)
    if flags:
        check_flags(flags)


def _failed(socket: Any, kind: Kind, timeout: float | None, flags: int, error: zmq.ZMQError) -> Exception:
    if isinstance(error, zmq.Again):
        return error if timeout is None or flags else recv_timeout(socket, timeout)
    if error.errno == zmq.EFSM:
        return out_of_turn(kind, socket, "recv")
    return with_hint(error, socket)


def take_now(
    socket: SocketLike, kind: Kind, how: Reading, timeout: float | None, flags: int
) -> list[Received]:
    """Receive the frames of one message from a blocking socket."""
    _check(socket, kind, how, timeout, flags)
    try:
        if timeout is None or flags:
            return pull(socket, flags, how.most)
        deadline = Deadline(timeout)
        return retry(socket, zmq.POLLIN, lambda: pull(socket, zmq.NOBLOCK, how.most), deadline)
    except zmq.ZMQError as error:
        other = _failed(socket, kind, timeout, flags, error)
        if other is error:
            raise
        raise other from None


async def take_later(
    socket: zmq.asyncio.Socket, kind: Kind, how: Reading, timeout: float | None, flags: int
) -> list[Received]:
    """Receive the frames of one message from an asyncio socket."""
    _check(socket, kind, how, timeout, flags)
    deadline = Deadline(limit_of(socket, timeout, flags, zmq.RCVTIMEO))
    try:
        return await retry_async(socket, zmq.POLLIN, lambda view: pull(view, zmq.NOBLOCK, how.most), deadline)
    except zmq.ZMQError as error:
        other = _failed(socket, kind, timeout, flags, error)
        if other is error:
            raise
        raise other from None


class Receiver(Generic[Got]):
    """Receive objects from one socket, with options that are checked and prepared once.

    On a ``zmq.asyncio.Socket`` its `recv` is awaited, and ``async for obj in receiver`` yields every object
    that arrives. On any other socket it blocks, and ``for obj in receiver`` does the same. The loop ends when
    the socket or its context is closed. Errors of `recv` leave the loop; you can start it again.

    Args:
        socket: any ``zmq.Socket`` or ``zmq.asyncio.Socket``, or an end of `transport.testing.fake_pair`.
        trust, allow, prefix, many, g, writable, alias, shared_memory, serializer, key, pool: as for
            `transport.recv`.
        timeout: seconds that `recv` waits for a message, unless you pass it another timeout; None waits as
            the socket is set (``RCVTIMEO``), 0 tries once.
        stream: take large messages in parts as well, from a `Sender` with ``stream=True``; other messages
            arrive as always. What comes here while that sender waits is kept for this receiver.

    Raises:
        TypeError: `socket` is not a socket.
        TransportError: a socket of this type cannot receive, or answer with `stream`, or `prefix` is missing.
        ValueError: an option has a value that is not valid.

    >>> from transport import send
    >>> from transport.testing import fake_pair
    >>> here, there = fake_pair()
    >>> receiver = Receiver(there, timeout=1)
    >>> for text in ("one", "two"):
    ...     tracker = send(here, text)
    >>> for obj in receiver:
    ...     print(obj)
    ...     if obj == "two":
    ...         break
    one
    two
    """

    @overload
    def __init__(
        self: Receiver[Awaitable[Any]],
        socket: zmq.asyncio.Socket,
        *,
        prefix: int = ...,
        many: bool = ...,
        **options: Unpack[StreamOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: Receiver[Any],
        socket: SocketLike,
        *,
        prefix: int = ...,
        many: bool = ...,
        **options: Unpack[StreamOptions],
    ) -> None: ...

    @shortened
    def __init__(
        self,
        socket: Any,
        *given: Never,
        trust: Trust | None = None,
        allow: Iterable[type | str] | type | str = (),
        prefix: int = 0,
        many: bool = False,
        g: dict[str, Any] | None = None,
        writable: bool = False,
        alias: bool = False,
        shared_memory: bool | SharedMemory = False,
        serializer: Serializer | None = None,
        key: KeyOption = None,
        pool: Pool | None = None,
        timeout: float | None = None,
        stream: bool = False,
        **unknown: Never,
    ) -> None:
        if unknown or given:
            raise unknown_option(type(self), unknown, given=given)
        kind = KNOWN.get(id(socket)) or learn(socket, "Receiver")
        self._how = reading(
            trust=trust,
            allow=allow,
            prefix=prefix,
            many=many,
            g=g,
            writable=writable,
            alias=alias,
            serializer=serializer,
            key=key,
            pool=pool,
            shared_memory=shared_memory,
        )
        check_receives(kind, socket, prefix)
        check_timeout(timeout)
        check_bools(stream=stream)
        self._streams = None
        if stream:
            self._streams = streams_of(socket, kind.code, prefix)
            self._streams.expect(self._how)
        self.socket = socket
        self._kind = kind
        self._timeout = timeout

    def recv(
        self,
        *given: Never,
        into: npt.NDArray[Any] | None = None,
        timeout: float | None = None,
        lazy: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Got:
        """Receive the object of one message; arguments, result and errors are those of `transport.recv`.

        `timeout` replaces the receiver's own. With `lazy`, on a receiver with ``stream=True``, you get the
        object of a stream before its arrays have come: each array in dicts, lists and tuples that is still
        on its way is a `transport.LazyArray`.

        `on_progress` is called with the bytes of a stream that are here and all of its bytes: of the one that
        began first, if several arrive. Of other messages you hear as from `transport.recv`. In the last call
        both numbers are equal, except with `lazy`.

        Raises:
            ValueError: `lazy` is combined with a key, `into` or `many`, or the receiver takes no streams.
        """
        how = self._how
        if timeout is None:
            timeout = self._timeout
        try:
            if given:
                raise unknown_option(Receiver.recv, (), given=given)
            if into is not None:
                check_into(into, how.many)
                how = how._replace(into=into, ordinary=False)
            if lazy:
                how = self._lazy(how)
            if on_progress is not None:
                check_callable("on_progress", on_progress)
                how = how._replace(on_progress=on_progress)
            if self._kind.asynchronous:
                return self._recv_later(how, timeout)  # type: ignore[return-value]
            if self._streams is not None:
                return self._stream(self._streams, how, timeout)  # type: ignore[no-any-return]
            frames = take_now(self.socket, self._kind, how, timeout, 0)
            got: Got = (
                unpack(frames, how) if on_progress is None else unpack_watched(frames, how, on_progress)
            )
        except Exception as error:
            shorten(error)
            raise error
        return got

    def _lazy(self, how: Reading) -> Reading:
        """Check that the object of a stream may be given before all of it is there."""
        if self._streams is None:
            raise ValueError("lazy=True is about streams: pass stream=True to the Receiver")
        if how.into is not None or how.many:
            raise ValueError("lazy=True gives one object: pass neither into= nor many=True")
        if how.reader.key is not None:
            raise ValueError(
                "lazy=True gives an object before all of it is there, and a key signs all of it: receive it "
                "without lazy=True"
            )
        return how._replace(lazy=True, ordinary=False)

    async def _recv_later(self, how: Reading, timeout: float | None) -> Any:
        try:
            if self._streams is not None:
                return await self._stream_later(self._streams, how, timeout)
            frames = await take_later(self.socket, self._kind, how, timeout, 0)
            watched = how.on_progress
            return unpack(frames, how) if watched is None else unpack_watched(frames, how, watched)
        except Exception as error:
            shorten(error)
            raise error

    def _stream(self, streams: Streams, how: Reading, timeout: float | None) -> Any:
        """Receive an object that may come as a stream."""
        _check(self.socket, self._kind, how, timeout, 0)
        try:
            received = streams.run(self.socket, streams.receiving(how), timeout, "rcvtimeo")
        except zmq.ZMQError as error:
            raise _failed(self.socket, self._kind, timeout, 0, error) from None
        return streams.unpack(self.socket, received, how, self._kind.asynchronous)

    async def _stream_later(self, streams: Streams, how: Reading, timeout: float | None) -> Any:
        """Do the same as `_stream`, without blocking the loop."""
        _check(self.socket, self._kind, how, timeout, 0)
        try:
            received = await streams.run_later(self.socket, streams.receiving(how), timeout, "rcvtimeo")
        except zmq.ZMQError as error:
            raise _failed(self.socket, self._kind, timeout, 0, error) from None
        return streams.unpack(self.socket, received, how, self._kind.asynchronous)

    def __iter__(self) -> Iterator[Got]:
        if self._kind.asynchronous:
            raise TypeError(f"{self!r} is asynchronous: use `async for`")
        return self

    def __next__(self) -> Got:
        with ENDING:
            return self.recv()

    def __aiter__(self) -> AsyncIterator[Any]:
        if not self._kind.asynchronous:
            raise TypeError(f"{self!r} blocks: use `for`, or a zmq.asyncio socket")
        return self

    async def __anext__(self) -> Any:
        with ENDING_LATER:
            return await self._recv_later(self._how, self._timeout)

    def __repr__(self) -> str:
        return f"<Receiver on {self.socket!r}>"
