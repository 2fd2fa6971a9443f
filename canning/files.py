"""The same frames in one blob or one file, each where memory of its kind should be: aligned.

    magic | number of frames | length of each | frame 0 | padding | frame 1 | padding | ...

All numbers are unsigned, little-endian, 64 bits; each frame starts at a multiple of 64 bytes.
"""

from __future__ import annotations

import errno
import io
import mmap as mapping
import os
import stat
import struct
from collections.abc import Iterator
from typing import IO, Any, Final

from .errors import DeserializationError, SerializationError
from .foreign import owner_of
from .memory.buffers import ALIGNMENT, Frame, flat
from .options import check_choices
from .progress import OnProgress, watching
from .provided import provides
from .replacing import replacing, resolved
from .serializer import default_serializer
from .types.canned import Namespace

MAGIC: Final = b"\x93CANNEDF"
_COUNT: Final = struct.Struct("<8sQ")
_STEP: Final = 8 * 1024 * 1024
"""Bytes between two reports of progress."""
_READERS: Final = {"data": default_serializer.evolve(trust="data"), "code": default_serializer}


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
    if not view.nbytes:
        raise DeserializationError("nothing is there: what is empty is neither a canning blob nor a pickle")
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


def end_of(blob: Any) -> int:
    """Tell where a blob ends, in what may hold several; raises as `frames_of`."""
    view = flat(blob)
    frames = frames_of(view)
    at = _COUNT.size + 8 * len(frames)
    for frame in frames:
        at += -at % ALIGNMENT + frame.nbytes
    return int(min(at + -at % ALIGNMENT, view.nbytes))


def _frames(obj: Any, readable_as: str | None, options: dict[str, Any]) -> list[Frame]:
    """Serialize an object, and read it again where somebody wants to know that it can be read."""
    frames = default_serializer.serialize_object(obj, **options)
    if readable_as is not None:
        check_choices(trust=readable_as)
        try:
            _READERS[readable_as].evolve(**options).deserialize_object(frames)
        except DeserializationError as error:
            raise SerializationError(
                f'a reader with trust="{readable_as}" would refuse it: {error}'
            ) from error
    return frames


@provides("dumps")
def dumps(obj: Any, *, readable_as: str | None = None, **options: Any) -> bytes:
    """Serialize an object into one `bytes`; its memory is copied once, into that.

    With ``readable_as="data"`` raises `SerializationError` for what `loads` would refuse by default; pass the
    `allow` of the reader. `options` are those of `Serializer`.

    >>> loads(dumps([1, {"a": 2}]))
    [1, {'a': 2}]
    """
    return b"".join(_blob(_frames(obj, readable_as, options)))


def loads(blob: Any, g: Namespace | None = None, *, trust: str = "data", **options: Any) -> Any:
    """Build the object that `dumps` or `pickle.dumps` put into a blob.

    Args:
        blob: anything with the buffer protocol; arrays are views of it, read-only where it is
            (``writable=True`` copies them).
        g: the namespace for functions that were written by value, and for references.
        trust: ``"data"`` (default) reads plain data, arrays, registered types and the classes of `allow`, and
            runs nothing. ``"code"`` reads everything as pickle does: **whoever wrote the blob can run any
            code here.**
        **options: those of `Serializer`.

    Raises `DeserializationError` for a blob that is damaged, or needs more trust: the error says for what.

    >>> import pickle
    >>> loads(dumps({"a": 1})), loads(pickle.dumps({"a": 1}))
    ({'a': 1}, {'a': 1})
    >>> loads(dumps(print))
    Traceback (most recent call last):
    canning.errors.DeserializationError: this message needs builtins.print (a function): ...
    >>> loads(dumps(print), trust="code")
    <built-in function print>
    """
    check_choices(trust=trust)
    obj, rest = _READERS[trust].evolve(**options).deserialize_object(frames_of(blob), g)
    if rest:
        raise DeserializationError(f"the blob holds {len(rest)} frames more than one object has")
    return obj


@provides("stub")
def _stub_of(blob: bytes) -> Any:
    return loads(blob, trust="code", missing="stub")


def dump(
    obj: Any,
    path: str | os.PathLike[str] | IO[bytes],
    *,
    readable_as: str | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    **options: Any,
) -> None:
    """Write an object to a file, its memory straight from where it lies.

    The file appears under its name when it is whole: until then, and if anything fails, what was there
    stays. It takes over the permissions of what it replaces, and nobody else can read it before. A symbolic
    link stays one, and what it leads to is replaced; a link of somebody else's in a folder that everybody can
    write to raises `PermissionError`. A folder that is not there raises `FileNotFoundError`.

    Args:
        obj: what to write.
        path: where; or a binary file that is open for writing, which gets the object where it stands.
        readable_as: ``"data"`` raises `SerializationError`, before anything is written, for what `load` would
            refuse by default; pass the `allow` of the reader. None (default) checks nothing.
        on_progress: called with the bytes written and the bytes that there are, about once every 8 MiB.
        progress: show a bar, for which rich must be installed.
        **options: those of `Serializer`.

    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/weights.canned"
    >>> dump({"bias": [1, 2]}, path)
    >>> load(path)
    {'bias': [1, 2]}
    """
    if not isinstance(path, str | os.PathLike):
        check_binary(path, "write")
        _write(path, list(_blob(_frames(obj, readable_as, options))), on_progress, progress)
        return
    target = resolved(path)
    pieces = list(_blob(_frames(obj, readable_as, options)))
    with replacing(target) as file:
        _write(file, pieces, on_progress, progress)


def _write(file: IO[bytes], pieces: list[Frame], on_progress: OnProgress | None, progress: bool) -> None:
    if on_progress is None and not progress:
        file.writelines(pieces)
    else:
        _write_watched(file, pieces, on_progress, progress)


def _write_watched(
    file: IO[bytes], pieces: list[Frame], on_progress: OnProgress | None, progress: bool
) -> None:
    total = sum(map(len, pieces))
    done = 0
    with watching(on_progress, progress, "writing") as report:
        report(0, total)
        for piece in pieces:
            view = memoryview(piece)
            for at in range(0, len(view), _STEP):
                done += file.write(view[at : at + _STEP])
                if done < total and len(view) - at >= _STEP:
                    report(done, total)
        report(total, total)


def load(
    path: str | os.PathLike[str] | IO[bytes],
    g: Namespace | None = None,
    *,
    mmap: bool = True,
    trust: str = "data",
    on_progress: OnProgress | None = None,
    progress: bool = False,
    **options: Any,
) -> Any:
    """Build the object that `dump` or `pickle.dump` put into a file.

    With `mmap` arrays are read-only views of the mapped file, which stays mapped as long as one of them
    lives, and only the pages that are touched are read. `dump` may replace the file meanwhile; where anything
    else writes over it or cuts it short, arrays change, or the process dies of SIGBUS (as with a memmap).
    With a key the file is not mapped but read: what was checked must not change afterwards.

    Args:
        path: what `dump` or `pickle.dump` wrote: a regular file, no pipe and no device. Or a binary file that
            is open for reading: it is read, not mapped, from where it stands to behind the object, so that
            one file can hold several; a plain pickle is read with all that follows it.
        g: the namespace for functions that were written by value, and for references.
        mmap: map the file; False reads it, and arrays are writable.
        trust: ``"data"`` (default) reads plain data, arrays, registered types and the classes of `allow`, and
            runs nothing. ``"code"`` reads everything as pickle does: **whoever wrote the file can run any
            code here**; with a key, whoever has the key.
        on_progress: called with the bytes read and the bytes that there are, about once every 8 MiB; of a
            mapped file nothing is read beforehand, and all of it is reported at once.
        progress: show a bar, for which rich must be installed.
        **options: those of `Serializer`.

    Raises `DeserializationError` for a file that is damaged, needs more trust, or is another program's: the
    error says which.

    >>> import tempfile
    >>> import numpy as np
    >>> path = tempfile.mkdtemp() + "/weights.canned"
    >>> dump(np.ones(5000), path)
    >>> load(path).flags.writeable, load(path, writable=True).flags.writeable
    (False, True)
    """
    watched = on_progress is not None or progress
    if not isinstance(path, str | os.PathLike):
        check_binary(path, "read")
        return _load(_read_one(path), getattr(path, "name", "the open file"), g, trust, options)
    with open_regular(path) as file:
        if not mmap or options.get("key") is not None:
            memory: Any = _read_watched(file, on_progress if watched else None, progress)
            return _load(memory, path, g, trust, options)
        try:
            memory = mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_READ)
        except ValueError:  # nothing can be mapped of an empty file
            memory = b""
    if watched:
        with watching(on_progress, progress, "mapping") as report:
            report(len(memory), len(memory))
    return _load(memory, path, g, trust, options)


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file for reading, and none that could keep us waiting or never ends.

    Raises `DeserializationError` for a pipe or a device, `OSError` for what cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise DeserializationError(f"{os.fspath(path)} is no regular file: open it, and pass the open file")


def check_binary(file: Any, way: str) -> None:
    """Insist on a binary file that is open; raises `TypeError` for anything else."""
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"this file is open as text: open it with mode '{way[0]}b'")
    if not callable(getattr(file, way, None)):
        raise TypeError(f"a path or an open binary file is needed, not {type(file).__name__}")


def _read_one(file: IO[bytes]) -> bytearray:
    """Read one blob, and no more, from an open file; of anything else, all."""
    memory = bytearray(file.read(_COUNT.size))
    if bytes(memory[:8]) != MAGIC or len(memory) < _COUNT.size:
        return memory + file.read()
    count = _COUNT.unpack(memory)[1]
    _read_more(file, memory, 8 * count)
    if len(memory) == _COUNT.size + 8 * count:
        for length in struct.unpack_from(f"<{count}Q", memory, _COUNT.size):
            _read_more(file, memory, -len(memory) % ALIGNMENT + length)
        _read_more(file, memory, -len(memory) % ALIGNMENT)
    return memory


def _read_more(file: IO[bytes], memory: bytearray, nbytes: int) -> None:
    """Read as many bytes as there are, however many are announced."""
    while nbytes > 0:
        piece = file.read(min(nbytes, _STEP))
        if not piece:
            return
        memory += piece
        nbytes -= len(piece)


def _load(
    memory: Any, path: str | os.PathLike[str], g: Namespace | None, trust: str, options: dict[str, Any]
) -> Any:
    try:
        return loads(memory, g, trust=trust, **options)
    except DeserializationError as error:
        known = owner_of(memory)
        if known is not None:
            raise DeserializationError(f"{path} is {known}") from error
        error.add_note(f"in the file {path}")
        raise


def _read_watched(file: IO[bytes], on_progress: OnProgress | None, progress: bool) -> bytearray:
    total = os.fstat(file.fileno()).st_size
    memory = bytearray(total)
    done = 0
    with watching(on_progress, progress, "reading") as report, memoryview(memory) as view:
        report(0, total)
        while done < total:
            got = file.readinto(view[done : done + _STEP])  # type: ignore[attr-defined]
            if not got:  # somebody has cut the file
                break
            done += got
            report(done, total)
    del memory[done:]
    return memory
