"""Send and receive objects on any ZeroMQ socket."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Never, TypeVar, Unpack, overload

import numpy.typing as npt
import zmq

from canning import Serializer
from canning.arguments import check_callable
from canning.errors import shorten
from canning.options import unknown_option
from canning.progress import OnProgress
from canning.wire.keys import KeyOption

from .checks import RECEIVERS_OWN, SENDERS_OWN, Prefix, Trust, check_objects
from .incoming import unpack
from .kinds import KNOWN, learn, with_hint
from .multipart import SocketLike, push
from .outgoing import COPY_BELOW, pack
from .pool import Pool
from .progress import unpack_watched
from .reading import reading
from .receiving import ReceiverOptions, take_now
from .sending import ORDINARY, Sending, send_now
from .tracker import Tracker

if TYPE_CHECKING:
    from .shared import ForReaders, SharedArena, SharedMemory

Prefixed = Literal[1, 2, 3]
Into = TypeVar("Into", bound=npt.NDArray[Any])


class RecvOptions(ReceiverOptions, total=False):
    """The options of `recv` that do not change the type of its result."""

    flags: int
    on_progress: OnProgress | None


def send(
    socket: SocketLike,
    obj: Any,
    *more: Any,
    prefix: Prefix = (),
    serializer: Serializer | None = None,
    key: KeyOption = None,
    timeout: float | None = None,
    flags: int = 0,
    copy: bool = False,
    copy_threshold: int = COPY_BELOW,
    arena: SharedArena | ForReaders | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    **unknown: Never,
) -> Tracker:
    """Send objects as one message, without copying their arrays and buffers.

    Args:
        socket: any ``zmq.Socket``, or an end of `fake_pair`.
        obj: the object to send.
        *more: further objects of the same message; the receiver passes ``many=True``.
        prefix: frames to put first: the identity for a ROUTER, the topic of a PUB; one ``bytes`` or several.
        serializer: turns objects into frames; canning's default if None.
        key: signs the message: `bytes` of 16 or more, or the path of a file that holds them. None leaves that
            to `serializer`, unsigned by default. `Sender` prepares it once for many messages.
        timeout: seconds to wait for room in the queue or for a peer; None waits as the socket is set
            (``SNDTIMEO``), 0 tries once.
        flags: ``zmq.NOBLOCK`` raises ``zmq.Again`` at once instead of waiting, whatever timeout says.
        copy: copy large frames once, into memory that is used again, so that you may change the objects as
            soon as `send` has returned, as a camera does. Without it, do not change them until the tracker
            is done.
        copy_threshold: smaller frames are always copied, and free at once; 0 copies none.
        arena: put large payloads into shared memory, and send only their location; the receiver must be on
            this host, and pass ``shared_memory=True``. What is too small for that, or finds no room, is
            copied as with `copy`.
        on_progress: called with the bytes that have left this process and the bytes of the message. `send`
            then returns when all bytes have left, or when the timeout is over (at once with flags); the
            tracker tells which. Large frames are sent in parts, whatever the transport. Over ``inproc://``
            the whole message is reported at once.
        progress: show a bar, for which rich must be installed; waits as with `on_progress`.
        **unknown: refused, with an error that names similar options.

    Returns:
        A tracker, which tells when you may change the objects.

    Raises:
        TypeError: `socket` is not a socket, or an option is unknown.
        TransportError: a socket of this type cannot send, or not now, or needs a `prefix`; nothing was sent.
        SerializationError: an object cannot be sent; nothing was sent.
        TransportTimeout: the time ran out; nothing was sent, and the socket can be used as before.
        zmq.ZMQError: as pyzmq raises it.

    After Ctrl-C, the socket can still be used: the message left complete, or `recv` skips it. A script may
    end right after `send`: the interpreter waits until the messages have left, see `drain`.

    >>> from transport import fake_pair, recv
    >>> here, there = fake_pair()
    >>> tracker = send(here, "one", "two", prefix=b"numbers")
    >>> recv(there, trust="code", prefix=1, many=True)
    ([b'numbers'], ['one', 'two'])
    """
    given = prefix != () or serializer is not None or key is not None or timeout is not None or flags or copy
    if given or arena is not None or on_progress is not None or progress or copy_threshold != COPY_BELOW:
        how = Sending(
            prefix, serializer, key, copy, copy_threshold, arena, timeout, flags, on_progress, progress
        )
    else:
        how = ORDINARY
    try:
        if unknown:
            raise unknown_option(send, unknown, elsewhere=SENDERS_OWN)
        if more:
            check_objects(more)
        kind = KNOWN.get(id(socket)) or learn(socket, "send", obj)
        if kind.asynchronous:
            raise _not_blocking(socket, "send")
        if kind.simple and how is ORDINARY:  # most messages: 0.6 µs less
            parts, tracker, _ = pack((obj, *more), (), None, None, COPY_BELOW, b"", socket)
            try:
                push(socket, parts, 0)
            except zmq.ZMQError as error:
                raise with_hint(error, socket) from None
            return tracker
        return send_now(socket, kind, (obj, *more), how)
    except Exception as error:
        shorten(error)
        raise error


@overload
def recv(
    socket: SocketLike,
    *,
    into: Into,
    prefix: Literal[0] = ...,
    many: Literal[False] = ...,
    **options: Unpack[RecvOptions],
) -> Into: ...
@overload
def recv(
    socket: SocketLike,
    *,
    into: Into,
    prefix: Prefixed,
    many: Literal[False] = ...,
    **options: Unpack[RecvOptions],
) -> tuple[list[bytes], Into]: ...
@overload
def recv(
    socket: SocketLike, *, many: Literal[True], prefix: Literal[0] = ..., **options: Unpack[RecvOptions]
) -> list[Any]: ...
@overload
def recv(
    socket: SocketLike, *, many: Literal[True], prefix: Prefixed, **options: Unpack[RecvOptions]
) -> tuple[list[bytes], list[Any]]: ...
@overload
def recv(
    socket: SocketLike,
    *,
    prefix: Literal[0] = ...,
    many: Literal[False] = ...,
    into: None = ...,
    **options: Unpack[RecvOptions],
) -> Any: ...
@overload
def recv(
    socket: SocketLike,
    *,
    prefix: Prefixed,
    many: Literal[False] = ...,
    into: None = ...,
    **options: Unpack[RecvOptions],
) -> tuple[list[bytes], Any]: ...
@overload
def recv(
    socket: SocketLike,
    *,
    prefix: int = ...,
    many: bool = ...,
    into: npt.NDArray[Any] | None = ...,
    **options: Unpack[RecvOptions],
) -> Any: ...


def recv(
    socket: SocketLike,
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
    into: npt.NDArray[Any] | None = None,
    pool: Pool | None = None,
    timeout: float | None = None,
    flags: int = 0,
    on_progress: OnProgress | None = None,
    **unknown: Never,
) -> Any:
    """Receive the object of one message.

    Large arrays are views of the received memory, and writable. Over ``inproc://`` they are read-only, since
    they may be views of the sender's own memory.

    Args:
        socket: any ``zmq.Socket``, or an end of `fake_pair`.
        *given: refused: pass options by name.
        trust: what a message may do here. ``"data"`` reads plain data, arrays and the classes that you allow,
            and runs nothing. ``"code"`` reads it as pickle does, which can run anything: use it only if you
            trust everyone who can send to this socket, or who has the key. None (default) is ``"data"``
            without a key; **with a key**, the serializer's or `key`, it is the trust of `serializer`, which
            is ``"code"`` by default.
        allow: classes, or their dotted names, that a message may contain under ``"data"``, in addition to
            those that `serializer` allows: dataclasses, attrs classes, named tuples and enums. Their fields
            are set one by one.
        prefix: number of frames that come first: 1 for the identity on a ROUTER (2 if the peer is a REQ,
            which adds an empty frame), or for the topic on a SUB.
        many: return all objects of the message, in a list.
        g: the namespace for functions that were sent by value, and for references.
        writable: copy arrays that would be read-only.
        alias: over ``inproc://``, return writable arrays on the sender's own memory.
        shared_memory: read messages whose payload is in a `SharedArena` of a process of this host. Their
            arrays are read-only, since others may read the same memory; with `writable`, this process gets
            its own copy of each page that it writes to.
        serializer: turns frames into objects; canning's default if None.
        key: refuses messages that are not signed with it, before reading anything. One signature must cover
            the whole message, as `send` makes it. None uses the key of `serializer`, which has none by
            default. A replayed message is accepted: `Channel` refuses those.
        into: an array of the same dtype and shape, which receives the array of the message and is returned.
            After an error, its contents may have changed.
        pool: provides the memory of large arrays, and reuses it when they are gone.
        timeout: seconds to wait for a message; None waits as the socket is set (``RCVTIMEO``), 0
            tries once.
        flags: ``zmq.NOBLOCK`` raises ``zmq.Again`` at once instead of waiting, whatever timeout says.
        on_progress: called with the bytes that are in place and the bytes of the message. ZeroMQ delivers a
            message only when it is complete, so nothing is reported before: the sender's `on_progress`
            reports the bytes that have left.
        **unknown: refused, with an error that names similar options.

    Returns:
        The object, or a list of objects with many; with a prefix, ``(prefix frames, that)``.

    Raises:
        TypeError: `socket` is not a socket, or an option is unknown.
        TransportError: a socket of this type cannot receive, or not now, or needs a `prefix`.
        ValueError: `trust` is neither of the two, or a key is not valid; nothing was received.
        TransportTimeout: the time ran out, and the socket can be used as before.
        MessageError: a message does not match your arguments; its frames are in ``.frames``.
        RefusedMessage: a `MessageError` for a message that is not signed with the key.
        zmq.ZMQError: as pyzmq raises it.

    After Ctrl-C, the socket can still be used; the message that was being received may be lost completely.

    >>> from transport import fake_pair, send
    >>> here, there = fake_pair()
    >>> tracker = send(here, {"answer": 42})
    >>> recv(there, trust="code", timeout=1)
    {'answer': 42}
    """
    try:
        if unknown or given:
            raise unknown_option(recv, unknown, given=given, elsewhere=RECEIVERS_OWN)
        kind = KNOWN.get(id(socket)) or learn(socket, "recv")
        if kind.asynchronous:
            raise _not_blocking(socket, "recv")
        how = reading(
            trust=trust,
            allow=allow,
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
        if on_progress is not None:
            check_callable("on_progress", on_progress)
        frames = take_now(socket, kind, how, timeout, flags)
        return unpack(frames, how) if on_progress is None else unpack_watched(frames, how, on_progress)
    except Exception as error:
        shorten(error)
        raise error


def _not_blocking(socket: object, name: str) -> TypeError:
    return TypeError(f"{socket!r} is an asyncio socket: use `await transport.aio.{name}(...)`")
