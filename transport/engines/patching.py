"""Replace functions of an engine while somebody wants it, and put back what was there."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any

from canning import default_registry


class Replaced:
    """Replace attributes, and register types, from the first user that joins to the last that leaves.

    `names` are owners, names and what stands there meanwhile; `types` what `canning.register` takes, by
    dotted name. Several may name the same types.

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

    _registered: dict[str, int] = {}  # noqa: RUF012 - of the process, as the registry is
    _lock = threading.RLock()

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

    def join(self, user: Hashable) -> None:
        """Replace, where nobody has wanted it before."""
        with self._lock:
            if not self._users:
                self._old = [vars(owner)[name] for owner, name, _ in self._names]
                for owner, name, new in self._names:
                    setattr(owner, name, new)
                for name, how in self._types.items():
                    self._registered[name] = self._registered.get(name, 0) + 1
                    if self._registered[name] == 1:
                        default_registry.register(name, **how)
            self._users.add(user)

    def leave(self, user: Hashable) -> None:
        """Put back what was there, where nobody wants it any longer; nothing for who has not joined."""
        with self._lock:
            if user not in self._users:
                return
            self._users.remove(user)
            if self._users:
                return
            for (owner, name, _), old in zip(self._names, self._old, strict=True):
                setattr(owner, name, old)
            for name in self._types:
                self._registered[name] -= 1
                if not self._registered[name]:
                    default_registry.unregister(name)
