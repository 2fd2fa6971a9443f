"""What holds objects, and Python's garbage collection does not look into, is complete and never in itself."""

from __future__ import annotations

import collections
import dataclasses
import gc
import tracemalloc
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, Serializer

from .test_work import STORED, get, message, name, text


@dataclasses.dataclass
class Node:
    held: Any


DATA = Serializer(trust="data", allow={Node})


def array_of(held: Any) -> Any:
    array = np.empty(2, object)
    array[:] = [held, 1]
    return array


def masked(held: Any) -> Any:
    return np.ma.MaskedArray(array_of(held))


def extension(held: Any) -> Any:
    return pytest.importorskip("pandas").arrays.NumpyExtensionArray(array_of(held))


def series(held: Any) -> Any:
    return pytest.importorskip("pandas").Series(array_of(held))


WRAPPERS: dict[str, Callable[[Any], Any]] = {
    each.__name__: each for each in (array_of, masked, extension, series)
}


def in_list(wrap: Callable[[Any], Any]) -> Any:
    around: list[Any] = []
    around.append(wrap(around))
    return around


def in_dict(wrap: Callable[[Any], Any]) -> Any:
    around: dict[str, Any] = {}
    around["a"] = wrap([around])
    return around


def in_deque(wrap: Callable[[Any], Any]) -> Any:
    around: collections.deque[Any] = collections.deque()
    around.append(wrap((around,)))
    return around


def in_ordered(wrap: Callable[[Any], Any]) -> Any:
    around: collections.OrderedDict[str, Any] = collections.OrderedDict()
    around["a"] = wrap({"b": around})
    return around


def in_namespace(wrap: Callable[[Any], Any]) -> Any:
    around = types.SimpleNamespace()
    around.a = wrap([around])
    return around


def in_instance(wrap: Callable[[Any], Any]) -> Any:
    around = Node(None)
    around.held = wrap((around,))
    return around


def in_slice(wrap: Callable[[Any], Any]) -> Any:
    around: list[Any] = []
    around.append(wrap(slice(around)))
    return around


def in_error(wrap: Callable[[Any], Any]) -> Any:
    try:
        raise ValueError
    except ValueError as error:
        around = error
    around.about = wrap([around])  # type: ignore[attr-defined]
    return around


CIRCLES = (in_error, in_list, in_dict, in_deque, in_ordered, in_namespace, in_instance, in_slice)
LEFT = 200_000


@pytest.mark.parametrize("circle", CIRCLES)
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_a_circle_that_python_would_never_free_is_refused_and_leaves_nothing(
    circle: Callable[[Any], Any], wrap: Callable[[Any], Any]
) -> None:
    frames = canning.serialize_object([bytearray(60_000), circle(wrap)])
    for _ in range(2):  # what is made once stays
        tracemalloc.start()
        try:
            for _ in range(10):
                with pytest.raises(DeserializationError, match="complete"):
                    DATA.deserialize_object(frames)
            gc.collect()
            left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert left < LEFT


def test_an_array_that_holds_itself_is_refused() -> None:
    array = np.empty(1, object)
    array[0] = array
    with pytest.raises(DeserializationError, match="complete"):
        DATA.deserialize_object(canning.serialize_object(array))
    array[0] = None


def test_circles_of_what_python_frees_are_read() -> None:
    around: list[Any] = [1]
    around.append(around)
    got, _ = DATA.deserialize_object(canning.serialize_object([array_of([around]), around]))
    inner = got[0][0][0]
    assert inner is got[1]
    assert inner[1] is inner


def test_what_is_sealed_may_stand_elsewhere_too() -> None:
    shared = {"a": [1, 2]}
    obj = [array_of(shared), shared, array_of([shared, Node(shared)]), (shared, array_of(shared))]
    got, _ = DATA.deserialize_object(canning.serialize_object(obj))
    assert got[1] == shared
    assert got[0][0] is got[1]
    assert got[2][0][1].held is got[3][1][0] is got[1]


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_what_wraps_arrays_of_objects_counts_as_depth(wrap: Callable[[Any], Any]) -> None:
    def chain(length: int) -> Any:
        made: Any = 1
        for _ in range(length):
            made = wrap(made)
        return canning.serialize_object(made)

    limited = DATA.evolve(limits=canning.Limits(depth=60))
    DATA.deserialize_object(chain(8))
    with pytest.raises(DeserializationError, match="depth=60"):
        limited.deserialize_object(chain(61))


def test_lists_between_arrays_are_as_deep_as_they_are_in_the_end() -> None:
    """Each list holds an array that has its object only later; the next array then holds the list."""
    fill = name("canning.calls", "items")
    body = name("canning.calls", "objects") + STORED + fill + STORED + b"N" + STORED
    for step in range(450):
        below, array = 2 + 2 * step, 3 + 2 * step
        body += get(0) + b"(K\1\x85NtR" + STORED + b"]" + get(array) + b"a" + STORED
        body += get(1) + get(array) + b"]" + get(below) + b"a\x89\x86\x86R0"
    with pytest.raises(DeserializationError, match="depth"):
        DATA.deserialize_object(message(body + get(2 + 2 * 450) + b"."))


# -- metadata of dtypes ----------------------------------------------------------------------------------


def marked(metadata: bytes) -> bytes:
    return name("canning.calls", "dtype") + b"(" + text("metadata") + text("<f8") + metadata + b"t\x85R"


def test_metadata_of_a_dtype_is_plain_and_copied() -> None:
    inner = [1, 2]
    dtype = np.dtype("f8", metadata={"a": inner, "b": {"c": (1, b"d")}})
    got, _ = DATA.deserialize_object(canning.serialize_object([dtype, inner]))
    assert dict(got[0].metadata) == {"a": inner, "b": {"c": (1, b"d")}}
    assert got[0].metadata["a"] is not got[1]
    into_itself = b"]" + STORED + marked(b"}" + text("a") + get(0) + b"s") + STORED + get(0) + get(1) + b"a."
    got, _ = DATA.deserialize_object(message(into_itself))
    assert got[0].metadata["a"] == []


@pytest.mark.parametrize(
    "metadata",
    [
        b"}" + text("a") + marked(b"}" + text("b") + b"Ns") + b"s",
        b"}" + text("a") + name("canning.calls", "objects") + b"(K\0\x85NtRs",
        b"}" + text("a") + b"]" * 10 + b"a" * 9 + b"s",
        b"}" + text("a") + b"](" + b"N" * 2000 + b"es",
        b"})Ns",
    ],
)
def test_metadata_of_a_dtype_that_is_no_plain_data_is_refused(metadata: bytes) -> None:
    with pytest.raises(DeserializationError):
        DATA.deserialize_object(message(marked(metadata) + b"."))


def test_metadata_is_on_the_account_each_time_that_numpy_copies_it() -> None:
    pairs = b"}(" + b"".join(b"M" + number.to_bytes(2, "little") + b"N" for number in range(990)) + b"u"
    again = name("canning.calls", "dtype") + STORED + pairs + STORED
    one = get(0) + b"(" + text("metadata") + text("<f8") + get(1) + b"t\x85R"
    with pytest.raises(DeserializationError, match="than a message of its size may take"):
        DATA.deserialize_object(message(again + b"](" + one * 2000 + b"e."))
