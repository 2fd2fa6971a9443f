"""What is known of an object before it is pickled: the functions in plain sight that must go by value.

The C pickler asks nobody about functions, and fails at one that nobody can import when it may have written
a million items. So a quick look at what stands at the top goes first, in C as well.
"""

from __future__ import annotations

from itertools import islice
from types import FunctionType
from typing import Any, Final

from cloudpickle import list_registry_pickle_by_value

from .functions import is_local
from .pickling import CLASSES_AHEAD, Plan

_FEW: Final = 64
"""Items that are always looked at; of instances, which take a pickler 100 times as long, all."""
_QUICK: Final = frozenset((int, float, str, bool, type(None), bytes, complex, tuple, list, dict))
_CONTAINERS: Final = frozenset((tuple, list, dict, set, frozenset))


def first_plan(obj: Any, pickler: str) -> Plan | None:
    """Give the plan by which an object is pickled first; None where nothing is known."""
    if pickler != "auto":
        return Plan(by_value=True) if pickler == "cloudpickle" else None
    kind = type(obj)
    items: Any = obj.values() if kind is dict else obj if kind is list or kind is tuple else ()
    if len(items) > _FEW and type(next(iter(items))) in _QUICK:
        items = islice(items, _FEW)
    if FunctionType in map(type, items):
        plan = _plan_for(
            [item for item in _in_sight(obj) if type(item) is FunctionType and is_local(item)], obj
        )
        if plan is not None:
            return plan
    if (kind is FunctionType and is_local(obj)) or list_registry_pickle_by_value():
        return Plan(by_value=True)
    return None


def _in_sight(obj: Any) -> Any:
    items = obj.values() if type(obj) is dict else obj
    return islice(items, _FEW) if type(next(iter(items))) in _QUICK else items


def _plan_for(functions: list[Any], obj: Any) -> Plan | None:
    found = list({id(function): function for function in functions}.values())
    if not found:
        return None
    if len(found) > CLASSES_AHEAD or not _is_long(obj, 2) or list_registry_pickle_by_value():
        return Plan(by_value=True)
    return Plan(classes=found)


def _is_long(obj: Any, levels: int) -> bool:
    """Tell whether a container, or one not far below, has items enough to be worth a pickler of its own.

    A second one takes some 40 µs more for a call with small arguments.
    """
    if type(obj) not in _CONTAINERS:
        return False
    if len(obj) > _FEW or not levels:
        return len(obj) > _FEW
    return any(_is_long(item, levels - 1) for item in (obj.values() if type(obj) is dict else obj))
