"""Exceptions of a script, as they were raised."""

from __future__ import annotations

import dataclasses
import sys
import threading
import traceback
from typing import Any

import numpy as np

from . import ask, write


class Coded(Exception):
    """Has a text that its ``__init__`` makes."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code


class Keywords(ValueError):
    def __init__(self, *, field: str, values: Any) -> None:
        super().__init__(f"bad {field}")
        self.field, self.values = field, values


class Two(Exception):
    def __init__(self, one: int, two: int) -> None:
        self.one, self.two = one, two

    def __str__(self) -> str:
        return f"{self.one} and {self.two}"


class NoFile(FileNotFoundError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "no such thing", path)
        self.kept = True


class Slotted(KeyError):
    __slots__ = ("where",)

    def __init__(self, where: str) -> None:
        super().__init__(where, "key")
        self.where = where


class Made(Exception):
    def __new__(cls, a: int, *, b: int) -> Any:
        made = super().__new__(cls, a)
        made.b = b  # type: ignore[attr-defined]
        return made

    def __init__(self, a: int, *, b: int) -> None:
        super().__init__(a + b)


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    a: int
    b: Any = None


class Reduced(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(a)
        self.b = b

    def __reduce__(self) -> Any:
        return Reduced, (self.args[0], self.b)


class Stateful(Exception):
    def __init__(self, a: Any) -> None:
        super().__init__("stateful")
        self.a = a
        self.seen = "a"

    def __setstate__(self, state: Any) -> None:
        self.a, self.seen = state["a"], sorted(state)[0]


class Open(Exception):
    """Has slots, answers for any name, and takes a state of attributes."""

    __slots__ = ("a", "never")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return "dynamic"


class Loaded(Open):
    def __init__(self, a: Any) -> None:
        super().__init__("loaded")
        self.a, self.own = a, 1

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)


class Undecodable(UnicodeDecodeError):
    def __init__(self, what: str) -> None:
        super().__init__("utf-8", what.encode(), 1, 2, "bad")
        self.what = what


class Many(ExceptionGroup):
    def __new__(cls, errors: Any) -> Any:
        return super().__new__(cls, "many", errors)

    def __init__(self, errors: Any) -> None:
        self.count = len(errors)

    def derive(self, errors: Any) -> Any:
        return Many(errors)


class Mixed(ValueError, OSError):
    """Has the memory of its second base."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()


def raised(
    error: BaseException, cause: BaseException | None = None, note: str | None = None
) -> BaseException:
    try:
        try:
            if cause is not None:
                raise cause
            raise error
        except BaseException as first:
            if cause is None:
                raise
            raise error from first
    except BaseException as got:
        if note is not None:
            got.add_note(note)
        return got


def in_context(error: BaseException, context: BaseException, *, hide: bool = False) -> BaseException:
    try:
        try:
            raise context
        except BaseException:
            if hide:
                raise error from None
            raise error  # noqa: B904 - which is what is asked for
    except BaseException as got:
        return got


def deep(count: int) -> None:
    if not count:
        raise Coded("deep")
    deep(count - 1)


def caught(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError


def whole(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line for line in lines if line.strip(" ~^"))


def main() -> None:
    for error in (
        Coded("bad", 5),
        Keywords(field="x", values=np.arange(3)),
        Two(1, 2),
        NoFile("/nowhere"),
        Slotted("here"),
        Made(1, b=2),
        Frozen(1, "b"),
        Reduced(1, 2),
        Stateful([1]),
        Loaded(2),
        Undecodable("abc"),
        Mixed("both"),
        Many([ValueError(1), Coded("in a group")]),
        ValueError("plain", 1),
        OSError(13, "denied", "a", None, "b"),
        StopIteration(4),
        SystemExit(3),
        ImportError("gone", name="gone", path="p"),
        SyntaxError("bad", ("f", 1, 2, "text", 1, 3)),
    ):
        ask(
            f"{type(error).__name__} alone",
            error,
            lambda e: (type(e).__name__, str(e), repr(e.args), state(e)),
        )
        ask(
            f"{type(error).__name__} raised",
            raised(error, None, None if isinstance(error, Frozen) else "a note"),
            lambda e: (whole(e), state(e)),
        )
    ask("a cause", raised(Coded("outer"), Two(3, 4), "noted"), lambda e: (whole(e), str(e.__cause__)))
    ask("a context", in_context(Coded("outer"), Keywords(field="f", values=1)), lambda e: whole(e))
    ask(
        "a hidden one",
        in_context(Coded("outer"), ValueError(1), hide=True),
        lambda e: (whole(e), e.__context__.args),
    )
    ask(
        "names",
        [caught(lambda: nothing), caught(lambda: (1).nothing)],  # type: ignore[name-defined, attr-defined] # noqa: F821
        lambda got: [(e.name, whole(e)) for e in got],
    )
    ask("a long way", caught(deep, 300), lambda e: len(traceback.extract_tb(e.__traceback__)))
    ask(
        "too long a way",
        caught(deep, 700),
        lambda e: len(traceback.extract_tb(e.__traceback__)) in (400, 702),
    )
    ask("a cause that cannot be sent", [raised(Coded("outer"), Locked())], lambda got: str(got[0]))
    ask("a traceback", raised(Coded("x")).__traceback__, lambda tb: traceback.extract_tb(tb)[-1].name)
    one, other = Coded("one"), Coded("other")
    one.__cause__, other.__context__ = other, one
    ask("a circle", one, lambda e: e.__cause__.__context__ is e)
    ask("a thing in common", [one, [one]], lambda got: got[1][0] is got[0])


def state(error: BaseException) -> Any:
    parts = {name: repr(value) for name, value in vars(error).items()}
    for name in (
        "errno",
        "filename",
        "filename2",
        "value",
        "code",
        "name",
        "lineno",
        "where",
        "a",
        "never",
        "object",
        "exceptions",
    ):
        parts[name] = repr(getattr(error, name, None))
    return sorted(parts.items())


if __name__ == "__main__":
    main()
    write(*sys.argv[1:])
