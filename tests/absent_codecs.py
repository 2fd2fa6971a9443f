"""A plugin for all tests, those in docstrings too: `conftest.py` registers it."""

from __future__ import annotations

import doctest
import importlib.util
import re
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Skip what needs a codec whose package is not here, as there is none yet for the newest Python."""
    try:
        return (yield)
    except (ImportError, doctest.UnexpectedException) as error:
        told = error.exc_info[1] if isinstance(error, doctest.UnexpectedException) else error
        found = re.match(r"the codec '\w+' needs the package (\w+)", str(told))
        if found is None or importlib.util.find_spec(found[1]) is not None:
            raise
        pytest.skip(str(told))
