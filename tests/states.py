"""The states of registered types, as ``docs/states.md`` specifies them, and what headers hold of them.

The page's blocks of code are lines ``name = type``, in the notation that the page explains. `Header` reads a
header without running it, and `match` tells whether a state is of a type, and by which of its parts.
"""

from __future__ import annotations

import itertools
import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

PAGE: Final = Path(__file__).parents[1] / "docs" / "states.md"
_BLOCK: Final = re.compile(r"^```states\n(.*?)^```", re.MULTILINE | re.DOTALL)
_TOKEN: Final = re.compile(r'\s*(array\[[^\]]*\]|"[^"]*"|->|\.\.\.|[A-Za-z_][\w./]*|[()\[\]{},:?])')

# -- what headers hold -----------------------------------------------------------------------------------


class Call:
    """Stand for what a header makes by calling a name."""

    name = ""

    def __new__(cls, *args: Any) -> Call:
        call = super().__new__(cls)
        call.args = args
        return call

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: object) -> None:
        """Leave attributes aside."""

    def __setitem__(self, key: object, value: object) -> None:
        """Leave items aside."""

    def append(self, item: object) -> None:
        """Leave items aside."""

    def extend(self, items: object) -> None:
        """Leave items aside."""


class Header(pickle.Unpickler):
    """Read a header: `registered` has the arguments of ``canning.calls.registered``, `names` all it names."""

    def __init__(self, frame: Any) -> None:
        import io

        super().__init__(io.BytesIO(bytes(frame)), buffers=itertools.repeat(b""))
        self.registered: list[tuple[Any, ...]] = []
        self.names: set[str] = set()
        self.load()

    def find_class(self, module: str, name: str) -> Any:
        """Give a class of calls instead of what is named."""
        full = f"{module}.{name}"
        self.names.add(full)
        made: Any = type("Called", (Call,), {"name": full})
        if full != "canning.calls.registered":
            return made

        def registered(*args: Any) -> Any:
            self.registered.append(args)
            return made(*args)

        return registered


# -- the notation ----------------------------------------------------------------------------------------


@dataclass(eq=False)
class Type:
    """A type of the notation: what it is, and the parts it is made of.

    Attributes:
        kind: ``word``, ``text``, ``array``, ``or``, ``tuple``, ``either``, ``list``, ``tuple of``, ``dict``
            or ``map``.
        text: the word, the text, or the dtypes.
        parts: the types within.
        fields: by the number of a part: its name, and whether it may be missing.
    """

    kind: str
    text: str = ""
    parts: tuple[Type, ...] = field(default=(), repr=False)
    fields: tuple[tuple[str, bool], ...] = ()

    def walk(self) -> Iterator[Type]:
        """Give it and all within."""
        yield self
        for part in self.parts:
            yield from part.walk()


class Parser:
    """Parse one type."""

    def __init__(self, text: str) -> None:
        self.tokens = [*_TOKEN.findall(text), ""]
        assert re.sub(_TOKEN, "", text).strip() == "", f"not in the notation: {text}"
        self.at = 0

    def next(self, *expected: str) -> str:
        token = self.tokens[self.at]
        assert not expected or token in expected, f"{token!r} instead of {expected}"
        self.at += 1
        return token

    def is_next(self, token: str, ahead: int = 0) -> bool:
        return self.tokens[self.at + ahead] == token

    def type(self) -> Type:
        options = [self.term()]
        while self.is_next("or"):
            self.next()
            options.append(self.term())
        return options[0] if len(options) == 1 else Type("or", parts=tuple(options))

    def term(self) -> Type:
        token = self.next()
        if token == "either":
            self.next("(")
            return self.fields("either", ")")
        if token == "(":
            return self.fields("tuple", ")")
        if token == "{":
            return self.fields("dict", "}")
        if token == "[":
            inner = self.type()
            self.next("]")
            return Type("list", parts=(inner,))
        if token.startswith("array["):
            return Type("array", token[6:-1])
        if token.startswith('"'):
            return Type("text", token[1:-1])
        assert re.fullmatch(r"[A-Za-z_][\w./]*", token), f"{token!r} is no type"
        return Type("word", token)

    def fields(self, kind: str, end: str) -> Type:
        parts, fields = [], []
        while not self.is_next(end):
            name, missing = "", False
            if self.is_next(":", 1) or self.is_next("?", 1):
                name = self.next()
                if self.is_next("?"):
                    missing = bool(self.next())
                self.next(":")
            parts.append(self.type())
            fields.append((name, missing))
            if self.is_next("...") or self.is_next("->"):
                kind = "tuple of" if self.next() == "..." else "map"
                parts += [self.type()] if kind == "map" else []
            if not self.is_next(end):
                self.next(",")
        self.next(end)
        return Type(kind, parts=tuple(parts), fields=tuple(fields))


def definitions(page: str) -> dict[str, Type]:
    """Parse the definitions of a page: a line that is indented continues the one before."""
    found: dict[str, Type] = {}
    for block in _BLOCK.findall(page):
        for line in filter(None, re.sub(r"\n +", " ", block).splitlines()):
            name, _, text = line.partition(" = ")
            assert name not in found, f"{name} is there twice"
            parser = Parser(text)
            found[name] = parser.type()
            parser.next("")
    return found


# -- whether a value is of a type ------------------------------------------------------------------------

_ZONES: Final = ("datetime.timezone", "zoneinfo.", "pytz.", "dateutil.tz.")
_ARRAYS: Final = tuple(f"canning.calls.{name}" for name in ("array", "objects", "strings"))


def name_of(value: object) -> str:
    """Tell what an object is called: a registered type, or what a header calls."""
    if not isinstance(value, Call):
        return ""
    return str(value.args[0]) if value.name == "canning.calls.registered" else value.name


WORDS: Final[dict[str, Callable[[Any], bool]]] = {
    "None": lambda value: value is None,
    **{
        kind.__name__: lambda value, kind=kind: type(value) is kind
        for kind in (bool, int, float, bytes, dict)
    },
    "text": lambda value: type(value) is str,
    "any": lambda value: True,
    "label": lambda value: True,
    "array": lambda value: name_of(value) in _ARRAYS,
    "zone": lambda value: name_of(value).startswith(_ZONES),
    "class": lambda value: isinstance(value, type),
}
"""The words that the page explains, and what is one."""
Met = frozenset[Type | tuple[Type, int, bool]]
"""The types that were met, and of parts that may be missing: which there were, and which not."""


class Matcher:
    """Match states with the types of a page."""

    def __init__(self, known: dict[str, Type]) -> None:
        self.known = known

    def match(self, kind: Type, value: Any) -> Met | None:
        """Tell which types a value meets; None if it is not of this one."""
        found: Met | None = getattr(self, "_" + kind.kind.replace(" ", "_"))(kind, value)
        return None if found is None else found | {kind}

    def _word(self, kind: Type, value: Any) -> Met | None:
        word = kind.text
        if word in WORDS:
            return frozenset() if WORDS[word](value) else None
        if "." in word:
            return frozenset() if name_of(value) == word else None
        return self.match(self.known[word], value)

    def _text(self, kind: Type, value: Any) -> Met | None:
        return frozenset() if value == kind.text else None

    def _array(self, kind: Type, value: Any) -> Met | None:
        if name_of(value) not in _ARRAYS or type(value.args[2]) is not str:
            return None
        code = value.args[2]
        fits = any(each in (code, np.dtype(code).kind) for each in kind.text.split(", "))
        return frozenset() if fits else None

    def _or(self, kind: Type, value: Any) -> Met | None:
        for part in kind.parts:
            found = self.match(part, value)
            if found is not None:
                return found
        return None

    def _tuple(self, kind: Type, value: Any) -> Met | None:
        return self._in_order(kind, 0, value) if type(value) is tuple else None

    def _either(self, kind: Type, value: Any) -> Met | None:
        return self._in_order(kind, 0, tuple(value)) if type(value) in (tuple, list) else None

    def _in_order(self, kind: Type, at: int, rest: tuple[Any, ...]) -> Met | None:
        if at == len(kind.parts):
            return None if rest else frozenset()
        missing = kind.fields[at][1]
        if rest:
            first = self.match(kind.parts[at], rest[0])
            others = None if first is None else self._in_order(kind, at + 1, rest[1:])
            if first is not None and others is not None:
                return first | others | ({(kind, at, True)} if missing else frozenset())
        others = self._in_order(kind, at + 1, rest) if missing else None
        return None if others is None else others | {(kind, at, False)}

    def _all(self, kind: Type, values: Any) -> Met | None:
        found: Met = frozenset()
        for value in values:
            each = self.match(kind, value)
            if each is None:
                return None
            found |= each
        return found

    def _list(self, kind: Type, value: Any) -> Met | None:
        return self._all(kind.parts[0], value) if type(value) is list else None

    def _tuple_of(self, kind: Type, value: Any) -> Met | None:
        return self._all(kind.parts[0], value) if type(value) is tuple else None

    def _map(self, kind: Type, value: Any) -> Met | None:
        if type(value) is not dict:
            return None
        both = self._all(kind.parts[0], value), self._all(kind.parts[1], value.values())
        return None if None in both else both[0] | both[1]  # type: ignore[operator]

    def _dict(self, kind: Type, value: Any) -> Met | None:
        names = [name for name, _ in kind.fields]
        if type(value) is not dict or not set(value) <= set(names):
            return None
        found: Met = frozenset()
        for at, (name, missing) in enumerate(kind.fields):
            if missing:
                found |= {(kind, at, name in value)}
            each = self.match(kind.parts[at], value[name]) if name in value else None
            if each is None and not (missing and name not in value):
                return None
            found |= each or frozenset()
        return found


def expected(kind: Type) -> Iterator[Type | tuple[Type, int, bool]]:
    """List all that objects should meet of a type."""
    for each in kind.walk():
        yield each
        for at, (_, missing) in enumerate(each.fields):
            if missing:
                yield each, at, True
            if (
                missing and each.kind == "tuple"
            ):  # writers in other languages leave out of a dict what ours write
                yield each, at, False
