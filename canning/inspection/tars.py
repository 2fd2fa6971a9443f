"""Tar archives in the forms in which every reader finds the same members: ustar, pax, GNU's long names."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from typing import Final

from .room import Uneven

_BLOCK: Final = 512
_MAGICS: Final = (b"ustar\x0000", b"ustar  \0")
_LONG: Final = 65_536
"""Bytes of a pax header or a long name that are read."""
_HARMLESS: Final = frozenset(
    ("mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "path", "linkpath", "comment")
)
"""Keys that a pax header may have: none for sizes, sparse files or another encoding."""
_RECORD: Final = re.compile(rb"(\d{1,5}) ([^=]{1,40})=")


def is_tar(data: memoryview) -> bool:
    """Tell whether a file starts with a tar header; its checksum decides, as it does for `tarfile`."""
    return _header(data, 0) is not None


def _header(data: memoryview, at: int) -> tarfile.TarInfo | None:
    try:
        return tarfile.TarInfo.frombuf(bytes(data[at : at + _BLOCK]), "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None


def members(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """Return the files with their names; raises `Uneven` if readers may find others."""
    at = 0
    while True:
        block = bytes(data[at : at + _BLOCK])
        if len(block) == _BLOCK and not any(block):
            if re.search(rb"[^\0]", data[at:]):
                raise Uneven("bytes after the end of a tar archive")
            return
        info = _header(data, at)
        if info is None:
            raise Uneven("a tar archive that breaks off")
        if block[257:265] not in _MAGICS or not re.fullmatch(rb"[0-7]{1,11}", block[124:136].strip(b"\0 ")):
            raise Uneven("a tar archive of an unusual kind")
        content = data[at + _BLOCK : at + _BLOCK + info.size]
        if len(content) != info.size:
            raise Uneven("a tar archive that breaks off")
        _check_kind(info, content)
        if info.isreg():
            yield info.name, content
        at += _BLOCK + -(-info.size // _BLOCK) * _BLOCK


def _check_kind(info: tarfile.TarInfo, content: memoryview) -> None:
    if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
        return
    if info.type in (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE) and not info.size:
        return
    if info.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK) and info.size <= _LONG:
        return
    if info.type not in (tarfile.XHDTYPE, tarfile.XGLTYPE) or info.size > _LONG:
        raise Uneven("a tar archive with a member of an unusual kind")
    at, raw = 0, bytes(content)
    while at < len(raw):
        found = _RECORD.match(raw, at)
        end = at + int(found[1]) if found else 0
        if not found or found[2].decode("latin-1") not in _HARMLESS or end <= found.end():
            raise Uneven("a tar archive with an unusual header")
        if raw[end - 1 : end] != b"\n":
            raise Uneven("a tar archive with an unusual header")
        at = end
