"""Functions and classes: by name where they can be imported, by value elsewhere, and in what namespace."""

from __future__ import annotations

import abc
import asyncio
import collections
import copyreg
import dataclasses
import enum
import functools
import gc
import json
import logging
import math
import operator
import os
import re
import subprocess
import sys
import textwrap
import types
import typing
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import cloudpickle
import numpy as np
import pytest

import canning
from canning import (
    DeserializationError,
    SerializationError,
    Serializer,
    deserialize_object,
    interactive,
    pack_apply_message,
    serialize_object,
    unpack_apply_message,
)

from . import samples
from .harness import assert_equal, check_round_trip, check_uncopied, elsewhere
from .samples import Color, Plain, Point, double

ROOT = Path(__file__).parents[1]
LARGE = np.arange(5000.0)


def through(obj: Any, g: Any = None, **options: Any) -> Any:
    frames = [bytearray(frame) for frame in serialize_object(obj, **options)]
    with elsewhere():
        return deserialize_object(frames, g)[0]


def typed(code: str, **names: Any) -> dict[str, Any]:
    """Run code as if it had been typed: what it defines belongs to ``__main__``, and is nowhere to import."""
    namespace: dict[str, Any] = {"__name__": "__main__", **names}
    exec(textwrap.dedent(code), namespace)
    return namespace


# -- by reference ----------------------------------------------------------------------------------------

IMPORTABLE = [
    double,
    Point,
    Color,
    Color.RED,
    samples.Access.READ | samples.Access.WRITE,
    len,
    dict,
    dict.fromkeys,
    str.upper,
    np.add,
    np.linalg.norm,
    math,
    os.path,
    json,
    json.dumps,
    functools.partial,
    samples.Plain.__init__,
    operator.attrgetter("a.b"),
    operator.itemgetter(1, 2),
    operator.methodcaller("upper"),
    type(None),
    types.SimpleNamespace,
    list[int],
    int | str,
    collections.abc.Callable,
    canning.can,
    canning.Registry.find,
]


@pytest.mark.parametrize("obj", IMPORTABLE, ids=lambda obj: getattr(obj, "__qualname__", repr(obj)))
def test_what_can_be_imported_goes_by_its_name(obj: Any) -> None:
    for sent in (obj, [obj], [obj, LARGE], {"k": obj, "f": lambda: obj}):
        frames = serialize_object(sent)
        got = deserialize_object(frames)[0]
        got = got if sent is obj else got["k"] if isinstance(sent, dict) else got[0]
        assert got == obj or repr(got) == repr(obj)
        if isinstance(obj, type | types.FunctionType | types.ModuleType | enum.Enum):
            assert got is obj
    assert len(serialize_object(obj)[0]) < 250


def check_dill() -> None:
    dill = pytest.importorskip("dill")
    try:
        dill.dumps(lambda: None)
    except AttributeError as error:
        pytest.skip(f"dill {dill.__version__} does not know this Python: {error}")


@pytest.mark.parametrize("pickler", ["auto", "pickle", "cloudpickle", "dill"])
def test_by_name_with_every_pickler(pickler: str) -> None:
    if pickler == "dill":
        check_dill()
    serializer = Serializer(pickler=pickler)
    for obj in (double, Point, Color.RED, np.add, json.dumps):
        assert serializer.deserialize_object(serializer.serialize_object([obj, LARGE]))[0][0] is obj


def test_bound_methods() -> None:
    point = Plain(x=LARGE)
    point.total = point.x.sum
    got = through([point, point.x.max, [1, 2].index, Point.__eq__])
    assert got[0].total() == got[0].x.sum()
    assert got[1]() == 4999.0
    assert got[2](2) == 1


class Private:
    def get(self) -> Callable[[], str]:
        return self.__private

    def __private(self) -> str:
        return "private"


@pytest.mark.parametrize("pickler", ["auto", "pickle", "cloudpickle"])
def test_private_methods_go_by_the_name_under_which_their_class_keeps_them(pickler: str) -> None:
    serializer = Serializer(pickler=pickler)
    frames = serializer.serialize_object(Private().get())
    assert b"_Private__private" in bytes(frames[0])
    assert serializer.deserialize_object(frames)[0]() == "private"


@pytest.mark.skipif(sys.version_info < (3, 15), reason="Python 3.15 brings sentinels (PEP 661)")
@pytest.mark.parametrize("pickler", ["auto", "pickle", "cloudpickle"])
def test_sentinels_go_by_their_names(pickler: str) -> None:
    sent = [typing.NoExtraItems, dataclasses.MISSING]
    serializer = Serializer(pickler=pickler)
    got, _ = serializer.deserialize_object(serializer.serialize_object(sent))
    assert all(map(operator.is_, got, sent))


def test_the_c_pickler_alone_serves_what_goes_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise AssertionError("cloudpickle is not needed here")

    monkeypatch.setattr("canning.code.by_value_pickler.ByValuePickler", refuse)
    new = Serializer()  # others may have made such a pickler before
    sent = [Point(LARGE), double]
    assert_equal(sent, new.deserialize_object(new.serialize_object(sent))[0])
    with pytest.raises(SerializationError, match="AssertionError"):
        new.serialize_object(lambda: 1)


# -- by value --------------------------------------------------------------------------------------------


def closures() -> dict[str, Callable[[], Any]]:
    """Make functions of no arguments, which give the same wherever they run."""
    small, large, data = np.arange(3), LARGE, b"z" * 5000

    def recursive(n: int = 5) -> int:
        return 1 if n == 0 else n * recursive(n - 1)

    def even(n: int = 10) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    def defaults(x: Any = large, *, y: Any = data) -> Any:
        return x.sum(), len(y)

    def nested() -> Any:
        def inner() -> Any:
            return large[1:3].tolist()

        return inner()

    def generator() -> Any:
        yield from small.tolist()

    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return 5

    @functools.lru_cache
    def cached() -> int:
        return len(data)

    @functools.wraps(nested)
    def decorated() -> Any:
        return nested()

    def uses_global() -> Any:
        return math.floor(LARGE[7]), Point(1).x, double(4)

    def comprehension() -> Any:
        return [x + y for x in small.tolist() for y in (1, 2)]

    return {
        "lambda": lambda: 5,
        "lambda over an array": lambda: small.tolist(),
        "lambda over a large array": lambda: large.sum(),
        "lambda over both": lambda: (small.sum(), large.sum(), data[:3]),
        "lambda in a lambda": lambda: (lambda: len(data))(),
        "recursive": recursive,
        "mutually recursive": even,
        "defaults": defaults,
        "nested": nested,
        "generator": lambda: list(generator()),
        "coroutine": lambda: asyncio.run(coroutine()),
        "cached": cached,
        "decorated": decorated,
        "uses globals": uses_global,
        "comprehension": comprehension,
        "partial": functools.partial(lambda x, y: x + y, 1, y=2),
        "partial of arrays": functools.partial(lambda x, y: (x.sum(), y.sum()), large, y=small),
        "partial of a partial": functools.partial(functools.partial(divmod, 17), 5),
        "method": Plain(x=1).__getstate__ if sys.version_info >= (3, 11) else dict,
        "tuple of lambdas": lambda: [f() for f in (lambda: 1, lambda: large[2])],
    }


CLOSURES = closures()


@pytest.mark.parametrize("function", CLOSURES.values(), ids=CLOSURES)
@pytest.mark.parametrize("pickler", ["auto", "cloudpickle", "dill"])
def test_functions_do_the_same_on_arrival(function: Callable[[], Any], pickler: str) -> None:
    if pickler == "dill":
        check_dill()
    serializer = Serializer(pickler=pickler)
    for sent in (function, [function], {"f": function, "x": LARGE}):
        frames = [bytes(frame) for frame in serializer.serialize_object(sent)]
        got = serializer.deserialize_object(frames)[0]
        got = got if sent is function else got["f"] if isinstance(sent, dict) else got[0]
        assert repr(got()) == repr(function())


@pytest.mark.parametrize(
    "name",
    ["lambda", "lambda over both", "recursive", "defaults", "nested", "decorated", "partial of arrays"],
)
def test_the_round_trip_of_functions(name: str) -> None:
    check_round_trip(CLOSURES[name])


def test_memory_in_functions_is_out_of_band() -> None:
    large, data, default = np.ones(3000), b"q" * 70_000, np.zeros((50, 60)).T

    def function(x: Any = default) -> Any:
        return x, large, data

    function.extra = {"more": np.ones(2000)}  # type: ignore[attr-defined]
    frames = serialize_object([function, large])
    check_uncopied([large, data, default, function.extra], frames)  # type: ignore[attr-defined]
    assert len(frames) == 5


def test_attributes_of_functions_arrive() -> None:
    def function(x: int, *, y: float = 2.5) -> str:
        """Say what it does."""
        return f"{x}{y}"

    function.note = ["mine"]  # type: ignore[attr-defined]
    got = through(function)
    assert got.__doc__ == function.__doc__
    assert got.__name__ == "function"
    assert got.__qualname__ == function.__qualname__
    assert got.__annotations__ == function.__annotations__
    assert got.__kwdefaults__ == {"y": 2.5}
    assert got.note == ["mine"]
    assert got(1) == "12.5"


def test_functions_that_share_a_cell_share_it_again() -> None:
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return count

    got_step, got_read = through([step, lambda: count])
    assert (got_step(), got_step(), got_read()) == (1, 2, 2)
    assert count == 0


def test_a_cell_that_is_not_bound_yet() -> None:
    def outer() -> Any:
        def inner() -> Any:
            return later

        frames = serialize_object(inner)
        later = 5
        return frames, later

    got = deserialize_object(outer()[0])[0]
    with pytest.raises(NameError):
        got()


def test_a_function_is_not_changed_by_being_sent() -> None:
    before = dict(vars(double)), double.__globals__.copy()
    serialize_object(double)

    def local() -> Any:
        return LARGE

    state = local.__closure__, local.__globals__ is globals(), dict(vars(local))
    through(local)
    assert (local.__closure__, local.__globals__ is globals(), dict(vars(local))) == state
    assert (dict(vars(double)), double.__globals__.copy()) == before


# -- classes by value ------------------------------------------------------------------------------------

T = TypeVar("T")


def local_instances() -> dict[str, Any]:
    class Bare:
        pass

    class WithInit:
        shared = (1, 2)

        def __init__(self, x: Any) -> None:
            self.x = x

        def twice(self) -> Any:
            return self.x * 2

        @classmethod
        def make(cls) -> Any:
            return cls(3)

        @staticmethod
        def three() -> int:
            return 3

        @property
        def negative(self) -> Any:
            return -self.x

    class Derived(WithInit):
        def twice(self) -> Any:
            return super().twice()

    @dataclass
    class Data:
        x: Any
        y: Any = None

    @dataclass(frozen=True, slots=True)
    class FrozenData:
        x: Any

    class Slots:
        __slots__ = ("x",)

    class Shade(enum.Enum):
        DARK = "d"
        LIGHT = (1, 2)

    class Flags(enum.IntFlag):
        A = 1
        B = 2

    class Named(NamedTuple):
        x: Any
        y: int = 3

    class Meta(type):
        def __call__(cls, *args: Any) -> Any:
            return super().__call__(*args)

    class WithMeta(metaclass=Meta):
        pass

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def give(self) -> Any: ...

    class Concrete(Abstract):
        def give(self) -> Any:
            return 5

    class MyList(list[Any]):
        pass

    class MyDict(dict[str, Any]):
        pass

    class MyError(Exception):
        pass

    class MyArray(np.ndarray[Any, Any]):
        pass

    class Box(Generic[T]):
        def __init__(self, x: T) -> None:
            self.x = x

    class Reduces:
        def __init__(self, x: Any) -> None:
            self.x = x

        def __reduce__(self) -> Any:
            return Reduces, (self.x,)

    slots = Slots()
    slots.x = LARGE
    flat = collections.namedtuple("flat", "a b")
    return {
        "bare": Bare(),
        "with methods": WithInit(LARGE),
        "derived": Derived(5),
        "dataclass": Data(LARGE, Data(1)),
        "frozen dataclass with slots": FrozenData(LARGE),
        "slots": slots,
        "enum": Shade.LIGHT,
        "flag": Flags.A | Flags.B,
        "named tuple": Named(LARGE),
        "namedtuple": flat(LARGE, 2),
        "metaclass": WithMeta(),
        "abstract": Concrete(),
        "list": MyList([1, LARGE]),
        "dict": MyDict(a=LARGE),
        "error": MyError("text", 5),
        "array": LARGE.view(MyArray),
        "generic": Box(LARGE),
        "generic alias": Box[int](1),
        "reduces": Reduces(LARGE),
        "function in it": WithInit(lambda: 5),
    }


LOCAL = local_instances()


@pytest.mark.parametrize("obj", LOCAL.values(), ids=LOCAL)
def test_instances_of_local_classes(obj: Any) -> None:
    for sent in (obj, [obj, obj], {"k": obj, "x": LARGE}):
        got = through(sent)
        got = got if sent is obj else got["k"] if isinstance(sent, dict) else got[0]
        assert type(got).__name__ == type(obj).__name__
        assert repr(getattr(got, "x", None))[:20] == repr(getattr(obj, "x", None))[:20]
        if isinstance(obj, list | dict | tuple | np.ndarray | enum.Enum):
            assert repr(got) == repr(obj)
    cls = through(type(obj))
    assert cls.__qualname__ == type(obj).__qualname__


def test_classes_arrive_with_all_their_parts() -> None:
    cls = through(type(LOCAL["derived"]))
    assert cls(4).twice() == 8
    assert cls.make().x == 3
    assert cls.three() == 3
    assert cls(4).negative == -4
    assert cls.shared == (1, 2)
    assert len({type(one) for one in through([LOCAL["dataclass"], LOCAL["dataclass"].y])}) == 1


def test_slots_stay_slots() -> None:
    class Slots:
        __slots__ = ("__hidden", "a")

        def __init__(self) -> None:
            self.a, self.__hidden = 1, 2

        def hidden(self) -> int:
            return self.__hidden

    class More(Slots):
        __slots__ = "b"

    class Open(Slots):
        __slots__ = ("__dict__", "__weakref__", "c")

    @dataclass(slots=True)
    class Data:
        x: int = 5

    more, opened = More(), Open()
    more.b, opened.c, opened.d = 3, 4, 5  # type: ignore[attr-defined]
    got_more, got_open, data = deserialize_object(serialize_object([more, opened, Data()]))[0]
    assert (got_more.a, got_more.b, got_more.hidden()) == (1, 3, 2)
    assert not hasattr(got_more, "__dict__")
    assert (got_open.c, vars(got_open)) == (4, {"d": 5})
    assert weakref.ref(got_open)() is got_open
    assert not hasattr(data, "__dict__")
    assert (data, data.x) == (Data(), 5)


def test_many_instances_and_many_local_classes() -> None:
    classes = [type(f"Local{number}", (), {"number": number}) for number in range(30)]
    objects = [cls() for cls in classes for _ in range(100)]
    got = through(objects)
    assert [type(one).number for one in got] == [type(one).number for one in objects]
    assert len({type(one) for one in got}) == 30


def test_local_classes_that_know_each_other() -> None:
    class Node:
        def grow(self) -> Any:
            return Leaf(self)

    class Leaf:
        def __init__(self, parent: Any) -> None:
            self.parent, self.data = parent, LARGE

    leaf = Node().grow()
    got = through([leaf, leaf.parent])
    assert got[0].parent is got[1]
    assert type(got[1].grow()).__name__ == "Leaf"


def test_a_metaclass_that_copyreg_knows() -> None:
    class Meta(type):
        pass

    made = Meta("made_at_run_time", (), {})
    copyreg.pickle(Meta, lambda cls: (_remade, (cls.__name__,)))
    try:
        assert through(made) == "made_at_run_time again"
        assert through([made, lambda: 1])[0] == "made_at_run_time again"
        assert through([made, LARGE])[0] == "made_at_run_time again"
    finally:
        del copyreg.dispatch_table[Meta]


def _remade(name: str) -> str:
    return f"{name} again"


def test_types_that_only_cloudpickle_sends() -> None:
    pattern, module = re.compile("a+"), types.ModuleType("made_here")
    module.x = 5  # type: ignore[attr-defined]
    logger = logging.getLogger("canning.tests")
    properties = type("Props", (), {"p": property(lambda self: 5), "c": classmethod(lambda cls: 6)})
    got = through([pattern, module, logger, properties, {1: 2}.keys(), print, (lambda: 0).__code__])
    assert got[0].pattern == "a+"
    assert got[1].x == 5
    assert got[2] is logger
    assert (got[3]().p, got[3].c()) == (5, 6)


def test_modules_that_cloudpickle_was_told_to_send_by_value() -> None:
    cloudpickle.register_pickle_by_value(samples)
    try:
        got, _ = through([double, LARGE])
    finally:
        cloudpickle.unregister_pickle_by_value(samples)
    assert got is not double
    assert got(4) == 8
    assert through(double) is double


# -- choices of a pickler --------------------------------------------------------------------------------


class LocalToNothing:
    """Importable; its inner classes are as well."""

    class Inner:
        x = 5


def test_nested_classes_that_can_be_imported_go_by_name() -> None:
    assert through(LocalToNothing.Inner) is LocalToNothing.Inner
    assert type(through([LocalToNothing.Inner(), LARGE])[0]) is LocalToNothing.Inner


REFUSED: list[Any] = [lambda: 1, LOCAL["bare"], typed("def f(): pass")["f"], [LARGE, {"k": lambda: LARGE}]]


@pytest.mark.parametrize("obj", REFUSED, ids=["lambda", "local instance", "typed", "within"])
def test_pickle_alone_sends_nothing_by_value(obj: Any) -> None:
    serializer = Serializer(pickler="pickle")
    with pytest.raises(SerializationError):
        serializer.serialize_object(obj)


def test_unknown_picklers_are_refused() -> None:
    with pytest.raises(ValueError, match="pickler='marshal'"):
        Serializer(pickler="marshal")


def test_dill_sends_what_only_dill_does() -> None:
    check_dill()
    serializer = Serializer(pickler="dill")
    made = (number for number in ())
    obj = {"f": lambda x: x + LARGE[1], "a": LARGE, "b": b"x" * 70_000, "part": LARGE[5:8], "t": type(made)}
    frames = serializer.serialize_object(obj)
    got = serializer.deserialize_object([bytes(frame) for frame in frames])[0]
    assert got["f"](1) == 2
    assert_equal([LARGE, LARGE[5:8]], [got["a"], got["part"]])
    assert sorted(map(len, frames[1:])) == [40_000, 70_000]


# -- the namespace g -------------------------------------------------------------------------------------


def names(g: dict[str, Any]) -> set[str]:
    """Give the names in a namespace but for the hidden ones."""
    return {name for name in g if not name.startswith("__")}


def test_a_global_that_was_not_shipped_is_found_in_g() -> None:
    f = typed("def f(): return here + 1")["f"]
    g = {"here": 41}
    got = through(f, g)
    assert got() == 42
    g["here"] = 1
    assert got() == 2


def test_without_g_a_global_that_was_not_shipped_is_missing() -> None:
    got = through(typed("def f(): return here + 1")["f"])
    with pytest.raises(NameError, match="here"):
        got()


def test_what_a_function_assigns_lands_in_g() -> None:
    f = typed("def f():\n    global out\n    out = [5]\n    return out")["f"]
    g: dict[str, Any] = {}
    got = through(f, g)
    assert got() is g["out"]
    assert names(g) == {"out"}


def test_the_globals_of_a_function_are_g_itself() -> None:
    g: dict[str, Any] = {}
    assert through(typed("def f(): pass")["f"], g).__globals__ is g


def test_what_the_user_has_in_g_stays() -> None:
    f = typed("def f(): return x", x="the sender's")["f"]
    g = {"x": "the receiver's"}
    assert through(f, g)() == "the receiver's"
    assert g["x"] == "the receiver's"


def test_helpers_and_globals_are_shipped() -> None:
    space = typed("def helper(): return size\ndef f(): return helper() + np.ones(2).sum()", np=np, size=5)
    g: dict[str, Any] = {}
    assert through(space["f"], g)() == 7
    assert names(g) == {"helper", "size", "np"}
    assert through(space["f"])() == 7


def test_an_edited_function_that_is_sent_again_takes_the_place_of_the_old() -> None:
    g: dict[str, Any] = {}
    for value in (1, 2, 3):
        f = typed(f"def helper(): return {value}\ndef f(): return helper() * scale", scale=10 * value)["f"]
        assert through(f, g)() == value * 10 * value


def test_what_the_user_put_in_the_place_of_a_shipped_name_stays() -> None:
    f = typed("def helper(): return 1\ndef f(): return helper()")["f"]
    g: dict[str, Any] = {}
    through(f, g)
    g["helper"] = lambda: "mine"
    assert through(f, g)() == "mine"


def test_functions_of_one_message_share_their_globals() -> None:
    space = typed("n = 0\ndef step():\n    global n\n    n += 1\ndef read(): return n")
    step, read = through([space["step"], space["read"]])
    step()
    step()
    assert read() == 2
    assert space["n"] == 0


def test_functions_of_two_messages_do_not_without_g_and_do_with_it() -> None:
    space = typed("n = 0\ndef step():\n    global n\n    n += 1\ndef read(): return n")
    step, read = through(space["step"]), through(space["read"])
    step()
    assert read() == 0
    g: dict[str, Any] = {}
    step, read = through(space["step"], g), through(space["read"], g)
    step()
    assert read() == 1


def test_recursion_in_g() -> None:
    space = typed("def f(n): return n and n + f(n - 1)\ndef even(n): return not n or odd(n - 1)\n"
                  "def odd(n): return n and even(n - 1)")  # fmt: skip
    g: dict[str, Any] = {}
    assert through(space["f"], g)(4) == 10
    assert through(space["f"])(4) == 10
    assert through(space["even"], g)(10)


def test_closures_keep_their_cells_whatever_g_has() -> None:
    x = "the closure's"
    assert through(lambda: x, {"x": "g's"})() == x


def test_methods_of_classes_by_value_run_in_g() -> None:
    frames = serialize_object(typed("class C:\n    def m(self): return here")["C"])
    with elsewhere():
        assert deserialize_object(frames, {"__name__": "__main__", "here": 7})[0]().m() == 7
    with elsewhere():
        assert deserialize_object(frames, {"here": 8})[0]().m() == 8


def test_namespaces_of_other_modules_stay_apart_where_there_is_a_g() -> None:
    spaces = [{"__name__": name, "factory": name} for name in ("one", "two")]
    for space in (*spaces, {"factory": "generated"}):
        exec("def f(): return factory", space)
        space["f"].__module__ = "gone"  # type: ignore[attr-defined]
        spaces = spaces if space in spaces else [*spaces, space]
    g: dict[str, Any] = {"factory": "g's"}
    got = through([space["f"] for space in spaces], g)
    assert [f() for f in got] == ["one", "two", "generated"]
    assert g == {"factory": "g's"}
    assert [f() for f in through([space["f"] for space in spaces], g, interactive=True)][2] == "generated"


def test_a_class_that_is_here_stays_as_it_is() -> None:
    cls = typed(
        """
        class Counter:
            seen = []
            limit = 3
            def __init__(self): self.seen.append(len(self.seen))
            def over(self): return len(self.seen) > self.limit
        """
    )["Counter"]
    frames = serialize_object([cls, LARGE])
    cls.limit = 7
    got = deserialize_object(frames)[0][0]
    assert got is cls
    assert cls.limit == 7
    with elsewhere():
        first = deserialize_object(frames)[0][0]
        assert (first is cls, first.limit) == (False, 3)
        first()
        first.limit = 1
        over = first.over
        second = deserialize_object(frames)[0][0]
        assert second is first
        assert (first.limit, first.seen, first.over is over) == (1, [0], True)


def test_a_class_whose_message_broke_off_is_filled_by_the_next() -> None:
    space = typed("class C:\n    parts = [1]\n    def m(self): return self.parts")
    space["C"].gone = Vanishing()
    frames = serialize_object(space["C"])
    with elsewhere():
        Vanishing.gone = True
        with pytest.raises(DeserializationError):
            deserialize_object(frames)
        Vanishing.gone = False
        assert deserialize_object(frames)[0]().m() == [1]


def test_what_is_added_to_a_class_comes_to_those_who_have_it_from_a_message() -> None:
    cls = typed("class A:\n    x = 1")["A"]
    first = serialize_object([cls, LARGE])
    cls.x, cls.echo, cls.parts = 2, lambda self, x: x, [3]
    second = serialize_object([cls, LARGE])
    with elsewhere():
        got = deserialize_object(first)[0][0]
        assert deserialize_object(second)[0][0] is got
        assert (got.x, got().echo(4), got.parts) == (1, 4, [3])
        got.more = 5
        third = serialize_object([got, LARGE])
    assert deserialize_object(third)[0][0] is cls
    assert not hasattr(cls, "more")


@pytest.mark.parametrize("main", ["__main__", "__mp_main__"])
def test_names_of_main_lead_home_where_that_is_the_reader_s(main: str, monkeypatch: Any) -> None:
    module = types.ModuleType(main)
    monkeypatch.setitem(sys.modules, main, module)
    exec(
        "class C:\n    def m(self): return helper()\n    @classmethod\n    def make(cls): return cls()\n"
        "def helper(): return 5\nf = lambda: C",
        vars(module),
    )
    space = vars(module)
    for obj in (space["C"], space["C"]().m, space["C"].make, space["helper"], [space["C"](), space["f"]]):
        frames = serialize_object(obj, pickler="named", interactive=True)
        with elsewhere():
            got = deserialize_object(frames, space)[0]
        if type(obj) is list:
            assert (type(got[0]), got[1]()) == (space["C"], space["C"])
        else:
            assert got == obj or got.__func__ is obj.__func__
    frames = serialize_object([space["C"]()])
    with elsewhere():
        assert type(deserialize_object(frames)[0][0]) is not space["C"]


class Vanishing:
    """Be an object that cannot be made for a while."""

    gone = False

    def __setstate__(self, state: Any) -> None:
        if Vanishing.gone:
            raise ValueError("gone")

    def __getstate__(self) -> Any:
        return 1


def test_what_can_be_imported_does_not_look_at_g() -> None:
    g: dict[str, Any] = {"double": None}
    assert through([double, LARGE], g)[0] is double
    assert names(g) == {"double"}


def test_calls_run_in_g() -> None:
    space = typed("def f(a, b=1):\n    global last\n    last = a\n    return a * b + bias")
    g: dict[str, Any] = {"bias": 100}
    f, args, kwargs = unpack_apply_message(pack_apply_message(space["f"], [3], {"b": 4}), g)
    assert f(*args, **kwargs) == 112
    assert g["last"] == 3


# -- interactive -----------------------------------------------------------------------------------------


def test_interactive_functions_use_g_alone() -> None:
    space = typed("def f(): return x", x="the sender's")
    marked = interactive(space["f"])
    assert through(marked, {"x": "the receiver's"})() == "the receiver's"
    g: dict[str, Any] = {}
    got = through(marked, g)
    assert names(g) == set()
    with pytest.raises(NameError):
        got()
    with pytest.raises(NameError):
        through(marked)()
    assert through(space["f"])() == "the sender's"


def test_interactive_works_for_what_could_be_imported() -> None:
    marked = interactive(double)
    g: dict[str, Any] = {}
    got = through(marked, g)
    assert got is not double
    assert got.__globals__ is g
    assert got(4) == 8
    assert through(double) is double


def test_interactive_leaves_the_function_as_it_is() -> None:
    def f(a: int, b: int = 2, *, c: int = 3) -> int:
        """Add."""
        return a + b + c

    f.note = 5  # type: ignore[attr-defined]
    before = dict(vars(f))
    marked = interactive(f)
    assert vars(f) == before
    assert f.__module__ == __name__
    assert (marked(1), marked.__doc__, marked.note) == (6, "Add.", 5)
    got = through(marked, {})
    assert (got(1), got(1, c=0), got.__doc__, got.note, got.__name__) == (6, 3, "Add.", 5, "f")


def test_interactive_functions_keep_their_closures() -> None:
    k = 5
    assert through(interactive(lambda: k + z), {"z": 1})() == 6  # type: ignore[name-defined]  # noqa: F821


def test_interactive_takes_functions_only() -> None:
    for obj in (len, Point, 5):
        assert interactive(obj) is obj  # type: ignore[type-var]


# -- from one process to another -------------------------------------------------------------------------

SENDER = '''
"""What stands in a script: nobody else can import it."""
import abc, enum, functools, sys, typing
from dataclasses import dataclass, field
import numpy as np
import canning

ARRAY = np.arange(5000.0)
RATE = 3

def helper(x):
    return x * RATE

def function(x, *, y=2):
    "Say what it does."
    return helper(x) + y + int(ARRAY[1])

def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)

def counter():
    total = 0
    def step(n=1):
        nonlocal total
        total += n
        return total
    return step

@functools.lru_cache
def cached(x):
    return helper(x)

def decorate(f):
    @functools.wraps(f)
    def inner(*args):
        return ["before", f(*args)]
    return inner

@decorate
def decorated(x):
    return helper(x)

class Base:
    kind = "base"
    table = ARRAY
    def __init__(self, x): self.x = x
    def total(self): return float(np.sum(self.x)) + helper(1)
    def __eq__(self, other): return type(other) is type(self)
    __hash__ = None

class Derived(Base):
    kind = "derived"
    def total(self): return super().total() + 1
    class Inner:
        y = 5

@dataclass
class Data:
    x: object
    items: list = field(default_factory=list)
    def size(self): return len(self.items)

@dataclass(frozen=True, slots=True, order=True)
class Frozen:
    x: int
    y: int = 0

class Slots:
    __slots__ = ("x", "__weakref__")

class Color(enum.Enum):
    RED = 1
    BLUE = 2
    def shout(self): return self.name + "!"

class Mode(enum.Flag):
    R = enum.auto()
    W = enum.auto()

class Named(typing.NamedTuple):
    x: object
    y: int = 4

class Problem(ValueError):
    def __init__(self, text, code):
        super().__init__(text, code)
        self.code = code

class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...

class Square(Shape):
    def __init__(self, a): self.a = a
    def area(self): return self.a ** 2

class Sub(np.ndarray):
    def __array_finalize__(self, obj): self.unit = getattr(obj, "unit", None)

sub = ARRAY.view(Sub)
sub.unit = "m"
slots = Slots()
slots.x = ARRAY
cycle = Base(1)
cycle.me = cycle
data = Data(ARRAY)
data.items.append(data)

OBJECTS = {
    "function": function, "factorial": factorial, "step": counter(), "cached": cached, "decorated": decorated,
    "lambda": lambda x: helper(x) + RATE, "partial": functools.partial(function, 5, y=1),
    "class": Derived, "instance": Derived(ARRAY), "inner": Derived.Inner(), "data": data, "Data": Data,
    "frozen": Frozen(1, 2), "slots": slots, "color": Color.BLUE, "colors": [Color.RED, Color.RED, Color],
    "mode": Mode.R | Mode.W, "named": Named(ARRAY), "problem": Problem("text", 7), "square": Square(3),
    "sub": sub, "cycle": cycle, "method": Derived(ARRAY[:3]).total, "classes": [Base, Derived, Square, Named],
    "many": [Derived(number) for number in range(500)], "array": ARRAY, "nested": {"k": [Data([Frozen(1)])]},
    "string": "__main__",
}

if __name__ == "__main__":
    for name, obj in OBJECTS.items():
        canning.dump(obj, f"{sys.argv[1]}/{name}")
'''

RECEIVER = """
import json, sys
import numpy as np
import canning

g = {"RATE": 1000}
folder, mode, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
results = []
for name, expression in rows:
    try:
        obj = canning.load(f"{folder}/{name}", g if mode == "g" else None, trust="code")
        names = {"obj": obj, "np": np, "g": g, "load": lambda n: canning.load(f"{folder}/{n}", trust="code")}
        value = eval(expression, names)
    except Exception as error:
        value = f"{type(error).__name__}: {error}"
    results.append(value)
print(json.dumps(results))
"""

MAIN_ROWS: list[tuple[str, str, Any]] = [
    ("function", "obj(4)", 15),
    ("function", "obj.__doc__", "Say what it does."),
    ("function", "obj.__module__", "__main__"),
    ("factorial", "obj(5)", 120),
    ("step", "[obj(), obj(), obj(5)]", [1, 2, 7]),
    ("cached", "obj(2)", 6),
    ("decorated", "obj(2)", ["before", 6]),
    ("lambda", "obj(2)", 9),
    ("partial", "obj()", 17),
    (
        "class",
        "[obj.kind, obj.__bases__[0].kind, obj([1, 2]).total(), obj.Inner.y]",
        ["derived", "base", 7.0, 5],
    ),
    ("class", "obj.table.sum()", 12497500.0),
    ("instance", "obj.total()", 12497504.0),
    ("instance", "type(obj).__mro__[1].__name__", "Base"),
    ("inner", "obj.y", 5),
    ("data", "[obj.size(), obj.items[0] is obj, obj.x.sum()]", [1, True, 12497500.0]),
    ("Data", "obj(1) == obj(1)", True),
    ("frozen", "[obj < type(obj)(2), obj.y]", [True, 2]),
    ("slots", "obj.x.sum()", 12497500.0),
    ("color", "[obj.shout(), obj is type(obj).BLUE, obj is type(obj)(2)]", ["BLUE!", True, True]),
    ("colors", "[obj[0] is obj[1], obj[2].RED is obj[0]]", [True, True]),
    ("mode", "[type(obj).R in obj, obj.value]", [True, 3]),
    ("named", "[obj.x.sum(), obj.y, obj._fields]", [12497500.0, 4, ["x", "y"]]),
    ("problem", "[str(obj), obj.code, isinstance(obj, ValueError)]", ["('text', 7)", 7, True]),
    ("square", "obj.area()", 9),
    ("sub", "[type(obj).__name__, obj.unit, float(np.asarray(obj).sum())]", ["Sub", "m", 12497500.0]),
    ("cycle", "obj.me is obj", True),
    ("method", "obj()", 7.0),
    ("classes", "[cls.__name__ for cls in obj]", ["Base", "Derived", "Square", "Named"]),
    ("many", "[len(obj), len({type(one) for one in obj}), obj[7].x]", [500, 1, 7]),
    ("array", "obj.sum()", 12497500.0),
    ("nested", "obj['k'][0].x[0].x", 1),
    ("string", "obj", "__main__"),
    ("instance", "type(load('instance')) is type(load('class')([]))", True),
    ("color", "load('color') is load('colors')[2].BLUE", True),
]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("script")
    (folder / "sender.py").write_text(SENDER)
    (folder / "receiver.py").write_text(RECEIVER)
    run(folder / "sender.py", folder)
    return folder


def run(script: Path, *arguments: Any) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", str(script), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def received(sent: Path) -> dict[tuple[str, str], Any]:
    rows = [(name, expression) for name, expression, _ in MAIN_ROWS]
    results = json.loads(run(sent / "receiver.py", sent, "plain", json.dumps(rows)))
    return dict(zip(rows, results, strict=True))


@pytest.mark.parametrize(
    ("name", "expression", "expected"),
    MAIN_ROWS,
    ids=[f"{row[0]} {number}" for number, row in enumerate(MAIN_ROWS)],
)
def test_what_stands_in_a_script_arrives_in_another_process(
    name: str, expression: str, expected: Any, received: dict[tuple[str, str], Any]
) -> None:
    assert received[name, expression] == expected


G_ROWS: list[tuple[str, str, Any]] = [
    ("function", "obj(4)", 4 * 1000 + 3),
    ("lambda", "obj(2)", 3000),
    ("function", "sorted(name for name in g if not name.startswith('__'))", ["ARRAY", "RATE", "helper"]),
    ("decorated", "obj(2)", ["before", 2000]),
    ("square", "obj.area()", 9),
]


def test_what_stands_in_a_script_runs_in_the_namespace_of_another(sent: Path) -> None:
    rows = [(name, expression) for name, expression, _ in G_ROWS]
    results = json.loads(run(sent / "receiver.py", sent, "g", json.dumps(rows)))
    assert results == [expected for _, _, expected in G_ROWS]


def test_large_memory_in_a_script_is_out_of_band(sent: Path) -> None:
    from canning.wire.blob import frames_of

    for name in ("function", "class", "instance", "data", "slots", "named", "sub", "array"):
        sizes = [len(frame) for frame in frames_of((sent / name).read_bytes())]
        assert sizes[1:] == [40_000], name
        assert sizes[0] < 6000, name


class Loud:
    def say(self) -> str:
        return "loud"

    def __secret(self) -> str:
        return "secret"

    def secret(self) -> Any:
        return self.__secret

    @classmethod
    def make(cls) -> str:
        return cls.__name__


class Quiet(Loud):
    def say(self) -> str:
        return "quiet"

    def of_base(self) -> Any:
        return super().say


def test_bound_methods_arrive_as_themselves() -> None:
    quiet = Quiet()
    obj = [quiet.say, quiet.of_base(), quiet.secret(), Quiet.make, quiet]
    got = deserialize_object(serialize_object(obj))[0]
    assert [method() for method in got[:4]] == ["quiet", "loud", "secret", "Quiet"]
    assert got[0].__self__ is got[4]


def test_a_replaced_copyreg_function_counts() -> None:
    class Local:
        pass

    try:
        for answer in ("first", "second"):
            copyreg.pickle(Local, lambda obj, answer=answer: (str, (answer,)))
            assert deserialize_object(serialize_object([Local()]))[0] == [answer]
    finally:
        copyreg.dispatch_table.pop(Local, None)


def typed_named_tuple() -> Any:
    return typed("import collections\nRow = collections.namedtuple('Row', 'a b')")["Row"](1, 2)


LIVING: dict[str, Callable[[], Any]] = {
    "an instance": lambda: type("Local", (), {"__module__": "__main__"})(),
    "a named tuple": typed_named_tuple,
    "an enum": lambda: enum.Enum("Local", "A", module="__main__").A,  # type: ignore[attr-defined]
    "a dataclass": lambda: dataclasses.make_dataclass("Local", ["a"])(1),
    "an exception": lambda: type("Local", (Exception,), {"__module__": "__main__"})(),
    "of a metaclass": lambda: type("Meta", (type,), {"__module__": "__main__"})("Local", (), {})(),
}


@pytest.mark.parametrize("name", LIVING)
@pytest.mark.parametrize("pickler", ["auto", "cloudpickle"])
def test_nothing_keeps_the_classes_of_a_message_alive(name: str, pickler: str) -> None:
    serializer = Serializer(pickler=pickler)
    references = []
    for _ in range(3):
        obj = LIVING[name]()
        references.append(weakref.ref(type(obj)))
        with elsewhere():
            got = serializer.deserialize_object(serializer.serialize_object([obj, LARGE]))[0][0]
            references.append(weakref.ref(type(got)))
        del obj, got
    gc.collect()
    assert [reference() for reference in references] == [None] * 6


# -- functions beside other things -----------------------------------------------------------------------


def test_a_function_that_holds_what_it_stands_in() -> None:
    obj: dict[str, Any] = {"rows": list(range(10))}
    obj["f"] = lambda: obj
    got = through(obj)
    assert got["f"]() is got
    assert got["rows"] is got["f"]()["rows"]


def test_many_functions() -> None:
    got = through([(lambda number=number: number) for number in range(30)])
    assert [f() for f in got] == list(range(30))


def test_names_of_main_are_noticed_beside_what_goes_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    main = sys.modules["__main__"]
    namespace = typed("class Local: pass\ndef named(): return 5\nf = lambda: 6")
    monkeypatch.setattr(main, "named", namespace["named"], raising=False)
    for first in (namespace["Local"](), namespace["f"]):
        frames = serialize_object([first, namespace["named"]])
        with monkeypatch.context() as elsewhere:
            elsewhere.delattr(main, "named")
            assert deserialize_object(frames)[0][1]() == 5


def test_dill_that_is_not_here_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dill", None)
    serializer = Serializer(pickler="dill")  # a new one: what an option given per call made is kept
    with pytest.raises(ImportError, match="pip install dill"):
        serializer.serialize_object([np.arange(3)])
