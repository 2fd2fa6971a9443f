"""One registration: who cans instances of a type, and who builds them again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Canner:
    """One registration.

    Attributes:
        name: the type's dotted name, which stands in the messages.
        can: makes of an object a `CannedObject`, or plain state for `uncan`; NotImplemented leaves the
            object to pickle.
        uncan: makes the object of that state; None where `can` gives a `CannedObject`.
        data: whether `uncan` is safe to call with state that a stranger made up; or what is called in its
            place with such state.
        wants_class: whether `uncan` has a parameter `cls`, and gets the class of the object.
        exact: whether instances of subclasses are left to pickle.
    """

    name: str
    can: Callable[[Any], Any]
    uncan: Callable[..., Any] | None
    data: bool | Callable[[Any], Any] = False
    wants_class: bool = False
    exact: bool = False
