"""Send and receive objects on any ZeroMQ socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

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
from .errors import TransportTimeout
from .framing import COPY_BELOW, pack, sharing_of, unpack
from .multipart import SocketLike, pull, push
from .pool import Pool
from .reading import reading
from .shared import ForReaders, SharedArena, SharedMemory
from .tracker import Tracker
from .waiting import BACKOFF, Deadline
from .watching import unpack_watched, watch

T = TypeVar("T")
_AsyncSocket: Final[type[Any]] = zmq.asyncio.Socket


def send(
    socket: SocketLike,
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
    """Send objects as one message, without copying what is large in them.

    Args:
        socket: any ``zmq.Socket``, or an end of `fake_pair`.
        obj: what to send.
        *more: further objects of the same message; the receiver passes ``many=True``.
        prefix: frames before ours: the identity for a ROUTER, the topic of a PUB; one ``bytes`` or several.
        serializer: how objects become frames; the default one of ``canning`` if None.
        key: signs the message: `bytes` of 16 or more, or the path of a file that holds them. None sends it
            as `serializer` says, unsigned by default. A serializer that is made once saves time.
        timeout: seconds to wait for room in the queue or for a peer; None waits as the socket is set
            (``SNDTIMEO``), 0 tries once.
        flags: ``zmq.NOBLOCK`` raises ``zmq.Again`` at once instead of waiting, whatever timeout says.
        copy_threshold: frames of fewer bytes are copied, and free at once; 0 copies none.
        arena: put large payloads there, and send only where they are; the receiver must be on this host, and
            pass ``shared_memory=True``.
        on_progress: called with the bytes that have left this process and the bytes of the message. `send`
            then returns when all have, or when the timeout is over (with flags at once); the tracker tells
            which. Large frames go in parts, whatever the transport. Over ``inproc://`` all of it is reported
            at once.
        progress: show a bar, for which rich must be installed; waits as with `on_progress`.

    Returns:
        What tells when the memory of every frame may be changed.

    Raises:
        SerializationError: an object cannot be sent; nothing was.
        TransportTimeout: the time ran out; nothing was sent, and the socket can be used as before.
        zmq.ZMQError: as pyzmq raises it.

    An interrupt, as Ctrl-C, leaves the socket usable: the message left as a whole, or `recv` passes over it.

    >>> from transport import fake_pair, recv
    >>> here, there = fake_pair()
    >>> tracker = send(here, "one", "two", prefix=b"numbers")
    >>> recv(there, trust="code", prefix=1, many=True)
    ([b'numbers'], ['one', 'two'])
    """
    if isinstance(socket, _AsyncSocket):
        raise _not_blocking(socket, "send")
    if timeout is not None:
        check_timeout(timeout)
    if flags:
        check_flags(flags)
    sharing = None if arena is None else sharing_of(arena, socket)
    if sharing is not None:
        serializer = sharing.serializer(serializer)
    watched = on_progress is not None or progress
    parts, tracker = pack((obj, *more), prefix, serializer, key, copy_threshold, b"", socket, watched)
    try:
        if timeout is None or flags:
            push(socket, parts, flags)
        else:
            retry(socket, zmq.POLLOUT, lambda: push(socket, parts, zmq.NOBLOCK), Deadline(timeout))
    except BaseException as error:
        if sharing is not None:
            sharing.revoke(parts)
        if timeout is None or flags or not isinstance(error, zmq.Again):
            raise
        raise send_timeout(socket, timeout) from None
    if watched:
        watch(socket, parts, tracker, on_progress, progress, 0.0 if flags else timeout)
    return tracker


def recv(
    socket: SocketLike,
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
    """Receive the object of one message.

    Large arrays are views of the received memory, and writable, except over ``inproc://``: what is
    received there may be the sender's own memory, and is read-only.

    Args:
        socket: any ``zmq.Socket``, or an end of `fake_pair`.
        trust: what a message may do here. ``"data"`` reads plain data, arrays and what `serializer`
            allows, and runs nothing. ``"code"`` reads it as pickle does, which can run anything: only if
            you trust whoever can send to this socket, or with a key, whoever has the key. This decides,
            whatever trust `serializer` has. None (default) is ``"data"`` without a key; **with a key**,
            `serializer`'s own or `key`, it is the trust of the serializer, which is ``"code"`` by default.
        prefix: number of frames before ours, as the identity that a ROUTER receives (1, or 2 from a REQ
            with its empty delimiter) or the topic of a SUB.
        many: return all objects of the message, in a list.
        g: the namespace for functions that travelled by value, and for references.
        writable: copy what would be read-only.
        alias: over ``inproc://``, give writable arrays on the sender's own memory.
        shared_memory: read messages that lie in a `SharedArena` of a process of this host. Their arrays are
            read-only, since others may read the same memory; with writable, pages that are written to become
            our own.
        serializer: how frames become objects; the default one of ``canning`` if None.
        key: refuses whatever is not signed with it, before anything is read; the whole message must be
            under one signature, as `send` makes it. None is the key of `serializer`, which has none by
            default. A message that was recorded is accepted again: `Channel` refuses that.
        into: an array to receive the array of the message into, of the same dtype and shape; it is returned.
            Whatever goes wrong, its contents may have changed.
        pool: where the memory of large arrays comes from, to be used again when they are gone.
        timeout: seconds to wait for a message; None waits as the socket is set (``RCVTIMEO``), 0
            tries once.
        flags: ``zmq.NOBLOCK`` raises ``zmq.Again`` at once instead of waiting, whatever timeout says.
        on_progress: called with the bytes that were put in place and the bytes of the message. ZeroMQ hands
            a message over when it is here as a whole, so that nothing is told before: how much is on its
            way is what the sender's `on_progress` tells.
        progress: show a bar, for which rich must be installed.

    Returns:
        The object, or a list of objects with many; with a prefix, ``(prefix frames, that)``.

    Raises:
        ValueError: trust is neither of the two, or a key is none; nothing was received.
        TransportTimeout: the time ran out, and the socket can be used as before.
        MessageError: a message came and is not what was asked for; it is in ``.frames`` of the error.
        RefusedMessage: such a `MessageError`, for a message that is not signed with the key.
        zmq.ZMQError: as pyzmq raises it.

    An interrupt, as Ctrl-C, leaves the socket usable; the message just being taken may be lost, all of it.

    >>> from transport import fake_pair, send
    >>> here, there = fake_pair()
    >>> tracker = send(here, {"answer": 42})
    >>> recv(there, trust="code", timeout=1)
    {'answer': 42}
    """
    if isinstance(socket, _AsyncSocket):
        raise _not_blocking(socket, "recv")
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
    if timeout is not None:
        check_timeout(timeout)
    if flags:
        check_flags(flags)
    if timeout is None or flags:
        frames = pull(socket, flags, how.most)
    else:
        try:
            frames = retry(socket, zmq.POLLIN, lambda: pull(socket, zmq.NOBLOCK, how.most), Deadline(timeout))
        except zmq.Again:
            raise recv_timeout(socket, timeout) from None
    if on_progress is None and not progress:
        return unpack(frames, how)
    return unpack_watched(frames, how, on_progress, progress)


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


def _not_blocking(socket: object, name: str) -> TypeError:
    return TypeError(f"{socket!r} is an asyncio socket: use `await transport.aio.{name}(...)`")


def send_timeout(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a message that no one took in time."""
    return TransportTimeout(
        f"{socket!r} took no message for {timeout} s: its queue is full or it has no peer; nothing was sent"
    )


def recv_timeout(socket: object, timeout: float) -> TransportTimeout:
    """Make the error for a message that did not come in time."""
    return TransportTimeout(f"no message came to {socket!r} for {timeout} s")
