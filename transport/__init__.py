"""Move Python objects over ZeroMQ sockets, without copying their arrays and buffers.

>>> import transport
>>> here, there = transport.fake_pair()
>>> tracker = transport.send(here, {"answer": 42})
>>> transport.recv(there, trust="code")
{'answer': 42}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from . import aio, engines, security, testing
    from .channel import Channel
    from .errors import (
        MessageError,
        PeerRefused,
        RefusedMessage,
        SessionLost,
        TransportError,
        TransportTimeout,
        UndeliveredWarning,
    )
    from .events import Stats, stats
    from .exiting import drain
    from .lazy import LazyArray
    from .pool import Pool, PoolStats
    from .receiving import Receiver
    from .sending import Sender
    from .shared import ArenaError, ArenaFull, ArenaStats, SharedArena, SharedMemory, SharedMemoryError
    from .sockets import recv, send
    from .testing import fake_pair
    from .tracker import Tracker

_LATER: Final = {
    "Channel": "channel",
    **dict.fromkeys(
        (
            "MessageError",
            "PeerRefused",
            "RefusedMessage",
            "SessionLost",
            "TransportError",
            "TransportTimeout",
            "UndeliveredWarning",
        ),
        "errors",
    ),
    "drain": "exiting",
    **dict.fromkeys(("Stats", "stats"), "events"),
    "fake_pair": "testing",
    "LazyArray": "lazy",
    "Receiver": "receiving",
    "Sender": "sending",
    **dict.fromkeys(("Pool", "PoolStats"), "pool"),
    **dict.fromkeys(
        ("ArenaError", "ArenaFull", "ArenaStats", "SharedArena", "SharedMemory", "SharedMemoryError"),
        "shared",
    ),
    **dict.fromkeys(("recv", "send"), "sockets"),
    "Tracker": "tracker",
}
"""The modules of names that are imported on first use.

The processes of a pool read shared memory and need neither zmq nor asyncio: canning made them start 60 ms
later with these imports, and 26 ms later without.
"""
_MODULES: Final = ("aio", "engines", "security", "testing")


def __getattr__(name: str) -> Any:
    """Import the module of a name when the name is first used."""
    from importlib import import_module

    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f".{_LATER[name]}", __name__), name)
    return found


def __dir__() -> list[str]:
    """List the names that are imported on first use too."""
    return sorted({*globals(), *__all__})


__all__ = [
    "ArenaError",
    "ArenaFull",
    "ArenaStats",
    "Channel",
    "LazyArray",
    "MessageError",
    "PeerRefused",
    "Pool",
    "PoolStats",
    "Receiver",
    "RefusedMessage",
    "Sender",
    "SessionLost",
    "SharedArena",
    "SharedMemory",
    "SharedMemoryError",
    "Stats",
    "Tracker",
    "TransportError",
    "TransportTimeout",
    "UndeliveredWarning",
    "aio",
    "drain",
    "engines",
    "fake_pair",
    "recv",
    "security",
    "send",
    "stats",
    "testing",
]
