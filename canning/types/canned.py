"""Canned objects: metadata that pickles small, beside buffers that need not be pickled at all."""

from __future__ import annotations

import abc
import ctypes
import functools
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final, TypeVar

from ..errors import DeserializationError, UnresolvedReference
from ..memory.buffers import Frame, flat
from ..memory.layout import native
from ..provided import provided
from .skeletons import memory_of, without

Namespace = dict[str, Any]


class CannedObject(abc.ABC):
    """Represent an object in transit: its description, and its memory in `buffers`.

    Your subclass keeps the description in picklable attributes, sets `buffers` to the memory that is sent
    uncopied (anything with the buffer protocol), and rebuilds the object in `get_object`, when `buffers`
    holds the memory that arrived. See `canning.register`.

    >>> class CannedLabel(CannedObject):
    ...     def __init__(self, label):
    ...         self.language, self.buffers = label.language, [label.text.encode()]
    ...     def get_object(self, g=None):
    ...         return Label(str(self.buffers[0], "utf-8"), self.language)

    Attributes:
        buffers: objects with the buffer protocol; None for each that is not set yet.
    """

    buffers: list[Any]

    @abc.abstractmethod
    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the object; functions and references use `g` as their namespace."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "buffers": [None] * len(self.buffers)}


def uncan(obj: object, g: Namespace | None = None) -> Any:
    """Undo `can`: build the object of a canned one; return any other object unchanged.

    >>> uncan(CannedBytes(b"abc")), uncan(5)
    (b'abc', 5)
    """
    return obj.get_object(g) if isinstance(obj, CannedObject) else obj


def canned_in(obj: Any) -> Iterator[CannedObject]:
    """Return the canned objects in lists, tuples and dicts, in their order."""
    if isinstance(obj, CannedObject):
        yield obj
    elif type(obj) in (list, tuple, dict):
        for part in obj.values() if type(obj) is dict else obj:
            yield from canned_in(part)


def uncan_in(obj: Any, g: Namespace | None) -> Any:
    """Undo `can` for the items of lists, tuples and dicts."""
    if type(obj) is dict:
        return {key: uncan_in(value, g) for key, value in obj.items()}
    if type(obj) in (list, tuple):
        return type(obj)(uncan_in(part, g) for part in obj)
    return uncan(obj, g)


IN_HEADERS: Final[dict[str, type[CannedObject]]] = {}
"""This package's classes of canned objects, by their names in headers."""
C = TypeVar("C", bound=type[CannedObject])


def named_in_headers(cls: C) -> C:
    """Let headers name a class of this package by its name alone, whatever its module is."""
    IN_HEADERS[cls.__name__] = cls
    return cls


class CannedParts(CannedObject):
    """Represent an object that a function makes from parts, some of which may be canned.

    A header calls the class with the parts; a reader that makes live objects at once calls `make`
    instead.
    """

    make: ClassVar[Callable[..., Any]]

    def __init__(self, *parts: Any) -> None:
        self.parts = parts
        self.attributes: dict[str, Any] = {}

    @property
    def buffers(self) -> list[Any]:
        """The buffers of all canned parts, concatenated."""
        return [buffer for part in canned_in((self.parts, self.attributes)) for buffer in part.buffers]

    @buffers.setter
    def buffers(self, buffers: list[Any]) -> None:
        rest = list(buffers)
        for part in canned_in((self.parts, self.attributes)):
            count = len(part.buffers)
            part.buffers, rest = (rest[:count] + [None] * count)[:count], rest[count:]

    def get_object(self, g: Namespace | None = None) -> Any:
        """Build the object from its parts."""
        obj = type(self).make(*uncan_in(self.parts, g))
        set_attributes(obj, uncan_in(self.attributes, g))
        return obj

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)


def set_attributes(obj: object, attributes: dict[str, Any]) -> None:
    """Set the attributes of a new object to those it had at the sender."""
    if isinstance(obj, CannedParts):
        obj.attributes = attributes
    elif attributes:
        obj.__dict__.update(attributes)


@named_in_headers
class CannedBytes(CannedObject):
    """Represent `bytes`, or a `bytearray` if `mutable`.

    `source` is the number of the buffer in its message, or the bytes themselves.
    """

    def __init__(self, source: object, mutable: bool = False) -> None:
        self.buffers = [None if isinstance(source, int) else source]
        self.mutable = mutable

    def get_object(self, g: Namespace | None = None) -> bytes | bytearray:
        """Build the `bytes` or the `bytearray`."""
        return make_bytes(memory_of(self)[0], self.mutable)

    def __repr__(self) -> str:
        kind = "bytearray" if self.mutable else "bytes"
        return f"<CannedBytes of {kind}{without(self)}>"


def make_bytes(buffer: Any, mutable: bool = False) -> bytes | bytearray:
    """Make `bytes` from a buffer, without a copy if the buffer is a whole `bytes` object."""
    if mutable:
        return bytearray(buffer)
    view = flat(buffer)
    whole = view.obj
    if type(whole) is bytes and len(whole) == view.nbytes:
        return whole
    return bytes(view)


@named_in_headers
class CannedMemoryView(CannedParts):
    """Represent a `memoryview`: its array, format, shape and read-only flag."""

    @staticmethod
    def make(array: Any, code: str | None, shape: tuple[int, ...], readonly: bool) -> memoryview:
        """View the array; `code` is the format of the view, None for the array's own."""
        if code is None:
            view = memoryview(array)
        elif code[0] in MARKS and code in ctypes_formats():
            view = memoryview(_ctypes_array(array, ctypes_formats()[code], shape))
        else:
            in_order = array if array.flags.c_contiguous else array.copy(order="C")
            view = flat(native(in_order)).cast(code, shape) if shape != (0,) else memoryview(b"").cast(code)  # type: ignore[call-overload,unused-ignore]
        return view.toreadonly() if readonly else view


def _ctypes_array(memory: Any, kind: Any, shape: tuple[int, ...]) -> Any:
    for length in reversed(shape):
        kind = kind * length
    return kind.from_buffer(memory) if memory.flags.writeable else kind.from_buffer_copy(memory)


MARKS: Final = "<>"
"""The start of a format that ctypes gives."""


@functools.cache
def ctypes_formats() -> dict[str, Any]:
    """Map the formats that only ctypes gives a view to its types."""
    kinds: tuple[Any, ...] = (
        *(ctypes.c_bool, ctypes.c_char, ctypes.c_wchar, ctypes.c_byte, ctypes.c_ubyte, ctypes.c_short),
        *(ctypes.c_ushort, ctypes.c_int, ctypes.c_uint, ctypes.c_longlong, ctypes.c_ulonglong),
        *(ctypes.c_float, ctypes.c_double, ctypes.c_longdouble, ctypes.c_void_p),
    )
    return {memoryview((kind * 0)()).format: kind for kind in kinds}


@named_in_headers
class CannedPartial(CannedParts):
    """Represent a `functools.partial`: function, arguments, keywords and attributes, canned one by one."""

    @staticmethod
    def make(func: Any, args: tuple[Any, ...], keywords: Any, attributes: Any) -> functools.partial[Any]:
        """Make the partial from its parts."""
        partial = functools.partial(func, *args, **keywords)
        partial.__dict__.update(attributes)
        return partial


class PrePickled:
    """Serialize an object once, and send it many times.

    You can send it alone or at any depth of another object; the receiver gets the object itself. Its frames
    are the object's own memory, so later messages show changes to its arrays; each message is signed when it
    is sent, by the serializer that sends it. `serializer` is canning's default if None.

    >>> from canning import deserialize_object, serialize_object
    >>> ready = PrePickled({"step": 1})
    >>> deserialize_object(serialize_object([ready, ready]))[0]
    [{'step': 1}, {'step': 1}]
    """

    __slots__ = ("frames",)

    def __init__(self, obj: object, serializer: Any = None) -> None:
        made = provided("serializer")() if serializer is None else serializer
        if made.key is not None:
            made = made.evolve(key=None)
        self.frames: list[Frame] = made.serialize_object(obj)


@named_in_headers
class CannedMessage(CannedObject):
    """Represent an object by a message of its own, whose frames are `buffers`."""

    def __init__(self, *sources: Any) -> None:
        self.buffers = [None if isinstance(source, int) else source for source in sources]

    def get_object(self, g: Namespace | None = None) -> Any:
        """Read the message."""
        return provided("serializer")().deserialize_object(memory_of(self), g)[0]


@named_in_headers
class CannedRegistered(CannedParts):
    """Represent an object of a registered type: the name of the registration, and its state."""

    @staticmethod
    def make(name: str, state: object, cls: type | None) -> Any:
        """Build the object with the default registry."""
        return provided("rebuild")(name, state, cls)


@named_in_headers
class CannedCell(CannedParts):
    """Represent a cell of a closure."""

    make = types.CellType


class Reference:
    """Name an object that the receiver has: a name, its attributes and items.

    ``Reference("model.layers[3]")`` arrives as the object at that path in the receiver's namespace `g`; if
    the receiver passes no `g`, the reference itself arrives. Nothing is evaluated: only names, attributes,
    whole numbers and quoted keys are looked up.

    >>> Reference("a.real").get_object({"a": 3 + 4j})
    3.0
    >>> Reference("rows[0]['x']").get_object({"rows": [{"x": 7}]})
    7
    """

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"a Reference is made from a str, not from {type(name).__name__}")
        self.name = name
        _steps(name)

    def get_object(self, g: Mapping[str, Any] | None = None) -> Any:
        """Look up the path in `g`; raises `UnresolvedReference` if a step leads nowhere."""
        obj: Any = g if g is not None else {}
        for step, (kind, key) in enumerate(_steps(self.name)):
            try:
                obj = getattr(obj, key) if kind == "attribute" and step else obj[key]
            except (LookupError, AttributeError, TypeError) as error:
                raise UnresolvedReference(
                    f"name {self.name!r} is not defined: the namespace has no {key!r}"
                    if not step
                    else f"{self.name!r} leads nowhere: {type(obj).__name__} has no {kind} {key!r}"
                ) from error
        return obj

    def __repr__(self) -> str:
        return f"Reference({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.name == other.name

    def __hash__(self) -> int:
        return hash(("canning.Reference", self.name))

    def __reduce__(self) -> tuple[type[Reference], tuple[str]]:
        return type(self), (self.name,)


_STEP: Final = r"""(?:^|\.)([^\W\d]\w*)|\[(-?\d+)\]|\[(?:'([^']*)'|"([^"]*)")\]"""


def _steps(path: str) -> list[tuple[str, Any]]:
    """Split ``a.b[0]['k']`` into its steps."""
    steps: list[tuple[str, Any]] = []
    at = 0
    while at < len(path) or not steps:
        found = re.compile(_STEP).match(path, at)
        if found is None or (not steps and (found[1] is None or path[0] == ".")):
            raise ValueError(
                f"Reference({path[:80]!r}): a path is a name, followed by any number of "
                ".attribute, [number] or ['key']"
            )
        if found[1] is not None:
            steps.append(("attribute", found[1]))
        elif found[2] is not None:
            steps.append(("item", int(found[2])))
        else:
            steps.append(("item", found[3] if found[3] is not None else found[4]))
        at = found.end()
    return steps


def open_canned(cls: type[CannedObject] | str, state: dict[str, Any], *sources: Any) -> CannedObject:
    """Make a canned object of any class, its buffers not set yet; `cls` is a name for those of this package.

    A header calls this function; a reader that makes live objects sets `buffers` and calls `get_object`
    at once.
    """
    made: Any = IN_HEADERS.get(cls) if isinstance(cls, str) else cls
    if not isinstance(made, type) or not issubclass(made, CannedObject):
        raise DeserializationError("a canned object of a class that is not a CannedObject")
    canned = made.__new__(made)
    canned.__dict__.update(state)
    if sources:  # an object made from parts has its buffers in these
        canned.buffers = [None if isinstance(source, int) else source for source in sources]
    elif "buffers" not in dir(made):
        canned.buffers = []
    return canned
