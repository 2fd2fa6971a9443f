"""Read what strangers send: as data, with the classes that you name, within limits, and checked."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from typing import Any

import zmq

import canning
import transport


@dataclass
class Reading:
    """What a station measured."""

    place: str
    degrees: float


class Harmful:
    """Be a message that runs something when it is read."""

    def __reduce__(self) -> Any:
        return print, ("this ran in the receiver",)


def read(receiver: transport.Receiver[Reading]) -> str:
    """Receive one message, and say what it is. A refused message is gone; the next one can be read."""
    try:
        reading = receiver.recv()
    except (canning.CanningError, transport.TransportError) as error:
        return f"refused: {error}"
    # allow= sets fields without __init__, so their values are a stranger's: check them.
    if type(reading) is not Reading or type(reading.degrees) is not float:
        return "not a reading"
    return f"{reading.place}: {reading.degrees}"


def main() -> None:
    """Send good and bad messages over one socket, and read them all."""
    limits = canning.Limits(message_bytes=10_000)
    reader = canning.Serializer(trust="data", allow={Reading}, limits=limits)
    writer = canning.Serializer(pickler="named")  # classes of this script by name, not by value
    with zmq.Context() as context, context.socket(zmq.PUSH) as out, context.socket(zmq.PULL) as into:
        into.setsockopt(zmq.MAXMSGSIZE, 1_000_000)  # ZeroMQ disconnects peers that send larger frames
        port = into.bind_to_random_port("tcp://127.0.0.1")
        out.connect(f"tcp://127.0.0.1:{port}")
        for message in (Reading("roof", 21.5), Reading("cellar", "cold"), Harmful(), bytes(20_000)):  # type: ignore[arg-type]
            transport.send(out, message, serializer=writer, timeout=10)
        out.send(pickle.dumps(Harmful()))

        receiver = transport.Receiver(into, serializer=reader, timeout=10)
        for _ in range(5):
            print(read(receiver))


if __name__ == "__main__":
    main()
