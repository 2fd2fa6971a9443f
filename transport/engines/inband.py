"""A message as one plain pickle, for engines that know nothing but ``pickle.loads`` at the other end.

Frame 0 is such a pickle where the message has no other and nothing in it has to be built by canning. Then it
goes as it is, and a file in memory takes it without a copy.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Sequence
from typing import Any

from canning import Codecs, Serializer, default_codecs
from canning.wire import CODE, FOOTER, LIVE, PLAIN

from ..shared import default_memory


class Inband:
    """Be pickled as what frames stand for; their memory is copied once, into the pickle."""

    def __init__(self, frames: Sequence[Any], *, writable: bool, in_main: bool) -> None:
        self.frames = frames
        self.options = writable, in_main

    def __reduce__(self) -> tuple[Any, ...]:
        head, *buffers = self.frames
        return read, (*self.options, bytes(head), *map(pickle.PickleBuffer, buffers))


def write(file: Any, frames: list[Any], *, writable: bool = False, in_main: bool = False) -> bool:
    """Write frames as one pickle; `pickle.load` gives the object that they stand for.

    Tells whether functions or classes go by value.

    `writable` is what `canning.Serializer` takes. With `in_main` functions of ``__main__`` run in the
    reader's. `frames` are empty afterwards.

    >>> import io
    >>> file = io.BytesIO()
    >>> write(file, Serializer().serialize_object([1, 2]))
    False
    >>> pickle.loads(file.getvalue())
    [1, 2]
    """
    length, *_, flags, _, _, _ = FOOTER.unpack_from(frames[0], len(frames[0]) - FOOTER.size)
    if len(frames) > 1 or not flags & (PLAIN if in_main else PLAIN | LIVE):
        pickle.Pickler(file, 5).dump(Inband(frames, writable=writable, in_main=in_main))
    elif type(file) is io.BytesIO and not file.getbuffer().nbytes:
        file.__init__(frames[0])  # type: ignore[misc]  # takes the very object, which nobody else has then
        file.truncate(length)
        file.seek(length)
    else:
        file.write(memoryview(frames[0])[:length])  # without its trailer: another pickle may follow
    frames.clear()
    return bool(flags & CODE)


def dumps(frames: list[Any], *, writable: bool = False, in_main: bool = False) -> memoryview:
    """Give what `write` writes; `frames` are empty afterwards."""
    file = io.BytesIO()
    write(file, frames, writable=writable, in_main=in_main)
    return file.getbuffer()


def read(writable: bool, in_main: bool, *frames: Any) -> Any:
    """Read what `write` wrote."""
    g = vars(sys.modules["__main__"]) if in_main else None
    return _READERS[writable].deserialize_object(list(frames), g)[0]


_READERS: dict[bool, Serializer] = {
    writable: Serializer(writable=writable, codecs=Codecs([default_memory], beside=default_codecs))
    for writable in (False, True)
}
