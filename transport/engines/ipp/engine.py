"""The engine's side: read calls in either format, write each reply in the format of its call."""

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
    """Replace ``unpack_apply_message``; the reply will have the same format."""
    THREAD.replies = is_canned(frames)
    if not THREAD.replies:
        return STOCK_UNPACK(frames, g, copy)
    ENGINE.join(_session())
    return read(SERIALIZER.unpack_apply_message, frames, g)


def _reply(obj: Any, **thresholds: int) -> list[Any]:
    """Replace ``serialize_object`` for a result."""
    if getattr(THREAD, "replies", False):
        return SHARING.serialize(_session(), prepared(obj))
    return list(STOCK_WRITE(obj, **thresholds))


def _publish(data: Any, **thresholds: int) -> list[Any]:
    """Replace ``serialize_object`` for published data, for the client whose code publishes it."""
    if _session() in ENGINE:
        return SERIALIZER.serialize_object(data)
    return list(STOCK_WRITE(data, **thresholds))


class _Sharing:
    """The clients that can open this engine's arena, which is made for the first of them."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.arena: SharedArena | None = None

    def serialize(self, session: str, obj: Any) -> list[Any]:
        """Write a reply."""
        if session in self.sessions and self.arena is not None:
            return self.near.serialize_object(obj)
        return list(SERIALIZER.finish([in_parts(write(SERIALIZER, obj))]))

    def probe(self) -> list[bytes]:
        """Make the arena, if there is none, and a message by which a client tests whether it can open it."""
        if self.arena is None:
            self.arena = client_arena()
            if self.arena is not None:
                self.near = SERIALIZER.evolve(codec=self.arena.to(1))
        return probe(self.arena)

    def leave(self, session: str) -> None:
        """Forget a client; drop the arena with the last one."""
        self.sessions.discard(session)
        if not self.sessions:
            self.arena = None


SHARING: Final = _Sharing()


def _session() -> str:
    """Return the session of the request that the engine is processing."""
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
    """Report the state of an engine, and change nothing."""
    return ANSWER


def join(session: str, probe: list[bytes]) -> dict[str, Any]:
    """Serve a client from now on; return whether its arena can be opened here, and a probe of ours."""
    ENGINE.join(session)
    near = opens(probe)
    return {**ANSWER, "opens": near, "probe": SHARING.probe() if near else []}


def share(sessions: dict[str, str]) -> None:
    """Send replies to a session through the arena; `sessions` names the engines whose arena it can open."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell.kernel.ident in sessions:
        SHARING.sessions.add(sessions[shell.kernel.ident])


def leave(session: str) -> dict[str, Any]:
    """Forget a client."""
    ENGINE.leave(session)
    SHARING.leave(session)
    return ANSWER
