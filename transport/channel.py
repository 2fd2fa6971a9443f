"""A conversation over one socket, with messages that can be neither forged nor replayed."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, Unpack

import zmq
import zmq.asyncio

from canning.errors import shorten, shortened

from .checks import Prefix, check_timeout
from .conversation import ChannelOptions, Conversation
from .receiving import ENDING
from .steps import run
from .tracker import Tracker
from .waiting import Deadline, recv_timeout


class Channel(Conversation):
    """Send and receive signed objects, each once and in order.

    A signature refuses forged and changed messages. A channel also refuses recordings, even after a restart,
    messages that arrive out of order, and its own messages if they are sent back. It does not wait for lost
    messages: the next one arrives, and `lost` counts.

    ``for obj in channel:`` receives until the socket or its context is closed. A refused message raises there
    too; you can go on with another loop.

    If both sides can send (PAIR, DEALER, ROUTER, REQ, REP), the first `send` waits until the other side
    receives, since each has to confirm that the other is there now. Both sides need a channel, and one peer
    each, except for ROUTER and REP. If only one side can send (PUSH, PULL, PUB, SUB, XPUB, XSUB), messages
    carry the time, and both clocks must agree to within `max_age`.

    Args:
        socket: any ``zmq.Socket`` of these types, or an end of `fake_pair`. Only the channel may use it from
            here on, one thread at a time; as a context manager, the channel closes it.
        key: a secret that both sides know: `bytes` of 16 or more, or the path of a file that holds them. Of
            several, the first signs, and each is accepted. None uses the key of `serializer`.
        serializer: turns objects into frames and back; canning's default if None.
        trust: what a message may do here, as for `transport.recv`. None uses the trust of `serializer`, which
            is ``"code"`` by default: **anyone with the key can run any code here.**
        prefix: number of frames that come first in received messages; they are not signed. None is 1 on a
            ROUTER, for the identity of the peer, and 0 otherwise.
        max_age: seconds that a message may take, and clocks may differ, if only one side can send.
        not_before: seconds since 1970 in UTC. If only one side can send, earlier messages are refused, since
            they might be recordings of messages already read. None is now.
        sessions: how many sessions, or senders, to remember at most.
        stream: send messages of 32 MiB and more as streams, as `Sender` does; both sides need it, on PAIR,
            DEALER or ROUTER. `send` then returns when the other side has all of such a message.

    Raises:
        ValueError: there is no key, a key is not valid, or the socket is of another type.

    Attributes:
        lost: messages that were sent but did not arrive, as counted from later messages.
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

    @shortened
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
            obj: the object to send.
            *more: further objects of the same message; the receiver passes ``many=True``.
            prefix: frames to put first: the identity for a ROUTER, the topic of a PUB; not signed.
            timeout: seconds to wait for the other side and for room in the queue; None waits without a limit.

        Returns:
            A tracker, which tells when you may change the objects. If you change them earlier, the message
            no longer matches its signature, and is refused.

        Raises:
            SerializationError: an object cannot be sent; nothing was sent.
            TransportTimeout: the time is over; no object was sent, or the error says what became of a stream.
                The channel can be used as before.
            TransportError: this socket only receives, or has no request to answer, or the other side refuses
                a stream.
        """
        try:
            check_timeout(timeout)
            deadline = Deadline(timeout)
            try:
                tracker: Tracker = run(self.socket, self._sending((obj, *more), prefix), deadline)
            except zmq.Again:
                raise self._too_late(timeout) from None
        except Exception as error:
            shorten(error)
            raise error
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

        After any error except `zmq.ZMQError`, you can receive the next message. On a REP socket
        `RefusedMessage` says that the request was answered already.

        Args:
            many: return all objects of the message, in a list.
            g: the namespace for functions that were sent by value, and for references.
            writable: copy arrays that would be read-only.
            alias: over ``inproc://``, give writable arrays on the sender's own memory.
            timeout: seconds to wait for a message; None waits without a limit.

        Returns:
            The object, or a list of objects with many; with a prefix, ``(prefix frames, that)``.

        Raises:
            RefusedMessage: the signature is missing or invalid, or the message is replayed, out of order, or
                for another session.
            MessageError: the message does not match your arguments.
            PeerRefused: the other side was replaced, and has not read your last message.
            SessionLost: the other side has forgotten this session; it may or may not have read your last
                message.
            TransportTimeout: the time is over.
            TransportError: this socket only sends.
        """
        try:
            check_timeout(timeout)
            deadline = Deadline(timeout)
            try:
                return run(self.socket, self._receiving(self._reading(many, g, writable, alias)), deadline)
            except zmq.Again:
                raise recv_timeout(self.socket, timeout or 0.0) from None
        except Exception as error:
            shorten(error)
            raise error

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        with ENDING:
            return self.recv()
