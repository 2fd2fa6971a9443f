"""A plugin of pytest that leaves only the tests whose source speaks of pickle."""

from __future__ import annotations

import functools
import inspect
from typing import Any

import pytest


@functools.cache
def _pickles(function: Any) -> bool:
    try:
        return "pickle" in inspect.getsource(function)
    except (OSError, TypeError):
        return False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = [item for item in items if _pickles(inspect.unwrap(getattr(item, "function", len)))]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(chosen)])
    items[:] = chosen
