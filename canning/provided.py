"""What lower modules call and upper ones give, so that imports go one way only.

A module below asks for a function by name when it needs it; the module above that has it says so with
`provides`, and all of them are there as soon as `canning` is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_PROVIDED: Final[dict[str, Callable[..., Any]]] = {}


def provides(name: str) -> Callable[[F], F]:
    """Give the decorated function to the modules below, under this name."""

    def provide(function: F) -> F:
        _PROVIDED[name] = function
        return function

    return provide


def provided(name: str) -> Callable[..., Any]:
    """Give what a module above has provided under a name.

    >>> @provides("example")
    ... def double(number):
    ...     return 2 * number
    >>> provided("example")(21)
    42
    """
    return _PROVIDED[name]
