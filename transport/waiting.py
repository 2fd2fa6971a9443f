"""Wait for room and for messages, some seconds or forever, on blocking sockets and on asyncio's.

An attempt moves a whole message or nothing, and contains no await. So a cancelled or expired attempt has
moved nothing.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeGuard, TypeVar

import zmq

from .errors import TransportTimeout
from .multipart import SocketLike

if TYPE_CHECKING:
    import zmq.asyncio

BACKOFF: Final = 0.001
"""Seconds between attempts when a socket reports that it is ready but is not.

A ROUTER with ROUTER_MANDATORY reports that it can send whenever any one of its peers has room.
"""

_LONGEST_POLL: Final = 86_400.0


class Deadline:
    """A moment that is some seconds away, or never comes."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float | None) -> None:
        self._at = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """Tell whether the moment has passed."""
        return time.monotonic() >= self._at

    @property
    def milliseconds(self) -> int:
        """Return the time left for a poll: rounded up, so that a loop does not spin; a day at most."""
        left = min(self._at - time.monotonic(), _LONGEST_POLL)
        return max(0, math.ceil(left * 1000))

    def within(self, seconds: float | None) -> Deadline:
        """Return the moment that is so many seconds away, or this one if it comes first."""
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
    """Attempt on a blocking view of socket until it works, without blocking the loop in between.

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
            # This attempt may just have consumed the event that another task waits for; this makes the socket
            # check again.
            socket.get(zmq.EVENTS)
            return result
        if ready:
            await pause(BACKOFF)
        ready = await _poll(socket, deadline.milliseconds, event)


async def pause(seconds: float) -> None:
    """Let other tasks run for some seconds."""
    import asyncio  # takes 20 ms: waiting tasks have imported it, other programs need not

    await asyncio.sleep(seconds)


async def _poll(socket: zmq.asyncio.Socket, milliseconds: int, event: int) -> int:
    import asyncio  # see `pause`

    untyped: Any = socket  # pyzmq declares this poll with the signature of its poller
    try:
        return int(await untyped.poll(milliseconds, event))
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if socket.closed and task is not None and not task.cancelling():  # pyzmq cancels what waits for it
            raise zmq.ZMQError(zmq.ENOTSOCK) from None
        raise
    except zmq.Again:
        # pyzmq lets SNDTIMEO and RCVTIMEO end a poll as well; here only the deadline counts.
        return 0


def limit_of(socket: zmq.asyncio.Socket, timeout: float | None, flags: int, option: int) -> float | None:
    """Return the seconds to wait: 0 with ``NOBLOCK``, else timeout, else the socket's own setting."""
    if flags:
        return 0.0
    if timeout is not None:
        return timeout
    milliseconds = int(socket.get(option))
    return None if milliseconds < 0 else milliseconds / 1000


def seconds_of(socket: Any, timeout: float | None, setting: str) -> float | None:
    """Return the seconds to wait: timeout, else the socket's own setting, in milliseconds."""
    if timeout is not None:
        return timeout
    milliseconds: int = getattr(socket, setting)
    return None if milliseconds < 0 else milliseconds / 1000


def send_timeout(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a message that no peer accepted in time."""
    why = _refused(socket) or _unattached(socket) or "its queue is full or it has no peer"
    return TransportTimeout(f"{socket!r} took no message for {timeout} s: {why}; nothing was sent")


def unanswered(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a channel that nobody answered in time."""
    why = _refused(socket) or _unattached(socket)
    why = (
        why or "the other side has no Channel, or one with another key, or does not receive, or is not there"
    )
    return TransportTimeout(
        f"nobody answered the HELLO on {socket!r} for {timeout} s: {why}; nothing was sent"
    )


def recv_timeout(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a message that did not arrive in time."""
    subscribes = _is_open(socket) and socket.get(zmq.TYPE) == zmq.SUB
    why = _refused(socket) or _unattached(socket)
    why = why or ("a SUB gets only what it has subscribed to" if subscribes else "")
    return TransportTimeout(f"no message came to {socket!r} for {timeout} s{': ' if why else ''}{why}")


def _unattached(socket: object) -> str:
    """Tell whether a socket can have no peer, since nobody has bound or connected it."""
    apart = _is_open(socket) and not socket.get(zmq.LAST_ENDPOINT)
    return "it is neither bound nor connected" if apart else ""


def _is_open(socket: object) -> TypeGuard[zmq.Socket[bytes]]:
    return isinstance(socket, zmq.Socket) and not socket.closed


def _refused(socket: object) -> str:
    """Return why a socket with CURVE has no connection, if the reason is known."""
    security = sys.modules.get(f"{__package__}.security")
    return security.why_refused(socket) if security is not None else ""
