"""Move Python objects over ZeroMQ sockets, without copying what is large in them.

>>> import transport
>>> here, there = transport.fake_pair()
>>> tracker = transport.send(here, {"answer": 42})
>>> transport.recv(there, trust="code")
{'answer': 42}
"""

from __future__ import annotations

from . import aio
from .channel import Channel
from .errors import MessageError, PeerRefused, RefusedMessage, TransportError, TransportTimeout
from .fake import fake_pair
from .pool import Pool, PoolStats
from .shared import ArenaError, ArenaFull, ArenaStats, SharedArena, SharedMemory, SharedMemoryError
from .sockets import recv, send
from .tracker import Tracker

__all__ = [
    "ArenaError",
    "ArenaFull",
    "ArenaStats",
    "Channel",
    "MessageError",
    "PeerRefused",
    "Pool",
    "PoolStats",
    "RefusedMessage",
    "SharedArena",
    "SharedMemory",
    "SharedMemoryError",
    "Tracker",
    "TransportError",
    "TransportTimeout",
    "aio",
    "fake_pair",
    "recv",
    "send",
]
