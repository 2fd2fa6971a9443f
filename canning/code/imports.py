"""Which modules code asks for: read from code objects, as `import` statements at any depth leave them."""

from __future__ import annotations

import dis
import re
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

_CONSTANTS: Final = frozenset(("LOAD_CONST", "LOAD_SMALL_INT"))
_BY_STRING: Final = frozenset(
    (
        *("import_module", "__import__", "find_spec", "files", "get_data", "contents", "is_resource", "path"),
        *("read_text", "read_binary", "open_text", "open_binary"),
    )
)
"""Functions of importlib, importlib.resources and pkgutil that take the name of a module as a string."""
_NAME: Final = re.compile(r"(\.*)([^\W\d]\w*(?:\.[^\W\d]\w*)*)")


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
    """Give what code may import by a string that stands in it."""
    for constant in code.co_consts:
        found = _NAME.fullmatch(constant) if isinstance(constant, str) else None
        if found is not None:
            yield Import(len(found[1]), found[2], (), sure=False)


def names_of(asked: Import, package: str) -> Iterator[tuple[str, bool]]:
    """Give the absolute names that an import may mean, and whether it needs them to be modules.

    `package` is that of the code which imports.

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
