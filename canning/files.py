"""The frames of a message in one blob or one file, by the functions that users call."""

from __future__ import annotations

import errno
import io
import mmap as mapping
import os
import stat
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Unpack

from .errors import DeserializationError, SerializationError
from .memory.buffers import Frame
from .options import SerializerOptions, WithoutTrust, check_choices, unknown_option
from .progress import OnProgress, watching
from .provided import provides
from .reading.options import Trust
from .replacing import replacing, resolved
from .serializer import Serializer, default_serializer
from .types.canned import Namespace
from .wire.blob import STEP, blob_of, frames_of, owner_of, read_one

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Path = str | os.PathLike[str]


def _evolved(function: Callable[..., object], options: SerializerOptions | WithoutTrust) -> Serializer:
    """Give the serializer with these options; raises `TypeError` for one that the function does not have."""
    if not options:
        return default_serializer
    if not options.keys() <= SerializerOptions.__annotations__.keys():
        raise unknown_option(function, options)
    return default_serializer.evolve(**options)


def _pieces(obj: object, readable_as: Trust | None, serializer: Serializer) -> list[Frame]:
    """Serialize an object, and read it again where somebody wants to know that it can be read."""
    frames = serializer.serialize_object(obj)
    if readable_as is not None:
        check_choices(trust=readable_as)
        try:
            serializer.evolve(trust=readable_as).deserialize_object(frames)
        except DeserializationError as error:
            raise SerializationError(
                f'a reader with trust="{readable_as}" would refuse it: {error}'
            ) from error
    return list(blob_of(frames))


def dumps(obj: object, *, readable_as: Trust | None = None, **options: Unpack[SerializerOptions]) -> bytes:
    """Serialize an object into one `bytes`; its memory is copied once, into that.

    With ``readable_as="data"`` raises `SerializationError` for what `loads` would refuse by default; pass the
    `allow` of the reader. `options` are those of `Serializer`.

    >>> loads(dumps([1, {"a": 2}]))
    [1, {'a': 2}]
    """
    return _dumps(obj, readable_as, _evolved(dumps, options))


@provides("dumps")
def _dumps(
    obj: object, readable_as: Trust | None = None, serializer: Serializer = default_serializer
) -> bytes:
    return b"".join(_pieces(obj, readable_as, serializer))


def loads(
    blob: ReadableBuffer,
    g: Namespace | None = None,
    *,
    trust: Trust = "data",
    **options: Unpack[WithoutTrust],
) -> Any:
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
    return _loads(blob, g, trust, _evolved(loads, options))


@provides("loads")
def _loads(blob: ReadableBuffer, g: Namespace | None, trust: Trust, serializer: Serializer) -> Any:
    reader = serializer.evolve(trust=trust)
    obj, rest = reader.deserialize_object(frames_of(blob), g)
    if rest:
        raise DeserializationError(f"the blob holds {len(rest)} frames more than one object has")
    return obj


@provides("stub")
def _stub_of(blob: bytes) -> Any:
    return loads(blob, trust="code", missing="stub")


def dump(
    obj: object,
    path: Path | IO[bytes],
    *,
    readable_as: Trust | None = None,
    on_progress: OnProgress | None = None,
    progress: bool = False,
    **options: Unpack[SerializerOptions],
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
    _dump(obj, path, readable_as, on_progress, progress, _evolved(dump, options))


@provides("dump")
def _dump(
    obj: object,
    path: Path | IO[bytes],
    readable_as: Trust | None,
    on_progress: OnProgress | None,
    progress: bool,
    serializer: Serializer,
) -> None:
    if not isinstance(path, str | os.PathLike):
        check_binary(path, "write")
        _write(path, _pieces(obj, readable_as, serializer), on_progress, progress)
        return
    target = resolved(path)
    pieces = _pieces(obj, readable_as, serializer)
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
            for at in range(0, len(view), STEP):
                done += file.write(view[at : at + STEP])
                if done < total and len(view) - at >= STEP:
                    report(done, total)
        report(total, total)


def load(
    path: Path | IO[bytes],
    g: Namespace | None = None,
    *,
    mmap: bool = True,
    trust: Trust = "data",
    on_progress: OnProgress | None = None,
    progress: bool = False,
    **options: Unpack[WithoutTrust],
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
    return _load(path, g, mmap, trust, on_progress, progress, _evolved(load, options))


@provides("load")
def _load(
    path: Path | IO[bytes],
    g: Namespace | None,
    mmap: bool,
    trust: Trust,
    on_progress: OnProgress | None,
    progress: bool,
    serializer: Serializer,
) -> Any:
    watched = on_progress is not None or progress
    if not isinstance(path, str | os.PathLike):
        check_binary(path, "read")
        return _read(read_one(path), getattr(path, "name", "the open file"), g, trust, serializer)
    with open_regular(path) as file:
        if not mmap or serializer.key is not None:
            memory: ReadableBuffer = _read_watched(file, on_progress if watched else None, progress)
            return _read(memory, path, g, trust, serializer)
        try:
            memory = mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_READ)
        except ValueError:  # nothing can be mapped of an empty file
            memory = b""
    if watched:
        with watching(on_progress, progress, "mapping") as report:
            total = memoryview(memory).nbytes
            report(total, total)
    return _read(memory, path, g, trust, serializer)


def open_regular(path: Path) -> IO[bytes]:
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


def check_binary(file: object, way: str) -> None:
    """Insist on a binary file that is open; raises `TypeError` for anything else."""
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"this file is open as text: open it with mode '{way[0]}b'")
    if not callable(getattr(file, way, None)):
        raise TypeError(f"a path or an open binary file is needed, not {type(file).__name__}")


def _read(
    memory: ReadableBuffer, path: Path, g: Namespace | None, trust: Trust, serializer: Serializer
) -> Any:
    try:
        return _loads(memory, g, trust, serializer)
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
            got = file.readinto(view[done : done + STEP])  # type: ignore[attr-defined]
            if not got:  # somebody has cut the file
                break
            done += got
            report(done, total)
    del memory[done:]
    return memory
