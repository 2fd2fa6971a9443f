"""Instances that answer for any name, so for `__setstate__` too, before they have what they answer from."""

from __future__ import annotations

from typing import Any

from .. import calls
from ..provided import provides


def answers_for_all(cls: Any) -> bool:
    """Tell whether pickle would ask the `__getattr__` of an empty instance for a way to set its state.

    >>> class Proxy:
    ...     def __getattr__(self, name):
    ...         return getattr(self.inner, name)
    >>> answers_for_all(Proxy), answers_for_all(dict)
    (True, False)
    """
    return (
        hasattr(cls, "__getattr__")
        and not hasattr(cls, "__setstate__")
        and cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__reduce__ is object.__reduce__
    )


def reduce_answering(obj: Any) -> Any:
    """Reduce such an instance as it does itself, with what sets its attributes and asks for nothing."""
    reduced = obj.__reduce_ex__(5)
    make, args, given, items, pairs = (*reduced, None, None, None)[:5]
    return (make, args, given, items, pairs, calls.state) if type(given) is dict else reduced


@provides("state")
def set_state(obj: Any, given: dict[str, Any]) -> None:
    """Give an instance its attributes; to what its class has meanwhile learned to do with them, or a stub."""
    own = getattr(type(obj), "__setstate__", None)
    if own is None:
        obj.__dict__.update(given)
    else:
        own(obj, given)
