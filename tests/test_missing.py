"""Objects whose class is not here: errors that name it, names that have moved, stubs that go on."""

from __future__ import annotations

import functools
import pickle
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, MissingClass, MissingModule, Registry, Serializer, Stub
from canning.wire.trailer import VERSIONS, parse

load = functools.partial(canning.load, trust="code")
loads = functools.partial(canning.loads, trust="code")

SHOP = """
import collections, dataclasses, enum, canning, numpy as np

@dataclasses.dataclass
class Person:
    name: str
    friends: object = None

    @classmethod
    def make(cls): return cls("made")

@dataclasses.dataclass(slots=True)
class Slots:
    a: int

class Customer(Person): pass

class Color(enum.Enum):
    RED = 1

class Items(list): pass
class Table(dict): pass
class Array(np.ndarray): pass
class Masked(np.ma.MaskedArray): pass
Pair = collections.namedtuple("Pair", "x y")
def function(x): return x + 1
class Outer:
    class Inner(str): pass

class Keyword:
    def __new__(cls, *, q): return object.__new__(cls)
    def __getnewargs_ex__(self): return (), {"q": self.q}

class Setting:
    def __init__(self): self.v = 1
    def __reduce__(self): return Setting, (), {"v": self.v}, None, None, set_it

def set_it(setting, state): setting.v = state["v"] + 1

class Odd:
    def __getstate__(self): return 7, {"q": 1}
    def __setstate__(self, state): self.state = state

class Canned(canning.CannedObject):
    def __init__(self): self.buffers, self.unit = [np.arange(1000.0)], "m"
    def get_object(self, g=None): return [self.unit, np.frombuffer(self.buffers[0]).sum()]

class Signal:
    def __init__(self, samples): self.samples = samples
"""


@pytest.fixture
def shop() -> Iterator[Any]:
    module: Any = types.ModuleType("shop")
    sys.modules["shop"] = module
    exec(SHOP, module.__dict__)
    yield module
    sys.modules.pop("shop", None)
    sys.modules.pop("store", None)


def everything_names() -> list[str]:
    shop: Any = types.ModuleType("shop")
    sys.modules["shop"] = shop
    exec(SHOP, shop.__dict__)
    names = list(everything(shop))
    del sys.modules["shop"]
    return names


def everything(shop: Any) -> dict[str, Any]:
    person = shop.Person("Ann")
    person.friends = [person, shop.Person("Bob")]
    table = shop.Table({1: person})
    table.owner = person
    array = np.arange(2000.0).view(shop.Array)
    array.unit = "m"
    keyword = shop.Keyword(q=3)
    keyword.q = 3
    return {
        "person": person,
        "slots": shop.Slots(1),
        "color": shop.Color.RED,
        "items": shop.Items([1, person]),
        "table": table,
        "array": array,
        "masked": np.ma.masked_array([1, 2, 3], [0, 1, 0]).view(shop.Masked),
        "pair": shop.Pair(1, "y"),
        "function": shop.function,
        "method": shop.Person.make,
        "partial": functools.partial(shop.function, 4),
        "inner": shop.Outer.Inner("text"),
        "keyword": keyword,
        "class": shop.Person,
        "keys": {shop.Color.RED: 1},
        "plain": np.arange(1000),
        "setting": shop.Setting(),
        "odd": shop.Odd(),
        "namespace": types.SimpleNamespace(name=shop.Person("Cid")),
    }


def without(shop: Any) -> None:
    del sys.modules["shop"]


def again(shop: Any) -> None:
    sys.modules["shop"] = shop


# -- errors ----------------------------------------------------------------------------------------------


def test_the_error_names_the_module_and_where_it_is_needed(shop: Any) -> None:
    blobs = [dump({"x": [0, shop.Person("Ann")]}) for dump in (canning.dumps, pickle.dumps)]
    without(shop)
    for blob in blobs:
        with pytest.raises(
            MissingModule, match=r"^obj\['x'\]\[1\]: .*module shop .*by_value=.*renames=.*stub"
        ) as got:
            loads(blob)
        assert (got.value.module, got.value.name, got.value.path) == ("shop", "Person", "obj['x'][1]")
        assert got.value.distribution is None


def test_the_error_names_the_class(shop: Any) -> None:
    blob = canning.dumps([shop.Outer.Inner("text")])
    del shop.Outer.Inner
    with pytest.raises(
        MissingClass, match=r"^obj\[0\]: .*shop\.Outer\.Inner.*renames=\{'shop\.Outer\.Inner'"
    ):
        loads(blob)


def test_what_a_script_has_defined() -> None:
    pickled = b"\x80\x04c__main__\nPerson\n)\x81}\x8c\x04nameX\x03\x00\x00\x00Annsb."
    with pytest.raises(MissingClass, match=r"another script.*'__main__\.Person': 'its\.module\.Person'"):
        loads(pickled)


@pytest.mark.parametrize(
    ("name", "says", "distribution"),
    [
        ("cv2", "pip install opencv-python", "opencv-python"),
        ("sklearn.svm", "pip install scikit-learn", "scikit-learn"),
        ("numpy.nothing", r"\(numpy \d.* is installed\)", "numpy"),
    ],
)
def test_what_provides_a_module(
    name: str, says: str, distribution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in [known for known in sys.modules if known.partition(".")[0] in ("cv2", "sklearn")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setattr(sys, "path_hooks", []) if name in ("cv2", "sklearn.svm") else None
    with pytest.raises(MissingModule, match=says) as got:
        loads(b"c" + name.encode() + b"\nThing\n.")
    assert got.value.distribution == distribution


def test_a_module_that_a_function_by_value_needs(shop: Any) -> None:
    frames = canning.serialize_object({"f": lambda: shop.function(1)})
    without(shop)
    with pytest.raises(MissingModule, match="module shop, which is not here") as got:
        canning.deserialize_object(frames)
    assert got.value.path == "obj['f']"


def test_a_module_that_a_module_here_needs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "needs_another.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        MissingModule, match="nowhere_to_be_found, which needs_another imports, which is not here"
    ):
        loads(b"cneeds_another\nThing\n.")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; sys.no_such_name", "AttributeError: module 'sys' has no attribute 'no_such_name'"),
        ("raise AttributeError('their secret')", "AttributeError;"),
        ("1 / 0", "ZeroDivisionError;"),
        ("def (:", "SyntaxError;"),
    ],
)
def test_a_module_whose_import_fails(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    (tmp_path / "fails_here.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        MissingModule, match=f"fails_here.Name, and the import of its module fails here: {said}"
    ):
        loads(b"\x80\x04]\x8c\x0afails_here\x8c\x04Name\x93a.")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("from sys import no_such_name", r"ImportError: cannot import name 'no_such_name' from 'sys' \(.*\)"),
        ("raise ImportError('their secret')", "ImportError"),
    ],
)
def test_a_module_that_cannot_import(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    (tmp_path / "fails_here.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingModule, match=f"whose import fails here: {said}$"):
        loads(b"\x80\x04]\x8c\x0afails_here\x8c\x04Name\x93a.")


def test_persistent_ids() -> None:
    with pytest.raises(DeserializationError, match=r"persistent ids, .*torch\.load"):
        loads(b"\x80\x04\x8c\x03abcQ.", missing="stub")


def test_names_of_strangers_are_shown_short_and_printable() -> None:
    pickled = pickle.dumps(["x" * 40])[:0] + b"\x80\x04\x8c\x05\x1b[31m\x8c\xff" + b"n" * 255 + b"\x93."
    with pytest.raises(MissingModule) as got:
        loads(pickled)
    assert "\x1b" not in str(got.value)
    assert "n" * 200 not in str(got.value)


def test_errors_of_constructors_are_not_taken_for_missing_names() -> None:
    with pytest.raises(DeserializationError, match="cannot be read: AttributeError") as got:
        loads(pickle.dumps(Failing()))
    assert not isinstance(got.value, MissingClass)


class Failing:
    def __reduce__(self) -> Any:
        return getattr, ("text", "no_such_attribute")


# -- names that have moved -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "renames", [{"shop": "store"}, {"shop.Person": "store.Person", "shop.Color": "store.Color"}]
)
def test_renames(shop: Any, renames: dict[str, str], tmp_path: Any) -> None:
    obj = {"person": shop.Person("Ann"), "color": shop.Color.RED}
    canning.dump(obj, tmp_path / "a")
    (tmp_path / "b").write_bytes(pickle.dumps(obj))
    without(shop)
    store: Any = types.ModuleType("store")
    store.Person, store.Color = type("Person", (shop.Person,), {}), shop.Color
    sys.modules["store"] = store
    for path in (tmp_path / "a", tmp_path / "b"):
        got = load(path, renames=renames)
        assert type(got["person"]) is store.Person
        assert got["person"].name == "Ann"
        assert got["color"] is shop.Color.RED
    reader = Serializer(renames=renames)
    assert reader.evolve(writable=True).deserialize_object(reader.serialize_object(7))[0] == 7
    assert pickle.loads(pickle.dumps(reader)).renames.find("shop", "Person") is not None


def test_a_rename_counts_even_where_the_old_name_leads_somewhere(shop: Any) -> None:
    blob = canning.dumps(shop.Person("Ann"))
    assert type(loads(blob, renames={"shop.Person": "shop.Customer"})) is shop.Customer


def test_a_rename_into_a_nested_class(shop: Any) -> None:
    shop.Person.Inner = shop.Outer.Inner
    blob = canning.dumps([shop.Color.RED, shop.Outer.Inner("text")])
    got = loads(blob, renames={"shop.Outer": "shop.Person"})
    assert type(got[1]) is shop.Outer.Inner
    got = loads(b"cold\nText\n(S'text'\ntR.", renames={"old.Text": "shop.Outer.Inner"})
    assert type(got) is shop.Outer.Inner


def test_registered_renames(shop: Any) -> None:
    registry = Registry()
    registry.register_rename("old.shop", "shop")
    pickled = b"cold.shop\nColor\n(K\x01tR."
    reader = Serializer(registry=registry)
    assert reader.deserialize_object([pickled])[0] is shop.Color.RED
    assert Serializer(registry=registry.copy()).deserialize_object([pickled])[0] is shop.Color.RED
    registry.unregister_rename("old.shop")
    with pytest.raises(MissingModule):
        reader.deserialize_object([pickled])
    with pytest.raises(KeyError):
        registry.unregister_rename("old.shop")


@pytest.mark.parametrize(
    ("pickled", "expected"),
    [
        (b"cnumpy.core.numeric\n_frombuffer\n.", "_frombuffer"),
        (b"cnumpy._core.numeric\n_frombuffer\n.", "_frombuffer"),
        (b"cpathlib._local\nPurePosixPath\n.", "PurePosixPath"),
        (b"ccollections\nMapping\n.", "Mapping"),
    ],
)
@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")
def test_well_known_moves(pickled: bytes, expected: str) -> None:
    assert loads(b"\x80\x04" + pickled).__name__ == expected


@pytest.mark.parametrize("renames", [{"a": ""}, {"a..b": "c"}, {"": "a"}])
def test_names_that_are_none(renames: Any) -> None:
    with pytest.raises(ValueError, match="not a dotted name"):
        Serializer(renames=renames)
    with pytest.raises(TypeError, match="dotted names"):
        Serializer(renames={"a": 1})  # type: ignore[dict-item]


# -- stubs -----------------------------------------------------------------------------------------------


def check_stubs(stubs: Any) -> None:
    person = stubs["person"]
    assert isinstance(person, Stub)
    assert person.class_name == "shop.Person"
    assert person.name == person["name"] == "Ann"
    assert person.friends[0] is person
    assert stubs["items"][1] is person
    assert stubs["table"][1] is person
    assert stubs["table"].owner is person
    if sys.version_info >= (3, 11, 4):  # before, pickle names a member
        assert stubs["color"].args == (1,)
    assert list(stubs["keys"].values()) == [1]
    assert stubs["pair"][1] == "y"
    assert stubs["keyword"].kwargs == {"q": 3}
    assert "shop.Person" in repr(person)
    assert "friends" in dir(person)
    assert type(stubs["plain"]) is np.ndarray
    assert stubs["setting"].state == {"v": 1}
    assert stubs["odd"].state == (7, {"q": 1})
    assert "shop.Odd" in repr(stubs["odd"])
    with pytest.raises(AttributeError, match=r"shop\.Person has no 'age'"):
        _ = person.age
    with pytest.raises(KeyError):
        person["age"]
    with pytest.raises(TypeError, match=r"shop\.function is not here"):
        stubs["function"](1)


def check_originals(got: Any, shop: Any) -> None:
    person = got["person"]
    assert type(person) is shop.Person
    assert person.friends[0] is person is got["items"][1] is got["table"][1] is got["table"].owner
    assert got["slots"] == shop.Slots(1)
    assert got["color"] is shop.Color.RED
    assert type(got["items"]) is shop.Items
    assert type(got["table"]) is shop.Table
    assert type(got["array"]) is shop.Array
    assert got["array"].sum() == 1999000.0
    assert type(got["masked"]) is shop.Masked
    assert got["masked"].tolist() == [1, None, 3]
    assert got["pair"] == shop.Pair(1, "y")
    assert got["function"] is shop.function
    assert got["method"]().name == "made"
    assert got["partial"]() == 5
    assert got["inner"] == "text"
    assert type(got["inner"]) is shop.Outer.Inner
    assert got["keyword"].q == 3
    assert got["class"] is shop.Person
    assert got["keys"] == {shop.Color.RED: 1}
    assert got["setting"].v == 2
    assert got["odd"].state == (7, {"q": 1})


@pytest.mark.parametrize("protocol", [None, 2, 3, 4, 5])
def test_stubs_go_back_to_what_they_were(shop: Any, protocol: int | None) -> None:
    obj = everything(shop)
    blob = canning.dumps(obj) if protocol is None else pickle.dumps(obj, protocol)
    without(shop)
    stubs = loads(blob, missing="stub")
    check_stubs(stubs)
    passed_on = canning.dumps(stubs)
    twice = canning.dumps(loads(passed_on, missing="stub"))
    again(shop)
    check_originals(loads(passed_on), shop)
    check_originals(loads(twice), shop)
    if protocol is None:
        assert loads(twice)["array"].unit == "m"


@pytest.mark.parametrize("name", [*everything_names(), "all", "many"])
def test_stubs_go_on_as_often_as_one_likes(shop: Any, name: str) -> None:
    obj = everything(shop)
    obj["many"] = [shop.Person(str(number), [shop.Pair(number, 1.5)]) for number in range(300)]
    obj["all"] = list(obj.values())
    frames = arrived(obj[name])
    without(shop)
    stubs, _ = canning.deserialize_object(frames, missing="stub")
    passed_on = arrived(stubs)
    assert passed_on[1:] == frames[1:]
    assert arrived(canning.deserialize_object(passed_on, missing="stub")[0]) == passed_on
    if name != "method":  # a class method by way of its class comes back by its own name
        assert named_of_shop(passed_on) >= named_of_shop(frames)


def named_of_shop(frames: list[Any]) -> set[str]:
    return {each.name for each in canning.inspect(frames).globals if each.module == "shop"}


def arrived(obj: Any) -> list[bytearray]:
    """Give frames as they arrive: what is read-only would stay so."""
    return list(map(bytearray, canning.serialize_object(obj)))


def test_names_are_written_whatever_is_in_the_memo(shop: Any) -> None:
    names = [f"{'long' * 70}{number}" for number in range(300)]
    for name in names:
        setattr(shop, name, type(name, (), {"__module__": "shop", "__qualname__": name}))
    obj = [*map(str, range(300)), [getattr(shop, name) for name in names], shop.Person, b"x" * 5000]
    frames = canning.serialize_object(obj)
    without(shop)
    stubs, _ = canning.deserialize_object(frames, missing="stub")
    passed_on = [canning.serialize_object(stubs), canning.serialize_object(stubs, buffer_threshold=1)]
    again(shop)
    for each in passed_on:
        assert canning.deserialize_object(each)[0] == obj


def test_what_a_message_says_of_versions_goes_on_with_stubs(shop: Any) -> None:
    shop.__version__ = "1.2"
    frames = canning.serialize_object([shop.Person("Ann")])
    assert VERSIONS in parse(frames[0]).extensions  # type: ignore[union-attr]
    without(shop)
    stubs, _ = canning.deserialize_object(frames, missing="stub")
    passed_on, said = parse(canning.serialize_object(stubs)[0]), parse(frames[0])
    assert passed_on.extensions[VERSIONS] == said.extensions[VERSIONS]  # type: ignore[union-attr]


def test_calls_with_a_stub_and_something_else_stay_calls(shop: Any) -> None:
    blob = pickle.dumps([person := shop.Person("Ann"), Call(shop.function, person, 5)])
    without(shop)
    person, called = loads(blob, missing="stub")
    assert person.state == {"name": "Ann", "friends": None}
    assert called.args == (person, 5)
    passed_on = canning.dumps([person, called])
    again(shop)
    shop.function = lambda person, number: (person, number)
    person, called = loads(passed_on)
    assert called == (person, 5)


class Call:
    """Be pickled as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


def test_stubs_of_the_oldest_pickles(shop: Any, tmp_path: Any) -> None:
    obj = [shop.Person("Ann"), shop.Items([1])]
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(obj, 0))
    without(shop)
    stubs = load(tmp_path / "old.pkl", missing="stub")
    assert stubs[0].name == "Ann"
    blob = canning.dumps(stubs)
    again(shop)
    assert loads(blob) == obj


def test_canned_objects_and_registered_types(shop: Any) -> None:
    registry = Registry()
    registry.register(shop.Signal, can=lambda s: s.samples, uncan=lambda state, cls: cls(state))
    knows = Serializer(registry=registry)
    frames = knows.serialize_object(
        {"c": shop.Canned(), "s": shop.Signal(np.arange(2000.0)), "x": {1: shop.Canned()}}
    )
    without(shop)
    router = Serializer(registry=Registry(), missing="stub")
    stubs, _ = router.deserialize_object(frames)
    assert stubs["c"].class_name == "shop.Canned"
    assert stubs["s"].class_name == "shop.Signal"
    passed_on = router.serialize_object(stubs)
    assert [len(frame) for frame in passed_on[1:]] == [len(frame) for frame in frames[1:]]
    again(shop)
    got, _ = knows.deserialize_object(passed_on)
    assert got["c"] == got["x"][1] == ["m", 499500.0]
    assert type(got["s"]) is shop.Signal
    assert got["s"].samples.sum() == 1999000.0


def test_memory_of_stubs_is_not_copied(shop: Any) -> None:
    frames = canning.serialize_object(shop.Person(np.arange(5000.0)))  # type: ignore[arg-type]
    without(shop)
    stub, _ = Serializer(missing="stub").deserialize_object(frames)
    passed_on = canning.serialize_object(stub)
    assert np.shares_memory(np.frombuffer(passed_on[1]), np.frombuffer(frames[1]))


def test_a_function_whose_module_is_not_here(shop: Any) -> None:
    frames = canning.serialize_object(lambda: shop.function(1))
    without(shop)
    reader = Serializer(missing="stub")
    function, _ = reader.deserialize_object(frames)
    with pytest.raises(AttributeError, match="stub of shop has no 'function'"):
        function()
    passed_on = canning.serialize_object(function)
    again(shop)
    assert canning.deserialize_object(passed_on)[0]() == 2


def test_stubs_among_things_that_go_by_value(shop: Any) -> None:
    class Local:
        pass

    local: Any = Local()
    local.person = shop.Person("Ann")
    local.f = lambda: local.person
    frames = canning.serialize_object(local)
    without(shop)
    got, _ = Serializer(missing="stub").deserialize_object(frames)
    passed_on = canning.serialize_object(got)
    again(shop)
    assert canning.deserialize_object(passed_on)[0].person == local.person


def test_stubs_travel_by_other_picklers_as_stubs(shop: Any) -> None:
    blob = pickle.dumps(shop.Person("Ann"))
    without(shop)
    stub = pickle.loads(pickle.dumps(loads(blob, missing="stub")))
    assert (stub.class_name, stub.name) == ("shop.Person", "Ann")
    assert loads(canning.dumps(stub), missing="stub").name == "Ann"
    again(shop)
    blob = pickle.dumps([shop.Person, functools.partial(shop.function, 2)])
    without(shop)
    blob = pickle.dumps(loads(blob, missing="stub"), 2)
    again(shop)
    assert repr(pickle.loads(blob)[0]) == repr(shop.Person)


def test_stubs_need_trust_in_code() -> None:
    with pytest.raises(ValueError, match="missing='stub' needs trust"):
        Serializer(missing="stub", trust="data")
    with pytest.raises(ValueError, match="missing='skip' is not one of error, stub"):
        Serializer(missing="skip")
