"""Look whether an engine is made as its adapter expects, before anything of it is touched."""

from __future__ import annotations

import importlib
import inspect
import operator
import platform
import types
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import TransportError


class EngineError(TransportError):
    """Raised if an engine, or a part of it, cannot use canning; says what to do."""


class UnknownEngine(EngineError, ImportError):
    """Raised if an adapter does not know the installed version of its engine; nothing was changed."""


def check_layout(package: str, tried: str, uses: Mapping[str, tuple[str, ...]]) -> None:
    """Check that functions of an engine still look up the names that an adapter replaces.

    `uses` has, for each ``module:function``, the names that its code must contain. `tried` is the version
    that the adapter was tested with. Raises `UnknownEngine` where something is missing.

    >>> check_layout("numpy", "2.4", {"numpy:broadcast_shapes": ("broadcast_shapes",)})
    Traceback (most recent call last):
        ...
    transport.engines.compatibility.UnknownEngine: numpy ... is not made as this adapter expects, ...
    """
    for where, names in uses.items():
        missing = _missing(where, names)
        if missing:
            raise UnknownEngine(
                f"{package} {_version(package)} is not made as this adapter expects, which was tried with "
                f"{tried}: {missing}; nothing was changed"
            )


def _version(package: str) -> str:
    from importlib import metadata  # takes 20 ms, which every process of a pool would wait

    try:
        return metadata.version(package) if package != "Python" else platform.python_version()
    except metadata.PackageNotFoundError as error:
        raise UnknownEngine(f"this adapter needs {package}: pip install {package}") from error


def _missing(where: str, names: tuple[str, ...]) -> str:
    module, _, path = where.partition(":")
    try:
        found: Any = importlib.import_module(module)
        function = inspect.unwrap(operator.attrgetter(path)(found)) if path else found
    except (ImportError, AttributeError) as error:
        return f"there is no {where} ({type(error).__name__})"
    code = getattr(function, "__code__", None)
    known = set(_names_in(code)) if code else vars(function)
    lost = [name for name in names if name not in known]
    return f"{where} does not use {', '.join(lost)}" if lost else ""


def _names_in(code: types.CodeType) -> Iterator[str]:
    """Give the names that a function uses, and the functions within it."""
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars)
    for within in code.co_consts:
        if isinstance(within, types.CodeType):
            yield from _names_in(within)
