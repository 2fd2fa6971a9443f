"""A second process that calls what it is sent: ``call(f, *args)`` runs ``f(state, *args)`` there.

It receives with ``shared_memory=True``, keeps a dict as its state, and ends when its parent does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import zmq

import transport

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0


class Engine:
    """Our end of a child."""

    def __init__(self, folder: Path) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PAIR)
        address = f"ipc://{folder}/engine-{id(self)}"
        self.socket.bind(address)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.transport.engine", address], cwd=ROOT, stdin=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.context.destroy(linger=0)

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, f: Callable[..., Any], *args: Any, **options: Any) -> None:
        transport.send(self.socket, (f, args), timeout=PATIENCE, **options)

    def recv(self, **options: Any) -> Any:
        options = {"shared_memory": True, "trust": "code", "timeout": PATIENCE, **options}
        failed, result = transport.recv(self.socket, **options)
        if failed:
            raise AssertionError(result)
        return result

    def call(self, f: Callable[..., Any], *args: Any, arena: Any = None) -> Any:
        self.send(f, *args, arena=arena)
        return self.recv()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def main(address: str) -> None:
    """Be the child."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    context = zmq.Context()
    socket = context.socket(zmq.PAIR)
    socket.connect(address)
    state: dict[str, Any] = {}
    while True:
        try:
            f, args = transport.recv(socket, trust="code", shared_memory=True)
            answer: Any = False, f(state, *args)
        except Exception as error:
            answer = True, f"{type(error).__name__}: {error}"
        f = args = None
        transport.send(socket, answer, arena=state.get("arena"))
        answer = None


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
