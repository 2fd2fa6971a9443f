"""A service and its clients in one event loop: requests arrive on a ROUTER, and are answered side by side."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import zmq
import zmq.asyncio

import transport


async def serve(socket: zmq.asyncio.Socket) -> None:
    """Answer every request in a task of its own, until the task is cancelled."""
    receiver = transport.Receiver(socket, prefix=1)
    sender = transport.Sender(socket)

    async def answer(identity: list[bytes], request: dict[str, Any]) -> None:
        await asyncio.sleep(request["wait"])  # here a real service works
        await sender.send({"name": request["name"], "sum": request["x"].sum()}, prefix=identity)

    async with asyncio.TaskGroup() as tasks:
        async for identity, request in receiver:
            tasks.create_task(answer(identity, request))


async def ask(context: zmq.asyncio.Context, address: str, name: str, wait: float) -> None:
    """Send one request, and wait for the answer."""
    with context.socket(zmq.DEALER) as socket:
        socket.connect(address)
        request = {"name": name, "wait": wait, "x": np.arange(100_000)}
        await transport.aio.send(socket, request, timeout=10)
        answer = await transport.aio.recv(socket, timeout=10)
        print(f"{answer['name']}: {answer['sum']}")


async def main() -> None:
    """Start the service, ask it twice at the same time, and stop it."""
    with zmq.asyncio.Context() as context, context.socket(zmq.ROUTER) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        service = asyncio.create_task(serve(socket))
        address = f"tcp://127.0.0.1:{port}"
        async with asyncio.TaskGroup() as clients:
            clients.create_task(ask(context, address, "slow", wait=0.3))
            clients.create_task(ask(context, address, "quick", wait=0.0))
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
