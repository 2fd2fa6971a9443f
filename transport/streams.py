"""Large messages as streams: parts that the receiver grants, and copies to their place when they come.

Both ends take part: the receiver says how far the sender may send, so what is on its way is bounded, and
small messages pass in between. A call that waits on a socket, to send or to receive, takes everything that
comes there: streams in either direction go on, and messages for the other call wait in `Streams.inbox`.

The sender keeps the message until the receiver has all of it. If it hears nothing, it asks how much is there,
and goes on from that byte, since parts are lost with a connection. What either side says may be lost too; the
next question mends that.
"""

from __future__ import annotations

import math
import struct
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import zmq

from canning.memory.buffers import aligned_empty
from canning.progress import OnProgress

from .checks import Prefix, prefix_frames
from .errors import TransportError
from .events import note
from .incoming import Arrived, Received
from .joining import Array, allocator
from .reading import Reading
from .steps import Pull, Push, Steps, push_control, run
from .stream_parts import (
    DROP,
    GRANT,
    OPEN,
    PART,
    PART_OF,
    PIECES,
    PROBE,
    REFUSE,
    TOO_LARGE,
    UNKNOWN,
    Arriving,
    Head,
    Leaving,
    parse_head,
)
from .waiting import Deadline

if TYPE_CHECKING:
    from .awaiting import Runner

_AGAIN: Final = (1.0, 8.0)
"""Seconds without news after which a sender asks, at first and at last."""
_PATIENCE: Final = 30.0
"""Seconds without a word of its sender after which a stream is dropped."""
_TICK: Final = 1.0
_WAITING: Final = 1000
"""Messages that may come to a socket while something is sent on it."""
_AT_ONCE: Final = 64
"""Streams that may arrive at the same time; others wait."""
_ENDED: Final = 64
"""Streams of which it is remembered that they have arrived."""


class Streams:
    """The streams of one socket, in both directions, and what waits to be received.

    Attributes:
        leading: how many frames stand before the head: on a ROUTER the identity.
        inbox: messages that have come, for the next call that receives.
    """

    def __init__(self, code: int) -> None:
        self.leading = 1 if code == zmq.ROUTER else 0
        self.inbox: deque[list[Received] | Arrived] = deque()
        self._runner: Runner | None = None
        self._how: Reading | None = None
        self._leaving: dict[bytes, Leaving] = {}
        self._arriving: dict[bytes, Arriving] = {}
        self._ended: deque[tuple[bytes, int]] = deque(maxlen=_ENDED)
        self._kept = 0  # bytes of streams in the inbox
        self._listened = 0.0  # seconds that somebody was here to hear of a stream
        self._looked = time.monotonic()

    def run(self, socket: Any, steps: Steps, timeout: float | None, setting: str) -> Any:
        """Run steps on a blocking socket, for as long as timeout or a setting of the socket allows.

        Raises:
            zmq.Again: the time is over.
        """
        return run(socket, steps, Deadline(_seconds(socket, timeout, setting)))

    async def run_later(self, socket: Any, steps: Steps, timeout: float | None, setting: str) -> Any:
        """Do the same on an asyncio socket."""
        from .awaiting import Runner  # imports asyncio: see `waiting.pause`

        if self._runner is None:
            self._runner = Runner()
        return await self._runner.run_within(socket, steps, _seconds(socket, timeout, setting))

    def fits(self, prefix: Prefix) -> bool:
        """Tell whether a message with these frames before it can go as a stream."""
        return len(prefix_frames(prefix)) == self.leading

    # -- to send

    def leave(self, leading: list[bytes], frames: Sequence[Any]) -> Leaving:
        """Make a stream of the frames of a message."""
        return Leaving(leading, frames)

    def sending(self, socket: Any, leaving: Leaving, report: OnProgress) -> Steps:
        """Send the frames of a message, and return when the receiver has them."""
        self._leaving[leaving.stream] = leaving
        try:
            yield Push(leaving.opening())
            wait = _AGAIN[0]
            while leaving.received < leaving.total:
                if leaving.sent < leaving.limit:
                    part, end = leaving.next_part()
                    yield Push(part)
                    leaving.sent, wait = end, _AGAIN[0]
                    continue
                yield from self._hearing(socket, leaving, wait)
                wait = min(2 * wait, _AGAIN[1])
                report(leaving.received, leaving.total)
        finally:
            del self._leaving[leaving.stream]
            if leaving.refused is None and leaving.received < leaving.total:
                _drop(socket, leaving)

    def _hearing(self, socket: Any, leaving: Leaving, seconds: float) -> Steps:
        """Wait until the receiver grants more, and ask it if nothing was heard of it for so long."""
        until = time.monotonic() + seconds
        before = leaving.received, leaving.limit, leaving.sent
        while before == (leaving.received, leaving.limit, leaving.sent):
            received = yield Pull(max(0.0, until - time.monotonic()))
            if received is not None:
                yield from self._take(received, None)
                self._expire()
            elif time.monotonic() >= until:
                yield Push(leaving.probing(), control=True)
                return
            if leaving.refused is not None:
                raise _refusal(socket, leaving)
            if len(self.inbox) >= _WAITING:
                raise TransportError(
                    f"{_WAITING} messages have come to {socket!r}: receive them before you send"
                )

    # -- to receive

    def expect(self, how: Reading) -> None:
        """Take streams, within the limits of a receiver."""
        self._how = how

    def receiving(self, how: Reading) -> Steps:
        """Receive a message: the frames of an ordinary one, or `Arrived` with those of a stream."""
        most = None if how.most is None else max(how.most, self.leading + PIECES)
        try:
            while not self.inbox:
                received = yield Pull(_TICK if self._arriving else None, most)
                if received is not None:
                    yield from self._take(received, how.into)
                self._expire()
            return self._oldest()
        except GeneratorExit:  # nothing came until now
            self._expire()
            raise
        finally:
            if how.into is not None:
                for arriving in self._arriving.values():
                    arriving.give_back()

    def _oldest(self) -> list[Received] | Arrived:
        oldest = self.inbox.popleft()
        if isinstance(oldest, Arrived):
            self._kept -= sum(map(len, oldest.frames))
        return oldest

    def _take(self, received: list[Received], into: Array | None) -> Steps:
        """Take a message: it belongs to a stream, or into the inbox."""
        head = parse_head(received[self.leading]) if len(received) > self.leading else None
        if head is None:
            self.inbox.append(received)
            self._changed()
            return
        leading = [frame.bytes for frame in received[: self.leading]]
        rest = received[self.leading + 1 :]
        received.clear()
        leaving = self._leaving.get(head.stream)
        if leaving is not None:
            leaving.hear(head)
            self._changed()
            return
        answer = self._answer(head, leading, rest, into)
        if answer is not None:
            yield Push([*leading, answer.pack()], control=True)

    def _answer(
        self, head: Head, leading: list[bytes], rest: list[Received], into: Array | None
    ) -> Head | None:
        """Take what a sender says, and return what to say to it."""
        arriving = self._arriving.get(head.stream)
        if arriving is None:
            if head.kind == OPEN:
                return self._open(head, rest, into)
            if head.kind in (PART_OF, PROBE):
                ended = dict(self._ended).get(head.stream)
                return _refuse(head, UNKNOWN) if ended is None else _grant(head, ended, ended)
            return None
        arriving.heard = self._listened
        if head.kind == DROP:
            del self._arriving[head.stream]
        elif head.kind in (OPEN, PROBE):
            arriving.grant()
            return _grant(head, arriving.received, arriving.granted)
        elif head.kind == PART_OF:
            return self._put(head, arriving, leading, rest)
        return None

    def _open(self, head: Head, rest: list[Received], into: Array | None) -> Head | None:
        """Begin to receive a stream; None if it has to wait, its sender will ask again."""
        how = self._how
        if how is None or len(self._arriving) >= _AT_ONCE:
            return None
        size = len(rest[0]) if len(rest) == 1 else 0
        if not size or size % 8:
            return _refuse(head, TOO_LARGE)
        most = math.inf if how.most is None else how.most - how.prefix
        limit = math.inf if how.most is None else how.reader.limits.message_bytes
        count = size // 8
        lengths = struct.unpack(f"<{count}Q", rest[0].bytes) if count <= most else ()  # ints of 32 bytes each
        total = sum(lengths)
        if not total or total > limit:
            note("refused", f"a stream of {total:,} bytes in {count} frames; see canning.Limits")
            return _refuse(head, TOO_LARGE)
        others = self._arriving.values()
        if total + self._kept + sum(each.total for each in others) > limit:
            return None
        if count + sum(each.count for each in others) > most:
            return None
        large = allocator(None, how.pool)
        memory = None if into is None or self._arriving else _flat(into)
        arriving = Arriving(
            lengths, lambda size: large(size) if size >= PART else aligned_empty(size), memory
        )
        arriving.heard = self._listened
        self._arriving[head.stream] = arriving
        return _grant(head, 0, arriving.grant() or 0)

    def _put(self, head: Head, arriving: Arriving, leading: list[bytes], rest: list[Received]) -> Head | None:
        """Take a part of a stream."""
        try:
            fits = arriving.take(head, rest)
        except (MemoryError, OverflowError, ValueError):
            note("refused", f"there is no memory for a stream of {arriving.total:,} bytes")
            fits = False
        if not fits:
            del self._arriving[head.stream]
            return _refuse(head, TOO_LARGE)
        limit = arriving.grant()
        if arriving.received == arriving.total:
            del self._arriving[head.stream]
            self._ended.append((head.stream, arriving.total))
            self.inbox.append(Arrived(arriving.frames(), leading))
            self._kept += arriving.total
            self._changed()
        return None if limit is None else _grant(head, arriving.received, limit)

    def _expire(self) -> None:
        """Drop the streams whose senders have gone, and free their memory, also while others go on talking.

        Of a pause in which nobody received only a tick counts: what was sent in it may be in the socket.
        """
        now = time.monotonic()
        self._listened += min(now - self._looked, _TICK)
        self._looked = now
        for stream, arriving in list(self._arriving.items()):
            if self._listened - arriving.heard > _PATIENCE:
                del self._arriving[stream]
                note("cut", f"a stream ended after {arriving.received:,} of {arriving.total:,} bytes")

    def _changed(self) -> None:
        """Wake the other calls: what they wait for may have come."""
        if self._runner is not None:
            self._runner.changed()


def _grant(head: Head, received: int, limit: int) -> Head:
    """Answer a message of a sender; if it is a question, say which."""
    return Head(GRANT, head.stream, received, limit, head.first if head.kind == PROBE else 0)


def _refuse(head: Head, why: int) -> Head:
    return Head(REFUSE, head.stream, why)


def _flat(into: Array) -> Any:
    return into.reshape(-1, order="A").view("u1") if into.flags.forc and into.nbytes else None


def _drop(socket: Any, leaving: Leaving) -> None:
    """Tell the receiver that no more comes, if that can be told now."""
    if not socket.closed:
        view = zmq.Socket.shadow(socket.underlying) if isinstance(socket, zmq.Socket) else socket
        push_control(view, leaving.message(DROP))


def _refusal(socket: object, leaving: Leaving) -> TransportError:
    if leaving.refused == TOO_LARGE:
        why = f"takes no message of {leaving.total:,} bytes: raise its canning.Limits, or send less"
    else:
        why = (
            "does not know the stream that it was sent: it was restarted, or had given up, or the socket has "
            "several peers and needs one; send it again"
        )
    return TransportError(f"the receiver at the other end of {socket!r} {why}; nothing was delivered")


def _seconds(socket: Any, timeout: float | None, setting: str) -> float | None:
    """Return the seconds to wait: timeout, else the socket's own setting, in milliseconds."""
    if timeout is not None:
        return timeout
    milliseconds: int = getattr(socket, setting)
    return None if milliseconds < 0 else milliseconds / 1000
