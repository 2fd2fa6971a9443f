"""The memory of a channel: each message is read once, in order, and only by the intended receiver.

Every message of a channel carries a `Note`, which its signature covers. There are two ways to detect a
recording:

* Where both sides can send, each makes up an identity when its channel is made, and gives out *numbers*. The
  side that wants to send says HELLO with a number for the way back; the other answers WELCOME with a number
  for the way there. From then on messages carry the receiver's identity, that number, and a counter that
  grows. A recording names an identity that no longer exists, or a number and a counter that were seen before.
  (`Sessions`)
* Where only one side can send, messages carry the sender's identity, the time, and a counter. Messages older
  than `max_age` are refused, so that a sender needs to be remembered only for that long. (`Arrivals`)

Both tables are bounded, and only signed messages change them. A HELLO changes none, since it may be a copy:
a number that was given out is only counted, and remembered when the first message with it arrives.

``docs/channel.md`` specifies the whole protocol and lists its checked properties.
"""

from __future__ import annotations

import secrets
import struct
import time
from enum import Enum
from typing import Any, Final, NamedTuple

import zmq

from canning.errors import AuthenticationError

from .incoming import NO_CHANNEL

HELLO: Final = 1
WELCOME: Final = 2
DATA: Final = 3
REFUSED: Final = 4
CAST: Final = 5
"""Kinds of messages; CAST is data where only one side can send."""
SENDERS: Final = frozenset((zmq.PUSH, zmq.PUB, zmq.XPUB))
RECEIVERS: Final = frozenset((zmq.PULL, zmq.SUB, zmq.XSUB))
"""Types of sockets that only send, and only receive."""
_EITHER: Final = frozenset((HELLO, WELCOME, DATA, REFUSED))
EXPECTED: Final = {
    **{int(kind): _EITHER for kind in (*SENDERS, zmq.PAIR, zmq.DEALER, zmq.ROUTER)},
    **{int(kind): frozenset((CAST,)) for kind in RECEIVERS},
    int(zmq.REQ): frozenset((WELCOME, DATA, REFUSED)),
    int(zmq.REP): frozenset((HELLO, DATA)),
}
"""Kinds of messages that each type of socket may receive."""

_NOTE: Final = struct.Struct("<B7x16s16sQQQQ")
NOBODY: Final = bytes(16)


class Note(NamedTuple):
    """The data that one message of a channel carries besides its objects.

    Attributes:
        kind: `HELLO`, `WELCOME`, `DATA`, `REFUSED` or `CAST`.
        sender: the identity of the channel that sends, 16 random bytes.
        receiver: the identity of the channel that is to read it; zeros if it is not known.
        number: the number that the receiver has given out for messages to it; 0 for none.
        reply: the number that the sender has given out for messages back.
        counter: counts the messages of this number, or of this sender, from 1 on.
        time: nanoseconds since 1970 in UTC at which it was sent, for `CAST`; else 0.
    """

    kind: int
    sender: bytes
    receiver: bytes = NOBODY
    number: int = 0
    reply: int = 0
    counter: int = 0
    time: int = 0

    def pack(self) -> bytes:
        """Return the bytes that the message carries."""
        return _NOTE.pack(*self)


def unpack_note(content: bytes | None) -> Note:
    """Read the note of a message; raises `AuthenticationError` if it has none."""
    if content is None or len(content) != _NOTE.size:
        raise AuthenticationError(NO_CHANNEL)
    return Note(*_NOTE.unpack(content))


class UnknownSession(AuthenticationError):
    """Raised for a message of a session that is over, or was forgotten."""


class Count:
    """Count messages; a number that may have been used is never used again."""

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def take(self) -> int:
        """Return the next number."""
        self.last += 1
        return self.last

    def give_back(self, number: int) -> None:
        """Take back a number with which nothing was sent."""
        if self.last == number:
            self.last -= 1


class Route:
    """Where to send: an identity and a number there, our number for the way back, and a message count."""

    __slots__ = ("count", "number", "peer", "reply")

    def __init__(self, note: Note, last: int) -> None:
        self.peer, self.number, self.reply = note.sender, note.reply, note.number
        self.count = Count(last)


class Sessions:
    """Remember the sessions of a channel that sends and receives; `limit` of each kind at most.

    >>> here, there = Sessions(10), Sessions(10)
    >>> hello = here.hello(b"")
    >>> here.answered(b"", there.welcome(hello))
    <Answer.WELCOME: 1>
    >>> note = here.data(b"", here.route(b""))
    >>> there.accept(note)
    0
    >>> there.accept(note)
    Traceback (most recent call last):
        ...
    canning.errors.AuthenticationError: it was received before, or a later one was
    """

    def __init__(self, limit: int) -> None:
        self.id = secrets.token_bytes(16)
        self.limit = limit
        self._first = self._issued = secrets.randbits(62)  # no number repeats one of an earlier channel
        self._seen: dict[
            tuple[int, bytes], int
        ] = {}  # number and sender to counter, least recently used first
        self._hellos: dict[bytes, int] = {}  # place to the number in a HELLO without an answer
        self._places: dict[bytes, Route] = {}
        self._routes: dict[tuple[bytes, int], Route] = {}
        self._base = 0  # at least the counters of all forgotten routes
        self._sent_to: dict[bytes, bytes] = {}  # place to the receiver of the last message there
        self._replaced: dict[bytes, None] = {}  # identities that were replaced, and never get a message again

    # -- to send

    def hello(self, place: bytes) -> Note:
        """Make the note that asks who is at a place; it has the same number until an answer arrives."""
        number = self._hellos.get(place)
        if number is None:
            self._issued += 1
            number = _keep(self._hellos, place, self._issued, self.limit)
        return Note(HELLO, self.id, reply=number)

    def route(self, place: bytes) -> Route | None:
        """Return the route to a place, if it is known."""
        return self._places.get(place)

    def data(self, place: bytes, route: Route) -> Note:
        """Make the note of the next message, which uses up its number even if sending fails."""
        _keep(self._sent_to, place, route.peer, self.limit)
        return Note(DATA, self.id, route.peer, route.number, route.reply, route.count.take())

    def refusal(self, note: Note | None) -> Note:
        """Make the note that names a message of no session here; None if the message cannot be named."""
        if note is None:
            return Note(REFUSED, self.id)
        return Note(REFUSED, self.id, note.sender, note.number, counter=note.counter)

    def refused(self, place: bytes, refusal: Note) -> Refusal:
        """Return the meaning of a refusal; if the peer itself sent it, forget its session."""
        route = self._places.get(place)
        named = route is not None and 0 < refusal.counter <= route.count.last
        if route is None or not named or (refusal.receiver, refusal.number) != (self.id, route.number):
            return Refusal.OTHER
        if refusal.sender != route.peer:
            return Refusal.DOUBT
        del self._places[place]
        return Refusal.LOST

    # -- to receive

    def welcome(self, hello: Note) -> Note:
        """Answer a HELLO."""
        self._issued += 1
        return Note(WELCOME, self.id, hello.sender, hello.reply, self._issued)

    def answered(self, place: bytes, welcome: Note) -> Answer:
        """Process the answer to a HELLO, and return its meaning."""
        if welcome.receiver != self.id or self._hellos.get(place) != welcome.number:
            return Answer.OTHER
        del self._hellos[place]
        route = self._places.get(place)
        if route is None:
            self.learn(place, welcome)
            return Answer.WELCOME
        if route.peer == welcome.sender or welcome.sender in self._replaced:
            return Answer.SAME
        # The previous peer may have read the messages sent to it. If they are sent again, nobody may read
        # them twice: so nothing is ever sent to that peer again, whatever later messages claim.
        _keep(self._replaced, route.peer, None, self.limit)
        self.learn(place, welcome)
        return Answer.REPLACED if self._sent_to.get(place) == route.peer else Answer.WELCOME

    def accept(self, note: Note) -> int:
        """Accept a message once, and return how many are missing before it.

        Raises `AuthenticationError` for a message that was seen or is out of order, and `UnknownSession`.
        """
        last = self._seen.get((note.number, note.sender), 0)
        if note.receiver != self.id or not (last or self._first < note.number <= self._issued):
            raise UnknownSession(
                "it is meant for a session that is over: a recording, or one side began anew"
            )
        if note.counter <= last:
            raise AuthenticationError("it was received before, or a later one was")
        if len(self._seen) >= self.limit and not last:
            # A used number must not count as new again: no number up to the forgotten one does.
            self._first = max(self._first, next(iter(self._seen))[0])
        _keep(self._seen, (note.number, note.sender), note.counter, self.limit)
        return note.counter - last - 1

    def learn(self, place: bytes, note: Note) -> None:
        """Remember the route back to a peer that has just proved to be present."""
        if note.sender in self._replaced:
            return
        key = note.sender, note.reply
        route = self._routes.get(key) or Route(note, self._base)
        if key not in self._routes and len(self._routes) >= self.limit:
            self._base = max(self._base, next(iter(self._routes.values())).count.last)
        _keep(self._routes, key, route, self.limit)
        _keep(self._places, place, route, self.limit)


class Refusal(Enum):
    """The meaning of a refusal to its receiver."""

    OTHER = 0
    """Nothing: it refers to no message of the present session."""
    LOST = 1
    """The peer has forgotten the session, and cannot know which messages were read."""
    DOUBT = 2
    """Another channel got the message: the peer was replaced, or an attacker has sent a copy there."""


class Answer(Enum):
    """The meaning of an answer to a HELLO to its receiver."""

    OTHER = 0
    """Nothing: it answers no waiting HELLO."""
    WELCOME = 1
    """A session exists now."""
    SAME = 2
    """The peer is the same as before."""
    REPLACED = 3
    """Another peer has replaced it, which has not read the last message that was sent to this place."""


def _keep(table: dict[Any, Any], key: Any, value: Any, limit: int) -> Any:
    """Set an entry as the newest, and drop the oldest beyond the limit."""
    table.pop(key, None)
    table[key] = value
    if len(table) > limit:
        del table[next(iter(table))]
    return value


class Arrivals:
    """Remember the senders that a channel receives from, which cannot answer them.

    Args:
        limit: the number of senders to remember.
        max_age: seconds by which the time in a message may differ from the clock here.
        not_before: seconds since 1970; messages sent earlier are refused.
    """

    def __init__(self, limit: int, max_age: float, not_before: float) -> None:
        self.limit = limit
        self.max_age = int(max_age * 1e9)
        self.not_before = int(not_before * 1e9)
        self._seen: dict[bytes, tuple[int, int]] = {}  # sender to counter and latest time

    def accept(self, note: Note) -> int:
        """Accept a message once, and return how many are missing before it; 0 for a new sender.

        Raises `AuthenticationError` for a message that was seen, is out of order, or too old.
        """
        now = time.time_ns()
        if abs(now - note.time) > self.max_age:
            raise AuthenticationError(
                f"it was sent {(now - note.time) / 1e9:.1f} s ago by the clocks of both sides, and "
                f"max_age={self.max_age / 1e9:g}"
            )
        if note.time < self.not_before:
            raise AuthenticationError(
                f"it was sent {(self.not_before - note.time) / 1e9:.1f} s before this channel accepts any: "
                "pass not_before= to receive what was sent earlier"
            )
        counter, latest = self._seen.get(note.sender, (note.counter - 1, 0))
        if note.counter <= counter:
            raise AuthenticationError("it was received before, or a later one was")
        if note.sender not in self._seen:
            self._make_room(now)
        self._seen[note.sender] = note.counter, max(latest, note.time)
        return note.counter - counter - 1

    def _make_room(self, now: int) -> None:
        """Forget senders whose messages are too old to be accepted; refuse all messages sent before those."""
        if len(self._seen) < self.limit:
            return
        old = {sender: entry[1] for sender, entry in self._seen.items() if entry[1] < now - self.max_age}
        for sender, latest in old.items():
            del self._seen[sender]
            self.not_before = max(self.not_before, latest + 1)  # even if the clock is set back
        if len(self._seen) >= self.limit:
            raise AuthenticationError(
                f"it is from one more than the sessions={self.limit} senders that are remembered for max_age"
            )
