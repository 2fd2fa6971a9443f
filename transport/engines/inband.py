"""A message as one plain pickle, for engines that know nothing but ``pickle.loads`` at the other end."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from typing import Any

from canning import Codecs, Serializer, default_codecs
from canning.wire import CODE, PLAIN, parse

from ..shared import default_memory


class Inband:
    """Be pickled as what frames stand for; their memory is copied once, into the pickle."""

    def __init__(self, frames: Sequence[Any], *, writable: bool, in_main: bool) -> None:
        self.frames = frames
        self.options = writable, in_main

    def __reduce__(self) -> tuple[Any, ...]:
        head, *buffers = self.frames
        return read, (*self.options, bytes(head), *map(pickle.PickleBuffer, buffers))


def write(file: Any, frames: Sequence[Any], *, writable: bool = False, in_main: bool = False) -> bool:
    """Write frames as one pickle; `pickle.load` gives the object that they stand for.

    Tells whether functions or classes go by value.

    `writable` is what `canning.Serializer` takes. With `in_main` functions of ``__main__`` run in the
    reader's.

    >>> import io
    >>> file = io.BytesIO()
    >>> write(file, Serializer().serialize_object([1, 2]))
    False
    >>> pickle.loads(file.getvalue())
    [1, 2]
    """
    trailer = parse(frames[0])
    assert trailer is not None
    if len(frames) == 1 and trailer.flags & PLAIN:
        file.write(memoryview(frames[0])[: trailer.pickle_length])  # another pickle may follow
        return False
    pickle.Pickler(file, 5).dump(Inband(frames, writable=writable, in_main=in_main))
    return bool(trailer.flags & CODE)


def read(writable: bool, in_main: bool, *frames: Any) -> Any:
    """Read what `write` wrote."""
    g = vars(sys.modules["__main__"]) if in_main else None
    return _READERS[writable].deserialize_object(list(frames), g)[0]


_READERS: dict[bool, Serializer] = {
    writable: Serializer(writable=writable, codecs=Codecs([default_memory], beside=default_codecs))
    for writable in (False, True)
}
