"""Find out, after a message could not be read, which code it misses, where in the object, and the way out.

Nothing here runs while all goes well.
"""

from __future__ import annotations

import sys
from typing import Final

from ..code.providers import PROVIDERS
from ..code.renaming import find_moved, leads_somewhere
from ..errors import DeserializationError, MissingClass, MissingCode, MissingModule, name_for_errors
from ..memory.buffers import flat
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Node
from ..pickles.outline import Paths
from ..wire.names import CALLS, SUBIMPORT
from .unfit_calls import LookUp, unfit_call

_FILL: Final = (CALLS, "fill")


def missing_code(head: object, error: BaseException | None, look_up: LookUp) -> MissingCode | None:
    """Make the error for what a header names and `look_up` does not find; None where it finds all.

    `error` is what reading the header has raised.
    """
    machine = PickleMachine(flat(head)).run()
    for named in machine.names.values():
        try:
            look_up(named.module, named.name)
        except Exception as reason:  # a module may raise anything when it is imported
            return describe(named.module, named.name, reason, _path(machine, named.place or named.node))
    if isinstance(error, ModuleNotFoundError) and error.name:
        node = _import_of(machine, error.name)
        return describe(error.name, None, error, _path(machine, node))
    return None


def _path(machine: PickleMachine, node: Node | None) -> str | None:
    """Give the way to a node; of what a function needs, the way to the function."""
    if node is None:
        return None
    paths = Paths(machine.root)
    path = paths.of(node)
    for called in machine.calls if path is None else ():
        if called.target == _FILL and called.args and Paths(called).of(node):
            function = called.args[0]
            path = paths.of(function) if type(function) is Node else None
    return path


def _import_of(machine: PickleMachine, module: str) -> Node | None:
    """Find the call by which a function that travels by value asks for a module."""
    for called in machine.calls:
        if called.target == SUBIMPORT and called.args:
            asked = called.args[0]
            if type(asked) is str and f"{asked}.".startswith(f"{module}."):
                return called
    return None


def describe(module: str, name: str | None, reason: BaseException, path: str | None = None) -> MissingCode:
    """Make the error for a module, or what is asked of it, that cannot be had for a `reason`."""
    where = f"{path}: " if path else ""
    if isinstance(reason, ImportError):
        return _missing_module(module, name, reason, path, where)
    dotted = name_for_errors(module, name)
    if module not in sys.modules:
        text = f"{where}this message needs {dotted}, and the import of its module fails here: "
        known = isinstance(reason, AttributeError)  # says what is missing, and no data
        text += f"{type(reason).__name__}{f': {reason}' if known else ''}"
        return MissingModule(f"{text}; {_STUB}", module, name, path, distribution_of(module))
    text = f"{where}this message needs {dotted}, and the module {name_for_errors('', module)[1:]} "
    if module in ("__main__", "__mp_main__"):
        text += (
            "is another script here: define it here, or say where it is now by "
            f"renames={{{dotted!r}: 'its.module.{name_for_errors('', name)[1:]}'}}; canning.dump sends "
            "along what a script defines, though no object that is pickled by its name"
        )
    else:
        text += f"has none of that name here{_installed(module)}: say where it is now by "
        text += f"renames={{{dotted!r}: ...}}"
    return MissingClass(f"{text}; {_STUB}", module, name, path, distribution_of(module))


_STUB: Final = 'or look at the rest of the object with missing="stub"'


def _missing_module(
    module: str, name: str | None, reason: ImportError, path: str | None, where: str
) -> MissingCode:
    shown = name_for_errors("", module)[1:]
    gone = reason.name if isinstance(reason, ModuleNotFoundError) and reason.name else None
    asked = f" (for {name_for_errors(module, name)})" if name else ""
    if gone is None:
        text = f"{where}this message needs the module {shown}{asked}, whose import fails here: {reason}"
        return MissingModule(text, module, name, path, distribution_of(module))
    if not f"{module}.".startswith(f"{gone}."):
        asked = f", which {shown} imports"
        module, shown = gone, gone
    installed, provider = _installed(module), distribution_of(module)
    ways = [f"pip install {provider}"] if provider and not installed else []
    ways.append(f"renames={{{shown!r}: ...}} where it has moved")
    if provider is None:
        ways.append('by_value="local" at the sender, where it is a module of its own')
    text = f"{where}this message needs the module {shown}{asked}, which is not here{installed}: "
    return MissingModule(text + f"{'; '.join(ways)}; {_STUB}", module, name, path, provider)


def _installed(module: str) -> str:
    """Say which version of a distribution is here that has the package of a module."""
    from importlib import metadata  # takes as long to import as a third of this package

    found = _providers(module.partition(".")[0])
    return f" ({found[0]} {metadata.version(found[0])} is installed)" if found else ""


def _providers(top: str) -> list[str]:
    """List the distributions here that have a top-level module; looking through them takes a while."""
    if top not in sys.modules and not leads_somewhere(top, "__name__"):
        return []
    from importlib import metadata

    return list(metadata.packages_distributions().get(top, ()))


def distribution_of(module: str) -> str | None:
    """Name the distribution that provides a module, as far as that is known without a network.

    >>> distribution_of("cv2"), distribution_of("numpy.linalg"), distribution_of("nobody.knows")
    ('opencv-python', 'numpy', None)
    """
    name = module
    while name:
        if name in PROVIDERS:
            return PROVIDERS[name]
        name = name.rpartition(".")[0]
    return next(iter(_providers(module.partition(".")[0])), None)


def moved(head: object) -> bool:
    """Tell whether a header names something that is not here, and has moved to where it is."""
    for named in PickleMachine(flat(head)).run().names.values():
        new = find_moved(named.module, named.name)
        if new and not leads_somewhere(named.module, named.name) and leads_somewhere(*new):
            return True
    return False


def explain_reading(head: object, error: DeserializationError, look_up: LookUp) -> DeserializationError:
    """Give the error that names what is missing, or called wrongly; the one that there was for all else."""
    return missing_code(head, error.__cause__, look_up) or unfit_call(head, error, look_up) or error
