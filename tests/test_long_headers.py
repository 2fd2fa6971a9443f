"""Headers of more than one chunk: they grow in one place, and are what short ones are."""

from __future__ import annotations

import pickle
import pickletools
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import canning
from canning import Serializer, deserialize_object, serialize_object
from canning.pickles.headers import ARRAYS, NO_ARRAYS
from canning.wire.trailer import LIVE, PLAIN, parse
from canning.writing.stream import DIRECT

from .harness import assert_equal
from .samples import Frozen, Point

NUMBERS = list(range(40_000))
TEXTS = {f"key{number}": f"value{number}" for number in range(6000)}
LARGE = random.Random(1).randbytes(100_000)
DATA: dict[str, Callable[[], Any]] = {
    "numbers": lambda: NUMBERS,
    "texts": lambda: TEXTS,
    "floats, then a text of a megabyte": lambda: [[0.5] * 9000, "ä" * 500_000, TEXTS],
    "a text of a megabyte first": lambda: ["x" * 1_000_000, 1],
    "small arrays": lambda: [np.arange(5) + number for number in range(900)],
    "an array behind it": lambda: [NUMBERS, np.arange(1000.0)],
    "small arrays that share memory": lambda: [NUMBERS, (array := np.arange(50.0)), array[3:], array[::-1]],
    "large bytes in the middle": lambda: [NUMBERS, LARGE, TEXTS, bytearray(LARGE), NUMBERS],
    "large bytes first": lambda: [LARGE, NUMBERS],
    "large bytes last": lambda: [NUMBERS, LARGE],
    "large bytes twice": lambda: [NUMBERS, LARGE, LARGE],
    "bytes that the pickler copies": lambda: [NUMBERS, LARGE[:5000], TEXTS, LARGE[:2000]],
    "all of it": lambda: [NUMBERS, LARGE, {"a": np.arange(999.0)}, LARGE[:3000], TEXTS, np.arange(3)],
}


class Local:
    """Stand for what is written in a script."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Local) and self.x == other.x

    __hash__ = None  # type: ignore[assignment]


def script(name: str) -> type:
    return type(name, (Local,), {"__module__": "__main__"})


CODE: dict[str, Callable[[], Any]] = {
    "dataclasses": lambda: [Point(number, Frozen(number)) for number in range(5000)],
    "a lambda": lambda: [NUMBERS, lambda x: x + len(TEXTS)],
    "instances of a class of a script": lambda: [script("Ours")(number) for number in range(9000)],
    "instances late, of two classes": lambda: [
        NUMBERS,
        script("One")(1),
        TEXTS,
        script("Two")(LARGE),
        np.arange(1000.0),
    ],
    "a class of a script by name": lambda: [NUMBERS, script("Named"), TEXTS],
    "a lambda over large memory": lambda: [NUMBERS, (lambda x, y=LARGE: x + len(y)), np.arange(2000)],
}


def through(obj: Any, **options: Any) -> Any:
    head, *rest = serialize_object(obj, **options)
    return deserialize_object([bytes(head), *map(bytearray, rest)], **options)[0]


@pytest.mark.parametrize("codec", [None, "zstd"])
@pytest.mark.parametrize("trust", ["code", "data"])
@pytest.mark.parametrize("name", DATA)
def test_data(name: str, trust: str, codec: str | None) -> None:
    obj = DATA[name]()
    assert_equal(obj, through(obj, trust=trust, codec=codec))


@pytest.mark.parametrize("pickler", ["auto", "cloudpickle"])
@pytest.mark.parametrize("name", CODE)
def test_code(name: str, pickler: str) -> None:
    obj = CODE[name]()
    got = through(obj, pickler=pickler)
    for one, two in zip(got, obj, strict=True):
        if callable(two):
            assert type(one) is type(two)
        elif isinstance(two, Local):
            assert one.x == two.x
            assert type(one).__name__ == type(two).__name__
        else:
            assert_equal(two, one)


@pytest.mark.parametrize("name", DATA)
def test_frame_0_is_bytes_and_reads_as_a_pickle(name: str) -> None:
    head = serialize_object(DATA[name]())[0]
    trailer = parse(head)
    assert type(head) is bytes
    assert trailer is not None
    assert trailer.pickle_length == pickletools_end(head)
    assert head.startswith(ARRAYS if b"canning" in head[:40] else NO_ARRAYS)
    if trailer.flags & PLAIN:
        assert_equal(DATA[name](), pickle.loads(head))


def pickletools_end(head: bytes) -> int:
    for opcode, _, position in pickletools.genops(head):
        if opcode.name == "STOP":
            return (position or 0) + 1
    raise AssertionError("no STOP")


@pytest.mark.parametrize("size", [DIRECT - 100, DIRECT - 13, DIRECT - 12, DIRECT, 2 * DIRECT])
def test_around_the_length_of_one_chunk(size: int) -> None:
    for obj in ([0] * (size // 2), [b"x" * 10] * (size // 2), [[1.5] * (size // 9), np.arange(3)]):
        assert_equal(obj, through(obj))


def test_names_that_lead_nowhere_in_a_long_header() -> None:
    module: Any = type(sys)("gone_shop")
    sys.modules["gone_shop"] = module
    exec("class Person:\n def __init__(self, x): self.x = x\nclass Dog(Person): pass", module.__dict__)
    obj = [NUMBERS, module.Person(1), TEXTS, module.Dog("d"), module.Person, NUMBERS[5:]]
    frames = serialize_object(obj)
    del sys.modules["gone_shop"]
    stubs = deserialize_object(frames, missing="stub")[0]
    assert isinstance(stubs[1], canning.Stub)
    again = serialize_object(stubs)
    sys.modules["gone_shop"] = module
    try:
        got = deserialize_object(again)[0]
    finally:
        del sys.modules["gone_shop"]
    assert (got[0], got[2], got[4], got[5]) == (NUMBERS, TEXTS, module.Person, NUMBERS[5:])
    assert (type(got[1]), got[1].x, type(got[3]), got[3].x) == (module.Person, 1, module.Dog, "d")


def test_signed_and_with_modules() -> None:
    key = canning.new_key()
    assert through([NUMBERS, TEXTS], key=key) == [NUMBERS, TEXTS]
    assert through([NUMBERS, TEXTS, LARGE], key=key, by_value="local") == [NUMBERS, TEXTS, LARGE]


def test_nothing_is_left_in_the_writer() -> None:
    serializer = Serializer()
    for obj in (NUMBERS, [NUMBERS, LARGE], [NUMBERS, lambda: 1], [1], NUMBERS):
        serializer.serialize_object(obj)
        (writer,) = serializer.writers
        assert writer.sink.body is None  # type: ignore[union-attr]
        assert not writer.sink.only  # type: ignore[union-attr]
    assert serializer.serialize_object([1]) == Serializer().serialize_object([1])


def test_a_failure_leaves_nothing_behind() -> None:
    serializer = Serializer()
    with pytest.raises(canning.SerializationError):
        serializer.serialize_object([NUMBERS, threading.Lock()])
    assert serializer.serialize_object(NUMBERS) == serialize_object(NUMBERS)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(0, 70_000).map(lambda size: list(range(size))),
            st.integers(0, 140_000).map(lambda size: LARGE[:1] * size),
            st.integers(0, 140_000).map(lambda size: bytearray(size)),
            st.integers(0, 3000).map(lambda size: np.arange(size)),
            st.integers(0, 200_000).map(lambda size: "t" * size),
            st.integers(0, 3000).map(lambda size: [f"{number}" for number in range(size)]),
        ),
        max_size=6,
    )
)
def test_anything_long(obj: list[Any]) -> None:
    assert_equal(obj, through(obj))
    assert_equal(obj, through(obj, trust="data"))


@pytest.mark.parametrize("pickler", ["auto", "cloudpickle"])
@pytest.mark.parametrize("numbers", [[], NUMBERS])
def test_functions_that_any_unpickler_makes(numbers: list[int], pickler: str) -> None:
    typed = eval("lambda: answer", {"__name__": "__main__"})  # one of a module keeps to globals of its own
    frames = serialize_object([numbers, typed], pickler=pickler)
    assert parse(frames[0]).flags & LIVE  # type: ignore[union-attr]
    for got in (pickle.loads(frames[0]), deserialize_object(frames)[0]):
        assert got[0] == numbers
        got[1].__globals__["answer"] = 42
        assert got[1]() == 42
    given: dict[str, Any] = {"answer": 43}
    function = deserialize_object(frames, given)[0][1]
    assert function() == 43
    assert function.__globals__ is given


@pytest.mark.parametrize("pickler", ["auto", "cloudpickle"])
def test_what_is_more_than_functions(pickler: str) -> None:
    for other in (np.arange(3), canning.Reference("a"), b"x" * 70_000, memoryview(b"abc"), np.float32(1)):
        head = serialize_object([lambda: 1, other], pickler=pickler)[0]
        assert not parse(head).flags & (LIVE | PLAIN), other  # type: ignore[union-attr]
