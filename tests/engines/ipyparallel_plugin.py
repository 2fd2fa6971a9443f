"""Put canning into every client and every engine that ipyparallel's own tests make: a plugin of pytest."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import ipyparallel
import ipyparallel.tests as theirs

import transport.engines.ipyparallel as canned
from transport.engines.ipp.client import LINKS, Link

START = "import transport.engines.ipyparallel as canned; canned.install_engine()"
COUNT = {"canned": 0, "all": 0}
"""Calls, so that a run in which nothing is canned shows."""

_connect = ipyparallel.Client.__init__
_call = Link._call


def connect(self: Any, *args: Any, **options: Any) -> None:
    _connect(self, *args, **options)
    if self not in LINKS:  # one test calls this twice for the same client
        canned.install(self)


def call(self: Any, *args: Any) -> Any:
    how = _call(self, *args)
    COUNT["all"] += 1
    COUNT["canned"] += how is not None
    return how


def pytest_pyfunc_call(pyfuncitem: Any) -> bool | None:
    """Run the one test that is a coroutine, for which ipyparallel has another plugin."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    asyncio.run(pyfuncitem.obj())
    return True


def pytest_configure() -> None:
    theirs.ipengine_cmd_argv = [*theirs.ipengine_cmd_argv, f"--IPEngine.startup_command={START}"]
    ipyparallel.Client.__init__ = connect
    Link._call = call  # type: ignore[method-assign]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"{COUNT['canned']} of {COUNT['all']} calls were canned")
