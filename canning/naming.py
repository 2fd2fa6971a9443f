"""Names that a pickler does not write as it should: what leads nowhere, what was marked to go by value."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final

MAIN: Final = b"\x8c\x08__main__"
"""How a header names the module ``__main__``."""
_TEXT: Final = struct.Struct("<cI")


class StubsAhead(Exception):
    """Ask for names that lead nowhere to be written ahead of the object."""

    def __init__(self, classes: list[type]) -> None:
        self.classes = classes


def name_of(cls: type) -> bytes:
    """Give the opcodes that put a name into the memo."""
    parts = [text.encode("utf-8", "surrogatepass") for text in (cls.__module__, cls.__qualname__)]
    return b"".join(_TEXT.pack(b"X", len(part)) + part for part in parts) + b"\x93\x940"


def names_marked(body: bytes, marked: frozenset[tuple[str, str]], ahead: Iterable[type]) -> bool:
    """Tell whether a header seems to name something that was marked to go by value.

    `ahead` are classes that did.
    """
    names = marked.difference((cls.__module__, cls.__qualname__) for cls in ahead)
    return any(all(_short(part) in body for part in mark) for mark in names)


def _short(text: str) -> bytes:
    """Give the opcode of a short string; of a long one, its text."""
    raw = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else raw


def names_main(chunks: list[bytes], before: int) -> bool:
    """Tell whether a header seems to name something in ``__main__``, where no other process will find it.

    What stands `before` was written by value.
    """
    for chunk in chunks[before:] if before else chunks:  # noqa: SIM110 - a generator costs 1 µs more
        if MAIN in chunk:
            return True
    return False


def is_of_main(obj: Any) -> bool:
    """Tell whether a memo shows something of ``__main__`` that was written by name, or may have been."""
    return type(obj) is str and obj == "__main__"
