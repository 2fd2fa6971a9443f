"""Books that signal handlers, finalizers and exceptions cannot spoil.

Python runs signal handlers between any two steps of the main thread, and finalizers whenever the garbage
collector runs. They may raise, and they may call the function that they have interrupted. So

* a dead reference is *returned* by a weak reference whose callback is `deque.append`, a single step. No
  Python code runs there, so nothing can interrupt it, and it takes no lock. The next call drains the queue.
  No counts of arrays can be wrong: the holder of a block is alive or not.
* one table is authoritative, and changes in one step. Everything else is derived from it. A change that an
  exception has cut leaves `_changing` set, and the next call rebuilds the rest.
* one lock serves all books, and knows the thread that holds it. A call made while its own thread is changing
  any books changes nothing: it does without (`_inside`), or is postponed until the next call. So no thread
  waits for itself.
"""

from __future__ import annotations

import os
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from canning.forking import Lock

T = TypeVar("T")


class BlockRef:
    """Keep a block, and its mapping, from being reused as long as this object lives."""

    __slots__ = ("__weakref__", "number", "owner")

    def __init__(self, owner: object, number: int) -> None:
        self.owner = owner
        self.number = number


class Ended(weakref.ref[BlockRef]):
    """Tell whether a `BlockRef` lives; it enters the queue when the `BlockRef` has ended."""

    __slots__ = ("after", "number")

    number: int
    after: object

    @classmethod
    def watch(
        cls, ref: BlockRef, returned: deque[Ended], then: Callable[[object], object] | None = None
    ) -> Ended:
        """Make a reference that enters this queue; `then` is called after that."""
        # Callbacks run in reverse order. `then` is set twice, since an interrupt may end the first call.
        after = None if then is None else (weakref.ref(ref, then), weakref.ref(ref, then))
        ended = cls(ref, returned.append)
        ended.number = ref.number
        ended.after = after
        return ended


BOOKS: Final = Lock()
"""The lock of all such books of this process.

With a lock for each, two threads could deadlock: one changes the books of an arena and the other those of a
consumer, and both run finalizers that use the other's.
"""


class Reclaimer(ABC):
    """Base of such books: their returned references and postponed changes."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._returned: deque[Ended] = deque()
        self._later: deque[Callable[[], object]] = deque()
        self._changing = False

    @abstractmethod
    def take_back(self, ended: Ended) -> None:
        """Process a returned reference, the lock held. It may be passed more than once, or not at all."""

    @abstractmethod
    def set_right(self) -> None:
        """Rebuild everything derived from the table, and release the locks of an interrupted change."""

    @property
    def _inside(self) -> bool:
        return BOOKS.inside

    def _begin(self) -> None:
        """Begin to change the books, the lock held; a completed change clears `_changing`."""
        if self._changing:
            self.set_right()
        self._changing = True
        while self._returned:
            self.take_back(self._returned.popleft())
        while self._later:
            self._later.popleft()()

    def _change(self, change: Callable[[], T] | None = None, *, wait: bool = True) -> T | None:
        """Bring the books up to date, and change them; without `wait`, only if no other thread does."""

        def changing() -> T | None:
            self._begin()
            result = None if change is None else change()
            self._changing = False
            return result

        return BOOKS.run(changing, wait=wait)

    def _soon(self, change: Callable[[], object]) -> None:
        """Change the books now, or if this thread is changing them already, before their next change."""
        self._later.append(change)
        if not self._inside:
            self._change()
