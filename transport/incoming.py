"""Received frames to objects; no socket is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import zmq

from canning import Serializer, split
from canning.errors import AuthenticationError, CanningError, DeserializationError, is_of_signal
from canning.reading.reader import read_verified
from canning.types.budget import Work
from canning.wire.signing import verify
from canning.wire.trailer import MAGIC, Trailer, count_frames

from .errors import MessageError, RefusedMessage
from .events import note
from .joining import allocator, fill, join_parts
from .reading import Reading

Frame = bytes | bytearray | memoryview
Received = Any  # zmq.Frame, whose stubs do not show that it has the buffer protocol

OWN_BELOW: Final = 16 * 1024
"""Received frames of fewer bytes are copied into memory of their own.

ZeroMQ reads from a connection in batches of 8 KiB, and frames up to that size are slices of them, at any
address: 20,000 kept frames of 64 B held 175 MB, copied 3 MB. A copy of 16 KiB takes 2.6 µs; to use the
frame in place, and to ask where it came from first, 4.4. From 9 kB on a frame is an allocation of its own
and pins nothing else.
"""


_MAGIC: Final = -len(MAGIC)
"""Where the end of a header begins."""


def unpack(received: list[Received], how: Reading) -> Any:
    """Read what `transport.recv` returns out of the frames of one message.

    Raises:
        MessageError: the frames do not hold what how asks for.
    """
    if how.ordinary:
        if len(received) > 1 or len(received[0]) >= OWN_BELOW:
            frames = own(received)
            received.clear()  # so that a part is free when it has been joined
            return read(frames, [], how)
        head = [received[0].bytes]  # most messages: 0.5 µs less
        try:
            if head[0][_MAGIC:] != MAGIC:
                raise _foreign(head[0])
            return read_verified(how.reader, head, None)[0]
        except Exception as error:
            if is_of_signal(error):
                raise
            raise _unreadable(head, [], error) from error
    frames, prefix = take(received, how.prefix, how.alias)
    if how.reader.key is not None:
        frames = authenticate(frames, prefix, how.reader)
    obj = read(frames, prefix, how)
    return (prefix, obj) if how.prefix else obj


def take(received: list[Received], count: int, alias: bool = False) -> tuple[list[Frame], list[bytes]]:
    """Part the frames of objects from `count` prefix frames, and make them our own.

    Raises:
        MessageError: there are no more frames than that.
    """
    prefix = [frame.bytes for frame in received[:count]] if count else []
    frames = own(received[count:] if count else received, alias)
    received.clear()  # so that a part is free when it has been joined
    if not frames:
        raise _unfit(
            f"the message has {len(prefix)} frames, and prefix={count} leaves none for an object",
            frames,
            prefix,
        )
    return frames, prefix


def authenticate(frames: list[Frame], prefix: list[bytes], reader: Serializer) -> list[Frame]:
    """Check that one signature covers all frames; frame 0 becomes memory that nobody else can change.

    Raises:
        RefusedMessage: it does not.
    """
    try:
        return verify(frames, reader.key or (), chained=True)
    except AuthenticationError as error:
        raise refused(frames, prefix, error) from error


def refused(frames: list[Frame], prefix: list[bytes], error: AuthenticationError) -> RefusedMessage:
    """Make the error for a message that nobody with the key meant for here and now."""
    text = f"the message ({_describe(frames)}) is refused: {error}"
    note("refused", text)
    return RefusedMessage(text, frames, prefix)


def own(received: Sequence[Received], alias: bool = False) -> list[Frame]:
    """Return frames that pin no other message, nor write into the sender's memory unless alias allows it."""
    frames: list[Frame] = []
    shared: bool | None = None
    for frame in received:
        if len(frame) < OWN_BELOW:
            frames.append(bytearray(frame) if frames else frame.bytes)
            continue
        if shared is None:
            shared = not alias and _from_this_process(frame)
        frames.append(memoryview(frame).toreadonly() if shared else memoryview(frame))
    return frames


def _from_this_process(frame: zmq.Frame) -> bool:
    """Tell a frame that came without a connection, and so may be memory that its sender holds.

    What came over tcp or ipc carries the properties of the peer's handshake, over inproc none; what is
    sent on loses them. Seen with libzmq 4.3.5 for every socket type and each frame of a message.
    """
    try:
        frame.get("Socket-Type")
    except zmq.ZMQError:
        return True
    return False


def read(frames: list[Frame], prefix: list[bytes], how: Reading) -> Any:
    """Read the object or the objects of a message whose signature, where one is needed, was checked.

    Raises:
        MessageError: the frames do not hold what how asks for.
    """
    trailers = join_parts(frames, allocator(how.into, how.pool), how.joined) if len(frames) > 2 else []
    try:
        obj, rest = _read_objects(frames, how, trailers)
    except Exception as error:
        if is_of_signal(error):
            raise
        raise _unreadable(frames, prefix, error) from error
    if rest:
        raise _unfit(
            f"the message holds {_count(frames)} objects ({_describe(frames)}) and recv was to return one: "
            "pass many=True; its frames are in .frames of this error",
            frames,
            prefix,
        )
    if how.into is None:
        return obj
    if not fill(how.into, obj):
        what = f"{obj.dtype} {obj.shape}" if isinstance(obj, np.ndarray) else type(obj).__name__
        raise _unfit(
            f"into= is an array of {how.into.dtype} {how.into.shape}, and the message holds {what}; "
            "its frames are in .frames of this error",
            frames,
            prefix,
        )
    return how.into


def _unreadable(frames: list[Frame], prefix: list[bytes], error: Exception) -> Exception:
    """Make the error for whatever a registered type's code raised; no message that was taken may be lost."""
    detail = f": {error}" if isinstance(error, CanningError) else ""
    what = f"could not be read: {type(error).__name__}{detail}{_hint(frames, prefix)}"
    return _unfit(
        f"the message ({_describe(frames)}) {what}; its frames are in .frames of this error", frames, prefix
    )


def _unfit(text: str, frames: list[Frame], prefix: list[bytes]) -> MessageError:
    note("unreadable", text)
    return MessageError(text, frames, prefix)


def _hint(frames: list[Frame], prefix: list[bytes]) -> str:
    """Say what helps where objects begin behind the frame where one was looked for, as on a ROUTER or SUB."""
    heads = (number for number, frame in enumerate(frames[:4]) if bytes(frame[-len(MAGIC) :]) == MAGIC)
    first = next(heads, 0)
    return f"; a header is in frame {first} of these: pass prefix={len(prefix) + first}" if first else ""


def _read_objects(
    frames: list[Frame], how: Reading, trailers: Sequence[Trailer | None]
) -> tuple[Any, Sequence[Any]]:
    """Read one object or all of them; `trailers` are those of the first objects, as far as they are known."""
    known = iter(trailers)
    if not how.many:
        _check_head(frames[0])
        return read_verified(how.reader, frames, how.g, None, next(known, None))[:2]
    objects: list[Any] = []
    account = Work(how.reader.limits) if how.reader.trust == "data" else None  # one for all of them
    at = 0
    while at < len(frames):
        _check_head(frames[at])
        trailer = next(known, None)
        count = count_frames(frames[at]) if trailer is None else trailer.frames
        its_own = frames[at : at + count]  # what is left would be copied for each object
        objects.append(read_verified(how.reader, its_own, how.g, account, trailer)[0])
        at += count
    return objects, ()


def _check_head(head: Frame) -> None:
    if head[_MAGIC:] != MAGIC:
        raise _foreign(head)


def _foreign(head: Frame) -> DeserializationError:
    """Make the error for a frame that no `send` has made; what pickle makes of it is nobody's wish.

    It is what is left of a message by CONFLATE, too, or what another library has sent.
    """
    pickled = bytes(head[:1]) == b"\x80" and bytes(head[-1:]) == b"."
    what = "a bare pickle, as `send_pyobj` sends it" if pickled else "none of canning's headers"
    return DeserializationError(
        f"frame 0 is {what}: send with transport.send, or Sender, or receive it with the socket's own calls"
    )


def _count(frames: list[Frame]) -> str:
    try:
        return str(len(split(frames)))
    except CanningError:
        return "one object, and then frames that are not"


def _describe(frames: list[Frame]) -> str:
    return f"{len(frames)} frames, {sum(map(len, frames)):,} bytes"
