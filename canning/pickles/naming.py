"""Names in a header that lead nowhere else, were marked to go by value, or are those of modules."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Final

from ..wire.names import CALLS

MAIN: Final = b"\x8c\x08__main__"
"""How a header names the module ``__main__``."""


def names_marked(body: bytes, marked: frozenset[tuple[str, str]]) -> bool:
    """Tell whether a header seems to name something that was marked to go by value."""
    return any(all(_short(part) in body for part in mark) for mark in marked)


def _short(text: str) -> bytes:
    """Give the opcode of a short string; of a long one, its text."""
    raw = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else raw


def modules_asked(header: bytes, wanted: Callable[[str], bool]) -> list[str]:
    """List the modules that are here, are wanted, and that a header asks for.

    A string with the name of a module is none: what data says must not decide which files are sent.
    """
    found = [name for name in list(sys.modules) if _stands_in(name, header) and wanted(name)]
    if all(is_asked(name, header) for name in found):
        return found
    from .machine import PickleMachine  # few headers need it, and its import takes a while

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
"""What follows the module of a global, and behind that of `subimport`."""
_IMPORTERS: Final = frozenset((("cloudpickle.cloudpickle", "subimport"), (CALLS, "function_of")))
