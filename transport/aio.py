"""Send and receive objects on ``zmq.asyncio`` sockets: `transport.send` and `transport.recv`, awaited.

A message moves to or from the socket in one step that contains no await, so only waiting can be cancelled. A
cancelled call has moved nothing, and the next call finds the message.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Literal, Never, Self, Unpack, overload

import numpy.typing as npt
import zmq
import zmq.asyncio

from canning.arguments import check_callable
from canning.errors import shorten, shortened
from canning.options import unknown_option
from canning.progress import OnProgress

from .awaiting import Runner
from .checks import RECEIVERS_OWN, SENDERS_OWN, Prefix, check_objects, check_timeout
from .conversation import ChannelOptions, Conversation
from .incoming import unpack
from .kinds import KNOWN, Kind, learn
from .progress import unpack_watched
from .reading import reading
from .receiving import ENDING_LATER, take_later
from .sending import SenderOptions, Sending, send_later
from .sockets import Into, Prefixed, RecvOptions
from .tracker import Tracker
from .waiting import recv_timeout

__all__ = ["Channel", "recv", "send", "wait"]


_OF_RECV: Final = RecvOptions.__annotations__.keys() | {"into", "many", "prefix"}


class SendOptions(SenderOptions, total=False):
    """The options of `transport.send`."""

    flags: int
    on_progress: OnProgress | None
    progress: bool


async def send(socket: zmq.asyncio.Socket, obj: Any, *more: Any, **options: Unpack[SendOptions]) -> Tracker:
    """Send objects as one message; arguments, result and errors are those of `transport.send`.

    If it is cancelled while it waits for room, it has sent nothing; while it reports progress, the message is
    on its way.

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
    try:
        if not options.keys() <= SendOptions.__annotations__.keys():
            raise unknown_option(send, options, SendOptions.__annotations__, elsewhere=SENDERS_OWN)
        check_objects(more)
        kind = _asynchronous(socket, "send", obj)
        return await send_later(socket, kind, (obj, *more), Sending(**options))
    except Exception as error:
        shorten(error)
        raise error


@overload
async def recv(
    socket: zmq.asyncio.Socket,
    *,
    into: Into,
    prefix: Literal[0] = ...,
    many: Literal[False] = ...,
    **options: Unpack[RecvOptions],
) -> Into: ...
@overload
async def recv(
    socket: zmq.asyncio.Socket,
    *,
    into: Into,
    prefix: Prefixed,
    many: Literal[False] = ...,
    **options: Unpack[RecvOptions],
) -> tuple[list[bytes], Into]: ...
@overload
async def recv(
    socket: zmq.asyncio.Socket,
    *,
    many: Literal[True],
    prefix: Literal[0] = ...,
    **options: Unpack[RecvOptions],
) -> list[Any]: ...
@overload
async def recv(
    socket: zmq.asyncio.Socket, *, many: Literal[True], prefix: Prefixed, **options: Unpack[RecvOptions]
) -> tuple[list[bytes], list[Any]]: ...
@overload
async def recv(
    socket: zmq.asyncio.Socket,
    *,
    prefix: Literal[0] = ...,
    many: Literal[False] = ...,
    into: None = ...,
    **options: Unpack[RecvOptions],
) -> Any: ...
@overload
async def recv(
    socket: zmq.asyncio.Socket,
    *,
    prefix: Prefixed,
    many: Literal[False] = ...,
    into: None = ...,
    **options: Unpack[RecvOptions],
) -> tuple[list[bytes], Any]: ...
@overload
async def recv(
    socket: zmq.asyncio.Socket,
    *,
    prefix: int = ...,
    many: bool = ...,
    into: npt.NDArray[Any] | None = ...,
    **options: Unpack[RecvOptions],
) -> Any: ...


async def recv(
    socket: zmq.asyncio.Socket,
    *given: Never,
    timeout: float | None = None,
    flags: int = 0,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> Any:
    """Receive the object of one message; arguments, result and errors are those of `transport.recv`.

    If it is cancelled while it waits, it has taken nothing: a later message is there for the next call.
    """
    try:
        if given or not options.keys() <= _OF_RECV:
            raise unknown_option(recv, options, _OF_RECV, given, RECEIVERS_OWN)
        kind = _asynchronous(socket, "recv")
        how = reading(**options)
        check_callable("on_progress", on_progress)
        frames = await take_later(socket, kind, how, timeout, flags)
        return unpack(frames, how) if on_progress is None else unpack_watched(frames, how, on_progress)
    except Exception as error:
        shorten(error)
        raise error


async def wait(tracker: Tracker, timeout: float | None = None) -> None:
    """Wait until you may change what you sent: `Tracker.wait` without blocking the loop.

    Args:
        tracker: the result of `send`.
        timeout: seconds; None waits without a limit.

    Raises:
        TransportTimeout: the time is over; the message is still on its way.
    """
    if tracker.done:
        return
    loop = asyncio.get_running_loop()
    free = asyncio.Event()

    def on_done() -> None:
        # The thread that releases the memory may call after this loop has ended.
        if not loop.is_closed():
            loop.call_soon_threadsafe(free.set)

    tracker.on_done(on_done)
    try:
        await asyncio.wait_for(free.wait(), timeout)
    except TimeoutError:
        # Raises if the memory is still in use.
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

    @shortened
    def __init__(self, socket: zmq.asyncio.Socket, **options: Unpack[ChannelOptions]) -> None:
        if not isinstance(socket, zmq.asyncio.Socket):
            raise TypeError(f"{socket!r} is not a zmq.asyncio socket: use transport.Channel(...)")
        super().__init__(socket, **options)
        self._order = asyncio.Lock()
        self._runner = Runner()
        if self._streams is not None:
            self._streams.runner = self._runner

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def send(self, obj: Any, *more: Any, prefix: Prefix = (), timeout: float | None = None) -> Tracker:
        """Send objects as one message under one signature.

        If it is cancelled while it waits, it has sent no object; of a stream, the other side may have all.
        """
        try:
            check_timeout(timeout)
            try:
                async with asyncio.timeout(timeout), self._order:
                    steps = self._sending((obj, *more), prefix)
                    tracker: Tracker = await self._runner.run(self.socket, steps)
            except TimeoutError:
                raise self._too_late(timeout) from None
        except Exception as error:
            shorten(error)
            raise error
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

        If it is cancelled while it waits, it has taken nothing.
        """
        try:
            check_timeout(timeout)
            try:
                async with asyncio.timeout(timeout):
                    steps = self._receiving(self._reading(many, g, writable, alias))
                    return await self._runner.run(self.socket, steps)
            except TimeoutError:
                raise recv_timeout(self.socket, timeout or 0.0) from None
        except Exception as error:
            shorten(error)
            raise error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        with ENDING_LATER:
            return await self.recv()

    def _changed(self) -> None:
        self._runner.changed()


def _asynchronous(socket: object, name: str, obj: Any = None) -> Kind:
    kind = KNOWN.get(id(socket)) or learn(socket, name, obj)
    if not kind.asynchronous:
        raise TypeError(f"{socket!r} is not a zmq.asyncio socket: use transport.{name}(...)")
    return kind
