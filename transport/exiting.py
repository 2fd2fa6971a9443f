"""What becomes of messages that are on their way when the interpreter ends.

ZeroMQ writes large frames out of the sender's own memory, from a thread of its own which goes on until the
process is gone. An interpreter that ends frees that memory before: the receiver would get whatever comes to
be there, or the process would die of a bad address. So the first message that shares memory registers a
hook that waits for all of them, as long as anything moves. What is left then is counted in a warning, and
its memory is never freed: it is lost, but it is not wrong.

Small messages are copied, and ZeroMQ does not tell when they have left. It does of the first one on each
socket, so that there is a connection before the end. What followed leaves within moments then, unless its
receiver is slow; closing the context (``with zmq.Context()``) waits for all of it.

Nothing can be done where the interpreter is not asked: after ``os._exit``, ``os.exec*`` and signals that
kill, memory and messages end together. Call `drain` before.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
import warnings
from typing import Final

from canning.arguments import check_seconds
from canning.errors import shortened

from .errors import TransportTimeout, UndeliveredWarning
from .events import note
from .tracker import UNDER_WAY

PATIENCE: Final = 10.0
"""Seconds without a frame leaving, after which the end of the interpreter is not held up any longer."""
LIMIT: Final = 120.0
"""Seconds that it is held up at most."""
_INTERVAL: Final = 0.05
_MOMENT: Final = 0.02
"""Seconds for what is in the queue of a connection."""


class _Ending:
    """Where this process stands: for which process there are hooks, and whether its end has begun."""

    def __init__(self) -> None:
        self.pid = 0
        self.begun = False


_ending: Final = _Ending()


def may_share() -> bool:
    """Tell whether memory may be given to ZeroMQ uncopied, and see to it that the process waits at its end.

    It may not from the moment on at which the end is no longer held up.
    """
    if _ending.pid != os.getpid():
        _register()
    return not _ending.begun


@shortened
def drain(timeout: float | None = None) -> None:
    """Wait until ZeroMQ no longer needs the memory of any message that this process has sent.

    The interpreter does this at exit, for a limited time. Call it if you want to wait longer, or before
    ``os._exit`` and ``os.exec*``, which end a process without asking the interpreter. It does not wait for
    messages over ``inproc://``, whose memory is in the receiver's hands.

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
        # The hook of pyzmq's collector frees what ZeroMQ looks at. Hooks registered later are called earlier.
        import zmq.utils.garbage  # noqa: F401

        atexit.register(_at_exit)
    elif UNDER_WAY:  # a fork: these are the parent's
        UNDER_WAY.clear()
    _ending.pid = os.getpid()
    _ending.begun = False
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        # Children of multiprocessing leave by os._exit, and ask these instead of the interpreter.
        from multiprocessing.util import Finalize

        Finalize(None, _after_threads, exitpriority=0)


def _after_threads() -> None:
    """Wait as the end of an interpreter does, when threads that are no daemons have ended, which may send."""
    main = threading.current_thread()

    def wait() -> None:
        for thread in threading.enumerate():
            if not thread.daemon and thread not in (main, threading.current_thread()):
                thread.join()
        _at_exit()

    threading.Thread(target=wait, name="transport-exit", daemon=False).start()


def _at_exit() -> None:
    if _ending.pid != os.getpid():  # a fork that has sent nothing
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
            warnings.warn(text, UndeliveredWarning, stacklevel=2)


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
    """Wait until one of the messages has left, or so many seconds are over."""
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
    """Keep what ZeroMQ looks at, or may yet, from being freed, by keeping pyzmq's collector, which has it.

    Stopped, the collector lets go of everything, and closes the socket that ZeroMQ tells about the end of
    a frame. Its last reference must not go either: its finalizer would wait for a thread that cannot run.
    Its hook cannot be taken back here: what a hook changes in the list of hooks has no
    defined effect (https://docs.python.org/3/library/atexit.html), and none since Python 3.14.
    """
    from zmq.utils.garbage import gc

    sending = [
        thread
        for thread in threading.enumerate()
        if thread not in (gc.thread, threading.current_thread(), threading.main_thread())
    ]
    if UNDER_WAY or sending:
        vars(gc)["stop"] = lambda: None  # which its hook calls
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(gc))
