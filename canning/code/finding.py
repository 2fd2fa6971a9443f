"""Find the names in a header under ``trust="code"``: renamed, moved, or missing."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping
from typing import Any

from ..wire.names import SUBIMPORT
from .modules import unpack
from .received import RECEIVED, World
from .renaming import Renames, find_moved, look_up
from .stubs import Stubs
from .wanted import without_mark


class Finder:
    """Find the names in a header.

    Attributes:
        renames: new names for old ones, used even if the old name still exists.
        stubs: makes stubs for missing names; None if these are errors.
        worlds: the modules that came with the message, by the marks of their names.
        world: those without a mark; None if no modules came.
    """

    def __init__(
        self, renames: Renames, stubs: Stubs | None = None, worlds: Mapping[str, World] | None = None
    ) -> None:
        self.renames = renames
        self.stubs = stubs
        self.worlds = worlds or {}
        self.world = next(iter(self.worlds.values()), None)  # an empty mark is the first

    def find(self, module: str, name: str, ordinary: Callable[[str, str], Any] = look_up) -> Any:
        """Find a name, with `ordinary` if it was not renamed.

        Raises `ImportError` and `AttributeError`, as the unpickler does, if it does not exist.
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
        """Find a name that is not ours, without a stub."""
        return Finder(self.renames, worlds=self.worlds).find(module, name)

    def _alias(self, module: str) -> str:
        """Return the name of a module in this process."""
        own, mark = without_mark(module)
        world = self.worlds.get(mark, self.world)
        return module if world is None else world.alias(own)

    def close(self) -> None:
        """Record that the message has been read."""
        if self.stubs is not None:
            self.stubs.closed = True

    def guard(self, module: str, name: str, found: object, buffers: object = ()) -> Any:
        """Return the object of a name; calls that are given stubs are handled."""
        if self.world is not None and (module, name) == SUBIMPORT:
            found = self._import
        return found if self.stubs is None else self.stubs.guard((module, name), found, buffers)

    def _import(self, name: str) -> Any:
        """Import a module for a function sent by value."""
        return importlib.import_module(self._alias(name))

    @property
    def builtins(self) -> dict[str, Any] | None:
        """The ``__builtins__`` of functions sent by value; None for the usual ones."""
        return None if self.world is None else self.world.builtins

    def receive(self, said: bytes, prefer: str) -> None:
        """Add the modules that came with the message."""
        self.worlds = RECEIVED.receive(unpack(said), prefer)
        self.world = next(iter(self.worlds.values()), None)

    def reader(self, file: Any, buffers: Any) -> pickle.Unpickler:
        """Make an unpickler for pickles that this package did not write."""
        finder = self

        class PlainReader(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                return finder.guard(module, name, finder.find(module, name, super().find_class))

        return PlainReader(file, buffers=buffers)


def finder_of(renames: Renames, registered: Mapping[str, str], missing: str) -> Finder:
    """Make a finder; `renames` precede those that are registered."""
    renames = renames.over(registered) if registered else renames
    return Finder(renames, Stubs() if missing == "stub" else None)
