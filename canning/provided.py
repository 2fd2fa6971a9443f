"""Functions of higher layers that lower layers call, so that imports go downwards only.

A lower module asks for a function by name when it needs it; the higher module that has it registers it with
`provides`, and all of them are registered as soon as `canning` is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_PROVIDED: Final[dict[str, Callable[..., Any]]] = {}


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
    return _PROVIDED[name]
