"""Processes that were forked while a thread of their parent was at work in here."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

import pytest

import canning
from canning import forking

FORK_WHILE_LOCKED = """
import os, signal, threading
import numpy as np, canning
from canning.code.received import RECEIVED

held, go_on = threading.Event(), threading.Event()

def hold(lock):
    lock.run(lambda: (held.set(), go_on.wait()))

class Unknown:
    pass

for lock in (canning.default_registry._lock, RECEIVED._lock):
    held.clear(), go_on.clear()
    holder = threading.Thread(target=hold, args=(lock,))
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        canning.register(Unknown, can=vars, uncan=lambda state: 0)
        canning.unregister(Unknown)
        frames = canning.serialize_object([Unknown(), np.zeros(5000)])
        canning.deserialize_object(frames)
        canning.received_modules(), canning.by_reference(canning.by_value(Unknown))
        os._exit(7)
    go_on.set()
    holder.join()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status == 7, status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_lock_that_another_thread_held_is_free_in_the_child() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK_WHILE_LOCKED]
    subprocess.run(command, check=True, timeout=50)


def test_what_is_gone_is_not_renewed() -> None:
    gc.collect()  # what other tests left behind
    before = len(forking._LOCKS)
    kept = [canning.Registry() for _ in range(5)]
    assert len(forking._LOCKS) == before + 5
    kept.clear()
    gc.collect()
    assert len(forking._LOCKS) == before
