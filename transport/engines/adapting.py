"""Check that an engine has the structure that its adapter expects, and replace its functions."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import operator
import platform
import types
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from canning import default_registry
from canning.forking import Lock, guarded

from ..errors import TransportError


class EngineError(TransportError):
    """Raised if an engine, or a part of it, cannot use canning; the text names the remedy."""


class UnknownEngine(EngineError, ImportError):
    """Raised if an adapter does not know the installed version of its engine; nothing was changed."""


def check_layout(package: str, tried: str, uses: Mapping[str, tuple[str, ...]]) -> None:
    """Check that functions of an engine still look up the names that an adapter replaces.

    `uses` maps each ``module:function`` to the names that its code must contain. `tried` is the version that
    the adapter was tested with. Raises `UnknownEngine` if a name is missing.

    >>> check_layout("numpy", "2.4", {"numpy:broadcast_shapes": ("broadcast_shapes",)})
    Traceback (most recent call last):
        ...
    transport.engines.adapting.UnknownEngine: numpy ... is not made as this adapter expects, ...
    """
    for where, names in uses.items():
        missing = _missing(where, names)
        if missing:
            raise UnknownEngine(
                f"{package} {_version(package)} is not made as this adapter expects, which was tried with "
                f"{tried}: {missing}; nothing was changed"
            )


def _version(package: str) -> str:
    from importlib import metadata  # takes 20 ms, in every process of a pool

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
    """Yield the names that a function uses, and the functions within it."""
    yield from (*code.co_names, *code.co_varnames, *code.co_freevars)
    for within in code.co_consts:
        if isinstance(within, types.CodeType):
            yield from _names_in(within)


class Replaced:
    """Replace attributes, and register types, from the first user that joins to the last that leaves.

    `names` holds owners, attribute names and replacements; `types` maps dotted names to the arguments of
    `canning.register`. Several objects may name the same types.

    >>> import types
    >>> place = types.SimpleNamespace(answer=41)
    >>> better = Replaced([(place, "answer", 42)])
    >>> better.join("me")
    >>> place.answer
    42
    >>> better.leave("me")
    >>> place.answer
    41
    """

    _registered: dict[str, set[Replaced]] = {}  # noqa: RUF012 - one per process, like the registry
    _lock = Lock()

    def __init__(
        self, names: list[tuple[Any, str, Any]], types: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self._names = names
        self._types = types or {}
        self._old: list[Any] = []
        self._users: set[Hashable] = set()

    def __bool__(self) -> bool:
        return bool(self._users)

    def __contains__(self, user: Hashable) -> bool:
        return user in self._users

    @guarded
    def join(self, user: Hashable) -> None:
        """Replace the attributes for the first user; undone if that fails."""
        if self._users:
            self._users.add(user)
            return
        old = [vars(owner)[name] for owner, name, _ in self._names]
        if not self._old:  # a signal handler may have joined meanwhile
            self._old = old
        self._users.add(user)
        try:
            for owner, name, new in self._names:
                setattr(owner, name, new)
            for name, how in self._types.items():
                users = self._registered.setdefault(name, set())
                users.add(self)
                if len(users) == 1:
                    default_registry.register(name, **how)
        except BaseException:
            self.leave(user)
            raise

    @guarded
    def leave(self, user: Hashable) -> None:
        """Restore the attributes after the last user; do nothing for one that has not joined."""
        if user not in self._users:
            return
        if self._users == {user}:
            for (owner, name, _), old in zip(self._names, self._old, strict=True):
                setattr(owner, name, old)
            for name in self._types:
                self._unregister(name)
            self._old = []
        self._users.remove(user)

    def _unregister(self, name: str) -> None:
        users = self._registered.get(name, set())
        if users == {self}:
            with contextlib.suppress(KeyError):  # registering it had failed
                default_registry.unregister(name)
        users.discard(self)
