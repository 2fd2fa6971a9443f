"""Send objects: the options once, in a `Sender`, and then one message after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, Never, TypedDict, TypeVar, Unpack, overload

import zmq

from canning import Serializer, default_serializer
from canning.arguments import check_bools, check_callable, check_whole
from canning.errors import shorten, shortened
from canning.options import unknown_option
from canning.progress import OnProgress, watching
from canning.wire.keys import KeyOption

from .checks import Prefix, check_flags, check_serializer, check_timeout, prefix_frames
from .errors import TransportTimeout
from .kinds import KNOWN, Kind, check_sends, learn, out_of_turn, settle, streams_of, with_hint
from .multipart import SocketLike, push, stays_here
from .outgoing import COPY_BELOW, Outgoing, pack, share_last, sharing_of
from .progress import watch, watch_async
from .tracker import DONE, Tracker
from .waiting import Deadline, limit_of, retry, retry_async, send_timeout

if TYPE_CHECKING:
    import zmq.asyncio

    from .shared import ForReaders, SharedArena
    from .stream_parts import Leaving
    from .streams import Streams

Sent = TypeVar("Sent")


class SenderOptions(TypedDict, total=False):
    """The options that `Sender` and `send` share."""

    prefix: Prefix
    serializer: Serializer | None
    key: KeyOption
    timeout: float | None
    copy: bool
    copy_threshold: int
    arena: SharedArena | ForReaders | None


class StreamOptions(SenderOptions, total=False):
    """The options of `Sender`, beyond those of `send`."""

    stream: bool


class Sending(NamedTuple):
    """The options for sending objects."""

    prefix: Prefix = ()
    serializer: Serializer | None = None
    key: KeyOption = None
    copy: bool = False
    copy_threshold: int = COPY_BELOW
    arena: SharedArena | ForReaders | None = None
    timeout: float | None = None
    flags: int = 0
    on_progress: OnProgress | None = None
    progress: bool = False
    streams: Streams | None = None


_ROUTER: Final = int(zmq.ROUTER)
ORDINARY: Final = Sending()
"""The most frequent options: none."""
_Message = tuple[Outgoing, "ForReaders | None", Kind]
"""A message that is ready to send, and its sharing, which is undone if sending fails."""


def _ready(socket: Any, kind: Kind, objects: tuple[Any, ...], how: Sending) -> _Message:
    """Check the options, and make the message; the socket is not used."""
    if kind.no_send or kind.code == _ROUTER:
        check_sends(kind, socket, how.prefix)
    if how is not ORDINARY:
        _check(how)
    sharing = None if how.arena is None else sharing_of(how.arena, socket)
    serializer = how.serializer if sharing is None else sharing.serializer(how.serializer)
    watched = how.on_progress is not None or how.progress
    copied = how.copy or sharing is not None  # users may change at once what found no room in an arena, too
    with nullcontext() if sharing is None else sharing.all_or_nothing():
        outgoing = pack(
            objects,
            how.prefix,
            serializer,
            how.key,
            how.copy_threshold,
            b"",
            socket,
            watched,
            copied,
            how.streams is not None and how.streams.fits(how.prefix),
        )
    if kind.fresh and sharing is None and outgoing.tracker is DONE and not outgoing.streamed:
        share_last(outgoing.parts, not stays_here(socket))
    return outgoing, sharing, kind


def _check(how: Sending) -> None:
    if how.timeout is not None:
        check_timeout(how.timeout)
    if how.flags:
        check_flags(how.flags)
    if how.serializer is not None:
        check_serializer(how.serializer)
    if how.copy is not False or how.progress is not False:
        check_bools(copy=how.copy, progress=how.progress)
    if how.copy_threshold != COPY_BELOW:
        check_whole("copy_threshold", how.copy_threshold, "bytes")
    if how.on_progress is not None:
        check_callable("on_progress", how.on_progress)


def _failed(socket: Any, message: _Message, how: Sending, error: BaseException) -> BaseException:
    """Undo the sharing of payloads, and return the error to raise."""
    outgoing, sharing, kind = message
    if sharing is not None:
        sharing.revoke(outgoing.parts)
    if isinstance(error, zmq.Again):
        return error if how.timeout is None or how.flags else send_timeout(socket, how.timeout)
    if isinstance(error, zmq.ZMQError) and error.errno == zmq.EFSM:
        return out_of_turn(kind, socket, "send")
    return with_hint(error, socket)


def _give_up(socket: Any, message: _Message, how: Sending, error: BaseException) -> Never:
    """Undo the preparation of a message, and raise its error."""
    other = _failed(socket, message, how, error)
    try:
        if other is error:
            raise error
        raise other from None
    finally:
        # The exception refers to this stack frame, which would keep the objects alive.
        del other, error, message


def _sent(socket: Any, message: _Message) -> Tracker:
    """Note that a message was sent, and return its tracker."""
    outgoing, sharing, kind = message
    if kind.fresh:
        settle(socket, kind)
    if sharing is None:
        return outgoing.tracker
    return outgoing.tracker.with_receipt(sharing.receipt(outgoing.parts))


def send_now(socket: SocketLike, kind: Kind, objects: tuple[Any, ...], how: Sending) -> Tracker:
    """Send objects as one message on a blocking socket."""
    message = _ready(socket, kind, objects, how)
    parts = message[0].parts
    try:
        if message[0].streamed:
            _stream(socket, message[0], how)
        elif how.timeout is None or how.flags:
            push(socket, parts, how.flags)
        else:
            deadline = Deadline(how.timeout)
            retry(socket, zmq.POLLOUT, lambda: push(socket, parts, zmq.NOBLOCK), deadline)
    except BaseException as error:
        _give_up(socket, message, how, error)
    tracker = _sent(socket, message)
    if (how.on_progress is not None or how.progress) and not message[0].streamed:
        watch(socket, parts, tracker, how.on_progress, how.progress, 0.0 if how.flags else how.timeout)
    return tracker


def _stream(socket: SocketLike, outgoing: Outgoing, how: Sending) -> None:
    """Send the frames of a message as a stream, and wait until the receiver has them."""
    assert how.streams is not None
    with _leaving(socket, outgoing, how) as (leaving, report):
        how.streams.run(socket, how.streams.sending(socket, leaving, report), how.timeout, "sndtimeo")


async def _stream_later(socket: zmq.asyncio.Socket, outgoing: Outgoing, how: Sending) -> None:
    """Do the same as `_stream`, without blocking the loop."""
    assert how.streams is not None
    with _leaving(socket, outgoing, how) as (leaving, report):
        steps = how.streams.sending(socket, leaving, report)
        await how.streams.run_later(socket, steps, how.timeout, "sndtimeo")


@contextmanager
def _leaving(socket: Any, outgoing: Outgoing, how: Sending) -> Iterator[tuple[Leaving, OnProgress]]:
    """Give the stream of a message, and tell whether it may have arrived when the time is over."""
    assert how.streams is not None
    leaving = how.streams.leave(outgoing.parts, outgoing.streamed)
    try:
        with watching(how.on_progress, how.progress, "sending") as report:
            yield leaving, report
    except zmq.Again:
        raise TransportTimeout(f"{socket!r} sent a stream for too long: {leaving.fate()}") from None


async def send_later(
    socket: zmq.asyncio.Socket, kind: Kind, objects: tuple[Any, ...], how: Sending
) -> Tracker:
    """Send objects as one message on an asyncio socket."""
    message = _ready(socket, kind, objects, how)
    parts = message[0].parts
    deadline = Deadline(limit_of(socket, how.timeout, how.flags, zmq.SNDTIMEO))
    try:
        if message[0].streamed:
            await _stream_later(socket, message[0], how)
        else:
            await retry_async(socket, zmq.POLLOUT, lambda view: push(view, parts, zmq.NOBLOCK), deadline)
    except BaseException as error:
        _give_up(socket, message, how, error)
    tracker = _sent(socket, message)
    if (how.on_progress is not None or how.progress) and not message[0].streamed:
        seconds = 0.0 if how.flags else how.timeout
        await watch_async(socket, parts, tracker, how.on_progress, how.progress, seconds)
    return tracker


class Sender(Generic[Sent]):
    """Send objects on one socket, with options that are checked and prepared once.

    On a ``zmq.asyncio.Socket`` its `send` is awaited, on any other it blocks.

    Args:
        socket: any ``zmq.Socket`` or ``zmq.asyncio.Socket``, or an end of `transport.testing.fake_pair`.
        prefix: frames to put first: the identity for a ROUTER, the topic of a PUB; one ``bytes`` or several.
            `send` can pass others.
        serializer: turns objects into frames; canning's default if None.
        key: signs each message: `bytes` of 16 or more, or the path of a file that holds them. None leaves
            that to `serializer`, unsigned by default.
        timeout: seconds that `send` waits for room in the queue or for a peer, unless you pass it another
            timeout; None waits as the socket is set (``SNDTIMEO``), 0 tries once.
        copy: copy large frames once, into memory that is used again, so that you may change objects at once.
        copy_threshold: smaller frames are always copied; 0 copies none.
        arena: put large payloads into shared memory, and send only their location; the receiver must be on
            this host, and pass ``shared_memory=True``. What is too small for that, or finds no room, is
            copied as with `copy`.
        stream: send messages of 32 MiB and more in parts, as the receiver grants them: it copies each to its
            place, needs no second copy of the message in memory, and small messages pass in between. `send`
            returns when the receiver has all of it, and then you may change the objects. The receiver must
            be a `Receiver` with ``stream=True``, on PAIR, DEALER or ROUTER, and one peer except on a ROUTER.

    Raises:
        TypeError: `socket` is not a socket.
        TransportError: a socket of this type cannot send, or gets no answers with `stream`.

    >>> from transport import Receiver
    >>> from transport.testing import fake_pair
    >>> here, there = fake_pair()
    >>> sender, receiver = Sender(here, copy=True), Receiver(there, timeout=1)
    >>> for number in range(3):
    ...     tracker = sender.send({"number": number})
    >>> [receiver.recv()["number"] for _ in range(3)]
    [0, 1, 2]
    """

    @overload
    def __init__(
        self: Sender[Awaitable[Tracker]],
        socket: zmq.asyncio.Socket,
        **options: Unpack[StreamOptions],
    ) -> None: ...

    @overload
    def __init__(
        self: Sender[Tracker],
        socket: SocketLike,
        **options: Unpack[StreamOptions],
    ) -> None: ...

    @shortened
    def __init__(
        self,
        socket: Any,
        *given: Never,
        prefix: Prefix = (),
        serializer: Serializer | None = None,
        key: KeyOption = None,
        timeout: float | None = None,
        copy: bool = False,
        copy_threshold: int = COPY_BELOW,
        arena: SharedArena | ForReaders | None = None,
        stream: bool = False,
        **unknown: Never,
    ) -> None:
        if unknown or given:
            raise unknown_option(type(self), unknown, given=given)
        kind = KNOWN.get(id(socket)) or learn(socket, "Sender")
        if kind.no_send:
            check_sends(kind, socket, prefix)
        how = Sending(prefix_frames(prefix), serializer, None, copy, copy_threshold, arena, timeout)
        _check(how)
        if arena is not None:
            sharing_of(arena, socket)
        check_bools(stream=stream)
        if stream:
            how = how._replace(streams=streams_of(socket, kind.code))
        if key is not None:
            how = how._replace(serializer=(serializer or default_serializer).evolve(key=key))
        self.socket = socket
        self._kind = kind
        self._how = how

    def send(
        self,
        obj: Any,
        *more: Any,
        prefix: Prefix | None = None,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        progress: bool = False,
    ) -> Sent:
        """Send objects as one message; arguments, result and errors are those of `transport.send`.

        `prefix` and `timeout` replace the sender's own.
        """
        how = self._how
        if prefix is not None or timeout is not None or on_progress is not None or progress:
            how = how._replace(
                prefix=how.prefix if prefix is None else prefix,
                timeout=how.timeout if timeout is None else timeout,
                on_progress=on_progress,
                progress=progress,
            )
        if self._kind.fresh:
            self._kind = KNOWN.get(id(self.socket), self._kind)
        if self._kind.asynchronous:
            return self._send_later((obj, *more), how)  # type: ignore[return-value]
        try:
            return send_now(self.socket, self._kind, (obj, *more), how)  # type: ignore[return-value]
        except Exception as error:
            shorten(error)
            raise error

    async def _send_later(self, objects: tuple[Any, ...], how: Sending) -> Any:
        try:
            return await send_later(self.socket, self._kind, objects, how)
        except Exception as error:
            shorten(error)
            raise error

    def __repr__(self) -> str:
        return f"<Sender on {self.socket!r}>"
