"""Pickles by hand: what is pushed, called and built, as a tree that becomes opcodes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FIRED: Final = "canning.fired"
"""The audit event that an attack raises which runs code of its own."""
CODE: Final = f"__import__('sys').audit('{FIRED}')"
"""Python that raises it."""
PORT: Final = 9
"""Of this machine, where nothing answers: that somebody tried to connect is what counts."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Where attacks leave their traces: files that were laid out for them, and a mark that none has left.

    In strings of an attack ``$MARK`` stands for the mark's path, ``$LAID`` for the folder of these files.
    """

    laid: Path
    mark: Path

    def fill(self, text: str) -> str:
        """Put the paths into a string."""
        return text.replace("$MARK", str(self.mark)).replace("$LAID", str(self.laid))


@dataclass(frozen=True, slots=True)
class Raw:
    """Opcodes as they are."""

    ops: bytes


@dataclass(frozen=True, slots=True)
class Name:
    """What ``module:name`` names, by STACK_GLOBAL."""

    target: str


class Call:
    """A call by REDUCE, of a name or of what another expression gives."""

    def __init__(self, target: Any, *args: Any) -> None:
        self.target = Name(target) if isinstance(target, str) else target
        self.args = args


@dataclass(frozen=True, slots=True)
class Apply:
    """A call by REDUCE with arguments that another expression gives as a tuple."""

    target: Any
    args: Any


@dataclass(frozen=True, slots=True)
class Build:
    """An object and the state that BUILD gives it."""

    obj: Any
    state: Any


class Seq:
    """Expressions one behind the other; all but the last are dropped again."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts


@dataclass(frozen=True, slots=True)
class Made:
    """A value that can only be made where the attack runs: of code, say, or of a file's content."""

    make: Callable[[Ground], Any]


def push(value: Any, ground: Ground) -> bytes:
    """Give the opcodes that put a value on the stack."""
    match value:
        case Raw():
            return value.ops
        case Made():
            return push(value.make(ground), ground)
        case Name():
            module, _, name = value.target.partition(":")
            return text(module) + text(name) + b"\x93"
        case Call():
            return push(value.target, ground) + push(tuple(value.args), ground) + b"R"
        case Apply():
            target = Name(value.target) if isinstance(value.target, str) else value.target
            return push(target, ground) + push(value.args, ground) + b"R"
        case Build():
            return push(value.obj, ground) + push(value.state, ground) + b"b"
        case Seq():
            return b"0".join(push(part, ground) for part in value.parts)
        case tuple() | list() | dict():
            return _container(value, ground)
        case str():
            return text(ground.fill(value))
    return scalar(value)


def _container(value: Any, ground: Ground) -> bytes:
    if isinstance(value, dict):
        items = b"".join(push(key, ground) + push(item, ground) for key, item in value.items())
        return b"}(" + items + b"u"
    items = b"".join(push(item, ground) for item in value)
    return b"(" + items + b"t" if isinstance(value, tuple) else b"](" + items + b"e"


def text(value: str) -> bytes:
    """Push a string."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(raw)]) + raw if len(raw) < 256 else b"X" + struct.pack("<I", len(raw)) + raw


def scalar(value: Any) -> bytes:
    """Push a number, bytes, or a constant."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
    raise TypeError(f"{type(value).__name__} has no opcode")


def assemble(value: Any, ground: Ground) -> bytes:
    """Make a whole pickle; `Raw` at the top is the whole pickle already."""
    if isinstance(value, Raw):
        return value.ops
    return b"\x80\x05" + push(value, ground) + b"."
