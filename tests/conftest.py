"""What all tests share: settings of hypothesis, and asserts that explain themselves in the harness too."""

from __future__ import annotations

import contextlib
import doctest
import gc
import inspect
import traceback
import types

import pytest
from hypothesis import HealthCheck, settings

from . import absent_codecs

pytest.register_assert_rewrite("tests.harness")

# Time says little on a shared machine, and nothing about what is tested here.
settings.register_profile(
    "canning", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("canning")

# MPI starts threads, and this process forks. The tests of MPI have processes of their own.
with contextlib.suppress(ImportError):
    import mpi4py

    mpi4py.rc.initialize = False

collect_ignore_glob = ["engines/mpi_*.py"]  # programs for ranks, and importing one makes a rank


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(absent_codecs)  # a conftest's own hooks see only the tests of its folder
    if "format_exception_only(*exception[:2])[-1]" in inspect.getsource(doctest):
        doctest.traceback = _WITHOUT_NOTES  # type: ignore[attr-defined]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a slow test the time that it needs on a busy machine, unless it says itself how much that is."""
    if item.get_closest_marker("slow") is not None and item.get_closest_marker("timeout") is None:
        item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="module", autouse=True)
def _few_objects() -> None:
    """Let collections of garbage look at what this module makes alone: at all, each takes half a second."""
    gc.collect()
    gc.freeze()


def _without_notes(cls: type[BaseException], error: BaseException) -> list[str]:
    """Format an exception as later doctests do: up to Python 3.11.3, doctest takes a note for the message."""
    lines = traceback.format_exception_only(cls, error)
    notes = sum(len(note.split("\n")) for note in getattr(error, "__notes__", ()))
    return lines[: len(lines) - notes]


_WITHOUT_NOTES = types.SimpleNamespace(**vars(traceback) | {"format_exception_only": _without_notes})


@pytest.hookimpl(tryfirst=True)
def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Fail a test module that cannot be imported: the option that lets packages be absent skips it."""
    name = report.nodeid.rpartition("/")[2]
    if report.skipped and name.startswith("test_") and "unable to import" in str(report.longrepr):
        report.outcome = "failed"
