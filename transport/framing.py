"""Objects to the parts of a ZeroMQ message, and received frames to objects; no socket is touched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import zmq

from canning import Serializer, default_serializer, split
from canning.errors import CanningError

from .checks import Prefix, Trust, prefix_frames
from .errors import MessageError
from .tracker import DONE, Tracker

Frame = bytes | bytearray | memoryview
Received = Any  # zmq.Frame, whose stubs do not show that it has the buffer protocol

COPY_BELOW: Final = 256 * 1024
"""Frames below this many bytes are copied on sending.

ZeroMQ hands memory back through a thread of pyzmq's, which contends for the interpreter lock. Round trips
between two processes over tcp (median, µs, copied against uncopied): one frame of 100 kB 162 and 191, 256
kB 223 and 245, 512 kB 304 and 301, 1 MB 448 and 414; twenty frames of 64 kB 970 and 1040, 256 kB 2620 and
2390, 1 MB 15400 and 9400. Measured on 2 cores of an AMD EPYC; ipc is alike.
"""

COPY_AT_MOST: Final = 8 * 1024 * 1024
"""Bytes of one message that are copied on sending for the sake of speed; of larger messages only the
smallest frames are, so that a message of many small frames does not take its memory twice."""

OWN_BELOW: Final = 16 * 1024
"""Received frames of fewer bytes are copied into memory of their own.

ZeroMQ reads from a connection in batches of 8 KiB, and frames up to that size are slices of them, at any
address: 20,000 kept frames of 64 B held 175 MB, copied 3 MB. A copy of 16 KiB takes 2.6 µs; to use the
frame in place, and to ask where it came from first, 4.4. From 9 kB on a frame is an allocation of its own
and pins nothing else.
"""


class Outgoing(NamedTuple):
    """A message ready for a socket, and what tells when its memory is free."""

    parts: list[Any]
    tracker: Tracker


class Reading(NamedTuple):
    """How the receiver wants its objects."""

    prefix: int = 0
    many: bool = False
    g: dict[str, Any] | None = None
    writable: bool = False
    alias: bool = False
    serializer: Serializer | None = None
    trust: Trust = "data"


def pack(
    objects: Sequence[Any], prefix: Prefix, serializer: Serializer | None, copy_threshold: int
) -> Outgoing:
    """Make one message of prefix frames and objects.

    Raises:
        SerializationError: an object cannot be sent.
        TypeError: a prefix frame is not bytes.
    """
    leading = prefix_frames(prefix) if prefix or prefix == b"" else []
    serialize = (serializer or default_serializer).serialize_object
    frames: list[Any] = serialize(objects[0])
    for obj in objects[1:]:
        frames += serialize(obj)
    sizes = list(map(len, frames))
    if sum(sizes) > COPY_AT_MOST:
        copy_threshold = min(copy_threshold, OWN_BELOW)
    if max(sizes) < copy_threshold:
        return Outgoing([*leading, *frames] if leading else frames, DONE)
    return _share(leading, frames, copy_threshold)


def _share(leading: list[bytes], frames: list[Any], copy_threshold: int) -> Outgoing:
    parts: list[Any] = list(leading)
    views = []
    for frame in frames:
        if len(frame) < copy_threshold:
            parts.append(frame)
        else:
            # A view of its own for each frame: its end is what the tracker waits for.
            view = memoryview(frame)
            views.append(view)
            parts.append(zmq.Frame(view, copy=False))
    return Outgoing(parts, Tracker(views))


def unpack(received: Sequence[Received], how: Reading) -> Any:
    """Read what `transport.recv` returns out of the frames of one message.

    Raises:
        MessageError: the frames do not hold what how asks for.
    """
    count = how.prefix
    if not count:
        return _read(own(received, how.alias), [], how)
    prefix = [frame.bytes for frame in received[:count]]
    return prefix, _read(own(received[count:], how.alias), prefix, how)


def own(received: Sequence[Received], alias: bool = False) -> list[Frame]:
    """Give frames that pin no other message, nor write into the sender's memory unless alias allows it."""
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


def _read(frames: list[Frame], prefix: list[bytes], how: Reading) -> Any:
    if not frames:
        raise MessageError(
            f"the message has {len(prefix)} frames, and prefix={how.prefix} leaves none for an object",
            frames,
            prefix,
        )
    try:
        obj, rest = _read_objects(frames, how)
    except Exception as error:
        # A registered type's code can raise anything; the message was taken, and must not be lost.
        detail = f": {error}" if isinstance(error, CanningError) else ""
        raise MessageError(
            f"the message ({_describe(frames)}) could not be read: {type(error).__name__}{detail}; "
            "its frames are in .frames of this error",
            frames,
            prefix,
        ) from error
    if rest:
        raise MessageError(
            f"the message holds {_count(frames)} objects ({_describe(frames)}) and recv was to return one: "
            "pass many=True; its frames are in .frames of this error",
            frames,
            prefix,
        )
    return obj


def _read_objects(frames: list[Frame], how: Reading) -> tuple[Any, Sequence[Any]]:
    reader = _reader(how)
    if not how.many:
        return reader.deserialize_object(frames, how.g)
    objects = []
    rest: list[Any] = frames
    while rest:
        obj, rest = reader.deserialize_object(rest, how.g)
        objects.append(obj)
    return objects, rest


def _reader(how: Reading) -> Serializer:
    reader = how.serializer or _READERS[how.trust]
    if reader.trust != how.trust or (how.writable and not reader.writable):
        return reader.evolve(trust=how.trust, writable=how.writable or reader.writable)
    return reader


_READERS: Final = {"code": default_serializer, "data": default_serializer.evolve(trust="data")}


def _count(frames: list[Frame]) -> str:
    try:
        return str(len(split(frames)))
    except CanningError:
        return "one object, and then frames that are not"


def _describe(frames: list[Frame]) -> str:
    return f"{len(frames)} frames, {sum(map(len, frames)):,} bytes"
