"""Books that signal handlers, finalizers and exceptions cannot spoil.

Python runs signal handlers between any two steps of the main thread, and finalizers wherever the garbage
collector happens to run. They may raise, and they may call what they have interrupted. So

* what has ended is *returned* by a weak reference whose callback is `deque.append`, which is one step. No
  Python code runs there, so that nothing can interrupt it, and it takes no lock. The next call drains the
  queue. There are no counts of arrays that could be wrong: what holds a block is alive or not.
* one table is the truth, and changes in one step. All else is made from it. A change that an exception has
  cut leaves `_changing` set, and the next call makes the rest anew.
* there is one lock, which knows who has it. A call that comes while its own thread is in any books changes
  nothing: it does without (`_inside`), or is put off until the next one. So nobody waits for itself.
* the lock is only taken by ``with``, which CPython runs in one step for its own locks: no interrupt comes
  between taking it and the block that lets it go.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from canning.forking import add_lock


class BlockRef:
    """Keep a block from being used for something else as long as this object lives, and what it maps."""

    __slots__ = ("__weakref__", "number", "owner")

    def __init__(self, owner: object, number: int) -> None:
        self.owner = owner
        self.number = number


class Ended(weakref.ref[BlockRef]):
    """Tell whether a `BlockRef` lives; goes into the queue when it has ended."""

    __slots__ = ("after", "number")

    number: int
    after: object

    @classmethod
    def watch(
        cls, ref: BlockRef, returned: deque[Ended], then: Callable[[object], object] | None = None
    ) -> Ended:
        """Make the one that goes into this queue, and have something done after that."""
        # Callbacks come in the reverse order. Twice, as an interrupt may end the first call.
        after = None if then is None else (weakref.ref(ref, then), weakref.ref(ref, then))
        ended = cls(ref, returned.append)
        ended.number = ref.number
        ended.after = after
        return ended


def _if_free(lock: Any) -> Any:
    """Make what takes a lock by ``with`` if it is free, and says so; else the block ends in `RuntimeError`.

    Made of functions in C alone, so that no interrupt comes between taking the lock and the block.
    """
    methods = {"__enter__": partial(lock.acquire, False), "__exit__": lock.__exit__}
    return type("IfFree", (), {name: staticmethod(method) for name, method in methods.items()})()


class _Books:
    """The lock of all such books of this process; a child that is forked gets another one.

    With a lock for each, one thread could be in the books of an arena and another one in those of a consumer,
    when both run finalizers that use the other's.
    """

    def __init__(self) -> None:
        add_lock(self)

    @property
    def _lock(self) -> Any:
        return self.lock

    @_lock.setter
    def _lock(self, lock: Any) -> None:
        self.lock = lock
        self.if_free = _if_free(lock)

    @property
    def inside(self) -> bool:
        """Tell whether this very thread is in any books."""
        inside: bool = self.lock._is_owned()
        return inside


BOOKS: Final = _Books()


class Reclaimer(ABC):
    """Be the base of such books: what has been returned to them, and what was put off."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._returned: deque[Ended] = deque()
        self._later: deque[Callable[[], object]] = deque()
        self._changing = False

    @abstractmethod
    def take_back(self, ended: Ended) -> None:
        """See to what was returned; the lock is held. It may come more than once, or not at all."""

    @abstractmethod
    def set_right(self) -> None:
        """Make all anew that is made from the truth, and let go of what a cut change has locked."""

    @property
    def _lock(self) -> Any:
        return BOOKS.lock

    @property
    def _inside(self) -> bool:
        return BOOKS.inside

    def _begin(self) -> None:
        """Begin to change the books, the lock held; who ends in order clears `_changing`."""
        if self._changing:
            self.set_right()
        self._changing = True
        while self._returned:
            self.take_back(self._returned.popleft())
        while self._later:
            self._later.popleft()()

    def _soon(self, change: Callable[[], object]) -> None:
        """Change the books now, or where this thread is in them already, before their next change."""
        self._later.append(change)
        if not self._inside:
            with self._lock:
                self._begin()
                self._changing = False
