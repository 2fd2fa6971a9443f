"""Uses of functions on the list of dangerous ones that do no more than any other name does.

Classes and functions that are sent by value need some of them: cloudpickle imports modules by a function, and
gets ``__new__`` of an enum by `getattr`. A pickle that calls these freely can reach anything, so a use is
ordinary only in the form in which it is written: `getattr` of a name and a text is judged as the name of
both, and a module must be one whose import does nothing.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from ..pickles.machine import PickleMachine
from ..pickles.nodes import Node
from .known_names import is_class_by_value, purpose_of

Key = tuple[str, str]
_GETATTR: Final = ("builtins", "getattr")
_SUBIMPORT: Final = ("cloudpickle.cloudpickle", "subimport")
_CALLED: Final = {_GETATTR: "gets an attribute of what it names", _SUBIMPORT: "imports a module"}
_LOUD: Final = frozenset(("antigravity", "idlelib", "lib2to3", "test", "this", "turtledemo"))
"""Packages of the standard library with modules that act when they are imported."""
_BUILTINS: Final = (
    *("abs", "all", "any", "chr", "divmod", "enumerate", "filter", "hash", "isinstance", "issubclass"),
    *("len", "map", "max", "min", "ord", "pow", "repr", "reversed", "round", "sorted", "sum", "zip"),
)
_NAMED: Final = frozenset((*(("builtins", name) for name in _BUILTINS), ("_thread", "get_ident")))
"""Functions that act on nothing but their arguments: ordinary while the pickle itself calls none of them.

From Python 3.13 on, `__repr__` of a dataclass refers to the last one.
"""


def ordinary_names(machine: PickleMachine) -> dict[Key, str]:
    """Return the names on the list of dangerous ones that are used in an ordinary way, with their purpose."""
    asked = machine.names.keys()
    if machine.broken or "patch" in machine.acts or (asked.isdisjoint(_CALLED) and asked.isdisjoint(_NAMED)):
        return {}
    held = _held(machine)
    found = {}
    for key, purpose in _CALLED.items():
        calls = [node for node in machine.calls if node.target == key]
        named = machine.names.get(key)
        if named and named.calls == len(calls) and key not in held and all(map(_is_plain, calls)):
            found[key] = purpose
    if not any(_calls_what_it_made(node) for node in machine.calls):
        found.update({key: "named, but not called" for key in _NAMED & asked if not machine.names[key].calls})
    return found


def _is_plain(node: Node) -> bool:
    """Tell whether a call names what a name alone could name, and that is not dangerous."""
    args: Any = node.args
    if node.target == _SUBIMPORT:
        return len(args) == 1 and type(args[0]) is str and not node.states and _is_quiet(args[0])
    if len(args) != 2 or type(args[0]) is not Node or args[0].kind != "name" or type(args[1]) is not str:
        return False
    module, name = args[0].value.module, args[0].value.name
    whole = name if args[1] == "__new__" else f"{name}.{args[1]}"
    return not purpose_of(module, whole)[1]


def _is_quiet(module: str) -> bool:
    """Tell whether the import of a module is not known to act."""
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names:
        return package not in _LOUD
    return not purpose_of(module, "")[1]


def _calls_what_it_made(node: Node) -> bool:
    made = node.items[0]
    return type(made) is Node and made.kind != "name" and not is_class_by_value(made.target)


def _held(machine: PickleMachine) -> set[Key]:
    """Return the names that are values or arguments, and not only called."""
    held: set[Key] = set()
    seen: set[int] = set()
    rest: list[Any] = [machine.root, *machine.calls]
    while rest:
        node = rest.pop()
        if type(node) is not Node or id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind == "name":
            held.add((node.value.module, node.value.name))
        items = node.items or ()
        rest += items[1:] if node.kind in ("call", "new") else items
        rest += node.more or ()
        rest += node.states or ()
    return held
