"""CURVE in one call each: known clients get through, and strangers get nothing through."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import itertools
import os
import pickle
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.asyncio
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

import canning
import transport
from canning import InsecureKeyWarning
from tests.transport.helpers import Open
from transport import TransportError
from transport.security import Certificate, Guard, connect, load_certificate, new_certificate, serve

pytestmark = pytest.mark.skipif(not zmq.has("curve"), reason="this libzmq was built without CURVE")

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


def pair() -> Certificate:
    return Certificate(*zmq.curve_keypair())


SERVER, ALICE, EVE = pair(), pair(), pair()


def port_of(socket: Any) -> str:
    return socket.get(zmq.LAST_ENDPOINT).decode().rstrip("\0")


def wait_for_failure(monitor: Any) -> None:
    assert monitor.poll(10_000), "no handshake has failed"
    recv_monitor_message(monitor)


# -- who gets through --------------------------------------------------------------------------------------


def plain(socket: Any, address: str) -> None:
    socket.connect(address)


def half(socket: Any, address: str) -> None:
    """Know the server's public key, and encrypt with a pair of keys that it does not know."""
    connect(socket, address, certificate=pair(), server=SERVER)


STRANGERS: dict[str, Callable[[Any, str], None]] = {
    "a plain socket": plain,
    "an unknown client": half,
    "another unknown client": lambda s, a: connect(s, a, certificate=EVE, server=SERVER),
    "a known client's public key, another secret": lambda s, a: connect(
        s, a, certificate=Certificate(ALICE.public, EVE.secret), server=SERVER
    ),
    "the wrong key of the server": lambda s, a: connect(s, a, certificate=ALICE, server=EVE),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
def test_strangers_get_nothing_through(open_socket: Open, stranger: Callable[[Any, str], None]) -> None:
    server, eve, alice = open_socket(zmq.PULL), open_socket(zmq.PUSH), open_socket(zmq.PUSH)
    monitor = server.get_monitor_socket(FAILED)
    with serve(server, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]):
        stranger(eve, port_of(server))
        with contextlib.suppress(transport.TransportTimeout):  # where the server was faster to refuse it
            transport.send(eve, "from a stranger", timeout=1)
        wait_for_failure(monitor)
        connect(alice, port_of(server), certificate=ALICE, server=SERVER)
        transport.send(alice, "from alice", timeout=10)
        assert transport.recv(server, timeout=10) == "from alice"
        assert not server.poll(50)
    server.disable_monitor()
    monitor.close()


def test_a_stranger_hears_nothing(open_socket: Open) -> None:
    publisher, eve, alice = open_socket(zmq.XPUB), open_socket(zmq.SUB), open_socket(zmq.SUB)
    monitor = publisher.get_monitor_socket(FAILED)
    with serve(publisher, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]):
        for socket in (eve, alice):
            socket.subscribe(b"")
        plain(eve, port_of(publisher))
        wait_for_failure(monitor)
        connect(alice, port_of(publisher), certificate=ALICE, server=SERVER)
        assert publisher.recv() == b"\1"
        transport.send(publisher, "news")
        assert transport.recv(alice, timeout=10) == "news"
        assert not eve.poll(50)
    publisher.disable_monitor()
    monitor.close()


def test_nobody_gets_in_when_the_guard_has_stopped(open_socket: Open) -> None:
    server, alice = open_socket(zmq.PULL), open_socket(zmq.PUSH)
    monitor = server.get_monitor_socket(FAILED)
    guard = serve(server, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE])
    connect(alice, port_of(server), certificate=ALICE, server=SERVER)
    transport.send(alice, 1, timeout=10)
    assert transport.recv(server, timeout=10) == 1
    guard.stop()
    guard.stop()
    for _ in range(10):
        connect(open_socket(zmq.PUSH), port_of(server), certificate=ALICE, server=SERVER)
        if monitor.poll(1000):  # a client that comes while the guard is being closed waits for its answer
            break
    wait_for_failure(monitor)
    with pytest.raises(transport.TransportTimeout):
        transport.recv(server, timeout=0.1)
    transport.send(alice, 2, timeout=10)
    assert transport.recv(server, timeout=10) == 2
    server.disable_monitor()
    monitor.close()


def test_clients_are_allowed_and_denied_later(open_socket: Open) -> None:
    server = open_socket(zmq.PULL)
    monitor = server.get_monitor_socket(FAILED)
    with serve(server, "tcp://127.0.0.1:*", certificate=SERVER, clients=[]) as guard:
        assert repr(guard) == "<Guard that knows 0 clients>"
        early, late = open_socket(zmq.PUSH), open_socket(zmq.PUSH)
        guard.allow(Certificate(ALICE.public))
        connect(early, port_of(server), certificate=ALICE, server=SERVER)
        transport.send(early, 1, timeout=10)
        assert transport.recv(server, timeout=10) == 1
        guard.deny(ALICE)
        connect(late, port_of(server), certificate=ALICE, server=SERVER)
        wait_for_failure(monitor)
    server.disable_monitor()
    monitor.close()


def test_one_guard_has_several_sockets(open_socket: Open) -> None:
    first, second, alice = open_socket(zmq.PULL), open_socket(zmq.PULL), open_socket(zmq.PUSH)
    with serve(first, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]) as guard:
        with pytest.raises(TransportError, match=r"Guard\.bind"):
            serve(second, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE])
        guard.bind(second, "tcp://127.0.0.1:*")
        connect(alice, port_of(second), certificate=ALICE, server=SERVER)
        transport.send(alice, 1, timeout=10)
        assert transport.recv(second, timeout=10) == 1


def test_an_address_that_cannot_be_bound_leaves_no_guard(open_socket: Open) -> None:
    server = open_socket(zmq.PULL)
    with pytest.raises(zmq.ZMQError):
        serve(server, "tcp://no.such.interface:1", certificate=SERVER, clients=[])
    Guard(server.context, SERVER, []).stop()


def test_asyncio() -> None:
    async def main() -> None:
        with zmq.asyncio.Context() as context:
            sockets = [context.socket(kind) for kind in (zmq.PULL, zmq.PUSH, zmq.PUSH)]
            server, alice, eve = sockets
            monitor = server.get_monitor_socket(FAILED)
            with serve(server, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]):
                connect(eve, port_of(server), certificate=EVE, server=SERVER)
                async with asyncio.timeout(10):
                    await monitor.recv_multipart()
                connect(alice, port_of(server), certificate=ALICE, server=SERVER)
                await transport.aio.send(alice, 1, timeout=10)
                assert await transport.aio.recv(server, timeout=10) == 1
                assert not await server.poll(50)
            server.disable_monitor()
            monitor.close()
            for socket in sockets:
                socket.close(linger=0)

    asyncio.run(main())


# -- certificates ------------------------------------------------------------------------------------------


# -- why nobody comes through ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "server", "told"),
    [
        (
            EVE,
            SERVER,
            r"for 0\.\d+ s: the server refused this client \(status 400\): is its public key among",
        ),
        (ALICE, EVE, r"for 0\.\d+ s: the CURVE handshake failed: is server= the public key of that server"),
        (ALICE, SERVER, r"for 0\.\d+ s$"),
    ],
)
def test_the_error_tells_why_nothing_comes(
    open_socket: Open, client: Certificate, server: Certificate, told: str
) -> None:
    here, there = open_socket(zmq.DEALER), open_socket(zmq.DEALER)
    with serve(here, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]):
        connect(there, port_of(here), certificate=client, server=server)
        with pytest.raises(transport.TransportTimeout, match=told):
            transport.recv(there, timeout=0.5)


def test_the_error_tells_why_nothing_can_be_sent(open_socket: Open) -> None:
    here, there = open_socket(zmq.PULL), open_socket(zmq.PUSH)
    there.sndhwm = 1
    there.immediate = 1
    with serve(here, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]):
        connect(there, port_of(here), certificate=EVE, server=SERVER)
        with pytest.raises(transport.TransportTimeout, match=r"the server refused .*; nothing was sent"):
            transport.send(there, 1, timeout=0.5)


def test_who_listens_to_handshakes_keeps_no_context_open() -> None:
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    connect(socket, "tcp://127.0.0.1:9", certificate=ALICE, server=SERVER)
    listeners = [thread for thread in threading.enumerate() if thread.name == "transport-handshakes"]
    assert listeners
    socket.close(linger=0)
    context.term()
    for thread in listeners:
        thread.join(10)
        assert not thread.is_alive()


def test_the_users_monitor_is_left_alone(open_socket: Open) -> None:
    here, there = open_socket(zmq.DEALER), open_socket(zmq.DEALER)
    with serve(here, "tcp://127.0.0.1:*", certificate=SERVER, clients=[ALICE]):
        monitor = there.get_monitor_socket(FAILED)
        connect(there, port_of(here), certificate=EVE, server=SERVER)
        wait_for_failure(monitor)
        there.disable_monitor()
        monitor.close()


def test_certificates_in_files(tmp_path: Path, open_socket: Open) -> None:
    for name in ("server.key", "alice.key"):
        made = new_certificate(tmp_path / name)
        assert load_certificate(tmp_path / name) == made
        assert load_certificate(str(tmp_path / f"{name}.pub")) == Certificate(made.public)
        assert zmq.auth.load_certificate(tmp_path / name) == (made.public, made.secret)
        if os.name == "posix":
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        with pytest.raises(FileExistsError):
            new_certificate(tmp_path / name)
        assert load_certificate(tmp_path / name) == made
    server, alice = open_socket(zmq.PULL), open_socket(zmq.PUSH)
    paths = {name: tmp_path / name for name in ("server.key", "server.key.pub", "alice.key", "alice.key.pub")}
    with serve(
        server, f"ipc://{tmp_path}/s", certificate=paths["server.key"], clients=[paths["alice.key.pub"]]
    ):
        connect(alice, f"ipc://{tmp_path}/s", certificate=paths["alice.key"], server=paths["server.key.pub"])
        transport.send(alice, 1, timeout=10)
        assert transport.recv(server, timeout=10) == 1


def test_certificates_that_zmq_made(tmp_path: Path) -> None:
    public, secret = zmq.auth.create_certificates(tmp_path, "zmq")
    Path(secret).chmod(0o600)
    assert load_certificate(secret) == Certificate(*zmq.auth.load_certificate(secret))
    assert load_certificate(public) == Certificate(zmq.auth.load_certificate(public)[0])


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_secret_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "server.key"
    new_certificate(path)
    path.chmod(0o644)
    with pytest.warns(InsecureKeyWarning, match="chmod 600"):
        load_certificate(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_certificate(f"{path}.pub")


def test_a_half_made_certificate_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "server.key").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        new_certificate(tmp_path / "server.key")
    assert [path.name for path in tmp_path.iterdir()] == ["server.key"]


def test_a_certificate_is_written_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.FileIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "no space")

    for number in (1, 2):  # the file of the public key, and the other
        opened = itertools.count(1)

        def open_one(handle: int, mode: str, number: int = number, opened: Any = opened) -> io.FileIO:
            return (Full if next(opened) == number else io.FileIO)(handle, mode)

        monkeypatch.setattr("canning.wire.keys.open", open_one, raising=False)
        with pytest.raises(OSError, match="no space"):
            new_certificate(tmp_path / "server.key")
        assert list(tmp_path.iterdir()) == []


def test_a_warning_names_the_line_of_the_user(tmp_path: Path) -> None:
    for name in ("alice", "server"):
        new_certificate(tmp_path / name)
        (tmp_path / name).chmod(0o644)
    alice, server = tmp_path / "alice", tmp_path / "server"
    with (
        zmq.Context() as context,
        context.socket(zmq.PUSH) as client,
        context.socket(zmq.PULL) as stranger,
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always")
        load_certificate(alice)
        connect(client, "tcp://127.0.0.1:9", certificate=alice, server=server)
        with serve(stranger, "tcp://127.0.0.1:*", certificate=server, clients=[alice]):
            pass
        canning.Serializer(key=alice)
        canning.dumps(1, key=[alice, server])
    assert {warning.filename for warning in told} == {__file__}
    assert len({warning.lineno for warning in told}) == 5
    assert len(told) == 1 + 3 + 3 + 1 + 2


def test_a_secret_key_is_shown_nowhere(tmp_path: Path) -> None:
    assert ALICE.secret is not None
    assert ALICE.secret.decode() not in repr(ALICE)
    with pytest.raises(TypeError, match="cannot be sent"):
        pickle.dumps(ALICE)
    assert pickle.loads(pickle.dumps(Certificate(ALICE.public))) == Certificate(ALICE.public)
    path = tmp_path / "broken"
    path.write_bytes(b'secret-key = "%b"' % ALICE.secret)
    with pytest.raises(ValueError, match="not a certificate") as caught:
        load_certificate(path)
    assert ALICE.secret.decode() not in str(caught.value)


def test_misuse(open_socket: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = open_socket(zmq.PUSH)
    with pytest.raises(ValueError, match="needs its secret key"):
        connect(socket, "tcp://127.0.0.1:1", certificate=Certificate(ALICE.public), server=SERVER)
    with pytest.raises(ValueError, match=r"inproc://x. is neither"):
        connect(socket, "inproc://x", certificate=ALICE, server=SERVER)
    with pytest.raises(ValueError, match=r"inproc://x. is neither"):
        serve(socket, "inproc://x", certificate=ALICE, clients=[])
    for one in ("alice.key.pub", Path("alice.key.pub"), ALICE):
        alone: Any = one
        with pytest.raises(TypeError, match="clients= takes several certificates: a list, not"):
            serve(socket, "tcp://127.0.0.1:*", certificate=SERVER, clients=alone)
    socket.bind("tcp://127.0.0.1:*")
    with pytest.raises(ValueError, match="already"):
        serve(socket, "tcp://127.0.0.1:*", certificate=SERVER, clients=[])
    monkeypatch.setattr(zmq, "has", lambda name: False)
    with pytest.raises(TransportError, match="without CURVE"):
        connect(open_socket(zmq.PUSH), "tcp://127.0.0.1:1", certificate=ALICE, server=SERVER)
    with pytest.raises(TransportError, match="without CURVE"):
        new_certificate("never.key")
