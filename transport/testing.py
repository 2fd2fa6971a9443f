"""Two connected ends in memory, for tests without sockets.

They behave like a pair of ``zmq.PAIR`` sockets over tcp: messages are copied on the way, arrive whole and in
order, and wait in a queue of limited length. Each end may be used in a different thread, and polled by
``zmq.Poller``, ``select`` and the like, which report when a message can be received.

In tests with pytest, ``pytest_plugins = ["transport.pytest_plugin"]`` provides the fixture ``fake_pair``.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

import zmq

from canning.arguments import check_whole
from canning.errors import shortened
from canning.forking import Lock, guarded

from .checks import NOBLOCK
from .errors import TransportError
from .multipart import SNDMORE
from .waiting import BACKOFF, Deadline

__all__ = ["FakeSocket", "fake_pair"]

T = TypeVar("T")


@shortened
def fake_pair(hwm: int = 1000) -> tuple[FakeSocket, FakeSocket]:
    """Make two connected ends: objects sent to one are received from the other.

    Args:
        hwm: messages that may wait in each direction before `send` blocks; 0 means no limit.

    Raises:
        ValueError: hwm is negative.

    >>> from transport import recv, send
    >>> here, there = fake_pair(hwm=1)
    >>> tracker = send(here, "hello")
    >>> send(here, "again", timeout=0.01)
    Traceback (most recent call last):
        ...
    transport.errors.TransportTimeout: <FakeSocket 0> took no message for 0.01 s: its queue is full ...
    >>> recv(there, trust="code")
    'hello'
    """
    check_whole("hwm", hwm, "messages")
    lock = Lock()
    ways: tuple[deque[list[bytes]], deque[list[bytes]]] = (deque(), deque())
    first = FakeSocket("0", lock, hwm, ways[0], ways[1])
    second = FakeSocket("1", lock, hwm, ways[1], ways[0])
    first._peer, second._peer = second, first
    return first, second


class _ReceivedFrame(zmq.Frame):
    """A frame with the properties of a peer's handshake, like frames that arrive over a connection."""

    def get(self, option: Any) -> Any:
        return "PAIR" if option == "Socket-Type" else super().get(option)


class FakeSocket:
    """One end of `fake_pair`: the part of ``zmq.Socket`` that this package uses, and the multipart calls.

    Attributes:
        sndtimeo: milliseconds that a blocking `send` waits before it raises ``zmq.Again``; -1: no limit.
        rcvtimeo: the same for `recv`.
        closed: whether `close` was called.
    """

    def __init__(
        self,
        name: str,
        lock: Lock,
        hwm: int,
        incoming: deque[list[bytes]],
        outgoing: deque[list[bytes]],
    ) -> None:
        self.sndtimeo = -1
        self.rcvtimeo = -1
        self.closed = False
        self._name = name
        self._lock: Final = lock
        self._hwm = hwm
        self._incoming = incoming
        self._outgoing = outgoing
        self._begun: list[bytes] = []
        self._unread: deque[bytes] = deque()
        self._peer = self
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._rung = False

    def send(self, data: Any, flags: int = 0, copy: bool = True) -> None:
        """Add a frame to the current message, which is sent with the first frame that lacks ``SNDMORE``.

        Raises:
            zmq.Again: the queue is full.
            TransportError: the queue stays full, because the other end is closed.
        """
        part = bytes(data)
        self._wait(lambda: self._add(part, bool(flags & SNDMORE)), flags, self.sndtimeo)

    def _add(self, part: bytes, more: bool) -> bool | None:
        self._check_open()
        if not self._begun and not self._has_room():
            return None
        self._begun.append(part)
        if not more:
            self._outgoing.append(self._begun)
            self._begun = []
            self._peer._ring()
        return True

    def recv(self, flags: int = 0, copy: bool = True) -> Any:
        """Take the next frame: ``bytes``, or a ``zmq.Frame`` with ``copy=False``.

        Raises:
            zmq.Again: there is no frame.
            TransportError: no frame will arrive, because the other end is closed.
        """
        data, more = self._wait(self._take, flags, self.rcvtimeo)
        if copy:
            return data
        frame = _ReceivedFrame(data, copy=True)
        frame.more = more
        return frame

    def _take(self) -> tuple[bytes, bool] | None:
        self._check_open()
        while not self._unread:
            if not self._incoming:
                return None
            self._unread.extend(self._incoming.popleft())
        data = self._unread.popleft()
        self._ring()
        return data, bool(self._unread)

    def send_multipart(self, msg_parts: Sequence[Any], flags: int = 0, copy: bool = True) -> None:
        """Send frames as one message."""
        for part in msg_parts[:-1]:
            self.send(part, flags | SNDMORE, copy)
        self.send(msg_parts[-1], flags, copy)

    def recv_multipart(self, flags: int = 0, copy: bool = True) -> list[Any]:
        """Receive the frames of one message, or the rest of a partly received one."""
        frames = [self.recv(flags, copy)]
        while self._unread:
            frames.append(self.recv(0, copy))
        return frames

    def poll(self, timeout: int | None = None, flags: int = zmq.POLLIN) -> int:
        """Wait up to timeout milliseconds (None: no limit) for the events in flags; return them."""
        deadline = Deadline(None if timeout is None or timeout < 0 else timeout / 1000)
        self._check_open()
        while not (events := self._events() & flags) and not deadline.passed:
            time.sleep(BACKOFF)
        return events

    @guarded
    def fileno(self) -> int:
        """Return a descriptor that is readable while a message can be received."""
        self._check_open()
        if self._bell is None:
            self._bell = socket.socketpair()
            self._ring()
        return self._bell[0].fileno()

    def _ring(self) -> None:
        """Make the descriptor readable if and only if a message can be received."""
        if self._bell is None or self._rung == bool(self._unread or self._incoming):
            return
        self._rung = not self._rung
        if self._rung:
            self._bell[1].send(b"!")
        else:
            self._bell[0].recv(1)

    def get(self, option: int) -> int:
        """Return the socket type, the pending events, or whether the message goes on; no other options.

        Raises:
            zmq.ZMQError: another option was asked for.
        """
        if option == zmq.TYPE:
            return int(zmq.PAIR)
        if option == zmq.EVENTS:
            return self._events()
        if option == zmq.RCVMORE:
            return bool(self._unread)
        raise zmq.ZMQError(zmq.EINVAL)

    @guarded
    def close(self) -> None:
        """Close this end; messages that it has sent can still be received."""
        self.closed = True
        for end in self._bell or ():
            end.close()
        self._bell = None

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<FakeSocket {self._name}{' closed' if self.closed else ''}>"

    def _has_room(self) -> bool:
        return not self._peer.closed and (not self._hwm or len(self._outgoing) < self._hwm)

    @guarded
    def _events(self) -> int:
        readable = _READABLE if self._unread or self._incoming else 0
        return readable | (_WRITABLE if self._has_room() else 0)

    def _wait(self, attempt: Callable[[], T | None], flags: int, limit: int) -> T:
        """Attempt until it succeeds; threads retry at intervals, so that no interrupt can lose a wake-up."""
        deadline = Deadline(0 if flags & NOBLOCK else None if limit < 0 else limit / 1000)
        while (result := self._lock.run(attempt)) is None:
            if deadline.passed:
                raise zmq.Again()
            if limit < 0 and self._peer.closed:
                raise TransportError(f"the other end of {self!r} is closed, so this would never end")
            time.sleep(BACKOFF)
        return result

    def _check_open(self) -> None:
        if self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)


_READABLE: Final = int(zmq.POLLIN)
_WRITABLE: Final = int(zmq.POLLOUT)
