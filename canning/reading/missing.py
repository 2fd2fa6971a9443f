"""After a message could not be read, find the missing name or the wrong call, its path, and a way out.

Nothing here runs unless reading fails. The most common wrong calls are exceptions: pickle calls the class
with its `args`, which went to ``Exception.__init__`` and seldom fit the class's own ``__init__``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, Final

from ..code.classes import class_of
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
from ..pickles.nodes import Node
from ..pickles.paths import Paths
from ..types.allowed import REFUSED, SKELETONS
from ..wire.names import CALLS, SUBIMPORT

LookUp = Callable[[str, str], Any]
_OURS: Final = frozenset(("canning.reading.reader", "canning.reading.builder", "canning.calls"))
"""The modules that run the unpickler, and those that it calls."""
_MARK_IN: Final = {
    ("cloudpickle.cloudpickle", "_make_skeleton_class"): 4,
    (CALLS, "empty_class"): 5,
}
"""By the function that makes a class: the number of the argument that identifies a class sent by value."""
_FILL: Final = (CALLS, "fill")


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
            path = _path(machine, named.place or named.node)
            return missing_error(named.module, named.name, reason, path)
    if isinstance(error, ModuleNotFoundError) and error.name:
        node = _import_of(machine, error.name)
        return missing_error(error.name, None, error, _path(machine, node))
    return None


def placed_refusal(
    head: object, error: DeserializationError, most: int | None = None
) -> DeserializationError:
    """Add the path to the first name in a header that an error's text refuses, and the name of a class.

    Headers of more than `most` bytes are left as they are, since the search takes as long as reading.

    >>> import pickle
    >>> error = DeserializationError("this message needs builtins.print (a function): ...")
    >>> print(placed_refusal(pickle.dumps({"f": [print]}), error))
    obj['f'][0]: this message needs builtins.print (a function): ...
    """
    said, flat_head = str(error), flat(head)
    if not said.startswith(REFUSED) or (most is not None and len(flat_head) > most):
        return error
    machine = PickleMachine(flat_head).run()
    for named in machine.names.values():
        dotted = name_for_errors(named.module, named.name)
        if said.startswith(f"{REFUSED}{dotted} ("):
            path = _path(machine, named.place or named.node)
            cls = _class_by_value(machine, (named.module, named.name))
            if cls:
                said = said.replace(f"{dotted} (a class by value: ", f"the class {cls} by value (", 1)
            return DeserializationError(f"{path}: {said}" if path else said, path)
    return error


def _class_by_value(machine: PickleMachine, maker: tuple[str, str]) -> str:
    """Name the class that a header makes first with this function, if it makes classes."""
    for called in machine.calls if maker in SKELETONS else ():
        if called.target == maker:
            name = next((each for each in called.args[1:3] if type(each) is str), "")
            return name_for_errors("", name)[1:]
    return ""


def _path(machine: PickleMachine, node: Node | None) -> str | None:
    """Return the path to a node; for a node that a function needs, the path to the function."""
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
    return missing_code(head, error.__cause__, look_up) or unfit_call(head, error, look_up) or error


# -- calls that do not fit -------------------------------------------------------------------------------


def unfit_call(head: object, error: DeserializationError, look_up: LookUp) -> DeserializationError | None:
    """Make the error for a call with arguments that do not fit; None if reading failed for another reason."""
    cause = error.__cause__
    if type(cause) is not TypeError or _was_in_a_call(cause):
        return None
    machine = PickleMachine(flat(head)).run()
    for node in machine.calls:
        called = _called_by(node, look_up) if node.kind == "call" else None
        wanted = None if called is None else _misfit(called, len(node.args))
        if wanted is not None:
            return DeserializationError(_say(machine, node, called, wanted))
    return None


def _called_by(node: Node, look_up: LookUp) -> Any:
    """Return the target of a call: found by name, or a class sent by value; None if it is one of ours."""
    if node.target is not None:
        return None if node.target[0].partition(".")[0] == "canning" else look_up(*node.target)
    maker: Any = node.items[0] if node.items else None
    at = _MARK_IN.get(maker.target or ("", "")) if type(maker) is Node else None
    if at is None or len(maker.args) <= at:
        return None
    return class_of(maker.args[at])


def _was_in_a_call(error: BaseException) -> bool:
    """Tell whether an error was raised inside the called function, and not by the call itself."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_globals.get("__name__") not in _OURS


def _misfit(called: Any, count: int) -> str | None:
    """Name the parameters of a callable that does not accept this many arguments; None if it does."""
    try:
        signature = inspect.signature(called)
    except Exception:  # builtins may lack a signature, and others may raise anything
        return None
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return f"({', '.join(signature.parameters)})"
    return None


def _say(machine: PickleMachine, node: Node, called: Any, wanted: str) -> str:
    path, count = Paths(machine.root).of(node), len(node.args)
    what = f"{path}: " if path else ""
    what += f"{name_for_errors(called.__module__, called.__qualname__)}{wanted} cannot be called with "
    what += f"{count} argument{'' if count == 1 else 's'}, as the message asks"
    if isinstance(called, type) and issubclass(called, BaseException):
        what += ": an exception is made of its .args. Pass all that it takes on to super().__init__, or give "
        what += "the class a __reduce__"
    return what
