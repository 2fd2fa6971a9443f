"""Which modules an object's code takes along."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any, Final

LOCAL: Final = "local"


class Wanted:
    """Hold the modules to be sent by value: local ones, or named ones with all modules in them."""

    def __init__(self, modules: str | Iterable[types.ModuleType | str]) -> None:
        if isinstance(modules, str) and modules != LOCAL:
            raise ValueError(f'by_value={modules!r}: give "local", or a list of modules and names')
        if not isinstance(modules, Iterable):
            raise TypeError(
                f'by_value= is "local", or a list of modules and names, not {type(modules).__name__}'
            )
        self.local: bool = isinstance(modules, str)
        names = () if isinstance(modules, str) else modules
        self.names: frozenset[str] = frozenset(map(_module_name, names))

    def __bool__(self) -> bool:
        return self.local or bool(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wanted) and (self.local, self.names) == (other.local, other.names)

    def __hash__(self) -> int:
        return hash((self.local, self.names))

    def __reduce__(self) -> Any:
        return Wanted, (LOCAL if self.local else sorted(self.names),)

    def __repr__(self) -> str:
        return repr(LOCAL if self.local else sorted(self.names))

    def also(self, names: Iterable[str]) -> Wanted:
        """Add modules."""
        wanted = Wanted(LOCAL if self.local else ())
        wanted.names = self.names | frozenset(names)
        return wanted

    def named(self, name: str) -> bool:
        """Tell whether a module, or a package around it, was named."""
        name, _ = without_mark(name)
        while name:
            if name in self.names:
                return True
            name = name.rpartition(".")[0]
        return False


def _module_name(module: types.ModuleType | str) -> str:
    if isinstance(module, types.ModuleType):
        return module.__name__
    if isinstance(module, str):
        return module
    raise TypeError(
        f"by_value= takes modules and their names, not {type(module).__name__}: see canning.by_value"
    )


def without_mark(name: str) -> tuple[str, str]:
    """Split the name of a module that came with a message into its own and the mark of its version.

    >>> without_mark("shop@1f2e3d4c.people"), without_mark("shop.people")
    (('shop.people', '1f2e3d4c'), ('shop.people', ''))
    """
    top, dot, rest = name.partition(".")
    top, _, mark = top.partition("@")
    return f"{top}{dot}{rest}", mark
