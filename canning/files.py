"""The frames of a message in one blob or one file: the methods of `Serializer` for these."""

from __future__ import annotations

import errno
import io
import mmap as mapping
import os
import stat
import sys
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final, Self, Unpack

from .arguments import check_bools, check_callable, check_namespace
from .errors import DeserializationError, SerializationError, shortened
from .memory.buffers import Frame
from .options import SerializerOptions, WithoutTrust, check_choices, unknown_option
from .progress import OnProgress, watching
from .reading.options import ReadOptions, Trust
from .reading.reader import explainer
from .replacing import replacing, resolved
from .types.canned import Namespace
from .wire.blob import STEP, blob_of, frames_of, owner_of, read_one

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Path = str | os.PathLike[str]
_MAPPED: Final = 1024 * 1024
"""Bytes from which `load` maps a file: smaller ones are read as fast, and take no descriptor."""
# New in Python 3.13: a mapping without a descriptor of its own (docs.python.org/3/library/mmap.html).
_UNTRACKED: Final[dict[str, Any]] = {"trackfd": False} if sys.version_info >= (3, 13) else {}


class Files(ReadOptions):
    """The methods of `Serializer` for blobs and files, over its methods for frames.

    The serializer's own `trust` counts for messages, as in `deserialize_object`; blobs and files come from
    elsewhere, so they are data unless the call says otherwise.
    """

    serialize_object: Callable[..., list[Frame]]
    deserialize_object: Callable[..., tuple[Any, list[Any]]]
    evolve: Callable[..., Self]

    @shortened
    def dumps(
        self, obj: object, *, readable_as: Trust | None = None, **options: Unpack[SerializerOptions]
    ) -> bytes:
        """Serialize an object into one `bytes`, which copies its memory once.

        ``readable_as="data"`` raises `SerializationError` if `loads` would refuse the blob by default; pass
        the reader's `allow` too. `options` are those of `Serializer`.

        >>> from canning import dumps, loads
        >>> loads(dumps([1, {"a": 2}]))
        [1, {'a': 2}]
        """
        return b"".join(self._with(self.dumps, options)._pieces(obj, readable_as))

    @shortened
    def loads(
        self,
        blob: ReadableBuffer,
        g: Namespace | None = None,
        *,
        trust: Trust = "data",
        **options: Unpack[WithoutTrust],
    ) -> Any:
        """Build the object that `dumps` or `pickle.dumps` put into a blob.

        Args:
            blob: anything with the buffer protocol; arrays are views of it, and read-only if it is
                (``writable=True`` copies them).
            g: the namespace for functions that were written by value, and for references.
            trust: ``"data"`` (default) reads plain data, arrays, registered types and the classes of `allow`,
                and runs nothing. ``"code"`` reads everything as pickle does: **the blob's author can run any
                code here.**
            **options: those of `Serializer`.

        Raises `DeserializationError` if the blob is damaged, or needs more trust: the error says for what.

        >>> import pickle
        >>> from canning import dumps, loads
        >>> loads(dumps({"a": 1})), loads(pickle.dumps({"a": 1}))
        ({'a': 1}, {'a': 1})
        >>> loads(dumps(print))
        Traceback (most recent call last):
        canning.errors.DeserializationError: obj: this message needs builtins.print (a function): ...
        >>> loads(dumps(print), trust="code")
        <built-in function print>
        """
        reader = self._with(self.loads, options).evolve(trust=trust)
        if g is not None:
            check_namespace(g)
        obj, rest = reader.deserialize_object(frames_of(blob), g)
        if rest:
            raise DeserializationError(f"the blob holds {len(rest)} frames more than one object has")
        return obj

    @shortened
    def dump(
        self,
        obj: object,
        path: Path | IO[bytes],
        *,
        readable_as: Trust | None = None,
        on_progress: OnProgress | None = None,
        progress: bool = False,
        **options: Unpack[SerializerOptions],
    ) -> None:
        """Write an object to a file, straight from the memory of its arrays.

        The file appears under its name only when it is complete; until then, and if anything fails, the old
        one stays. The new one keeps the permissions of the old one. If the path is a symbolic link, the file
        that it leads to is replaced; another user's link in a folder that everybody can write to raises
        `PermissionError`. A missing folder raises `FileNotFoundError`.

        Args:
            obj: what to write.
            path: a path, or a binary file that is open for writing: the object is written at its position.
            readable_as: ``"data"`` raises `SerializationError`, before anything is written, if `load` would
                refuse the file by default; pass the reader's `allow` too. None (default) checks nothing.
            on_progress: called with the bytes written and the bytes in total, about once every 8 MiB.
            progress: show a bar, for which rich must be installed.
            **options: those of `Serializer`.

        >>> import tempfile
        >>> from canning import dump, load
        >>> path = tempfile.mkdtemp() + "/weights.canned"
        >>> dump({"bias": [1, 2]}, path)
        >>> load(path)
        {'bias': [1, 2]}
        """
        serializer = self._with(self.dump, options)
        check_bools(progress=progress)
        check_callable("on_progress", on_progress)
        if not isinstance(path, str | os.PathLike):
            if isinstance(obj, str | os.PathLike) and not callable(getattr(path, "write", None)):
                raise TypeError(
                    f"dump(obj, path) takes the object first: its path is {type(path).__name__} here"
                )
            check_binary(path, "write")
            _write(path, serializer._pieces(obj, readable_as), on_progress, progress)
            return
        target = resolved(path)
        pieces = serializer._pieces(obj, readable_as)
        with replacing(target) as file:
            _write(file, pieces, on_progress, progress)

    @shortened
    def load(
        self,
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

        With `mmap`, arrays are read-only. A file of 1 MiB or more is mapped: its arrays are views of it, and
        only the pages that you touch are read. It stays mapped as long as one of them lives, and before
        Python 3.13 open as well: each such file takes one of the process's descriptors. `dump` may replace
        the file meanwhile; if another program writes into it, arrays change, and if one truncates it, this
        process dies of SIGBUS (as with a memmap). With a key, the file is read, not mapped, since it must not
        change after the check.

        Args:
            path: the path of a regular file that `dump` or `pickle.dump` wrote. Or a binary file that is open
                for reading: it is read, not mapped, from its position to the end of the object, so one file
                can hold several objects, and ``while file.peek(1): load(file)`` reads all; a plain pickle is
                read to the end of the file.
            g: the namespace for functions that were written by value, and for references.
            mmap: map large files; False reads them, and arrays are writable.
            trust: ``"data"`` (default) reads plain data, arrays, registered types and the classes of `allow`,
                and runs nothing. ``"code"`` reads everything as pickle does: **the file's author can run any
                code here**; with a key, anyone who has the key can.
            on_progress: called with the bytes read and the bytes in total, about once every 8 MiB; a mapped
                file is reported as a whole at once.
            progress: show a bar, for which rich must be installed.
            **options: those of `Serializer`.

        Raises `DeserializationError` if the file is damaged, needs more trust, or is of another program: the
        error says which.

        >>> import tempfile
        >>> import numpy as np
        >>> from canning import dump, load
        >>> path = tempfile.mkdtemp() + "/weights.canned"
        >>> dump(np.ones(5000), path)
        >>> load(path).flags.writeable, load(path, writable=True).flags.writeable
        (False, True)
        """
        serializer = self._with(self.load, options)
        check_bools(mmap=mmap, progress=progress)
        check_callable("on_progress", on_progress)
        watched = on_progress is not None or progress
        if not isinstance(path, str | os.PathLike):
            check_binary(path, "read")
            left = read_one(path)
            if not left:
                raise DeserializationError("nothing is there: the open file is at its end")
            return serializer._read(left, getattr(path, "name", "the open file"), g, trust)
        with open_regular(path) as file:
            if not mmap or serializer.key is not None:
                memory: ReadableBuffer = _read_watched(file, on_progress if watched else None, progress)
                return serializer._read(memory, path, g, trust)
            if os.fstat(file.fileno()).st_size < _MAPPED:
                memory = file.read()
            else:
                memory = mapping.mmap(file.fileno(), 0, access=mapping.ACCESS_READ, **_UNTRACKED)
        if watched:
            with watching(on_progress, progress, "mapping") as report:
                total = memoryview(memory).nbytes
                report(total, total)
        return serializer._read(memory, path, g, trust)

    def _with(self, method: Callable[..., object], options: SerializerOptions | WithoutTrust) -> Self:
        """Return the serializer with these options; raises `TypeError` for one that the method lacks."""
        if not options:
            return self
        if not options.keys() <= SerializerOptions.__annotations__.keys():
            raise unknown_option(method, options)
        return self.evolve(**options)

    def _pieces(self, obj: object, readable_as: Trust | None) -> list[Frame]:
        """Serialize an object, and read it again if `readable_as` asks for a check."""
        frames = self.serialize_object(obj)
        if readable_as is not None:
            check_choices(readable_as=readable_as)
            try:
                self.evolve(trust=readable_as).deserialize_object(frames)
            except DeserializationError as error:
                placed = error if error.path else explainer().placed_refusal(frames[0], error)
                said = str(placed).removeprefix(f"{placed.path}: ")
                raise SerializationError(
                    f'a reader with trust="{readable_as}" would refuse it: {said}', placed.path
                ) from error
        return list(blob_of(frames))

    def _read(self, memory: ReadableBuffer, path: Path, g: Namespace | None, trust: Trust) -> Any:
        try:
            return self.loads(memory, g, trust=trust)
        except DeserializationError as error:
            known = owner_of(memory)
            if known is not None:
                raise DeserializationError(f"{path} is {known}") from error
            error.add_note(f"in the file {path}")
            raise


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


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading, unless it could block or never end.

    Raises `DeserializationError` for a pipe or a device, `OSError` for a file that cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise DeserializationError(f"{os.fspath(path)} is not a regular file: open it, and pass the open file")


def check_binary(file: object, way: str) -> None:
    """Check for an open binary file; raises `TypeError` for anything else."""
    if isinstance(file, io.TextIOBase):
        raise TypeError(f"this file is open as text: open it with mode '{way[0]}b'")
    if not callable(getattr(file, way, None)):
        blob = isinstance(file, bytes | bytearray | memoryview)
        hint = ": canning.loads reads bytes" if blob and way == "read" else ""
        raise TypeError(f"a path or an open binary file is needed, not {type(file).__name__}{hint}")


def _read_watched(file: IO[bytes], on_progress: OnProgress | None, progress: bool) -> bytearray:
    total = os.fstat(file.fileno()).st_size
    memory = bytearray(total)
    done = 0
    with watching(on_progress, progress, "reading") as report, memoryview(memory) as view:
        report(0, total)
        while done < total:
            got = file.readinto(view[done : done + STEP])  # type: ignore[attr-defined]
            if not got:  # the file was truncated
                break
            done += got
            report(done, total)
    del memory[done:]
    return memory
