"""canning in an ipyparallel cluster: one client and all its engines.

    import ipyparallel, transport.engines.ipyparallel as canned
    client = ipyparallel.Client()
    canned.install(client)

Nothing tells ipyparallel which serializer to use, so that its functions are replaced where it looks them up:
in the client's process while one of its clients has canning, and in engines while one of their clients has.
Both formats are told apart by the last bytes of frame 0 and are read wherever they arrive; a call is written
by the client that makes it, a reply as its call came. So no message is lost in the switch, and clients
without canning can use the same engines. As in ipyparallel itself, whoever can connect to a cluster can run
code in its engines and clients.

Functions run where they run today: those of ``__main__`` in the engine's namespace, others in their module.
Engines that start later are switched by the first call that may reach them, which still goes in
ipyparallel's own format; those with this start-up command understand canning from the start:

    c.IPEngine.startup_command = "import transport.engines.ipyparallel as canned; canned.install_engine()"
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from canning import CannedObject, Codecs, PrePickled, Serializer, default_codecs, split
from canning import __version__ as canning_version
from canning.errors import CanningError, DeserializationError
from canning.wire import MAGIC, VERSION

from ..framing import OWN_BELOW
from ..shared import ArenaError, SharedArena, default_memory
from .layout import EngineError, check_layout
from .replacing import Replaced

TRIED: Final = "9.2.0"
check_layout(
    "ipyparallel",
    TRIED,
    {
        "ipyparallel.client.client:Client.send_apply_request": ("serialize", "pack_apply_message", "ident"),
        "ipyparallel.client.client:Client._handle_apply_reply": ("serialize", "deserialize_object"),
        "ipyparallel.client.client:Client._build_targets": ("_engines",),
        "ipyparallel.engine.kernel:IPythonParallelKernel.do_apply": (
            "unpack_apply_message",
            "serialize_object",
        ),
        "ipyparallel.engine.datapub:ZMQDataPublisher.publish_data": ("serialize_object", "parent_header"),
        "ipyparallel.serialize.serialize:PrePickled.__init__": ("serialize_object", "buffers"),
        "ipyparallel.serialize.serialize:pack_apply_message": ("serialize_object",),
        "ipyparallel.controller.dependency:require": ("can",),
        "ipyparallel.controller.dependency:dependent.check_dependency": (),
    },
)

import ipyparallel as ipp  # noqa: E402 - after the look at what is there
from ipyparallel import serialize as package  # noqa: E402
from ipyparallel.controller import dependency  # noqa: E402
from ipyparallel.engine import datapub, kernel  # noqa: E402
from ipyparallel.serialize import canning as stock_canning  # noqa: E402
from ipyparallel.serialize import serialize as stock  # noqa: E402

Namespace = dict[str, Any]
_SERIALIZER: Final = Serializer(
    interactive=True, writable=True, codecs=Codecs([default_memory], beside=default_codecs)
)
_CUT: Final = _SERIALIZER.evolve(largest_frame=1 << 20)
"""Through the controller 200 MB took less than half of the time in frames of 1 MiB."""
_IN_ARENA: Final = 256 * 1024
"""Bytes from which a frame goes into an arena, where the other side can open it."""


# -- formats ---------------------------------------------------------------------------------------------


def is_canned(frames: Sequence[Any]) -> bool:
    """Tell whether frames are of canning, by the last bytes of frame 0."""
    return bool(frames) and bytes(memoryview(frames[0])[-len(MAGIC) :]) == MAGIC


def _own(frames: Iterable[Any]) -> list[Any]:
    """Copy small frames, so that what is kept of a message does not pin all of it."""
    return [bytearray(frame) if len(frame) < OWN_BELOW else frame for frame in frames]


def _read(read: Callable[..., Any], frames: Sequence[Any], g: Namespace | None) -> Any:
    """Read, and raise what the message's own code raised as itself: an unmet dependency, a NameError."""
    try:
        return read(_own(frames), g)
    except DeserializationError as error:
        if error.__cause__ is None or isinstance(error.__cause__, CanningError):
            raise
        raise error.__cause__ from None


def _main() -> Namespace:
    return vars(sys.modules["__main__"])


class _Prepared(Sequence[Any]):
    """Be the buffers of a `PrePickled`: canning's now, ipyparallel's for who asks for them."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.canned = PrePickled(obj, _SERIALIZER)
        self.shared: PrePickled | None = None
        self._stock: list[Any] | None = None

    def __getitem__(self, index: Any) -> Any:
        if self._stock is None:
            self._stock = stock.serialize_object(self.obj)
        return self._stock[index]

    def __len__(self) -> int:
        return len(self[:])

    def in_arena(self, arena: SharedArena) -> PrePickled:
        """Give it with its memory in the arena: one copy for all who are sent it."""
        if self.shared is None:
            self.shared = PrePickled(None)
            self.shared.frames = [_into(arena, frame) for frame in self.canned.frames]
        return self.shared


def _prepare(self: Any, obj: Any) -> None:
    """Be ``PrePickled.__init__``: serialize with canning."""
    self.buffers = _STOCK_WRITE(obj) if _is_told_otherwise() else _Prepared(obj)


def _is_told_otherwise() -> bool:
    """Tell whether ``use_cloudpickle`` or ``use_dill`` was called: whoever does so wants these."""
    return stock.pickle is not pickle


def _prepared(obj: Any, arena: SharedArena | None = None) -> Any:
    """Give canning's own kind of what was serialized before, and anything else as it is."""
    if not isinstance(obj, stock.PrePickled):
        return obj
    if isinstance(obj.buffers, _Prepared):
        return obj.buffers.canned if arena is None else obj.buffers.in_arena(arena)
    return _STOCK_READ(obj.buffers, _main())[0]  # made while no client had canning


def _into(arena: SharedArena, frame: Any) -> Any:
    if len(frame) < _IN_ARENA:
        return frame
    try:
        return memoryview(arena.array(np.frombuffer(frame, np.uint8)))
    except ArenaError:  # it is full: an ordinary frame
        return frame


def _new_arena() -> SharedArena | None:
    try:
        return SharedArena(_capacity(), lease=_LEASE, threshold=_IN_ARENA)
    except ArenaError:  # this system has none
        return None


def _capacity() -> int:
    """Give half of the machine's memory; pages are taken when they are first used."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


_LEASE: Final = 120.0
"""Seconds after which a reply in an arena is given up that the client has not opened."""


def _probe(arena: SharedArena | None) -> list[bytes]:
    """Make a message by which the other side finds out whether it can open an arena; an empty one if none."""
    if arena is None:
        return []
    frames = _SERIALIZER.evolve(codec=arena.to(1)).serialize_object(bytes(_IN_ARENA))
    return [bytes(frame) for frame in frames]


def _opens(probe: list[bytes]) -> bool:
    """Tell whether an arena can be opened, by trying."""
    try:
        return bool(probe) and len(_SERIALIZER.deserialize_object(probe)[0]) == _IN_ARENA
    except DeserializationError:
        return False


class _CannedReference(CannedObject):
    """Stand for an `ipyparallel.Reference`, an expression that the engine evaluates in its namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.buffers = []

    def get_object(self, g: Namespace | None = None) -> Any:
        """Evaluate, as ipyparallel does; where there is no namespace the reference itself arrives."""
        reference = ipp.Reference(self.name)
        return reference if g is None else reference.get_object(g)


class _CannedDependent(CannedObject):
    """Stand for a function with a dependency, which is checked where it arrives."""

    def __init__(self, dependent: Any) -> None:
        self.attributes = dict(vars(dependent))
        self.kind = type(dependent)
        self.buffers = []

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the function; raises `UnmetDependency`."""
        dependent: Any = object.__new__(self.kind)
        dependent.__dict__.update(self.attributes)
        dependent.check_dependency()
        return dependent


class _Required:
    """Hold what `require` takes along: canned by ipyparallel for its own pickles, by nobody for ours."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (_STOCK_CAN(self.obj),)


def _same(obj: Any) -> Any:
    return obj


_TYPES: Final[dict[str, dict[str, Any]]] = {
    "ipyparallel.serialize.canning.Reference": {"can": lambda reference: _CannedReference(reference.name)},
    "ipyparallel.controller.dependency.dependent": {"can": _CannedDependent},
    "ipyparallel.serialize.serialize.PrePickled": {
        "can": lambda ready: (_prepared(ready),),
        "uncan": lambda state: state[0],
    },
    f"{__name__}._Required": {"can": lambda held: (held.obj,), "uncan": lambda state: state[0]},
}


# -- the client's side -----------------------------------------------------------------------------------

_STOCK_READ: Final = stock.deserialize_object
_STOCK_PACK: Final = stock.pack_apply_message
_STOCK_UNPACK: Final = stock.unpack_apply_message
_STOCK_WRITE: Final = stock.serialize_object
_STOCK_CAN: Final = stock_canning.can
_THREAD: Final = threading.local()
"""What this thread is at: `.writes`, whether the call it writes is canned; `.replies`, whether the call it
answers was."""


def _pack(f: Any, args: Sequence[Any], kwargs: dict[str, Any], *thresholds: int, **options: int) -> list[Any]:
    """Be ``pack_apply_message``."""
    call: _Call | None = getattr(_THREAD, "call", None)
    if call is None or _is_told_otherwise():
        return list(_STOCK_PACK(f, args, kwargs, *thresholds, **options))
    arena = call.arena
    values = {name: _prepared(value, arena) for name, value in kwargs.items()}
    parts = [_prepared(part, arena) for part in (f, *args)]
    if arena is None:
        return _CUT.pack_apply_message(parts[0], parts[1:], values)
    call.kept = [part.frames for part in (*parts, *values.values()) if isinstance(part, PrePickled)]
    return _SERIALIZER.pack_apply_message(parts[0], parts[1:], values, codec=arena.to(call.readers))


class _Call:
    """Say how a call is to be written.

    Attributes:
        arena: where its payload goes; None for ordinary frames.
        readers: how many engines will open it.
        kept: what lies in the arena, until all have answered: an engine may die, and another take its task.
    """

    def __init__(self, arena: SharedArena | None, readers: int = 1) -> None:
        self.arena = arena
        self.readers = readers
        self.kept: list[Any] = []

    def keep(self, futures: list[Any]) -> None:
        """Keep the payload until the last of these futures is done."""
        if not self.kept:
            return
        left = set(map(id, futures))

        def answered(future: Any) -> None:
            left.discard(id(future))
            if not left:
                self.kept = []

        for future in futures:
            future.add_done_callback(answered)


def _deserialize(buffers: Sequence[Any], g: Namespace | None = None) -> tuple[Any, list[Any]]:
    """Be ``deserialize_object`` of the client; what cannot be read becomes the result's exception."""
    if not is_canned(buffers):
        return _STOCK_READ(buffers, g)  # type: ignore[no-any-return]
    try:
        obj, rest = _read(_SERIALIZER.deserialize_object, buffers, _main() if g is None else g)
    except Exception as error:  # raised here it would be lost, and whoever waits for the result hang
        return error, [frame for part in split(buffers)[1:] for frame in part]
    return obj, rest


@contextmanager
def _writing(call: _Call | None) -> Iterator[None]:
    before = getattr(_THREAD, "call", None)
    _THREAD.call = call
    try:
        yield
    finally:
        _THREAD.call = before


_MANY: Final = 1000


class _Link:
    """Send a client's calls: canned to engines that are known to understand it."""

    def __init__(self, client: ipp.Client) -> None:
        self._client = weakref.ref(client)
        self.session: str = client.session.session
        self.arena = _new_arena()
        self.known: dict[str, bool] = {}  # engines with canning, and whether they can open the arena
        self._asked: set[str] = set()
        self._scheduled: set[str] = set()

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
        """Be the client's method of that name."""
        client = self._client()
        assert client is not None
        call = self._call(client, ident, metadata or {})
        with _writing(call):
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
        if call is not None:
            ids = [future.msg_id] if ident else self._note(client, future.msg_id, metadata or {})
            call.keep([client._futures[msg_id] for msg_id in ids if msg_id in client._futures])
        return future

    def _note(self, client: Any, msg_id: str, metadata: dict[str, Any]) -> list[str]:
        """Note a call that a scheduler has, which may come to an engine later than what is sent later."""
        if len(self._scheduled) > _MANY:
            self._scheduled &= client.outstanding
        ids = [msg_id]
        if metadata.get("is_broadcast") and not metadata.get("is_coalescing"):  # answered one by one
            ids = [f"{msg_id}_{uuid}" for uuid, _ in metadata["targets"]]
        self._scheduled.update(ids)
        return ids

    def unanswered(self, client: Any) -> list[str]:
        """Name the canned calls that schedulers may still have."""
        return sorted(self._scheduled & client.outstanding)

    def _call(self, client: Any, ident: bytes | None, metadata: dict[str, Any]) -> _Call | None:
        """Say how to write a call; None for ipyparallel's own format."""
        engines = {ident.decode()} if ident else set(client._engines.values())
        if not engines or not engines <= self.known.keys():
            for uuid in engines - self.known.keys() - self._asked:
                self._asked.add(uuid)
                self._invite(client, uuid)
            return None
        near = self.arena is not None and all(self.known[uuid] for uuid in engines)
        targets = metadata.get("targets") if metadata.get("is_broadcast") else None
        return _Call(self.arena if near else None, len(targets or [0]))

    def greet(self, uuid: str, answer: Any) -> bool:
        """Note what an engine answered; tell whether it answered as one with canning."""
        if not isinstance(answer, dict) or answer.get("format") != VERSION:
            return False
        self.known[uuid] = answer["opens"]
        return True

    def _invite(self, client: Any, uuid: str) -> None:
        """Switch an engine that came later; its next calls may be canned."""
        with _writing(None):
            future = type(client).send_apply_request(
                client,
                client._mux_socket,
                _join,
                [self.session, _probe(self.arena)],
                ident=uuid.encode(),
            )
        future.add_done_callback(lambda done: self.greet(uuid, done.result()))


_CLIENTS: Final = Replaced(
    [
        (package, "pack_apply_message", _pack),
        (package, "deserialize_object", _deserialize),
        (stock.PrePickled, "__init__", _prepare),
        (dependency, "can", _Required),
    ],
    _TYPES,
)
_LINKS: Final[weakref.WeakKeyDictionary[Any, _Link]] = weakref.WeakKeyDictionary()
"""The clients of this process that have canning."""


# -- the engine's side -----------------------------------------------------------------------------------

_ALWAYS: Final = "install_engine"
_ANSWER: Final = {"canning": canning_version, "format": VERSION}


def _unpack(frames: Sequence[Any], g: Namespace | None = None, copy: bool = True) -> Any:
    """Be ``unpack_apply_message``; the reply will be in the same format."""
    _THREAD.replies = is_canned(frames)
    if not _THREAD.replies:
        return _STOCK_UNPACK(frames, g, copy)
    _ENGINE.join(_session())
    return _read(_SERIALIZER.unpack_apply_message, frames, g)


def _reply(obj: Any, **thresholds: int) -> list[Any]:
    """Be ``serialize_object`` of a result."""
    if getattr(_THREAD, "replies", False):
        return _SHARING.serializer(_session()).serialize_object(_prepared(obj))
    return list(_STOCK_WRITE(obj, **thresholds))


def _publish(data: Any, **thresholds: int) -> list[Any]:
    """Be ``serialize_object`` of published data, for the client whose code publishes it."""
    if _session() in _ENGINE:
        return _SERIALIZER.serialize_object(data)
    return list(_STOCK_WRITE(data, **thresholds))


class _Sharing:
    """Know the clients that can open the arena of this engine, which is made for the first of them."""

    def __init__(self) -> None:
        self.sessions: set[str] = set()
        self.arena: SharedArena | None = None

    def serializer(self, session: str) -> Serializer:
        """Say how to write a reply."""
        return self.near if session in self.sessions and self.arena is not None else _CUT

    def probe(self) -> list[bytes]:
        """Make the arena, if there is none, and what a client opens to try it."""
        if self.arena is None:
            self.arena = _new_arena()
            if self.arena is not None:
                self.near = _SERIALIZER.evolve(codec=self.arena.to(1))
        return _probe(self.arena)

    def leave(self, session: str) -> None:
        """Forget a client, and the arena with the last one."""
        self.sessions.discard(session)
        if not self.sessions:
            self.arena = None


_SHARING: Final = _Sharing()


def _session() -> str:
    """Tell whose request the engine is at."""
    from IPython.core.getipython import get_ipython  # an engine has it, and no client needs it

    shell: Any = get_ipython()
    return str(shell.data_pub.parent_header.get("session", ""))


_ENGINE: Final = Replaced(
    [
        (kernel, "unpack_apply_message", _unpack),
        (kernel, "serialize_object", _reply),
        (datapub, "serialize_object", _publish),
    ],
    _TYPES,
)


def _report() -> dict[str, Any]:
    """Tell what an engine has, and change nothing."""
    return _ANSWER


def _join(session: str, probe: list[bytes]) -> dict[str, Any]:
    _ENGINE.join(session)
    opens = _opens(probe)
    return {**_ANSWER, "opens": opens, "probe": _SHARING.probe() if opens else []}


def _share(sessions: dict[str, str]) -> None:
    """Let replies to a session lie in the arena; `sessions` has those of the engines that it can open."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell.kernel.ident in sessions:
        _SHARING.sessions.add(sessions[shell.kernel.ident])


def _leave(session: str) -> dict[str, Any]:
    _ENGINE.leave(session)
    _SHARING.leave(session)
    return _ANSWER


def install_engine() -> None:
    """Let the engine of this process understand canning, whoever asks, until it ends.

    For ``c.IPEngine.startup_command``: such an engine loses no call that was waiting for an engine while
    there was none.
    """
    _ENGINE.join(_ALWAYS)


# -- the switch ------------------------------------------------------------------------------------------


def install(client: ipp.Client, *, timeout: float = 60.0) -> None:
    """Let a client and all its engines use canning, until `uninstall`.

    Engines are asked first, each when it has finished what it is at, and nothing is changed before all
    have answered. `timeout` is in seconds. Raises `EngineError` where an engine has no canning that
    understands this one, or does not answer in time. Twice is as good as once.
    """
    link = _LINKS.get(client) or _Link(client)
    _ask(client, _report, (), timeout)
    _CLIENTS.join(link.session)
    try:
        answers = _ask(client, _join, (link.session, _probe(link.arena)), timeout)
    except BaseException:
        if client not in _LINKS:
            _CLIENTS.leave(link.session)
        raise
    near = {}
    for uuid, answer in answers.items():
        link.greet(uuid, answer)
        if _opens(answer["probe"]):
            near[uuid] = link.session
    if near:
        _ask(client, _share, (near,), timeout)
    if client not in _LINKS:
        _LINKS[client] = link
        client.send_apply_request = link.send_apply_request
        weakref.finalize(client, _CLIENTS.leave, link.session)


def uninstall(client: ipp.Client, *, timeout: float = 60.0) -> None:
    """Let a client and its engines serialize as they did before `install`.

    Waits for the calls of the client that are on their way, since they are canned. Raises `EngineError`
    where these or an engine take longer than `timeout` seconds: the client itself is back by then, and what
    it has not read yet can still be read.
    """
    link = _LINKS.pop(client, None)
    if link is None:
        return
    del client.send_apply_request
    if client._closed:
        _CLIENTS.leave(link.session)
        return
    waiting = link.unanswered(client)
    if waiting and not client.wait(waiting, timeout=timeout):
        raise EngineError(
            f"{len(link.unanswered(client))} calls are still on their way: the engines still read canning"
        )
    _ask(client, _leave, (link.session,), timeout)
    _CLIENTS.leave(link.session)


def _ask(client: Any, what: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> dict[str, Any]:
    """Call a function of this module in every engine, in ipyparallel's own format; give the answers."""
    ids = list(client.ids)
    if not ids:
        return {}
    uuids = [client._engines[number] for number in ids]
    with _writing(None):
        waiting = [
            type(client).send_apply_request(client, client._mux_socket, what, args, ident=uuid.encode())
            for uuid in uuids
        ]
    if not client.wait([future.msg_id for future in waiting], timeout=timeout):
        raise EngineError(f"not all engines answered within {timeout} s; are some busy?")
    answers = {}
    for number, uuid, future in zip(ids, uuids, waiting, strict=True):
        answer = answers[uuid] = future.result()
        _check_answer(number, answer)
        client.purge_local_results([future.msg_id])
        client.history.remove(future.msg_id)
    return answers


def _check_answer(number: int, answer: Any) -> None:
    unchanged = "no engine and no client was changed"
    if isinstance(answer, Exception):
        said = f"{getattr(answer, 'ename', type(answer).__name__)}: {getattr(answer, 'evalue', answer)}"
        raise EngineError(
            f"engine {number} cannot use canning ({said}): install it where that engine runs; {unchanged}"
        )
    if isinstance(answer, dict) and answer["format"] != VERSION:
        raise EngineError(
            f"engine {number} has canning {answer['canning']}, whose format is {answer['format']}, and "
            f"this client's is {VERSION}: install the same version; {unchanged}"
        )
