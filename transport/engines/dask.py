"""canning as the serializer of Dask: arrays, containers and registered types, wherever Dask sends data.

    client = distributed.Client(...)
    transport.engines.dask.register(client)      # here, and on all workers, including later ones;
                                                 # `await` it if the client is asynchronous

or ``register()`` in each process, or ``dask worker --preload transport.engines.dask``.

Data is canned; a task graph, which the scheduler reads, keeps Dask's own format, so the scheduler needs no
canning. Dask's family "pickle" reads canned messages: a process that reads them needs canning installed, but
not registered. Dask still splits, compresses and spills the frames. Objects that canning cannot send, and
types that others have registered with Dask, are sent as before. As always with Dask, anyone who can connect
to a cluster can run code in it.

Large payloads go through memory that both ends of a connection can open. When it begins, each end sends the
other its arena's descriptor, and opens the other's arena. The head of its own arena shows whether the other
end has opened it. Host names are not relied upon. The scheduler, which forwards messages unread, makes no
such offer; it gets ordinary frames, as do processes without canning, and disks. Received data stays in its
sender's arena as long as it is in use, and counts as the sender's memory too. So an arena is small compared
with a worker's memory limit, and payloads that do not fit are sent as ordinary frames.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from canning import CanningError, Codecs, SerializationError, Serializer, default_codecs, default_registry
from canning.errors import shortened
from canning.forking import Lock, guarded

from ..shared import SharedArena, default_memory
from ..shared.layout import SIZE, parse, parse_origin
from . import one_pickle as inband
from .adapting import check_layout
from .arenas import machine_memory, new_arena

FIELD: Final = "canning"
"""The key under which an end of a connection offers its arena."""
LARGE: Final = 4 << 20
"""Bytes from which memory is shared: fetching 1 and 2 MB took equally long, 5 MB 2.1 ms instead of 3.1."""
_SHARE: Final = 8
"""The memory that a process may use, divided by this, is the size of its arena."""
_WARM: Final = 64
"""That memory divided by this stays mapped of each other arena; Dask counts it as the worker's memory."""
_LEASE: Final = 60.0
"""Seconds for which a message may wait to be read after its receiver has died."""


class Sharing:
    """The arena of this process, made on first use.

    Args:
        plain: the serializer whose frames go into the arena.
    """

    def __init__(self, plain: Serializer) -> None:
        self._plain = plain
        self._lock: Final = Lock()
        self._pid = 0
        self._memory = machine_memory()
        self.arena: SharedArena | None = None

    def heed(self, server: Any) -> None:
        """Respect a worker's memory limit; for other processes the limit is the machine's memory."""
        limit = getattr(getattr(server, "memory_manager", None), "memory_limit", None)
        self._memory = min(limit or self._memory, self._memory)
        default_memory.warm = min(default_memory.warm, self._memory // _WARM)

    def offer(self) -> bytes:
        """Return the descriptor by which the other end opens our arena; empty if there is none."""
        if self._pid != os.getpid():
            self._make_arena()
        if self.arena is None:
            return b""
        found = self.arena.to_held().encode(memoryview(self._door))
        return b"" if found is None else bytes(found)

    def accept(self, offered: Any) -> None:
        """Open the arena of the other end, if possible; its head shows this to its owner."""
        if isinstance(offered, bytes) and len(offered) == SIZE:
            with contextlib.suppress(CanningError, OSError):  # another host, user or container
                default_memory.decode(memoryview(offered), 1)

    def serializer(self, context: dict[str, Any] | None) -> Serializer:
        """Return the serializer for a connection, by its Dask context, which may be None."""
        offered = (context or {}).get("recipient", {}).get(FIELD, b"")
        if self.arena is None or self._pid != os.getpid() or len(offered) != SIZE:
            return self._plain
        there = parse_origin(parse(offered)[0])
        return self._near if self.arena.is_open_in(there.pid, there.started) else self._plain

    @guarded
    def leave(self) -> None:
        """Let nobody open the arena any more; its payloads stay while a process has them open."""
        self.arena, self._pid = None, 0

    @guarded
    def _make_arena(self) -> None:
        if self._pid == os.getpid():  # another thread has made it
            return
        arena = new_arena(self._memory // _SHARE, lease=_LEASE, threshold=LARGE, linger=0)
        if arena is not None:
            self._door = arena.array(np.zeros(1, np.uint8))
            self._near = self._plain.evolve(codec=arena.to(1))
        self.arena, self._pid = arena, os.getpid()


TRIED: Final = "2026.8.0"
check_layout(
    "distributed",
    TRIED,
    {
        "distributed.protocol.serialize": ("dask_serialize",),
        "distributed.protocol.serialize:serialize": ("families", "Serialize", "iterate_collection"),
        "distributed.protocol.serialize:serialize_and_split": ("serialize",),
        "distributed.protocol.serialize:pickle_loads": ("ensure_writeable_flag", "pik"),
    },
)

import distributed  # noqa: E402 - after the check of the layout
from distributed.comm.core import Comm  # noqa: E402

protocol: Any = importlib.import_module("distributed.protocol.serialize")  # a function has the same name

from .adapting import Replaced  # noqa: E402

Message = tuple[dict[str, Any], list[Any]]
_CONTAINERS: Final = (list, tuple, set, dict)
_MARKED: Final = (protocol.Serialize, protocol.Serialized, protocol.ToPickle, protocol.Pickled)
_SERIALIZER: Final = Serializer(writable=True, codecs=Codecs([default_memory], beside=default_codecs))
_SHARING: Final = Sharing(_SERIALIZER)
_serialize: Final = protocol.serialize
_STOCK_INFO: Final = Comm.handshake_info
_STOCK_CONFIGURATION: Final = Comm.handshake_configuration


def _canned(obj: Any, context: dict[str, Any] | None) -> Message:
    """Return a header and frames in the format of Dask's family "pickle", which every process can read.

    A connection (it has a `context`) without compression gets whole frames: Dask would cut them at 64 MiB,
    and join them again by a copy.
    """
    frames = inband.dumps_apart(_SHARING.serializer(context).serialize_object(obj), writable=True)
    header: dict[str, Any] = {"serializer": "pickle", "writeable": (True,) * (len(frames) - 1)}
    if context is not None and not context.get("compression"):
        header["compression"] = (False,) * len(frames)
    return header, frames


def _serialize_canned(
    x: Any, serializers: Any = None, on_error: str = "message", context: Any = None, **options: Any
) -> Message:
    """Replace ``serialize``: write one pickle if canning can send the object, otherwise as before.

    A container is written whole: so its parts stay shared, and a list of a million ints does not become a
    million messages.
    """
    data = x.data if type(x) is protocol.Serialize else x
    if _is_allowed(serializers) and _is_ours(data):
        try:
            return _canned(data, context)
        except SerializationError:
            pass  # Dask may succeed, and its users know its errors
    return _serialize(x, serializers, on_error, context, **options)  # type: ignore[no-any-return]


def _is_allowed(serializers: Any) -> bool:
    """Tell whether "pickle" may be used, and no user-registered family takes precedence."""
    if serializers is None:
        return True
    first = next((name for name in serializers if name != "dask"), None)
    return first == "pickle"


def _is_ours(data: Any) -> bool:
    """Tell whether canning should try: not for Dask's own objects, nor for types registered with Dask."""
    kind = type(data)
    if kind in _CONTAINERS:
        return not any(isinstance(part, _MARKED) for part in (data.values() if kind is dict else data))
    if issubclass(kind, _MARKED) or any(base.__module__.startswith("dask.") for base in kind.__mro__):
        return False  # a task graph: the scheduler reads it, and pickles its parts again in Dask's format
    if (kind.__module__.startswith("numpy") and isinstance(data, np.ndarray)) or default_registry.find(kind):
        return True
    try:
        protocol.dask_serialize.dispatch(kind)
    except TypeError:
        return True
    return False


def _handshake_info(self: Any) -> dict[str, Any]:
    """Replace ``Comm.handshake_info``: tell the other end how to open our arena."""
    info: dict[str, Any] = _STOCK_INFO(self)
    if getattr(self, "deserialize", False):
        info[FIELD] = _SHARING.offer()
    return info


def _handshake_configuration(local: dict[str, Any], remote: dict[str, Any]) -> Any:
    """Replace ``Comm.handshake_configuration``: open the arena that the other end offers."""
    _SHARING.accept(remote.get(FIELD))
    return _STOCK_CONFIGURATION(local, remote)


_REPLACED: Final = Replaced(
    [
        (protocol, "serialize", _serialize_canned),
        (distributed.protocol, "serialize", _serialize_canned),
        (Comm, "handshake_info", _handshake_info),
        (Comm, "handshake_configuration", staticmethod(_handshake_configuration)),
    ]
)


@shortened
def register(client: distributed.Client | None = None) -> Any:
    """Let this process use canning, and if a client is given, first all workers of its cluster.

    Calling it again is harmless. Processes that only receive need canning installed, but not registered. With
    an asynchronous client, await it.
    """
    if client is None:
        return _REPLACED.join(register)
    _check_client(client)
    told = client.register_plugin(CanningPlugin())
    return _then(told, lambda: _join(client))


def _check_client(client: object) -> None:
    if not isinstance(client, distributed.Client):
        raise TypeError(f"a distributed.Client is needed, not {type(client).__name__}")


def _join(client: distributed.Client) -> None:
    _REPLACED.join(register)
    if client.loop is not None:
        client.loop.add_callback(client.rpc.collect)  # idle connections have exchanged no arenas


def unregister(client: distributed.Client | None = None) -> Any:
    """Serialize as before `register`; data that was spilled in between can no longer be read.

    With an asynchronous client, await it.
    """
    if client is not None:
        _check_client(client)
    _leave(register)
    if client is None:
        return None
    told = client.unregister_worker_plugin(CanningPlugin.name)  # type: ignore[no-untyped-call,unused-ignore]
    return _then(told, lambda: None)


@contextlib.contextmanager
def registered(client: distributed.Client | None = None) -> Iterator[distributed.Client | None]:
    """Use canning until the block ends: `register`, and then `unregister`; not for an asynchronous client."""
    if client is not None and client.asynchronous:
        raise TypeError("registered() blocks: with an asynchronous client, await register(client)")
    register(client)
    try:
        yield client
    finally:
        unregister(client)


def _then(told: Any, what: Callable[[], None]) -> Any:
    """Continue when the workers have answered; for an asynchronous client, return an awaitable."""
    if not inspect.isawaitable(told):
        return what()

    async def later() -> None:
        await told
        what()

    return later()


def _leave(user: Any) -> None:
    _REPLACED.leave(user)
    if not _REPLACED:
        _SHARING.leave()


class CanningPlugin(distributed.WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Let workers use canning: ``client.register_plugin(CanningPlugin())``."""

    name = "canning"

    def setup(self, worker: Any) -> None:
        """Start using canning on one worker."""
        _SHARING.heed(worker)
        _REPLACED.join(worker.address)
        worker.rpc.collect()

    def teardown(self, worker: Any) -> None:
        """Stop using canning on one worker."""
        _leave(worker.address)


def dask_setup(server: Any) -> None:
    """Use canning in a process started with ``--preload transport.engines.dask``."""
    _SHARING.heed(server)
    register()
