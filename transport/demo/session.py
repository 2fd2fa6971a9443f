"""The demo's two processes: the sender starts the engine, communicates with it, and never waits forever.

The sender binds a PAIR socket, and passes the engine a token through its environment. The engine connects and
sends the token: until then the sender unpickles nothing, since on TCP anyone on this host could have
connected first; after that the socket belongs to the engine, since a PAIR has only one peer. The sender then
sends `CALL`, `ECHO` or `ECHO_PYOBJ`, each followed by an object, and finally `STOP`.
"""

from __future__ import annotations

import hmac
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import zmq

import transport

from .proofs import Reply, arrivals_of, shared_pairs
from .samples import DemoError

CALL, ECHO, ECHO_PYOBJ, STOP = b"call", b"echo", b"echo_pyobj", b"stop"
TOKEN: Final = "CANNING_DEMO_TOKEN"
ENGINE: Final = [sys.executable, "-c", "from transport.demo.session import serve; serve()"]
"""The command that starts an engine; the address follows."""


@dataclass(frozen=True, slots=True)
class Session:
    """Communicate with an engine that `start` started; wait at most `timeout` seconds for each answer."""

    socket: zmq.Socket[bytes]
    address: str
    engine: subprocess.Popen[bytes]
    timeout: float

    def call(self, function: Callable[[Any], object], payload: object) -> Reply:
        """Send a function and its argument, and wait for the engine's report of the call."""
        self.socket.send(CALL)
        transport.send(self.socket, (function, payload), timeout=self.timeout)
        self.wait()
        reply = transport.recv(self.socket, trust="code", timeout=self.timeout)
        if not isinstance(reply, Reply):
            raise DemoError(f"the call failed in the engine:\n{reply}")
        return reply

    def echo(self, payload: object, *, pyobj: bool = False) -> tuple[float, object]:
        """Send an object there and back; return the seconds that took, and the received object."""
        self.socket.send(ECHO_PYOBJ if pyobj else ECHO)
        start = time.perf_counter()
        if pyobj:
            self.socket.send_pyobj(payload)
            back = self.socket.recv_pyobj()
        else:
            transport.send(self.socket, payload, timeout=self.timeout)
            back = transport.recv(self.socket, trust="code", timeout=self.timeout)
        return time.perf_counter() - start, back

    def wait(self) -> None:
        """Wait for an answer while the engine lives, at most `timeout` seconds."""
        deadline = time.monotonic() + self.timeout
        while not self.socket.poll(100):
            if self.engine.poll() is not None:
                raise DemoError(f"the engine ended by itself, with exit code {self.engine.returncode}")
            if time.monotonic() > deadline:
                raise DemoError(f"the engine said nothing for {self.timeout:g} s; --timeout gives it longer")


@contextmanager
def start(*, tcp: bool, timeout: float) -> Iterator[Session]:
    """Start an engine for the block, and communicate with it over ``ipc://`` or ``tcp://127.0.0.1``."""
    with (
        zmq.Context() as context,
        context.socket(zmq.PAIR) as socket,
        tempfile.TemporaryDirectory(prefix="canning-") as folder,
    ):
        socket.linger = 0
        socket.rcvtimeo = socket.sndtimeo = int(timeout * 1000)
        address = _bind(socket, None if tcp else Path(folder) / "engine")
        token = secrets.token_hex(16)
        environment = os.environ | {TOKEN: token}
        engine = subprocess.Popen([*ENGINE, address], stdin=subprocess.PIPE, env=environment)
        try:
            session = Session(socket, address, engine, timeout)
            session.wait()
            if not hmac.compare_digest(socket.recv(), token.encode()):
                raise DemoError(
                    "someone else than the engine connected; nothing of theirs was read. Try again"
                )
            yield session
        finally:
            _end(socket, engine)


def _bind(socket: zmq.Socket[bytes], path: Path | None) -> str:
    if path is None:
        return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    if not zmq.has("ipc"):
        raise DemoError("ZeroMQ has no ipc:// on this system: use --tcp")
    if len(os.fsencode(path)) > zmq.IPC_PATH_MAX_LEN:
        raise DemoError(f"{path} is too long a path for ipc://: use --tcp, or set TMPDIR to a shorter one")
    socket.bind(f"ipc://{path}")
    return f"ipc://{path}"


def _end(socket: zmq.Socket[bytes], engine: subprocess.Popen[bytes]) -> None:
    """Ask the engine to stop, and make sure that it does; closing its standard input ends it too."""
    try:
        socket.send(STOP, zmq.NOBLOCK)
        engine.wait(2)
    except (zmq.ZMQError, subprocess.TimeoutExpired):
        engine.kill()
    finally:
        engine.communicate()


def serve() -> None:
    """Run the engine: connect to the address on the command line, and obey commands until `STOP`."""
    # The terminal's Ctrl-C reaches both processes; the sender handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.linger = 0
        socket.connect(sys.argv[1])
        socket.send(os.environ[TOKEN].encode())
        # The wait for a command has no time limit: the parent's death ends it.
        while (command := socket.recv()) != STOP:
            if command == ECHO_PYOBJ:
                socket.send_pyobj(socket.recv_pyobj())
            elif command == ECHO:
                transport.send(socket, transport.recv(socket, trust="code", timeout=60))
            else:
                transport.send(socket, _called(socket))


def _end_with_parent() -> None:
    # Not through sys.stdin: this thread would hold its lock while the interpreter shuts down.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _called(socket: zmq.Socket[bytes]) -> Reply | str:
    try:
        function, payload = transport.recv(socket, trust="code", timeout=60)
        name, result = function.__qualname__, function(payload)
        return Reply(os.getpid(), name, result, arrivals_of(payload), shared_pairs(payload))
    except Exception:
        return traceback.format_exc()
