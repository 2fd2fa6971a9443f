"""A protocol as steps on a socket, which blocking sockets run here, and asyncio's in `awaiting`.

A generator yields `Push` or `Pull`, and is sent its result. So each protocol is written once, and nothing in
it waits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, NamedTuple

import zmq

from .multipart import SocketLike, pull, push
from .waiting import Deadline, retry


class Push(NamedTuple):
    """Send parts as one message; a `control` message is sent at once or dropped, whatever the options."""

    parts: list[Any]
    control: bool = False


class Pull(NamedTuple):
    """Receive a message of `most` frames; None after so many seconds, or after another change of state."""

    seconds: float | None = None
    most: int | None = None


Steps = Generator[Push | Pull, Any, Any]


def run(socket: SocketLike, steps: Steps, deadline: Deadline) -> Any:
    """Run steps on a blocking socket.

    Raises:
        zmq.Again: the deadline passed.
    """
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
                    _push(socket, step, deadline)
                except zmq.Again as error:
                    steps.throw(error)
            else:
                result = _pull(socket, step, deadline)


def push_control(socket: Any, parts: list[Any]) -> None:
    """Send a message now, or drop it if the other side is gone, or accepts no answer."""
    if isinstance(socket, zmq.Socket) and not socket.closed:
        socket = zmq.Socket.shadow(socket.underlying)  # an asyncio socket would not send now
    with contextlib.suppress(zmq.ZMQError):
        push(socket, parts, zmq.NOBLOCK)


def _push(socket: SocketLike, step: Push, deadline: Deadline) -> None:
    if step.control:
        push_control(socket, step.parts)
    else:
        retry(socket, zmq.POLLOUT, lambda: push(socket, step.parts, zmq.NOBLOCK), deadline)


def _pull(socket: SocketLike, step: Pull, deadline: Deadline) -> list[zmq.Frame] | None:
    most, until = step.most, deadline.within(step.seconds)
    try:
        return retry(socket, zmq.POLLIN, lambda: pull(socket, zmq.NOBLOCK, most), until)
    except zmq.Again:
        if deadline.passed:
            raise
        return None
