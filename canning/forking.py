"""One lock for all tables, which neither an interrupt nor a fork leaves locked."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, overload

T = TypeVar("T")
P = ParamSpec("P")

KINDS: Final = (type(threading.Lock()), type(threading.RLock()))
"""The types of Python's own locks, which cannot be sent."""
_NOT_TAKEN: Final = ("cannot release un-acquired lock",)
"""The error text of an `RLock` that a thread releases without holding it."""


class Lock:
    """Let one thread at a time change something.

    A signal handler or a finalizer of the thread inside may enter too, and an exception may interrupt a
    change anywhere: so the guarded state must be consistent at any moment, if not the newest. A forked child
    has only the thread that forked, and a lock held by another thread would stay locked there: so the child
    gets a new lock.

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
        """Tell whether this very thread is inside."""
        inside: bool = self._lock._is_owned()
        return inside

    @overload
    def run(self, change: Callable[[], T]) -> T: ...
    @overload
    def run(self, change: Callable[[], T], *, wait: bool) -> T | None: ...
    def run(self, change: Callable[[], T], *, wait: bool = True) -> T | None:
        """Call a function inside, and return its result; without `wait`, only if no other thread is inside.

        The lock is taken within the block that releases it. ``with`` takes it before its block, and Python
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
            interrupt = error.__context__ or error  # raised while it waited for the lock
        raise interrupt


_LOCKS: Final[weakref.WeakSet[Lock]] = weakref.WeakSet()
"""All locks, only as long as they live: the system's hooks stay for good."""


@lru_cache(maxsize=1)
def _register() -> None:
    os.register_at_fork(after_in_child=_renew)


def _renew() -> None:
    for lock in list(_LOCKS):
        lock._lock = threading.RLock()


class Guarded(Protocol):
    """An object with such a lock."""

    @property
    def _lock(self) -> Lock: ...


G = TypeVar("G", bound=Guarded)


def guarded(method: Callable[Concatenate[G, P], T]) -> Callable[Concatenate[G, P], T]:
    """Make a method run inside the lock of its object, ``_lock``.

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
