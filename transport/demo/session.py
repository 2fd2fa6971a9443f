"""The sender's side of the demo: start the engine, talk to it, measure, and never wait for ever."""

from __future__ import annotations

import hmac
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import zmq

import transport

from . import protocol
from .errors import DemoError

ENGINE: Final = [sys.executable, "-m", "transport.demo.engine"]
"""The command that starts an engine; the address follows."""


class Session:
    """Talk to an engine in a process of its own; a context manager, which ends that process.

    Args:
        tcp: use ``tcp://127.0.0.1`` and any free port instead of ``ipc://``.
        timeout: seconds to wait for any one answer.
    """

    def __init__(self, *, tcp: bool, timeout: float) -> None:
        self.address = ""
        self._tcp = tcp
        self._timeout = timeout
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with self._cleanup as cleanup:
            context = cleanup.enter_context(zmq.Context())
            self._socket: Any = cleanup.enter_context(context.socket(zmq.PAIR))
            self._socket.linger = 0
            self._socket.rcvtimeo = self._socket.sndtimeo = int(self._timeout * 1000)
            self.address = self._bind(cleanup)
            self._start(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def _bind(self, cleanup: ExitStack) -> str:
        if self._tcp:
            return f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        if not zmq.has("ipc"):
            raise DemoError("ZeroMQ has no ipc:// on this system: use --tcp")
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="canning-"))
        path = Path(folder) / "engine"
        if len(os.fsencode(path)) > zmq.IPC_PATH_MAX_LEN:
            raise DemoError(
                f"{path} is too long a path for ipc://: use --tcp, or set TMPDIR to a shorter one"
            )
        address = f"ipc://{path}"
        self._socket.bind(address)
        return address

    def _start(self, cleanup: ExitStack) -> None:
        token = secrets.token_hex(16)
        environment = os.environ | {protocol.TOKEN: token}
        self._engine = subprocess.Popen([*ENGINE, self.address], stdin=subprocess.PIPE, env=environment)
        cleanup.callback(self._end)
        if not hmac.compare_digest(self._answer(), token.encode()):
            raise DemoError("someone else than the engine connected; nothing of theirs was read. Try again")

    def _end(self) -> None:
        """Ask the engine to stop, and see to it that it does; closing its standard input ends it too."""
        try:
            self._socket.send(protocol.STOP, zmq.NOBLOCK)
            self._engine.wait(2)
        except (zmq.ZMQError, subprocess.TimeoutExpired):
            self._engine.kill()
        finally:
            self._engine.communicate()

    def _answer(self) -> bytes:
        """Wait for a short answer, as long as the engine lives and `timeout` allows."""
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            if self._socket.poll(100):
                answer: bytes = self._socket.recv()
                return answer
            if self._engine.poll() is not None:
                raise DemoError(f"the engine ended by itself, with exit code {self._engine.returncode}")
        raise DemoError(f"the engine said nothing for {self._timeout:g} s; --timeout gives it longer")

    def call(self, function: Callable[[Any], Any], payload: object) -> protocol.Reply:
        """Send a function and its argument, and wait for what the engine tells of the call."""
        self._socket.send(protocol.CALL)
        transport.send(self._socket, (function, payload), timeout=self._timeout)
        if self._answer() != protocol.DONE:
            raise DemoError(f"the call failed in the engine:\n{self._socket.recv().decode()}")
        reply: protocol.Reply = transport.recv(self._socket, trust="code", timeout=self._timeout)
        return reply

    def echo(self, payload: object) -> tuple[float, Any]:
        """Send an object there and back with `transport`: the seconds that took, and what came."""
        self._announce(protocol.ECHO)
        start = time.perf_counter()
        transport.send(self._socket, payload, timeout=self._timeout)
        back = transport.recv(self._socket, trust="code", timeout=self._timeout)
        return time.perf_counter() - start, back

    def echo_pyobj(self, payload: object) -> tuple[float, Any]:
        """Do the same with the socket's own ``send_pyobj`` and ``recv_pyobj``."""
        self._announce(protocol.ECHO_PYOBJ)
        start = time.perf_counter()
        self._socket.send_pyobj(payload)
        back = self._socket.recv_pyobj()
        return time.perf_counter() - start, back

    def _announce(self, command: bytes) -> None:
        self._socket.send(command)
        if self._answer() != protocol.READY:
            raise DemoError("the engine answered out of turn")
