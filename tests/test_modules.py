"""Modules that travel by value: from a folder into an empty one, and within one process."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import canning
from canning import SerializationError, Serializer, deserialize_object, received_modules, serialize_object
from canning.code.received import ReceivedModules

ROOT = Path(__file__).parents[1]
Write = Callable[[dict[str, str]], None]

FILES = {
    "another_module.py": """
        from pack import helper

        def g(x):
            from pack.lazy import late
            return helper(x) + late()

        def fail():
            raise ValueError("on purpose")

        class Person:
            def __init__(self, name):
                self.name = name
        """,
    "pack/__init__.py": """
        import importlib.resources as resources
        from .inner import helper

        def text():
            return resources.files("pack").joinpath("data", "words.txt").read_text()
        """,
    "pack/inner.py": "from . import deep\n\ndef helper(x):\n    return deep.two() * x\n",
    "pack/deep/__init__.py": "from ..numbers import TWO\n\ndef two():\n    return TWO\n",
    "pack/numbers.py": "TWO = 2\n",
    "pack/lazy.py": "def late():\n    return 100\n",
    "pack/data/words.txt": "some words",
    "spaces/part/code.py": "def spaced():\n    return 'spaced'\n",
    "unused.py": "raise RuntimeError('nobody asked for this')\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def run(folder: Path, name: str, code: str, *arguments: Any) -> str:
    write(folder, {name: code})
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", name, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_folders(tmp_path: Path) -> None:
    sender, receiver = write(tmp_path / "sender", FILES), tmp_path / "receiver"
    send = """
        import sys, canning
        from spaces.part import code

        def f():
            from another_module import Person, fail, g
            import pack
            person, text = Person("Ann"), pack.text()
            return {"g": g(1), "fail": fail, "person": person, "text": text, "spaced": code.spaced()}

        canning.dump(f, sys.argv[1], by_value="local")
        """
    receive = """
        import inspect, pickle, sys, traceback, canning
        f = canning.load(sys.argv[1], trust="code")
        got = f()
        assert got["g"] == 102 and got["text"] == "some words" and got["spaced"] == "spaced"
        try:
            got["fail"]()
        except ValueError:
            assert 'raise ValueError("on purpose")' in traceback.format_exc()
        assert inspect.getsource(got["fail"]).startswith("def fail")
        assert inspect.getsource(type(got["person"])).startswith("class Person")
        assert pickle.loads(pickle.dumps(got["person"])).name == "Ann"
        print(*sorted(module.name for module in canning.received_modules()))
        assert b"class Person" in bytes(canning.dumps(got["person"], by_value="local"))
        """
    run(sender, "x.py", send, tmp_path / "f")
    names = run(receiver, "y.py", receive, tmp_path / "f").split()
    assert names == [
        *("another_module", "pack", "pack.deep", "pack.inner", "pack.lazy", "pack.numbers"),
        *("spaces", "spaces.part", "spaces.part.code"),
    ]


# -- within one process ----------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules that can be imported here; `forget_here` below makes this a place without them."""
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)

    def put(files: dict[str, str]) -> None:
        write(tmp_path, files)
        sys.path_importer_cache.clear()

    yield put
    canning.forget()
    for name in set(sys.modules) - known:
        if not name.startswith("canning."):  # imported when first used, and once
            del sys.modules[name]


def leave(*names: str) -> None:
    """Become a receiver that does not have these."""
    sys.path[:] = [path for path in sys.path if not any((Path(path) / name).exists() for name in names)]
    for name in names:
        for known in list(sys.modules):
            if known.split(".")[0] == name.removesuffix(".py"):
                del sys.modules[known]
    sys.path_importer_cache.clear()


def load_module(name: str) -> Any:
    __import__(name)
    return sys.modules[name]


def send(obj: Any, **options: Any) -> list[Any]:
    return serialize_object(obj, **{"by_value": "local", **options})


def test_classes_arrive_as_classes_of_their_module(here: Write) -> None:
    here({"people.py": "class Person:\n    def hello(self): return 'hello'\n"})
    people = load_module("people")
    frames = send([people.Person(), people.Person])
    leave("people.py")
    (person, cls), _ = deserialize_object(frames)
    again, _ = deserialize_object(frames)
    assert type(person) is cls is again[1]
    assert isinstance(again[0], cls)
    assert cls.__module__ == "people"
    assert person.hello() == "hello"
    assert sys.modules["people"].__file__ == "<received>/people.py"
    assert inspect.getsource(cls).startswith("class Person")
    assert type(pickle.loads(pickle.dumps(person))) is cls


def test_nothing_travels_by_default_nor_without_need(here: Write) -> None:
    here({"people.py": "class Person: pass\n"})
    people = load_module("people")
    assert serialize_object(people.Person()) == serialize_object(people.Person(), by_value=())
    plain = {"numbers": [1, 2]}
    assert send(plain) == serialize_object(plain)
    assert len(send([people.Person()])[0]) > len(serialize_object([people.Person()])[0])


def test_data_can_be_read_as_data_whatever_came_along(here: Write) -> None:
    here({"people.py": "import dataclasses\n@dataclasses.dataclass\nclass Person:\n    name: str\n"})
    people = load_module("people")
    here({"people.py": "raise RuntimeError\n"})  # what travels is the file as it is now
    frames = send([people.Person("Ann")])
    assert b"raise RuntimeError" in bytes(frames[0])
    read = Serializer(trust="data", allow=[people.Person])
    assert read.deserialize_object(frames)[0] == [people.Person("Ann")]
    assert received_modules() == []


def test_strings_that_code_imports_by_are_followed(here: Write, tmp_path: Path) -> None:
    here(
        {
            "by_string.py": """
                import importlib
                from importlib.resources import files

                def data():
                    return files("kept.data").joinpath("a.bin").read_bytes()

                def plugin():
                    return importlib.import_module("plugins.one").NAME

                def fails():
                    return importlib.import_module("no.such.module"), "kept"
                """,
            "kept/data/__init__.py": "",
            "kept/data/deep/b.txt": "deep",
            "plugins/one.py": "NAME = 'one'",
        }
    )
    (tmp_path / "kept/data/a.bin").write_bytes(b"\x00\xff")
    by_string = load_module("by_string")
    frames = send([by_string.data, by_string.plugin, by_string.fails])
    leave("by_string.py", "kept", "plugins")
    (data, plugin, fails), _ = deserialize_object(frames)
    assert [each.name for each in received_modules()] == [
        *("by_string", "kept", "kept.data", "plugins", "plugins.one")
    ]
    assert (data(), plugin()) == (b"\x00\xff", "one")
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'no'"):
        fails()


def test_what_pip_has_put_into_a_folder_is_installed(here: Write) -> None:
    here(
        {
            "put.py": "def f():\n    return 1\n",
            "beside.py": "from put import f\n",
            "put-1.0.dist-info/RECORD": "put.py,sha256=x,20\nput-1.0.dist-info/RECORD,,\n",
        }
    )
    beside = load_module("beside")
    assert canning.explain(beside, by_value="local").modules == ["beside"]


def test_installed_modules_do_not_travel() -> None:
    import cloudpickle
    import numpy as np

    frames = send(lambda: (np.zeros(3), cloudpickle, textwrap.dedent("x")))
    assert b"def dedent" not in bytes(frames[0])
    assert len(frames[0]) < 3000


def test_modules_chosen_by_hand(here: Write) -> None:
    here({"one.py": "import two\ndef f(): return two.g()\n", "two.py": "def g(): return 2\n"})
    one = load_module("one")
    import two  # type: ignore[import-not-found]

    both = serialize_object(one.f, by_value=[one, "two"])
    first = serialize_object(one.f, by_value=["one"])
    assert Serializer(by_value=[two]) != Serializer()
    assert repr(Serializer(by_value=[one, two]).by_value) == "['one', 'two']"
    leave("one.py", "two.py")
    assert deserialize_object(both)[0]() == 2
    canning.forget()
    said = (
        r"the module two, which one imports, which is not here.*canning.by_value.'two'. or by_value=.local."
    )
    with pytest.raises(canning.MissingModule, match=said):
        deserialize_object(first)


def test_a_chosen_package_travels_with_what_it_needs_of_itself(here: Write) -> None:
    here(FILES)
    g = load_module("pack.inner").helper
    frames = serialize_object(g, by_value=["pack"])
    leave("pack")
    assert deserialize_object(frames)[0](4) == 8
    assert [module.name for module in received_modules()] == [
        "pack",
        "pack.deep",
        "pack.inner",
        "pack.numbers",
    ]


@pytest.mark.parametrize(
    ("by_value", "error"),
    [("other", ValueError), ([3], TypeError), (["x"], None), ((), None)],
)
def test_what_by_value_takes(by_value: Any, error: Any) -> None:
    if error is None:
        assert Serializer(by_value=by_value) is not None
    else:
        with pytest.raises(error, match="by_value="):
            Serializer(by_value=by_value)
    with pytest.raises(ValueError, match="prefer='mine' is not one of own, sent"):
        Serializer(prefer="mine")


def test_two_versions_do_not_mix(here: Write) -> None:
    files = (
        "from {0} import value\ndef f():\n    import {0}\n    return value(), {0}.value()\nclass C: pass\n"
    )
    frames = []
    for version in (1, 2):
        here({"front.py": files.format("back"), "back.py": f"def value(): return {version}\n"})
        for name in ("front", "back"):
            sys.modules.pop(name, None)
        front = load_module("front")

        def run_it(front: Any = front) -> Any:
            import back  # type: ignore[import-not-found]

            return front.f(), back.value()

        os.utime(front.__file__, ns=(version, version))
        frames.append(send([front.f, front.C(), run_it, front]))
        for path in Path(front.__file__).parent.rglob("*.pyc"):
            path.unlink()
    leave("front.py", "back.py")
    got = [deserialize_object(each)[0] for each in (*frames, *frames)]
    for number, (f, instance, function, module) in enumerate(got):
        version = number % 2 + 1
        assert f() == (version, version)
        assert function() == ((version, version), version)
        assert module.f is f
        assert isinstance(instance, module.C)
        assert type(instance) is type(got[(number + 2) % 4][1])
    assert type(got[0][1]) is not type(got[1][1])
    second = got[1][1]
    assert type(pickle.loads(pickle.dumps(second))) is type(second)
    assert inspect.getsource(got[1][0]).startswith("def f")
    g: dict[str, Any] = {}
    for version, each in enumerate(frames, 1):
        assert deserialize_object(each, g)[0][2]() == ((version, version), version)


def test_what_was_sent_of_another_version_comes_home(here: Write) -> None:
    here({"people.py": "class Person: pass\n"})
    person = load_module("people").Person()
    frames = send(person)
    sys.modules["people"].Person = None
    got, _ = deserialize_object(frames, prefer="sent")
    assert type(got).__module__.startswith("people@")
    back = serialize_object(got)
    sys.modules["people"].Person = type(person)
    for name in [module.imported_as for module in received_modules()]:
        sys.modules.pop(name, None)
    canning.forget()
    assert type(deserialize_object(back)[0]) is type(person)


def test_versions_that_are_passed_on_do_not_mix(here: Write) -> None:
    sent = []
    for version in ("one", "two"):
        here(
            {
                "goods.py": f"import stock\nclass Item:\n    said = '{version}', stock.SAID\n",
                "stock.py": f"SAID = '{version}'\n",
            }
        )
        sys.modules.pop("goods", None)
        sys.modules.pop("stock", None)
        goods = load_module("goods")

        def ask() -> Any:
            import stock  # type: ignore[import-not-found]

            return stock.SAID

        sent.append(send([goods.Item(), ask], by_value=["goods", "stock"]))
    leave("goods.py", "stock.py")
    got = [deserialize_object(frames)[0] for frames in sent]
    assert [(item.said, ask()) for item, ask in got] == [(("one", "one"), "one"), (("two", "two"), "two")]
    passed_on = [send(each, by_value=["goods", "stock"]) for each in got]
    together = send([item for item, _ in got])
    canning.forget()
    for name in [name for name in sys.modules if name.startswith(("goods", "stock"))]:
        del sys.modules[name]
    again = [deserialize_object(frames)[0] for frames in passed_on]
    assert [(item.said, ask()) for item, ask in again] == [(("one", "one"), "one"), (("two", "two"), "two")]
    both, _ = deserialize_object(together)
    assert [type(item) for item in both] == [type(item) for item, _ in again]


def test_what_data_says_sends_no_module(here: Write) -> None:
    here({"secrets_of_mine.py": "KEY = 'confidential'\ndef f():\n    return 1\n"})
    secrets = load_module("secrets_of_mine")
    for obj in ("secrets_of_mine", {"secrets_of_mine": lambda: "secrets_of_mine"}, [Path, "secrets_of_mine"]):
        assert b"confidential" not in b"".join(map(bytes, send(obj)))
    for obj in (["secrets_of_mine", secrets.f], {"secrets_of_mine": lambda: secrets}, [secrets.f, "x"]):
        assert b"confidential" in b"".join(map(bytes, send(obj)))
    assert b"confidential" in b"".join(map(bytes, send(canning.interactive(secrets.f), interactive=True)))


def test_a_star_imports_what_a_package_lists(here: Write) -> None:
    here(
        {
            "stars/__init__.py": "__all__ = [\n    'one',\n    'f',\n]\n__all__ += ['two']\nf = print\n",
            "stars/one.py": "ONE = 1\n",
            "stars/two.py": "TWO = 2\n",
            "stars/three.py": "",
            "starry.py": "from stars import *\ndef both():\n    return one.ONE, two.TWO\n",
        }
    )
    frames = send(load_module("starry").both)
    leave("stars", "starry.py")
    assert deserialize_object(frames)[0]() == (1, 2)
    assert "stars.three" not in [module.name for module in received_modules()]


def test_which_one_is_preferred(here: Write) -> None:
    here({"tool.py": "def f(): return 'sent'\n"})
    frames = send(load_module("tool").f)
    del sys.modules["tool"]
    own = types.ModuleType("tool")
    own.f = lambda: "own"  # type: ignore[attr-defined]
    sys.modules["tool"] = own
    assert deserialize_object(frames)[0]() == "own"
    assert received_modules() == []
    assert deserialize_object(frames, prefer="sent")[0]() == "sent"
    assert sys.modules["tool"] is own


def test_forgetting(here: Write) -> None:
    here({"pack/__init__.py": "", "pack/a.py": "def f(): return 1\n", "tool.py": "def f(): return 2\n"})
    frames = send([load_module("pack.a").f, load_module("tool").f])
    leave("pack", "tool.py")
    f, _ = deserialize_object(frames)[0]
    assert [(each.name, each.loaded, each.hides) for each in received_modules()] == [
        ("pack", True, False),
        ("pack.a", True, False),
        ("tool", True, False),
    ]
    canning.forget("pack")
    assert [each.name for each in received_modules()] == ["tool"]
    assert f() == 1
    with pytest.raises(ImportError):
        load_module("pack.a")
    with pytest.raises(KeyError):
        canning.forget("pack")
    assert deserialize_object(frames)[0][0]() == 1
    canning.forget()
    assert "tool" not in sys.modules
    assert received_modules() == []


def test_a_module_that_is_installed_later(
    here: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here({"tool.py": "def f(): return 'sent'\n"})
    frames = send(load_module("tool").f)
    leave("tool.py")
    assert deserialize_object(frames)[0]() == "sent"
    write(tmp_path / "later", {"tool.py": "def f(): return 'installed'\n"})
    monkeypatch.syspath_prepend(tmp_path / "later")
    assert [each.hides for each in received_modules()] == [True]
    canning.forget("tool")
    assert load_module("tool").f() == "installed"


def test_an_edited_module_that_is_sent_again_is_the_new_one(here: Write) -> None:
    here({"tool.py": "def f(): return 'old'\n"})
    old = send(load_module("tool").f)
    del sys.modules["tool"]
    here({"tool.py": "def f(): return 'edited'\n"})
    new = send(load_module("tool").f)
    leave("tool.py")
    assert deserialize_object(old)[0]() == "old"
    assert deserialize_object(new)[0]() == "edited"


def test_tracebacks_show_the_source(here: Write) -> None:
    here({"tool.py": "def f():\n    raise ValueError('here')\n"})
    frames = send(load_module("tool").f)
    leave("tool.py")
    f, _ = deserialize_object(frames)
    with pytest.raises(ValueError, match="here") as got:
        f()
    assert "raise ValueError('here')" in "".join(traceback.format_exception(got.value))


def test_compiled_modules_are_named(here: Write, tmp_path: Path) -> None:
    here({"tool.py": "def f():\n    import compiled_thing\n"})
    (tmp_path / "compiled_thing.so").write_bytes(b"")
    frames = send(load_module("tool").f)
    leave("tool.py", "compiled_thing.so")
    f, _ = deserialize_object(frames)
    with pytest.raises(
        ImportError, match="'compiled_thing': code that a message brought needs it, and it is compiled"
    ):
        f()
    sys.path.insert(0, str(tmp_path))
    with pytest.raises(SerializationError, match="compiled_thing cannot travel by value: it is compiled"):
        serialize_object(f, by_value=["tool", "compiled_thing"])


def test_modules_without_source_are_refused() -> None:
    module: Any = types.ModuleType("made_up")
    exec("def f(): return 1", module.__dict__)
    sys.modules["made_up"] = module
    try:
        with pytest.raises(SerializationError, match="made_up cannot travel by value: it has no source"):
            serialize_object(module.f, by_value=["made_up"])
    finally:
        del sys.modules["made_up"]


def test_pkgutil_reads_data_too(here: Write) -> None:
    here(
        {
            "box/__init__.py": "import pkgutil\ndef get(): return pkgutil.get_data('box', 'a/b.bin')\n",
            "box/a/b.bin": "data",
        }
    )
    frames = send(load_module("box").get)
    leave("box")
    assert deserialize_object(frames)[0]() == b"data"


def test_modules_in_damaged_messages() -> None:
    from canning.wire.trailer import MODULES, extension, pack

    body = pickle.dumps(1, 5)
    with pytest.raises(canning.DeserializationError, match="modules in this message cannot be read"):
        deserialize_object([pack(body, len(body), [], extensions=extension(MODULES, b"nonsense"))])


def test_a_finder_asks_nobody_before_something_arrives() -> None:
    received = ReceivedModules()
    assert received not in sys.meta_path
    assert received.find_spec("anything") is None


# -- by_value and by_reference ---------------------------------------------------------------------------


@pytest.fixture
def marked(here: Write) -> Iterator[Any]:
    here(
        {
            "marks.py": """
            import functools
            def f(x): return x + 1
            class C:
                kind = "marked"
                class Inner: pass
                def __init__(self, x): self.x = x
                def __add__(self, other): return C(self.x + other.x)
                @property
                def double(self): return 2 * self.x
            class Other: pass
            """
        }
    )
    module = load_module("marks")
    yield module
    for obj in (module, module.f, module.C):
        canning.by_reference(obj)


def test_marked_functions_and_classes(marked: Any) -> None:
    assert canning.by_value(marked.f) is marked.f
    assert canning.by_value(marked.C) is marked.C
    value = marked.C(3)
    frames = serialize_object({"f": marked.f, "list": [value, marked.C(4)], "inner": marked.C.Inner()})
    assert isinstance(value, marked.C)
    leave("marks.py")
    got, _ = deserialize_object(frames)
    assert got["f"](1) == 2
    first, second = got["list"]
    assert type(first) is type(second)
    assert (first + second).x == 7
    assert first.double == 6
    assert "marks" not in sys.modules


def test_marks_can_be_taken_back(marked: Any) -> None:
    before = serialize_object([marked.f, marked.C(1)])
    canning.by_value(marked.f)
    canning.by_value(marked.C)
    assert serialize_object([marked.f, marked.C(1)]) != before
    assert serialize_object([marked.f, marked.C(1)], pickler="pickle") == before
    canning.by_reference(marked.f)
    canning.by_reference(marked.C)
    assert serialize_object([marked.f, marked.C(1)]) == before


def test_marked_modules(marked: Any) -> None:
    canning.by_value(marked)
    frames = serialize_object([marked.Other(), marked.f])
    leave("marks.py")
    got, _ = deserialize_object(frames)
    assert got[1](1) == 2
    assert type(got[0]).__module__ == "marks"


@pytest.mark.parametrize("obj", [len, int, 3, b"json"])
def test_what_cannot_be_marked(obj: Any) -> None:
    with pytest.raises(TypeError, match=r"by_value marks|is compiled"):
        canning.by_value(obj)


def test_modules_are_marked_by_name_too() -> None:
    registry = canning.Registry()
    assert registry.by_value("json") == "json"
    assert registry.marked_modules == {"json"}
    registry.by_reference("json")
    assert not registry.marked_modules
    with pytest.raises(ValueError, match="there is no module 'jsom'"):
        registry.by_value("jsom")
