"""Turn received frames into objects; no socket is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import zmq

from canning import Serializer, split
from canning.errors import AuthenticationError, CanningError, DeserializationError, is_of_signal
from canning.memory.buffers import flat
from canning.reading.reader import read_verified
from canning.types.budget import Work
from canning.wire.keys import verify
from canning.wire.trailer import CHANNEL, FLAGS, MAGIC, SIGNED, Trailer, count_frames, parse

from .errors import MessageError, RefusedMessage
from .events import note
from .joining import allocator, fill, join_parts
from .reading import Reading

Frame = bytes | bytearray | memoryview
Received = Any  # zmq.Frame, whose stubs lack the buffer protocol


class Arrived(NamedTuple):
    """A message that was accepted but not read yet."""

    frames: list[Frame]
    prefix: list[bytes]


OWN_BELOW: Final = 16 * 1024
"""Received frames of fewer bytes are copied into memory of their own.

ZeroMQ reads from a connection in batches of 8 KiB, and frames up to that size are slices of them, at any
address: 20,000 kept frames of 64 B held 175 MB, copied 3 MB. A copy of 16 KiB takes 2.6 µs; to use the
frame in place, and to check its origin first, 4.4. From 9 kB on a frame is an allocation of its own and pins
nothing else.
"""


STREAM: Final = b"\x93CANNED>"
"""The first bytes of each message of a stream."""
_PART_OF_STREAM: Final = "it is a part of a stream: receive it with a Receiver or Channel with stream=True"
_OF_CHANNEL: Final = (
    "this is a message of a transport.Channel: make a Channel here as well, with its key "
    "(transport.aio.Channel on an asyncio socket)"
)
NO_CHANNEL: Final = "it was not sent by a channel: both sides need one"
_MAGIC: Final = -len(MAGIC)
"""Where the end of a header begins."""


def unpack(received: list[Received], how: Reading) -> Any:
    """Read the result of `transport.recv` from the frames of one message.

    Raises:
        MessageError: the frames do not match the options in `how`.
    """
    if how.ordinary:
        if len(received) > 1 or len(received[0]) >= OWN_BELOW:
            frames = detached(received)
            received.clear()  # so that a part is free when it has been joined
            return read(frames, [], how)
        head = [received[0].bytes]  # most messages: 0.5 µs less
        try:
            check_head(head[0], how)
            return read_verified(how.reader, head, None)[0]
        except Exception as error:
            if is_of_signal(error):
                raise
            raise unreadable(head, [], error) from error
    return _unpack(Arrived(*take(received, how.prefix, how.alias)), how)


def unpack_streamed(received: list[Received] | Arrived, how: Reading) -> Any:
    """Do the same as `unpack`; the frames of a stream are ours already."""
    return _unpack(received, how) if isinstance(received, Arrived) else unpack(received, how)


def _unpack(arrived: Arrived, how: Reading) -> Any:
    frames, prefix = arrived
    if how.reader.key is not None:
        frames = authenticate(frames, prefix, how.reader)
    obj = read(frames, prefix, how)
    return (prefix, obj) if how.prefix else obj


def take(received: list[Received], count: int, alias: bool = False) -> tuple[list[Frame], list[bytes]]:
    """Separate the frames of objects from `count` prefix frames, and own their memory.

    Raises:
        MessageError: there are only prefix frames.
    """
    prefix = [frame.bytes for frame in received[:count]] if count else []
    frames = detached(received[count:] if count else received, alias)
    received.clear()  # so that a part is free when it has been joined
    if not frames:
        raise _unfit(
            f"the message has {len(prefix)} frames, and prefix={count} leaves none for an object: pass a "
            "smaller prefix=, or none",
            frames,
            prefix,
        )
    return frames, prefix


def authenticate(
    frames: list[Frame], prefix: list[bytes], reader: Serializer, channel: bool = False
) -> list[Frame]:
    """Check that one signature covers all frames; frame 0 is copied, so that nobody else can change it.

    `channel` says that a channel receives the message.

    Raises:
        RefusedMessage: the signature does not match.
    """
    try:
        return verify(frames, reader.key or (), chained=True)
    except AuthenticationError as error:
        why = _misdirected(frames[0], channel)
        raise refused(frames, prefix, AuthenticationError(why) if why else error) from error


def _misdirected(head: Frame, channel: bool) -> str:
    """Say who else should receive a message that was refused, by what it says of itself."""
    if bytes(head[: len(STREAM)]) == STREAM:
        return _PART_OF_STREAM
    if _is_of_channel(head) == channel:
        return ""
    return NO_CHANNEL if channel else _OF_CHANNEL


def _is_of_channel(head: Frame) -> bool:
    """Tell whether frame 0 says that a channel sent it, as anyone can."""
    try:
        trailer = parse(flat(head))
    except DeserializationError:
        return False
    return trailer is not None and CHANNEL in trailer.extensions


def refused(frames: list[Frame], prefix: list[bytes], error: AuthenticationError) -> RefusedMessage:
    """Make the error for a message whose signature is invalid, or which belongs to another session."""
    text = f"the message ({_describe(frames)}) is refused: {error}"
    note("refused", text)
    return RefusedMessage(text, frames, prefix)


def detached(received: Sequence[Received], alias: bool = False) -> list[Frame]:
    """Return frames that pin no other message, and do not alias the sender's memory unless alias is set."""
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
    """Tell whether a frame came without a connection, and so may be memory that its sender still holds.

    Frames received over tcp or ipc carry the properties of the peer's handshake, over inproc none; forwarded
    frames lose them. Seen with libzmq 4.3.5 for every socket type and each frame of a message.
    """
    try:
        frame.get("Socket-Type")
    except zmq.ZMQError:
        return True
    return False


def read(frames: list[Frame], prefix: list[bytes], how: Reading) -> Any:
    """Read the objects of a message; its signature, if one is needed, was checked before.

    Raises:
        MessageError: the frames do not match the options in `how`.
    """
    trailers = join_parts(frames, allocator(how.into, how.pool), how.joined) if len(frames) > 2 else []
    try:
        obj, rest = _read_objects(frames, how, trailers)
    except Exception as error:
        if is_of_signal(error):
            raise
        raise unreadable(frames, prefix, error) from error
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


def unreadable(frames: list[Frame], prefix: list[bytes], error: Exception) -> Exception:
    """Make the error for any exception of a registered type's code; no received message may be lost."""
    detail = f": {error}" if isinstance(error, CanningError) else ""
    what = f"could not be read: {type(error).__name__}{detail}{_hint(frames, prefix)}"
    return _unfit(
        f"the message ({_describe(frames)}) {what}; its frames are in .frames of this error", frames, prefix
    )


def _unfit(text: str, frames: list[Frame], prefix: list[bytes]) -> MessageError:
    note("unreadable", text)
    return MessageError(text, frames, prefix)


def _hint(frames: list[Frame], prefix: list[bytes]) -> str:
    """Return advice if objects begin one frame later than expected, as on a ROUTER or SUB."""
    heads = (number for number, frame in enumerate(frames[:4]) if bytes(frame[-len(MAGIC) :]) == MAGIC)
    first = next(heads, 0)
    return f"; a header is in frame {first} of these: pass prefix={len(prefix) + first}" if first else ""


def _read_objects(
    frames: list[Frame], how: Reading, trailers: Sequence[Trailer | None]
) -> tuple[Any, Sequence[Any]]:
    """Read one object or all of them; `trailers` holds the trailers of the first objects, if known."""
    known = iter(trailers)
    if not how.many:
        check_head(frames[0], how)
        return read_verified(how.reader, frames, how.g, None, next(known, None))[:2]
    objects: list[Any] = []
    account = Work(how.reader.limits) if how.reader.trust == "data" else None  # one for all of them
    at = 0
    while at < len(frames):
        check_head(frames[at], how)
        trailer = next(known, None)
        count = count_frames(frames[at]) if trailer is None else trailer.frames
        its_own = frames[at : at + count]  # a slice of the rest would be copied for each object
        objects.append(read_verified(how.reader, its_own, how.g, account, trailer)[0])
        at += count
    return objects, ()


def check_head(head: Frame, how: Reading) -> None:
    """Refuse a frame 0 that `send` has not made; a channel has checked its messages, by their key."""
    end = head[FLAGS:]
    if end[_MAGIC:] != MAGIC:
        raise _foreign(head)
    if end[0] & SIGNED and how.reader.key is None and _is_of_channel(head):
        raise DeserializationError(_OF_CHANNEL)


def _foreign(head: Frame) -> DeserializationError:
    """Make the error for a frame that no `send` made; unpickling it would be meaningless.

    CONFLATE leaves such a frame of a message, and other libraries may send one.
    """
    if bytes(head[: len(STREAM)]) == STREAM:
        return DeserializationError(_PART_OF_STREAM)
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
