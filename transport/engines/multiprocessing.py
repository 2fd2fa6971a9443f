"""canning in the pipes of the standard library: `Pool`, `Queue`, `Pipe` and `ProcessPoolExecutor`.

    from transport.engines.multiprocessing import canned

    with canned():
        with Pool(2) as pool:
            pool.map(work, arrays)

Within the block, this process and those that it forks send canned messages: large arrays, at any depth, go
into memory that the processes share; on systems without it, they are copied once instead of three times.
Readers need no setup: messages are pickles. Functions go by name, as always, or by value if other processes
cannot import them.

Spawned processes start without canning, so their results are pickled as always; pass `install` as their
``initializer=``.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.pool
import os
import pickle
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures.process import _SafeQueue
from contextlib import contextmanager
from multiprocessing.pool import RUN, Pool
from multiprocessing.queues import Queue
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final
from weakref import WeakKeyDictionary

from canning import SerializationError, Serializer
from canning.arguments import check_bools

from ..errors import TransportTimeout
from ..shared import ArenaError
from . import one_pickle as inband
from .adapting import Replaced, check_layout
from .arenas import Unread, new_arena

TRIED: Final = "3.11"
check_layout(
    "Python",
    TRIED,
    {
        "multiprocessing.reduction:ForkingPickler.dumps": ("getbuffer",),
        "multiprocessing.connection:Connection.send": (),
        "multiprocessing.queues:Queue._feed": ("dumps",),
        "multiprocessing.queues:SimpleQueue.put": ("dumps",),
        "multiprocessing.queues:Queue._start_thread": ("_feed", "_on_queue_feeder_error"),
        "multiprocessing.pool:Pool._handle_tasks": ("put", "taskqueue"),
        "multiprocessing.pool:Pool.__init__": ("_handle_tasks", "_terminate_pool"),
        "multiprocessing.pool:Pool._terminate_pool": ("_help_stuff_finish", "pool", "task_handler"),
        "multiprocessing.pool:Pool._help_stuff_finish": ("_rlock", "poll", "recv"),
        "multiprocessing.pool:Pool._repopulate_pool_static": ("worker",),
        "multiprocessing.pool:worker": ("put", "_reader", "MaybeEncodingError"),
        "concurrent.futures.process:_SafeQueue._on_queue_feeder_error": ("pending_work_items",),
    },
)

_LARGE: Final = 256 * 1024
_EXIT: Final = 30.0
"""Seconds for which an ending process waits for the readers of its messages."""
_SOON: Final = 0.01
_LEASE: Final = 3600.0
"""Seconds for which a message may wait to be read; then its memory is reused."""


@contextmanager
def canned(*, writable: bool = True) -> Iterator[None]:
    """Use canning for objects sent through multiprocessing's pipes, until the block ends.

    With `writable`, arrays arrive writable, and each process sees only its own changes. You can nest blocks;
    the innermost decides how arrays arrive.
    """
    check_bools(writable=writable)
    user = object()
    before, _SIDE.writable = _SIDE.writable, writable
    _REPLACED.join(user)
    try:
        yield
    finally:
        _SIDE.writable = before
        _REPLACED.leave(user)


def install() -> None:
    """Send with canning until this process ends: an ``initializer=`` for pools."""
    _REPLACED.join(install)


class _Side:
    """Keep the serializers and the arena of this process."""

    def __init__(self) -> None:
        self.writable = True
        self._pid = 0
        self._table: dict[type, Callable[[Any], Any]] = {}

    def dumps(self, obj: Any) -> memoryview:
        reader = _reader(obj)
        if self._pid != os.getpid() or self._table != ForkingPickler._extra_reducers:  # type: ignore[attr-defined]
            self._renew()
        try:
            frames, in_main = self._by_name.serialize_object(obj), False
        except SerializationError:
            frames, in_main = self._by_value.serialize_object(obj), True
        if _THREAD.unread is not None:
            _THREAD.unread.note(self._arena, frames)
        options = {"writable": self.writable, "in_main": in_main}
        if reader is None:
            return inband.dumps(frames, **options)
        return inband.dumps(frames, reader=reader, options=obj[:2], **options)

    def drain(self) -> None:
        """Wait in an ending child until its messages are opened: their memory ends with it.

        An arena made before the end waits by itself, but the thread that feeds a queue may make one later.
        Without canning a large message makes this thread wait in the same way.
        """
        if self._pid == os.getpid() and self._arena is not None and multiprocessing.parent_process():
            with contextlib.suppress(ArenaError, TransportTimeout):
                self._arena.drain(_EXIT)

    def _renew(self) -> None:
        self._table = dict(ForkingPickler._extra_reducers)  # type: ignore[attr-defined]
        if self._pid != os.getpid():
            # The first process joins the others when it ends, and they may read until then.
            linger = _EXIT if multiprocessing.parent_process() else 0.0
            self._pid, self._arena = os.getpid(), new_arena(lease=_LEASE, threshold=_LARGE, linger=linger)
        codec = None if self._arena is None else self._arena.to(1)
        # multiprocessing copies the owner of a method: each `random.choice` would return the same number
        heeded = {cls: how for cls, how in self._table.items() if cls is not types.MethodType}
        options: dict[str, Any] = {"dispatch_table": heeded, "codec": codec}
        self._by_name = Serializer(pickler="pickle", **options)
        self._by_value = Serializer(pickler="named", interactive=True, **options)


def _dumps(cls: type[ForkingPickler], obj: Any, protocol: int | None = None) -> memoryview:
    """Be ``ForkingPickler.dumps``, with pickle's error for what cannot be pickled."""
    try:
        return _SIDE.dumps(obj)
    except SerializationError as error:
        raise pickle.PicklingError(str(error)) from error


class _Thread(threading.local):
    """The role of this thread.

    Attributes:
        unread: its payloads for processes whose end it will see.
        reader: the function that reads its messages, if it sends those of a pool.
    """

    unread: Unread | None = None
    reader: Callable[..., Any] | None = None


_THREAD: Final = _Thread()


# -- pools: an unreadable message becomes an answer, or the caller would wait forever ------------------


def _reader(obj: Any) -> Callable[..., Any] | None:
    """Return the reader of this thread's messages: tasks and results of a pool begin with job and number."""
    return _THREAD.reader if type(obj) is tuple and len(obj) > 2 else None


def read_task(job: Any, number: Any, *message: Any) -> Any:
    """Read a task; an unreadable one raises its error when it is run."""
    try:
        return inband.read(*message)
    except Exception as error:
        return job, number, _raise, (error,), {}


def read_result(job: Any, number: Any, *message: Any) -> Any:
    """Read a result; an unreadable one raises its error in the waiting caller."""
    try:
        return inband.read(*message)
    except Exception as error:
        return job, number, (False, error)


def _raise(error: Exception) -> None:
    raise error


class _Results:
    """Replace the queue of results in the processes of a pool."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue
        self._reader = queue._reader

    def put(self, answer: Any) -> None:
        _THREAD.reader = read_result
        try:
            self._queue.put(answer)
        finally:
            _THREAD.reader = None


def _worker(inqueue: Any, outqueue: Any, *arguments: Any) -> None:
    """Replace ``multiprocessing.pool.worker``, the main function of a pool's process."""
    if hasattr(outqueue, "_reader"):  # a pool of threads has no pipe
        outqueue = _Results(outqueue)
    _STOCK_WORKER(inqueue, outqueue, *arguments)


def _tasks(*arguments: Any) -> None:
    """Replace ``Pool._handle_tasks``.

    When a closed pool ends it, all tasks were answered. When the pool is terminated, processes may still be
    reading its messages, so `_terminate` frees these when the processes are gone.
    """
    thread = threading.current_thread()
    _THREAD.unread = unread = Unread()
    _THREAD.reader = read_task
    _UNREAD[thread] = unread
    try:
        _STOCK_TASKS(*arguments)
    finally:
        if thread._state == RUN:  # type: ignore[attr-defined]
            unread.free()


def _help_stuff_finish(inqueue: Any, task_handler: Any, size: int) -> None:
    """Replace ``Pool._help_stuff_finish``: empty the pipe of tasks until the thread that fills it has ended.

    The discarded tasks are not unpickled. Processes are terminated after this, and one of them may hold the
    lock of the pipe of results; that thread needs the lock too, so it has to end first.
    """
    inqueue._rlock.acquire()
    while task_handler.is_alive() and task_handler is not threading.current_thread():
        if inqueue._reader.poll(_SOON):
            inqueue._reader.recv_bytes()


def _terminate(cls: type[Pool], *arguments: Any) -> None:
    """Replace ``Pool._terminate_pool``."""
    _STOCK_TERMINATE(cls, *arguments)
    processes, handler = arguments[3], arguments[6]
    if handler in _UNREAD and all(process.exitcode is not None for process in processes):
        _UNREAD.pop(handler).free()


# -- executors -----------------------------------------------------------------------------------------


def _feed(*arguments: Any) -> None:
    """Replace ``Queue._feed`` for executors; the readers of other queues are not known.

    The thread that feeds an executor ends when its processes are done, or have ended too.
    """
    if not any(isinstance(getattr(each, "__self__", None), _SafeQueue) for each in arguments):
        try:
            _STOCK_FEED(*arguments)
        finally:
            _SIDE.drain()
        return
    _THREAD.unread = unread = Unread()
    try:
        _STOCK_FEED(*arguments)
    finally:
        unread.free()


_UNREAD: Final[WeakKeyDictionary[threading.Thread, Unread]] = WeakKeyDictionary()
_STOCK_WORKER: Final = multiprocessing.pool.worker  # type: ignore[attr-defined]
_STOCK_TASKS: Final = Pool._handle_tasks  # type: ignore[attr-defined]
_STOCK_TERMINATE: Final = vars(Pool)["_terminate_pool"].__func__
_STOCK_FEED: Final = Queue._feed  # type: ignore[attr-defined]
_SIDE: Final = _Side()
_REPLACED: Final = Replaced(
    [
        (ForkingPickler, "dumps", classmethod(_dumps)),
        (multiprocessing.pool, "worker", _worker),
        (Pool, "_handle_tasks", staticmethod(_tasks)),
        (Pool, "_help_stuff_finish", staticmethod(_help_stuff_finish)),
        (Pool, "_terminate_pool", classmethod(_terminate)),
        (Queue, "_feed", staticmethod(_feed)),
    ]
)
