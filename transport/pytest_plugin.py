"""A fixture for tests with pytest: name it by ``pytest_plugins = ["transport.pytest_plugin"]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .testing import FakeSocket
from .testing import fake_pair as make_pair


@pytest.fixture
def fake_pair() -> Iterator[tuple[FakeSocket, FakeSocket]]:
    """Yield two connected ends in memory, which are closed after the test."""
    here, there = make_pair()
    with here, there:
        yield here, there
