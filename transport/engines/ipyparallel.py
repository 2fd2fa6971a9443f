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

import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from canning import CannedObject, PrePickled, Serializer, split
from canning import __version__ as canning_version
from canning.errors import CanningError, DeserializationError
from canning.wire import MAGIC, VERSION

from ..framing import OWN_BELOW
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
_SERIALIZER: Final = Serializer(interactive=True, largest_frame=1 << 20)


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
        self._stock: list[Any] | None = None

    def __getitem__(self, index: Any) -> Any:
        if self._stock is None:
            self._stock = stock.serialize_object(self.obj)
        return self._stock[index]

    def __len__(self) -> int:
        return len(self[:])


def _prepare(self: Any, obj: Any) -> None:
    """Be ``PrePickled.__init__``: serialize with canning."""
    self.buffers = _STOCK_WRITE(obj) if _is_told_otherwise() else _Prepared(obj)


def _is_told_otherwise() -> bool:
    """Tell whether ``use_cloudpickle`` or ``use_dill`` was called: whoever does so wants these."""
    return stock.pickle is not pickle


def _prepared(obj: Any) -> Any:
    """Give canning's own kind of what was serialized before, and anything else as it is."""
    if not isinstance(obj, stock.PrePickled):
        return obj
    if isinstance(obj.buffers, _Prepared):
        return obj.buffers.canned
    if is_canned(obj.buffers):
        return _SERIALIZER.deserialize_object(obj.buffers, _main())[0]
    return _STOCK_READ(obj.buffers, _main())[0]  # made while no client had canning


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
    if not getattr(_THREAD, "writes", False) or _is_told_otherwise():
        return list(_STOCK_PACK(f, args, kwargs, *thresholds, **options))
    values = {name: _prepared(value) for name, value in kwargs.items()}
    return list(_SERIALIZER.pack_apply_message(_prepared(f), map(_prepared, args), values))


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
def _writing(canned: bool) -> Iterator[None]:
    before = getattr(_THREAD, "writes", False)
    _THREAD.writes = canned
    try:
        yield
    finally:
        _THREAD.writes = before


_MANY: Final = 1000


class _Link:
    """Send a client's calls: canned to engines that are known to understand it."""

    def __init__(self, client: ipp.Client) -> None:
        self._client = weakref.ref(client)
        self.session: str = client.session.session
        self.known: set[str] = set()
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
        canned = self._understood(client, ident)
        with _writing(canned):
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
        if canned and not ident:
            self._note(client, future.msg_id, metadata or {})
        return future

    def _note(self, client: Any, msg_id: str, metadata: dict[str, Any]) -> None:
        """Note a call that a scheduler has, which may come to an engine later than what is sent later."""
        if len(self._scheduled) > _MANY:
            self._scheduled &= client.outstanding
        if metadata.get("is_broadcast") and not metadata.get("is_coalescing"):  # answered one by one
            self._scheduled |= {f"{msg_id}_{uuid}" for uuid, _ in metadata["targets"]}
        else:
            self._scheduled.add(msg_id)

    def unanswered(self, client: Any) -> list[str]:
        """Name the canned calls that schedulers may still have."""
        return sorted(self._scheduled & client.outstanding)

    def _understood(self, client: Any, ident: bytes | None) -> bool:
        engines = {ident.decode()} if ident else set(client._engines.values())
        if engines and engines <= self.known:
            return True
        for uuid in engines - self.known - self._asked:
            self._asked.add(uuid)
            self._invite(client, uuid)
        return False

    def _invite(self, client: Any, uuid: str) -> None:
        """Switch an engine that came later; its next calls may be canned."""

        def answered(future: Any) -> None:
            if future.result() == _ANSWER:
                self.known.add(uuid)

        with _writing(False):
            future = type(client).send_apply_request(
                client, client._mux_socket, _join, [self.session], ident=uuid.encode()
            )
        future.add_done_callback(answered)


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
        return _SERIALIZER.serialize_object(_prepared(obj))
    return list(_STOCK_WRITE(obj, **thresholds))


def _publish(data: Any, **thresholds: int) -> list[Any]:
    """Be ``serialize_object`` of published data, for the client whose code publishes it."""
    if _session() in _ENGINE:
        return _SERIALIZER.serialize_object(data)
    return list(_STOCK_WRITE(data, **thresholds))


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


def _join(session: str) -> dict[str, Any]:
    _ENGINE.join(session)
    return _ANSWER


def _leave(session: str) -> dict[str, Any]:
    _ENGINE.leave(session)
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
    link = _LINKS.get(client)
    if link is None:
        link = _Link(client)
    with _writing(False):
        uuids = _ask(client, _report, (), timeout)
        _CLIENTS.join(link.session)
        try:
            _ask(client, _join, (link.session,), timeout)
        except BaseException:
            if client not in _LINKS:
                _CLIENTS.leave(link.session)
            raise
    link.known |= uuids
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


def _ask(client: Any, what: Callable[..., Any], args: tuple[Any, ...], timeout: float) -> set[str]:
    """Call a function of this module in every engine, in ipyparallel's own format; give their names."""
    ids = list(client.ids)
    uuids = {client._engines[number] for number in ids}
    if not ids:
        return uuids
    try:
        answers = client[ids].apply_async(what, *args).get(timeout, return_exceptions=True)
    except TimeoutError as error:
        raise EngineError(f"not all engines answered within {timeout} s; are some busy?") from error
    for number, answer in zip(ids, answers, strict=True):
        if isinstance(answer, Exception):
            said = f"{getattr(answer, 'ename', type(answer).__name__)}: {getattr(answer, 'evalue', answer)}"
            raise EngineError(
                f"engine {number} cannot use canning ({said}): install it where that engine runs; "
                "no engine and no client was changed"
            )
        if answer["format"] != VERSION:
            raise EngineError(
                f"engine {number} has canning {answer['canning']}, whose format is {answer['format']}, and "
                f"this client's is {VERSION}: install the same version; no engine and no client was changed"
            )
    return uuids
