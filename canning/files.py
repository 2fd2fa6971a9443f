"""The same frames in one blob or one file, each where memory of its kind should be: aligned.

    magic | number of frames | length of each | frame 0 | padding | frame 1 | padding | ...

All numbers are unsigned, little-endian, 64 bits; each frame starts at a multiple of 64 bytes.
"""

from __future__ import annotations

import mmap as mapping
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from .buffers import ALIGNMENT, Frame, flat
from .canned import Namespace
from .errors import DeserializationError
from .message import default_serializer

MAGIC: Final = b"\x93CANNEDF"
_COUNT: Final = struct.Struct("<8sQ")


def _pad(length: int) -> bytes:
    return bytes(-length % ALIGNMENT)


def _blob(frames: list[Frame]) -> Iterator[Frame]:
    """Give the parts of a blob in their order."""
    lengths = [len(frame) for frame in frames]
    head = _COUNT.pack(MAGIC, len(frames)) + struct.pack(f"<{len(frames)}Q", *lengths)
    yield head + _pad(len(head))
    for frame, length in zip(frames, lengths, strict=True):
        yield frame
        yield _pad(length)


def frames_of(blob: Any) -> list[memoryview]:
    """Cut a blob into its frames, without a copy; a plain pickle is one frame.

    Raises `DeserializationError` where the blob is neither, or is cut.
    """
    view = flat(blob)
    if bytes(view[:1]) == b"\x80" or (bytes(view[-1:]) == b"." and bytes(view[:8]) != MAGIC):
        return [view]  # protocols 0 and 1 say nothing at their start
    if view.nbytes < _COUNT.size or bytes(view[:8]) != MAGIC:
        raise DeserializationError(f"{view.nbytes} bytes that are neither a canning blob nor a pickle")
    _, count = _COUNT.unpack_from(view)
    at = _COUNT.size + 8 * count
    if not 0 < count <= view.nbytes // 8 or at > view.nbytes:
        raise DeserializationError(f"the blob is cut: {view.nbytes} bytes cannot hold its {count} frames")
    frames: list[memoryview] = []
    for length in struct.unpack_from(f"<{count}Q", view, _COUNT.size):
        at += -at % ALIGNMENT
        if at + length > view.nbytes:
            raise DeserializationError(
                f"the blob is cut in frame {len(frames)}: {view.nbytes} bytes are here"
            )
        frames.append(view[at : at + length])
        at += length
    return frames


def dumps(obj: Any, **options: Any) -> bytes:
    """Serialize an object into one `bytes`; its memory is copied once, into that.

    `options` are those of `Serializer`.

    >>> loads(dumps([1, {"a": 2}]))
    [1, {'a': 2}]
    """
    return b"".join(_blob(default_serializer.serialize_object(obj, **options)))


def loads(blob: Any, g: Namespace | None = None, **options: Any) -> Any:
    """Build the object that `dumps` or `pickle.dumps` put into a blob.

    `blob` has the buffer protocol; arrays are views of it, read-only where it is (``writable=True``
    copies them). As with pickle, **whoever wrote the blob can run any code here.** Raises
    `DeserializationError` where it is damaged.
    """
    obj, rest = default_serializer.deserialize_object(frames_of(blob), g, **options)
    if rest:
        raise DeserializationError(f"the blob holds {len(rest)} frames more than one object has")
    return obj


def dump(obj: Any, path: str | os.PathLike[str], **options: Any) -> None:
    """Write an object to a file, its memory straight from where it lies.

    The file appears under its name when it is whole. `options` are those of `Serializer`.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "weights.canned"
    >>> dump({"bias": [1, 2]}, path)
    >>> load(path)
    {'bias': [1, 2]}
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    part = Path(name)
    try:
        with open(handle, "wb") as file:
            for piece in _blob(default_serializer.serialize_object(obj, **options)):
                file.write(piece)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def load(
    path: str | os.PathLike[str], g: Namespace | None = None, *, mmap: bool = True, **options: Any
) -> Any:
    """Build the object that `dump` or `pickle.dump` put into a file.

    With `mmap` arrays are read-only views of the mapped file, which stays mapped as long as one of them
    lives, and only the pages that are touched are read. With a key the file is not mapped but read: what
    was checked must not change afterwards. As with pickle, **whoever wrote the file can run any code
    here**; with a key, whoever has the key.
    """
    with Path(path).open("rb") as file:
        if not mmap or options.get("key") is not None:
            return loads(bytearray(file.read()), g, **options)
        try:
            memory = mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_READ)
        except ValueError as error:  # nothing can be mapped of an empty file
            raise DeserializationError(f"{os.fspath(path)} is empty") from error
    return loads(memory, g, **options)
