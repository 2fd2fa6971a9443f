"""canning as the serializer of Dask: arrays, containers and registered types, on every way data takes.

    client = distributed.Client(...)
    transport.engines.dask.register(client)      # here, and on all workers, those that come later too;
                                                 # `await` it where the client is asynchronous

or ``register()`` in each process, or ``dask worker --preload transport.engines.dask``. The scheduler needs
nothing: it hands data on as it came.

Frames stay Dask's: it splits, compresses and spills them, and its header says what they are. What canning
cannot send, and types that others have registered with Dask, go as they went before. As ever with Dask,
whoever can connect to a cluster can run code in it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from canning import Codecs, SerializationError, Serializer, default_codecs, default_registry

from ..shared import default_memory
from .dask_sharing import FIELD, Sharing
from .layout import check_layout

TRIED: Final = "2026.8.0"
check_layout(
    "distributed",
    TRIED,
    {
        "distributed.protocol.serialize": ("families", "register_serialization_family"),
        "distributed.protocol.serialize:serialize": ("families", "Serialize", "iterate_collection"),
        "distributed.protocol.serialize:deserialize": ("families",),
        "distributed.protocol.serialize:serialize_and_split": ("serialize",),
        "distributed.protocol.serialize:pickle_dumps": ("context",),
    },
)

import distributed  # noqa: E402 - after the look at what is there
from distributed.comm.core import Comm  # noqa: E402

protocol: Any = importlib.import_module("distributed.protocol.serialize")  # a function has its name

from .replacing import Replaced  # noqa: E402

Message = tuple[dict[str, Any], list[Any]]
_CONTAINERS: Final = (list, tuple, set, dict)
_MARKED: Final = (protocol.Serialize, protocol.Serialized, protocol.ToPickle, protocol.Pickled)
_SERIALIZER: Final = Serializer(writable=True, codecs=Codecs([default_memory], beside=default_codecs))
_SHARING: Final = Sharing(_SERIALIZER)
_LONG: Final = 1024
_STOCK: Final = {name: protocol.families[name] for name in ("dask", "pickle")}
_serialize: Final = protocol.serialize
_STOCK_INFO: Final = Comm.handshake_info
_STOCK_CONFIGURATION: Final = Comm.handshake_configuration


def _dumps(obj: Any, context: dict[str, Any] | None) -> Message:
    """Give a header and frames of Dask's.

    A canned header that is long is a frame too, so that Dask compresses and splits it. Dask reads the
    first buffer of a message into the same memory as what stands before it, at any address, and all others
    into memory of their own; so a buffer of one byte goes before ours. Without it, 200 MB were copied again
    on arrival, to be aligned, and took three times as long as without canning.

    A connection, which has a `context`, that compresses nothing gets whole frames: Dask would cut them at 64
    MiB, and join them again by a copy.
    """
    head, *frames = _SHARING.serializer(context).serialize_object(obj)
    if frames:
        frames.insert(0, memoryview(bytearray(1)))
    header: dict[str, Any] = {"canned": bytes(head)}
    if len(head) >= _LONG:
        frames.insert(0, bytes(head))
        header["canned"] = b""
    if context is not None and not context.get("compression"):
        header["compression"] = (False,) * len(frames)
    return header, frames


def _loads(name: str, header: dict[str, Any], frames: list[Any]) -> Any:
    if "canned" not in header:
        return _STOCK[name][1](header, frames)
    head = header["canned"]
    if not head:
        head, *frames = frames
    return _SERIALIZER.deserialize_object([head, *frames[1:]])[0]


def _dask_dumps(obj: Any, context: dict[str, Any] | None = None) -> Message:
    """Be Dask's own family: arrays of numpy, and what is registered with canning, are ours."""
    kind = type(obj)
    if (isinstance(obj, np.ndarray) and kind.__module__.startswith("numpy")) or default_registry.find(kind):
        try:
            return _dumps(obj, context)
        except SerializationError:
            pass  # objects in an array, say, that only Dask can send
    return protocol.dask_dumps(obj, context=context)  # type: ignore[no-any-return]


def _pickle_dumps(obj: Any, context: dict[str, Any] | None = None) -> Message:
    """Be the family of all else."""
    try:
        return _dumps(obj, context)
    except SerializationError:
        return protocol.pickle_dumps(obj, context=context)  # type: ignore[no-any-return]


def _serialize_whole(
    x: Any, serializers: Any = None, on_error: str = "message", context: Any = None, **options: Any
) -> Message:
    """Be ``serialize``: a container that Dask would send item by item goes as one.

    So what its parts share stays shared, and a list of a million ints does not become a million messages.
    """
    data = x.data if type(x) is protocol.Serialize else x
    ours = type(data) in _CONTAINERS and (serializers is None or "pickle" in serializers)
    if ours and not any(
        isinstance(part, _MARKED) for part in (data.values() if type(data) is dict else data)
    ):
        try:
            header, frames = _dumps(data, context)
        except SerializationError:
            pass
        else:
            return {**header, "serializer": "pickle"}, frames
    return _serialize(x, serializers, on_error, context, **options)  # type: ignore[no-any-return]


def _family(name: str, dumps: Any) -> tuple[Any, Any, bool]:
    return dumps, lambda header, frames: _loads(name, header, frames), True


def _handshake_info(self: Any) -> dict[str, Any]:
    """Be ``Comm.handshake_info``: tell the other end of our arena, where we read what it sends."""
    info: dict[str, Any] = _STOCK_INFO(self)
    if getattr(self, "deserialize", False):
        info[FIELD] = _SHARING.offer()
    return info


def _handshake_configuration(local: dict[str, Any], remote: dict[str, Any]) -> Any:
    """Be ``Comm.handshake_configuration``: what this end makes of what the other told."""
    _SHARING.accept(remote.get(FIELD))
    return _STOCK_CONFIGURATION(local, remote)


class _Families:
    """Let the dictionary of families be replaced entry by entry, as if these were attributes."""

    def __init__(self, families: dict[str, Any]) -> None:
        object.__setattr__(self, "__dict__", families)


_REPLACED: Final = Replaced(
    [
        (_Families(protocol.families), "dask", _family("dask", _dask_dumps)),
        (_Families(protocol.families), "pickle", _family("pickle", _pickle_dumps)),
        (protocol, "serialize", _serialize_whole),
        (distributed.protocol, "serialize", _serialize_whole),
        (Comm, "handshake_info", _handshake_info),
        (Comm, "handshake_configuration", staticmethod(_handshake_configuration)),
    ]
)


def register(client: distributed.Client | None = None) -> Any:
    """Let this process use canning, and first, where a client is given, all workers of its cluster.

    Twice is as good as once. Processes that receive what others have canned need it too. With an asynchronous
    client this is to be awaited, as what the client itself offers is.
    """
    if client is None:
        return _REPLACED.join(register)
    told = client.register_plugin(CanningPlugin())
    return _then(told, lambda: _join(client))


def _join(client: distributed.Client) -> None:
    _REPLACED.join(register)
    if client.loop is not None:
        client.loop.add_callback(client.rpc.collect)  # connections that are idle would know of no arena


def unregister(client: distributed.Client | None = None) -> Any:
    """Serialize as before `register`; data that was spilled in the meantime can no longer be read.

    With an asynchronous client this is to be awaited.
    """
    _leave(register)
    if client is None:
        return None
    told = client.unregister_worker_plugin(CanningPlugin.name)  # type: ignore[no-untyped-call,unused-ignore]
    return _then(told, lambda: None)


def _then(told: Any, what: Callable[[], None]) -> Any:
    """Go on when the workers were told; of an asynchronous client, give what is to be awaited."""
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
        """Begin, on one worker."""
        _SHARING.heed(worker)
        _REPLACED.join(worker.address)
        worker.rpc.collect()

    def teardown(self, worker: Any) -> None:
        """End."""
        _leave(worker.address)


def dask_setup(server: Any) -> None:
    """Be called by ``--preload transport.engines.dask``."""
    _SHARING.heed(server)
    register()
