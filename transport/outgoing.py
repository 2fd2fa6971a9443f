"""Turn objects into the parts of a ZeroMQ message, laid out for their transport."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import zmq

from canning import Serializer, default_serializer
from canning.wire.keys import KeyOption
from canning.writing.draft import FEW, LARGE, PART, Draft, Message, join_small, name_bytes, split_large
from canning.writing.messages import write

from .checks import Prefix, prefix_frames, shared_package
from .exiting import may_share
from .incoming import OWN_BELOW
from .multipart import endpoint_of, stays_here
from .pool import send_empty, warm_empty
from .tracker import DONE, Tracker

if TYPE_CHECKING:
    from .shared import ForReaders, SharedArena

COPY_BELOW: Final = 256 * 1024
"""Frames below this many bytes are copied on sending.

ZeroMQ hands memory back through a thread of pyzmq's, which contends for the interpreter lock. Round trips
between two processes over tcp (median, µs, copied against uncopied): one frame of 100 kB 162 and 191, 256
kB 223 and 245, 512 kB 304 and 301, 1 MB 448 and 414; twenty frames of 64 kB 970 and 1040, 256 kB 2620 and
2390, 1 MB 15400 and 9400. Measured on 2 cores of an AMD EPYC; ipc is alike.
"""

COPY_AT_MOST: Final = 8 * 1024 * 1024
"""Bytes of one message that are copied on sending for speed; of larger messages only the smallest frames
are copied, so that a message of many small frames does not need twice its memory."""

_PARTS: Final = (b"tcp", b"ipc")
"""Transports over which large frames go in parts."""
STREAMED: Final = LARGE
"""Bytes from which a message goes as a stream, between ends that agreed on that. Smaller ones, in one frame,
are faster without: 20 MB over tcp took 16 ms so and 34 as a stream, 40 MB 75 and 57 (medians of 40 and more,
a busy machine)."""
PARTED: Final = 4 * PART
"""Bytes from which a frame is cut into parts when its progress is reported."""
_TO_MANY: Final = frozenset(map(int, (zmq.PUB, zmq.XPUB, zmq.RADIO)))


class Outgoing(NamedTuple):
    """A message ready for a socket, and the tracker that tells when its memory is free.

    The `streamed` frames follow its parts as a stream.
    """

    parts: list[Any]
    tracker: Tracker
    streamed: Sequence[Any] = ()


def pack(
    objects: Sequence[Any],
    prefix: Prefix,
    serializer: Serializer | None,
    key: KeyOption,
    copy_threshold: int,
    extensions: bytes = b"",
    socket: Any = None,
    parted: bool = False,
    copy: bool = False,
    stream: bool = False,
) -> Outgoing:
    """Make one message of prefix frames and objects, and sign the objects if there is a key.

    With `stream` it is laid out as a stream if it is large.

    Raises:
        SerializationError: an object cannot be sent.
        TypeError: a prefix frame is not bytes.
    """
    leading = prefix_frames(prefix) if prefix or prefix == b"" else []
    if key is not None:
        serializer = (serializer or default_serializer).evolve(key=key)
    elif serializer is None:
        serializer = default_serializer
    to = None if serializer.codec or stream else socket  # a codec and a stream get whole buffers

    messages = [for_socket(write(serializer, obj), to, parted) for obj in objects]
    frames: list[Any] = serializer.finish(messages, extensions)
    if len(frames) == 1 and len(frames[0]) < copy_threshold:  # most small messages
        return Outgoing([*leading, *frames] if leading else frames, DONE)
    sizes = list(map(len, frames))
    if stream and sum(sizes) >= STREAMED:
        return Outgoing(leading, DONE, frames)
    if sum(sizes) > COPY_AT_MOST and not copy:
        copy_threshold = min(copy_threshold, OWN_BELOW)
    if max(sizes) < copy_threshold or not may_share():
        return Outgoing([*leading, *frames] if leading else frames, DONE)
    if copy:
        frames = [frame if len(frame) < copy_threshold else _copied(frame) for frame in frames]
    shared = _share(leading, frames, copy_threshold, not stays_here(socket))
    return Outgoing(shared.parts, DONE) if copy else shared


def _copied(frame: Any) -> Any:
    """Copy memory that its owner may change into reused memory."""
    if type(memoryview(frame).obj) is bytes:
        return frame
    room = send_empty(len(frame))
    memoryview(room)[:] = frame
    return room


def for_socket(message: Message, socket: Any, parted: bool = False) -> Message:
    """Lay out the frames of an object for their transport.

    `parted` cuts them into more parts than speed needs, so that progress can be observed.
    """
    if type(message) is not Draft:
        return message
    if len(message.buffers) < FEW and not parted and sum(map(len, message.buffers)) < LARGE:
        return message
    draft = join_small(name_bytes(message), OWN_BELOW, warm_empty)
    if socket is not None and parted and not stays_here(socket):
        return split_large(draft, PARTED)
    large = socket is not None and any(frame.nbytes >= LARGE for frame in draft.buffers)
    return split_large(draft) if large and endpoint_of(socket).startswith(_PARTS) else draft


def sharing_of(arena: SharedArena | ForReaders | None, socket: Any) -> ForReaders | None:
    """Return how to share a message on a socket: most socket types send each message to one receiver."""
    if arena is None:
        return None
    shared = shared_package()
    if isinstance(arena, shared.SharedArena):
        arena = arena.to_unknown() if socket.get(zmq.TYPE) in _TO_MANY else arena.to(1)
    elif not isinstance(arena, shared.ForReaders):
        raise TypeError(
            f"arena= takes a transport.SharedArena, not {type(arena).__name__}: make one with "
            "SharedArena('1GiB'), and keep it"
        )
    return cast("ForReaders", arena)


def _share(leading: list[bytes], frames: list[Any], copy_threshold: int, leaves: bool) -> Outgoing:
    parts: list[Any] = list(leading)
    views = []
    frames.reverse()
    while frames:  # released one by one: for a slice in 12,000 runs they would take 1 % of its memory
        frame = frames.pop()
        if len(frame) < copy_threshold:
            parts.append(frame)
        else:
            # Each frame gets a separate view: the tracker waits for the view's end.
            view = memoryview(frame)
            views.append(view)
            parts.append(zmq.Frame(view, copy=False))
    return Outgoing(parts, Tracker(views, leaves))


def share_last(parts: list[Any], leaves: bool) -> None:
    """Return the last part of a message to ZeroMQ uncopied, so that it tells when the message has left.

    A process that ends before a connection exists loses its messages, and ZeroMQ has no other way to ask for
    a connection. This takes 25 µs, so it is done only for the first message of a socket.
    """
    if may_share():
        view = memoryview(bytes(parts[-1]))
        parts[-1] = zmq.Frame(view, copy=False)
        Tracker([view], leaves)
