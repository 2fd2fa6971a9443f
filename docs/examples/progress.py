"""Show how far a large message is, at the sender and at the receiver."""

from __future__ import annotations

import threading

import numpy as np
import zmq

import transport


def receive(context: zmq.Context[zmq.Socket[bytes]], address: str) -> None:
    """Receive one message."""
    with context.socket(zmq.PULL) as socket:
        socket.connect(address)
        got = transport.recv(socket, timeout=30)
        print(f"received {got.nbytes >> 20} MiB")


def main() -> None:
    """Send 32 MiB, and print each quarter. `progress=True` shows a bar instead, if rich is installed."""
    told: list[int] = []

    def on_progress(done: int, total: int) -> None:
        quarter = 4 * done // total
        if quarter not in told:
            told.append(quarter)
            print(f"{25 * quarter} % of {total >> 20} MiB")

    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        receiver = threading.Thread(target=receive, args=(context, f"tcp://127.0.0.1:{port}"))
        receiver.start()
        transport.send(socket, np.zeros(32 << 20, np.uint8), on_progress=on_progress, timeout=30)
        receiver.join(30)


if __name__ == "__main__":
    main()
