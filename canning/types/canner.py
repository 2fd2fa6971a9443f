"""One registration: how instances of a type are canned, and built again.

Types that only wrap memory need no functions of their own: ``register("package.Type", like="dlpack")``. The
memory that an object exposes (DLPack, the buffer protocol, the array interface) becomes a numpy array, which
is sent uncopied; the array that arrives is turned into the object through the same protocol.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ..errors import CannerError, CanningError, is_of_signal
from ..memory.layout import Array
from ..values import Value
from .canned import CannedObject


class Canner(Value):
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
    data: bool | Callable[[Any], Any]
    wants_class: bool
    exact: bool

    def __init__(
        self,
        name: str,
        can: Callable[[Any], Any],
        uncan: Callable[..., Any] | None,
        data: bool | Callable[[Any], Any] = False,
        wants_class: bool = False,
        exact: bool = False,
    ) -> None:
        super().__init__(name=name, can=can, uncan=uncan, data=data, wants_class=wants_class, exact=exact)


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


def canned_state(canner: Canner, obj: object) -> Any:
    """Call a canner and check its result; raises `CannerError` if it raises, or the result is not valid."""
    try:
        state = canner.can(obj)
    except (CanningError, MemoryError, RecursionError):
        raise
    except Exception as error:
        if is_of_signal(error):
            raise
        raise CannerError(f"the canner of {canner.name} raised {type(error).__name__}") from error
    if state is NotImplemented or (type(state) is tuple and canner.uncan is not None):
        return state  # the usual type, without a look at its bases: saves 4 of 30 µs for a small frame
    if isinstance(state, CannedObject):
        if not isinstance(state.buffers, list):
            raise CannerError(
                f"the canner of {canner.name} gave a {type(state).__name__} whose buffers are "
                f"{type(state.buffers).__name__}, not a list of buffers"
            )
        for number, buffer in enumerate(state.buffers):
            _check_buffer(canner, number, buffer)
    elif canner.uncan is None:
        raise CannerError(
            f"the canner of {canner.name} gave {type(state).__name__}: it must give a CannedObject, "
            "or be registered with uncan="
        )
    elif state is obj:
        raise CannerError(
            f"the canner of {canner.name} returned the object itself: it must return a CannedObject, "
            "or plain state for uncan"
        )
    return state


def _check_buffer(canner: Canner, number: int, buffer: Any) -> None:
    try:
        contiguous = memoryview(buffer).contiguous
    except (TypeError, ValueError):
        try:  # the buffer protocol has no code for some dtypes, such as datetime64
            contiguous = buffer.flags.forc
        except AttributeError:
            contiguous = None
    if not contiguous:
        raise CannerError(
            f"the canner of {canner.name} gave {type(buffer).__name__} as buffer {number}: a buffer is "
            "contiguous memory, as bytes, memoryview or an array in C or Fortran order"
        )
