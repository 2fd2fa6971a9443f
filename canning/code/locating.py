"""Where modules are, found without importing any, and which are local.

A module is *local* where neither the standard library nor an installed distribution has it. That is decided
by where its file is: what lies in ``site-packages`` is installed, and what a ``RECORD`` beside it lists, so
an editable installation is local.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

_SELF: Final = frozenset(("canning", "transport", "__main__", "__mp_main__"))
"""What a receiver has, and what travels by other means."""
Spec = importlib.machinery.ModuleSpec


def find_spec(name: str, finders: Iterable[Any] | None = None) -> Spec | None:
    """Find a module, and import nothing, not even the package that it is in."""
    module = sys.modules.get(name)
    known = getattr(module, "__spec__", None)
    if isinstance(known, Spec) and finders is None:
        return known
    parent = name.rpartition(".")[0]
    path: Any = None
    if parent:
        above = find_spec(parent, finders)
        if above is None or above.submodule_search_locations is None:
            return None
        path = above.submodule_search_locations
    for finder in list(sys.meta_path if finders is None else finders):
        find = getattr(finder, "find_spec", None)
        spec = find(name, path) if find is not None else None
        if isinstance(spec, Spec):
            return spec
    return None


@lru_cache(maxsize=1)
def _not_local() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({os.path.join(paths[name], "") for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def is_local(name: str, spec: Spec | None) -> bool:
    """Tell whether a module is neither of the standard library, nor installed, nor this package."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in _SELF or spec is None:
        return False
    if spec.origin in ("built-in", "frozen"):
        return False
    if spec.origin is None:  # a namespace package
        return any(
            not _is_installed(os.path.join(path, ""), name) for path in spec.submodule_search_locations or ()
        )
    return not _is_installed(spec.origin, name)


def _is_installed(path: str, name: str) -> bool:
    """Tell whether a module's file belongs to an installed distribution or the standard library."""
    parts = path.replace("\\", "/").split("/")
    if {"site-packages", "dist-packages"} & set(parts) or path.startswith(_not_local()):
        return True
    package = parts[-1].startswith("__init__.") or not parts[-1]
    folder = "/".join(parts[: -1 - name.count(".") - package])
    return name.partition(".")[0] in _recorded(folder)


def without_mark(name: str) -> tuple[str, str]:
    """Split the name of a module that came with a message into its own and the mark of its version.

    >>> without_mark("shop@1f2e3d4c.people"), without_mark("shop.people")
    (('shop.people', '1f2e3d4c'), ('shop.people', ''))
    """
    top, dot, rest = name.partition(".")
    top, _, mark = top.partition("@")
    return f"{top}{dot}{rest}", mark


@lru_cache(maxsize=256)
def _recorded(folder: str) -> frozenset[str]:
    """List the modules that pip has put into a folder, as with ``--target``: it says so beside them."""
    found: set[str] = set()
    for record in Path(folder or "/").glob("*.dist-info/RECORD"):
        try:
            lines = record.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        found.update(line.partition(",")[0].partition("/")[0].partition(".")[0] for line in lines)
    return frozenset(found)
