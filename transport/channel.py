"""A conversation over one socket, whose messages can neither be forged nor recorded and played again."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any, Self, Unpack

import zmq
import zmq.asyncio

from .checks import Prefix, check_timeout
from .conversation import ChannelOptions, Conversation, Pull, Push, Steps
from .driver import recv_timeout, retry, send_timeout
from .multipart import pull, push
from .tracker import Tracker
from .waiting import Deadline


class Channel(Conversation):
    """Send and receive objects that are signed, each of them once and in order.

    Beyond what a signature refuses, forged and changed messages, a channel refuses those that were recorded
    and are sent again, to it or to one that was made anew, those that overtook others, and its own that are
    sent back. A message that is lost is not missed: the next one arrives, and `lost` counts.

    Where both sides can send (PAIR, DEALER, ROUTER, REQ, REP) the first `send` waits until the other side
    receives, since each has to know that the other is there now; both sides need a channel, and one peer
    each, but for ROUTER and REP. Where only one can (PUSH, PULL, PUB, SUB, XPUB, XSUB) messages carry the
    time, and clocks must agree to `max_age`.

    Args:
        socket: any ``zmq.Socket`` of these types, or an end of `fake_pair`. It is the channel's alone from
            here on, and used by one thread at a time; the channel is a context manager that closes it.
        key: what both sides know: `bytes` of 16 or more, or the path of a file that holds them. Of several
            the first signs, and each is accepted. None takes that of `serializer`.
        serializer: how objects become frames and frames objects; the default one of ``canning`` if None.
        trust: what a message may do here, as for `transport.recv`. None is what `serializer` has, which is
            ``"code"`` by default: **whoever has the key can run any code here.**
        prefix: frames before ours in what is received; None is 1 on a ROUTER, its peer's identity, and else
            0. They are not signed.
        max_age: seconds that a message may take, and clocks may differ, where only one side can send.
        not_before: seconds since 1970 in UTC; what was sent earlier is refused where only one side can
            send, since it might be a recording that was read before. None is now.
        sessions: sessions, or senders, that are remembered at most.

    Raises:
        ValueError: there is no key, a key is none, or the socket is of another type.

    Attributes:
        lost: messages that were sent to here and did not come, as far as later ones have shown.
        refused: messages that were refused.

    >>> from threading import Thread
    >>> from canning import new_key
    >>> from transport import fake_pair
    >>> key = new_key()
    >>> here, there = (Channel(socket, key=key) for socket in fake_pair())
    >>> sender = Thread(target=here.send, args=(len,))
    >>> sender.start()
    >>> there.recv(timeout=10)
    <built-in function len>
    >>> sender.join()
    """

    def __init__(self, socket: Any, **options: Unpack[ChannelOptions]) -> None:
        if isinstance(socket, zmq.asyncio.Socket):
            raise TypeError(f"{socket!r} is an asyncio socket: use transport.aio.Channel(...)")
        super().__init__(socket, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, obj: Any, *more: Any, prefix: Prefix = (), timeout: float | None = None) -> Tracker:
        """Send objects as one message under one signature.

        Args:
            obj: what to send.
            *more: further objects of the same message; the receiver passes ``many=True``.
            prefix: frames before ours: the identity for a ROUTER, the topic of a PUB; not signed.
            timeout: seconds to wait for the other side and for room in the queue; None waits for ever.

        Returns:
            What tells when the memory of every frame may be changed. Changed earlier, the message does not
            fit its signature, and is refused.

        Raises:
            SerializationError: an object cannot be sent; nothing was.
            TransportTimeout: the time ran out; no object was sent, and the channel can be used as before.
            TransportError: this socket only receives, or has no request to answer.
        """
        check_timeout(timeout)
        deadline = Deadline(timeout)
        try:
            tracker: Tracker = self._run(self._sending((obj, *more), prefix), deadline)
        except zmq.Again:
            raise send_timeout(self.socket, timeout or 0.0) from None
        return tracker

    def recv(
        self,
        *,
        many: bool = False,
        g: dict[str, Any] | None = None,
        writable: bool = False,
        alias: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Receive the object of one message; `many`, `g`, `writable` and `alias` as for `transport.recv`.

        Whatever is raised but `zmq.ZMQError`, the next message can be received. On a REP socket
        `RefusedMessage` says that the request was answered already.

        Args:
            many: return all objects of the message, in a list.
            g: the namespace for functions that travelled by value, and for references.
            writable: copy what would be read-only.
            alias: over ``inproc://``, give writable arrays on the sender's own memory.
            timeout: seconds to wait for a message; None waits for ever.

        Returns:
            The object, or a list of objects with many; with a prefix, ``(prefix frames, that)``.

        Raises:
            RefusedMessage: a message came that nobody with the key meant for here and now.
            MessageError: a message came and is not what was asked for.
            PeerRefused: the other side was replaced, and has not read the last message that was sent to it.
            SessionLost: the other side has forgotten this one, and cannot know whether it has read that.
            TransportTimeout: the time ran out.
            TransportError: this socket only sends.
        """
        check_timeout(timeout)
        deadline = Deadline(timeout)
        try:
            return self._run(self._receiving(self._reading(many, g, writable, alias)), deadline)
        except zmq.Again:
            raise recv_timeout(self.socket, timeout or 0.0) from None

    def _run(self, steps: Steps, deadline: Deadline) -> Any:
        """Take the steps of a conversation; raises `zmq.Again` when the deadline passed."""
        result: Any = None
        while True:
            try:
                step = steps.send(result)
            except StopIteration as done:
                return done.value
            if isinstance(step, Push):
                result = None
                try:
                    self._push(step, deadline)
                except zmq.Again as error:
                    steps.throw(error)
            else:
                result = self._pull(step, deadline)

    def _push(self, step: Push, deadline: Deadline) -> None:
        socket, parts = self.socket, step.parts
        if step.control:
            with contextlib.suppress(zmq.ZMQError):  # whoever asked is gone, or takes no answer
                push(socket, parts, zmq.NOBLOCK)
            return
        retry(socket, zmq.POLLOUT, lambda: push(socket, parts, zmq.NOBLOCK), deadline)

    def _pull(self, step: Pull, deadline: Deadline) -> list[zmq.Frame] | None:
        socket = self.socket
        try:
            return retry(socket, zmq.POLLIN, lambda: pull(socket, zmq.NOBLOCK), deadline.within(step.seconds))
        except zmq.Again:
            if deadline.passed:
                raise
            return None
