"""Locks that a process which was forked does not inherit locked."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any


def add_lock(owner: Any) -> None:
    """Give an object a lock, ``_lock``, and another one in each process that is forked from this.

    Of the threads a child has only the one that forked: a lock that another one held then would stay
    locked there for ever. What the lock guards must be whole at any moment, if not the newest.

    >>> class Table:
    ...     pass
    >>> table = Table()
    >>> add_lock(table)
    >>> with table._lock:
    ...     pass
    """
    owner._lock = threading.RLock()
    if not hasattr(os, "register_at_fork"):
        return
    known = weakref.ref(owner)

    def renew() -> None:
        if (alive := known()) is not None:
            alive._lock = threading.RLock()

    os.register_at_fork(after_in_child=renew)
