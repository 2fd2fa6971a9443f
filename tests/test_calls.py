"""The names that headers call stand for nothing else, so that classes of canning travel as any other."""

from __future__ import annotations

import pickle
import types
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, calls, deserialize_object, serialize_object
from canning.canned import CannedParts, open_canned
from canning.wire import OLDEST, pack, parse

PUBLIC = [
    found
    for name in canning.__all__
    if isinstance(found := getattr(canning, name), type) and not issubclass(found, BaseException)
]
CLASSES = [*PUBLIC, *(cls for cls in calls.PARTS.values() if cls not in PUBLIC), canning.canned.CannedMessage]
FUNCTIONS = [open_canned, canning.canned.set_attributes, canning.uncan, canning.can]
LARGE = np.arange(500.0)
SERIALIZERS = {
    "auto": canning.Serializer(),
    "cloudpickle": canning.Serializer(pickler="cloudpickle"),
    "source": canning.Serializer(by_value_as="source"),
    "threshold": canning.Serializer(buffer_threshold=1),
}


def beside(value: Any) -> dict[str, Any]:
    """Put a value beside one of each kind that headers call for."""
    text = np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else "U3"
    return {
        "array": LARGE,
        "value": value,
        "few": np.arange(3),
        "objects": np.array([None, value], object),
        "strings": np.array(["a", "b"], text),
        "masked": np.ma.masked_array([1, 2], [True, False]),
        "record": np.rec.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        "scalar": np.float32(2.5),
        "dtype": np.dtype("f4"),
        "bytes": b"b" * 2000,
        "view": memoryview(b"abc"),
        "reference": canning.Reference("a.b"),
        "function": lambda: value,
        "ready": canning.PrePickled([value, LARGE]),
        "again": value,
    }


def check(got: dict[str, Any], value: Any) -> None:
    """Check what `beside` has become."""
    assert got["value"] is got["again"] is got["objects"][1] is got["function"]() is got["ready"][0] is value
    np.testing.assert_array_equal(got["array"], LARGE)
    kinds = [
        type(got[name]) for name in ("objects", "strings", "masked", "record", "scalar", "bytes", "view")
    ]
    assert kinds[:4] == [np.ndarray, np.ndarray, np.ma.MaskedArray, np.recarray]
    assert kinds[4:] == [np.float32, bytes, memoryview]
    assert got["reference"] == canning.Reference("a.b")


@pytest.mark.parametrize("serializer", SERIALIZERS.values(), ids=SERIALIZERS)
@pytest.mark.parametrize("value", [*CLASSES, *FUNCTIONS], ids=lambda value: value.__qualname__)
def test_a_class_arrives_as_itself(value: Any, serializer: canning.Serializer) -> None:
    got, rest = serializer.deserialize_object(serializer.serialize_object(beside(value)))
    assert rest == []
    check(got, value)


@pytest.mark.parametrize("value", CLASSES, ids=lambda value: value.__qualname__)
def test_a_class_alone_arrives_as_itself(value: Any) -> None:
    assert deserialize_object(serialize_object(value))[0] is value
    assert canning.loads(canning.dumps([value, value]), trust="code") == [value, value]
    assert pickle.loads(serialize_object(value)[0]) is value


@pytest.mark.parametrize("value", CLASSES, ids=lambda value: value.__qualname__)
def test_a_class_is_an_attribute_of_an_instance(value: Any) -> None:
    obj = types.SimpleNamespace(cls=value, array=LARGE, within={value: [LARGE[:100], value]})
    got = deserialize_object(serialize_object(obj))[0]
    assert got.cls is value
    assert got.within[value][1] is value
    assert np.shares_memory(got.array, got.within[value][0])


def is_base(cls: type) -> bool:
    if cls is canning.Stub:  # what has one for a base says that it cannot be sent
        return False
    try:
        type(cls)("Probe", (cls,), {})
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("base", [cls for cls in CLASSES if is_base(cls)], ids=lambda base: base.__qualname__)
def test_a_class_is_the_base_of_one_that_travels_by_value(base: Any) -> None:
    made = type(base)("Made", (base,), {"extra": LARGE, "__module__": "__main__", "answer": lambda self: 42})
    got = deserialize_object(serialize_object({"array": LARGE, "cls": made, "base": base}))[0]
    assert got["cls"] is made or got["cls"].__mro__[1:] == made.__mro__[1:]
    assert got["base"] is base
    assert got["cls"].answer(None) == 42
    np.testing.assert_array_equal(got["cls"].extra, LARGE)


def test_an_instance_of_such_a_class_arrives_as_what_it_stands_for() -> None:
    class Doubled(canning.CannedArray):
        def get_object(self, g: Any = None) -> Any:
            return super().get_object(g) * 2

    canned = Doubled(0, (500,), "<f8")
    canned.buffers = [memoryview(LARGE).cast("B")]
    frames = serialize_object([canned, LARGE, Doubled])
    assert len(frames) == 3
    got = deserialize_object(frames)[0]
    np.testing.assert_array_equal(got[0], LARGE * 2)
    assert issubclass(got[2], canning.CannedArray)

    class Named(canning.Reference):
        pass

    got = deserialize_object(serialize_object([Named("a"), LARGE]))[0][0]
    assert isinstance(got, canning.Reference)
    assert (type(got).__name__, got.name) == ("Named", "a")


@pytest.mark.parametrize("value", [*CLASSES, open_canned], ids=lambda value: value.__qualname__)
def test_a_reader_of_data_refuses_them_by_name(value: Any) -> None:
    shown = f"{value.__module__}.{value.__qualname__}"
    for obj in (value, [value, LARGE], {"a": LARGE, "value": value}):
        frames = serialize_object(obj)
        with pytest.raises(DeserializationError, match=rf"{shown}.*trust=\"code\""):
            deserialize_object(frames, trust="data")
        report = canning.inspect(frames)
        assert report.verdict == "needs code"
        assert shown in {f"{each.module}.{each.name}" for each in report.globals}


class Skeleton:
    """Reduces to a call of the class itself."""

    def __reduce__(self) -> Any:
        return canning.CannedArray, (0, (500,), "<f8")


def test_a_call_of_the_class_makes_an_instance_for_every_reader() -> None:
    frames = serialize_object([Skeleton(), LARGE])
    canned, array = deserialize_object(frames)[0]
    assert type(canned) is canning.CannedArray
    assert type(array) is np.ndarray
    with pytest.raises(DeserializationError, match="CannedArray"):
        deserialize_object(frames, trust="data")


# -- what version 1 of the format called ---------------------------------------------------------------


def old(body: bytes, *frames: bytes) -> list[bytes]:
    """Make a message of version 1 out of a pickle."""
    head = bytearray(pack(body, len(body), list(map(len, frames))))
    head[-16] = OLDEST
    from tests.fuzz.trailers import repair

    fit = repair(bytes(head))
    assert parse(fit).stamp[4] == OLDEST  # type: ignore[union-attr]
    return [fit, *frames]


@pytest.mark.parametrize(("module", "name"), calls.OLD)
def test_old_names_are_calls_in_old_messages_alone(module: str, name: str) -> None:
    body = b"\x80\x05c" + f"{module}\n{name}\n.".encode()
    called = deserialize_object(old(body))[0]
    new = calls.OLD[module, name][1]
    assert not isinstance(called, type)
    assert called.__name__ in (new, "make", "build")
    with pytest.raises(DeserializationError):
        deserialize_object(old(body), trust="data")
    report = canning.inspect(old(body))
    assert [each.name for each in report.globals] == [new]
    assert [each.module for each in canning.inspect([body]).globals] == [module]


def test_an_old_array_is_read_under_either_trust() -> None:
    body = b"\x80\x05ccanning.arrays\nCannedArray\n(K\x00M\xf4\x01\x85\x8c\x03<f8t\x94R."
    for trust in ("code", "data"):
        got = deserialize_object(old(body, LARGE.tobytes()), trust=trust)[0]
        np.testing.assert_array_equal(got, LARGE)
    frames = [pack(body, len(body), [LARGE.nbytes]), LARGE.tobytes()]
    assert type(deserialize_object(frames)[0]) is canning.CannedArray
    with pytest.raises(DeserializationError, match="CannedArray"):
        deserialize_object(frames, trust="data")


def test_every_call_has_a_skeleton_a_purpose_and_a_constructor() -> None:
    names = {call.__name__ for call in calls.ALL}
    assert names == set(calls.PURPOSES)
    assert names == {new for _, new in calls.OLD.values()} | {"named"}
    for call in calls.ALL:
        assert getattr(calls, call.__name__) is call
    for call, cls in calls.PARTS.items():
        assert issubclass(cls, CannedParts)
        assert type(call(1, 2)) is cls
