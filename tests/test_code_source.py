"""Functions that travel as source, and messages with code of another version of Python."""

from __future__ import annotations

import asyncio
import collections
import copyreg
import dataclasses
import functools
import linecache
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest

import canning
from canning import DeserializationError, SerializationError, Serializer
from canning.code.code_source import compile_code
from canning.wire.trailer import CODE

from .harness import elsewhere

SOURCE = Serializer(by_value_as="source")
FACTOR = 3


def through(obj: Any) -> Any:
    frames = SOURCE.serialize_object(obj)
    assert not frames[0][-15] & CODE
    with elsewhere():
        return SOURCE.deserialize_object(frames)[0]


def functions() -> dict[str, tuple[Callable[[], Any], Any]]:
    """Give functions that are local, and so travel by value, each with what it returns."""
    step = 10
    pair = (lambda: 1 + step, lambda: 2 + step)

    def plain() -> str:
        """Say something.

        Keep this indentation.
        """
        return "plain"

    def documented() -> Any:
        return plain.__doc__

    def defaults(a: int = 1, *, b: Any = (lambda: 2), c: int = FACTOR) -> Any:
        return a + b() + c

    def recursive(n: int = 4) -> int:
        return n * recursive(n - 1) if n else 1

    def inner() -> Any:
        def deeper(x: int) -> int:
            return x + step

        return [deeper(each) for each in range(3)]

    def generator() -> Any:
        yield from (each * step for each in (1, 2))

    async def coroutine() -> int:
        await asyncio.sleep(0)
        return step

    @functools.wraps(plain)
    def decorated() -> str:
        return plain() + "!"

    class Base:
        def __init__(self) -> None:
            self.__secret = step

        def value(self) -> int:
            return self.__secret

        @property
        def twice(self) -> int:
            return 2 * self.value()

    class Derived(Base):
        def value(self) -> int:
            get = lambda: super(Derived, self).value()  # noqa: E731 - a lambda is what is tested
            return get() + super().value() + len(__class__.__name__)  # type: ignore[name-defined]

    return {
        "plain": (plain, "plain"),
        "documented": (documented, plain.__doc__),
        "lambda": (lambda: step + FACTOR, 13),
        "two on a line": (lambda: [each() for each in pair], [11, 12]),
        "defaults": (defaults, 6),
        "recursive": (recursive, 24),
        "inner": (inner, [10, 11, 12]),
        "generator": (lambda: list(generator()), [10, 20]),
        "coroutine": (lambda: asyncio.run(coroutine()), 10),
        "decorated": (decorated, "plain!"),
        "class": (lambda: Base().twice, 20),
        "super": (lambda: Derived().value(), 27),
        "walrus": (lambda: (y := step) + y, 20),
        "strings": (lambda: f"{step!r:>4}" + "\n" + '"' + "é", '  10\n"é'),
    }


@pytest.mark.parametrize("name", functions())
def test_functions_do_the_same(name: str) -> None:
    function, expected = functions()[name]
    assert function() == expected
    assert through(function)() == expected


def test_what_else_belongs_to_a_function() -> None:
    def f(a: int, *, b: str = "b") -> str:
        "Say."
        return str(a) + b

    f.note = 3  # type: ignore[attr-defined]
    got = through(f)
    assert (got.__name__, got.__qualname__, got.__doc__, got.note) == (f.__name__, f.__qualname__, "Say.", 3)
    assert got.__annotations__ == f.__annotations__
    assert got(1) == "1b"
    assert got.__code__.co_qualname == f.__code__.co_qualname


def test_tracebacks_show_the_source() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose") as got:
        through(fail)()
    assert "raise ValueError('on purpose')" in "".join(traceback.format_exception(got.value))


def test_what_was_received_as_source_can_be_sent_on() -> None:
    step = 2
    again = through(lambda: step)
    assert through([again])[0]() == 2


def test_what_has_no_source_is_refused() -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec("def made(): return 1", namespace)
    with pytest.raises(SerializationError, match=r"^obj\['f'\]: made cannot travel as source.*by_value_as"):
        SOURCE.serialize_object({"f": namespace["made"]})


def test_source_that_has_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("def f():\n    return 1\n")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    assert through(namespace["f"])() == 1
    path.write_text("def f():\n    return 12345\n")
    with pytest.raises(SerializationError, match="f cannot travel as source"):
        SOURCE.serialize_object(namespace["f"])


@pytest.mark.parametrize(("text", "way"), [("def f(:", ("f",)), ("def f(): pass", ("g",))])
def test_source_that_does_not_compile_here(text: str, way: tuple[str, ...]) -> None:
    with pytest.raises(DeserializationError, match="does not compile here"):
        compile_code(text, way, "f")


def test_received_source_stays_when_lines_are_checked() -> None:
    code = compile_code("def f(): return 1", ("f",), "f")
    linecache.checkcache(code.co_filename)
    assert linecache.getline(code.co_filename, 1) == "def f(): return 1"
    assert types.FunctionType(code, {})() == 1


# -- versions --------------------------------------------------------------------------------------------


def test_what_others_tell_copyreg_about_code_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(copyreg.dispatch_table, types.CodeType, lambda code: (print, ()))
    assert canning.deserialize_object(canning.serialize_object(lambda: 1))[0]() == 1
    assert through(lambda: 2)() == 2


def test_statements_on_one_line(tmp_path: Path) -> None:
    """The lines on which statements are decide how some versions of Python compile them."""
    path = tmp_path / "lines.py"
    path.write_text(
        "def f(x):\n    y = x; z = y; return z\n\n"
        "def g(x):\n    match x:\n        case {'a': [1, *rest]}: return rest\n        case _: return 0\n\n"
        "async def h():\n    for i in range(3): yield i\n"
    )
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    f, g, _ = through([namespace[name] for name in "fgh"])
    assert (f(1), g({"a": [1, 2]}), g(2)) == (1, [2], 0)


def test_dataclasses_are_made_again() -> None:
    @dataclasses.dataclass(order=True)
    class Point:
        """Be a point."""

        x: int
        y: list[int] = dataclasses.field(default_factory=list, compare=False)
        z: int = dataclasses.field(default=3, repr=False, kw_only=True, metadata={"unit": "m"})
        count: ClassVar[int] = 0
        extra: dataclasses.InitVar[int] = 4

        def __post_init__(self, extra: int) -> None:
            self.y.append(extra)

    @dataclasses.dataclass(frozen=True, slots=True)
    class Frozen:
        w: float = 1.5

    @dataclasses.dataclass(eq=False, repr=False, match_args=False)
    class Bare:
        v: int

        def __repr__(self) -> str:
            return "bare"

    @dataclasses.dataclass
    class Words:
        a: int
        _: dataclasses.KW_ONLY
        b: int = 2

    sent = Point(1), Bare(1), Words(1, b=3)
    point, bare, words = through(sent)
    cls, _, kinds = type(point), type(bare), type(words)
    assert repr(point) == repr(sent[0])
    assert point == cls(1, extra=5) < cls(2) != cls(1, z=4)
    assert (cls.__doc__, cls.z, cls.count, cls.__match_args__) == ("Be a point.", 3, 0, Point.__match_args__)
    assert [(each.name, each.type) for each in dataclasses.fields(cls)] == [
        (each.name, each.type) for each in dataclasses.fields(Point)
    ]
    assert dataclasses.fields(cls)[2].metadata == {"unit": "m"}
    assert dataclasses.replace(point, x=7, extra=1).x == 7
    assert cls.__hash__ is None
    assert repr(bare) == "bare"
    assert bare != type(bare)(1)
    assert not hasattr(type(bare), "__match_args__")
    assert words.b == 3
    with pytest.raises(TypeError):
        kinds(1, 2)
    assert SOURCE.deserialize_object(SOURCE.serialize_object(cls))[0] is cls


def test_dataclasses_that_inherit_are_made_again() -> None:
    @dataclasses.dataclass
    class Base:
        x: int
        y: str = "y"

    @dataclasses.dataclass
    class Derived(Base):
        y: str = "other"
        z: list[int] = dataclasses.field(default_factory=list)

    class Plain(Derived):
        pass

    got = through([Derived(1), Plain(2)])
    assert repr(got) == repr([Derived(1), Plain(2)])
    derived, plain = map(type, got)
    assert plain.__mro__[1] is derived
    assert [each.name for each in dataclasses.fields(derived)] == ["x", "y", "z"]
    assert derived.__mro__[1](5).y == "y"
    assert [each.type for each in dataclasses.fields(derived)] == [
        each.type for each in dataclasses.fields(Derived)
    ]


def test_frozen_dataclasses_with_slots_are_made_again() -> None:
    @dataclasses.dataclass(frozen=True, slots=True, unsafe_hash=False)
    class Frozen:
        v: float
        w: tuple[int, ...] = (1,)

    frozen = through(Frozen(2.5))
    assert (frozen.v, frozen.w) == (2.5, (1,))
    assert hash(frozen) == hash(type(frozen)(2.5))
    assert not hasattr(frozen, "__dict__")
    for name in ("v", "other"):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
            setattr(frozen, name, 1)


MADE = [lambda i=i: i for i in range(3)]
LAZY = list((lambda x: (x, i)) for i in range(2))  # noqa: B023, C400 - which is what is asked for
KEYED = {k: [lambda: (k, i) for i in range(2)] for k in range(2)}  # noqa: B023


class Within:
    __hidden = 3
    each = [lambda self: self.__hidden for _ in range(2)]  # noqa: RUF012
    lazy = list((lambda self: (self.__hidden, k)) for k in range(2))  # noqa: B023, C400, RUF012

    def bound(self) -> Any:
        return [lambda: (self.__hidden, __class__, i) for i in range(2)][1]  # type: ignore[name-defined] # noqa: B023


@pytest.mark.parametrize(
    ("function", "args"),
    [
        *((f, ()) for f in MADE),
        *((f, (5,)) for f in LAZY),
        *((f, ()) for f in KEYED[1]),
        *((f, (Within(),)) for f in Within.each + Within.lazy),
        (Within().bound(), ()),
        ((lambda a: [(lambda: (lambda: a)()) for _ in range(1)])(4)[0], ()),
    ],
)
def test_lambdas_within_comprehensions_as_source(function: Any, args: Any) -> None:
    assert through(function)(*args) == function(*args)


def test_named_tuples_as_source() -> None:
    class Pair(NamedTuple):
        a: int
        b: str = "b"

    pair, single = through((Pair(1), collections.namedtuple("Single", "q")(3)))
    assert (pair, pair.b, type(pair)(2, "c"), single.q) == ((1, "b"), "b", (2, "c"), 3)


@pytest.mark.parametrize("option", ["by_value_as", "on_version_mismatch"])
def test_words_that_options_do_not_know(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}='what' is not one of"):
        Serializer(**{option: "what"})  # type: ignore[arg-type]
