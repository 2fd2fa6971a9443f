"""After a message could not be read, find the missing name, its path, and a way out.

Nothing here runs unless reading fails.
"""

from __future__ import annotations

import sys
from typing import Final

from ..code.renaming import find_moved, leads_somewhere
from ..code.versions import PROVIDERS
from ..errors import (
    DeserializationError,
    MissingClass,
    MissingCode,
    MissingModule,
    is_of_signal,
    name_for_errors,
    text_of_lookup,
)
from ..memory.buffers import flat
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Named, Node
from ..types.allowed import NAMELESS, REFUSED, SKELETONS, refuse_name, refuse_value
from ..wire.names import SUBIMPORT
from .unfit import LookUp, instance_of, is_argument, path_of, place_read, unfit


def missing_code(head: object, error: BaseException | None, look_up: LookUp) -> MissingCode | None:
    """Make the error for a name in the header that `look_up` does not find; None if it finds all.

    `error` is the error that reading the header raised.
    """
    machine = PickleMachine(flat(head)).run()
    for named in machine.names.values():
        try:
            look_up(named.module, named.name)
        except Exception as reason:  # a module may raise anything on import
            if is_of_signal(reason):
                raise
            path = path_of(machine, named.place or named.node)
            return missing_error(named.module, named.name, reason, path)
    if isinstance(error, ModuleNotFoundError) and error.name:
        node = _import_of(machine, error.name)
        return missing_error(error.name, None, error, path_of(machine, node))
    return None


def placed_refusal(
    head: object, error: DeserializationError, most: int | None = None
) -> DeserializationError:
    """Add the path to what a header's reader refused, and the name of a class or function.

    Headers of more than `most` bytes are left as they are, since the search takes as long as reading.

    >>> import pickle
    >>> error = DeserializationError("this message needs builtins.print (a function): ...")
    >>> print(placed_refusal(pickle.dumps({"f": [print]}), error))
    obj['f'][0]: this message needs builtins.print (a function): ...
    """
    said, flat_head = str(error), flat(head)
    if error.path is not None or (most is not None and len(flat_head) > most):
        return error
    if not said.startswith(REFUSED):
        path = place_read(flat_head, error.read_to)[0]
        return DeserializationError(f"{path}: {said}", path) if path else error
    machine = PickleMachine(flat_head).run()
    for named in machine.names.values():
        dotted = name_for_errors(named.module, named.name)
        if said.startswith(f"{REFUSED}{dotted} ("):
            path = path_of(machine, named.place or named.node)
            said = _refusal(machine, named, said)
            return DeserializationError(f"{path}: {said}" if path else said, path)
    path, key = place_read(flat_head, error.read_to)
    if key and said.startswith(NAMELESS):
        said = str(refuse_value(*key))
    return DeserializationError(f"{path}: {said}", path) if path else error


def _refusal(machine: PickleMachine, named: Named, said: str) -> str:
    """Say what a refused name is for: the name alone does not always tell."""
    key = named.module, named.name
    made = instance_of(named.place) if named.place else None
    if made:
        return str(refuse_name(*made))
    if not named.calls and not is_argument(machine, named.node) and said == str(refuse_name(*key)):
        return str(refuse_value(*key))
    cls = _class_by_value(machine, key)
    dotted = name_for_errors(*key)
    return said.replace(f"{dotted} (a class by value: ", f"the class {cls} by value (", 1) if cls else said


def _class_by_value(machine: PickleMachine, maker: tuple[str, str]) -> str:
    """Name the class that a header makes first with this function, if it makes classes."""
    for called in machine.calls if maker in SKELETONS else ():
        if called.target == maker:
            name = next((each for each in called.args[1:3] if type(each) is str), "")
            return name_for_errors("", name)[1:]
    return ""


def _import_of(machine: PickleMachine, module: str) -> Node | None:
    """Find the call that imports a module for a function sent by value."""
    for called in machine.calls:
        if called.target == SUBIMPORT and called.args:
            asked = called.args[0]
            if type(asked) is str and f"{asked}.".startswith(f"{module}."):
                return called
    return None


def missing_error(
    module: str, name: str | None, reason: BaseException, path: str | None = None
) -> MissingCode:
    """Make the error for a module, or a name in it, that cannot be had for a `reason`."""
    where = f"{path}: " if path else ""
    if isinstance(reason, ImportError):
        return _missing_module(module, name, reason, path, where)
    dotted = name_for_errors(module, name)
    if module not in sys.modules:
        text = f"{where}this message needs {dotted}, and the import of its module fails here: "
        return MissingModule(
            f"{text}{text_of_lookup(reason)}; {_STUB}", module, name, path, distribution_of(module)
        )
    text = f"{where}this message needs {dotted}, and the module {name_for_errors('', module)[1:]} "
    if module in ("__main__", "__mp_main__"):
        text += (
            "is another script here: define it here, or say where it is now by "
            f"renames={{{dotted!r}: 'its.module.{name_for_errors('', name)[1:]}'}}; canning.dump sends "
            "the classes and functions of a script along, and pickle does not"
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
        text = f"{where}this message needs the module {shown}{asked}, whose import fails here: "
        return MissingModule(text + text_of_lookup(reason), module, name, path, distribution_of(module))
    if not f"{module}.".startswith(f"{gone}."):
        asked = f", which {shown} imports"
        module, shown = gone, gone
    installed, provider = _installed(module), distribution_of(module)
    ways = [f"pip install {provider}"] if provider and not installed else []
    if provider is None:
        ways.append(f'if it is your own, canning.by_value({shown!r}) or by_value="local" at the sender')
    ways.append(f"if it has moved, renames={{{shown!r}: ...}} here")
    text = f"{where}this message needs the module {shown}{asked}, which is not here{installed}: "
    return MissingModule(text + f"{'; '.join(ways)}; {_STUB}", module, name, path, provider)


def _installed(module: str) -> str:
    """Return the installed version of the distribution that has the package of a module."""
    from importlib import metadata  # its import takes as long as a third of this package's

    found = _providers(module.partition(".")[0])
    return f" ({found[0]} {metadata.version(found[0])} is installed)" if found else ""


def _providers(top: str) -> list[str]:
    """List the installed distributions that have a top-level module; the search is slow."""
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
    """Tell whether a header names something that is missing here and is known to have moved."""
    for named in PickleMachine(flat(head)).run().names.values():
        new = find_moved(named.module, named.name)
        if new and not leads_somewhere(named.module, named.name) and leads_somewhere(*new):
            return True
    return False


def explain_reading(head: object, error: DeserializationError, look_up: LookUp) -> DeserializationError:
    """Return the error that names the missing object or the wrong call; `error` itself if none is."""
    return missing_code(head, error.__cause__, look_up) or unfit(head, error, look_up) or error
