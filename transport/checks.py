"""Check a caller's arguments before the socket is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import zmq

from canning import Serializer
from canning.arguments import check_number, check_seconds, check_whole

NOBLOCK: Final = int(zmq.NOBLOCK)


Trust = Literal["data", "code"]
Prefix = bytes | Sequence[bytes]


SENDERS_OWN: Final = {"stream": "Sender(socket, stream=True)"}
RECEIVERS_OWN: Final = {
    "stream": "Receiver(socket, stream=True)",
    "lazy": "Receiver(socket, stream=True).recv(lazy=True)",
}
"""The options that `Sender` and `Receiver` have and `send` and `recv` have not."""


def check_trust(trust: Trust | None) -> None:
    """Check that trust is ``"data"``, ``"code"`` or None, before anything is received.

    Raises:
        ValueError: trust is something other than ``"data"`` or ``"code"``.
    """
    if trust not in ("data", "code", None):
        raise ValueError(f'trust must be "data" or "code", not {trust!r}')


def check_timeout(timeout: float | None) -> None:
    """Check that a timeout is 0 or more seconds, or None; raises `TypeError` or `ValueError`."""
    check_seconds("timeout", timeout)


def check_serializer(serializer: object) -> None:
    """Check that an argument is a serializer.

    Raises:
        TypeError: it is something else, such as the name of a codec.
    """
    if not isinstance(serializer, Serializer):
        raise TypeError(
            f"serializer= takes a canning.Serializer, as Serializer(codec='lz4'), not "
            f"{type(serializer).__name__}"
        )


def check_objects(objects: Sequence[object]) -> None:
    """Refuse a pyzmq flag among the objects: pyzmq's own `send` takes flags in that position.

    Raises:
        TypeError: an object is a flag.
    """
    for obj in objects:
        if isinstance(obj, zmq.Flag):
            raise TypeError(f"every object after the socket is sent: pass flags=zmq.{obj.name} by its name")


def check_flags(flags: int) -> None:
    """Check that flags are 0 or ``zmq.NOBLOCK``: other flags would split the message.

    Raises:
        ValueError: flags holds anything else.
    """
    if flags and flags != NOBLOCK:
        raise ValueError(f"flags must be 0 or zmq.NOBLOCK, not {flags!r}")


def check_count(prefix: int) -> None:
    """Check the number of prefix frames.

    Raises:
        TypeError: prefix is not an integer, for example frames meant for `send`.
        ValueError: prefix is negative.
    """
    if not isinstance(prefix, int):
        raise TypeError(f"prefix of recv is the number of frames before ours, not {type(prefix).__name__}")
    if prefix < 0:
        raise ValueError(f"prefix must be a number of frames, 0 or more, not {prefix}")


def prefix_frames(prefix: Prefix) -> list[bytes]:
    """Return the prefix as a list of frames; a single ``bytes`` is one frame.

    An invalid frame must be found here: after the first frame is in the socket, the message cannot be
    withdrawn.

    Raises:
        TypeError: a frame is not ``bytes``, or prefix is a number, which only `recv` accepts.
    """
    if isinstance(prefix, int):
        raise TypeError(
            f"prefix of send is the identity or the topic, bytes or a list of them, not {prefix!r}: "
            "recv takes a number, and gives the identity to send to"
        )
    frames = [prefix] if isinstance(prefix, bytes) else list(prefix)
    for index, frame in enumerate(frames):
        if not isinstance(frame, bytes):
            raise _no_frame(index, frame)
    return frames


def shared_package() -> Any:
    """Return `transport.shared`, whose import takes 5 ms: programs that share no memory need not wait."""
    from . import shared

    return shared


def _no_frame(index: int, frame: object) -> TypeError:
    hint = ": write it as b'topic'" if isinstance(frame, str) else ""
    return TypeError(f"prefix[{index}] must be bytes, not {type(frame).__name__}{hint}")


def check_channel(sessions: int, max_age: float, not_before: float | None) -> None:
    """Check what a channel is to remember."""
    check_whole("sessions", sessions, "sessions", least=1)
    check_number("max_age", max_age, "seconds")
    if not max_age > 0:
        raise ValueError(f"max_age={max_age!r} is not a positive number of seconds")
    if not_before is not None:
        check_number("not_before", not_before, "seconds since 1970")
