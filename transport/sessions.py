"""What a channel remembers, so that a message is read once, in its order, and by whom it was meant for.

Every message of a channel carries a `Note`, which its signature covers. There are two ways to know that one
is not a recording:

* Where both sides can send, each makes up an identity when its channel is made, and gives out *numbers*. Who
  wants to send says HELLO with a number for the way back; the other answers WELCOME with a number for the
  way there. From then on messages carry the receiver's identity, that number, and a counter that grows. A
  recording names an identity that is gone, or a number and a counter that were seen. (`Sessions`)
* Where only one side can send, messages carry the sender's identity, the time, and a counter. What is older
  than `max_age` is refused, so that a sender needs to be remembered for that long only. (`Arrivals`)

Both tables are bounded, and only signed messages change them. A HELLO changes none, since it may be a copy:
a number that was given out is only counted, and remembered when the first message with it comes.

``docs/channel.md`` has the whole protocol and what was checked of it.
"""

from __future__ import annotations

import secrets
import struct
import time
from enum import Enum
from typing import Any, Final, NamedTuple

from canning.errors import AuthenticationError

HELLO: Final = 1
WELCOME: Final = 2
DATA: Final = 3
REFUSED: Final = 4
CAST: Final = 5
"""Kinds of messages; CAST is data where only one side can send."""

_NOTE: Final = struct.Struct("<B7x16s16sQQQQ")
NOBODY: Final = bytes(16)


class Note(NamedTuple):
    """What one message of a channel says beside its objects.

    Attributes:
        kind: `HELLO`, `WELCOME`, `DATA`, `REFUSED` or `CAST`.
        sender: the identity of the channel that sends, 16 random bytes.
        receiver: that of the channel which is to read it; zeros where that is not known.
        number: the number that the receiver has given out for what is sent to it; 0 for none.
        reply: the number that the sender has given out for what is sent back.
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
        """Return the bytes that stand in a message."""
        return _NOTE.pack(*self)


def unpack_note(content: bytes | None) -> Note:
    """Read the note of a message; raises `AuthenticationError` where there is none."""
    if content is None or len(content) != _NOTE.size:
        raise AuthenticationError("it was not sent by a channel: both sides need one")
    return Note(*_NOTE.unpack(content))


class UnknownSession(AuthenticationError):
    """Say that a message is for a session that is over, or was forgotten."""


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
        """Say that nothing was sent with a number."""
        if self.last == number:
            self.last -= 1


class Route:
    """Where to send: an identity and a number there, our number for the way back, and what was sent."""

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
        self._first = self._issued = secrets.randbits(62)  # no number is that of a channel before this one
        self._seen: dict[
            tuple[int, bytes], int
        ] = {}  # number and sender to counter, least recently used first
        self._hellos: dict[bytes, int] = {}  # place to the number in a HELLO without an answer
        self._places: dict[bytes, Route] = {}
        self._routes: dict[tuple[bytes, int], Route] = {}
        self._base = 0  # no counter of a route that was forgotten is above it
        self._sent_to: dict[bytes, bytes] = {}  # place to who was sent the last message there
        self._replaced: dict[bytes, None] = {}  # who was found to be replaced, and is never sent to again

    # -- to send

    def hello(self, place: bytes) -> Note:
        """Make the note that asks who is at a place; the same number until there is an answer."""
        number = self._hellos.get(place)
        if number is None:
            self._issued += 1
            number = _keep(self._hellos, place, self._issued, self.limit)
        return Note(HELLO, self.id, reply=number)

    def route(self, place: bytes) -> Route | None:
        """Tell where to send to reach a place, where that is known."""
        return self._places.get(place)

    def data(self, place: bytes, route: Route) -> Note:
        """Make the note of the next message, which takes its number whatever becomes of it."""
        _keep(self._sent_to, place, route.peer, self.limit)
        return Note(DATA, self.id, route.peer, route.number, route.reply, route.count.take())

    def refusal(self, note: Note | None) -> Note:
        """Make the note that names a message which is for no session here; None where it cannot be named."""
        if note is None:
            return Note(REFUSED, self.id)
        return Note(REFUSED, self.id, note.sender, note.number, counter=note.counter)

    def refused(self, place: bytes, refusal: Note) -> Refusal:
        """Say what a refusal means; where the peer itself has sent it, its session is forgotten."""
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
        """Take the answer to a HELLO, and say what it means."""
        if welcome.receiver != self.id or self._hellos.get(place) != welcome.number:
            return Answer.OTHER
        del self._hellos[place]
        route = self._places.get(place)
        if route is None:
            self.learn(place, welcome)
            return Answer.WELCOME
        if route.peer == welcome.sender or welcome.sender in self._replaced:
            return Answer.SAME
        # What was sent to the one before may have been read by it. So that nobody reads it twice if it is
        # sent again, nothing is sent there any more, whatever others say.
        _keep(self._replaced, route.peer, None, self.limit)
        self.learn(place, welcome)
        return Answer.REPLACED if self._sent_to.get(place) == route.peer else Answer.WELCOME

    def accept(self, note: Note) -> int:
        """Accept a message once, and count those that are missing before it.

        Raises `AuthenticationError` for what was seen, or came out of order, and `UnknownSession`.
        """
        last = self._seen.get((note.number, note.sender), 0)
        if note.receiver != self.id or not (last or self._first < note.number <= self._issued):
            raise UnknownSession(
                "it is meant for a session that is over: a recording, or one side began anew"
            )
        if note.counter <= last:
            raise AuthenticationError("it was received before, or a later one was")
        if len(self._seen) >= self.limit and not last:
            # What was used must not be new again: no number up to the one that is forgotten is.
            self._first = max(self._first, next(iter(self._seen))[0])
        _keep(self._seen, (note.number, note.sender), note.counter, self.limit)
        return note.counter - last - 1

    def learn(self, place: bytes, note: Note) -> None:
        """Remember how to answer who has just proved to be there."""
        if note.sender in self._replaced:
            return
        key = note.sender, note.reply
        route = self._routes.get(key) or Route(note, self._base)
        if key not in self._routes and len(self._routes) >= self.limit:
            self._base = max(self._base, next(iter(self._routes.values())).count.last)
        _keep(self._routes, key, route, self.limit)
        _keep(self._places, place, route, self.limit)


class Refusal(Enum):
    """What a refusal means to its receiver."""

    OTHER = 0
    """Nothing: it is about no message of the present session."""
    LOST = 1
    """The peer has forgotten the session, and cannot know what of it was read."""
    DOUBT = 2
    """Somebody else got the message: the peer was replaced, or somebody on the way has sent a copy there."""


class Answer(Enum):
    """What an answer to a HELLO means to its receiver."""

    OTHER = 0
    """Nothing: it is to none that waits."""
    WELCOME = 1
    """There is a session now."""
    SAME = 2
    """The peer is there as before."""
    REPLACED = 3
    """Another one is there, which has not read the last message that was sent to this place."""


def _keep(table: dict[Any, Any], key: Any, value: Any, limit: int) -> Any:
    """Set an entry, as the youngest, and drop the oldest beyond the limit."""
    table.pop(key, None)
    table[key] = value
    if len(table) > limit:
        del table[next(iter(table))]
    return value


class Arrivals:
    """Remember the senders that a channel receives from, which cannot answer them.

    Args:
        limit: senders that are remembered.
        max_age: seconds by which the time in a message may differ from the clock here.
        not_before: seconds since 1970; what was sent earlier is refused.
    """

    def __init__(self, limit: int, max_age: float, not_before: float) -> None:
        self.limit = limit
        self.max_age = int(max_age * 1e9)
        self.not_before = int(not_before * 1e9)
        self._seen: dict[bytes, tuple[int, int]] = {}  # sender to counter and latest time

    def accept(self, note: Note) -> int:
        """Accept a message once, and count those that are missing before it, 0 for a sender that is new.

        Raises `AuthenticationError` for what was seen, came out of order, or is too old.
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
        """Forget senders whose messages are too old to be accepted again, and what was sent before them."""
        if len(self._seen) < self.limit:
            return
        old = {sender: entry[1] for sender, entry in self._seen.items() if entry[1] < now - self.max_age}
        for sender, latest in old.items():
            del self._seen[sender]
            self.not_before = max(self.not_before, latest + 1)  # whatever becomes of the clock
        if len(self._seen) >= self.limit:
            raise AuthenticationError(
                f"it is from one more than the sessions={self.limit} senders that are remembered for max_age"
            )
