"""The engine's side: calls read whatever they are, replies written as their call came."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

from ipyparallel.engine import datapub, kernel

from canning import __version__ as canning_version
from canning.wire.trailer import VERSION
from canning.writing.messages import write

from ...shared import SharedArena
from ..adapting import Replaced
from .formats import (
    SERIALIZER,
    STOCK_UNPACK,
    STOCK_WRITE,
    TYPES,
    in_parts,
    is_canned,
    prepared,
    read,
)
from .sharing import client_arena, opens, probe

Namespace = dict[str, Any]
THREAD: Final = threading.local()
"""Whether the call that this thread answers was canned: `.replies`."""
ALWAYS: Final = "install_engine"
ANSWER: Final = {"canning": canning_version, "format": VERSION}


def _unpack(frames: Sequence[Any], g: Namespace | None = None, copy: bool = True) -> Any:
    """Be ``unpack_apply_message``; the reply will be in the same format."""
    THREAD.replies = is_canned(frames)
    if not THREAD.replies:
        return STOCK_UNPACK(frames, g, copy)
    ENGINE.join(_session())
    return read(SERIALIZER.unpack_apply_message, frames, g)


def _reply(obj: Any, **thresholds: int) -> list[Any]:
    """Be ``serialize_object`` of a result."""
    if getattr(THREAD, "replies", False):
        return SHARING.serialize(_session(), prepared(obj))
    return list(STOCK_WRITE(obj, **thresholds))


def _publish(data: Any, **thresholds: int) -> list[Any]:
    """Be ``serialize_object`` of published data, for the client whose code publishes it."""
    if _session() in ENGINE:
        return SERIALIZER.serialize_object(data)
    return list(STOCK_WRITE(data, **thresholds))


class _Sharing:
    """Know the clients that can open the arena of this engine, which is made for the first of them."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.arena: SharedArena | None = None

    def serialize(self, session: str, obj: Any) -> list[Any]:
        """Write a reply."""
        if session in self.sessions and self.arena is not None:
            return self.near.serialize_object(obj)
        return list(SERIALIZER.finish([in_parts(write(SERIALIZER, obj))]))

    def probe(self) -> list[bytes]:
        """Make the arena, if there is none, and what a client opens to try it."""
        if self.arena is None:
            self.arena = client_arena()
            if self.arena is not None:
                self.near = SERIALIZER.evolve(codec=self.arena.to(1))
        return probe(self.arena)

    def leave(self, session: str) -> None:
        """Forget a client, and the arena with the last one."""
        self.sessions.discard(session)
        if not self.sessions:
            self.arena = None


SHARING: Final = _Sharing()


def _session() -> str:
    """Tell whose request the engine is at."""
    from IPython.core.getipython import get_ipython  # an engine has it, and no client needs it

    shell: Any = get_ipython()
    return str(shell.data_pub.parent_header.get("session", ""))


ENGINE: Final = Replaced(
    [
        (kernel, "unpack_apply_message", _unpack),
        (kernel, "serialize_object", _reply),
        (datapub, "serialize_object", _publish),
    ],
    TYPES,
)


def report() -> dict[str, Any]:
    """Tell what an engine has, and change nothing."""
    return ANSWER


def join(session: str, probe: list[bytes]) -> dict[str, Any]:
    """Understand a client from now on; tell whether its arena can be opened here, and how to try ours."""
    ENGINE.join(session)
    near = opens(probe)
    return {**ANSWER, "opens": near, "probe": SHARING.probe() if near else []}


def share(sessions: dict[str, str]) -> None:
    """Let replies to a session lie in the arena; `sessions` has those of the engines that it can open."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell.kernel.ident in sessions:
        SHARING.sessions.add(sessions[shell.kernel.ident])


def leave(session: str) -> dict[str, Any]:
    """Forget a client."""
    ENGINE.leave(session)
    SHARING.leave(session)
    return ANSWER
