"""The demo's second process: ``python -m transport.demo.engine ADDRESS``, which `session` starts.

It lives only as long as its standard input is open, so it ends with its parent however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from typing import Any, Final

import zmq

import transport

from . import protocol
from .arrivals import describe
from .memory import shared_pairs

TIMEOUT: Final = 60.0
"""Seconds to wait for the object that a command announces."""


def main(address: str) -> None:
    """Connect to the sender at `address` and do what it says until it says stop."""
    # The terminal's Ctrl-C reaches both processes; what to do about it is the sender's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.linger = 0
        socket.connect(address)
        socket.send(os.environ[protocol.TOKEN].encode())
        # The wait for a command has no limit of its own: the parent's death ends it.
        while (command := socket.recv()) != protocol.STOP:
            _obey(socket, command)


def _end_with_parent() -> None:
    # Not through sys.stdin, whose lock this thread would hold while the interpreter shuts down.
    while os.read(0, 4096):
        pass
    os._exit(1)


def _obey(socket: Any, command: bytes) -> None:
    if command == protocol.CALL:
        _call(socket)
    elif command == protocol.ECHO:
        socket.send(protocol.READY)
        transport.send(socket, transport.recv(socket, trust="code", timeout=TIMEOUT))
    elif command == protocol.ECHO_PYOBJ:
        socket.send(protocol.READY)
        socket.send_pyobj(socket.recv_pyobj())


def _call(socket: Any) -> None:
    try:
        function, payload = transport.recv(socket, trust="code", timeout=TIMEOUT)
        reply = protocol.Reply(
            pid=os.getpid(),
            result=function(payload),
            function_name=getattr(function, "__qualname__", ""),
            arrivals=describe(payload),
            shared=shared_pairs(payload),
        )
    except Exception:
        socket.send_multipart([protocol.FAILED, traceback.format_exc().encode()])
        return
    socket.send(protocol.DONE)
    transport.send(socket, reply)


if __name__ == "__main__":
    main(sys.argv[1])
