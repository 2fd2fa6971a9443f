"""Watch a process: what it is told by audit events, and what is different about it afterwards."""

from __future__ import annotations

import atexit
import copyreg
import decimal
import gc
import locale
import os
import random
import signal
import sys
import threading
import tracemalloc
import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import canning

from . import victims

_SIGNALS = [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]
_MODULES = ("builtins", "os", "os.path", "json", "copyreg", "pickle", "collections", "functools")


def _inside(obj: Any) -> dict[str, int]:
    """Give what an object has, by identity."""
    return {name: id(value) for name, value in list(vars(obj).items())}


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now


def _ours() -> dict[str, Any]:
    """Give what this package's modules and classes have."""
    found: dict[str, Any] = {}
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("canning", "transport") and isinstance(module, types.ModuleType):
            found[name] = _inside(module)
            classes = [value for value in vars(module).values() if isinstance(value, type)]
            found.update({f"{name}.{cls.__qualname__}": _inside(cls) for cls in classes})
    return found


def snapshot() -> dict[str, Any]:
    """Describe the process: each part under the name by which a difference in it is reported."""
    return {
        "modules": sorted(sys.modules),
        "environ": dict(os.environ),
        "path": list(sys.path),
        "cwd": str(Path.cwd()),
        "umask": _umask(),
        "files": sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else [],
        "threads": (threading.active_count(), len(os.listdir("/proc/self/task"))),
        "children": Path(f"/proc/self/task/{os.getpid()}/children").read_text(),
        "signals": [id(signal.getsignal(number)) for number in _SIGNALS],
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0] > 500,
        "trace": (sys.gettrace(), sys.getprofile()),
        "recursion": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "switch": sys.getswitchinterval(),
        "atexit": atexit._ncallbacks(),  # type: ignore[attr-defined]
        "gc": (gc.isenabled(), gc.get_threshold()),
        "registries": (len(copyreg.dispatch_table), dict(copyreg._extension_registry)),  # type: ignore[attr-defined]
        "warnings": str(warnings.filters[:3]),
        "decimal": str(decimal.getcontext()),
        "numpy": np.geterr(),
        "random": hash(random.getstate()),
        "locale": locale.setlocale(locale.LC_ALL),
        "tracemalloc": tracemalloc.is_tracing(),
        "registry": canning.default_registry.version,
        "main": sorted(vars(sys.modules["__main__"])),
        "numpy.prod": sorted(vars(np.prod)),
        "victims": [_inside(vars(victims)[name]) for name in ("Starter", "Point", "Colour")]
        + [_inside(victims)],
        "ours": _ours(),
        **{name: _inside(sys.modules.get(name, os)) for name in _MODULES},
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name the parts that are different."""
    return [part for part in before if before[part] != after[part]]
