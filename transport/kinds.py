"""The capabilities of a socket, looked up once each: a wrong socket is refused before anything is moved."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import zmq

from .errors import TransportError

if TYPE_CHECKING:
    from .streams import Streams


class Kind(NamedTuple):
    """The known properties of a socket.

    Attributes:
        code: its type, such as ``zmq.PUSH``.
        asynchronous: whether it is a ``zmq.asyncio.Socket``.
        simple: whether it is blocking, needs no prefix, may send at any time, and has sent before.
        fresh: whether nothing was sent on it yet.
        no_send: the reason why it cannot send; empty if it can.
        no_recv: the reason why it cannot receive; empty if it can.
    """

    code: int
    asynchronous: bool = False
    simple: bool = False
    fresh: bool = False
    no_send: str = ""
    no_recv: str = ""


E = TypeVar("E", bound=BaseException)
KNOWN: Final[dict[int, Kind]] = {}
"""The known sockets, by their `id`."""
_ALIVE: Final[dict[int, weakref.ref[Any]]] = {}

_ONLY_RECEIVE: Final = {int(zmq.PULL): "PUSH", int(zmq.SUB): "PUB"}
_ONLY_SEND: Final = {int(zmq.PUSH): "PULL", int(zmq.PUB): "SUB"}
_PARTICULAR: Final = frozenset(map(int, (zmq.REQ, zmq.REP, zmq.ROUTER)))
_ANSWERED: Final = frozenset(map(int, (zmq.PAIR, zmq.DEALER, zmq.ROUTER)))
_STREAMS: Final[weakref.WeakKeyDictionary[Any, Streams]] = weakref.WeakKeyDictionary()
_CALLS: Final = ("send", "recv", "poll", "get")
"""The attributes of a socket."""


def learn(socket: Any, call: str, obj: Any = None) -> Kind:
    """Find out what a socket can do, and remember it; `call` and `obj` are the user's call and object.

    Raises:
        TypeError: it is not a socket; the text names its type and the correct call.
    """
    if not all(callable(getattr(socket, name, None)) for name in _CALLS):
        raise _no_socket(socket, call, obj)
    try:
        code = int(socket.get(zmq.TYPE))
    except Exception as error:
        if isinstance(error, zmq.ZMQError) and error.errno == zmq.ENOTSOCK:
            raise with_hint(error, socket) from None
        return Kind(int(zmq.PAIR))  # a user's own class, which does not tell
    kind = _kind(socket, code)
    number = id(socket)

    def forget(_: object) -> None:
        KNOWN.pop(number, None)
        _ALIVE.pop(number, None)

    try:
        _ALIVE[number] = weakref.ref(socket, forget)
    except TypeError:
        return kind
    KNOWN[number] = kind
    return kind


def _kind(socket: Any, code: int) -> Kind:
    name = zmq.SocketType(code).name if code in list(zmq.SocketType) else str(code)
    no_send = no_recv = ""
    if code in _ONLY_RECEIVE:
        no_send = f"a {name} socket only receives: send on a {_ONLY_RECEIVE[code]}"
    if code in _ONLY_SEND:
        no_recv = f"a {name} socket only sends: receive on a {_ONLY_SEND[code]}"
    if code == zmq.STREAM:
        no_send = no_recv = "a STREAM socket moves bytes, not messages: use another type"
    if isinstance(socket, zmq.Socket) and socket.get(zmq.CONFLATE):
        no_send = no_recv = (
            "with CONFLATE it keeps the last frame of a message only, and objects have several; one frame "
            "holds all of it as `socket.send(canning.dumps(obj))` and `canning.loads(socket.recv())`"
        )
    asynchronous = is_asynchronous(socket)
    fresh = isinstance(socket, zmq.Socket)
    return Kind(code, asynchronous, _is_simple(code, asynchronous, fresh, no_send), fresh, no_send, no_recv)


def is_asynchronous(socket: object) -> bool:
    """Tell whether a socket is a ``zmq.asyncio.Socket``."""
    module = sys.modules.get("zmq.asyncio")  # programs without asyncio need not wait 20 ms for its import
    return module is not None and isinstance(socket, module.Socket)


def _is_simple(code: int, asynchronous: bool, fresh: bool, no_send: str) -> bool:
    return not (asynchronous or fresh or no_send or code in _PARTICULAR)


def settle(socket: Any, kind: Kind) -> None:
    """Remember that a message was sent on a socket."""
    if id(socket) in KNOWN:
        simple = _is_simple(kind.code, kind.asynchronous, False, kind.no_send)
        KNOWN[id(socket)] = kind._replace(fresh=False, simple=simple)


def check_sends(kind: Kind, socket: object, prefix: object) -> None:
    """Check that a socket can send, and that a peer's identity is given if it has several peers.

    Raises:
        TransportError: it only receives, or needs a prefix.
    """
    if kind.no_send:
        raise TransportError(f"{socket!r} cannot send: {kind.no_send}")
    if kind.code == zmq.ROUTER and not prefix:
        raise TransportError(
            f"{socket!r} has several peers, and drops messages that name none: pass prefix=, the identity "
            "that came with the peer's message, as in `(identity,), obj = recv(socket, prefix=1)`"
        )


def check_receives(kind: Kind, socket: object, prefix: int) -> None:
    """Check that a socket can receive, and that `prefix` allows for the frames before an object.

    Raises:
        TransportError: it only sends, or the prefix is missing.
    """
    if kind.no_recv:
        raise TransportError(f"{socket!r} cannot receive: {kind.no_recv}")
    if kind.code == zmq.ROUTER and not prefix:
        raise TransportError(
            f"{socket!r} receives the identity of the peer first: pass prefix=1 (2 where the peer is a REQ)"
        )


def streams_of(socket: Any, code: int, prefix: int | None = None) -> Streams:
    """Return the streams of a socket, which its senders and receivers share.

    Raises:
        TransportError: a socket of this type gets no answers.
        ValueError: a receiver expects other frames before the object than the identity.
    """
    if code not in _ANSWERED:
        raise TransportError(
            f"stream=True needs answers, which {socket!r} does not get: use PAIR, DEALER or ROUTER"
        )
    from .streams import Streams  # here, since few sockets have streams

    streams = _STREAMS.setdefault(socket, Streams(code))
    if prefix not in (None, streams.leading):
        raise ValueError(f"with stream=True on {socket!r} prefix is {streams.leading}, not {prefix}")
    return streams


def out_of_turn(kind: Kind, socket: object, verb: str) -> TransportError:
    """Make the error for a REQ or REP that is used out of turn."""
    other = "recv" if verb == "send" else "send"
    if kind.code == zmq.REQ:
        why = "has sent a request: receive the reply" if verb == "send" else "has sent no request: send one"
        lost = ", or open another socket if it is lost" if verb == "send" else ""
    else:
        why = "has no request to answer: receive one" if verb == "send" else "owes an answer: send it"
        lost = ""
    return TransportError(f"{socket!r} {why} first ({other}){lost}; nothing was done")


def with_hint(error: E, socket: object) -> E | zmq.ZMQError:
    """Return a pyzmq error of the same type with an explanation; any other error unchanged."""
    errno = error.errno if isinstance(error, zmq.ZMQError) else None
    if errno == zmq.ENOTSOCK:
        return zmq.ZMQError(zmq.ENOTSOCK, f"{socket!r} is closed")
    if errno == zmq.EHOSTUNREACH:
        text = f"{socket!r} has no peer of the identity in prefix=; nothing was sent"
        return zmq.ZMQError(zmq.EHOSTUNREACH, text)
    return error


def _no_socket(given: Any, call: str, obj: Any) -> TypeError:
    usage = f"transport.{call}(socket{', obj' if call == 'send' else ''})"
    what = f"{usage} takes a socket first, not {type(given).__qualname__}"
    if isinstance(obj, zmq.Socket):
        return TypeError(f"{what}: the socket comes first")
    if isinstance(given, zmq.Context):
        return TypeError(f"{what}: make a socket of it with context.socket(zmq.PAIR)")
    if isinstance(given, str | bytes):
        return TypeError(f"{what}: connect or bind a socket to an address first")
    return TypeError(what)
