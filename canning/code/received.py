"""Modules that arrived with messages: imported from their source, under their own names if these are free.

Received modules form *worlds*: sets of modules of which no two have the same name. A message joins the first
world whose modules equal its own, for all names in common; so a class that is sent twice is one class, and
two versions of a module do not mix. In the first world modules have their own names. In any other world
``shop.people`` is called ``shop@1f2e3d4c.people``, and its imports, through an ``__import__`` of its own,
stay within its world.
"""

from __future__ import annotations

import builtins
import io
import posixpath
import sys
import types
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from ..errors import shortened
from ..forking import Lock, guarded
from .imports import Spec, find_spec
from .modules import Bundle, Source
from .wanted import without_mark


@dataclass(frozen=True, slots=True)
class ReceivedModule:
    """A module that came with a message.

    Attributes:
        name: its name at the sender.
        imported_as: the name that it has here.
        path: its file at the sender.
        digest: identifies its version.
        loaded: whether it has been imported.
        hides: whether it hides an installed module of the same name.
    """

    name: str
    imported_as: str
    path: str
    digest: str
    loaded: bool
    hides: bool


class World:
    """A set of received modules that belong together.

    Attributes:
        mark: the text after ``@`` in their names; empty if they have their own names.
        sources: the modules by their names.
        builtins: the ``__builtins__`` of their code; None for the usual ones.
    """

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.sources: dict[str, Source] = {}
        self.digests: dict[str, str] = {}
        self.builtins: dict[str, Any] | None = None
        if mark:
            self.builtins = {**vars(builtins), "__import__": self._import}

    def takes(self, digests: Mapping[str, str]) -> bool:
        """Tell whether modules fit those of this world."""
        return all(self.digests.get(name, digest) == digest for name, digest in digests.items())

    def alias(self, name: str) -> str:
        """Return the name under which a module is imported here."""
        top, dot, rest = name.partition(".")
        known = name in self.sources or (top in self.sources and self.sources[top].text is not None)
        return f"{top}@{self.mark}{dot}{rest}" if self.mark and known else name

    def _import(self, name: str, *args: Any, **keywords: Any) -> Any:
        level = args[3] if len(args) > 3 else keywords.get("level", 0)
        return builtins.__import__(self.alias(name) if level == 0 else name, *args, **keywords)


class Loader:
    """Import one module from its received source."""

    def __init__(self, source: Source, world: World) -> None:
        self.source = source
        self.world = world
        self.path = _path_of(source, world)
        self.resources = source.resources
        self.alias = world.alias

    def create_module(self, spec: Spec) -> None:
        """Let the import system make the module."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the source."""
        if self.world.builtins is not None:
            module.__dict__["__builtins__"] = self.world.builtins
        exec(self.get_code(), module.__dict__)

    def get_code(self, fullname: str | None = None) -> types.CodeType:
        """Compile the source."""
        return compile(self.source.text or "", self.path, "exec", dont_inherit=True)

    def get_source(self, fullname: str | None = None) -> str:
        """Return the source: tracebacks and `inspect.getsource` ask for it."""
        return self.source.text or ""

    def is_package(self, fullname: str | None = None) -> bool:
        """Tell whether the module is a package."""
        return self.source.package

    def get_filename(self, fullname: str | None = None) -> str:
        """Return the module's file name."""
        return self.path

    def get_data(self, path: str) -> bytes:
        """Return a data file of the package, by its path below the package's; `pkgutil` asks for it."""
        within = posixpath.relpath(path.replace("\\", "/"), posixpath.dirname(self.path))
        for name, content in self.resources:
            if name == within:
                return content
        raise FileNotFoundError(path)

    def get_resource_reader(self, fullname: str) -> Resources | None:
        """Return the reader of the package's data files for `importlib.resources`."""
        return Resources(self.resources) if self.source.package else None


class Resources:
    """Offer data files to `importlib.resources`."""

    def __init__(self, resources: Iterable[tuple[str, bytes]]) -> None:
        self._file = io.BytesIO()
        with zipfile.ZipFile(self._file, "w") as archive:
            for name, content in resources:
                archive.writestr(name, content)

    def files(self) -> Any:
        """Return the folder with the files."""
        return zipfile.Path(zipfile.ZipFile(self._file))


def _path_of(source: Source, world: World) -> str:
    end = "/__init__.py" if source.package else ".py"
    mark = f" {world.mark}" if world.mark else ""
    return f"<received{mark}>/{source.name.replace('.', '/')}{end}"


class ReceivedModules:
    """Keep received modules, and supply them to the import system if no other finder has the name."""

    def __init__(self) -> None:
        self._lock: Final = Lock()
        self._worlds = [World("")]
        self._absent: dict[str, str] = {}

    @guarded
    def receive(self, bundle: Bundle, prefer: str) -> dict[str, World]:
        """Add the modules of a message; return the worlds that they join, by the marks of their names.

        Names have marks if a message brings several versions of a module. With ``prefer="own"``, modules that
        this process has under the same name are left out.
        """
        groups: dict[str, dict[str, Source]] = {}
        for source in bundle.sources:
            name, mark = without_mark(source.name)
            groups.setdefault(mark, {})[name] = source._replace(name=name)
        if self not in sys.meta_path:
            sys.meta_path.append(self)
        self._absent.update(bundle.absent)
        return {mark: self._take(sources, prefer) for mark, sources in sorted(groups.items())}

    def _take(self, sources: dict[str, Source], prefer: str) -> World:
        digests = {name: source.digest for name, source in sources.items()}
        first = self._worlds[0]
        own = {name for name in sources if first.digests.get(name) != digests[name] and self._has(name)}
        if prefer == "own":
            digests = {name: digest for name, digest in digests.items() if name not in own}
            own = set()
        world = self._world_for(digests, own)
        for name, digest in digests.items():
            world.digests.setdefault(name, digest)  # first: a source that is found needs it
            world.sources.setdefault(name, sources[name])
        return world

    def _world_for(self, digests: Mapping[str, str], own: set[str]) -> World:
        for world in self._worlds[1 if own else 0 :]:
            if world.takes(digests):
                return world
        mark = blake2b(repr(sorted(digests.items())).encode(), digest_size=4).hexdigest()
        world = World(mark)
        self._worlds.append(world)
        return world

    def _has(self, name: str) -> bool:
        """Tell whether this process has a module of a name that was not received."""
        module = sys.modules.get(name)
        if module is not None:
            return not isinstance(getattr(getattr(module, "__spec__", None), "loader", None), Loader)
        return self._elsewhere(name)

    def _elsewhere(self, name: str) -> bool:
        try:
            return find_spec(name, [finder for finder in sys.meta_path if finder is not self]) is not None
        except (ImportError, ValueError, AttributeError):
            return False

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Spec | None:
        """Find a received module; the import system asks for it last."""
        name, mark = without_mark(fullname)
        world = next((world for world in self._worlds if world.mark == mark), None)
        source = None if world is None else world.sources.get(name)
        if world is None or source is None:
            if name in self._absent:
                why = f"code that a message brought needs it, and {self._absent[name]}"
                raise ModuleNotFoundError(f"No module named {name!r}: {why}", name=name)
            return None
        loader = Loader(source, world)
        spec = Spec(fullname, loader, origin=loader.path, is_package=source.package)  # type: ignore[arg-type]
        spec.has_location = True
        if source.package:
            spec.submodule_search_locations = [posixpath.dirname(loader.path)]
        return spec

    @guarded
    def listed(self) -> list[ReceivedModule]:
        """List the received modules that were not forgotten."""
        return [
            ReceivedModule(
                name,
                world.alias(name),
                source.path,
                world.digests[name],
                world.alias(name) in sys.modules,
                not world.mark and self._elsewhere(name),
            )
            for world in self._worlds
            for name, source in sorted(world.sources.items())
        ]

    @shortened
    @guarded
    def forget(self, name: str | None = None) -> None:
        """Forget a module and its submodules, in all versions; without a name, forget all.

        Functions and classes in use stay unchanged; the next import does not find them. Raises `KeyError` if
        no such module has arrived.
        """
        gone = 0
        for world in self._worlds:
            for known in list(world.sources):
                if name is None or f"{known}.".startswith(f"{name}."):
                    self._drop(world, known)
                    gone += 1
        if name is not None and not gone:
            raise KeyError(name)
        self._worlds[1:] = [world for world in self._worlds[1:] if world.sources]

    def _drop(self, world: World, name: str) -> None:
        alias = world.alias(name)
        module = sys.modules.get(alias)
        if isinstance(getattr(getattr(module, "__spec__", None), "loader", None), Loader):
            del sys.modules[alias]
            parent, _, last = alias.rpartition(".")
            vars(sys.modules.get(parent, types.ModuleType("none"))).pop(last, None)
        del world.sources[name], world.digests[name]


RECEIVED: Final = ReceivedModules()
"""The modules that this process has received; like `sys.modules`, there is only one."""
received_modules: Callable[[], list[ReceivedModule]] = RECEIVED.listed
forget: Callable[..., None] = RECEIVED.forget
