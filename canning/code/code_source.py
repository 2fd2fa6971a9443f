"""Code objects sent as source, which any version of Python can compile, not one minor version alone.

Only the code of a function becomes source; its globals, defaults and closure are sent as usual. The source is
cut out of the file, or the notebook's cell, of the function; put into a function whose parameters are its
free variables, and into a class if its private names need one; compiled, while the code around it never
runs; and used only if that gives exactly the same code. So an edited file, or a function made by `exec`,
can lead to an error, but never to another function.
"""

from __future__ import annotations

import ast
import copy
import inspect
import linecache
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from .. import calls
from ..errors import DeserializationError, SerializationError
from ..provided import provides

_OUTER: Final = "__canning_outer__"
_FUTURE: Final = "from __future__ import annotations\n"
_ANNOTATIONS: Final = 0x1000000  # CO_FUTURE_ANNOTATIONS
_ELSEWHERE: Final = inspect.CO_NESTED | getattr(inspect, "CO_METHOD", 0)
"""Flags of the place of code, which do not change what it does; the second since Python 3.14:
https://docs.python.org/3.14/library/inspect.html#inspect.CO_METHOD"""
_PARTS: Final = (
    *("co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount"),
    *("co_posonlyargcount", "co_kwonlyargcount", "co_exceptiontable"),
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def reduce_code(code: types.CodeType) -> tuple[Any, ...]:
    """Reduce a code object to source; raises `SerializationError` if no source fits."""
    try:
        lines, _ = inspect.findsource(code)
        tree = _parse("".join(lines))
    except (OSError, TypeError, SyntaxError, IndexError):
        tree = ast.Module([], [])
    imported = sorted(_imported(tree) & _names(code))
    for node in _candidates(tree, code):
        whole, way = _wrap(node, code, imported)
        found = compile(whole, code.co_filename, "exec", dont_inherit=True)
        text = ast.unparse(whole)
        if _same(_dig(found, way), code) and ast.dump(ast.parse(text)) == ast.dump(whole):
            return calls.source, (text, way, code.co_qualname)
    guess = _of_named_tuple(code)
    if guess and _same(_dig(compile(guess, "", "exec", dont_inherit=True), (code.co_name,)), code):
        return calls.source, (guess, (code.co_name,), code.co_qualname)
    raise SerializationError(
        f"{code.co_qualname} cannot travel as source: no source here compiles to its code. Define "
        "it in a file or a cell of a notebook that has not changed since, or let it travel with "
        'by_value_as="code"'
    )


@provides("source")
def compile_code(text: str, way: tuple[str, ...], name: str) -> types.CodeType:
    """Compile source that arrived, and return the code of its function; tracebacks show the source."""
    import hashlib  # 2 ms with OpenSSL, only for source

    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    path = f"<received source {digest}>"
    try:
        code = _dig(compile(text, path, "exec", dont_inherit=True), way)
    except (SyntaxError, ValueError, LookupError) as error:
        raise DeserializationError(
            f"the source of a function in this message does not compile here: {error}"
        ) from error
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
    return code.replace(co_qualname=name)


@lru_cache(maxsize=32)
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def _candidates(tree: ast.Module, code: types.CodeType) -> Iterator[_Function]:
    """Return the functions that start on the code's first line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            name, first = "<lambda>", node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name, first = node.name, min([node.lineno, *(each.lineno for each in node.decorator_list)])
        else:
            continue
        if (name, first) == (code.co_name, code.co_firstlineno):
            yield node


def _imported(tree: ast.Module) -> set[str]:
    """List the top-level imports of a module: calls of an imported name's attributes compile differently."""
    names: set[str] = set()
    rest: list[Any] = list(tree.body)
    while rest:
        node = rest.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            rest += ast.iter_child_nodes(node)
    return names


def _names(code: types.CodeType) -> set[str]:
    return set(code.co_names).union(
        *(_names(each) for each in code.co_consts if isinstance(each, types.CodeType))
    )


def _wrap(node: _Function, code: types.CodeType, imported: list[str]) -> tuple[ast.Module, tuple[str, ...]]:
    """Return a function with the needed context, on its own lines, and the names that lead to it.

    Line numbers are not part of what code does, but they affect how it is compiled.
    """
    bare: Any = copy.deepcopy(node)
    _strip(bare)
    around, way = "", [code.co_name]
    owner = _class_around(code.co_qualname.split("."))
    free = [name for name in code.co_freevars if name != "__class__" or owner is None]
    if free:
        around = f"def {_OUTER}({', '.join(free)}):\n"
        way.insert(0, _OUTER)
    if owner is not None:
        around += f"{' ' * len(way[1:])}class {owner}:\n"
        way.insert(-1, owner)
    before = _FUTURE if code.co_flags & _ANNOTATIONS else ""
    before += f"import {', '.join(imported)}\n" if imported else ""
    tree = ast.parse(f"{before}{around}{' ' * len(way[1:])}pass")
    inner: Any = tree
    for _ in way[1:]:
        inner = inner.body[-1]
    inner.body[-1:] = [bare if isinstance(bare, ast.stmt) else ast.Expr(bare)]
    return ast.fix_missing_locations(tree), tuple(way)


def _of_named_tuple(code: types.CodeType) -> str | None:
    """Return the source of ``__new__`` of a named tuple, which `collections` evaluated and did not keep."""
    cls, *names = code.co_varnames[: code.co_argcount] or ("",)
    if cls != "_cls" or code.co_names != ("_tuple_new",):
        return None
    return f"lambda _cls, {', '.join(names)}: _tuple_new(_cls, ({''.join(f'{name}, ' for name in names)}))"


def _class_around(parts: list[str]) -> str | None:
    """Return the class around a function, from its qualified name."""
    for at in range(len(parts) - 2, -1, -1):
        if parts[at][0] != "<" and parts[at + 1] != "<locals>":  # a comprehension is not a class
            return parts[at]
    return None


def _strip(node: _Function) -> None:
    """Remove the parts around a function that are evaluated separately, and are not part of its code."""
    arguments = node.args
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [default and ast.Constant(None) for default in arguments.kw_defaults]
    for each in ast.walk(arguments):
        if isinstance(each, ast.arg):
            each.annotation = None
    if not isinstance(node, ast.Lambda):
        node.decorator_list, node.returns = [], None
        if hasattr(node, "type_params"):
            node.type_params = []


def _dig(code: types.CodeType, way: tuple[str, ...]) -> types.CodeType:
    """Follow the names to a nested code object; raises `LookupError` if one is missing."""
    for name in way:
        within = [
            each for each in code.co_consts if isinstance(each, types.CodeType) and each.co_name == name
        ]
        if len(within) != 1:
            raise LookupError(f"{name} is not there exactly once")
        code = within[0]
    return code


def _same(one: types.CodeType, other: types.CodeType) -> bool:
    """Tell whether two code objects do the same, wherever they are."""
    if any(getattr(one, part) != getattr(other, part) for part in _PARTS):
        return False
    if (one.co_flags ^ other.co_flags) & ~_ELSEWHERE or len(one.co_consts) != len(other.co_consts):
        return False
    pairs = zip(one.co_consts, other.co_consts, strict=True)
    return all(
        _same(a, b) if isinstance(a, types.CodeType) and isinstance(b, types.CodeType) else repr(a) == repr(b)
        for a, b in pairs
    )
