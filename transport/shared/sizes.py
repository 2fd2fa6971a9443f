"""How much, in bytes: what users write, and what they are told."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", re.IGNORECASE)


class ArenaStats(NamedTuple):
    """Say how an arena is doing.

    Attributes:
        capacity, used: bytes; a block takes whole pages. Messages that nobody opened in time do not count.
        blocks: those in use: with arrays of this process in them, on their way, or open at a consumer.
        consumers: processes that have the arena mapped.
        copied: payloads that were copied into the arena to be sent.
        in_place: payloads that were sent from where they were, in this arena or another.
        fallbacks: payloads that found no room and went as ordinary frames.
    """

    capacity: int
    used: int
    blocks: int
    consumers: int
    copied: int
    in_place: int
    fallbacks: int


def parse_size(size: int | str) -> int:
    """Read a number of bytes, as ``"1GiB"``, ``"64 MB"`` or an int; raises `ValueError` for anything else.

    >>> parse_size("1.5KiB"), parse_size("2 MB"), parse_size(7)
    (1536, 2000000, 7)
    """
    if isinstance(size, str):
        found = _SIZE.fullmatch(size)
        if found is None:
            raise ValueError(f"capacity={size!r} is no number of bytes: write it as '1GiB' or '64MB'")
        number, prefix, binary = found.groups()
        power = " kmgt".index(prefix.lower() or " ")
        size = int(float(number) * (1024 if binary else 1000) ** power)
    if size < 1:
        raise ValueError(f"capacity={size!r} is not a positive number of bytes")
    return size
