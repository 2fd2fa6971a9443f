"""Send and receive objects on ``zmq.asyncio`` sockets: `transport.send` and `transport.recv`, awaited.

A message is taken from the socket or given to it in one step without an await in it, and only waiting can
be cancelled. So a cancelled call has moved nothing, and the next one finds the message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy.typing as npt
import zmq
import zmq.asyncio

from canning import Serializer
from canning.progress import OnProgress
from canning.secret import KeyOption

from .checks import (
    Prefix,
    Trust,
    check_flags,
    check_timeout,
)
from .conversation import Conversation, Pull, Push, Steps
from .framing import COPY_BELOW, pack, sharing_of, unpack
from .multipart import SocketLike, pull, push
from .pool import Pool
from .reading import reading
from .shared import ForReaders, SharedArena, SharedMemory
from .sockets import recv_timeout, send_timeout
from .tracker import Tracker
from .waiting import BACKOFF, Deadline
from .watching import unpack_watched, watch_async

__all__ = ["Channel", "recv", "send", "wait"]

T = TypeVar("T")


async def send(
    socket: zmq.asyncio.Socket,
    obj: Any,
    *more: Any,
    prefix: Prefix = (),
    serializer: Serializer | None = None,
    key: KeyOption = None,
    timeout: float | None = None,
    flags: int = 0,
    copy_threshold: int = COPY_BELOW,
    arena: SharedArena | ForReaders | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> Tracker:
    """Send objects as one message; arguments, result and errors are those of `transport.send`.

    Cancelled while it waits for room, it has sent nothing; while it reports progress, the message is on its
    way.

    >>> import asyncio, zmq.asyncio
    >>> from transport import aio
    >>> async def main():
    ...     with zmq.asyncio.Context() as context:
    ...         with context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
    ...             here.bind("inproc://example")
    ...             there.connect("inproc://example")
    ...             await aio.wait(await aio.send(here, [1, 2, 3]))
    ...             return await aio.recv(there, trust="code", timeout=1)
    >>> asyncio.run(main())
    [1, 2, 3]
    """
    _check_asyncio(socket, "send")
    check_timeout(timeout)
    check_flags(flags)
    sharing = sharing_of(arena, socket)
    if sharing is not None:
        serializer = sharing.serializer(serializer)
    watched = on_progress is not None or progress
    parts, tracker = pack(
        (obj, *more), prefix, serializer, key, copy_threshold, socket=socket, parted=watched
    )
    limit = _limit(socket, timeout, flags, zmq.SNDTIMEO)
    try:
        await _retry(socket, zmq.POLLOUT, lambda view: push(view, parts, zmq.NOBLOCK), Deadline(limit))
    except BaseException as error:
        if sharing is not None:
            sharing.revoke(parts)
        if timeout is None or flags or not isinstance(error, zmq.Again):
            raise
        raise send_timeout(socket, timeout) from None
    if watched:
        await watch_async(socket, parts, tracker, on_progress, progress, 0.0 if flags else timeout)
    return tracker


async def recv(
    socket: zmq.asyncio.Socket,
    *,
    trust: Trust | None = None,
    prefix: int = 0,
    many: bool = False,
    g: dict[str, Any] | None = None,
    writable: bool = False,
    alias: bool = False,
    shared_memory: bool | SharedMemory = False,
    serializer: Serializer | None = None,
    key: KeyOption = None,
    into: npt.NDArray[Any] | None = None,
    pool: Pool | None = None,
    timeout: float | None = None,
    flags: int = 0,
    on_progress: OnProgress | None = None,
    progress: bool = False,
) -> Any:
    """Receive the object of one message; arguments, result and errors are those of `transport.recv`.

    Cancelled while it waits, it has taken nothing: the message that comes later is there for the next call.
    """
    _check_asyncio(socket, "recv")
    how = reading(
        trust=trust,
        prefix=prefix,
        many=many,
        g=g,
        writable=writable,
        alias=alias,
        serializer=serializer,
        key=key,
        into=into,
        pool=pool,
        shared_memory=shared_memory,
    )
    check_timeout(timeout)
    check_flags(flags)
    limit = _limit(socket, timeout, flags, zmq.RCVTIMEO)
    try:
        frames = await _retry(
            socket, zmq.POLLIN, lambda view: pull(view, zmq.NOBLOCK, how.most), Deadline(limit)
        )
    except zmq.Again:
        if timeout is None or flags:
            raise
        raise recv_timeout(socket, timeout) from None
    if on_progress is None and not progress:
        return unpack(frames, how)
    return unpack_watched(frames, how, on_progress, progress)


async def wait(tracker: Tracker, timeout: float | None = None) -> None:
    """Wait until every frame of a message is free to change: `Tracker.wait` without blocking the loop.

    Args:
        tracker: what `send` returned.
        timeout: seconds; None waits for ever.

    Raises:
        TransportTimeout: the time is over; the message is on its way still.
    """
    if tracker.done:
        return
    loop = asyncio.get_running_loop()
    free = asyncio.Event()

    def on_done() -> None:
        # The thread that lets go of the memory may come when this loop has ended.
        if not loop.is_closed():
            loop.call_soon_threadsafe(free.set)

    tracker.on_done(on_done)
    try:
        await asyncio.wait_for(free.wait(), timeout)
    except TimeoutError:
        # Raises if the memory is in use still.
        tracker.wait(timeout=0)
    finally:
        tracker.forget(on_done)


class Channel(Conversation):
    """Send and receive signed objects, each once and in order: `transport.Channel`, awaited.

    Arguments, attributes and errors are those of `transport.Channel`. Tasks may send and receive at the
    same time; messages go in the order in which `send` was called.

    >>> import asyncio, canning, zmq.asyncio
    >>> from transport import aio
    >>> async def main():
    ...     key = canning.new_key()
    ...     with zmq.asyncio.Context() as context:
    ...         with context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
    ...             here.bind("inproc://channel")
    ...             there.connect("inproc://channel")
    ...             sending = asyncio.create_task(aio.Channel(here, key=key).send([1, 2, 3], timeout=10))
    ...             received = await aio.Channel(there, key=key).recv(timeout=10)
    ...             await wait(await sending)
    ...             return received
    >>> asyncio.run(main())
    [1, 2, 3]
    """

    def __init__(self, socket: zmq.asyncio.Socket, **options: Any) -> None:
        if not isinstance(socket, zmq.asyncio.Socket):
            raise TypeError(f"{socket!r} is not a zmq.asyncio socket: use transport.Channel(...)")
        super().__init__(socket, **options)
        self._view: zmq.Socket[bytes] = zmq.Socket.shadow(socket.underlying)
        self._order = asyncio.Lock()
        self._news = asyncio.Event()
        self._taken: deque[list[zmq.Frame]] = deque()

    async def send(self, obj: Any, *more: Any, prefix: Prefix = (), timeout: float | None = None) -> Tracker:
        """Send objects as one message under one signature.

        Cancelled while it waits, it has sent no object.
        """
        check_timeout(timeout)
        try:
            async with asyncio.timeout(timeout), self._order:
                tracker: Tracker = await self._run(self._sending((obj, *more), prefix))
        except TimeoutError:
            raise send_timeout(self.socket, timeout or 0.0) from None
        return tracker

    async def recv(
        self,
        *,
        many: bool = False,
        g: dict[str, Any] | None = None,
        writable: bool = False,
        alias: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Receive the object of one message.

        Cancelled while it waits, it has taken nothing.
        """
        check_timeout(timeout)
        try:
            async with asyncio.timeout(timeout):
                return await self._run(self._receiving(self._reading(many, g, writable, alias)))
        except TimeoutError:
            raise recv_timeout(self.socket, timeout or 0.0) from None

    async def _run(self, steps: Steps) -> Any:
        """Take the steps of a conversation."""
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as done:
                return done.value
            result = await (self._push(step) if isinstance(step, Push) else self._pull(step))

    async def _push(self, step: Push) -> None:
        parts = step.parts
        if step.control:
            with contextlib.suppress(zmq.ZMQError):  # whoever asked is gone, or takes no answer
                push(self._view, parts, zmq.NOBLOCK)
            return
        await _retry(self.socket, zmq.POLLOUT, lambda view: push(view, parts, zmq.NOBLOCK), Deadline(None))

    async def _pull(self, step: Pull) -> list[zmq.Frame] | None:
        """Receive a message, or hear that another call has received what this one waits for.

        Messages go through a queue, so that calls which wait at the same time see to them in their order,
        and one that came in the very moment in which its call was cancelled is there for the next.
        """
        if not self._taken:
            await self._wait_for_news(step.seconds)
        return self._taken.popleft() if self._taken else None

    async def _wait_for_news(self, seconds: float | None) -> None:
        message = asyncio.ensure_future(
            _retry(
                self.socket,
                zmq.POLLIN,
                lambda view: self._taken.append(pull(view, zmq.NOBLOCK)),
                Deadline(None),
            )
        )
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((message, news), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._changed()
            raise
        finally:
            news.cancel()
            message.cancel()
        if message.done():
            message.result()  # raises what the socket has raised

    def _changed(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


async def _retry(
    socket: zmq.asyncio.Socket, event: int, attempt: Callable[[SocketLike], T], deadline: Deadline
) -> T:
    """Attempt on a blocking view of socket until it works, and wait in between without blocking.

    Raises:
        zmq.Again: it had not when the deadline passed.
    """
    view: zmq.Socket[bytes] = zmq.Socket.shadow(socket.underlying)
    ready = 0
    while True:
        try:
            result = attempt(view)
        except zmq.Again:
            if deadline.passed:
                raise
        else:
            # What would have woken another waiting task may just have been consumed here; this makes the
            # socket look again.
            socket.get(zmq.EVENTS)
            return result
        if ready:
            await asyncio.sleep(BACKOFF)
        ready = await _poll(socket, deadline.milliseconds, event)


async def _poll(socket: zmq.asyncio.Socket, milliseconds: int, event: int) -> int:
    untyped: Any = socket  # pyzmq declares this poll with the signature of its poller
    try:
        return int(await untyped.poll(milliseconds, event))
    except zmq.Again:
        # pyzmq lets SNDTIMEO and RCVTIMEO end a poll as well; the deadline is what counts here.
        return 0


def _limit(socket: zmq.asyncio.Socket, timeout: float | None, flags: int, option: int) -> float | None:
    """Give the seconds to wait: none with ``NOBLOCK``, else timeout, else what the socket is set to."""
    if flags:
        return 0.0
    if timeout is not None:
        return timeout
    milliseconds = int(socket.get(option))
    return None if milliseconds < 0 else milliseconds / 1000


def _check_asyncio(socket: object, name: str) -> None:
    if not isinstance(socket, zmq.asyncio.Socket):
        raise TypeError(f"{socket!r} is not a zmq.asyncio socket: use transport.{name}(...)")
