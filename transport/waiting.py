"""Wait for room and for messages, some seconds or forever: one way for blocking sockets and one for asyncio.

An attempt moves a whole message or nothing, without a pause in it. So an attempt that was cancelled or ran
out of time has moved nothing.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import zmq

from .errors import TransportTimeout
from .kinds import KNOWN
from .multipart import SocketLike

if TYPE_CHECKING:
    import zmq.asyncio

BACKOFF: Final = 0.001
"""Seconds between attempts when a socket says that it is ready and then is not.

A ROUTER with ROUTER_MANDATORY says that it can send whenever any of its peers could be sent to.
"""

_LONGEST_POLL: Final = 86_400.0


class Deadline:
    """A moment that is some seconds away, or never comes."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float | None) -> None:
        self._at = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Tell whether the moment is over."""
        return time.monotonic() >= self._at

    @property
    def milliseconds(self) -> int:
        """Return the time left as a poll takes it: rounded up, so that no loop over it spins; a day at most."""
        left = min(self._at - time.monotonic(), _LONGEST_POLL)
        return max(0, math.ceil(left * 1000))

    def within(self, seconds: float | None) -> Deadline:
        """Return the moment that is so many seconds away, or this one where it comes first."""
        other = Deadline(seconds)
        other._at = min(other._at, self._at)
        return other


T = TypeVar("T")


def retry(socket: SocketLike, event: int, attempt: Callable[[], T], deadline: Deadline) -> T:
    """Attempt until it works.

    Raises:
        zmq.Again: it had not when the deadline passed.
    """
    ready = 0
    while True:
        try:
            return attempt()
        except zmq.Again:
            if deadline.passed:
                raise
        if ready:
            time.sleep(BACKOFF)
        ready = socket.poll(deadline.milliseconds, event)


async def retry_async(
    socket: zmq.asyncio.Socket, event: int, attempt: Callable[[SocketLike], T], deadline: Deadline
) -> T:
    """Attempt on a blocking view of socket until it works, and wait in between without blocking.

    Raises:
        zmq.Again: it had not when the deadline passed.
    """
    if socket.closed:
        raise zmq.ZMQError(zmq.ENOTSOCK)
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
            await pause(BACKOFF)
        ready = await _poll(socket, deadline.milliseconds, event)


async def pause(seconds: float) -> None:
    """Let other tasks run for some seconds."""
    import asyncio  # 20 ms: a task that waits has it, and programs without tasks need not wait for it

    await asyncio.sleep(seconds)


async def _poll(socket: zmq.asyncio.Socket, milliseconds: int, event: int) -> int:
    untyped: Any = socket  # pyzmq declares this poll with the signature of its poller
    try:
        return int(await untyped.poll(milliseconds, event))
    except zmq.Again:
        # pyzmq lets SNDTIMEO and RCVTIMEO end a poll as well; the deadline is what counts here.
        return 0


def limit_of(socket: zmq.asyncio.Socket, timeout: float | None, flags: int, option: int) -> float | None:
    """Return the seconds to wait: none with ``NOBLOCK``, else timeout, else what the socket is set to."""
    if flags:
        return 0.0
    if timeout is not None:
        return timeout
    milliseconds = int(socket.get(option))
    return None if milliseconds < 0 else milliseconds / 1000


def send_timeout(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a message that no one took in time."""
    why = _refused(socket) or "its queue is full or it has no peer"
    return TransportTimeout(f"{socket!r} took no message for {timeout} s: {why}; nothing was sent")


def recv_timeout(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a message that did not come in time."""
    kind = KNOWN.get(id(socket))
    subscribes = kind is not None and kind.code == zmq.SUB
    why = _refused(socket) or ("a SUB gets only what it has subscribed to" if subscribes else "")
    return TransportTimeout(f"no message came to {socket!r} for {timeout} s{': ' if why else ''}{why}")


def _refused(socket: object) -> str:
    """Say why the connection of a socket with CURVE was not made, where that is known."""
    security = sys.modules.get(f"{__package__}.security")
    return security.why_refused(socket) if security is not None else ""
