"""Zip and tar archives in the forms in which every reader finds the same members with the same content.

Readers of zip files disagree as soon as an archive states something twice: `zipfile` starts from the last
table of contents, torch looks for 64-bit records elsewhere and ignores the case of names, others walk
through the members' own headers. So an archive is followed only if its members are consecutive from byte 0,
the table follows them and ends the file, and both descriptions of a member agree. Tar archives are followed
as ustar, pax, and with GNU's long names.
"""

from __future__ import annotations

import re
import struct
import tarfile
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from .room import Uneven

_END: Final = struct.Struct("<4s4H2IH")
_LOCATOR: Final = struct.Struct("<4sIQI")
_END64: Final = struct.Struct("<4sQ2H2I4Q")
_ENTRY: Final = struct.Struct("<4s6H3I5H2I")
_LOCAL: Final = struct.Struct("<4s5H3I2H")
_DESCRIPTORS: Final = (struct.Struct("<4s3I"), struct.Struct("<4sI2Q"))
_TAIL: Final = 65_535 + _END.size
"""Bytes at the end of a file in which readers look for the end of a table."""
_FULL: Final = 0xFFFF_FFFF
_FLAGS: Final = 0b1000_0000_1110
"""Flags that a member may have: the compression level, a descriptor behind it, a name in UTF-8."""
_DESCRIBED: Final = 0b1000
METHODS: Final = {0: None, 8: "deflate", 12: "bz2"}
_EXTRAS: Final = frozenset((1, 0x000A, 0x4246, 0x5455, 0x7855, 0x7875, 0xCAFE))
"""Extra fields without effect on names and content: times, owners, torch's padding, Java's mark."""


class Member(NamedTuple):
    """One file of an archive: its name, the place of its bytes, their compression, their unpacked size."""

    name: str
    start: int
    packed: int
    method: int
    size: int
    crc: int


def is_zip(data: memoryview) -> bool:
    """Tell whether any reader would recognize an archive: by its start, or by its end."""
    return bytes(data[:4]) in (b"PK\3\4", b"PK\5\6") or b"PK\5\6" in bytes(data[-_TAIL:])


def zip_members(data: memoryview) -> Iterator[Member]:
    """Return the members in their order; raises `Uneven` if readers may find others."""
    count, start, stop = _table(data)
    at, place = start, 0
    names: set[bytes] = set()
    for _ in range(count):
        if at + _ENTRY.size > stop:
            raise Uneven("a table of contents that is too short")
        entry = _ENTRY.unpack_from(data, at)
        first = at + _ENTRY.size
        name = bytes(data[first : first + entry[10]])
        extra = bytes(data[first + entry[10] : first + entry[10] + entry[11]])
        at = first + sum(entry[10:13])
        member, behind = _member(data, entry, name, extra, place)
        if name.lower() in names or not name or b"\0" in name:
            raise Uneven("members with one name, or with none")
        names.add(name.lower())
        yield member
        place = behind
    if at != stop or place != start:
        raise Uneven("bytes that belong to no member")


def _table(data: memoryview) -> tuple[int, int, int]:
    """Find the table of contents: the number of its entries, its start, its end."""
    stop = len(data) - _END.size
    if stop < 0 or bytes(data[stop : stop + 4]) != b"PK\5\6":
        raise Uneven("no table of contents at its end")
    _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(data, stop)
    if bytes(data[max(0, stop - _LOCATOR.size) :][:4]) == b"PK\6\7":
        _, _, where, _ = _LOCATOR.unpack_from(data, stop - _LOCATOR.size)
        stop -= _LOCATOR.size + _END64.size
        if where != stop or bytes(data[max(0, stop) :][:4]) != b"PK\6\6":
            raise Uneven("a table of contents of 64 bits that is not where it is said to be")
        long = _END64.unpack_from(data, stop)
        short = (disk, first_disk, here, count, length, start)
        fits = all(a == b or a in (0xFFFF, _FULL) for a, b in zip(short, long[4:], strict=True))
        if not fits or long[1] != _END64.size - 12:
            raise Uneven("two tables of contents that differ")
        disk, first_disk, here, count, length, start = long[4:]
    if disk or first_disk or comment or here != count or start + length != stop:
        raise Uneven("a table of contents that does not fit")
    return count, start, stop


def _member(
    data: memoryview, entry: tuple[Any, ...], name: bytes, extra: bytes, place: int
) -> tuple[Member, int]:
    """Check that a member is in its place, with two equal descriptions; return the offset of its end."""
    _, _, _, flags, method, _, _, crc, packed, size, _, _, _, disk, _, _, offset = entry
    size, packed, offset = _long(extra, size, packed, offset)
    if entry[0] != b"PK\1\2" or disk or offset != place:
        raise Uneven("members that do not follow each other")
    if flags & ~_FLAGS or method not in METHODS:
        raise Uneven(f"a member that is encrypted, or packed by a method that is not looked into ({method})")
    if place + _LOCAL.size > len(data):
        raise Uneven("a member that is not there")
    local = _LOCAL.unpack_from(data, place)
    first = place + _LOCAL.size
    start = first + local[9] + local[10]
    own = bytes(data[first : first + local[9]])
    sizes = _long(bytes(data[first + local[9] : start]), local[8], local[7], again=True)
    if local[0] != b"PK\3\4" or local[2:4] != (flags, method) or own != name:
        raise Uneven("a member whose two descriptions differ")
    behind = start + packed
    if flags & _DESCRIBED:
        behind += _descriptor(data, behind, (crc, packed, size))
    said, true = (local[6], *sizes), (crc, size, packed)
    if said != true and not (flags & _DESCRIBED and not any(said)):
        raise Uneven("a member whose two descriptions differ")
    if method == 0 and packed != size:
        raise Uneven("a member whose sizes differ")
    shown = name.decode("utf-8" if flags & 0x800 else "cp437", "replace")
    return Member(shown, start, packed, method, size, crc), behind


def _descriptor(data: memoryview, at: int, said: tuple[int, int, int]) -> int:
    for form in _DESCRIPTORS:
        if at + form.size <= len(data) and form.unpack_from(data, at) == (b"PK\7\x08", *said):
            return form.size
    raise Uneven("a member whose two descriptions differ")


def _long(extra: bytes, *short: int, again: bool = False) -> tuple[int, ...]:
    """Read numbers that are too long for their fields from an extra field, which holds nothing else.

    With `again`, it may repeat the numbers of the fields, as older Pythons did in numpy's files.
    """
    at, found = 0, None
    while at < len(extra):
        tag, length = struct.unpack_from("<2H", extra, at) if at + 4 <= len(extra) else (0, 0)
        content = extra[at + 4 : at + 4 + length]
        if tag not in _EXTRAS or len(content) != length or (tag == 1 and found is not None):
            raise Uneven("extra fields that readers may take for something else")
        found = content if tag == 1 else found
        at += 4 + length
    long = sum(number == _FULL for number in short)
    if again and not long and found == struct.pack(f"<{len(short)}Q", *short):
        return short
    if len(found or b"") != 8 * long:
        raise Uneven("sizes of 64 bits that do not fit")
    rest = iter(struct.unpack(f"<{long}Q", found or b""))
    return tuple(next(rest) if number == _FULL else number for number in short)


def zip_members_by_headers(data: memoryview, most: int) -> Iterator[Member]:
    """Return possible members of an archive that is not followed, by their own headers, for a warning."""
    places = [found.start() for found in re.finditer(b"PK\3\4", data)][:most]
    for place, behind in zip(places, [*places[1:], len(data)], strict=False):
        if place + _LOCAL.size > len(data):
            return
        local = _LOCAL.unpack_from(data, place)
        start = place + _LOCAL.size + local[9] + local[10]
        name = bytes(data[place + _LOCAL.size :][: local[9]]).decode("utf-8", "replace")
        yield Member(name, start, max(0, behind - start), local[3], -1, 0)


# -- tar -------------------------------------------------------------------------------------------------

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


def tar_members(data: memoryview) -> Iterator[tuple[str, memoryview]]:
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
