"""Find the modules that code imports, and their places, without importing anything.

The names come from code objects, as `import` statements at any depth leave them. A module is *local* if
neither the standard library nor an installed distribution has it. Its file decides that: files in
``site-packages``, and files listed in a ``RECORD`` beside the module, are installed, so an editable
installation is local.
"""

from __future__ import annotations

import dis
import importlib.machinery
import os
import re
import sys
import sysconfig
import types
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

_CONSTANTS: Final = frozenset(("LOAD_CONST", "LOAD_SMALL_INT", "LOAD_COMMON_CONSTANT"))
"""The second is there since Python 3.14, and the third loads None since 3.15: https://docs.python.org/3.15/library/dis.html."""
_BY_STRING: Final = frozenset(
    (
        *("import_module", "__import__", "find_spec", "files", "get_data", "contents", "is_resource", "path"),
        *("read_text", "read_binary", "open_text", "open_binary"),
    )
)
"""Functions of importlib, importlib.resources and pkgutil that take the name of a module as a string."""
_NAME: Final = r"(\.*)([^\W\d]\w*(?:\.[^\W\d]\w*)*)"


class Import(NamedTuple):
    """One ``import`` statement: the dots in front, the module, the names taken from it.

    Or a string that may be the name of a module, and then it is not `sure`.
    """

    level: int
    module: str
    names: tuple[str, ...]
    sure: bool = True


@lru_cache(maxsize=2048)
def imports_of(code: types.CodeType) -> tuple[Import, ...]:
    r"""List the imports of a code object and of all that are defined in it.

    >>> imports_of(compile("def f():\n  from . import b\n  import a.c", "", "exec"))
    (Import(level=1, module='', names=('b',), sure=True), Import(level=0, module='a.c', names=(), sure=True))
    """
    return tuple(dict.fromkeys(_walk(code)))


def _walk(code: types.CodeType) -> Iterator[Import]:
    rest = [code]
    while rest:
        each = rest.pop()
        rest += [constant for constant in each.co_consts if isinstance(constant, types.CodeType)]
        if each.co_names:
            yield from _within(each)
            if not _BY_STRING.isdisjoint(each.co_names):
                yield from _strings(each)


def _within(code: types.CodeType) -> Iterator[Import]:
    constants: list[object] = []
    for step in dis.get_instructions(code):
        if step.opname in _CONSTANTS:
            constants = [*constants[-1:], step.argval]
        elif step.opname == "IMPORT_NAME" and len(constants) == 2:
            level, names = constants
            yield Import(
                level if isinstance(level, int) else 0,
                step.argval,
                names if isinstance(names, tuple) else (),
            )


def _strings(code: types.CodeType) -> Iterator[Import]:
    """Return the possible imports by strings in the code."""
    for constant in code.co_consts:
        found = re.fullmatch(_NAME, constant) if isinstance(constant, str) else None
        if found is not None:
            yield Import(len(found[1]), found[2], (), sure=False)


def names_of(asked: Import, package: str) -> Iterator[tuple[str, bool]]:
    """Return the absolute names that an import may mean, and whether they must be modules.

    `package` is that of the importing code.

    >>> list(names_of(Import(1, "b", ("c",)), "a"))
    [('a.b', True), ('a.b.c', False)]
    """
    base = asked.module
    if asked.level:
        parts = package.split(".") if package else []
        parts = parts[: len(parts) - asked.level + 1] if asked.level <= len(parts) else []
        if not parts:
            return
        base = ".".join([*parts, base] if base else parts)
    yield base, asked.sure
    for name in asked.names:
        if name != "*":
            yield f"{base}.{name}", False


# -- places of modules -----------------------------------------------------------------------------------

_SELF: Final = frozenset(("canning", "transport", "__main__", "__mp_main__"))
"""Modules that the receiver has, or that are sent in another way."""
Spec = importlib.machinery.ModuleSpec


def find_spec(name: str, finders: Iterable[Any] | None = None) -> Spec | None:
    """Find a module without importing anything, not even its package."""
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
    """Tell whether a module is neither of the standard library, nor installed, nor of this package."""
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


@lru_cache(maxsize=256)
def _recorded(folder: str) -> frozenset[str]:
    """List the modules that pip installed into a folder, as with ``--target``, from their metadata there."""
    from pathlib import Path  # 2 ms, only for modules that are not installed

    found: set[str] = set()
    for record in Path(folder or "/").glob("*.dist-info/RECORD"):
        try:
            lines = record.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        found.update(line.partition(",")[0].partition("/")[0].partition(".")[0] for line in lines)
    return frozenset(found)
