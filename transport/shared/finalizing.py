"""Locks and finalizers: what the garbage collector runs must never wait for a lock."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import Any


class Desk(ABC):
    """Do one thing at a time, and take back the number of a block at any time.

    A view can die anywhere, also in the middle of what its thread does under the lock. So `hand_in` only
    puts down what came back. Whoever has the lock, or gets it at once, sees to it.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lock: Any = threading.RLock()  # never taken twice, but it knows who has it
        self._returned: deque[int] = deque()

    @abstractmethod
    def take_back(self, block: int) -> None:
        """See to one block that came back; the lock is held."""

    def __enter__(self) -> None:
        """Take the lock, and see to all that came back before.

        An interrupt, as Ctrl-C, may come between taking the lock and the block under it, or before it is let
        go. Its thread would wait for itself from then on.
        """
        while self._lock._is_owned():
            self._lock.release()
        try:
            self._lock.acquire()
            if self._returned:
                self._see_to()
        except BaseException:
            self._let_go()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._returned:
            self._clear()

    def hand_in(self, block: int) -> None:
        """Give a block back, from wherever; a process that was forked has none to give."""
        if os.getpid() == self.pid:
            self._returned.append(block)
            self._clear()

    def _clear(self) -> None:
        while self._returned and not self._lock._is_owned():
            try:
                if not self._lock.acquire(blocking=False):
                    return
                self._see_to()
            finally:
                self._let_go()

    def _let_go(self) -> None:
        if self._lock._is_owned():
            self._lock.release()

    def _see_to(self) -> None:
        while self._returned:
            self.take_back(self._returned.popleft())


class Hold:
    """Keep a block from being used for something else as long as this object lives, and what it maps."""

    __slots__ = ("__weakref__", "block", "desk", "what")

    def __init__(self, desk: Desk, block: int, what: object = None) -> None:
        self.desk = desk
        self.block = block
        self.what = what

    def __del__(self) -> None:
        self.desk.hand_in(self.block)
