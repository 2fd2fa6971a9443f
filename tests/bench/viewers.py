"""Ways from a camera to viewers in processes of their own: sockets, queues, and memory that they share."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import zmq

from .arena import RAY, started_ray
from .board import DEPTH, NBYTES, READY, SHAPE, Array, look, read_board, watch
from .child import LIMIT, Child, Say
from .links import ARENA, RAW, bind
from .pairs import Pair, arena_pair, raw, send_pyobj
from .results import OURS

QUEUE: Final = "mp.Queue"
SHARED: Final = "shared_memory"
IN_PLACE: Final = ", in place"
MEMORY: Final = "shared"
"""The kind of ways that go through memory which both sides have mapped."""
_ARENA: Final = "128MiB"
_STORE: Final = 10**9


class Shutter(NamedTuple):
    """A camera's end.

    Attributes:
        photo: gives the memory for the next photo, by how many were sent before.
        send: sends it; called with that number and the memory.
    """

    photo: Callable[[int], Array]
    send: Callable[[int, Array], object]


Open = Callable[[str, Path], AbstractContextManager[Shutter]]
"""Start viewers, as many as the board has rows; called with the kind and the board's file."""


def _ring() -> Callable[[int], Array]:
    """Give a camera's own memory, used again and again."""
    photos = [np.full(SHAPE, number, np.uint8) for number in range(DEPTH)]
    return lambda turn: photos[turn % DEPTH]


# -- over ZeroMQ: XPUB, since it tells who has subscribed --------------------------------------------------


def canning_pair() -> Pair:
    """Use this library as its pages advise, and so read the messages as data."""
    import transport

    return Pair(transport.send, transport.recv)


PAIRS: Final = {
    RAW: raw,
    "send_pyobj": send_pyobj,
    OURS: canning_pair,
    ARENA: arena_pair,
}


@contextmanager
def subscribed(address: str) -> Iterator[Any]:
    """Open a SUB socket that gets everything."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.subscribe(b"")
        socket.connect(address)
        yield socket


def publish(context: zmq.Context[Any], kind: str, folder: str) -> tuple[Any, str]:
    """Bind an XPUB socket, and return it and its address; it receives a message for each subscriber."""
    socket = context.socket(zmq.XPUB)
    socket.linger = 0
    socket.rcvtimeo = socket.sndtimeo = int(LIMIT * 1000)
    socket.xpub_verbose = True
    return socket, bind(socket, "tcp" if kind == "tcp" else "ipc", folder)


def view(_: Say, pair: str, address: str, file: str, index: int) -> None:
    """Be a viewer, in a child."""
    recv = PAIRS[pair]().recv
    with subscribed(address) as socket:
        watch((recv(socket)["x"] for _ in iter(int, 1)), Path(file), index)


@contextmanager
def _published(pair: str, kind: str, file: Path) -> Iterator[Any]:
    """Start viewers, and give the socket that they have subscribed to."""
    viewers = len(read_board(file))
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        context = cleanup.enter_context(zmq.Context())
        socket, address = publish(context, kind, folder)
        cleanup.enter_context(socket)
        for index in range(viewers):
            cleanup.enter_context(Child("viewers:view", pair, address, str(file), index))
        for _ in range(viewers):
            socket.recv()
        yield socket


def _over_zmq(name: str) -> Open:
    @contextmanager
    def opened(kind: str, file: Path) -> Iterator[Shutter]:
        send = PAIRS[name]().send
        with _published(name, kind, file) as socket:
            yield Shutter(_ring(), lambda _, photo: send(socket, {"id": 7, "x": photo}))

    return opened


def _in_arena(placed: bool) -> Open:
    @contextmanager
    def opened(kind: str, file: Path) -> Iterator[Shutter]:
        import transport

        with transport.SharedArena(_ARENA) as arena, _published(ARENA, kind, file) as socket:
            readers = arena.to(len(read_board(file)))

            def send(_: int, photo: Array) -> None:
                transport.send(socket, {"id": 7, "x": photo}, arena=readers)

            yield Shutter((lambda _: arena.empty(SHAPE, "u1")) if placed else _ring(), send)

    return opened


# -- the standard library ----------------------------------------------------------------------------------


def _view_queue(queue: Any, file: Path, index: int) -> None:
    watch((queue.get()["x"] for _ in iter(int, 1)), file, index)


def _view_slots(memory: SharedMemory, pipe: Any, file: Path, index: int) -> None:
    watch((_slot(memory, pipe.recv_bytes()[0]) for _ in iter(int, 1)), file, index)


def _slot(memory: SharedMemory, turn: int) -> Array:
    """View a slot anew each time: memory with a view that is kept cannot be closed."""
    assert memory.buf is not None
    slot = np.frombuffer(memory.buf, np.uint8, NBYTES, turn % DEPTH * NBYTES)
    return slot.reshape(SHAPE)


@contextmanager
def _processes(target: Callable[..., None], arguments: Iterable[tuple[Any, ...]]) -> Iterator[None]:
    """Run viewers as multiprocessing starts them, since it hands its own objects to no others."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=args, daemon=True) for args in arguments]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


@contextmanager
def _by_queues(_: str, file: Path) -> Iterator[Shutter]:
    queues = [multiprocessing.get_context("spawn").Queue() for _ in read_board(file)]

    def send(_: int, photo: Array) -> None:
        for queue in queues:
            queue.put({"id": 7, "x": photo})

    with _processes(_view_queue, ((queue, file, index) for index, queue in enumerate(queues))):
        yield Shutter(_ring(), send)
    for queue in queues:
        queue.cancel_join_thread()
        queue.close()


def _in_slots(placed: bool) -> Open:
    """Write by hand what a program needs around `SharedMemory`: slots, and pipes that tell the next one."""

    @contextmanager
    def opened(_: str, file: Path) -> Iterator[Shutter]:
        pipes = [multiprocessing.Pipe(duplex=False) for _ in read_board(file)]
        memory = SharedMemory(create=True, size=DEPTH * NBYTES)

        def send(turn: int, photo: Array) -> None:
            if not placed:
                _slot(memory, turn)[:] = photo
            for _, pipe in pipes:
                pipe.send_bytes(bytes([turn % DEPTH]))

        arguments = ((memory, end, file, index) for index, (end, _) in enumerate(pipes))
        try:
            with _processes(_view_slots, arguments):
                yield Shutter((lambda turn: _slot(memory, turn)) if placed else _ring(), send)
        finally:
            memory.close()
            memory.unlink()

    return opened


# -- Ray -----------------------------------------------------------------------------------------------------


class _Actor:
    def __init__(self, file: Path, index: int) -> None:
        self._row = read_board(file)[index]
        self._row[0] = READY

    def view(self, payload: Any) -> None:
        look(payload["x"], self._row)


@contextmanager
def _in_ray(_: str, file: Path) -> Iterator[Shutter]:
    viewers = len(read_board(file))
    with started_ray(viewers, _STORE) as ray:
        remote = ray.remote(_Actor)
        actors = [remote.remote(file, index) for index in range(viewers)]

        def send(_: int, photo: Array) -> None:
            payload = ray.put({"id": 7, "x": photo})
            for actor in actors:
                actor.view.remote(payload)

        yield Shutter(_ring(), send)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a way exists, and how it is opened."""

    kinds: tuple[str, ...]
    open: Open


SOCKETS: Final = ("tcp", "ipc")
WAYS: Final[tuple[tuple[str, Way], ...]] = (
    (RAW, Way(SOCKETS, _over_zmq(RAW))),
    ("send_pyobj", Way(SOCKETS, _over_zmq("send_pyobj"))),
    (QUEUE, Way(("ipc",), _by_queues)),
    (OURS, Way(SOCKETS, _over_zmq(OURS))),
    (SHARED, Way((MEMORY,), _in_slots(placed=False))),
    (SHARED + IN_PLACE, Way((MEMORY,), _in_slots(placed=True))),
    (OURS, Way((MEMORY,), _in_arena(placed=False))),
    (OURS + IN_PLACE, Way((MEMORY,), _in_arena(placed=True))),
    (RAY, Way((MEMORY,), _in_ray)),
)
"""Every way, in the order in which they take turns."""
