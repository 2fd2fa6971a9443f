"""Functions of higher layers that lower layers call, so that imports go downwards only.

A lower module asks for a function by name when it needs it; the higher module that has it registers it with
`provides`. Modules of functions that few programs need are imported when one of them is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_PROVIDED: Final[dict[str, Callable[..., Any]]] = {}
_OF_CODE: Final = ("by_value_pickler", "code_source", "exceptions")


def provides(name: str) -> Callable[[F], F]:
    """Provide the decorated function to lower modules, under this name."""

    def provide(function: F) -> F:
        _PROVIDED[name] = function
        return function

    return provide


def provided(name: str) -> Callable[..., Any]:
    """Return the function that a higher module has provided under a name.

    >>> @provides("example")
    ... def double(number):
    ...     return 2 * number
    >>> provided("example")(21)
    42
    """
    if name not in _PROVIDED:
        for module in _OF_CODE:
            import_module(f".code.{module}", __package__)
    return _PROVIDED[name]
