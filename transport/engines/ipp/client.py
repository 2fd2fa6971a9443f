"""The client's side: write calls in the format that each engine understands, read replies in either."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any, Final

import ipyparallel as ipp
import zmq
from ipyparallel import serialize as package
from ipyparallel.controller import dependency
from ipyparallel.serialize import serialize as stock

from canning import PrePickled, split
from canning.wire.trailer import VERSION
from canning.writing.messages import write_call

from ..adapting import Replaced
from .engine import join
from .formats import (
    ENVELOPE,
    SERIALIZER,
    STOCK_PACK,
    STOCK_READ,
    STOCK_WRITE,
    TYPES,
    Prepared,
    Required,
    in_parts,
    is_canned,
    is_told_otherwise,
    main_namespace,
    prepared,
    read,
)
from .sharing import THREAD, Call, Near, client_arena, probe, writing

Namespace = dict[str, Any]
Modules = str | Iterable[ModuleType | str]
"""Modules to send as source, as `canning.Serializer` takes them: ``"local"``, or modules and names."""


def _pack(f: Any, args: Sequence[Any], kwargs: dict[str, Any], *thresholds: int, **options: int) -> list[Any]:
    """Replace ``pack_apply_message``."""
    call: Call | None = getattr(THREAD, "call", None)
    if call is None or is_told_otherwise():
        return list(STOCK_PACK(f, args, kwargs, *thresholds, **options))
    near = call.near
    copy = None if near is None else near.into
    values = {name: prepared(value, copy) for name, value in kwargs.items()}
    parts = [prepared(part, copy) for part in (f, *args)]
    ready = all(isinstance(part, PrePickled) for part in (*parts, *values.values()))
    if near is None:
        writer = ENVELOPE if ready else call.serializer
        return list(writer.finish([in_parts(write_call(writer, parts[0], parts[1:], values))]))
    writer = near.envelope if ready else near.serializer
    return writer.pack_apply_message(parts[0], parts[1:], values)


def _deserialize(buffers: Sequence[Any], g: Namespace | None = None) -> tuple[Any, list[Any]]:
    """Replace the client's ``deserialize_object``; an error becomes the exception of the result."""
    if not is_canned(buffers):
        return STOCK_READ(buffers, g)  # type: ignore[no-any-return]
    try:
        obj, rest = read(SERIALIZER.deserialize_object, buffers, main_namespace() if g is None else g)
    except Exception as error:  # raised here, it would be lost and the caller would wait forever
        return error, [frame for part in split(buffers)[1:] for frame in part]
    return obj, rest


def nudge(client: Any, socket: Any) -> None:
    """Check for replies after a message was sent.

    ipyparallel sends on the sockets that its event loop watches, and ZeroMQ signals a reply only once: if
    sending consumes that signal, the loop sleeps on, and the caller waits forever. This happened to 4 of 400
    calls of a client without canning, on a busy machine.
    """
    for stream in (client._mux_stream, client._task_stream, client._broadcast_stream):
        if stream is not None and stream.socket is socket:
            client._io_loop.add_callback(stream.flush, zmq.POLLIN)


def request(client: Any, uuid: str, function: Any, args: tuple[Any, ...]) -> Any:
    """Call one of our functions in an engine, in ipyparallel's own format; keep it out of the history."""
    metadata = "submitted" in client.metadata
    with writing(None):
        future = type(client).send_apply_request(
            client, client._mux_socket, function, args, ident=uuid.encode()
        )
    client.history.remove(future.msg_id)
    if not metadata:
        client.metadata.pop("submitted", None)
    nudge(client, client._mux_socket)
    return future


def _prepare(self: Any, obj: Any) -> None:
    """Replace ``PrePickled.__init__``: serialize with canning.

    ipyparallel does this before it names the client, so the modules by value of the whole process apply.
    """
    if is_told_otherwise():
        self.buffers = STOCK_WRITE(obj)
        return
    writers = (link.serializer for link in LINKS.values() if link.by_value)
    self.buffers = Prepared(obj, next(writers, SERIALIZER))


_MANY: Final = 1000


class Link:
    """Send a client's calls, canned to engines that are known to understand canning."""

    def __init__(self, client: ipp.Client, by_value: Modules = ()) -> None:
        self._client = weakref.ref(client)
        self.session: str = client.session.session
        self.arena = client_arena()
        self.by_value = by_value
        self.serializer = SERIALIZER.evolve(by_value=by_value) if by_value else SERIALIZER
        self._near = None if self.arena is None else Near(self.arena, self.serializer)
        self.known: dict[str, bool] = {}  # engines with canning, and whether they can open the arena
        self._asked: set[str] = set()
        self._scheduled: list[Any] = []
        self._many = _MANY

    def send_apply_request(
        self,
        socket: Any,
        f: Any,
        args: Any = None,
        kwargs: Any = None,
        metadata: Any = None,
        track: bool = False,
        ident: bytes | None = None,
        message_future_hook: Any = None,
    ) -> Any:
        """Replace the client's method of that name."""
        client = self._client()
        assert client is not None
        call = self._call(client, ident)
        with writing(call):
            future = type(client).send_apply_request(
                client,
                socket,
                f,
                args,
                kwargs,
                metadata=metadata,
                track=track,
                ident=ident,
                message_future_hook=message_future_hook,
            )
        nudge(client, socket)
        if call is not None:
            call.keep([future] if ident else self._note(client, future, metadata or {}))
        return future

    def _note(self, client: Any, future: Any, metadata: dict[str, Any]) -> list[Any]:
        """Note a call at a scheduler: it may reach an engine after calls that are sent later."""
        futures = [future]
        if metadata.get("is_broadcast") and not metadata.get("is_coalescing"):  # answered one by one
            ids = [f"{future.msg_id}_{uuid}" for uuid, _ in metadata["targets"]]
            futures = [client._futures[msg_id] for msg_id in ids if msg_id in client._futures]
        self._scheduled.extend(futures)
        if len(self._scheduled) > self._many:
            self.unanswered()
            self._many = max(_MANY, 2 * len(self._scheduled))
        return futures

    def unanswered(self) -> list[Any]:
        """Return the futures of canned calls that schedulers may still hold."""
        self._scheduled = [future for future in self._scheduled if not future.done()]
        return self._scheduled

    def _call(self, client: Any, ident: bytes | None) -> Call | None:
        """Return how to write a call; None for ipyparallel's own format."""
        engines = {ident.decode()} if ident else set(client._engines.values())
        if not engines or not engines <= self.known.keys():
            for uuid in engines - self.known.keys() - self._asked:
                self._asked.add(uuid)
                self._invite(client, uuid)
            return None
        return Call(self._near if all(self.known[uuid] for uuid in engines) else None, self.serializer)

    def greet(self, uuid: str, answer: Any) -> bool:
        """Note an engine's answer; tell whether the engine has canning."""
        if not isinstance(answer, dict) or answer.get("format") != VERSION:
            return False
        self.known[uuid] = answer["opens"]
        return True

    def _invite(self, client: Any, uuid: str) -> None:
        """Switch an engine that started later; its next calls may be canned."""
        future = request(client, uuid, join, (self.session, probe(self.arena)))
        future.add_done_callback(lambda done: self.greet(uuid, done.result()))


CLIENTS: Final = Replaced(
    [
        (package, "pack_apply_message", _pack),
        (package, "deserialize_object", _deserialize),
        (stock.PrePickled, "__init__", _prepare),
        (dependency, "can", Required),
    ],
    TYPES,
)
LINKS: Final[weakref.WeakKeyDictionary[Any, Link]] = weakref.WeakKeyDictionary()
"""The clients of this process that have canning."""


def check_client(client: object) -> None:
    """Check that an argument is a client.

    >>> check_client("a view")
    Traceback (most recent call last):
    TypeError: an ipyparallel.Client is needed, not str
    """
    if not isinstance(client, ipp.Client):
        hint = ": pass the client of this view" if hasattr(client, "client") else ""
        raise TypeError(f"an ipyparallel.Client is needed, not {type(client).__name__}{hint}")
