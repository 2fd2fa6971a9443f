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


BOOKS: Final = Lock()
"""The lock of all such books of this process.

With a lock for each, one thread could be in the books of an arena and another one in those of a consumer,
when both run finalizers that use the other's.
"""


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

    def _change(self, change: Callable[[], T] | None = None, *, wait: bool = True) -> T | None:
        """Bring the books up to date, and change them; without `wait`, only if nobody else is in any."""

        def changing() -> T | None:
            self._begin()
            result = None if change is None else change()
            self._changing = False
            return result

        return BOOKS.run(changing, wait=wait)

    def _soon(self, change: Callable[[], object]) -> None:
        """Change the books now, or where this thread is in them already, before their next change."""
        self._later.append(change)
        if not self._inside:
            self._change()
