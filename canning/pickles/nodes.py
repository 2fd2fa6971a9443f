"""What stands instead of objects while a pickle is followed without running it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

SHORT: Final = 4096
"""Bytes of a string up to which it is kept; of a longer one, its size and its digest."""
LONG: Final = 32
"""Bytes from which the same string, written out twice, is worth a word."""

MADE: Final = "(made by a call)"
"""What stands for a part of a name that nobody knows before the stream is read."""


class Break(Exception):
    """Say that the unpickler would stop here, and why."""


class Limit(Break):
    """Say that a limit of this reader ends it, where the unpickler may go on."""


class Blob(NamedTuple):
    """A long string or bytes object: what it is, where its content starts, its bytes, and their digest."""

    kind: str
    at: int
    nbytes: int
    digest: bytes

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return type(other) is Blob and (self.kind, self.digest) == (other.kind, other.digest)


Text = str | bytes | Blob


class Node:
    """One container, name, call, or whatever else is no scalar.

    Attributes:
        kind: ``list``, ``tuple``, ``dict``, ``set``, ``frozenset``, ``bytearray``, ``name``, ``call``,
            ``new``, ``persistent``, ``extension``, ``buffer``.
        at: the offset of its opcode.
        items: what it holds, a list of what may become more; keys and values in turns; of a call its target,
            the tuple of its arguments, and maybe keywords.
        more: what is appended to, or set in, what a call gave; `pairs` tells whether keys and values.
        states: what BUILD sets.
        value: a `Named` for a name, what stands for a persistent id, the number of a buffer.
        depth: of containers within.
    """

    __slots__ = ("at", "depth", "items", "kind", "more", "pairs", "states", "value")

    def __init__(self, kind: str, at: int, items: Any = None) -> None:
        self.kind = kind
        self.at = at
        self.items: Any = items
        self.more: list[Any] | None = None
        self.pairs = False
        self.states: list[Any] | None = None
        self.value: Any = None
        self.depth = 0

    @property
    def args(self) -> Sequence[Any]:
        """The arguments of a call, as far as they are known; not to be changed."""
        holder = self.items[1] if self.kind in ("call", "new") and self.items else None
        return (holder.items or ()) if type(holder) is Node and holder.kind == "tuple" else ()

    @property
    def target(self) -> tuple[str, str] | None:
        """Module and name of what is called, where that is known."""
        if self.kind in ("call", "new") and self.items and type(self.items[0]) is Node:
            found = self.items[0]
            return (found.value.module, found.value.name) if found.kind == "name" else None
        return None


class Named:
    """Something that a pickle asks for by name, and how often and for what."""

    __slots__ = ("arguments", "at", "calls", "count", "module", "name", "node", "place")

    def __init__(self, module: str, name: str, at: int) -> None:
        self.module = module
        self.name = name
        self.at = at
        self.count = 0
        self.calls = 0
        self.arguments: int | None = None
        self.node: Node | None = None
        self.place: Node | None = None

    @property
    def dotted(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"

    def called(self, node: Node, arguments: int) -> None:
        """Note a call."""
        self.calls += 1
        if self.place is None:
            self.place, self.arguments = node, arguments


def text(raw: memoryview, at: int) -> str | Blob:
    """Decode a string, or keep what is to know about a long one."""
    if len(raw) <= SHORT:
        return str(raw, "utf-8", "surrogatepass")
    return blob("str", raw, at)


def blob(kind: str, raw: memoryview, at: int) -> Blob:
    """Keep what is to know about a long string or bytes object."""
    return Blob(kind, at, len(raw), hashlib.blake2b(raw, digest_size=16).digest())


def size_of(value: object) -> int | None:
    """Count the bytes of a string or bytes object; None for anything else."""
    if type(value) is Blob:
        return value.nbytes
    if type(value) is bytes:
        return len(value)
    if type(value) is str:
        return len(value.encode("utf-8", "surrogatepass"))
    if type(value) is Node and value.kind == "bytearray":
        return size_of(value.value)
    return None
