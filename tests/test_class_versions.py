"""A class that has changed since its instance was written: the error names it, its path, and what differs."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import canning
from canning import DeserializationError

SECRET = "secret-4711"
OLD = """
import collections, dataclasses, enum
class Color(enum.Enum): RED = 1; BLUE = "secret-4711"
class Shade(enum.Enum): DARK = (1, 2)
Point = collections.namedtuple("Point", "x y")
@dataclasses.dataclass
class Order:
    id: int
    note: str
@dataclasses.dataclass(slots=True)
class Slots:
    id: int
    gone: str = ""
class Plain:
    def __init__(self, x): self.x = x
class Raising(Plain): pass
class Made:
    def __new__(cls, *args): return object.__new__(cls)
    def __getnewargs__(self): return (1, 2)
def call(text): return text
class Calls:
    def __reduce__(self): return call, ("secret-4711",)
"""
NEW = """
import collections, dataclasses, enum
class Color(enum.Enum): RED = 1
class Shade(enum.Enum): LIGHT = (2, 3)
Point = collections.namedtuple("Point", "x y z")
@dataclasses.dataclass
class Order:
    id: int
    text: str
@dataclasses.dataclass(slots=True)
class Slots:
    id: int
class Plain:
    __slots__ = ("y",)
class Raising:
    def __setstate__(self, state): raise RuntimeError(state["x"])
class Made:
    def __new__(cls, one): return object.__new__(cls)
def call(text): raise ValueError(text)
"""
ALLOW = frozenset(f"shipped.{name}" for name in ("Color", "Shade", "Point", "Order", "Slots"))


@pytest.fixture
def module() -> Iterator[Callable[[str], Any]]:
    def make(source: str) -> Any:
        module = sys.modules["shipped"] = types.ModuleType("shipped")
        exec(source, vars(module))
        return module

    yield make
    sys.modules.pop("shipped", None)


ROWS: list[tuple[Callable[[Any], Any], str, str]] = [
    (lambda m: m.Color.BLUE, "data code", "shipped.Color has no member of the value"),
    (lambda m: m.Shade.DARK, "data code", "shipped.Shade has no member of the value"),
    (lambda m: m.Point(1, SECRET), "data code", "2 values for the fields of shipped.Point, .* x, y, z here"),
    (
        lambda m: m.Order(1, SECRET),
        "data",
        "the fields of shipped.Order differ: this message has note, and the class here has text: ",
    ),
    (lambda m: m.Slots(1, SECRET), "data code", "the fields of shipped.Slots differ: this message has gone:"),
    (
        lambda m: m.Plain(SECRET),
        "code",
        "the fields of shipped.Plain differ: this message has x, and the class here has y:",
    ),
    (lambda m: m.Raising(SECRET), "code", r"shipped.Raising.__setstate__ cannot read this message: RuntimeE"),
    (lambda m: m.Made(1, 2), "code", r"shipped.Made\(one\) cannot be called with 2 arguments"),
    (lambda m: m.Calls(), "code", "shipped.call cannot read this message: ValueError$"),
]


@pytest.mark.parametrize(("make", "trusts", "text"), ROWS, ids=[row[2].split(" ")[-2] for row in ROWS])
def test_the_error_names_what_differs(
    module: Any, make: Callable[[Any], Any], trusts: str, text: str
) -> None:
    obj = {"orders": [make(module(OLD))]}
    messages = [canning.serialize_object(obj), [pickle.dumps(obj)]]
    module(NEW)
    for trust in trusts.split():
        allow: dict[str, Any] = {"allow": ALLOW} if trust == "data" else {}
        for frames in messages:
            with pytest.raises(DeserializationError, match=rf"^obj\['orders'\]\[0\]: {text}") as caught:
                canning.deserialize_object(frames, trust=trust, **allow)  # type: ignore[call-overload]
            assert SECRET not in str(caught.value)
            assert caught.value.path == "obj['orders'][0]"


def test_one_of_several_is_named_as_such(module: Any) -> None:
    old = module(OLD)
    frames = canning.serialize_object([old.Raising(SECRET), old.Raising(SECRET)])
    module(NEW)
    with pytest.raises(DeserializationError, match=r"__setstate__ .*one of 2 .* the first is obj\[0\]"):
        canning.deserialize_object(frames, trust="code")


def test_a_field_whose_name_is_no_name_is_not_shown(module: Any) -> None:
    order = module(OLD).Order(1, SECRET)
    vars(order)["a secret"] = vars(order).pop("note")
    with pytest.raises(DeserializationError, match="has something unnamed, and the class here has note"):
        canning.deserialize_object(canning.serialize_object(order), trust="data", allow=ALLOW)


@pytest.mark.parametrize("state", [[1], "text"])
def test_a_state_that_is_no_dict_is_counted(module: Any, state: object) -> None:
    module(OLD)
    head = b"\x80\x04]c" + b"shipped\nOrder\n" + b")\x81" + pickle.dumps(state, 4)[2:-1] + b"ba."
    with pytest.raises(DeserializationError, match=r"^obj\[0\]: \d values? for the fields of shipped.Order"):
        canning.deserialize_object([head], trust="data", allow=ALLOW)


def test_long_headers_of_strangers_are_not_searched(module: Any) -> None:
    obj = [["text " * 2000], module(OLD).Color.BLUE]
    frames = canning.serialize_object(obj)
    module(NEW)
    with pytest.raises(DeserializationError, match=r"^shipped\.Color has no member"):
        canning.deserialize_object(frames, trust="data", allow=ALLOW)
