"""Modules sent by value: those that an object's code needs, and their source.

Only names in a header, and imports in code by statements and by strings, are followed: nothing is imported.
"""

from __future__ import annotations

import importlib.machinery
import os
import pickle
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from ..errors import DeserializationError, SerializationError, is_of_signal
from ..pickles.headers import is_asked, modules_asked
from .imports import Import, Spec, find_spec, imports_of, is_local, names_of
from .wanted import Wanted, without_mark

_READERS: Final = frozenset(("importlib.resources", "importlib_resources", "pkgutil"))
_CODE: Final = (".py", ".pyc", ".pyo", ".pyd", ".so", ".dll", ".dylib")
_ALL: Final = r"(?m)^__all__\s*\+?=([^\])]*)"
RESOURCES: Final = 64 * 2**20
"""Bytes of data files that may be sent with the packages of one message."""
Alias = Callable[[str], str]


class Source(NamedTuple):
    """A module to be sent.

    Attributes:
        name: its dotted name.
        package: whether it is a package.
        path: its file at the sender.
        text: its source; None for a namespace package, which has none.
        resources: the package's data files, path within the package and content.
    """

    name: str
    package: bool
    path: str
    text: str | None
    resources: tuple[tuple[str, bytes], ...] = ()

    @property
    def digest(self) -> str:
        """Identifies a version of a module."""
        import hashlib  # 2 ms, only for modules that are sent

        total = hashlib.blake2b((self.text or "").encode("utf-8", "surrogatepass"), digest_size=16)
        for name, content in self.resources:
            total.update(hashlib.blake2b(content, key=name.encode()[:64]).digest())
        return total.hexdigest()


class Bundle(NamedTuple):
    """The modules of one message.

    Attributes:
        sources: those that are sent.
        absent: why others that its code imports are not sent: they are compiled.
        missing: those that its code imports and the sender does not have; `explain` shows them.
        needed: those that the receiver must have, and the sent module that imports each; an empty string
            for code in the message itself.
    """

    sources: list[Source]
    absent: dict[str, str]
    missing: dict[str, str]
    needed: dict[str, str]

    def pack(self) -> bytes:
        """Return the extension for the trailer of a message: a pickle of plain data."""
        return pickle.dumps(([tuple(source) for source in self.sources], self.absent), 5)


def unpack(said: bytes) -> Bundle:
    """Read the result of `Bundle.pack`, under ``trust="code"``."""
    try:
        sources, absent = pickle.loads(said)
        return Bundle([Source(*source) for source in sources], dict(absent), {}, {})
    except Exception as error:
        if is_of_signal(error):
            raise
        raise DeserializationError("the modules in this message cannot be read") from error


# -- modules that an object needs ------------------------------------------------------------------------


def modules_for(
    wanted: Wanted, header: bytes, codes: Iterable[tuple[types.CodeType, types.FunctionType]]
) -> Bundle:
    """Collect the modules that a header names, that code in it imports, and that these import in turn.

    Each code object comes with its function. Raises `SerializationError` for a named module without
    source.
    """
    collector = _Collector(wanted)
    for name in modules_asked(header, lambda name: bool(wanted) and _holds(wanted, name, find_spec(name))):
        collector.add(name, needed=True)
    for code, function in codes:
        collector.follow(imports_of(code), "", alias=_alias_of(function))
    collector.run()
    sources = without_marks(collector.with_resources(), header)
    return Bundle(sources, collector.absent, collector.missing, collector.needed)


def _holds(wanted: Wanted, name: str, spec: Spec | None) -> bool:
    """Tell whether a module is to be sent."""
    return (wanted.local and is_local(name, spec)) or (bool(wanted.names) and wanted.named(name))


def _alias_of(function: types.FunctionType) -> Alias:
    """Return the function that maps the names a function imports to those of modules here."""
    importer = getattr(function, "__builtins__", {}).get("__import__")
    return getattr(getattr(importer, "__self__", None), "alias", str)  # if the module was received


def without_marks(sources: list[Source], header: bytes) -> list[Source]:
    """Call received modules by their original names, unless two then had the same name."""
    marked = {without_mark(source.name)[0] for source in sources if "@" in source.name}
    sources = [each for each in sources if each.name not in marked or is_asked(each.name, header)]
    names = [without_mark(source.name)[0] for source in sources]
    if len(set(names)) < len(names):
        return sources
    return [source._replace(name=name) for source, name in zip(sources, names, strict=True)]


class _Collector:
    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.sources: dict[str, Source] = {}
        self.specs: dict[str, Spec] = {}
        self.absent: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        self.needed: dict[str, str] = {}
        self.todo: list[tuple[str, bool, str]] = []
        self.starred: set[str] = set()
        self.reads_resources = False

    def add(self, name: str, *, needed: bool, by: str = "") -> None:
        """Add a module and its packages; `by` is the module that imports it."""
        parts = name.split(".")
        self.todo += [(".".join(parts[:count]), needed, by) for count in range(1, len(parts))]
        self.todo.append((name, needed, by))

    def follow(self, imports: Iterable[Import], package: str, by: str = "", alias: Alias = str) -> None:
        """Add the imported modules, by names that `alias` maps to those here."""
        for asked in imports:
            for name, needed in names_of(asked, package):
                self.reads_resources |= name in _READERS
                if name.partition(".")[0] not in sys.stdlib_module_names:
                    self.add(alias(name), needed=needed, by=by)
                if needed and "*" in asked.names:
                    self.starred.add(alias(name))
                    self.take_all(alias(name), getattr(self.sources.get(alias(name)), "text", None))

    def take_all(self, name: str, text: str | None) -> None:
        """Add the modules in a package's ``__all__``, if a star is imported from it."""
        if text and name in self.starred:
            for each in re.findall(r"""["'](\w+)["']""", "".join(re.findall(_ALL, text))):
                self.add(f"{name}.{each}", needed=False, by=name)

    def run(self) -> None:
        seen: set[str] = set()
        while self.todo:
            name, needed, by = self.todo.pop()
            if name not in seen:
                self._take(name, needed, by)
            if needed or name in self.sources:
                seen.add(name)

    def _take(self, name: str, needed: bool, by: str) -> None:
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):  # a finder may raise these
            spec = None
        if spec is None:
            if needed and name not in sys.modules and not name.startswith("_"):
                self.missing[name] = "it is not here either"
            elif needed and self.wanted.named(name):
                raise SerializationError(f"the module {name} cannot travel by value: it has no source")
            return
        within = any(known.startswith(f"{name}.") for known in self.wanted.names)
        if not within and not _holds(self.wanted, name, spec):
            self.needed.setdefault(name, by)
            return
        text = _text_of(spec)
        if text is None and spec.origin is not None:
            self.absent[name] = "it is compiled, or has no source, and only source travels"
            if self.wanted.named(name):
                raise SerializationError(f"the module {name} cannot travel by value: {self.absent[name]}")
            return
        package = spec.submodule_search_locations is not None
        self.sources[name] = Source(name, package, spec.origin or "", text)
        self.specs[name] = spec
        if text is not None:
            alias = getattr(spec.loader, "alias", str)  # if the module was received
            self.follow(_imports_in(text, name), name if package else name.rpartition(".")[0], name, alias)
            self.take_all(name, text)

    def with_resources(self) -> list[Source]:
        """Return the sources in the order of their names, with data files if any of them reads such."""
        room = RESOURCES
        found = []
        for name, source in sorted(self.sources.items()):
            resources: list[tuple[str, bytes]] = []
            if source.package and self.reads_resources:
                for path, content in _data_files(self.specs[name]):
                    room -= len(content)
                    if room < 0:
                        raise SerializationError(
                            f"the packages that travel by value have more than {RESOURCES} bytes of data "
                            f"files: {name} is too large; install it at the receiver"
                        )
                    resources.append((path, content))
            found.append(source._replace(resources=tuple(resources)))
        return found


def _text_of(spec: Spec) -> str | None:
    """Read a module's source, once for each version of its file."""
    if spec.origin is None or isinstance(spec.loader, importlib.machinery.ExtensionFileLoader):
        return None
    try:
        status = os.stat(spec.origin)
        version = (status.st_mtime_ns, status.st_size)
    except OSError:
        version = (0, 0)
    if version == (0, 0):
        return _source(spec)
    return _source_of_file(spec.name, spec.origin, version, _Unhashed(spec))


class _Unhashed:
    """Pass a spec around a cache, without being part of its key."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)


@lru_cache(maxsize=512)
def _source_of_file(name: str, origin: str, version: tuple[int, int], carried: _Unhashed) -> str | None:
    return _source(carried.spec)


def _source(spec: Spec) -> str | None:
    get_source = getattr(spec.loader, "get_source", None)
    try:
        text = get_source(spec.name) if get_source is not None else None
    except (ImportError, OSError, SyntaxError):
        return None
    return text if isinstance(text, str) else None


@lru_cache(maxsize=512)
def _imports_in(text: str, name: str) -> tuple[Import, ...]:
    try:
        return imports_of(compile(text, name, "exec", dont_inherit=True))
    except (SyntaxError, ValueError) as error:
        raise SerializationError(f"the source of the module {name} does not compile: {error}") from error


def _data_files(spec: Spec) -> Iterator[tuple[str, bytes]]:
    """Return the files of a package that are not code, those in its subfolders too."""
    reader = getattr(spec.loader, "resources", None)
    if reader is not None:  # the module was received
        yield from reader
        return
    from pathlib import Path  # 2 ms, only for packages that are sent

    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*")):
            within = path.relative_to(folder)
            hidden = "__pycache__" in within.parts or any(part.startswith(".") for part in within.parts)
            if path.suffix not in _CODE and not hidden and path.is_file():
                yield within.as_posix(), path.read_bytes()
