"""A plugin of pytest: collect the tests that name pickle in their code, and import no file that does not.

The others are not even made: numpy's 25,000 would take 12 s.
"""

from __future__ import annotations

import inspect
import types
from pathlib import Path
from typing import Any


def names(code: types.CodeType) -> set[str]:
    """List globals, attributes and keywords in a function's code, and in that of the functions within it."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= names(constant)
        elif isinstance(constant, tuple):
            found |= {each for each in constant if isinstance(each, str)}
    return found


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Pass over the files without pickle."""
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    return True if "pickle" not in collection_path.read_text("utf-8") else None


def pytest_pycollect_makeitem(name: str, obj: Any) -> list[Any] | None:
    """Make nothing of a function that has no pickle in it, and leave all else to pytest."""
    function = inspect.unwrap(obj) if isinstance(obj, types.FunctionType) else None
    if function is None or not name.startswith("test"):
        return None
    return None if any("pickle" in each for each in names(function.__code__)) else []
