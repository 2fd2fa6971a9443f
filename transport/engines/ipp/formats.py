"""Tell ipyparallel's format and canning's apart, and register ipyparallel's types with canning."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import ipyparallel as ipp
from ipyparallel.serialize import canning as stock_canning
from ipyparallel.serialize import serialize as stock

from canning import CannedObject, Codecs, PrePickled, Serializer, default_codecs
from canning.errors import CanningError, DeserializationError, MissingCode
from canning.wire.trailer import MAGIC
from canning.writing.draft import PART, Draft, Message, split_large

from ...incoming import OWN_BELOW
from ...shared import default_memory

STOCK_READ: Final = stock.deserialize_object
STOCK_PACK: Final = stock.pack_apply_message
STOCK_UNPACK: Final = stock.unpack_apply_message
STOCK_WRITE: Final = stock.serialize_object
STOCK_CAN: Final = stock_canning.can

Namespace = dict[str, Any]
SERIALIZER: Final = Serializer(
    interactive=True, writable=True, codecs=Codecs([default_memory], beside=default_codecs)
)
ENVELOPE: Final = SERIALIZER.evolve(pickler="pickle")
"""For data that is serialized already: its names of ``__main__`` are no reason to search for functions."""


def is_canned(frames: Sequence[Any]) -> bool:
    """Tell whether canning wrote these frames, by the last bytes of frame 0."""
    return bool(frames) and bytes(memoryview(frames[0])[-len(MAGIC) :]) == MAGIC


def _detached(frames: Iterable[Any]) -> list[Any]:
    """Copy small frames, so that a part of a message does not keep all of it in memory."""
    return [bytearray(frame) if len(frame) < OWN_BELOW else frame for frame in frames]


def read(read: Callable[..., Any], frames: Sequence[Any], g: Namespace | None) -> Any:
    """Read a message, and raise exceptions of its own code unchanged: an unmet dependency, a NameError.

    For missing code canning's error stays, which says how to send the code along.
    """
    try:
        return read(_detached(frames), g)
    except MissingCode:
        raise
    except DeserializationError as error:
        if error.__cause__ is None or isinstance(error.__cause__, CanningError):
            raise
        raise error.__cause__ from None


def in_parts(message: Message) -> Message:
    """Cut large frames into parts of 1 MiB.

    Calls through the controller took, whole and in parts: 10 MB 13.8 and 15.5 ms, 20 MB 29 and 31, 50 MB 115
    and 98, 100 MB 179 and 115, 200 MB 428 and 239.
    """
    return split_large(message, 32 * PART) if type(message) is Draft else message


def main_namespace() -> Namespace:
    """Return the namespace of ``__main__``, where functions that a client receives run."""
    return vars(sys.modules["__main__"])


class Prepared(Sequence[Any]):
    """The buffers of a `PrePickled`: canned, and converted to ipyparallel's format on access."""

    def __init__(self, obj: Any, serializer: Serializer) -> None:
        self.obj = obj
        self.canned = PrePickled(obj, serializer)
        self.copied: PrePickled | None = None
        self._stock: list[Any] | None = None

    def __getitem__(self, index: Any) -> Any:
        if self._stock is None:
            self._stock = stock.serialize_object(self.obj)
        return self._stock[index]

    def __len__(self) -> int:
        return len(self[:])

    def into(self, copy: Callable[[Any], Any]) -> PrePickled:
        """Return it with its memory copied elsewhere: once for all receivers."""
        if self.copied is None:
            self.copied = PrePickled(None)
            self.copied.frames = [copy(frame) for frame in self.canned.frames]
        return self.copied


def is_told_otherwise() -> bool:
    """Tell whether the user has called ``use_cloudpickle`` or ``use_dill``, and so wants that pickler."""
    return stock.pickle is not pickle


def prepared(obj: Any, copy: Callable[[Any], Any] | None = None) -> Any:
    """Return the canned form of an object that was serialized before, and any other object as it is."""
    if not isinstance(obj, stock.PrePickled):
        return obj
    if isinstance(obj.buffers, Prepared):
        return obj.buffers.canned if copy is None else obj.buffers.into(copy)
    return STOCK_READ(obj.buffers, main_namespace())[0]  # made while no client had canning


class _CannedReference(CannedObject):
    """Represent an `ipyparallel.Reference`, an expression that the engine evaluates in its namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.buffers = []

    def get_object(self, g: Namespace | None = None) -> Any:
        """Evaluate as ipyparallel does; without a namespace, return the reference itself."""
        reference = ipp.Reference(self.name)
        return reference if g is None else reference.get_object(g)


class _CannedDependent(CannedObject):
    """Represent a function with a dependency, which the engine checks."""

    def __init__(self, dependent: Any) -> None:
        self.attributes = dict(vars(dependent))
        self.kind = type(dependent)
        self.buffers = []

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the function; raises `UnmetDependency`."""
        dependent: Any = object.__new__(self.kind)
        dependent.__dict__.update(self.attributes)
        dependent.check_dependency()
        return dependent


class Required:
    """Hold the objects that `require` sends along: ipyparallel cans them for its own pickles only."""

    def __init__(self, obj: Any) -> None:
        self.obj = obj

    def __reduce__(self) -> tuple[Any, ...]:
        return _same, (STOCK_CAN(self.obj),)


def _same(obj: Any) -> Any:
    return obj


TYPES: Final[dict[str, dict[str, Any]]] = {
    "ipyparallel.serialize.canning.Reference": {"can": lambda reference: _CannedReference(reference.name)},
    "ipyparallel.controller.dependency.dependent": {"can": _CannedDependent},
    "ipyparallel.serialize.serialize.PrePickled": {
        "can": lambda ready: (prepared(ready),),
        "uncan": lambda state: state[0],
    },
    f"{__name__}.Required": {"can": lambda held: (held.obj,), "uncan": lambda state: state[0]},
}
