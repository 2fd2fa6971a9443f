"""`explain`: what would become of an object, part by part, and what keeps it from being sent."""

from __future__ import annotations

import collections
import functools
import io
import json
import sys
import threading
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import Explanation, explain, inspect, serialize_object
from canning.cli import main

from .samples import Point, double

LARGE = np.arange(4000.0)

REASON = (
    "cannot pickle '_thread.lock' object: "
    "leave it out, or let the class that holds it drop it in __getstate__"
)


def how(found: Explanation) -> dict[str, str]:
    return {part.path: part.how for part in found.parts}


def test_how_each_part_goes() -> None:
    local = lambda x: x + 1  # noqa: E731 - a lambda is what is tested
    obj = {
        "large": LARGE,
        "view": LARGE[:1000],
        "small": np.arange(3),
        "bytes": b"x" * 5000,
        "more bytes": b"x" * 70_000,
        "objects": np.array([1, "two"], object),
        "f": local,
        "named": double,
        "class": Point,
        "point": Point(1, 2.0),
        "text": "text",
    }
    found = explain(obj)
    assert how(found)["obj"] == "header"
    assert {path[5:-2]: said for path, said in how(found).items() if path.endswith("']")} == {
        "large": "frame 1",
        "view": "frame 1",
        "small": "header",
        "bytes": "header",
        "more bytes": "frame 2",
        "objects": "header",
        "f": "by value",
        "named": "by reference",
        "class": "by reference",
        "point": "header",
        "text": "header",
    }
    rows = {part.path: part for part in found.parts}
    assert rows["obj['large']"].copied is None
    assert rows["obj['large']"].nbytes == 32_000
    assert "buffer_threshold=1024" in str(rows["obj['small']"].copied)
    assert "64 KiB" in str(rows["obj['bytes']"].copied)
    assert "objects" in str(rows["obj['objects']"].copied)
    assert rows["obj['point'].x"].kind == "int"
    assert found.frames[1:] == [32_000, 70_000]
    assert found.problems == []
    assert any("samples" in module for module in found.needs)


def test_copies_are_explained() -> None:
    sparse = np.arange(100_000.0)[::50]
    (_, row) = explain([sparse]).parts
    assert (row.how, row.nbytes) == ("a copy", 16_000)
    assert "docs/copies.md" in str(row.copied)


def test_plain_data_says_so() -> None:
    found = explain({"x": LARGE, "n": 1})
    assert found.data == []
    assert found.needs == {}
    assert 'trust="data" reads it' in str(found)
    assert explain(Point(1, 2.0)).data[0].startswith("obj: needs ")
    assert explain(Point(1, 2.0), allow=[Point]).data == []


def test_all_that_cannot_go_is_named() -> None:
    class Holder:
        def __init__(self) -> None:
            self.lock = threading.Lock()
            self.x = LARGE

    found = explain({"a": [1, Holder()], "b": threading.Lock(), "fine": LARGE})
    assert [path for path, _ in found.problems] == ["obj['a'][1].lock", "obj['b']"]
    assert {reason for _, reason in found.problems} == {REASON}
    assert found.frames == []
    assert how(found)["obj['b']"] == "cannot go"
    assert how(found)["obj['fine']"] == "frame"
    assert str(found).startswith("cannot be sent: obj['a'][1].lock: ")
    assert "cannot go: obj['b']" in str(found)


class Hostile:
    """Raise from whatever it is asked."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("no")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")


class NoClass:
    """Raise where somebody asks for its class."""

    @property
    def __class__(self) -> Any:
        raise ValueError("no")

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise ValueError("no")


class NoAttribute:
    """Raise for every attribute."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class Exits:
    """Leave Python when it is pickled."""

    def __reduce__(self) -> Any:
        raise SystemExit(3)


class NoName(type):
    """Do not let the names of a class be read."""

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__qualname__", "__module__"):
            raise ValueError(name)
        return super().__getattribute__(name)


def nameless() -> Any:
    return NoName("Nameless", (), {})  # not at the top, where pytest looks at classes


def deep() -> Any:
    obj: Any = threading.Lock()
    for _ in range(50_000):
        obj = [obj]
    return obj


@pytest.mark.parametrize("make", [Hostile, NoClass, NoAttribute, Exits, nameless, lambda: nameless()(), deep])
def test_it_never_raises_for_an_object(make: Any) -> None:
    for obj in (make(), [make()], {"x": make(), "y": threading.Lock()}):
        found = explain(obj)
        assert found.problems
        assert str(found)
        assert found._repr_html_()
        assert json.dumps(found.to_dict())
        assert max(len(path) for path, _ in found.problems) < 5000


def test_what_cannot_go_in_functions_and_classes() -> None:
    lock = threading.Lock()

    class Holder:
        def method(self) -> Any:
            return [lock for _ in range(3)]

    assert explain([Holder()]).problems[0][0] == "obj[0].__class__.method.<closure lock>"
    assert explain({"f": lambda: lambda: LOCK}).problems[0][0] == "obj['f'].<global LOCK>"
    many = explain([threading.Lock() for _ in range(100)])
    assert "and perhaps more" in str(many)
    queue = collections.deque([1, lock])
    assert explain(queue).problems == [("obj[1]", REASON)]


def test_registered_types_are_shown_as_they_go() -> None:
    pd = pytest.importorskip("pandas", reason="a type of another library that canning knows")
    table = pd.DataFrame({"a": LARGE, "b": np.arange(4000)})
    rows = [part for part in explain({"t": table}).parts if part.kind == "numpy.ndarray"]
    assert sum(part.nbytes or 0 for part in rows if part.how.startswith("frame ")) >= 64_000
    assert {part.path for part in rows} == {"obj['t']['a']", "obj['t']['b']"}
    named = pd.DataFrame({"x": ["text"] * len(LARGE), 7: LARGE, "y": LARGE, "z": LARGE + 1}).set_index(LARGE)
    paths = {part.path for part in explain([named, named["y"]]).parts if part.nbytes}
    assert {"obj[0]['x']", "obj[0].index", "obj[1].values"} <= paths
    assert not any("<canned>" in path for path in paths)
    frames = serialize_object([named, named["y"]])
    assert paths >= {path for row in inspect(frames).frames for path in row.used_by}


def test_names_of_columns_that_nobody_knows() -> None:
    pd = pytest.importorskip("pandas", reason="a type of another library that canning knows")
    odd = pd.DataFrame({(1, 2): LARGE, None: LARGE * 2})
    plain = pd.DataFrame(np.ones((1000, 3)))
    for table, steps in ((odd, {".iloc[:, 0:2]"}), (plain, {"[[0, 1, 2]]"})):
        rows = [part for part in explain(table).parts if part.kind == "numpy.ndarray" and part.nbytes]
        assert {part.path.removeprefix("obj") for part in rows} >= steps


def test_tables_fit_a_terminal_and_break_no_names() -> None:
    key = "a key that is too long for the first column"
    obj = {key: LARGE, "job": lambda x: x, "point": Point(1), "table": [{"deep": np.arange(10)}]}
    for text in (str(explain(obj)), str(inspect(serialize_object(obj)))):
        tables = "\n".join(each for each in text.split("\n\n") if each.startswith(("Parts", "Names")))
        assert tables
        assert [line for line in tables.split("\n") if len(line) > 80 and key[:39] not in line] == []
    assert f"obj['{key}']\n" in str(explain(obj))
    assert "a lambda" in str(explain(obj))
    assert "a lambda" in str(inspect(serialize_object(obj)))
    assert " at 0x" not in str(explain(obj)) + str(inspect(serialize_object(obj)))


def test_a_finder_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        def find_spec(self, *args: Any) -> Any:
            raise OSError("no")

    module: Any = types.ModuleType("of_no_spec")
    module.A = type("A", (), {"__module__": "of_no_spec", "__qualname__": "A"})
    monkeypatch.setitem(sys.modules, "of_no_spec", module)
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert explain([module.A()]).needs == {"of_no_spec": "obj[0]"}


def test_the_parts_of_a_partial() -> None:
    found = how(explain(functools.partial(double, 3)))
    assert list(found) == ["obj", "obj.func", "obj.args[0]"]


def test_bytes_have_no_parts() -> None:
    assert [part.path for part in explain([b"x" * 5000, bytearray(5000)]).parts] == [
        "obj",
        "obj[0]",
        "obj[1]",
    ]


def test_classes_by_value_are_shown() -> None:
    class Local:
        def method(self) -> Any:
            return double

    found = how(explain([Local()]))
    assert found["obj[0].__class__"] == found["obj[0].__class__.method"] == "by value"
    assert found["obj[0].__class__.method.<global double>"] == "by reference"
    assert "obj[0].__class__" not in how(explain([Point(1, 2.0)]))


def test_what_code_imports_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_x.py").write_text("import zmq.utils, json, fast_not_here\n")
    monkeypatch.syspath_prepend(tmp_path)

    def function() -> Any:
        import mine_x  # type: ignore[import-not-found]
        import zmq

        return mine_x, zmq

    found = explain({"f": function})
    assert found.needs == {
        "zmq": "obj['f'], whose code imports it",
        "mine_x": "obj['f'], whose code imports it, and is local here: by_value=\"local\" takes it along",
    }
    found = explain({"f": function}, by_value="local")
    assert found.needs == {"zmq.utils": "mine_x imports it"}
    assert "mine_x" in found.modules
    assert found.absent["fast_not_here"] == "it is not here either"


def test_cycles_and_long_lists() -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    assert [part.path for part in explain(cycle).parts] == ["obj", "obj[0]", "obj[1]"]
    assert len(explain([[number] for number in range(1000)]).parts) <= 300


def test_modules_that_come_along_and_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_a.py").write_text("import mine_b, mine_c\ndef f(): return mine_b.g()\n")
    (tmp_path / "mine_b.py").write_text("def g(): return 1\n")
    (tmp_path / "mine_c.so").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mine_c", types.ModuleType("mine_c"))
    sys.modules["mine_c"].__spec__ = canning.code.imports.find_spec("mine_c", sys.meta_path)  # type: ignore[attr-defined]
    import mine_a  # type: ignore[import-not-found]

    try:
        found = explain([mine_a.f], by_value="local")
        assert found.modules == ["mine_a", "mine_b"]
        assert list(found.absent) == ["mine_c"]
        assert found.needs == {}
        assert explain([mine_a.f]).needs == {
            "mine_a": 'obj[0], which is local here: by_value="local" takes it along'
        }
    finally:
        for name in ("mine_a", "mine_b"):
            sys.modules.pop(name, None)


def test_it_shows_itself_everywhere() -> None:
    pytest.importorskip("rich", reason="rich is in the extra 'demo'")
    from rich.console import Console

    found = explain({"<b>": LARGE, "f": double, "lock": threading.Lock()})
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(found)
    shown = console.export_text()
    for text in (str(found), shown, found._repr_html_()):
        assert "cannot be sent" in text
        assert "by reference" in text
    assert "<b>" not in found._repr_html_().replace("<b style", "").replace("</b>", "")
    assert json.loads(json.dumps(found.to_dict()))["parts"][0]["path"] == "obj"


OBJECT = {"x": LARGE, "f": double}
LOCK = threading.Lock()


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["explain", f"{__name__}:OBJECT"]) == 0
    assert "obj['x']" in capsys.readouterr().out
    assert main(["explain", "--json", "--local", f"{__name__}:LOCK"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["path"] == "obj"
    for wrong in ("no_such_module:x", "sys:nothing", "sys"):
        assert main(["explain", wrong]) == 2
    assert "canning explain: " in capsys.readouterr().err


def paths_of(obj: object) -> set[str]:
    """Give the paths to the parts that have frames of their own; the message must name no other way."""
    used = [path for row in inspect(serialize_object(obj)).frames for path in row.used_by]
    assert not any("<canned>" in path for path in used)
    return {part.path for part in explain(obj).parts if part.how.startswith("frame")}


def test_columns_of_arrow_have_their_names() -> None:
    pa = pytest.importorskip("pyarrow", reason="a type of another library that canning knows")
    table = {"a": np.arange(500), "b": [str(number) for number in range(500)]}
    assert paths_of({"t": pa.table(table)}) == {"obj['t']['a']", "obj['t']['b']"}
    assert paths_of({"t": pa.record_batch({"a": np.arange(500)})}) == {"obj['t']['a']"}
    assert paths_of([pa.array(np.arange(500))]) == {"obj[0].buffers()"}
    assert "obj['t'].column(1)" in str(inspect(serialize_object({"t": pa.table(table)})))


def test_columns_of_polars_have_their_names() -> None:
    pl = pytest.importorskip("polars", reason="a type of another library that canning knows")
    frame = pl.DataFrame({"a": np.arange(500), "b": [str(number) for number in range(500)]})
    assert paths_of({"t": frame}) == {"obj['t'].to_arrow()['a']", "obj['t'].to_arrow()['b']"}
    assert paths_of([pl.Series("z", np.arange(500))]) == {"obj[0].to_frame().to_arrow()['z']"}


def test_variables_of_xarray_have_their_names() -> None:
    xr = pytest.importorskip("xarray", reason="a type of another library that canning knows")
    numbers = np.arange(500.0)
    attributes = {"note": np.arange(200)}
    dataset = xr.Dataset({"t": ("y", numbers)}, coords={"x": numbers}, attrs=attributes)
    paths = {"obj['t'].data", "obj['x'].data.array.values", "obj.indexes['x'].index.values"}
    assert paths_of(dataset) - paths == {"obj.attrs['note']"}
    assert "obj['t'].data" in paths_of(dataset)
    assert paths_of([xr.DataArray(numbers)]) == {"obj[0].variable.data"}
