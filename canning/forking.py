"""Locks that a process which was forked does not inherit locked."""

from __future__ import annotations

import os
import threading
import weakref
from functools import lru_cache
from typing import Any, Final


def add_lock(owner: Any) -> None:
    """Give an object a lock, ``_lock``, and another one in each process that is forked from this.

    Of the threads a child has only the one that forked: a lock that another one held then would stay
    locked there forever. What the lock guards must be whole at any moment, if not the newest.

    >>> class Table:
    ...     pass
    >>> table = Table()
    >>> add_lock(table)
    >>> with table._lock:
    ...     pass
    """
    owner._lock = threading.RLock()
    if not _OWNERS and hasattr(os, "register_at_fork"):
        _register()
    _OWNERS.add(owner)


_OWNERS: Final[weakref.WeakSet[Any]] = weakref.WeakSet()
"""All that have such a lock, and no longer than they live: the system's hooks stay for good."""


@lru_cache(maxsize=1)
def _register() -> None:
    os.register_at_fork(after_in_child=_renew)


def _renew() -> None:
    for owner in list(_OWNERS):
        owner._lock = threading.RLock()
