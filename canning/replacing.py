"""Replace a file when the new one is complete, without giving it more readers than the old one had."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Final

_SOME: Final = 40
"""Characters of a file's name in the name of its part: a name may have 255 bytes."""


@contextmanager
def replacing(target: str) -> Iterator[IO[bytes]]:
    """Yield a file to write to, which replaces `target` at the end, or never.

    A pipe or a device, which must not be replaced, is written to.
    """
    try:
        before = os.stat(target)
    except FileNotFoundError:
        before = None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(target, "wb") as file:
            yield file
        return
    folder, name = os.path.split(target)
    part = os.path.join(folder, f".{name[:_SOME]}.{os.urandom(4).hex()}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(part, flags, 0o666 if before is None else 0o600), "wb") as file:
            yield file
            if before is not None:
                _take_over(file.fileno(), before)
        os.replace(part, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(part)
        raise


def resolved(path: str | os.PathLike[str]) -> str:
    """Follow a link as a careful kernel would, and check that its folder exists."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "this folder does not exist: make it first", folder)
    if os.path.islink(path) and hasattr(os, "geteuid"):
        holder = os.stat(folder)
        shared = holder.st_mode & stat.S_ISVTX and holder.st_mode & stat.S_IWOTH
        if shared and os.lstat(path).st_uid not in (os.geteuid(), holder.st_uid):
            raise PermissionError(errno.EACCES, "a symbolic link of somebody else's", os.fspath(path))
    return os.path.realpath(path)


def _take_over(handle: int, before: os.stat_result) -> None:
    """Give a file the permissions of the file that it replaces, and the group that they are for."""
    mode = stat.S_IMODE(before.st_mode) & 0o777
    if not hasattr(os, "fchmod"):
        return
    now = os.fstat(handle)
    if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.fchown(handle, before.st_uid, before.st_gid)
        except OSError:  # it stays ours, without rights for another group
            mode &= ~0o070
    os.fchmod(handle, mode)
