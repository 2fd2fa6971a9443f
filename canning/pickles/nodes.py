"""Nodes, which replace objects while a pickle is followed without running it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

SHORT: Final = 4096
"""Bytes up to which a string is kept; of a longer one, its size and its digest are kept."""
LONG: Final = 32
"""Bytes from which a string that is written out twice is reported."""

MADE: Final = "(made by a call)"
"""The value of a part of a name that depends on the objects that the stream makes."""


class Break(Exception):
    """Raised where the unpickler would stop, with the reason."""


class Limit(Break):
    """Raised where a limit of this reader ends it, though the unpickler may go on."""


class Blob(NamedTuple):
    """A long string or bytes object: its type, the offset of its content, its length, and its digest."""

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
    """One container, name, call, or any other object that is not a scalar.

    Attributes:
        kind: ``list``, ``tuple``, ``dict``, ``set``, ``frozenset``, ``bytearray``, ``name``, ``call``,
            ``new``, ``persistent``, ``extension``, ``buffer``.
        at: the offset of its opcode.
        items: the items, in a list if more may follow; keys and values alternate; for a call its target,
            the tuple of its arguments, and possibly keywords.
        more: items appended to, or set in, the result of a call; `pairs` tells whether as keys and values.
        states: the states that BUILD sets.
        value: a `Named` for a name, a persistent id, the number of a buffer.
        depth: the depth of nested containers.
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
        """The arguments of a call, as far as they are known; do not change them."""
        holder = self.items[1] if self.kind in ("call", "new") and self.items else None
        return (holder.items or ()) if type(holder) is Node and holder.kind == "tuple" else ()

    @property
    def target(self) -> tuple[str, str] | None:
        """Module and name of a call's target, if known."""
        if self.kind in ("call", "new") and self.items and type(self.items[0]) is Node:
            found = self.items[0]
            return (found.value.module, found.value.name) if found.kind == "name" else None
        return None


class Named:
    """A name that a pickle asks for, with its uses."""

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
        """Record a call."""
        self.calls += 1
        if self.place is None:
            self.place, self.arguments = node, arguments


def text(raw: memoryview, at: int) -> str | Blob:
    """Decode a string, or describe a long one."""
    if len(raw) <= SHORT:
        return str(raw, "utf-8", "surrogatepass")
    return blob("str", raw, at)


def blob(kind: str, raw: memoryview, at: int) -> Blob:
    """Describe a long string or bytes object."""
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
