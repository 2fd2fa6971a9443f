"""Names that a pickler does not write as it should: what leads nowhere, what was marked to go by value."""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

MAIN: Final = b"\x8c\x08__main__"
"""How a header names the module ``__main__``."""
_TEXT: Final = struct.Struct("<cI")
_FRAME: Final = 0x95
_MARK: Final = 16
"""Bytes of a mark."""


class UnwrittenName:
    """Stand in a header, until it is done, for a name that leads nowhere, which no pickler writes.

    What is pickled in its place takes as many entries of the memo as the name does: module, name, and what
    these lead to; where the module was named before, the last two. So the header with the name in it is the
    one that a pickler makes where the name leads somewhere.

    Attributes:
        cls: what has the name.
        first: what had the first name of its module; None where that is `cls`.
        mark: a number that stands nowhere else.
    """

    def __init__(self, cls: type, first: type | None) -> None:
        self.cls = cls
        self.first = first
        self.mark = int.from_bytes(os.urandom(_MARK - 1) + b"\x01", "little")

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Give what is pickled as arguments of a call of memo entry 0."""
        return ((self.mark,),) if self.first is None else (self.mark,)

    def opcodes(self) -> bytes:
        """Give what a pickler writes for that call."""
        tuples = b"\x85\x94\x85\x94R" if self.first is None else b"\x85\x94R"
        return b"h\x00\x8a" + bytes([_MARK]) + self.mark.to_bytes(_MARK, "little") + tuples

    def name(self, memo: Mapping[int, tuple[int, Any]]) -> bytes:
        """Give what it writes for the name."""
        if self.first is None:
            module = _text(self.cls.__module__) + b"\x94"
        else:
            at = memo[id(self.first)][0] - 2
            module = bytes([0x68, at]) if at < 256 else b"j" + at.to_bytes(4, "little")
        return module + _text(self.cls.__qualname__) + b"\x94\x93"


def with_names(chunk: bytes, names: Iterable[UnwrittenName], memo: Mapping[int, tuple[int, Any]]) -> bytes:
    """Put names that lead nowhere into a chunk of a header, which is a FRAME and what follows."""
    for each in names:
        mark, name = each.opcodes(), each.name(memo)
        if mark in chunk:
            chunk = _with_frame_longer(chunk.replace(mark, name), len(name) - len(mark))
    return chunk


def _with_frame_longer(chunk: bytes, more: int) -> bytes:
    at = 2 if chunk[:2] == b"\x80\x05" else 0
    if chunk[at] != _FRAME:
        return chunk
    length = int.from_bytes(chunk[at + 1 : at + 9], "little") + more
    return chunk[: at + 1] + length.to_bytes(8, "little") + chunk[at + 9 :]


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else _TEXT.pack(b"X", len(raw)) + raw


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


def is_of_main(obj: Any) -> bool:
    """Tell whether a memo shows something of ``__main__`` that was written by name, or may have been."""
    return type(obj) is str and obj == "__main__"


def modules_asked(header: bytes, wanted: Callable[[str], bool]) -> list[str]:
    """List the modules that are here, are wanted, and that a header asks for.

    A string with the name of a module is none: what data says must not decide which files are sent.
    """
    found = [name for name in list(sys.modules) if _stands_in(name, header) and wanted(name)]
    if all(is_asked(name, header) for name in found):
        return found
    from .following.pickle_machine import (
        PickleMachine,  # in Python: a string is in the memo, or means something else
    )

    machine = PickleMachine(memoryview(header)).run()
    asked = {named.module for named in machine.names.values()}
    asked.update(call.args[0] for call in machine.calls if call.target in _IMPORTERS and call.args)
    return [name for name in found if name in asked]


def is_asked(name: str, header: bytes) -> bool:
    """Tell whether a name stands in a header as that of a module, the first time that it stands there."""
    raw = name.encode("utf-8", "surrogatepass")
    return re.search(re.escape(raw) + _ASKED, header, re.DOTALL) is not None


def _stands_in(name: str, header: bytes) -> bool:
    return len(name) < 256 and _short(name) in header


_ASKED: Final = rb"\x94(?:(?:\x8c.[^\x94]*\x94|h.|j....)\x93|\x85\x94R)"
"""What stands behind the module of a global, and behind that of `subimport`."""
_IMPORTERS: Final = frozenset(
    (("cloudpickle.cloudpickle", "subimport"), ("canning.functions", "make_function_of"))
)
