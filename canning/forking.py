"""One lock for all tables, which neither interrupts nor forks leave locked."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, overload

T = TypeVar("T")
P = ParamSpec("P")

_NOT_TAKEN: Final = ("cannot release un-acquired lock",)
"""What an `RLock` says that a thread lets go of without having it."""


class Lock:
    """Let one thread at a time change something.

    A signal handler, or a finalizer, of the thread that is in there may come in too, and an exception may cut
    a change anywhere: so what is guarded must be whole at any moment, if not the newest. Of the threads a
    child has only the one that forked, and a lock that another one held then would stay locked there: the
    child gets another one.

    >>> lock = Lock()
    >>> lock.run(lambda: lock.inside), lock.inside
    (True, False)
    """

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        if not _LOCKS and hasattr(os, "register_at_fork"):
            _register()
        _LOCKS.add(self)

    @property
    def inside(self) -> bool:
        """Tell whether this very thread is in there."""
        inside: bool = self._lock._is_owned()
        return inside

    @overload
    def run(self, change: Callable[[], T]) -> T: ...
    @overload
    def run(self, change: Callable[[], T], *, wait: bool) -> T | None: ...
    def run(self, change: Callable[[], T], *, wait: bool = True) -> T | None:
        """Call something in there, and return what it returns; without `wait`, only if no other thread is.

        The lock is taken within the block that lets it go. ``with`` takes it before its block, and Python
        3.14 lets an interrupt in between: https://github.com/python/cpython/issues/148874.
        """
        lock, taken = self._lock, None
        try:
            try:
                taken = lock.acquire(wait)
                return change() if taken else None
            finally:
                if taken is not False:
                    lock.release()
        except RuntimeError as error:
            if error.args != _NOT_TAKEN:
                raise
            interrupt = error.__context__ or error  # came while it waited for the lock
        raise interrupt


_LOCKS: Final[weakref.WeakSet[Lock]] = weakref.WeakSet()
"""All locks, and no longer than they live: the system's hooks stay for good."""


@lru_cache(maxsize=1)
def _register() -> None:
    os.register_at_fork(after_in_child=_renew)


def _renew() -> None:
    for lock in list(_LOCKS):
        lock._lock = threading.RLock()


class Guarded(Protocol):
    """What has such a lock."""

    @property
    def _lock(self) -> Lock: ...


G = TypeVar("G", bound=Guarded)


def guarded(method: Callable[Concatenate[G, P], T]) -> Callable[Concatenate[G, P], T]:
    """Have a method run in the lock of its object, ``_lock``.

    >>> class Table:
    ...     def __init__(self):
    ...         self._lock = Lock()
    ...     @guarded
    ...     def add(self, number):
    ...         return self._lock.inside, number
    >>> Table().add(3)
    (True, 3)
    """

    @wraps(method)
    def run(self: G, /, *args: P.args, **keywords: P.kwargs) -> T:
        return self._lock.run(lambda: method(self, *args, **keywords))

    return run
