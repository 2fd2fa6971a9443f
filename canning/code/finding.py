"""How a reader under ``trust="code"`` finds what a header names: renamed, moved, or not at all."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from ..wire.names import SUBIMPORT
from .imports import without_mark
from .modules import unpack
from .received import RECEIVED, World
from .renaming import Renames, find_moved, look_up
from .stubs import Stubs


class Finder:
    """Find what a header names.

    Attributes:
        renames: new names for old ones, which count even where the old name leads somewhere.
        stubs: makes what stands for names that lead nowhere; None where these are errors.
        worlds: the modules that came with the message, by the marks of their names.
        world: those that have none; None where no modules came.
    """

    def __init__(
        self, renames: Renames, stubs: Stubs | None = None, worlds: Mapping[str, World] | None = None
    ) -> None:
        self.renames = renames
        self.stubs = stubs
        self.worlds = worlds or {}
        self.world = next(iter(self.worlds.values()), None)  # an empty mark is the first

    def find(self, module: str, name: str, ordinary: Callable[[str, str], Any] = look_up) -> Any:
        """Find a name, by `ordinary` where it was not renamed.

        Raises `ImportError` and `AttributeError`, as the unpickler does, where it leads nowhere.
        """
        renamed = self.renames.find(module, name)
        if self.world is not None:
            module = self._alias(module)
        try:
            return ordinary(module, name) if renamed is None else look_up(*renamed)
        except (ImportError, AttributeError):
            moved = find_moved(*(renamed or (module, name)))
            try:
                if moved is not None:
                    return look_up(*moved)
            except (ImportError, AttributeError):  # the first error says more
                pass
            if self.stubs is None:
                raise
            return self.stubs.make(module, name)

    def look_up(self, module: str, name: str) -> Any:
        """Find a name that is not ours, and stand nothing in its place."""
        return Finder(self.renames, worlds=self.worlds).find(module, name)

    def _alias(self, module: str) -> str:
        """Give the name that a module has here."""
        own, mark = without_mark(module)
        world = self.worlds.get(mark, self.world)
        return module if world is None else world.alias(own)

    def close(self) -> None:
        """Say that the message has been read."""
        if self.stubs is not None:
            self.stubs.closed = True

    def guard(self, module: str, name: str, found: object, buffers: object = ()) -> Any:
        """Give what a name stands for, with care for calls that are given stubs."""
        if self.world is not None and (module, name) == SUBIMPORT:
            found = self._import
        return found if self.stubs is None else self.stubs.guard((module, name), found, buffers)

    def _import(self, name: str) -> Any:
        """Import a module that a function by value needs."""
        return importlib.import_module(self._alias(name))

    @property
    def builtins(self) -> dict[str, Any] | None:
        """What functions by value find in ``__builtins__``; None where that is nothing special."""
        return None if self.world is None else self.world.builtins

    def receive(self, said: bytes, prefer: str) -> None:
        """Take the modules in that came with the message."""
        self.worlds = RECEIVED.receive(unpack(said), prefer)
        self.world = next(iter(self.worlds.values()), None)

    def reader(self, file: Any, buffers: Any) -> pickle.Unpickler:
        """Make an unpickler for what nothing of this package wrote."""
        finder = self

        class PlainReader(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                return finder.guard(module, name, finder.find(module, name, super().find_class))

        return PlainReader(file, buffers=buffers)


def finder_of(renames: Renames, registered: Mapping[str, str], missing: str) -> Finder:
    """Make a finder; `renames` count before those that are registered."""
    renames = renames.over(registered) if registered else renames
    return Finder(renames, Stubs() if missing == "stub" else None)
