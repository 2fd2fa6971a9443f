"""A publisher with topics, and a subscriber that takes one of them; both compress what pays."""

from __future__ import annotations

import numpy as np
import zmq

import canning
import transport


def main() -> None:
    """Publish temperatures and images, and receive the temperatures alone."""
    serializer = canning.Serializer(codec=canning.Adaptive(link="100Mbit/s"))
    with zmq.Context() as context, context.socket(zmq.XPUB) as out, context.socket(zmq.SUB) as into:
        port = out.bind_to_random_port("tcp://127.0.0.1")
        into.connect(f"tcp://127.0.0.1:{port}")
        into.subscribe(b"temperature")
        out.recv()  # an XPUB hears of subscriptions; what was published before is not received

        sender = transport.Sender(out, serializer=serializer, timeout=10)
        sender.send(np.zeros((100, 100)), prefix=b"image")
        for day in range(3):
            sender.send({"day": day, "degrees": np.linspace(0, day, 10_000)}, prefix=b"temperature")

        receiver = transport.Receiver(into, prefix=1, timeout=10)
        for [topic], message in receiver:
            print(f"{topic.decode()} of day {message['day']}: up to {message['degrees'].max()}")
            if message["day"] == 2:
                break


if __name__ == "__main__":
    main()
