"""A message as one plain pickle, for engines whose receivers only call ``pickle.loads``.

Frame 0 already is such a pickle if it is the only frame and canning need not build any part of it. Then it is
sent as it is, and an in-memory file takes it without a copy.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Sequence
from typing import Any

from canning import Codecs, Serializer, default_codecs
from canning.pickles.headers import PROTO
from canning.wire.trailer import CODE, FOOTER, LIVE, PLAIN

from ..shared import default_memory

_LONG = 1024
"""Bytes from which a header is a buffer too, so that it is not copied, and that engines may compress it."""


class Inband:
    """Pickle as the object that frames hold; their memory is copied once, into the pickle.

    Args:
        frames: a message.
        reader: a function that rebuilds the object, called with `options` and the frames.
        options: a few plain values.
    """

    def __init__(self, frames: Sequence[Any], reader: Callable[..., Any], options: tuple[Any, ...]) -> None:
        self.frames = frames
        self.reader = reader
        self.options = options

    def __reduce__(self) -> tuple[Any, ...]:
        head, *buffers = self.frames
        short = bytes(head) if len(head) < _LONG else pickle.PickleBuffer(head)
        return self.reader, (*self.options, short, *map(pickle.PickleBuffer, buffers))


def write(
    file: Any,
    frames: list[Any],
    *,
    writable: bool = False,
    in_main: bool = False,
    reader: Callable[..., Any] | None = None,
    options: tuple[Any, ...] = (),
    buffer_callback: Callable[[pickle.PickleBuffer], object] | None = None,
) -> bool:
    """Write frames as one pickle, from which `pickle.load` builds their object.

    Returns whether functions or classes go by value.

    `writable` is as for `canning.Serializer`. With `in_main`, functions of ``__main__`` run in the reader's
    ``__main__``. A `reader` replaces `read`, and gets `options` before those two. With a `buffer_callback`
    the buffers are passed to it, as by `pickle.dumps`. `frames` is empty afterwards.

    >>> import io
    >>> file = io.BytesIO()
    >>> write(file, Serializer().serialize_object([1, 2]))
    False
    >>> pickle.loads(file.getvalue())
    [1, 2]
    """
    length, *_, flags, _, _, _ = FOOTER.unpack_from(frames[0], len(frames[0]) - FOOTER.size)
    if len(frames) > 1 or not flags & (PLAIN if in_main else PLAIN | LIVE):
        pickler = pickle.Pickler(file, 5, buffer_callback=buffer_callback)
        pickler.dump(Inband(frames, reader or read, (*options, writable, in_main)))
    elif type(file) is io.BytesIO and not file.getbuffer().nbytes:
        file.__init__(frames[0])  # type: ignore[misc]  # takes the object itself; no other reference is left
        file.truncate(length)
        file.seek(length)
    else:
        file.write(memoryview(frames[0])[:length])  # without its trailer: another pickle may follow
    frames.clear()
    return bool(flags & CODE)


def dumps(frames: list[Any], **options: Any) -> memoryview:
    """Return the pickle that `write` writes, with its options; `frames` is empty afterwards."""
    file = io.BytesIO()
    write(file, frames, **options)
    return file.getbuffer()


def dumps_apart(frames: list[Any], *, writable: bool = False) -> list[Any]:
    """Return a pickle and its buffers: ``pickle.loads(found[0], buffers=found[1:])`` builds the object.

    A long header is a buffer too. A plain pickle is returned alone, and its reader needs no canning.

    >>> import numpy as np
    >>> head, *buffers = dumps_apart(Serializer().serialize_object({"x": np.arange(1000)}))
    >>> len(buffers), pickle.loads(head, buffers=buffers)["x"].sum()
    (1, np.int64(499500))
    """
    length, *_, flags, _, _, _ = FOOTER.unpack_from(frames[0], len(frames[0]) - FOOTER.size)
    if len(frames) == 1 and flags & (PLAIN | LIVE):
        return [bytes(frames[0][:length]) if length < _LONG else memoryview(frames[0])[:length]]
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(Inband(frames, read, (writable, False)), 5, buffer_callback=buffers.append)
    return [head, *(buffer.raw() for buffer in buffers)]


def in_list(frames: list[Any]) -> bytes | None:
    """Return a pickle of a list that holds the object, if it is short and names no globals; else None.

    Its reader needs no canning and no other module.

    >>> pickle.loads(in_list(Serializer().serialize_object((1, 2))))
    [(1, 2)]
    """
    length, *_, flags, _, _, _ = FOOTER.unpack_from(frames[0], len(frames[0]) - FOOTER.size)
    if len(frames) > 1 or not flags & PLAIN or length > _LONG:
        return None
    head = bytes(frames[0][:length])
    if pickle.STACK_GLOBAL in head:
        return None
    # APPEND replaces STOP, so that a frame announced in the pickle keeps its length
    return b"".join((head[:PROTO], pickle.EMPTY_LIST, head[PROTO:-1], pickle.APPEND, pickle.STOP))


def read(writable: bool, in_main: bool, *frames: Any) -> Any:
    """Read an object that `write` wrote."""
    g = vars(sys.modules["__main__"]) if in_main else None
    return _READERS[writable].deserialize_object(list(frames), g)[0]


_READERS: dict[bool, Serializer] = {
    writable: Serializer(writable=writable, codecs=Codecs([default_memory], beside=default_codecs))
    for writable in (False, True)
}
