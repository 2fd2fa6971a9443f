"""Memory as flat views: the bytes of a frame, their address, and the object that keeps them alive."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

Frame = bytes | bytearray | memoryview
"""The frames that `serialize_object` returns: any of these goes to a socket or a file unchanged."""

Body = bytes | io.BytesIO
"""An unfinished frame 0. A long one grows in a file, whose position is at its end."""

ALIGNMENT: Final = 64
"""Alignment of memory allocated here: a cache line, and the widest vector register."""

ByteArray = np.ndarray[tuple[Any, ...], np.dtype[np.uint8]]

_ARROW: Final = "pyarrow.lib"


class _Span:
    """A range of another object's memory, offered to numpy through the array interface protocol.

    numpy keeps this object as the base of the array that it makes, and this object keeps `owner`.
    https://numpy.org/doc/stable/reference/arrays.interface.html

    `base` is the owner that `owner_of` returns: see `foreign`.
    """

    __slots__ = ("__array_interface__", "base", "owner")

    def __init__(self, interface: dict[str, Any], owner: object, base: object = None) -> None:
        self.__array_interface__ = interface
        self.owner = owner
        self.base = base


def flat(frame: Any) -> memoryview:
    """View a frame as flat unsigned bytes, without a copy.

    `frame` is anything with the buffer protocol whose memory is contiguous: bytes, bytearray,
    memoryview, `zmq.Frame`, `pickle.PickleBuffer`, an array.

    >>> flat(bytearray(b"abc")).nbytes
    3
    """
    try:
        view = memoryview(frame)
    except TypeError:
        raise TypeError(
            f"bytes, or an object that gives its memory, is needed, not {type(frame).__name__}"
        ) from None
    if view.format == "B" and view.ndim == 1 and view.c_contiguous:
        return view
    return view.cast("B")


def bytes_of(body: Body) -> bytes:
    """Return the unfinished frame 0; no copy, unless it is written to while the result is in use."""
    return body if isinstance(body, bytes) else body.getvalue()


def longer(body: Body, pieces: Iterable[memoryview]) -> Body:
    """Append memory to the unfinished frame 0."""
    if isinstance(body, bytes):
        return b"".join((body, *pieces))
    body.writelines(pieces)
    return body


def address(view: memoryview) -> int:
    """Return the address of a flat view; 0 for an empty one."""
    if not view.nbytes:
        return 0
    if not view.readonly:
        return ctypes.addressof(ctypes.c_char.from_buffer(view))  # 0.8 µs; numpy takes 4.2
    where: int = np.frombuffer(view, np.uint8).__array_interface__["data"][0]
    return where


def span(low: int, high: int, owner: object, *, readonly: bool, root: object = None) -> memoryview:
    """View the bytes from address `low` up to `high` of memory that `owner` keeps alive.

    `root` is the owner that `owner_of` returns.
    """
    interface = {"data": (low, readonly), "shape": (high - low,), "typestr": "|u1", "version": 3}
    return memoryview(np.asarray(_Span(interface, owner, root)))


def foreign(
    address: int,
    shape: tuple[int, ...],
    owner: object,
    root: object,
    typestr: str = "|u1",
    strides: tuple[int, ...] | None = None,
) -> Any:
    """View memory of another library as an array, which `owner` keeps alive.

    `root` identifies the arrays that may share memory, for libraries that make a new owner at each
    request: the object behind all of them, or the address where their memory starts.
    """
    interface = {"data": (address, False), "shape": shape, "typestr": typestr, "version": 3}
    if strides is not None:
        interface["strides"] = strides
    return np.asarray(_Span(interface, owner, root))


def owner_key(obj: object) -> int:
    """Return a number for the owner of an object's memory: objects with different numbers share no memory."""
    base = getattr(obj, "base", None)
    if type(base) is _Span and type(base.base) is int:  # of Arrow's buffers: the address itself
        return base.base
    owner: Any = base if type(base).__module__ == _ARROW else owner_of(obj)
    if type(owner).__module__ == _ARROW and hasattr(owner, "parent"):  # a buffer, made anew at each request
        while owner.parent is not None:
            owner = owner.parent
        owner = owner.address
    return owner if type(owner) is int else id(owner)


def aligned_empty(nbytes: int) -> ByteArray:
    """Make a writable array of `nbytes` bytes, its start aligned to `ALIGNMENT`.

    >>> aligned_empty(100).ctypes.data % ALIGNMENT
    0
    """
    room = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -room.__array_interface__["data"][0] % ALIGNMENT
    return room[start : start + nbytes]


def aligned_copy(*views: memoryview) -> memoryview:
    """Copy flat views into fresh aligned memory, one after another."""
    room = aligned_empty(sum(view.nbytes for view in views))
    at = 0
    for view in views:
        room[at : at + view.nbytes] = view
        at += view.nbytes
    return memoryview(room)


def joined_already(views: list[memoryview]) -> memoryview | None:
    """View adjacent flat views of one array, or of a whole bytes object, as one view.

    None if they are not adjacent.
    """
    owner = views[0].obj
    whole_bytes = type(owner) is bytes and sum(view.nbytes for view in views) == len(owner)
    if not (whole_bytes or isinstance(owner, np.ndarray)) or any(view.obj is not owner for view in views):
        return None
    whole = memoryview(owner).cast("B")
    start = at = address(views[0]) - address(whole)
    for view in views:
        if view.nbytes and address(view) - address(whole) != at:
            return None
        at += view.nbytes
    return whole[start:at]


def owner_of(obj: object) -> object:
    """Follow the bases of an array, and the objects behind memoryviews, to the owner of the memory."""
    while True:
        below: Any = None
        if isinstance(obj, np.ndarray):
            below = obj.base
        elif isinstance(obj, memoryview):
            below = obj.obj
        elif hasattr(obj, "__array_interface__"):  # put between two arrays by numpy's stride tricks
            below = getattr(obj, "base", None)
        if below is None:
            return obj
        obj = below


def to_write_to(array: Any) -> Any:
    """Replace a read-only array by one whose changes nobody else sees: memory lent by its owner, or a copy.

    An owner that lends memory has `low`, the address where its memory starts, and `lend`, which returns all
    of it as writable memory, the same each time, or None.
    """
    owner: Any = owner_of(array)
    memory = owner.lend() if hasattr(owner, "lend") else None
    if memory is None:
        return array.copy(order="K")
    start = array.__array_interface__["data"][0] - owner.low
    return np.ndarray(array.shape, array.dtype, memory, start, array.strides)


def listed(frames: Iterable[Any]) -> list[Any]:
    """Return the frames of a message as a list; raises `TypeError` for a blob.

    >>> listed(b"one blob")
    Traceback (most recent call last):
    TypeError: bytes is one blob, and a message a list of frames: canning.loads reads what canning.dumps made
    """
    if isinstance(frames, bytes | bytearray | memoryview | str):
        raise TypeError(
            f"{type(frames).__name__} is one blob, and a message a list of frames: "
            "canning.loads reads what canning.dumps made"
        )
    if not isinstance(frames, Iterable):
        raise TypeError(f"a message is a list of frames, not {type(frames).__name__}")
    return list(frames)
