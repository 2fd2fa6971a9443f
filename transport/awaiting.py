"""Run the steps of a protocol on an asyncio socket, several calls at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

import zmq
import zmq.asyncio

from .multipart import pull, push
from .steps import Pull, Push, Steps, push_control
from .waiting import Deadline, retry_async


class Runner:
    """Run the steps of all calls on one socket.

    Messages go through a queue, so that concurrent calls process them in order, and a message that
    arrives just as its call is cancelled stays for the next call.
    """

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._taken: deque[list[zmq.Frame]] = deque()

    async def run(self, socket: zmq.asyncio.Socket, steps: Steps) -> Any:
        """Run the steps of a call."""
        result: Any = None
        with contextlib.closing(steps):
            while True:
                try:
                    step = steps.send(result)
                except StopIteration as done:
                    return done.value
                if isinstance(step, Push):
                    result = None
                    try:
                        await self._push(socket, step)
                    except (zmq.Again, asyncio.CancelledError) as error:
                        steps.throw(error)
                else:
                    result = await self._pull(socket, step)

    async def run_within(self, socket: zmq.asyncio.Socket, steps: Steps, seconds: float | None) -> Any:
        """Run the steps of a call; raises `zmq.Again` when the time is over."""
        try:
            async with asyncio.timeout(seconds):
                return await self.run(socket, steps)
        except TimeoutError:
            raise zmq.Again from None

    def changed(self) -> None:
        """Wake the other calls: what they wait for may have come."""
        self._news.set()
        self._news = asyncio.Event()

    async def _push(self, socket: zmq.asyncio.Socket, step: Push) -> None:
        parts = step.parts
        if step.control:
            push_control(socket, parts)
            return
        await retry_async(socket, zmq.POLLOUT, lambda view: push(view, parts, zmq.NOBLOCK), Deadline(None))

    async def _pull(self, socket: zmq.asyncio.Socket, step: Pull) -> list[zmq.Frame] | None:
        """Receive a message, or return when another call has received the one that this call waits for."""
        await asyncio.sleep(0)  # messages may come without end, and other tasks have their turn
        if not self._taken:
            try:
                return await retry_async(
                    socket, zmq.POLLIN, lambda view: pull(view, zmq.NOBLOCK, step.most), Deadline(0)
                )
            except zmq.Again:
                await self._wait_for_news(socket, step)
        return self._taken.popleft() if self._taken else None

    async def _wait_for_news(self, socket: zmq.asyncio.Socket, step: Pull) -> None:
        message = asyncio.ensure_future(
            retry_async(
                socket,
                zmq.POLLIN,
                lambda view: self._taken.append(pull(view, zmq.NOBLOCK, step.most)),
                Deadline(None),
            )
        )
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((message, news), timeout=step.seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.changed()
            raise
        finally:
            news.cancel()
            message.cancel()
        if message.done():
            message.result()  # raises the socket's error
