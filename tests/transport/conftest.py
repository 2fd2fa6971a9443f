"""Sockets that are closed whatever a test does with them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from tests.transport.helpers import Connect, Endpoint, Open


@pytest.fixture
def open_socket() -> Iterator[Open]:
    sockets = []
    with zmq.Context() as context:

        def make(kind: int) -> zmq.Socket[bytes]:
            sockets.append(context.socket(kind))
            return sockets[-1]

        yield make
        for socket in sockets:
            socket.close(linger=0)


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    """Make an address that nobody else uses; what tcp binds to is known after binding only."""

    def make(scheme: str) -> str:
        name = uuid.uuid4().hex[:8]
        return {
            "tcp": "tcp://127.0.0.1:*",
            "ipc": f"ipc://{tmp_path}/{name}",
            "inproc": f"inproc://{name}",
        }[scheme]

    return make


@pytest.fixture
def connect(open_socket: Open, endpoint: Endpoint) -> Connect:
    """Make a bound and a connected socket; options are set on both before that."""

    def make(
        scheme: str = "tcp", bound: int = zmq.PAIR, connected: int = zmq.PAIR, **options: int
    ) -> tuple[Any, Any]:
        pair = open_socket(bound), open_socket(connected)
        for socket in pair:
            for name, value in options.items():
                setattr(socket, name, value)
        pair[0].bind(endpoint(scheme))
        pair[1].connect(pair[0].get(zmq.LAST_ENDPOINT))
        return pair

    return make
