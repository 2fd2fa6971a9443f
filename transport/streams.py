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
import weakref
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import zmq

from canning.memory.buffers import aligned_empty
from canning.progress import OnProgress

from .checks import Prefix, prefix_frames
from .errors import TransportError
from .events import note
from .incoming import Arrived, Received, unpack_streamed
from .joining import Array, allocator
from .lazy import Rest, read_early
from .reading import Reading
from .steps import Pull, Push, Steps, push_control, run
from .stream_parts import (
    DROP,
    OPEN,
    PART,
    PART_OF,
    PIECES,
    PROBE,
    TOO_LARGE,
    UNKNOWN,
    Arriving,
    Head,
    Leaving,
    grant,
    parse_head,
    refuse,
)
from .waiting import Deadline, seconds_of
from .windows import Paths

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
        self._given: weakref.WeakValueDictionary[bytes, Arriving] = weakref.WeakValueDictionary()
        self._paths = Paths(_AT_ONCE)
        self._ended: deque[tuple[bytes, int]] = deque(maxlen=_ENDED)
        self._kept = 0  # bytes of streams in the inbox
        self._listened = 0.0  # seconds that somebody was here to hear of a stream
        self._looked = time.monotonic()

    def run(self, socket: Any, steps: Steps, timeout: float | None, setting: str) -> Any:
        """Run steps on a blocking socket, for as long as timeout or a setting of the socket allows.

        Raises:
            zmq.Again: the time is over.
        """
        return run(socket, steps, Deadline(seconds_of(socket, timeout, setting)))

    async def run_later(self, socket: Any, steps: Steps, timeout: float | None, setting: str) -> Any:
        """Do the same on an asyncio socket."""
        from .awaiting import Runner  # imports asyncio: see `waiting.pause`

        if self._runner is None:
            self._runner = Runner()
        return await self._runner.run_within(socket, steps, seconds_of(socket, timeout, setting))

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
                push_control(socket, leaving.message(DROP))

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
                raise TransportError(leaving.why_refused(socket))
            if len(self.inbox) >= _WAITING:
                raise TransportError(
                    f"{_WAITING} messages have come to {socket!r}: receive them before you send"
                )

    # -- to receive

    def expect(self, how: Reading) -> None:
        """Take streams, within the limits of a receiver."""
        self._how = how

    def receiving(self, how: Reading) -> Steps:
        """Receive a message: the frames of an ordinary one, `Arrived` with those of a stream.

        If it may be lazy, it can be a stream that is still arriving: `unpack` takes each of these.
        """
        try:
            while not self.inbox:
                if how.lazy and (early := self._early()):
                    return early
                received = yield Pull(_TICK if self._arriving else None, self._most(how))
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

    def _early(self) -> Arriving | None:
        """Give a stream that has all but its arrays; from now on, it lives as long as one of these."""
        for stream, arriving in self._arriving.items():
            if arriving.is_early():
                arriving.give_back()
                self._given[stream] = self._arriving.pop(stream)
                return arriving
        return None

    def _most(self, how: Reading) -> int | None:
        return None if how.most is None else max(how.most, self.leading + PIECES)

    def waiting(self, arriving: Arriving, end: int, how: Reading) -> Steps:
        """Receive until so much of a stream is there that was given."""
        while arriving.received < end:
            if arriving.ended:
                raise TransportError(f"this array will never come: {arriving.ended}")
            if len(self.inbox) >= _WAITING:
                raise TransportError(f"{_WAITING} messages have come: receive them before you go on waiting")
            received = yield Pull(_TICK, self._most(how))
            if received is not None:
                yield from self._take(received, None)
            self._expire()

    def unpack(
        self, socket: Any, received: list[Received] | Arrived | Arriving, how: Reading, asynchronous: bool
    ) -> Any:
        """Read what `receiving` returned."""
        if not isinstance(received, Arriving):
            return unpack_streamed(received, how)
        run = self.run_later if asynchronous else self.run
        return read_early(Rest(received, socket, run, self.waiting, how, asynchronous))

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
        arriving = self._arriving.get(head.stream) or self._given.get(head.stream)
        if arriving is None:
            if head.kind == OPEN:
                return self._open(head, leading, rest, into)
            if head.kind in (PART_OF, PROBE):
                ended = dict(self._ended).get(head.stream)
                return refuse(head, UNKNOWN) if ended is None else grant(head, ended, ended)
            return None
        arriving.heard = self._listened
        if head.kind == DROP:
            self._end(head.stream, "its sender gave up")
        elif head.kind in (OPEN, PROBE):
            arriving.credit.grant(arriving.received)
            return grant(head, arriving.received, arriving.credit.granted)
        elif head.kind == PART_OF:
            return self._put(head, arriving, leading, rest)
        return None

    def _open(
        self, head: Head, leading: list[bytes], rest: list[Received], into: Array | None
    ) -> Head | None:
        """Begin to receive a stream; None if it has to wait, its sender will ask again."""
        how = self._how
        others = [*self._arriving.values(), *self._given.values()]
        if how is None or len(others) >= _AT_ONCE:
            return None
        size = len(rest[0]) if len(rest) == 1 else 0
        if not size or size % 8:
            return refuse(head, TOO_LARGE)
        most = math.inf if how.most is None else how.most - how.prefix
        limit = math.inf if how.most is None else how.reader.limits.message_bytes
        count = size // 8
        lengths = struct.unpack(f"<{count}Q", rest[0].bytes) if count <= most else ()  # ints of 32 bytes each
        total = sum(lengths)
        if not total or total > limit:
            note("refused", f"a stream of {total:,} bytes in {count} frames; see canning.Limits")
            return refuse(head, TOO_LARGE)
        if total + self._kept + sum(each.total for each in others) > limit:
            return None
        if count + sum(each.count for each in others) > most:
            return None
        large = allocator(None, how.pool)
        memory = None if self._arriving else into
        arriving = Arriving(
            lengths,
            self._paths.to(b"".join(leading)),
            lambda size: large(size) if size >= PART else aligned_empty(size),
            memory,
        )
        arriving.heard = self._listened
        self._arriving[head.stream] = arriving
        return grant(head, 0, arriving.credit.grant(arriving.received) or 0)

    def _put(self, head: Head, arriving: Arriving, leading: list[bytes], rest: list[Received]) -> Head | None:
        """Take a part of a stream."""
        try:
            fits = arriving.take(head, rest)
        except (MemoryError, OverflowError, ValueError):
            note("refused", f"there is no memory for a stream of {arriving.total:,} bytes")
            fits = False
        if not fits:
            self._end(head.stream, "it does not fit, or there is no memory for it")
            return refuse(head, TOO_LARGE)
        limit = arriving.credit.grant(arriving.received)
        arriving.leading = leading
        given = head.stream in self._given
        if arriving.received == arriving.total:
            self._end(head.stream)
            self._ended.append((head.stream, arriving.total))
            if not given:
                self.inbox.append(Arrived(arriving.frames(), leading))
                self._kept += arriving.total
        elif given:
            self._changed()
        return None if limit is None else grant(head, arriving.received, limit)

    def _expire(self) -> None:
        """Drop the streams whose senders have gone, and free their memory, also while others go on talking.

        Of a pause in which nobody received only a tick counts: what was sent in it may be in the socket.
        """
        now = time.monotonic()
        self._listened += min(now - self._looked, _TICK)
        self._looked = now
        for stream, arriving in [*self._arriving.items(), *self._given.items()]:
            if self._listened - arriving.heard > _PATIENCE:
                self._end(stream, "nothing was heard of its sender for too long")
                note("cut", f"a stream ended after {arriving.received:,} of {arriving.total:,} bytes")

    def _end(self, stream: bytes, why: str = "") -> None:
        """Take no more of a stream."""
        arriving = self._arriving.pop(stream, None) or self._given.pop(stream)
        arriving.ended = why
        arriving.credit.close()
        self._changed()

    def _changed(self) -> None:
        """Wake the other calls: what they wait for may have come."""
        if self._runner is not None:
            self._runner.changed()
