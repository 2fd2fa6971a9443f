"""canning inside other engines: one module for each, imported on first use."""

from __future__ import annotations

from typing import Any, Final

from .adapting import EngineError, UnknownEngine

__all__ = ["EngineError", "UnknownEngine"]

_ENGINES: Final = ("dask", "ipyparallel", "joblib", "jupyter", "mpi", "multiprocessing", "ray")


def __getattr__(name: str) -> Any:
    """Import an engine's module on first use."""
    if name not in _ENGINES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return import_module(f".{name}", __name__)


def __dir__() -> list[str]:
    """List the names of the engines too."""
    return sorted({*globals(), *_ENGINES})
