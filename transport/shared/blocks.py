"""The parts of an arena: its blocks, its free ranges, and books that no interruption spoils.

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
from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

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


class Block:
    """A range of the arena in use.

    Attributes:
        number, generation: together they identify it.
        offset, nbytes: its place, in whole pages, in bytes from the start of the arena's data.
        ref: tells whether arrays of the owner use it.
        readers: how many readers it was promised to; `opened` counts those that opened it and are gone.
        sent, until: the monotonic nanoseconds of its last promise, and of the end of its lease.
        queued: whether it is in the queue of sent blocks.
        read: whether all promised readers had opened it when it was reclaimed; None before that.
    """

    __slots__ = (
        "generation",
        "nbytes",
        "number",
        "offset",
        "opened",
        "queued",
        "read",
        "readers",
        "ref",
        "sent",
        "until",
    )

    def __init__(self, number: int, generation: int, offset: int, nbytes: int, ref: Ended) -> None:
        self.number = number
        self.generation = generation
        self.offset = offset
        self.nbytes = nbytes
        self.ref = ref
        self.readers = 0
        self.opened = 0
        self.sent = 0
        self.until = 0
        self.queued = False
        self.read: bool | None = None

    @property
    def held(self) -> bool:
        """Tell whether arrays of the owner use it."""
        return self.ref() is not None


class Space:
    """Allocate parts of a range, always the lowest free one that is long enough.

    A page that was written before is much cheaper than one that the kernel has to provide first: a copy of
    200 MB took 22 ms instead of 206. Allocating from the low end reuses the same pages.

    Args:
        nbytes: the length of the range.
        taken: start and length of the parts in use, in order.

    >>> space = Space(100)
    >>> space.take(60), space.take(60), space.take(40)
    (0, None, 60)
    >>> space.give(0, 60)
    >>> space.take(10)
    0
    """

    def __init__(self, nbytes: int, taken: Sequence[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._sizes: list[int] = []
        low = 0
        for start, size in (*taken, (nbytes, 0)):
            if start > low:
                self._starts.append(low)
                self._sizes.append(start - low)
            low = start + size
        self.free = sum(self._sizes)

    def take(self, nbytes: int) -> int | None:
        """Allocate a part; return its start, or None if no free one is long enough."""
        for number, size in enumerate(self._sizes):
            if size >= nbytes:
                start = self._starts[number]
                if size == nbytes:
                    del self._starts[number], self._sizes[number]
                else:
                    self._starts[number] += nbytes
                    self._sizes[number] -= nbytes
                self.free -= nbytes
                return start
        return None

    def give(self, start: int, nbytes: int) -> None:
        """Free a part, and merge it with the free ones beside it."""
        self.free += nbytes
        at = bisect_left(self._starts, start)
        if at < len(self._starts) and start + nbytes == self._starts[at]:
            nbytes += self._sizes[at]
            del self._starts[at], self._sizes[at]
        if at and self._starts[at - 1] + self._sizes[at - 1] == start:
            self._sizes[at - 1] += nbytes
        else:
            self._starts.insert(at, start)
            self._sizes.insert(at, nbytes)


class Places:
    """The places of an arena's blocks, used and free; can be rebuilt from the blocks at any time."""

    def __init__(self, capacity: int, numbers: int, blocks: Iterable[Block] = ()) -> None:
        taken = {block.number: (block.offset, block.nbytes) for block in blocks}
        self._space = Space(capacity, sorted(taken.values()))
        self._numbers = [number for number in range(numbers - 1, -1, -1) if number not in taken]
        self._by_offset = sorted((offset, number) for number, (offset, _) in taken.items())

    @property
    def numbers(self) -> int:
        """Return how many more blocks can be made."""
        return len(self._numbers)

    def take(self, nbytes: int) -> tuple[int, int] | None:
        """Return the number and the offset of a new block; None if there is no room for it."""
        offset = self._space.take(nbytes) if self._numbers else None
        if offset is None:
            return None
        number = self._numbers.pop()
        insort(self._by_offset, (offset, number))
        return number, offset

    def give(self, block: Block) -> None:
        """Free the place of a block."""
        del self._by_offset[bisect_right(self._by_offset, (block.offset, -1))]
        self._numbers.append(block.number)
        self._space.give(block.offset, block.nbytes)

    def find(self, offset: int) -> int | None:
        """Return the number of the block that begins at this offset, or else of the last one before it."""
        at = bisect_left(self._by_offset, (offset + 1, -1)) - 1
        return self._by_offset[at][1] if at >= 0 else None


class ArenaStats(NamedTuple):
    """State of an arena.

    Attributes:
        capacity, used: bytes; a block takes whole pages. Messages that were not opened in time do not count.
        blocks: blocks in use: they hold arrays of this process, are on their way, or are open at a consumer.
        consumers: processes that have the arena mapped.
        copied: payloads that were copied into the arena to be sent.
        in_place: payloads that were sent without a copy, from this arena or another.
        fallbacks: payloads that found no room and were sent as ordinary frames.
    """

    capacity: int
    used: int
    blocks: int
    consumers: int
    copied: int
    in_place: int
    fallbacks: int
