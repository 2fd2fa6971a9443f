"""What becomes of payloads that nobody has opened when their arena, or the process, comes to its end.

A payload in an arena can be opened as long as its owner lives and has not closed it. So an arena that is
closed waits for its readers, for a time, and so does the interpreter when it ends. An arena that is dropped
without being closed is kept here until its payloads were opened. What is left after that time is lost, and a
warning counts it. Nothing can be done where the interpreter is not asked: after ``os._exit`` and signals that
kill.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import warnings
from typing import Final

from ..errors import TransportTimeout, UndeliveredWarning
from ..events import note
from .ledger import Ledger

LONGEST: Final = 10.0
"""Seconds that an arena lingers where it is not said."""
_LEDGERS: Final[dict[bytes, Ledger]] = {}
"""Those that are open, by token."""
_SHORT: Final = 0.0005
_LONG: Final = 0.02
"""Seconds between two looks: the first ones, and later ones."""


class _Hooks:
    """Know for which process there are hooks."""

    pid = 0


_hooks: Final = _Hooks()


def enter(ledger: Ledger) -> None:
    """Know an arena that was made; forget those that were dropped, and are done with."""
    if _hooks.pid != os.getpid():
        _register()
    for token, each in list(_LEDGERS.items()):
        if each.pid != os.getpid() or (each.dropped and not each.unopened()):
            _LEDGERS.pop(token, None)
    _LEDGERS[ledger.token] = ledger


def drop(ledger: Ledger) -> None:
    """Let an arena go that nobody can use any more, or keep it for its readers; takes no lock."""
    ledger.dropped = True
    if ledger.linger <= 0 or not ledger.unopened():
        _LEDGERS.pop(ledger.token, None)


def drain(ledger: Ledger, timeout: float | None) -> None:
    """Wait until every payload was opened; raises `TransportTimeout`."""
    left = _wait([ledger], timeout)
    if left:
        raise TransportTimeout(
            f"{_told(left)} in {_size(ledger)} not opened after {timeout:g} s: their receiver is slow, "
            "away, or gone; wait longer, or send without arena="
        )


def leave(ledger: Ledger, linger: float) -> None:
    """Wait for so long, close, and warn of what is lost by that."""
    left = 0
    try:
        left = _wait([ledger], linger) if linger > 0 else len(ledger.unopened())
    finally:
        _LEDGERS.pop(ledger.token, None)
        ledger.close()
    if left and ledger.linger > 0:
        _warn(left, "closed", linger, stacklevel=5)


def _wait(ledgers: list[Ledger], seconds: float | None) -> int:
    """Wait until all payloads there were opened; tell how many were not when the time is over."""
    end = None if seconds is None else time.monotonic() + seconds
    pause = _SHORT
    while left := sum(len(ledger.unopened()) for ledger in ledgers):
        now = time.monotonic()
        if end is not None and now >= end:
            return left
        time.sleep(pause if end is None else min(pause, end - now))
        pause = min(2 * pause, _LONG)
    return 0


def _register() -> None:
    if not _hooks.pid:
        atexit.register(_at_exit)
    _hooks.pid = os.getpid()
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.parent_process() is not None:
        # Children of multiprocessing leave by os._exit, and ask these instead of the interpreter. What feeds
        # a queue is joined at -5.
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=-10)


def _at_exit() -> None:
    ours = [each for each in list(_LEDGERS.values()) if each.pid == os.getpid() and each.linger > 0]
    _LEDGERS.clear()
    while ours:  # those that linger for longest are last
        ours.sort(key=lambda ledger: -ledger.linger)
        ledger = ours.pop()
        left = len(ledger.unopened())
        with contextlib.suppress(KeyboardInterrupt):  # a user who cannot wait
            left = _wait([ledger], ledger.linger)
        if left:
            _warn(left, "gone, as this process has ended", ledger.linger, stacklevel=2)


def _warn(count: int, what: str, seconds: float, stacklevel: int) -> None:
    text = (
        f"{_told(count)} in shared memory, not opened by all receivers within {seconds:g} s, lost: the arena "
        f"is {what}; call its drain() before, give it more time (linger=), or send without arena="
    )
    note("unopened", text, count=count)
    warnings.warn(text, UndeliveredWarning, stacklevel=stacklevel)


def _told(count: int) -> str:
    return "1 payload" if count == 1 else f"{count:,} payloads"


def _size(ledger: Ledger) -> str:
    return f"an arena of {ledger.capacity:,} bytes"
