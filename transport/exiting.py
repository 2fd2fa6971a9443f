"""Messages that are on their way when the interpreter ends.

ZeroMQ's I/O thread writes large frames directly from the sender's memory until the process ends. The
interpreter frees that memory earlier: the receiver would get whatever is written there next, or the process
would crash on an invalid address. So the first message that shares memory registers an exit hook, which waits
for all such messages as long as any of them makes progress. A warning counts the messages that are left then,
and their memory is never freed: they are lost, but never corrupted.

Small messages are copied, and ZeroMQ does not report when they have left. Only the first one on each socket
is tracked, so that a connection exists before the end. Later ones then leave within moments, unless their
receiver is slow; closing the context (``with zmq.Context()``) waits for all of them.

No hook runs after ``os._exit``, ``os.exec*`` and signals that kill: memory and messages end together. Call
`drain` first.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from typing import Final

from canning.arguments import check_seconds
from canning.errors import shortened, warn

from .errors import TransportTimeout, UndeliveredWarning
from .events import note
from .tracker import UNDER_WAY

PATIENCE: Final = 10.0
"""Seconds without any frame leaving, after which the exit hook stops waiting."""
LIMIT: Final = 120.0
"""Seconds that the exit hook waits at most."""
_INTERVAL: Final = 0.05
_MOMENT: Final = 0.02
"""Seconds to wait for messages in the queue of a connection."""


class _Ending:
    """Which process has registered the hooks, and whether its end has begun."""

    def __init__(self) -> None:
        self.pid = 0
        self.begun = False


_ending: Final = _Ending()


def may_share() -> bool:
    """Tell whether ZeroMQ may get memory uncopied; if so, make the process wait for it at exit.

    It may not after the exit hook has stopped waiting.
    """
    if _ending.pid != os.getpid():
        _register()
    return not _ending.begun


@shortened
def drain(timeout: float | None = None) -> None:
    """Wait until ZeroMQ no longer needs the memory of any message that this process has sent.

    The interpreter does this at exit, for a limited time. Call it if you want to wait longer, or before
    ``os._exit`` and ``os.exec*``, which end a process without running exit hooks. It does not wait for
    messages over ``inproc://``, whose memory belongs to the receiver.

    Args:
        timeout: seconds; None waits without a limit.

    Raises:
        TransportTimeout: the time is over; the messages are still on their way.

    >>> import numpy as np
    >>> from transport import fake_pair, send
    >>> here, there = fake_pair()
    >>> tracker = send(here, np.zeros(100_000))
    >>> drain(timeout=10)
    """
    check_seconds("timeout", timeout)
    until = None if timeout is None else time.monotonic() + timeout
    while left := _left():
        wait = _INTERVAL if until is None else min(_INTERVAL, until - time.monotonic())
        if wait <= 0:
            raise TransportTimeout(f"{_told(left)} still on the way after {timeout} s")
        _settle(wait)
    time.sleep(_MOMENT)


def _register() -> None:
    if not _ending.pid:
        # The exit hook of pyzmq's collector frees memory that ZeroMQ still reads. Hooks registered later run
        # earlier.
        import zmq.utils.garbage  # noqa: F401

        atexit.register(_at_exit)
    elif UNDER_WAY:  # after a fork: these are the parent's
        UNDER_WAY.clear()
    _ending.pid = os.getpid()
    _ending.begun = False
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        # Children of multiprocessing end by os._exit, and run these finalizers instead of the exit hooks.
        from multiprocessing.util import Finalize

        Finalize(None, _after_threads, exitpriority=0)


def _after_threads() -> None:
    """Wait for messages when all non-daemon threads, which may still send, have ended."""
    main = threading.current_thread()

    def wait() -> None:
        for thread in threading.enumerate():
            if not thread.daemon and thread not in (main, threading.current_thread()):
                thread.join()
        _at_exit()

    threading.Thread(target=wait, name="transport-exit", daemon=False).start()


def _at_exit() -> None:
    if _ending.pid != os.getpid():  # a forked child that has sent nothing
        return
    try:
        _wait_while_moving()
    finally:
        _ending.begun = True
        _keep_for_ever()
        if left := _left():
            text = (
                f"{_told(left)} not handed over when the interpreter ended, since nothing had moved for "
                f"{PATIENCE:g} s: is the peer there? transport.drain() and Tracker.wait() wait longer"
            )
            note("undelivered", text, count=left[0])
            warn(text, UndeliveredWarning)


def _wait_while_moving() -> None:
    left = _left()
    start = moved = time.monotonic()
    while left:
        _settle(_INTERVAL)
        now, before, left = time.monotonic(), left, _left()
        if left != before:
            moved = now
        elif now - moved > PATIENCE or now - start > LIMIT:
            return
    time.sleep(_MOMENT)


def _settle(seconds: float) -> None:
    """Wait until one of the messages has left, at most so many seconds."""
    for message in list(UNDER_WAY):
        if message.leaves:
            message.done.wait(seconds)
            return


def _left() -> tuple[int, int] | None:
    """Count the messages and the bytes that have not left."""
    messages = [message for message in list(UNDER_WAY) if message.leaves]
    if not messages or _ending.pid != os.getpid():
        return None
    return len(messages), sum(message.nbytes() for message in messages)


def _told(left: tuple[int, int]) -> str:
    messages, nbytes = left
    plural = messages > 1
    return f"{messages} message{'s' * plural} ({nbytes:,} bytes) {('was', 'were')[plural]}"


def _keep_for_ever() -> None:
    """Keep memory that ZeroMQ may still read from being freed, by keeping pyzmq's collector, which holds it.

    When the collector stops, it releases all memory, and closes the socket on which ZeroMQ reports that a
    frame was sent. Its last reference must stay too: its finalizer would wait for a thread that cannot run.
    Its exit hook cannot be unregistered here: changing the list of hooks from within a hook has no defined
    effect (https://docs.python.org/3/library/atexit.html), and none since Python 3.14.
    """
    from zmq.utils.garbage import gc

    sending = [
        thread
        for thread in threading.enumerate()
        if thread not in (gc.thread, threading.current_thread(), threading.main_thread())
    ]
    if UNDER_WAY or sending:
        vars(gc)["stop"] = lambda: None  # its exit hook calls this
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(gc))
