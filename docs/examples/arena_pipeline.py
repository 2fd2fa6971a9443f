"""A producer that writes into shared memory, and a step that passes its arrays on: nothing is copied.

Linux only. The producer writes into `arena.empty(...)`; each step receives views of it. A receiver opens
this memory through the process that sent it, so all of them stay until the last step has seen everything.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from multiprocessing.synchronize import Event

import numpy as np
import zmq

import transport

IMAGES = 5


def produce(address: str, seen: Event) -> None:
    """Write each image straight into the arena, and send where it is."""
    with (
        zmq.Context() as context,
        context.socket(zmq.PUSH) as out,
        transport.SharedArena("64MiB") as arena,
    ):
        out.connect(address)
        sender = transport.Sender(out, arena=arena, timeout=30)
        for number in range(IMAGES):
            image = arena.empty((480, 640, 3), np.uint8)  # a new one each time: receivers look at this memory
            image[:] = number
            sender.send({"number": number, "image": image})
        sender.send(None)
        seen.wait(60)  # arena.drain() waits for the next step alone, which has yet to pass them on
        print(f"{arena.stats().in_place} images were sent where they are")


def crop(source: str, sink: str, seen: Event) -> None:
    """Receive images, and send a part of each on; the part is a view of the producer's memory."""
    with zmq.Context() as context, context.socket(zmq.PULL) as into, context.socket(zmq.PUSH) as out:
        into.bind(source)
        out.connect(sink)
        with transport.SharedArena("1MiB") as arena:
            sender = transport.Sender(out, arena=arena, timeout=30)
            for message in transport.Receiver(into, shared_memory=True, timeout=30):
                if message is not None:
                    message["image"] = message["image"][:240]
                sender.send(message)
                if message is None:
                    break
            seen.wait(60)


def main() -> None:
    """Start the producer and the step in between, and look at what arrives."""
    processes = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        zmq.Context() as context,
        context.socket(zmq.PULL) as into,
    ):
        first, second = f"ipc://{folder}/images", f"ipc://{folder}/parts"
        into.bind(second)
        seen = processes.Event()
        others = [
            processes.Process(target=produce, args=(first, seen)),
            processes.Process(target=crop, args=(first, second, seen)),
        ]
        for process in others:
            process.start()
        for message in transport.Receiver(into, shared_memory=True, timeout=60):
            if message is None:
                break
            assert (message["image"] == message["number"]).all()
            print(f"part {message['number']}: {message['image'].shape}")
        seen.set()
        for process in others:
            process.join(60)


if __name__ == "__main__":
    main()
