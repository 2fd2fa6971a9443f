"""A server on a ROUTER and its clients on DEALERs: encrypted by CURVE, and signed with a key.

The server answers each client that is allowed. A stranger cannot connect, and learns why.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import zmq

import canning
import transport
from transport.security import connect, new_certificate, serve

CLIENTS = ("alice", "bob")


def answer(folder: Path, port: Connection) -> None:
    """Answer one request of each client; the identity that a ROUTER gives leads the answer back."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        allowed = [folder / f"{name}.key.pub" for name in CLIENTS]
        with serve(socket, "tcp://127.0.0.1:*", certificate=folder / "server.key", clients=allowed):
            port.send(socket.get_string(zmq.LAST_ENDPOINT))
            for _ in CLIENTS:
                # With a key, recv reads code by default. Arrays need none, so say so.
                identity, image = transport.recv(
                    socket, prefix=1, key=folder / "shared.key", trust="data", timeout=30
                )
                reply = {"mean": float(image.mean())}
                transport.send(socket, reply, prefix=identity, key=folder / "shared.key", timeout=30)
            port.recv()  # the clients have their answers


def ask(folder: Path, address: str, name: str, timeout: float) -> float:
    """Send an image, and return what the server says of it."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        connect(socket, address, certificate=folder / f"{name}.key", server=folder / "server.key.pub")
        image = np.full((200, 300), 7, np.uint8)
        transport.send(socket, image, key=folder / "shared.key", timeout=timeout)
        reply = transport.recv(socket, key=folder / "shared.key", trust="data", timeout=timeout)
        return float(reply["mean"])


def main() -> None:
    """Make keys, start the server, and be its clients."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        canning.new_key(folder / "shared.key")
        for owner in ("server", "stranger", *CLIENTS):
            new_certificate(folder / f"{owner}.key")
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=answer, args=(folder, there))
        server.start()
        address = here.recv()
        try:
            ask(folder, address, "stranger", timeout=3)
        except transport.TransportTimeout as error:
            print(f"stranger: {error}")
        for client in CLIENTS:
            print(f"{client}: the mean is {ask(folder, address, client, timeout=30)}")
        here.send("done")
        server.join(30)


if __name__ == "__main__":
    main()
