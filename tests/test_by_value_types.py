"""What the standard library makes in a script, and nobody else can import, goes by value."""

from __future__ import annotations

import ctypes
import functools
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, AnyStr, Generic, NamedTuple, NewType, ParamSpec, TypeVar, TypeVarTuple

import pytest

import canning

from .harness import elsewhere


def local_parts() -> dict[str, tuple[Any, Callable[[Any], Any]]]:
    """Give what the standard library makes in a script, each with a question to it."""
    unknown = TypeVar("unknown", bound="int")
    param = ParamSpec("param")
    several = TypeVarTuple("several")
    user = NewType("user", int)

    @functools.singledispatch
    def dispatch(x: Any) -> str:
        return "object"

    @dispatch.register
    def _(x: int) -> str:
        return "int"

    class Local(Generic[unknown]):
        @functools.cached_property
        def once(self) -> int:
            return 5

        @functools.singledispatchmethod
        def method(self, x: Any) -> str:
            return "object"

        @method.register
        def _(self, x: int) -> str:
            return "int"

    class Later(NamedTuple):
        x: unknown  # type: ignore[valid-type]

    return {
        "type variable": (unknown, lambda t: (t.__name__, t.__bound__, t.__module__)),
        "parameters": (param, lambda p: p.__name__),
        "several": (several, lambda t: t.__name__),
        "new type": (user, lambda u: (u(5), u.__name__, u.__supertype__)),
        "dispatch": (dispatch, lambda d: (d(1), d("x"))),
        "cached": (Local(), lambda each: (each.once, each.method(1), each.method(""))),
        "generic": (Local, lambda cls: cls.__parameters__[0].__name__),
        "forward": (Later, lambda cls: repr(cls.__annotations__["x"])),
        "weak": ([weakref.WeakValueDictionary({1: Local}), Local], lambda pair: pair[0][1] is pair[1]),
    }


@pytest.mark.parametrize("name", local_parts())
@pytest.mark.parametrize("by_value_as", ["code", "source"])
def test_what_the_standard_library_makes_in_a_script(name: str, by_value_as: str) -> None:
    obj, ask = local_parts()[name]
    frames = canning.serialize_object([obj, obj], by_value_as=by_value_as)
    with elsewhere():
        (got, again), _ = canning.deserialize_object(frames)
    assert ask(got) == ask(obj)
    assert got is again


def test_type_variables_that_are_sent_twice_are_one() -> None:
    obj = TypeVar("obj")  # type: ignore[misc]  # no name leads to it
    first, second = (canning.deserialize_object(canning.serialize_object([obj]))[0][0] for _ in range(2))
    assert first is second is obj
    assert canning.deserialize_object(canning.serialize_object(AnyStr))[0] is AnyStr


GENERIC = """
class Box[U]:
    def __init__(self, v: U): self.v = v
    def get(self) -> U: return self.v

def first[V: (int, str), *Ts, **P](xs: list[V]) -> V:
    return xs[0]

type Alias = list[int]
type Named[W] = dict[str, W]
type Json = dict[str, Json] | list[Json] | str
type Tree[A: (int, str), *Bs, **C] = tuple[A, Tree[A, *Bs, C]] | None
type Bound[A: Bound] = list[A]

class Holds:
    value: Json = ""
    def tree[A: (int, str)](self, a: A) -> Tree[A]: return a
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this syntax is of Python 3.12")
@pytest.mark.parametrize("by_value_as", ["code", "source"])
def test_type_parameters(tmp_path: Path, by_value_as: str) -> None:
    path = tmp_path / "generic.py"
    path.write_text(GENERIC)
    there: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(GENERIC, str(path), "exec", dont_inherit=True), there)
    sent = [there["Box"](3), there["first"], there["Alias"], there["Named"], there["Box"][int]]
    frames = canning.serialize_object(sent, by_value_as=by_value_as)
    with elsewhere():
        got, _ = canning.deserialize_object(frames)
    box, first, alias, named, of_int = got
    assert box.get() == 3
    assert repr(type(box).__type_params__) == "(U,)"
    assert first([1, 2]) == 1
    assert repr(first.__type_params__) == repr(there["first"].__type_params__) == "(V, Ts, P)"
    assert first.__type_params__[0].__constraints__ == (int, str)
    assert repr(first.__annotations__["xs"]) == "list[V]"
    assert (alias.__name__, alias.__value__) == ("Alias", list[int])
    assert repr(named.__value__) == "dict[str, W]"
    assert of_int.__origin__ is type(box)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="this syntax is of Python 3.12")
def test_aliases_that_are_part_of_what_they_stand_for() -> None:
    there: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(GENERIC, "<script>", "exec", dont_inherit=True), there)
    sent = [there[name] for name in ("Json", "Tree", "Bound", "Holds", "Json")]
    frames = canning.serialize_object(sent)
    with elsewhere():
        json, tree, bound, holds, again = canning.deserialize_object(frames)[0]
    assert json is again is holds.__annotations__["value"]
    assert (json.__name__, json.__module__) == ("Json", "__main__")
    assert json.__value__ == dict[str, json] | list[json] | str
    a, bs, c = tree.__type_params__
    assert (repr(tree.__type_params__), a.__constraints__) == ("(A, Bs, C)", (int, str))
    assert tree.__value__.__args__[0].__args__ == (a, tree[a, *bs, c])
    assert bound.__type_params__[0].__bound__ is bound
    assert bound.__value__ == list[bound.__type_params__[0]]
    assert holds().tree(3) == 3
    assert holds.tree.__annotations__["return"].__origin__ is tree


STRUCTURES = """
import ctypes, sys, canning

class Inner(ctypes.LittleEndianStructure):
    _fields_ = [("x", ctypes.c_short * 3)]

class Packed(ctypes.Structure):
    _pack_, _layout_ = 1, "ms"  # which has to be said since Python 3.14
    _anonymous_ = ("inner",)
    _fields_ = [("a", ctypes.c_int8), ("b", ctypes.c_double), ("inner", Inner), ("bits", ctypes.c_int, 3)]

    def total(self):
        return self.a + self.b + self.x[1] + self.bits

class Either(ctypes.Union):
    _fields_ = [("a", ctypes.c_int), ("b", ctypes.c_double)]

class Three(ctypes.c_int * 3):
    def total(self):
        return sum(self)

packed, either = Packed(1, 2.5, Inner((1, 2, 3)), 2), Either(b=1.5)
sent = [packed, (Packed * 200)(packed), either, Three(1, 2, 3), Packed, (Packed * 0)(), ctypes.c_int * 3]
for pickler in ("auto", "cloudpickle"):
    frames = canning.serialize_object(sent, pickler=pickler)
    assert len(frames) == 2, len(frames)
    assert canning.deserialize_object(frames)[0][4] is Packed
canning.dump(sent, sys.argv[1])
"""


def test_structures_of_ctypes_in_a_script(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    subprocess.run([sys.executable, "-c", STRUCTURES, path], check=True, timeout=60)
    packed, many, either, three, cls, none, array_type = canning.load(path, trust="code")
    assert packed.total() == many[0].total() == 7.5
    assert (either.b, three.total(), len(none), len(many)) == (1.5, 6, 0, 200)
    assert type(packed) is cls is many._type_ is none._type_
    assert ctypes.sizeof(cls) == 19
    assert array_type is ctypes.c_int * 3


@pytest.mark.parametrize("kind", [ctypes.c_int * 3, ctypes.c_double * 0 * 2, ctypes.Array, ctypes.c_char * 5])
def test_types_of_ctypes_arrays_are_made_again(kind: Any) -> None:
    for obj in (kind, [kind, kind], {"f": lambda: kind, "cls": kind}):
        got = canning.deserialize_object(canning.serialize_object(obj))[0]
        found = got["f"]() if type(got) is dict else got[0] if type(got) is list else got
        assert found is kind


ANNOTATED = """
import dataclasses, typing

class Plain:
    x: int
    y: "later" = 3
    def method(self, other: Plain) -> bytes: ...

@dataclasses.dataclass
class Data:
    x: int
    y: typing.ClassVar[str] = ""

class Pair(typing.NamedTuple):
    x: int
    y: str

def function(a: int, *b: later, c: str = "") -> None: ...
"""


@pytest.mark.parametrize("by_value_as", ["code", "source"])
def test_annotations(by_value_as: str, tmp_path: Path) -> None:
    """Since Python 3.14 they are code that is run when somebody asks: https://peps.python.org/pep-0649/."""
    path = tmp_path / "script.py"
    text = ANNOTATED if sys.version_info >= (3, 14) else f"from __future__ import annotations{ANNOTATED}"
    path.write_text(text)
    there: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, str(path), "exec", dont_inherit=True), there)
    sent = [there[name] for name in ("Plain", "Data", "Pair", "function")]
    frames = canning.serialize_object(sent, by_value_as=by_value_as)
    with elsewhere():
        plain, data, pair, function = canning.deserialize_object(frames)[0]
    names = [list(each.__annotations__) for each in (plain, plain.method, data, pair, function)]
    assert names == [["x", "y"], ["other", "return"], ["x", "y"], ["x", "y"], ["a", "b", "c", "return"]]
    assert "later" in str(function.__annotations__["b"])
    assert data(3).x == 3
    for each in (plain, data, pair):
        assert "int" in str(each.__annotations__["x"])


class Noted(type):
    """A metaclass that has its part in a class when that has been made."""

    def __init__(cls, *args: Any) -> None:
        super().__init__(*args)
        cls.noted = True


def test_metaclasses_that_come_in_late() -> None:
    class Own(Noted):
        pass

    made = Own("Made", (), {"x": 3})
    with elsewhere():
        got = canning.deserialize_object(canning.serialize_object(made))[0]
    assert (got.noted, got.x) == (True, 3)


def test_partial_methods() -> None:
    class Reader:
        def read(self, *args: Any, **keywords: Any) -> Any:
            return args, keywords

        head = functools.partialmethod(read, 1, func=2)

    (arrived,), _ = canning.deserialize_object(canning.serialize_object([Reader]))
    assert arrived is Reader
    method = canning.deserialize_object(canning.serialize_object([vars(Reader)["head"]]))[0][0]
    assert (method.args, method.keywords) == ((1,), {"func": 2})
    again = type("Again", (), {"head": method, "extra": 0})()
    assert again.head(3) == ((1, 3), {"func": 2})


@pytest.mark.skipif(sys.version_info < (3, 14), reason="placeholders are of Python 3.14")
def test_placeholders_of_partial_methods() -> None:
    method = functools.partialmethod(lambda self, *args: args, functools.Placeholder, 2)  # type: ignore[attr-defined,unused-ignore]
    arrived = canning.deserialize_object(canning.serialize_object(method))[0]
    assert type("Again", (), {"f": arrived})().f(1) == (1, 2)


@pytest.mark.parametrize("name", ["version_info", "flags"])
def test_what_nobody_can_make_is_refused_by_the_sender(name: str) -> None:
    with pytest.raises(canning.SerializationError, match=rf"nobody can make a sys\.{name}: send"):
        canning.serialize_object({"env": getattr(sys, name)})
