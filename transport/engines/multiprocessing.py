"""canning in the pipes of the standard library: `Pool`, `Queue`, `Pipe` and `ProcessPoolExecutor`.

    from transport.engines.multiprocessing import canned

    with canned():
        with Pool(2) as pool:
            pool.map(work, arrays)

What is sent within the block, by this process and by those that it forks meanwhile, is canned: large arrays,
at any depth, lie in memory that the processes share, where the system has it, and are else copied once and
not three times. What is read needs nothing: messages are pickles. Functions go by name, as ever, and by
value where they have none that others know.

Processes that are spawned begin without it, so that their results are pickled as ever; give them
`install` as their ``initializer=``.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import _SafeQueue
from contextlib import contextmanager
from multiprocessing.pool import Pool
from multiprocessing.queues import Queue
from multiprocessing.reduction import ForkingPickler
from typing import Any, Final

from canning import SerializationError, Serializer

from ..shared import ArenaError, SharedArena
from . import inband
from .layout import check_layout
from .replacing import Replaced
from .unread import Unread

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
        "multiprocessing.pool:Pool.__init__": ("_handle_tasks",),
        "concurrent.futures.process:_SafeQueue._on_queue_feeder_error": ("pending_work_items",),
    },
)

_LARGE: Final = 256 * 1024
_LEASE: Final = 3600.0
"""Seconds for which a message may wait to be read; then its memory is used for others."""


@contextmanager
def canned(*, writable: bool = True) -> Iterator[None]:
    """Send with canning what goes through multiprocessing's pipes, until the block ends.

    With `writable` arrays arrive writable, each process's changes its own. Several blocks may be open, and
    the last of them to be entered says how arrays arrive.
    """
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
        if self._pid != os.getpid() or self._table != ForkingPickler._extra_reducers:  # type: ignore[attr-defined]
            self._renew()
        try:
            frames, in_main = self._by_name.serialize_object(obj), False
        except SerializationError:
            frames, in_main = self._by_value.serialize_object(obj), True
        if _THREAD.unread is not None:
            _THREAD.unread.note(self._arena, frames)
        return inband.dumps(frames, writable=self.writable, in_main=in_main)

    def _renew(self) -> None:
        self._table = dict(ForkingPickler._extra_reducers)  # type: ignore[attr-defined]
        if self._pid != os.getpid():
            self._pid, self._arena = os.getpid(), _new_arena()
        codec = None if self._arena is None else self._arena.to(1)
        options: dict[str, Any] = {"dispatch_table": self._table, "codec": codec}
        self._by_name = Serializer(pickler="pickle", **options)
        self._by_value = Serializer(pickler="named", interactive=True, **options)


def _new_arena() -> SharedArena | None:
    try:
        half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        return SharedArena(half, lease=_LEASE, threshold=_LARGE)
    except ArenaError:  # this system has none
        return None


def _dumps(cls: type[ForkingPickler], obj: Any, protocol: int | None = None) -> memoryview:
    """Be ``ForkingPickler.dumps``; an object that only raises when it is pickled raises as ever."""
    try:
        return _SIDE.dumps(obj)
    except SerializationError as error:
        raise pickle.PicklingError(str(error)) from error


class _Thread(threading.local):
    """Keep what this thread sends to processes whose end it will see."""

    unread: Unread | None = None


_THREAD: Final = _Thread()


def _noting(stock: Callable[..., None], *arguments: Any) -> None:
    """Run a thread that feeds the processes of a pool; when it ends they are done, or have ended too."""
    _THREAD.unread = unread = Unread()
    try:
        stock(*arguments)
    finally:
        unread.free()


_STOCK_TASKS: Final = Pool._handle_tasks  # type: ignore[attr-defined]
_STOCK_FEED: Final = Queue._feed  # type: ignore[attr-defined]


def _tasks(*arguments: Any) -> None:
    """Be ``Pool._handle_tasks``."""
    _noting(_STOCK_TASKS, *arguments)


def _feed(*arguments: Any) -> None:
    """Be ``Queue._feed``; of other queues than an executor's nobody knows who may read them yet."""
    if any(isinstance(getattr(each, "__self__", None), _SafeQueue) for each in arguments):
        _noting(_STOCK_FEED, *arguments)
    else:
        _STOCK_FEED(*arguments)


_SIDE: Final = _Side()
_REPLACED: Final = Replaced(
    [
        (ForkingPickler, "dumps", classmethod(_dumps)),
        (Pool, "_handle_tasks", staticmethod(_tasks)),
        (Queue, "_feed", staticmethod(_feed)),
    ]
)
