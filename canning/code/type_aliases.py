"""Aliases of the `type` statement, which may be part of their own value.

Python evaluates such an alias on demand, and nothing else can make one whose value comes later: so a `type`
statement makes the alias, and its value follows. The statement makes its parameters too, and they are
marked, so that the value finds them.
"""

from __future__ import annotations

import sys
import typing
from typing import Any, Final

from cloudpickle import cloudpickle

from .. import calls
from ..provided import provides

Parameter = tuple[str, str, str, int, bool, bool]
"""Stars before its name; its name, its mark; the number of its constraints, whether a bound and a default."""
_STARS: Final = {"TypeVar": "", "TypeVarTuple": "*", "ParamSpec": "**"}
_PARTS: Final = "__canning_parts__"


def is_of_statement(alias: Any) -> bool:
    """Tell whether an alias may be of a `type` statement, whose parameters declare no variance."""
    variables = [each for each in alias.__type_params__ if type(each) is typing.TypeVar]
    return all(each.__infer_variance__ for each in variables)  # type: ignore[attr-defined, unused-ignore]


def reduce_alias(alias: Any, module: str, same: str | None) -> tuple[Any, ...]:
    """Reduce an alias to the statement that makes it, and to its value."""
    room: list[Any] = []
    parts = [alias.__value__]
    parameters = [_described(each, parts) for each in alias.__type_params__]
    made = alias.__name__, module, same, parameters, room
    return calls.alias, made, (room, parts), None, None, calls.fill_alias


def _described(parameter: Any, parts: list[Any]) -> Parameter:
    constraints = getattr(parameter, "__constraints__", ())
    bound = getattr(parameter, "__bound__", None)
    default = hasattr(parameter, "has_default") and parameter.has_default()
    parts += constraints
    parts += [bound] if bound is not None else []
    parts += [parameter.__default__] if default else []
    mark = cloudpickle._get_or_create_tracker_id(parameter)
    stars = _STARS[type(parameter).__name__]
    return stars, parameter.__name__, mark, len(constraints), bound is not None, default


@provides("alias")
def make_alias(name: str, module: str, same: str | None, parameters: list[Parameter], room: list[Any]) -> Any:
    """Make an alias that finds its value in `room`, once it is there."""
    if sys.version_info < (3, 12):
        raise ImportError(f"the alias {name} is of a statement that came with Python 3.12", name="typing")
    known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(same)
    if known is not None:
        return known
    if not all(map(str.isidentifier, (name, *(each[1] for each in parameters)))):
        raise ValueError("an alias with an invalid name")
    at, written = 1, list[str]()
    for stars, parameter, _, constraints, bound, default in parameters:
        text = stars + parameter
        if constraints:
            text += f": ({', '.join(f'{_PARTS}[{at + n}]' for n in range(constraints))})"
        if bound:
            text += f": {_PARTS}[{at + constraints}]"
        at += constraints + bound + default
        if default and sys.version_info >= (3, 13):
            text += f" = {_PARTS}[{at - 1}]"
        written.append(text)
    space = {"__name__": module, _PARTS: room}
    listed = f"[{', '.join(written)}]" if written else ""
    exec(f"type {name}{listed} = {_PARTS}[0]", space)
    made: Any = space[name]
    for parameter, described in zip(made.__type_params__, parameters, strict=True):
        cloudpickle._lookup_class_or_track(described[2], parameter)
    return made if same is None else cloudpickle._lookup_class_or_track(same, made)


@provides("fill_alias")
def fill_alias(alias: Any, state: tuple[list[Any], list[Any]]) -> None:
    """Store the value of an alias, and the bounds of its parameters."""
    room, parts = state
    room[:] = parts
