"""After a message could not be read, find the call or the state that failed, and the path to it.

Nothing here runs unless reading fails. The most common wrong calls are exceptions: pickle calls the class
with its `args`, which went to ``Exception.__init__`` and seldom fit the class's own ``__init__``. Next are
classes that have changed since the message was written.
"""

from __future__ import annotations

import enum
import inspect
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..code.classes import class_of
from ..errors import DeserializationError, name_for_errors, text_of_lookup
from ..memory.buffers import flat
from ..pickles.machine import PickleMachine
from ..pickles.nodes import Blob, Node
from ..pickles.paths import Paths, parts_of
from ..types.allowed import kind_of, no_member
from ..types.fields import other_count, other_fields
from ..types.registry import dotted_name
from ..wire.names import CALLS

LookUp = Callable[[str, str], Any]
_MARK_IN: Final = {
    ("cloudpickle.cloudpickle", "_make_skeleton_class"): 4,
    (CALLS, "empty_class"): 5,
}
"""By the function that makes a class: the number of the argument that identifies a class sent by value."""
_FILL: Final = (CALLS, "fill")
_NEW: Final = (("copyreg", "_reconstructor"), ("copyreg", "__newobj__"))
"""Functions that make an instance of their first argument."""
_HELD: Final = ("list", "tuple", "dict", "set", "frozenset")
_OWN_STATE: Final = "__setstate__"


def path_of(machine: PickleMachine, node: Node | None) -> str | None:
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


def instance_of(node: Node) -> tuple[str, str] | None:
    """Return module and name of the class whose instance a function of copyreg's makes."""
    found = node.args[0] if node.target in _NEW and node.args else None
    return (found.value.module, found.value.name) if type(found) is Node and found.kind == "name" else None


def is_argument(machine: PickleMachine, node: Node | None) -> bool:
    """Tell whether a call has this node among its arguments."""
    shared = {id(each.items[1]): each.args for each in machine.calls}
    return any(arg is node for args in shared.values() for arg in args)


# -- where the reader of plain data was ------------------------------------------------------------------


def place_read(head: memoryview, read_to: int | None) -> tuple[str | None, tuple[str, str] | None]:
    """Return the path to what a header makes at an offset, and the first name that it holds as an object."""
    if read_to is None:
        return None, None
    made: list[Any] = []

    def see(machine: PickleMachine, at: int, code: int, argument: object) -> None:
        if not made and machine.behind >= read_to:
            made.append(machine.stack[-1] if machine.stack else machine.root)

    machine = PickleMachine(head, trace=see)
    machine.integer_bytes = len(head)
    machine.run()
    if not made or type(machine.root) is not Node:
        return None, None
    value = made[0]
    named = next(_names_in(value), None)
    if named is not None:
        return path_of(machine, named), (named.value.module, named.value.name)
    if type(value) is Node:
        return path_of(machine, value), None
    return _path_of_scalar(machine, value) if type(value) in (int, Blob) else None, None


def _nodes(root: object, kinds: tuple[str, ...] = ()) -> Iterator[Node]:
    """Return a node and all that it holds; with `kinds`, those within nodes of these kinds alone."""
    rest, seen = [root], {id(root)}
    for node in rest:
        if type(node) is not Node:
            continue
        yield node
        if not kinds or node.kind in kinds:
            for part in (*(node.items or ()), *(node.more or ()), *(node.states or ())):
                if type(part) is Node and id(part) not in seen:
                    seen.add(id(part))
                    rest.append(part)


def _names_in(value: object) -> Iterator[Node]:
    return (node for node in _nodes(value, _HELD) if node.kind == "name")


def _path_of_scalar(machine: PickleMachine, value: object) -> str | None:
    for node in _nodes(machine.root):
        for part in (*(node.items or ()), *(node.more or ()), *(node.states or ())):
            if part is value:
                path = path_of(machine, node)
                step = next((step for step, each in parts_of(node) if each is value), "")
                return None if path is None else path + step
    return None


# -- calls and states that fail --------------------------------------------------------------------------


def unfit(head: object, error: DeserializationError, look_up: LookUp) -> DeserializationError | None:
    """Make the error for the call or state that failed; None if reading failed for another reason."""
    cause = error.__cause__
    if cause is None:
        return None
    machine = PickleMachine(flat(head)).run()
    within = _first_code_of_others(cause)
    if within is None and type(cause) is TypeError:
        return _unfit_call(machine, look_up)
    if within is None:
        return _unfit_state(machine, look_up) if type(cause) is AttributeError else None
    return _no_member(machine, cause, look_up) or _raised(machine, cause, within, look_up)


def _first_code_of_others(error: BaseException) -> types.CodeType | None:
    """Return the code that the unpickler called, if an error was raised there."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] != "canning":
            return frame.f_code
    return None


def _called_by(node: Node, look_up: LookUp) -> Any:
    """Return the target of a call: found by name, or a class sent by value; None if it is one of ours."""
    if node.target is not None:
        return None if node.target[0].partition(".")[0] == "canning" else look_up(*node.target)
    maker: Any = node.items[0] if node.items else None
    return _class_by_value(maker) if type(maker) is Node else None


def _class_by_value(maker: Node) -> Any:
    at = _MARK_IN.get(maker.target or ("", ""))
    return None if at is None or len(maker.args) <= at else class_of(maker.args[at])


def _class_of(node: Node, look_up: LookUp) -> type | None:
    """Return the class whose instance a call makes."""
    named, found = instance_of(node), node.args[0] if node.target in _NEW and node.args else None
    if named is not None:
        cls = look_up(*named)
    else:
        cls = _class_by_value(found) if type(found) is Node else _called_by(node, look_up)
    return cls if isinstance(cls, type) else None


def _placed(machine: PickleMachine, nodes: list[Node], said: str) -> DeserializationError:
    """Make an error with the path to the node it is about; with several, the text names the first."""
    path = path_of(machine, nodes[0])
    if path is None:
        return DeserializationError(said)
    if len(nodes) > 1:
        return DeserializationError(f"{said} (one of {len(nodes)} in this message, the first is {path})")
    return DeserializationError(f"{path}: {said}", path)


def _unfit_call(machine: PickleMachine, look_up: LookUp) -> DeserializationError | None:
    for node in machine.calls:
        called, count = _called_by(node, look_up), len(node.args)
        if called is None:
            continue
        if node.kind == "new":
            wanted = _misfit(getattr(called, "__new__", None), count + 1)
        else:
            wanted = _misfit(called, count)
        if wanted is None:
            continue
        if isinstance(called, type) and kind_of(called) == "namedtuple":
            return _placed(machine, [node], str(other_count(called, count, called._fields)))  # type: ignore[attr-defined]
        return _placed(machine, [node], _misfit_of(called, wanted[node.kind == "new" :], count))
    return None


def _misfit(called: Any, count: int) -> list[str] | None:
    """Name the parameters of a callable that does not accept this many arguments; None if it does."""
    try:
        signature = inspect.signature(called)
    except Exception:  # builtins may lack a signature, and others may raise anything
        return None
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return list(signature.parameters)
    return None


def _misfit_of(called: Any, wanted: list[str], count: int) -> str:
    what = f"{name_for_errors(called.__module__, called.__qualname__)}({', '.join(wanted)}) cannot be called "
    what += f"with {count} argument{'' if count == 1 else 's'}, as the message asks"
    if isinstance(called, type) and issubclass(called, BaseException):
        what += ": an exception is made of its .args. Pass all that it takes on to super().__init__, or give "
        what += "the class a __reduce__"
    return what


def _no_member(machine: PickleMachine, cause: BaseException, look_up: LookUp) -> DeserializationError | None:
    """Find the call for a member that an enum does not have; values that are objects count last."""
    found: list[tuple[bool, Node, type[enum.Enum]]] = []
    for node in machine.calls if type(cause) is ValueError else ():
        cls = _called_by(node, look_up) if len(node.args) == 1 else None
        if isinstance(cls, type) and issubclass(cls, enum.Enum):
            value = node.args[0]
            is_object = type(value) in (Node, Blob)
            if is_object or all(member._value_ != value for member in cls.__members__.values()):
                found.append((is_object, node, cls))
    found.sort(key=lambda each: each[0])
    return _placed(machine, [found[0][1]], str(no_member(found[0][2]))) if found else None


def _unfit_state(machine: PickleMachine, look_up: LookUp) -> DeserializationError | None:
    """Find a state with attributes that the class has no room for."""
    for node in machine.calls:
        cls = _class_of(node, look_up) if node.states else None
        if cls is None or hasattr(cls, _OWN_STATE) or cls.__dictoffset__:
            continue
        known = {name: each for base in cls.__mro__ for name, each in vars(base).items()}
        slots = [name for name, each in known.items() if inspect.ismemberdescriptor(each)]
        names = [name for state in node.states or () for name in _attributes(state)]
        if any(name not in known for name in names):
            return _placed(machine, [node], str(other_fields(cls, names, slots)))
    return None


def _attributes(state: Any) -> Iterator[Any]:
    """Return the names of the attributes in a state: a dict, or a pair of them, the second for slots."""
    pair = type(state) is Node and state.kind == "tuple" and len(state.items or ()) == 2
    for part in state.items if pair else [state]:
        if type(part) is Node and part.kind == "dict":
            yield from (part.items or ())[::2]


def _raised(
    machine: PickleMachine, cause: BaseException, within: types.CodeType, look_up: LookUp
) -> DeserializationError | None:
    """Find the calls, or states, that run this code, in which an error was raised."""
    for method in ("", "__init__", "__new__", _OWN_STATE):
        found: list[Node] = []
        what: Any = None
        for node in machine.calls:
            if method == _OWN_STATE:
                called: Any = _class_of(node, look_up) if node.states else None
            else:
                called = _called_by(node, look_up)
            function = getattr(called, method, None) if method else called
            if getattr(function, "__code__", None) is within:
                found.append(node)
                what = called
        if found:
            dotted = (
                dotted_name(what)
                if isinstance(what, type)
                else name_for_errors(what.__module__, what.__qualname__)
            )
            name = f"{dotted}.{method}" if method else dotted
            return _placed(machine, found, f"{name} cannot read this message: {text_of_lookup(cause)}")
    return None
