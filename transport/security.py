"""Set up CURVE with one call on each side: keys decide who may connect, and connections are encrypted.

A certificate is a pair of keys. `new_certificate` keeps it in two files: ``server.key``, which you keep
secret, and ``server.key.pub`` for the other side. Both have the format of ``zmq.auth``.

    guard = serve(socket, "tcp://*:5555", certificate="server.key", clients=["alice.key.pub"])
    connect(socket, "tcp://server:5555", certificate="alice.key", server="server.key.pub")
"""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Iterable
from threading import Thread
from types import TracebackType
from typing import Any, Final

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from canning.errors import shortened

from .certificates import (
    Certificate,
    CertificateLike,
    certificate_of,
    check_curve,
    load_certificate,
    new_certificate,
    own_certificate,
    their_certificate,
)
from .errors import TransportError
from .events import note

__all__ = ["Certificate", "Guard", "connect", "load_certificate", "new_certificate", "serve"]

_DOMAIN: Final = "canning"
"""The name by which the sockets and their authenticator refer to each other."""
_ATTEMPTS: Final = 10
_MOMENT: Final = 0.01
"""Seconds between attempts to start an authenticator."""


class Guard:
    """Let only clients with known public keys connect to some sockets of a context.

    A context has room for one guard. It works in its own thread, or for asyncio sockets in the running loop.
    After it has stopped, no new client can connect.

    Args:
        context: the context of the sockets.
        certificate: the server's, with its secret key.
        clients: certificates of the clients that may connect; their public keys are enough.

    Raises:
        TransportError: the context has an authenticator already, or this libzmq has no CURVE.
        TypeError: clients is one certificate or path, not a list of them.
        ValueError: the certificate has no secret key.
    """

    @shortened
    def __init__(
        self, context: zmq.Context[Any], certificate: CertificateLike, clients: Iterable[CertificateLike]
    ) -> None:
        check_curve()
        self._own = own_certificate(certificate)
        if isinstance(clients, str | bytes | Certificate) or not isinstance(clients, Iterable):
            raise TypeError(f"clients= takes several certificates: a list, not {type(clients).__name__}")
        self._allowed = {their_certificate("clients", client).public for client in clients}
        self._authenticator = _authenticator(context)
        self._authenticator.configure_curve_callback(_DOMAIN, self)

    @shortened
    def bind(self, socket: Any, address: str) -> None:
        """Set up CURVE on a socket that is neither bound nor connected, and bind it.

        Raises:
            ValueError: the socket is in use, or the address is ``inproc://``, which has no CURVE.
        """
        _check_fresh(socket, address)
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = self._own.public, self._own.secret
        socket.zap_domain = _DOMAIN.encode()
        # Without this, libzmq accepts every client while no authenticator runs.
        socket.zap_enforce_domain = True
        socket.bind(address)

    @shortened
    def allow(self, client: CertificateLike) -> None:
        """Let one more client connect from now on."""
        self._allowed = self._allowed | {their_certificate("client", client).public}

    @shortened
    def deny(self, client: CertificateLike) -> None:
        """Stop letting a client connect; its open connections stay."""
        self._allowed = self._allowed - {certificate_of(client).public}

    def callback(self, domain: str, key: bytes) -> bool:
        """Tell whether a client may connect; ``zmq.auth`` calls this."""
        return key in self._allowed

    def stop(self) -> None:
        """Stop the guard: connected clients stay connected, and no other client can connect."""
        self._authenticator.stop()

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Guard that knows {len(self._allowed)} clients>"


@shortened
def serve(
    socket: Any, address: str, *, certificate: CertificateLike, clients: Iterable[CertificateLike]
) -> Guard:
    """Bind a socket to which only known clients can connect, over encrypted connections.

    Args:
        socket: any ``zmq.Socket`` or ``zmq.asyncio.Socket``, neither bound nor connected yet.
        address: where to bind it, ``tcp://`` or ``ipc://``.
        certificate: the server's certificate, or the path of its file.
        clients: certificates of the clients that may connect, or the paths of their public key files.

    Returns:
        The guard of the socket. Keep it, and stop it before you close the context; its `bind` binds more
        sockets of the same context.

    Raises:
        TransportError: the context has an authenticator already, or this libzmq no CURVE.
        ValueError: the socket is in use already, the address is one of ``inproc://``, or a
            certificate is not valid.

    >>> import tempfile, transport, zmq
    >>> folder = tempfile.mkdtemp()
    >>> mine, theirs = new_certificate(f"{folder}/server"), new_certificate(f"{folder}/alice")
    >>> context = zmq.Context()
    >>> server, alice = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    >>> guard = serve(server, "tcp://127.0.0.1:*", certificate=mine, clients=[f"{folder}/alice.pub"])
    >>> address = server.get(zmq.LAST_ENDPOINT).decode()
    >>> connect(alice, address, certificate=theirs, server=f"{folder}/server.pub")
    >>> tracker = transport.send(alice, "hello", timeout=10)
    >>> transport.recv(server, timeout=10)
    'hello'
    >>> guard.stop()
    >>> context.destroy(linger=0)
    """
    _check_fresh(socket, address)
    guard = Guard(socket.context, certificate, clients)
    try:
        guard.bind(socket, address)
    except BaseException:
        guard.stop()
        raise
    return guard


@shortened
def connect(socket: Any, address: str, *, certificate: CertificateLike, server: CertificateLike) -> None:
    """Connect a socket to a server whose public key you know, over an encrypted connection.

    Args:
        socket: any ``zmq.Socket`` or ``zmq.asyncio.Socket``, neither bound nor connected yet.
        address: where the server is, ``tcp://`` or ``ipc://``.
        certificate: your own, or the path of its file; the server must know its public key.
        server: the server's certificate, or the path of its public key file.

    Raises:
        TransportError: this libzmq was built without CURVE.
        ValueError: the socket is in use already, the address is one of ``inproc://``, or a
            certificate is not valid.
    """
    check_curve()
    _check_fresh(socket, address)
    own, known = own_certificate(certificate), their_certificate("server", server)
    socket.curve_publickey, socket.curve_secretkey = own.public, own.secret
    socket.curve_serverkey = known.public
    _watch_handshake(socket)
    socket.connect(address)


class _Handshake:
    """The outcome of the last handshake of a socket."""

    failure = ""


_HANDSHAKES: Final[weakref.WeakKeyDictionary[Any, _Handshake]] = weakref.WeakKeyDictionary()
_EVENTS: Final = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_MONITOR_STOPPED
)


def why_refused(socket: object) -> str:
    """Return why a socket of `connect` has no connection; empty if it has one, or the reason is unknown."""
    handshake = _HANDSHAKES.get(socket)
    return handshake.failure if handshake is not None else ""


def _watch_handshake(socket: Any) -> None:
    """Record the outcome of a socket's handshakes, until it is closed.

    ZeroMQ reports it at once, and only once if a server has refused the client, which does not try again.
    ZeroMQ blocks if these events are not read, so a thread has to read them all the time.
    """
    if getattr(socket, "_monitor_socket", None) is not None:
        return  # a socket has only one monitor, and the user has set it
    handshake = _HANDSHAKES[socket] = _Handshake()
    address = f"inproc://canning-handshakes-{secrets.token_hex(8)}"
    zmq.Socket.shadow(socket.underlying).monitor(address, _EVENTS)
    events: zmq.Socket[bytes] = zmq.Context.shadow(socket.context.underlying).socket(zmq.PAIR)
    events.linger = 0
    events.connect(address)
    Thread(target=_listen, args=(events, handshake), name="transport-handshakes", daemon=True).start()


def _listen(events: zmq.Socket[bytes], handshake: _Handshake) -> None:
    with events:
        while True:
            try:
                told = recv_monitor_message(events)
            except zmq.ZMQError:  # the context is closed
                return
            event = told["event"]
            if event == zmq.EVENT_MONITOR_STOPPED:
                return
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                handshake.failure = ""
                continue
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                failure = (
                    f"the server refused this client (status {told['value']}): is its public key among "
                    "the clients that the server allows?"
                )
            else:
                failure = "the CURVE handshake failed: is server= the public key of that server?"
            if failure != handshake.failure:  # it may fail ten times a second
                handshake.failure = failure
                note("handshakes", failure)


def _authenticator(context: zmq.Context[Any]) -> Any:
    """Start an authenticator; one that has just stopped takes a moment to make room for it."""
    for last in (False,) * _ATTEMPTS + (True,):
        authenticator = _new_authenticator(context)
        try:
            authenticator.start()
        except zmq.ZMQError as error:
            authenticator.stop()
            if error.errno != zmq.EADDRINUSE:
                raise
            if last:
                raise TransportError(
                    "this context has an authenticator already: use its Guard.bind, or another context"
                ) from error
            time.sleep(_MOMENT)
        else:
            break
    return authenticator


def _new_authenticator(context: zmq.Context[Any]) -> Any:
    if isinstance(context, zmq.asyncio.Context):
        from zmq.auth.asyncio import AsyncioAuthenticator

        return AsyncioAuthenticator(context)
    from zmq.auth.thread import ThreadAuthenticator

    return ThreadAuthenticator(context)


def _check_fresh(socket: Any, address: str) -> None:
    if not isinstance(socket, zmq.Socket):
        raise TypeError(f"CURVE is set up on a zmq.Socket, not on {type(socket).__name__}")
    if not isinstance(address, str):
        raise TypeError(f"an address is a str, as 'tcp://127.0.0.1:5555', not {type(address).__name__}")
    if socket.get(zmq.LAST_ENDPOINT):
        raise ValueError(f"{socket!r} is bound or connected already, and CURVE has to be set up before")
    if not address.startswith(("tcp://", "ipc://")):
        raise ValueError(f"CURVE needs an address of tcp:// or ipc://, and {address!r} is neither")
