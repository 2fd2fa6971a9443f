"""Put canning into every client and every engine that ipyparallel's own tests make: a plugin of pytest."""

from __future__ import annotations

from typing import Any

import ipyparallel
import ipyparallel.tests as theirs

import transport.engines.ipyparallel as canned

START = "import transport.engines.ipyparallel as canned; canned.install_engine()"
CALLS = {"canned": 0}
"""How many calls were canned, so that a run that tries nothing shows."""

theirs.ipengine_cmd_argv = [*theirs.ipengine_cmd_argv, f"--IPEngine.startup_command={START}"]
_connect = ipyparallel.Client.__init__
_pack = canned._SERIALIZER.pack_apply_message


def connect(self: Any, *args: Any, **options: Any) -> None:
    _connect(self, *args, **options)
    canned.install(self)


ipyparallel.Client.__init__ = connect


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.write_line(f"canned calls: {CALLS['canned']}")
