"""Instances without methods of their own for pickling come out as `object.__reduce_ex__` would have it."""

from __future__ import annotations

import dataclasses
import pickle
import pickletools
from typing import Any

import pytest

from canning import deserialize_object, serialize_object
from canning.writing.reducers import is_ordinary, reducer_of_instances


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Child(Plain):
    pass


@dataclasses.dataclass
class Point:
    x: float
    tags: list[str]


class Slotted:
    __slots__ = ("x",)

    def __init__(self) -> None:
        self.x = 5


class SlotsAndDict(Slotted):
    pass


class WithState(Plain):
    def __getstate__(self) -> Any:
        return {"kept": 1}


class WithArguments(Plain):
    def __getnewargs__(self) -> tuple[Any, ...]:
        return ()


class Answering(Plain):
    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Items(list[Any]):
    pass


class Hidden(Plain):
    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return {"other": 1}


OBJECTS = [
    (Plain(), True),
    (Plain(a=1, b=[2]), True),
    (Child(a=1), True),
    (Point(0.5, ["a"]), True),
    (Slotted(), False),
    (SlotsAndDict(), False),
    (WithState(a=1), False),
    (WithArguments(a=1), False),
    (Answering(a=1), False),
    (Items([1, 2]), False),
    (ValueError("x"), False),
    (Hidden(), False),
]


@pytest.mark.parametrize(("obj", "ordinary"), OBJECTS, ids=lambda value: type(value).__name__)
def test_an_instance_reduces_as_it_does_by_itself(obj: Any, ordinary: bool) -> None:
    assert is_ordinary(type(obj)) is ordinary
    ours, theirs = reducer_of_instances(type(obj), set())(obj), obj.__reduce_ex__(5)
    assert ours[:2] == theirs[:2]
    assert (ours[2:3] or (None,)) == (theirs[2:3] or (None,))


@pytest.mark.parametrize(
    "obj", [obj for obj, ordinary in OBJECTS if ordinary], ids=lambda obj: type(obj).__name__
)
def test_the_pickle_is_the_one_that_pickle_makes(obj: Any) -> None:
    head = serialize_object([obj, obj])[0]
    steps = [opcode.name for opcode, _, _ in pickletools.genops(head)]
    assert steps[:4] == ["PROTO", "NONE", "MEMOIZE", "POP"]
    assert steps[4:] == [opcode.name for opcode, _, _ in pickletools.genops(pickle.dumps([obj, obj], 5))][1:]
    back = deserialize_object([head])[0]
    assert back[0] is back[1]
    assert (type(back[0]), vars(back[0])) == (type(obj), vars(obj))


def test_state_is_shared_with_who_else_holds_it() -> None:
    plain = Plain()
    plain.__dict__["own"] = plain.__dict__
    back = deserialize_object(serialize_object([plain, plain.__dict__]))[0]
    assert back[1]["own"] is back[1]


@pytest.mark.parametrize("name", ["__reduce_ex__", "__getstate__"])
def test_a_method_that_an_instance_has_to_itself_is_called(name: str) -> None:
    plain = Plain(a=1)
    plain.__dict__[name] = {
        "__reduce_ex__": lambda protocol: (Plain, ()),
        "__getstate__": lambda: {"b": 2},
    }[name]
    back = deserialize_object(serialize_object(plain))[0]
    assert vars(back) == vars(pickle.loads(pickle.dumps(plain, 5)))


def test_a_method_that_a_class_gets_later_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    assert vars(deserialize_object(serialize_object(Plain(a=1)))[0]) == {"a": 1}
    monkeypatch.setattr(Plain, "__getstate__", lambda self: {"b": 2})
    assert vars(deserialize_object(serialize_object(Plain(a=1)))[0]) == {"b": 2}
    monkeypatch.undo()
    assert vars(deserialize_object(serialize_object(Plain(a=1)))[0]) == {"a": 1}
