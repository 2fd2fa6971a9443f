"""Unopened payloads at the end of their arena, or of the process.

A payload in an arena can be opened as long as the arena's owner lives and has not closed it. So closing an
arena waits for its readers, for a limited time, and so does the interpreter when it ends. An arena that is
dropped without being closed is kept here until its payloads are opened. Payloads that are left after that
time are lost, and a warning counts them. No hook runs after ``os._exit`` and signals that kill.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
from typing import Final

from canning.errors import warn

from ..errors import TransportTimeout, UndeliveredWarning
from ..events import note
from .ledger import Ledger

LONGEST: Final = 10.0
"""Seconds that an arena lingers at most by default."""
_LEDGERS: Final[dict[bytes, Ledger]] = {}
"""The open arenas, by token."""
_SHORT: Final = 0.0005
_LONG: Final = 0.02
"""Seconds between two checks: at first, and later."""


class _Hooks:
    """The process that has registered the hooks."""

    pid = 0


_hooks: Final = _Hooks()


def enter(ledger: Ledger) -> None:
    """Register a new arena; forget dropped ones that are finished."""
    if _hooks.pid != os.getpid():
        _register()
    for token, each in list(_LEDGERS.items()):
        if each.pid != os.getpid() or (each.dropped and not each.unopened()):
            _LEDGERS.pop(token, None)
    _LEDGERS[ledger.token] = ledger


def drop(ledger: Ledger) -> None:
    """Release an arena that is out of use, or keep it for its readers; takes no lock."""
    ledger.dropped = True
    if ledger.linger <= 0 or not ledger.unopened():
        _LEDGERS.pop(ledger.token, None)


def drain(ledger: Ledger, timeout: float | None) -> None:
    """Wait until every payload is opened; raises `TransportTimeout`."""
    left = _wait([ledger], timeout)
    if left:
        raise TransportTimeout(
            f"{_told(left)} in {_size(ledger)} not opened after {timeout:g} s: their receiver is slow, "
            "away, or gone; wait longer, or send without arena="
        )


def leave(ledger: Ledger, linger: float) -> None:
    """Wait for so long, close the arena, and warn of lost payloads."""
    left = 0
    try:
        left = _wait([ledger], linger) if linger > 0 else len(ledger.unopened())
    finally:
        _LEDGERS.pop(ledger.token, None)
        ledger.close()
    if left and ledger.linger > 0:
        _warn(left, "closed", linger)


def _wait(ledgers: list[Ledger], seconds: float | None) -> int:
    """Wait until all payloads are opened; return how many are not when the time is over."""
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
        # Children of multiprocessing end by os._exit, and run these finalizers instead of the exit hooks. The
        # thread that feeds a queue is joined at -5.
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=-10)


def _at_exit() -> None:
    ours = [each for each in list(_LEDGERS.values()) if each.pid == os.getpid() and each.linger > 0]
    _LEDGERS.clear()
    while ours:  # those that linger longest are last
        ours.sort(key=lambda ledger: -ledger.linger)
        ledger = ours.pop()
        left = len(ledger.unopened())
        with contextlib.suppress(KeyboardInterrupt):  # a user who cannot wait
            left = _wait([ledger], ledger.linger)
        if left:
            _warn(left, "gone, as this process has ended", ledger.linger)


def _warn(count: int, what: str, seconds: float) -> None:
    text = (
        f"{_told(count)} in shared memory, not opened by all receivers within {seconds:g} s, lost: the arena "
        f"is {what}; call its drain() before, give it more time (linger=), or send without arena="
    )
    note("unopened", text, count=count)
    warn(text, UndeliveredWarning)


def _told(count: int) -> str:
    return "1 payload" if count == 1 else f"{count:,} payloads"


def _size(ledger: Ledger) -> str:
    return f"an arena of {ledger.capacity:,} bytes"
