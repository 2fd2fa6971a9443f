"""Large messages as streams: parts that the receiver grants, and copies to their place when they come.

Both ends take part: the receiver says how far the sender may send, so what is on its way is bounded, and
small messages pass in between. A call that waits on a socket, to send or to receive, takes everything that
comes there: streams in either direction go on, and messages for the other call wait in `Streams.inbox`.

The sender keeps the message until the receiver has all of it. If it hears nothing, it asks how much is there,
and goes on from that byte, since parts are lost with a connection. What either side says may be lost too; the
next question mends that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import zmq

from canning.progress import OnProgress

from .arrivals import Arrivals
from .checks import Prefix, prefix_frames
from .errors import TransportError
from .incoming import Arrived, Received, unpack_streamed
from .joining import Array
from .lazy import Rest, read_early
from .progress import unpack_watched
from .reading import Reading
from .steps import Pull, Push, Steps, push_control, run
from .stream_parts import DROP, PIECES, Arriving, Leaving, parse_head
from .waiting import Deadline, seconds_of

if TYPE_CHECKING:
    from .awaiting import Runner

_AGAIN: Final = (1.0, 8.0)
"""Seconds without news after which a sender asks, at first and at last."""
_TICK: Final = 1.0
_WAITING: Final = 1000
"""Messages that may come to a socket while something is sent on it."""


class Streams(Arrivals):
    """The streams of one socket, in both directions, and what waits to be received.

    Attributes:
        leading: how many frames stand before the head: on a ROUTER the identity.
        runner: what runs the calls on an asyncio socket.
        sorting: steps for what comes into the inbox while something is sent.
    """

    def __init__(self, code: int) -> None:
        super().__init__()
        self.leading = 1 if code == zmq.ROUTER else 0
        self.runner: Runner | None = None
        self.sorting: Callable[[], Steps] | None = None
        self._leaving: dict[bytes, Leaving] = {}

    def run(self, socket: Any, steps: Steps, timeout: float | None, setting: str) -> Any:
        """Run steps on a blocking socket, for as long as timeout or a setting of the socket allows.

        Raises:
            zmq.Again: the time is over.
        """
        return run(socket, steps, Deadline(seconds_of(socket, timeout, setting)))

    async def run_later(self, socket: Any, steps: Steps, timeout: float | None, setting: str) -> Any:
        """Do the same on an asyncio socket."""
        from .awaiting import Runner  # imports asyncio: see `waiting.pause`

        if self.runner is None:
            self.runner = Runner()
        return await self.runner.run_within(socket, steps, seconds_of(socket, timeout, setting))

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
                    leaving.whole = leaving.whole or end == leaving.total
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
                if self.sorting is not None:
                    yield from self.sorting()
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

    def receiving(self, how: Reading) -> Steps:
        """Receive a message: the frames of an ordinary one, `Arrived` with those of a stream.

        If it may be lazy, it can be a stream that is still arriving: `unpack` takes each of these.
        """
        try:
            while not self.inbox:
                if how.lazy and (early := self._early()):
                    return early
                yield from self.hearing(how)
            return self.oldest(how.on_progress)
        except GeneratorExit:  # nothing came until now
            self._expire()
            raise
        finally:
            if how.into is not None:
                for arriving in self._arriving.values():
                    arriving.give_back()

    def hearing(self, how: Reading) -> Steps:
        """Take one message, if one comes: it belongs to a stream, or into the inbox."""
        received = yield Pull(_TICK if self._arriving else None, self._most(how))
        if received is not None:
            yield from self._take(received, how.into)
            self._report(how.on_progress)
        self._expire()

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
            if how.on_progress is not None and isinstance(received, list):
                return unpack_watched(received, how, how.on_progress)
            return unpack_streamed(received, how)
        run = self.run_later if asynchronous else self.run
        return read_early(Rest(received, socket, run, self.waiting, how, asynchronous))

    def take(self, received: list[Received]) -> Steps:
        """Take a message that somebody else has received."""
        yield from self._take(received, None)
        self._expire()

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

    def _changed(self) -> None:
        """Wake the other calls: what they wait for may have come."""
        if self.runner is not None:
            self.runner.changed()
