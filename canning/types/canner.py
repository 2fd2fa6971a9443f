"""One registration: how instances of a type are canned, and built again.

Types that only wrap memory need no functions of their own: ``register("package.Type", like="dlpack")``. The
memory that an object exposes (DLPack, the buffer protocol, the array interface) becomes a numpy array, which
is sent uncopied; the array that arrives is turned into the object through the same protocol.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ..memory.layout import Array


@dataclass(frozen=True, slots=True)
class Canner:
    """One registration.

    Attributes:
        name: the type's dotted name, which messages use.
        can: turns an object into a `CannedObject`, or plain state for `uncan`; NotImplemented leaves the
            object to pickle.
        uncan: makes the object from that state; None if `can` returns a `CannedObject`.
        data: whether `uncan` is safe with state that a stranger made up; or the function that is called
            instead with such state.
        wants_class: whether `uncan` has a parameter `cls`, and gets the class of the object.
        exact: whether instances of subclasses are left to pickle.
    """

    name: str
    can: Callable[[Any], Any]
    uncan: Callable[..., Any] | None
    data: bool | Callable[[Any], Any] = False
    wants_class: bool = False
    exact: bool = False


def _from_dlpack(name: str) -> Callable[[Array], Any]:
    package = name.partition(".")[0]

    def make(array: Array) -> Any:
        module = importlib.import_module(package)
        places: tuple[Any, ...] = (module, getattr(module, "dlpack", None))  # the second is jax's
        for place in places:
            if hasattr(place, "from_dlpack"):
                return place.from_dlpack(array if array.flags.writeable else array.copy())
        raise TypeError(f"{package} has no from_dlpack to make a {name}: register it with uncan= as well")

    return make


def _from_class(name: str) -> Callable[[Array], Any]:
    def make(array: Array) -> Any:
        module, _, qualname = name.rpartition(".")
        return operator.attrgetter(qualname)(importlib.import_module(module))(array)

    return make


def _of_dlpack(obj: Any) -> Array:
    array: Array = np.from_dlpack(obj)
    return array


def _of_buffer(obj: Any) -> Array:
    return np.asarray(memoryview(obj))


def _of_interface(obj: object) -> Array:
    if not hasattr(obj, "__array_interface__"):
        raise TypeError(f"{type(obj).__name__} has no __array_interface__")
    return np.asarray(obj)


LIKE: Final[dict[str, tuple[Callable[[Any], Array], Callable[[str], Callable[[Array], Any]]]]] = {
    "dlpack": (_of_dlpack, _from_dlpack),
    "buffer": (_of_buffer, _from_class),
    "array_interface": (_of_interface, _from_class),
}
"""By the value of ``like=``: how to view an object's memory, and the maker of its rebuilding function."""
