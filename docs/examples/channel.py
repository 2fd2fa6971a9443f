"""A conversation between two threads that nobody without the key can forge, and no recording can enter."""

from __future__ import annotations

import threading

import numpy as np
import zmq

import canning
import transport

JOBS = 3


def work(context: zmq.Context[zmq.Socket[bytes]], address: str, key: bytes) -> None:
    """Run every job that comes with the right key, and send back what it gives."""
    with context.socket(zmq.PAIR) as socket:
        socket.connect(address)
        channel = transport.Channel(socket, key=key)  # reads code: anyone with the key can run it here
        for _ in range(JOBS):
            job, array = channel.recv(timeout=10)
            channel.send(job(array), timeout=10)


def main() -> None:
    """Send functions to a worker, and then a message without a key."""
    key = canning.new_key()
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        worker = threading.Thread(target=work, args=(context, f"tcp://127.0.0.1:{port}", bytes(key)))
        worker.start()
        channel = transport.Channel(socket, key=key)
        for power in range(1, JOBS + 1):
            channel.send((lambda array: (array**power).sum(), np.arange(5)), timeout=10)  # noqa: B023
            print(f"sum of powers of {power}: {channel.recv(timeout=10)}")
        worker.join(10)

    here, there = transport.fake_pair()
    transport.send(here, "who am I?")
    try:
        transport.recv(there, key=key, timeout=1)
    except canning.AuthenticationError as error:
        print(f"refused: {error}")


if __name__ == "__main__":
    main()
