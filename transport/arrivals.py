"""The large messages that arrive as streams at one socket: how many, how far, and for how long.

A receiver decides that alone, as a sender may be anybody. All streams together keep to its limits. One that
does not fit waits: its sender asks again. One whose sender is silent ends, and one that stands still ends
when another waits for its room.
"""

from __future__ import annotations

import math
import struct
import time
import weakref
from collections import deque
from typing import Final

from canning.memory.buffers import aligned_empty
from canning.progress import OnProgress

from .events import note
from .incoming import Arrived, Received
from .joining import Array, allocator
from .reading import Reading
from .stream_parts import (
    DROP,
    OPEN,
    PART,
    PART_OF,
    PROBE,
    TOO_LARGE,
    UNKNOWN,
    Arriving,
    Head,
    grant,
    refuse,
)
from .windows import Paths

_PATIENCE: Final = 30.0
"""Seconds without a word of its sender after which a stream is dropped."""
_IDLE: Final = 10.0
"""Seconds in which a stream moves on, by `_PACE`, or is dropped if another waits for its room."""
_PACE: Final = 64 * 1024
_TICK: Final = 1.0
"""Seconds of a pause in which nobody received that count: what was sent in it may be in the socket."""
_AT_ONCE: Final = 64
"""Streams that may arrive at the same time; others wait."""
_ENDED: Final = 64
"""Streams of which it is remembered that they have arrived."""


class Arrivals:
    """The streams that arrive at a socket, and what waits to be received.

    Attributes:
        inbox: messages that have come, for the next call that receives.
    """

    def __init__(self) -> None:
        self.inbox: deque[list[Received] | Arrived] = deque()
        self._how: Reading | None = None
        self._arriving: dict[bytes, Arriving] = {}
        self._given: weakref.WeakValueDictionary[bytes, Arriving] = weakref.WeakValueDictionary()
        self._paths = Paths(_AT_ONCE)
        self._ended: deque[tuple[bytes, int]] = deque(maxlen=_ENDED)
        self._kept = 0  # bytes of streams in the inbox
        self._listened = 0.0  # seconds that somebody was here to hear of a stream
        self._looked = time.monotonic()

    def expect(self, how: Reading) -> None:
        """Take streams, within the limits of a receiver."""
        self._how = how

    def _early(self) -> Arriving | None:
        """Give a stream that has all but its arrays; from now on, it lives as long as one of these."""
        for stream, arriving in self._arriving.items():
            if arriving.is_early():
                arriving.give_back()
                self._given[stream] = self._arriving.pop(stream)
                return arriving
        return None

    def oldest(self, on_progress: OnProgress | None = None) -> list[Received] | Arrived:
        """Take the message from the inbox that came first."""
        oldest = self.inbox[0]
        if isinstance(oldest, Arrived):
            total = sum(map(len, oldest.frames))
            if on_progress is not None:
                on_progress(total, total)
            self._kept -= total
        return self.inbox.popleft()

    def _report(self, on_progress: OnProgress | None) -> None:
        """Report how much is there of the stream that began first."""
        first = next(iter(self._arriving.values()), None)
        if on_progress is not None and first is not None:
            on_progress(first.received, first.total)

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
        if how is None:
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
        room = self._has_room(total, limit, count, most)
        if not room and self._drop_idle():
            room = self._has_room(total, limit, count, most)
        if not room:
            return None
        large = allocator(None, how.pool)
        memory = None if self._arriving else into
        arriving = Arriving(
            lengths,
            self._paths.to(b"".join(leading)),
            lambda size: large(size) if size >= PART else aligned_empty(size),
            memory,
        )
        arriving.heard = arriving.moved = self._listened
        self._arriving[head.stream] = arriving
        return grant(head, 0, arriving.credit.grant(arriving.received) or 0)

    def _has_room(self, total: int, limit: float, count: int, most: float) -> bool:
        """Tell whether another stream of so many bytes and frames may arrive now."""
        others = [*self._arriving.values(), *self._given.values()]
        return (
            len(others) < _AT_ONCE
            and total + self._kept + sum(each.total for each in others) <= limit
            and count + sum(each.count for each in others) <= most
        )

    def _drop_idle(self) -> bool:
        """Drop the streams that stand still, as another one waits for their room; tell if there are any."""
        idle = [
            stream
            for stream, arriving in [*self._arriving.items(), *self._given.items()]
            if self._listened - arriving.moved > _IDLE
        ]
        for stream in idle:
            self._cut(stream, "it stood still for too long, and others waited")
        return bool(idle)

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
        if arriving.received >= arriving.goal:
            arriving.goal, arriving.moved = arriving.received + _PACE, self._listened
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
        """Drop the streams whose senders have gone, and free their memory, also while others talk."""
        now = time.monotonic()
        self._listened += min(now - self._looked, _TICK)
        self._looked = now
        for stream, arriving in [*self._arriving.items(), *self._given.items()]:
            if self._listened - arriving.heard > _PATIENCE:
                self._cut(stream, "nothing was heard of its sender for too long")

    def _cut(self, stream: bytes, why: str) -> None:
        arriving = self._end(stream, why)
        note("cut", f"a stream ended after {arriving.received:,} of {arriving.total:,} bytes: {why}")

    def _end(self, stream: bytes, why: str = "") -> Arriving:
        """Take no more of a stream."""
        arriving = self._arriving.pop(stream, None) or self._given.pop(stream)
        arriving.ended = why
        arriving.credit.close()
        self._changed()
        return arriving

    def _changed(self) -> None:
        """Wake the other calls: what they wait for may have come."""
