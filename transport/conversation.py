"""What a channel does on any socket, as steps that the blocking and the asyncio channel take each in its way.

A generator here yields what it wants of the socket, `Push` or `Pull`, and gets what came of it; so there is
one protocol, and nothing here waits.
"""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections import deque
from collections.abc import Generator
from typing import Any, Final, NamedTuple, Never, TypedDict

import zmq

from canning import Serializer, default_serializer
from canning.arguments import check_number, check_whole
from canning.errors import AuthenticationError, CanningError, shortened
from canning.options import unknown_option
from canning.wire.keys import KeyOption, as_keys
from canning.wire.trailer import CHANNEL, extension, parse

from .checks import Prefix, Trust, check_count, check_serializer, check_trust, prefix_frames
from .errors import MessageError, PeerRefused, SessionLost, TransportError
from .events import note as tell
from .incoming import Frame, authenticate, read, refused, take
from .kinds import learn
from .outgoing import COPY_BELOW, Outgoing, pack
from .reading import Reading, reading
from .sessions import (
    CAST,
    DATA,
    HELLO,
    REFUSED,
    WELCOME,
    Answer,
    Arrivals,
    Count,
    Note,
    Refusal,
    Sessions,
    UnknownSession,
    unpack_note,
)

BOTH_WAYS: Final = frozenset((zmq.PAIR, zmq.DEALER, zmq.ROUTER, zmq.REQ, zmq.REP))
SENDERS: Final = frozenset((zmq.PUSH, zmq.PUB, zmq.XPUB))
RECEIVERS: Final = frozenset((zmq.PULL, zmq.SUB, zmq.XSUB))
_EITHER: Final = frozenset((HELLO, WELCOME, DATA, REFUSED))
_EXPECTED: Final = {
    int(zmq.REQ): frozenset((WELCOME, DATA, REFUSED)),
    int(zmq.REP): frozenset((HELLO, DATA)),
    **{int(kind): frozenset((CAST,)) for kind in RECEIVERS},
}
"""Kinds of messages that may come to a type of socket."""
AGAIN: Final = 1.0
"""Seconds after which a HELLO without an answer is sent again."""
WAITING: Final = 1000
"""Messages that may come in while a HELLO waits for its answer."""


class Push(NamedTuple):
    """Send parts as one message; a `control` message at once or not at all, whatever the socket says."""

    parts: list[Any]
    control: bool = False


class Pull(NamedTuple):
    """Receive a message, or None where none came in so many seconds, or something else has changed."""

    seconds: float | None = None


class Arrived(NamedTuple):
    """A message that was accepted, and not read yet."""

    frames: list[Frame]
    prefix: list[bytes]


class ChannelOptions(TypedDict, total=False):
    """The options of both channels."""

    key: KeyOption
    serializer: Serializer | None
    trust: Trust | None
    prefix: int | None
    max_age: float
    not_before: float | None
    sessions: int


Steps = Generator[Push | Pull, Any, Any]


class Conversation:
    """Be the base of both channels: who signs, who remembers, what is sent and what is accepted.

    Attributes:
        lost: messages that were sent to here and did not come, as far as later ones have shown.
        refused: messages that were refused, those among them that came while a HELLO waited.
    """

    @shortened
    def __init__(
        self,
        socket: Any,
        *,
        key: KeyOption = None,
        serializer: Serializer | None = None,
        trust: Trust | None = None,
        prefix: int | None = None,
        max_age: float = 60.0,
        not_before: float | None = None,
        sessions: int = 10_000,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise unknown_option(type(self), unknown, ChannelOptions.__annotations__)
        check_trust(trust)
        learn(socket, "Channel")
        if serializer is not None:
            check_serializer(serializer)
        made = serializer or default_serializer
        keys = as_keys(key) or made.key
        if keys is None:
            raise ValueError("a channel needs a key: pass key=, or a serializer that has one")
        check_whole("sessions", sessions, "sessions", least=1)
        check_number("max_age", max_age, "seconds")
        if not max_age > 0:
            raise ValueError(f"max_age={max_age!r} is not a positive number of seconds")
        if not_before is not None:
            check_number("not_before", not_before, "seconds since 1970")
        self.socket = socket
        self._kind = int(socket.get(zmq.TYPE))
        if self._kind not in BOTH_WAYS | SENDERS | RECEIVERS:
            raise ValueError(f"{socket!r} is of a type that channels are not made for")
        self._expected = _EXPECTED.get(self._kind, _EITHER)
        self._prefix = (1 if self._kind == zmq.ROUTER else 0) if prefix is None else prefix
        check_count(self._prefix)
        if self._kind == zmq.ROUTER and not self._prefix:
            raise ValueError(
                f"{socket!r} receives the identity of a peer first: prefix=0 leaves no room for it"
            )
        # A key of their own: what channels send is no message of `transport.send`, and the reverse.
        own = tuple(each.derive(b"channel") for each in keys)
        self._serializer = made.evolve(key=own, trust=trust or made.trust)
        self._sessions = Sessions(sessions)
        start = time.time() if not_before is None else not_before
        self._arrivals = Arrivals(sessions, max_age, start)
        self._sent = Count()
        self._inbox: deque[Arrived | TransportError] = deque()
        self.lost = 0
        self.refused = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.socket!r}>"

    def close(self) -> None:
        """Close the socket, which waits for what was sent as it is set (``LINGER``)."""
        self.socket.close()

    # -- to send

    def _sending(self, objects: tuple[Any, ...], prefix: Prefix) -> Steps:
        """Send objects, and return the tracker; before the first, agree with the other side."""
        if self._kind in RECEIVERS:
            raise TransportError(f"{self!r} only receives")
        leading = prefix_frames(prefix)
        if self._kind in SENDERS:
            count = self._sent
            note = Note(CAST, self._sessions.id, counter=count.take(), time=time.time_ns())
        else:
            place = self._place(leading)
            yield from self._agreeing(place, leading)
            route = self._sessions.route(place)
            assert route is not None
            count = route.count
            note = self._sessions.data(place, route)
        try:
            message = self._pack(objects, leading, note)
            yield Push(message.parts)
        except (CanningError, zmq.Again, CancelledError):  # of these it is known that nothing was sent
            count.give_back(note.counter)
            raise
        return message.tracker

    def _agreeing(self, place: bytes, prefix: list[bytes]) -> Steps:
        """Say HELLO until it is known who is there, and keep what else comes meanwhile."""
        lockstep = self._kind == zmq.REQ
        while self._sessions.route(place) is None:
            if self._kind == zmq.REP:
                raise TransportError(f"{self!r} has no request to answer")
            yield Push(self._control(prefix, self._sessions.hello(place)))
            until = time.monotonic() + AGAIN
            while self._sessions.route(place) is None:
                left = until - time.monotonic()
                received = yield Pull(None if lockstep else max(0.0, left))
                if received is not None:
                    yield from self._keeping(received)
                if lockstep or left <= 0:
                    break

    def _keeping(self, received: list[zmq.Frame]) -> Steps:
        """Take in a message that came in place of an answer."""
        arrived: Arrived | TransportError | None
        try:
            arrived = yield from self._taking(received)
        except MessageError:  # it was counted
            return
        except (PeerRefused, SessionLost) as error:
            arrived = error
        if arrived is not None:
            if len(self._inbox) >= WAITING:
                raise TransportError(
                    f"{WAITING} messages have come to {self!r}: receive them before you send"
                )
            self._inbox.append(arrived)
            self._changed()

    def _pack(self, objects: tuple[Any, ...], prefix: list[bytes], note: Note) -> Outgoing:
        extensions = extension(CHANNEL, note.pack())
        return pack(objects, prefix, self._serializer, None, COPY_BELOW, extensions, self.socket)

    def _control(self, prefix: list[bytes], note: Note) -> list[Any]:
        return self._pack((None,), prefix, note).parts

    def _place(self, prefix: list[bytes]) -> bytes:
        """Name who is sent to: only a ROUTER has several, the first frame says which."""
        if self._kind != zmq.ROUTER:
            return b""
        if not prefix:
            raise ValueError(f"{self!r} needs the identity of a peer: pass prefix=")
        return prefix[0]

    # -- to receive

    def _receiving(self, how: Reading) -> Steps:
        """Receive a message that was meant for here and now, and read it."""
        if self._kind in SENDERS:
            raise TransportError(f"{self!r} only sends")
        arrived = None
        while arrived is None:
            if self._inbox:
                kept = self._inbox.popleft()
                if isinstance(kept, TransportError):
                    raise kept
                arrived = kept
                break
            received = yield Pull()
            if received is not None:
                arrived = yield from self._taking(received)
        obj = read(arrived.frames, arrived.prefix, how)
        return (arrived.prefix, obj) if how.prefix else obj

    def _taking(self, received: list[zmq.Frame]) -> Steps:
        """Check a message, answer it where it is a HELLO; return what arrived, None where it was no data."""
        frames: list[Frame] = []
        prefix: list[bytes] = []
        note = None
        try:
            frames, prefix = take(received, self._prefix)
            frames = authenticate(frames, prefix, self._serializer)
            trailer = parse(bytes(frames[0]))
            note = unpack_note(None if trailer is None else trailer.extensions.get(CHANNEL))
            return (yield from self._obeying(note, frames, prefix))
        except (AuthenticationError, MessageError) as error:
            self.refused += 1
            # Who was forgotten should know. A REP has to answer whatever came, but must not say of what it
            # has read, or cannot know, that it is unread.
            unknown = isinstance(error, UnknownSession)
            if unknown or self._kind == zmq.REP:
                notice = self._sessions.refusal(note if unknown else None)
                yield Push(self._control(prefix, notice), control=True)
            if isinstance(error, MessageError):
                raise
            raise refused(frames, prefix, error) from error

    def _obeying(self, note: Note, frames: list[Frame], prefix: list[bytes]) -> Steps:
        """Do what a message asks for that somebody with the key has sent, if it is for here and now."""
        if note.sender == self._sessions.id:
            raise AuthenticationError("it is one of this channel's own, sent back")
        if note.kind not in self._expected:
            raise AuthenticationError("it is of a kind that does not come to a socket of this type")
        if note.kind == CAST:
            self.lost += self._arrivals.accept(note)
            return Arrived(frames, prefix)
        place = self._place(prefix)
        if note.kind == DATA:
            self.lost += self._sessions.accept(note)
            self._sessions.learn(place, note)
            self._changed()
            return Arrived(frames, prefix)
        if note.kind == HELLO:
            yield Push(self._control(prefix, self._sessions.welcome(note)), control=True)
        elif note.kind == WELCOME:
            self._answered(self._sessions.answered(place, note))
        else:
            yield from self._refused(self._sessions.refused(place, note), place, prefix)
        return None

    def _answered(self, answer: Answer) -> None:
        """Go on when an answer to a HELLO has come."""
        self._changed()
        if answer is Answer.REPLACED:
            text = (
                f"another channel is at the other side of {self!r} now, which has not read the last message: "
                "send it again"
            )
            tell("vanished", text)
            raise PeerRefused(text)
        if self._kind == zmq.REQ and answer is not Answer.WELCOME:
            raise AuthenticationError("it does not answer the request, which may have been read")

    def _refused(self, refusal: Refusal, place: bytes, prefix: list[bytes]) -> Steps:
        """Find out what to do when a message was refused."""
        if refusal is Refusal.LOST:
            text = (
                f"the other side of {self!r} has forgotten this session, and whether it has read the last "
                "message is not known: the next one begins another session; let the other side remember more "
                "(sessions=)"
            )
            tell("vanished", text)
            raise SessionLost(text)
        if refusal is Refusal.DOUBT:  # ask who is there; the answer comes like any other message
            yield Push(self._control(prefix, self._sessions.hello(place)), control=self._kind != zmq.REQ)
        elif self._kind == zmq.REQ:
            raise AuthenticationError("it does not answer the request, which may have been read")

    def _reading(self, many: bool, g: dict[str, Any] | None, writable: bool, alias: bool) -> Reading:
        return reading(
            trust=None,
            prefix=self._prefix,
            many=many,
            g=g,
            writable=writable,
            alias=alias,
            serializer=self._serializer,
            key=None,
        )

    def _changed(self) -> None:
        """Hear that what another call waits for may have come."""
