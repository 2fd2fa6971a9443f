"""An exhaustive search for attacks on the conversation of `transport.Channel`.

    python -m tests.transport.channel_model

The parties keep what they know in the very `Sessions` of a channel; `Party` is the rest of the protocol, as
``docs/channel.md`` states it. The network belongs to the attacker, who has no key: all that was ever sent can
be delivered to anybody, in any order, again and again, back to who sent it, or not at all. `search` goes
through all that can come of so many deliveries, breadth first, and returns the first that breaks a promise.

Every party sends its last message again whenever it is told that this was not read, without a thought.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from canning.errors import AuthenticationError
from transport.sessions import (
    DATA,
    HELLO,
    REFUSED,
    WELCOME,
    Answer,
    Note,
    Refusal,
    Route,
    Sessions,
    UnknownSession,
)

PLACE = b""
FIELDS = ("_seen", "_hellos", "_places", "_routes", "_sent_to", "_replaced")


class Message(NamedTuple):
    """What is on the network: a note, and what the user of the channel has sent with it."""

    note: Note
    text: str = ""


class Party:
    """One channel and its user, who has `outbox` to send, one after the other."""

    def __init__(
        self, name: str, number: int, outbox: tuple[str, ...], sessions: type[Sessions], limit: int
    ) -> None:
        self.name = name
        self.sessions = sessions(limit)
        self.sessions.id = name.encode() * 16
        self.sessions._first = self.sessions._issued = 1000 * number
        self.outbox = outbox
        self.sent: tuple[str, ...] = ()
        self.read: tuple[tuple[str, str], ...] = ()  # from whom, what
        self.told: tuple[str, ...] = ()
        self.known: Any = None

    # -- what a channel does

    def start(self) -> list[Message]:
        """Say who is asked for, or send what there is to be sent."""
        sessions = self.sessions
        if not self.outbox:
            return []
        route = sessions.route(PLACE)
        if route is None:
            return [Message(sessions.hello(PLACE))]
        text, *rest = self.outbox
        self.outbox, self.sent = tuple(rest), (*self.sent, text)
        return [Message(sessions.data(PLACE, route), text), *self.start()]

    def take(self, message: Message) -> list[Message]:
        """Take a message from the network, and give what is sent because of it."""
        sessions, note = self.sessions, message.note
        if note.sender == sessions.id:
            return []
        if note.kind == HELLO:
            return [Message(sessions.welcome(note))]
        if note.kind == DATA:
            try:
                sessions.accept(note)
            except UnknownSession:
                return [Message(sessions.refusal(note))]
            except AuthenticationError:
                return []
            sessions.learn(PLACE, note)
            self.read = (*self.read, (note.sender.decode()[0], message.text))
        elif note.kind == WELCOME:
            if sessions.answered(PLACE, note) is Answer.REPLACED:
                self.send_again()
        elif note.kind == REFUSED:
            refusal: Any = sessions.refused(PLACE, note)
            if refusal is Answer.REPLACED:  # what worse protocols say
                self.send_again()
            elif refusal is Refusal.LOST:
                self.told = (*self.told, "lost")
            elif refusal is Refusal.DOUBT:
                return [Message(sessions.hello(PLACE))]
        return self.start()

    def send_again(self) -> None:
        """Be told that the last message was not read."""
        self.told = (*self.told, "refused")
        self.outbox = (self.sent[-1], *self.outbox)

    # -- what the search needs

    def copy(self) -> Party:
        """Give another one in the same state."""
        new = object.__new__(Party)
        vars(new).update(vars(self), known=None)
        new.sessions = object.__new__(type(self.sessions))
        vars(new.sessions).update(vars(self.sessions))
        for field in FIELDS:
            setattr(new.sessions, field, dict(getattr(self.sessions, field)))
        routes = {id(route): _copy(route) for route in self.sessions._routes.values()}
        for table in (new.sessions._routes, new.sessions._places):
            for key, route in table.items():
                table[key] = routes[id(route)]  # type: ignore[index]
        return new

    def state(self) -> Any:
        """Give all that decides about what comes; it is kept, since a party in a world changes no more."""
        if self.known is None:
            self.known = self._state()
        return self.known

    def _state(self) -> Any:
        tables = (getattr(self.sessions, name).items() for name in FIELDS)
        known = (tuple((key, _plain(value)) for key, value in table) for table in tables)
        counts = self.sessions._first, self.sessions._issued, self.sessions._base
        return (*known, counts, self.outbox, self.sent, self.read, self.told)


def _copy(route: Route) -> Route:
    new = object.__new__(Route)
    new.peer, new.number, new.reply = route.peer, route.number, route.reply
    new.count = type(route.count)(route.count.last)
    return new


def _plain(value: Any) -> Any:
    return (value.peer, value.number, value.count.last) if isinstance(value, Route) else value


class World(NamedTuple):
    """The parties, and all that was ever sent, with how often each was delivered to whom."""

    parties: tuple[Party, ...]
    network: tuple[Message, ...]
    delivered: tuple[tuple[int, int, int], ...]
    path: tuple[str, ...]

    def state(self) -> Any:
        """Give what makes two worlds the same."""
        return tuple(party.state() for party in self.parties), frozenset(self.network), self.delivered


def worlds_after(world: World, copies: int) -> Iterator[World]:
    """Give what may come of one delivery more."""
    count = {(message, party): times for message, party, times in world.delivered}
    for number, message in enumerate(world.network):
        for index, party in enumerate(world.parties):
            times = count.get((number, index), 0)
            if times >= copies or message.note.sender == party.sessions.id:
                continue
            taken = party.copy()
            sent = [each for each in taken.take(message) if each not in world.network]
            if not sent and taken.state() == party.state():
                continue
            parties = (*world.parties[:index], taken, *world.parties[index + 1 :])
            delivered = tuple(sorted((*key, n) for key, n in {**count, (number, index): times + 1}.items()))
            step = f"{_kind(message)} of {_name(message.note.sender)} to {party.name}"
            yield World(parties, (*world.network, *sent), delivered, (*world.path, step))


def _kind(message: Message) -> str:
    kinds = {HELLO: "HELLO", WELCOME: "WELCOME", DATA: "DATA", REFUSED: "REFUSED"}
    return f"{kinds[message.note.kind]} {message.text}".strip()


def _name(identity: bytes) -> str:
    return identity[:1].decode()


def broken(world: World) -> str | None:
    """Say which promise a world breaks; None where all are kept."""
    for party in world.parties:
        for (sender, text), times in Counter(party.read).items():
            if times > 1:
                return f"{party.name} has read {text!r} of {sender} {times} times"
        for sender in {sender for sender, _ in party.read}:
            texts = [text for each, text in party.read if each == sender]
            if texts != sorted(texts):
                return f"{party.name} has read what {sender} sent out of order: {texts}"
    return None


class Found(NamedTuple):
    """What a search has come to: the promise that is broken, how, and how many worlds were seen."""

    fault: str | None
    path: tuple[str, ...]
    worlds: int
    ends: frozenset[Any]


def search(
    outboxes: dict[str, tuple[str, ...]],
    deliveries: int,
    copies: int = 2,
    sessions: type[Sessions] = Sessions,
    agreed: bool = True,
    limit: int = 10,
) -> Found:
    """Look at all that so many deliveries can lead to.

    Args:
        outboxes: what each party has to send, by its name of one letter.
        deliveries: how many the attacker makes at most.
        copies: how often it delivers one message to one party at most.
        sessions: what the parties keep what they know in.
        limit: sessions that each party remembers.
        agreed: whether the first two have agreed before, so that it is there that the search begins.
    """
    named = enumerate(outboxes.items(), 1)
    parties = tuple(Party(name, number, outbox, sessions, limit) for number, (name, outbox) in named)
    network: list[Message] = []
    if agreed:
        here, there = parties[0], parties[1]
        hello = here.sessions.hello(PLACE)
        welcome = there.sessions.welcome(hello)
        here.sessions.answered(PLACE, welcome)
        network += [Message(hello), Message(welcome)]
    for party in parties:
        network += party.start()
    edge = [World(parties, tuple(network), (), ())]
    seen = {edge[0].state()}
    ends: set[Any] = set()
    for _ in range(deliveries):
        after = []
        for world in edge:
            for new in worlds_after(world, copies):
                state = new.state()
                if state in seen:
                    continue
                seen.add(state)
                fault = broken(new)
                if fault is not None:
                    return Found(fault, new.path, len(seen), frozenset(ends))
                ends.add(tuple((party.read, party.told) for party in new.parties))
                after.append(new)
        edge = after
    return Found(None, (), len(seen), frozenset(ends))


SEARCHES: dict[str, Callable[[], Found]] = {
    "one message, and others with the key": lambda: search({"A": ("1",), "C": (), "B": ()}, 11, 1),
    "two messages, and copies": lambda: search({"A": ("1", "2"), "C": ()}, 8, 3),
    "one that was replaced, and copies": lambda: search({"A": ("1",), "C": (), "D": ()}, 7, 2),
    "another one sends as well": lambda: search({"A": ("1",), "C": (), "B": ("7",)}, 8, 1),
    "both send, from the beginning": lambda: search({"A": ("1",), "C": ("5",)}, 8, 2, agreed=False),
    "one session is remembered": lambda: search({"A": ("1",), "C": (), "B": ("7",)}, 8, 2, limit=1),
}

if __name__ == "__main__":
    for title, run in SEARCHES.items():
        found = run()
        print(f"{title}: {found.worlds:,} worlds, {found.fault or 'every promise is kept'}")
        for step in found.path:
            print("   ", step)
        if found.fault:
            sys.exit(1)
