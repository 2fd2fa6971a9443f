"""Messages as one plain pickle: as they are where they can be, and wrapped elsewhere."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from canning import PrePickled, Reference, Serializer
from transport.engines import one_pickle as inband

from ..harness import assert_equal

NUMBERS = list(range(50_000))
OBJECTS: dict[str, Callable[[], Any]] = {
    "a number": lambda: 5,
    "a list": lambda: [1, "two"],
    "a long list": lambda: NUMBERS,
    "a small array": lambda: np.arange(3),
    "arrays": lambda: [NUMBERS, np.arange(3), np.arange(3000.0)],
    "bytes in a long list": lambda: [NUMBERS, b"x" * 100_000],
    "a memoryview": lambda: [memoryview(bytearray(b"x" * 2000))],
    "serialized before": lambda: PrePickled(NUMBERS),
}
FILES: dict[str, Callable[[], Any]] = {
    "in memory": io.BytesIO,
    "in memory, something in it": lambda: io.BytesIO(b"before"),
    "of another class": lambda: Unusual(),
}
SERIALIZERS = {
    "auto": Serializer(),
    "pickle": Serializer(pickler="pickle"),
    "cloudpickle": Serializer(pickler="cloudpickle"),
}


class Unusual(io.BytesIO):
    """Be a file of somebody's own."""


@pytest.mark.parametrize("pickler", SERIALIZERS)
@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", OBJECTS)
def test_pickles_behind_each_other(name: str, kind: str, pickler: str) -> None:
    obj, file = OBJECTS[name](), FILES[kind]()
    start = file.seek(0, io.SEEK_END)
    for _ in range(2):
        inband.write(file, SERIALIZERS[pickler].serialize_object(obj), writable=True)
    pickle.dump("last", file)
    file.seek(start)
    expected = NUMBERS if isinstance(obj, PrePickled) else obj
    assert_equal(expected, pickle.load(file))
    assert_equal(expected, pickle.load(file))
    assert pickle.load(file) == "last"


@pytest.mark.parametrize("name", OBJECTS)
def test_dumps(name: str) -> None:
    obj = OBJECTS[name]()
    made = inband.dumps(Serializer().serialize_object(obj), writable=True)
    assert_equal(NUMBERS if isinstance(obj, PrePickled) else obj, pickle.loads(made))


def test_a_long_frame_0_is_taken_as_it_is() -> None:
    frames = Serializer().serialize_object(NUMBERS)
    head = frames[0]
    made = io.BytesIO()
    inband.write(made, frames)
    assert not frames
    before = sys.getrefcount(head)
    del made
    assert sys.getrefcount(head) == before - 1


def test_what_was_serialized_before_stays_as_it_is() -> None:
    ready = PrePickled(NUMBERS)
    before = bytes(ready.frames[0])
    made = inband.dumps(Serializer().serialize_object(ready))
    made[:] = bytes(len(made))
    assert ready.frames == [before]


class Named:
    """Have a name that a pickle of it contains."""


PLAIN: list[Any] = [(), 5, {1, 2}, (1, [2, {3: "four"}], b"five"), frozenset("ab"), "x" * 900, [(1,)] * 2]


@pytest.mark.parametrize("obj", PLAIN, ids=lambda it: type(it).__name__)
def test_in_a_list(obj: Any) -> None:
    made = inband.in_list(Serializer().serialize_object(obj))
    assert made is not None
    assert_equal([obj], pickle.loads(made))


@pytest.mark.parametrize(
    "obj", [Named(), Named, np.arange(3000), lambda: 1, "x" * 2000], ids=lambda it: type(it).__name__
)
def test_not_in_a_list(obj: Any) -> None:
    assert inband.in_list(Serializer().serialize_object(obj)) is None


@pytest.mark.parametrize("in_main", [False, True])
@pytest.mark.parametrize("pickler", ["auto", "cloudpickle"])
def test_functions_by_value(pickler: str, in_main: bool) -> None:
    serializer = Serializer(pickler=pickler)
    of_main = eval("lambda: len(NUMBERS)", {"__name__": "__main__", "NUMBERS": NUMBERS})
    wrapped = inband.dumps(serializer.serialize_object([NUMBERS, of_main]), in_main=in_main)
    numbers, function = pickle.loads(wrapped)
    assert numbers == NUMBERS
    assert function() == len(NUMBERS)
    assert (function.__globals__ is vars(sys.modules["__main__"])) is in_main
    assert (b"transport.engines.one_pickle" in wrapped.tobytes()) is in_main


def test_what_canning_has_to_build_is_wrapped() -> None:
    """A reference is one, or a function whose argument is an array: a plain unpickler has but a skeleton."""
    obj = [lambda: 1, Reference("a.b"), np.arange(3)]
    function, reference, array = pickle.loads(inband.dumps(Serializer().serialize_object(obj)))
    assert (function(), reference, type(array)) == (1, Reference("a.b"), np.ndarray)
