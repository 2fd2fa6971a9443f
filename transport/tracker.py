"""Detect when ZeroMQ has released the memory of a message.

pyzmq tracks one frame, so ``send_multipart(track=True)`` covers only the last one. Its event and tracker per
frame cost 25 µs; this costs 13, an untracked frame 11 (pyzmq 27, frames of 300 kB). Here ZeroMQ gets each
frame as a separate memoryview with no other reference. When the view is gone, ZeroMQ has released the memory.
A reference that lives too long makes a tracker late, never early.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Final

from canning.arguments import check_seconds
from canning.errors import shortened

from .errors import TransportTimeout


class _Outstanding:
    """Count the remaining views; any thread may release one.

    It is separate from the tracker, which may be dropped at once: the exit hook still waits.
    """

    __slots__ = ("_left", "done", "leaves", "listeners", "views")

    def __init__(self, views: list[memoryview], leaves: bool) -> None:
        # list.pop is atomic, a counter's decrement is not.
        self._left = [None] * len(views)
        self.leaves = leaves
        self.done = threading.Event()
        self.listeners: list[Callable[[], object]] = []
        let_go = self.let_go  # one bound method for all views
        self.views = [weakref.ref(view, let_go) for view in views]
        UNDER_WAY.add(self)

    def let_go(self, _view: weakref.ref[memoryview]) -> None:
        self._left.pop()
        if not self._left:
            UNDER_WAY.discard(self)
            self.views = []  # they refer to this object
            self.done.set()
            self.notify()

    def nbytes(self) -> int:
        """Count the bytes that ZeroMQ still holds."""
        return sum(view.nbytes for known in self.views if (view := known()) is not None)

    def notify(self) -> None:
        # The thread that pops a listener calls it, so that each is called once.
        while self.listeners:
            try:
                listener = self.listeners.pop()
            except IndexError:
                return
            listener()


class Tracker:
    """Tell when you may change the objects that you sent.

    Frames that were copied are free at once. Others are free when ZeroMQ's thread has written them to the
    connection, or over ``inproc://`` when the receiver has dropped them.

    >>> from transport import fake_pair, send
    >>> here, there = fake_pair()
    >>> tracker = send(here, {"answer": 42})
    >>> tracker.done
    True
    >>> tracker.wait(timeout=1)
    """

    __slots__ = ("__weakref__", "_outstanding", "_receipt", "_views")

    def __init__(self, views: Iterable[memoryview] = (), leaves: bool = True) -> None:
        """Track frames that are given to ZeroMQ as these views; `leaves` if they leave the process."""
        self._receipt: Callable[[], bool] | None = None
        views = list(views)
        self._outstanding = _Outstanding(views, leaves) if views else None
        self._views = self._outstanding.views if self._outstanding else []

    @property
    def done(self) -> bool:
        """Tell whether you may change the objects that you sent, without waiting."""
        return self._outstanding is None or self._outstanding.done.is_set()

    @property
    def opened(self) -> bool | None:
        """Tell whether the receivers have opened the payloads in a `SharedArena`; None without one.

        A message is *done* when it has left. Its payloads in an arena are lost if the process ends, or the
        arena is closed, before they are opened.
        """
        return None if self._receipt is None else self._receipt()

    def with_receipt(self, receipt: Callable[[], bool] | None) -> Tracker:
        """Return a tracker of the same frames that also tells, by `receipt`, whether they were opened."""
        if receipt is None:
            return self
        tracker = Tracker()
        tracker._outstanding, tracker._views, tracker._receipt = self._outstanding, self._views, receipt
        return tracker

    @shortened
    def wait(self, timeout: float | None = None) -> None:
        """Wait until you may change the objects that you sent.

        Args:
            timeout: seconds; None waits without a limit.

        Raises:
            TransportTimeout: the time is over; the message is still on its way.
        """
        check_seconds("timeout", timeout)
        if not self.settle(timeout):
            raise TransportTimeout(
                f"the memory of the message is in use after {timeout} s: its receiver is slow, away, or "
                "keeps it; wait longer, or send a copy"
            )

    def settle(self, seconds: float | None) -> bool:
        """Wait at most so many seconds; tell whether every frame is free to change."""
        return self._outstanding is None or self._outstanding.done.wait(seconds)

    def in_use(self) -> list[bool]:
        """Tell for each frame that was not copied whether ZeroMQ still has it."""
        return [view() is not None for view in self._views]

    def on_done(self, listener: Callable[[], object]) -> None:
        """Call listener once, when every frame is free: now, or later from the thread that detects it."""
        if self._outstanding is None:
            listener()
            return
        self._outstanding.listeners.append(listener)
        if self.done:
            self._outstanding.notify()

    def forget(self, listener: Callable[[], object]) -> None:
        """Do not call a listener that has not been called yet."""
        if self._outstanding is not None:
            with contextlib.suppress(ValueError):
                self._outstanding.listeners.remove(listener)

    def __repr__(self) -> str:
        return f"<Tracker of {len(self._views)} frames, {'done' if self.done else 'in use'}>"


UNDER_WAY: Final[set[_Outstanding]] = set()
"""Every message whose memory ZeroMQ holds."""
DONE: Final = Tracker()
