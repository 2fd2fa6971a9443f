"""The protocol of a channel, as steps that blocking and asyncio sockets each run in their own way."""

from __future__ import annotations

import time
from asyncio import CancelledError
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Never, TypedDict

import zmq

from canning import Serializer, default_serializer
from canning.arguments import check_bools
from canning.errors import AuthenticationError, CanningError, shortened
from canning.options import unknown_option
from canning.wire.keys import KeyOption, as_keys
from canning.wire.trailer import CHANNEL, extension, parse

from .checks import Prefix, Trust, check_channel, check_count, check_serializer, check_trust, prefix_frames
from .errors import MessageError, PeerRefused, SessionLost, TransportError, TransportTimeout
from .events import note as tell
from .incoming import Arrived, Frame, authenticate, read, refused, take
from .kinds import learn, streams_of
from .outgoing import COPY_BELOW, Outgoing, pack
from .reading import Reading, reading
from .sessions import (
    CAST,
    DATA,
    EXPECTED,
    HELLO,
    RECEIVERS,
    SENDERS,
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
from .steps import Pull, Push, Steps
from .waiting import send_timeout, unanswered

if TYPE_CHECKING:
    from .stream_parts import Leaving
    from .streams import Streams

AGAIN: Final = 1.0
"""Seconds after which a HELLO without an answer is sent again."""
WAITING: Final = 1000
"""Messages that may arrive while a HELLO waits for its answer."""


class ChannelOptions(TypedDict, total=False):
    """The options of both channels."""

    key: KeyOption
    serializer: Serializer | None
    trust: Trust | None
    prefix: int | None
    max_age: float
    not_before: float | None
    sessions: int
    stream: bool


class Conversation:
    """Base of both channels: signing, sessions, sending and accepting messages.

    Attributes:
        lost: messages that were sent here but did not arrive, as counted from later messages.
        refused: messages that were refused, including those that arrived while a HELLO waited.
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
        stream: bool = False,
        **unknown: Never,
    ) -> None:
        if unknown:
            raise unknown_option(type(self), unknown, ChannelOptions.__annotations__)
        check_trust(trust)
        check_bools(stream=stream)
        kind = learn(socket, "Channel")
        if serializer is not None:
            check_serializer(serializer)
        made = serializer or default_serializer
        keys = as_keys(key) or made.key
        if keys is None:
            raise ValueError("a channel needs a key: pass key=, or a serializer that has one")
        check_channel(sessions, max_age, not_before)
        self.socket = socket
        self._kind = int(socket.get(zmq.TYPE))
        if self._kind not in EXPECTED:
            raise ValueError(f"{socket!r} is of a type that channels are not made for")
        self._expected = EXPECTED[self._kind]
        self._prefix = (1 if self._kind == zmq.ROUTER else 0) if prefix is None else prefix
        check_count(self._prefix)
        if self._kind == zmq.ROUTER and not self._prefix:
            raise ValueError(
                f"{socket!r} receives the identity of a peer first: prefix=0 leaves no room for it"
            )
        # A separate key: a channel refuses messages of `transport.send`, and `recv` those of channels.
        own = tuple(each.derive(b"channel") for each in keys)
        self._serializer = made.evolve(key=own, trust=trust or made.trust)
        self._sessions = Sessions(sessions)
        start = time.time() if not_before is None else not_before
        self._arrivals = Arrivals(sessions, max_age, start)
        self._sent = Count()
        self._inbox: deque[Arrived | TransportError] = deque()
        self.lost = self.refused = 0
        self._leaving: Leaving | None = None
        self._asked = False  # whether a HELLO has left that was not answered
        self._streams: Streams | None = None
        if stream:
            self._streams = streams_of(socket, kind.code, self._prefix)
            self._streams.sorting = self._sorting
            self._streams.expect(self._reading(False, None, False, False))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} over {self.socket!r}>"

    def close(self) -> None:
        """Close the socket; its ``LINGER`` says how long unsent messages are kept."""
        self.socket.close()

    # -- to send

    def _sending(self, objects: tuple[Any, ...], prefix: Prefix) -> Steps:
        """Send objects and return the tracker; before the first message, agree on a session."""
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
        self._asked, self._leaving = False, None
        try:
            message = self._pack(objects, leading, note, self._streams is not None)
            if message.streamed and self._streams is not None:
                self._leaving = self._streams.leave(message.parts, message.streamed)
                yield from self._streams.sending(self.socket, self._leaving, lambda _done, _total: None)
            else:
                yield Push(message.parts)
        except (CanningError, zmq.Again, CancelledError):  # these guarantee that nothing was sent
            if self._leaving is None:  # the other side may have a stream
                count.give_back(note.counter)
            raise
        return message.tracker

    def _too_late(self, timeout: float | None) -> TransportTimeout:
        """Make the error for a message that could not be sent in time."""
        if self._asked or self._leaving is None:
            return (unanswered if self._asked else send_timeout)(self.socket, timeout or 0.0)
        return TransportTimeout(f"{self!r} sent a stream for too long: {self._leaving.fate()}")

    def _agreeing(self, place: bytes, prefix: list[bytes]) -> Steps:
        """Send HELLO until the other side answers, and keep other messages that arrive meanwhile."""
        lockstep = self._kind == zmq.REQ
        while self._sessions.route(place) is None:
            if self._kind == zmq.REP:
                raise TransportError(f"{self!r} has no request to answer")
            yield Push(self._control(prefix, self._sessions.hello(place)))
            self._asked, until = True, time.monotonic() + AGAIN
            while self._sessions.route(place) is None:
                left = until - time.monotonic()
                received = yield Pull(None if lockstep else max(0.0, left))
                if received is not None:
                    yield from self._keeping(received) if self._streams is None else self._sorting(received)
                if lockstep or left <= 0:
                    break

    def _sorting(self, received: list[zmq.Frame] | None = None) -> Steps:
        """Process a message that may belong to a stream, and what is in the inbox of the streams."""
        assert self._streams is not None
        if received is not None:
            yield from self._streams.take(received)
        while self._streams.inbox:
            yield from self._keeping(self._streams.oldest())

    def _keeping(self, received: list[zmq.Frame] | Arrived) -> Steps:
        """Process a message that arrived while an answer was expected."""
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

    def _pack(
        self, objects: tuple[Any, ...], prefix: list[bytes], note: Note, stream: bool = False
    ) -> Outgoing:
        extensions = extension(CHANNEL, note.pack())
        return pack(
            objects, prefix, self._serializer, None, COPY_BELOW, extensions, self.socket, stream=stream
        )

    def _control(self, prefix: list[bytes], note: Note) -> list[Any]:
        return self._pack((None,), prefix, note).parts

    def _place(self, prefix: list[bytes]) -> bytes:
        """Return the name of the peer: on a ROUTER its identity, the first frame; others have one peer."""
        if self._kind != zmq.ROUTER:
            return b""
        if not prefix:
            raise ValueError(f"{self!r} needs the identity of a peer: pass prefix=")
        return prefix[0]

    # -- to receive

    def _receiving(self, how: Reading) -> Steps:
        """Receive and read a message of the present session."""
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
            if self._streams is None:
                received = yield Pull(most=how.most)
            elif self._streams.inbox:
                received = self._streams.oldest()
            else:
                received = yield from self._streams.hearing(how)
            if received is not None:
                arrived = yield from self._taking(received)
        obj = read(arrived.frames, arrived.prefix, how)
        return (arrived.prefix, obj) if how.prefix else obj

    def _taking(self, received: list[zmq.Frame] | Arrived) -> Steps:
        """Check a message and answer a HELLO; return the arrived data, None for a control message."""
        frames: list[Frame] = []
        prefix: list[bytes] = []
        note = None
        try:
            frames, prefix = (
                received if isinstance(received, Arrived) else Arrived(*take(received, self._prefix))
            )
            frames = authenticate(frames, prefix, self._serializer, channel=True)
            trailer = parse(bytes(frames[0]))
            note = unpack_note(None if trailer is None else trailer.extensions.get(CHANNEL))
            return (yield from self._obeying(note, frames, prefix))
        except (AuthenticationError, MessageError) as error:
            self.refused += 1
            # A peer of a forgotten session should be told. A REP has to answer every message, but must not
            # report a message as unread if it has read it or cannot know.
            unknown = isinstance(error, UnknownSession)
            if unknown or self._kind == zmq.REP:
                notice = self._sessions.refusal(note if unknown else None)
                yield Push(self._control(prefix, notice), control=True)
            if isinstance(error, MessageError):
                raise
            raise refused(frames, prefix, error) from error

    def _obeying(self, note: Note, frames: list[Frame], prefix: list[bytes]) -> Steps:
        """Process a message with a valid signature, if it belongs to the present session."""
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
        """Process an answer to a HELLO."""
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
        """Process the other side's notice that it refused a message."""
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
        """Wake the other calls: their message may have arrived."""
