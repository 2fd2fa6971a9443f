"""The names that headers call stand for nothing else, so that classes of canning travel as any other."""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib.util
import pickle
import sys
import types
from typing import Any, ForwardRef, TypeVar

import numpy as np
import pytest

import canning
from canning import DeserializationError, calls, deserialize_object, serialize_object
from canning.pickles.machine import PickleMachine
from canning.types.canned import CannedMessage, CannedParts, open_canned, set_attributes
from canning.wire.blob import frames_of
from canning.wire.names import CALLS, PURPOSES

from .golden.make import FILES
from .types_rows import ROWS

PUBLIC = [
    found
    for name in canning.__all__
    if isinstance(found := getattr(canning, name), type) and not issubclass(found, BaseException)
]
CLASSES = [*PUBLIC, *(cls for cls in calls.PARTS.values() if cls not in PUBLIC), CannedMessage]
FUNCTIONS = [open_canned, set_attributes, canning.uncan, canning.can]
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


# -- what headers name -----------------------------------------------------------------------------------


def named_in(head: Any) -> set[tuple[str, str]]:
    """List what a header names of this package."""
    machine = PickleMachine(memoryview(head)).run()
    assert machine.broken is None
    return {(module, name) for module, name in machine.names if module.partition(".")[0] == "canning"}


def by_value() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Make an object for each name that only code calls for, and the options that it is sent with."""

    class Color(enum.Enum):
        RED = 1

    @dataclasses.dataclass
    class Record:
        x: int = 1

    class Methods:
        @functools.cached_property
        def once(self) -> int:
            return 1

        @functools.singledispatchmethod
        def each(self, value: Any) -> Any:
            return value

    class Proxy:
        def __init__(self) -> None:
            self.inner = LARGE

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    canned = [canning.can(obj) for obj in (LARGE, b"b", by_value_here, functools.partial(max, LARGE))]
    made = {
        "enum": (Color, {}),
        "dataclass as code": (Record, {}),
        "dataclass": (Record, {"by_value_as": "source"}),
        "methods": (Methods, {}),
        "cached": (functools.lru_cache(lambda: 1), {}),
        "typing": ([TypeVar("Unknown"), lambda: 1, ForwardRef("unknown")], {}),
        "source": (lambda: 1, {"by_value_as": "source"}),
        "home": ([by_value_here], {"interactive": True, "registry": MARKED}),
        "class": (canning.can(Color), {}),
        "exception": (raised(), {}),
        "proxy": (Proxy(), {}),
        "traceback": ([raised().__traceback__], {}),
        "kinds": (canned, {}),
    }
    if sys.version_info >= (3, 12):
        space: dict[str, Any] = {"__name__": "__main__"}
        exec("type Json = list[Json]", space)
        made["alias"] = (space["Json"], {})
    if importlib.util.find_spec("msgspec"):
        import msgspec

        made["struct"] = (msgspec.defstruct("Struct", ["a"], module="__main__"), {})
    return made


def by_value_here() -> int:
    return 1


def raised() -> BaseException:
    try:
        return 1 // 0  # type: ignore[return-value]
    except ZeroDivisionError as error:
        return error


MARKED = canning.Registry()
MARKED.by_value(by_value_here)


def test_headers_name_of_this_package_its_calls_alone() -> None:
    """So that every other module may be called what it likes."""
    heads = [frames_of(path.read_bytes())[0] for path in FILES]
    heads += [serialize_object(row.make())[0] for row in ROWS if row.is_here]
    heads += [serialize_object(obj, **options)[0] for obj, options in by_value().values()]
    heads += [serialize_object(beside(None))[0]]
    heads += [serialize_object(np.zeros(2, [("a", "O")]))[0]]
    gone = deserialize_object([b"\x80\x05cgone\nGone\n)\x81."], missing="stub")[0]
    heads += [serialize_object(gone)[0], pickle.dumps(gone), pickle.dumps(canning.can(by_value()["enum"][0]))]
    names = set().union(*map(named_in, heads))
    assert {name for module, name in names if module != calls.__name__} == set()
    unseen = {call.__name__ for call in calls.ALL}.difference(name for _, name in names)
    not_here = {"struct"} if importlib.util.find_spec("msgspec") is None else set()
    assert unseen == (not_here | {"alias", "fill_alias"} if sys.version_info < (3, 12) else not_here)


def test_every_call_has_a_skeleton_a_purpose_and_a_constructor() -> None:
    assert {call.__name__ for call in calls.ALL} == set(PURPOSES)
    assert calls.__name__ == CALLS
    for call in calls.ALL:
        assert getattr(calls, call.__name__) is call
    for call, cls in calls.PARTS.items():
        assert issubclass(cls, CannedParts)
        assert type(call(1, 2)) is cls
