"""Who cans what: exact types, bases, names of types not imported yet; and what a canner may give."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import (
    CannedObject,
    CannerError,
    DeserializationError,
    Registry,
    SerializationError,
    Serializer,
    can,
    deserialize_object,
    serialize_object,
    uncan,
)

from .harness import check_round_trip, check_uncopied
from .samples import BareArray, CannedSignal, InfoArray, LoudSignal, Plain, Point, Signal

ROOT = Path(__file__).parents[1]
SIGNAL = Signal(np.arange(2000.0), 44_100)


def take_apart(signal: Signal) -> tuple[Any, int]:
    return signal.samples, signal.rate


def put_together(state: tuple[Any, int]) -> Signal:
    return Signal(*state)


def put_together_as(state: tuple[Any, int], cls: type[Signal]) -> Signal:
    return cls(*state)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def serializer(registry: Registry) -> Serializer:
    return Serializer(registry=registry)


@pytest.fixture
def default() -> Iterator[Registry]:
    """Give the default registry, and forget afterwards what was put into it."""
    registry = canning.default_registry
    before = set(registry._by_name)
    yield registry
    for name in set(registry._by_name) - before:
        registry.unregister(name)


def through(serializer: Serializer, obj: Any) -> Any:
    return serializer.deserialize_object([bytearray(frame) for frame in serializer.serialize_object(obj)])[0]


# -- finding ---------------------------------------------------------------------------------------------


def test_without_a_registration_a_type_pickles_itself(serializer: Serializer) -> None:
    assert len(serializer.serialize_object([SIGNAL])) == 1
    assert isinstance(through(serializer, SIGNAL).samples, list)


def test_a_registered_type_travels_uncopied(registry: Registry, serializer: Serializer) -> None:
    registry.register(Signal, take_apart, put_together)
    check_round_trip(SIGNAL, serializer=serializer)
    frames = serializer.serialize_object({"a": [SIGNAL, SIGNAL], "b": SIGNAL.samples[5:10]})
    check_uncopied(SIGNAL, frames)
    got = serializer.deserialize_object(frames)[0]
    assert got["a"][0] is got["a"][1]
    assert got["a"][0].rate == 44_100
    assert np.shares_memory(got["a"][0].samples, got["b"])


FIND = [
    # registered types and names, the class that is looked for, what is found
    ([Signal], Signal, "tests.samples.Signal"),
    ([Signal], LoudSignal, "tests.samples.Signal"),
    ([Signal, LoudSignal], LoudSignal, "tests.samples.LoudSignal"),
    ([LoudSignal, Signal], Signal, "tests.samples.Signal"),
    ([LoudSignal], Signal, None),
    (["tests.samples.Signal"], Signal, "tests.samples.Signal"),
    (["tests.samples.Signal"], LoudSignal, "tests.samples.Signal"),
    (["tests.samples.Signal", LoudSignal], LoudSignal, "tests.samples.LoudSignal"),
    ([Signal, "tests.samples.LoudSignal"], LoudSignal, "tests.samples.LoudSignal"),
    (["nowhere.at.all.Signal"], Signal, None),
    ([np.ndarray], InfoArray, "numpy.ndarray"),
    (["numpy.ndarray"], BareArray, "numpy.ndarray"),
    (["collections.OrderedDict"], dict, None),
    ([object], Point, "object"),
]


@pytest.mark.parametrize(("registered", "cls", "found"), FIND)
def test_the_nearest_registration_is_found(
    registered: list[Any], cls: type, found: str | None, registry: Registry
) -> None:
    for type_or_name in registered:
        registry.register(type_or_name, take_apart, put_together)
    canner = registry.find(cls)
    assert (canner and canner.name) == found


def test_two_bases_are_asked_in_their_order(registry: Registry) -> None:
    class One:
        pass

    class Two:
        pass

    class Both(One, Two):
        pass

    registry.register(Two, take_apart, put_together)
    assert registry.find(Both).name.endswith("Two")  # type: ignore[union-attr]
    registry.register(One, take_apart, put_together)
    assert registry.find(Both).name.endswith("One")  # type: ignore[union-attr]


def test_classes_get_their_own_back_where_uncan_wants_it(registry: Registry, serializer: Serializer) -> None:
    loud = LoudSignal(np.arange(2000.0), 8)
    registry.register(Signal, take_apart, put_together)
    assert type(through(serializer, [loud])[0]) is Signal
    registry.register(Signal, take_apart, put_together_as)
    assert type(through(serializer, [loud])[0]) is LoudSignal
    assert type(through(serializer, [SIGNAL])[0]) is Signal


def test_the_latest_registration_counts(registry: Registry, serializer: Serializer) -> None:
    class Local:
        pass

    registry.register(Local, lambda obj: "first", lambda state: ("by type", state))
    assert through(serializer, [Local()]) == [("by type", "first")]
    registry.register(Local, lambda obj: "second", lambda state: ("by type", state))
    assert through(serializer, [Local()]) == [("by type", "second")]
    registry.register(
        canning.types.registry.dotted_name(Local), lambda obj: "third", lambda state: ("by name", state)
    )
    assert through(serializer, [Local()]) == [("by name", "third")]


def test_registering_after_first_use(registry: Registry, serializer: Serializer) -> None:
    assert isinstance(through(serializer, SIGNAL).samples, list)
    registry.register(Signal, take_apart, put_together)
    assert isinstance(through(serializer, SIGNAL).samples, np.ndarray)
    registry.unregister(Signal)
    assert isinstance(through(serializer, SIGNAL).samples, list)


def test_a_registered_class_of_one_s_own_in_a_function() -> None:
    registry = Registry()
    serializer = Serializer(registry=registry)

    class Local:
        x = None

    registry.register(Local, lambda obj: {"x": obj.x}, lambda state: ("canned", state["x"]))
    obj = Local()
    obj.x = np.arange(2000.0)
    frames = serializer.serialize_object([obj, lambda: 5])
    assert len(frames) == 2
    got = serializer.deserialize_object(frames)[0]
    assert got[0][0] == "canned"
    assert got[1]() == 5


def test_arrays_may_be_registered_too(registry: Registry, serializer: Serializer) -> None:
    registry.register(np.ndarray, lambda array: array.tolist(), lambda state: ("numbers", state))
    assert through(serializer, np.arange(3)) == ("numbers", [0, 1, 2])
    assert through(serializer, [np.arange(3)]) == [("numbers", [0, 1, 2])]


# -- names of types that nobody has imported -------------------------------------------------------------

LAZY = """
import sys
import canning
canning.register("pandas.DataFrame", lambda frame: frame, lambda state: state)
canning.register("torch.Tensor", lambda frame: frame, lambda state: state)
canning.serialize_object([1, {"a": b"x" * 5000}, object])
canning.deserialize_object(canning.serialize_object(lambda: 5))
canning.can(5)
loaded = [name for name in ("pandas", "torch", "dill", "zmq", "ml_dtypes") if name in sys.modules]
assert not loaded, loaded
"""


def test_a_dotted_name_imports_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LAZY], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


STRANGER = """
import pickle
import sys
import canning
from canning import calls

class Held:
    def __reduce__(self):
        return calls.registered, (sys.argv[1], (), None)

try:
    canning.deserialize_object([pickle.dumps(Held(), 5)], trust="data")
except canning.DeserializationError as error:
    assert "imports nothing" in str(error), error
assert "pandas" not in sys.modules
"""


@pytest.mark.parametrize("name", ["pandas.Series", "pandas.core.series.Series", "pandas.RangeIndex/1"])
def test_no_name_in_a_strangers_message_imports_a_package(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["pandas.Series:2", "pandas.Series/2"])
def test_a_state_of_a_later_version_asks_for_an_update(name: str) -> None:
    with pytest.raises(DeserializationError, match="a newer canning"):
        canning.Serializer().registry.by_name(name)


def test_a_dotted_name_does_not_make_a_lazy_package_import(
    registry: Registry, serializer: Serializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give(name: str) -> type:
        pytest.fail(f"{name} was asked for")

    module = types.ModuleType("lazy_made_up")
    module.__getattr__ = give  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy_made_up", module)
    registry.register("lazy_made_up.Thing", lambda obj: [obj.x], lambda state: ("canned", state))
    assert registry.find(Point) is None


def test_a_dotted_name_is_resolved_when_its_module_is_there(
    registry: Registry, serializer: Serializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.register("made_up.Thing", lambda obj: [obj.x], lambda state: ("canned", state))
    assert registry.find(Point) is None
    module = types.ModuleType("made_up")
    module.Thing = Point  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_up", module)
    assert registry.find(Point) is not None  # by the alias
    assert through(serializer, Point(5)) == ("canned", [5])


def test_the_name_by_which_a_class_calls_itself_is_found_without_its_module(registry: Registry) -> None:
    cls = type("Thing", (), {"__module__": "not_in_sys_modules"})
    registry.register("not_in_sys_modules.Thing", take_apart, put_together)
    assert registry.find(cls) is not None


def test_pandas_by_its_public_name(default: Registry) -> None:
    pd = pytest.importorskip("pandas")
    default.register("pandas.DataFrame", lambda frame: frame.to_dict("list"), lambda state: ("canned", state))
    frame = pd.DataFrame({"a": [1, 2]})
    assert deserialize_object(serialize_object([frame]))[0] == [("canned", {"a": [1, 2]})]
    default.unregister("pandas.DataFrame")
    assert deserialize_object(serialize_object([frame]))[0][0].equals(frame)


# -- copies ----------------------------------------------------------------------------------------------


def test_a_copy_goes_its_own_way(registry: Registry) -> None:
    registry.register(Signal, take_apart, put_together)
    other = registry.copy()
    other.register(Point, lambda point: [point.x], lambda state: Point(*state))
    registry.unregister(Signal)
    assert registry.find(Signal) is None
    assert registry.find(Point) is None
    assert other.find(Signal) is not None
    assert other.find(Point) is not None


def test_unregistering() -> None:
    registry = Registry()
    registry.register(Signal, take_apart, put_together)
    registry.register("a.b.C", take_apart, put_together)
    registry.unregister(Signal)
    registry.unregister("a.b.C")
    assert registry.find(LoudSignal) is None
    for gone in (Signal, "a.b.C", Point):
        with pytest.raises(KeyError):
            registry.unregister(gone)


def test_the_module_has_the_methods_of_the_default(default: Registry) -> None:
    canning.register(Signal, take_apart, put_together)
    assert default.find(Signal) is not None
    assert isinstance(deserialize_object(serialize_object(SIGNAL))[0].samples, np.ndarray)
    canning.unregister(Signal)
    assert default.find(Signal) is None


# -- canned objects of one's own -------------------------------------------------------------------------


def test_a_canner_may_give_a_canned_object(registry: Registry, serializer: Serializer) -> None:
    registry.register(Signal, CannedSignal)
    for size in (5, 2000):
        signal = Signal(np.arange(float(size)), 7)
        check_round_trip(signal, serializer=serializer)
        canned = can(signal, registry)
        assert isinstance(canned, CannedSignal)
        assert uncan(canned).rate == 7


def test_a_canned_object_arrives_as_what_it_stands_for() -> None:
    for size in (5, 2000):
        signal = Signal(np.arange(float(size)), 7)
        frames = serialize_object([CannedSignal(signal), CannedSignal(signal)])
        check_uncopied([signal.samples], frames[:2])
        got = deserialize_object(frames)[0]
        assert [type(one) for one in got] == [Signal, Signal]
        assert np.array_equal(got[0].samples, signal.samples)


@pytest.mark.parametrize(
    "buffer",
    [
        b"x" * 2000,
        bytearray(2000),
        memoryview(bytes(2000)),
        np.ones(500),
        np.ones((20, 30), order="F"),
        np.arange(500).astype("M8[s]"),
        b"",
        b"small",
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_buffers_of_canned_objects(buffer: Any) -> None:
    class Carrier(CannedObject):
        def __init__(self, memory: Any) -> None:
            self.buffers = [memory, memory]

        def get_object(self, g: Any = None) -> Any:
            return [bytes(part) for part in self.buffers]

    expected = buffer.tobytes("A") if isinstance(buffer, np.ndarray) else bytes(buffer)
    assert deserialize_object(serialize_object({"k": Carrier(buffer)}))[0] == {"k": [expected, expected]}


# -- what a canner must not do ---------------------------------------------------------------------------


class NoList(CannedObject):
    def __init__(self, obj: Any) -> None:
        self.buffers = "text"  # type: ignore[assignment]

    def get_object(self, g: Any = None) -> Any:
        return None


class BadBuffer(CannedObject):
    def __init__(self, buffer: Any) -> None:
        self.buffers = [b"fine", buffer]

    def get_object(self, g: Any = None) -> Any:
        return None


BAD_CANNERS = [
    # can, uncan, what the error says
    (lambda obj: obj, put_together, "returned the object itself"),
    (lambda obj: 5, None, "gave int: it must give a CannedObject"),
    (lambda obj: None, None, "gave NoneType"),
    (NoList, None, "buffers are str, not a list"),
    (lambda obj: BadBuffer("text"), None, "gave str as buffer 1"),
    (lambda obj: BadBuffer(None), None, "gave NoneType as buffer 1"),
    (lambda obj: BadBuffer(5), None, "gave int as buffer 1"),
    (lambda obj: BadBuffer(np.ones((20, 30))[:, ::2]), None, "gave ndarray as buffer 1"),
    (lambda obj: BadBuffer(memoryview(bytes(50))[::2]), None, "gave memoryview as buffer 1"),
]


@pytest.mark.parametrize(("canner", "uncan", "text"), BAD_CANNERS, ids=[row[2] for row in BAD_CANNERS])
def test_what_does_not_fit_is_said_clearly(
    canner: Any, uncan: Any, text: str, registry: Registry, serializer: Serializer
) -> None:
    registry.register(Signal, canner, uncan)
    for obj in (SIGNAL, {"k": [SIGNAL]}):
        with pytest.raises(CannerError, match=text) as caught:
            serializer.serialize_object(obj)
        assert "tests.samples.Signal" in str(caught.value)
    with pytest.raises(CannerError, match=text):
        can(SIGNAL, registry)


def test_a_canner_that_fails_is_the_culprit(registry: Registry, serializer: Serializer) -> None:
    def fail(obj: Any) -> Any:
        raise error("no luck")

    registry.register(Signal, fail, put_together)
    for error in (RuntimeError, AttributeError, TypeError, pickle.PicklingError, ImportError):
        text = f"obj['k'][0]: the canner of tests.samples.Signal raised {error.__name__}"
        with pytest.raises(CannerError, match=re_path(text)) as caught:
            serializer.serialize_object({"k": [SIGNAL]})
        assert caught.value.path == "obj['k'][0]"
        assert isinstance(caught.value.__cause__, CannerError)
        assert isinstance(caught.value.__cause__.__cause__, error)
        assert "no luck" not in str(caught.value)


def test_an_uncan_that_fails_is_named(registry: Registry, serializer: Serializer) -> None:
    def fail(state: Any) -> Any:
        raise ValueError("no luck")

    registry.register(Signal, take_apart, fail)
    frames = serializer.serialize_object({"k": [SIGNAL]})
    for missing in ("error", "stub"):
        with pytest.raises(
            DeserializationError, match=r"the uncan of tests\.samples\.Signal raised ValueError"
        ) as caught:
            serializer.deserialize_object(frames, missing=missing)
        assert isinstance(caught.value.__cause__, ValueError)


def re_path(path: str) -> str:
    import re

    return re.escape(path)


def test_state_that_cannot_be_sent_is_the_culprit(registry: Registry, serializer: Serializer) -> None:
    registry.register(Signal, lambda obj: {"lock": threading.Lock()}, put_together)
    with pytest.raises(SerializationError, match="lock"):
        serializer.serialize_object([SIGNAL])


WRONG_CALLS = [
    (lambda r: r.register(SIGNAL, take_apart, put_together), "a type or its dotted name"),
    (lambda r: r.register(5, take_apart, put_together), "a type or its dotted name"),
    (lambda r: r.register(Signal, None, put_together), "can= for .*Signal must be callable"),
    (lambda r: r.register(Signal, take_apart, 5), "uncan= for .*Signal must be callable"),
]


@pytest.mark.parametrize(("call", "text"), WRONG_CALLS)
def test_registrations_that_make_no_sense(call: Any, text: str, registry: Registry) -> None:
    with pytest.raises(TypeError, match=text):
        call(registry)
    assert registry.find(Signal) is None


NEVER_ASKED = [int, float, bool, str, bytes, bytearray, list, dict, tuple, set, frozenset, type(None), type]


@pytest.mark.parametrize("cls", [*NEVER_ASKED, types.FunctionType], ids=lambda cls: cls.__name__)
def test_a_type_that_the_pickler_never_asks_about_is_refused_or_served(
    cls: type, registry: Registry, serializer: Serializer
) -> None:
    """A registration that is ignored without a word is the one thing that must not happen."""
    samples: dict[type, Any] = {bytes: b"x" * 2000, types.FunctionType: test_unregistering, type: Point}
    obj = samples[cls] if cls in samples else cls()
    try:
        registry.register(cls, lambda obj: ("state",), lambda state: "canned")
    except TypeError:
        return
    assert through(serializer, [obj]) == ["canned"]


def test_the_receiver_must_know_the_registration(registry: Registry, serializer: Serializer) -> None:
    registry.register(Signal, take_apart, put_together)
    frames = serializer.serialize_object([SIGNAL])
    with pytest.raises(DeserializationError, match=r"canning\.register\('tests\.samples\.Signal'"):
        deserialize_object(frames)


def test_both_sides_may_register_by_either_way() -> None:
    sender, receiver = Registry(), Registry()
    sender.register(Signal, take_apart, put_together)
    receiver.register("tests.samples.Signal", take_apart, put_together)
    frames = Serializer(registry=sender).serialize_object([SIGNAL])
    got = Serializer(registry=receiver).deserialize_object(frames)[0][0]
    assert np.array_equal(got.samples, SIGNAL.samples)


# -- threads ---------------------------------------------------------------------------------------------


def test_registering_while_others_serialize() -> None:
    registry = Registry()
    serializer = Serializer(registry=registry)
    registry.register(Signal, take_apart, put_together)
    errors: list[BaseException] = []
    stop = threading.Event()

    def serialize() -> None:
        try:
            while not stop.is_set():
                got = through(serializer, [SIGNAL, Plain(x=1), np.arange(2000.0)])
                assert got[0].rate == 44_100
        except BaseException as error:
            errors.append(error)

    def register(package: str) -> None:
        try:
            for number in range(150):
                cls = type(f"Made{number}", (), {"__module__": package})
                registry.register(cls, lambda obj: [1], lambda state: state)
                registry.register(f"far.{package}.Made{number}", lambda obj: [1], lambda state: state)
                registry.find(Plain)
                if number % 3:
                    registry.unregister(f"far.{package}.Made{number}")
        except BaseException as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=serialize) for _ in range(3)]
        writers = [threading.Thread(target=register, args=[name]) for name in "ab"]
        for thread in threads + writers:
            thread.start()
        for thread in writers:
            thread.join()
        stop.set()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []


@pytest.mark.parametrize("name", ["DataFrame", "", "pandas.", ".DataFrame", "pandas DataFrame", "a-b.C"])
def test_a_name_that_can_name_no_type_is_refused(name: str) -> None:
    registry = Registry()
    with pytest.raises(ValueError, match="names no type"):
        registry.register(name, can=repr, uncan=str)
    registry.register("complex", can=repr, uncan=complex)
    registry.register("some.module.Outer.Inner", can=repr, uncan=str)
    registry.register("some.module.make.<locals>.Local", can=repr, uncan=str)
