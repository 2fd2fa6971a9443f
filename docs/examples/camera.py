"""A camera that fills one buffer again and again, and a viewer in a process of its own.

python camera.py                     # PUSH and PULL over ipc
python camera.py --arena             # through memory that both processes share (Linux)
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile

import numpy as np
import zmq

import transport

FRAMES = 20


def view(address: str) -> None:
    """Receive photos until the camera says that there are no more, and check each."""
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.bind(address)
        count = 0
        for message in transport.Receiver(socket, timeout=30, shared_memory=True):
            if message is None:
                break
            assert (message["photo"] == message["number"]).all()
            count += 1
        print(f"{count} photos arrived as they were sent")


def film_frames(address: str) -> None:
    """Send one buffer again and again; `copy=True` takes a copy before `send` returns."""
    photo = np.zeros((480, 640, 3), np.uint8)
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.connect(address)
        sender = transport.Sender(socket, copy=True, timeout=30)
        for number in range(FRAMES):
            photo[:] = number  # here a real camera writes its picture
            sender.send({"number": number, "photo": photo})
        sender.send(None)


def film_arena(address: str) -> None:
    """Send through shared memory; the arena takes the copy, and only its location is sent."""
    photo = np.zeros((480, 640, 3), np.uint8)
    with (
        zmq.Context() as context,
        context.socket(zmq.PUSH) as socket,
        transport.SharedArena("64MiB") as arena,
    ):
        socket.connect(address)
        sender = transport.Sender(socket, arena=arena, timeout=30)
        for number in range(FRAMES):
            photo[:] = number
            sender.send({"number": number, "photo": photo})
        sender.send(None)
        arena.drain(timeout=30)  # the viewer has opened all of them
        print(f"{arena.stats().copied} photos went through the arena")


def main() -> None:
    """Start the viewer, and be the camera."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arena", action="store_true", help="send through shared memory")
    film = film_arena if parser.parse_args().arena else film_frames
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/camera"
        viewer = multiprocessing.get_context("spawn").Process(target=view, args=(address,))
        viewer.start()
        film(address)
        viewer.join(60)


if __name__ == "__main__":
    main()
