"""How types that are known from the start are found, left alone, refused; and memory that they share."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import DeserializationError, SerializationError, Serializer
from canning.types.libraries.known import LIBRARIES, load_canner, public_name

from .types import DATA

ROOT = Path(__file__).parents[1]


def through(obj: Any, serializer: Serializer = canning.default_serializer) -> Any:
    frames = serializer.serialize_object(obj)
    return serializer.deserialize_object([bytearray(frame) for frame in frames])[0]


def in_a_new_process(code: str, *args: str) -> str:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_nothing_is_imported_for_types_that_nobody_uses() -> None:
    packages = {library.package for library in LIBRARIES.values()} - {""}
    code = (
        "import sys, canning; canning.loads(canning.dumps([1, {2: canning}, complex(1)]), trust='code');"
        f"print([name for name in {packages!r} if name in sys.modules],"
        " [name for name in sys.modules if name.startswith('canning.types.libraries.known.')])"
    )
    assert in_a_new_process(code).split() == ["[]", "[]"]


def test_a_strangers_message_imports_no_package(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    path = tmp_path / "frame"
    canning.dump(pd.DataFrame({"a": [1]}), path)
    code = (
        "import sys, canning\n"
        "try: canning.load(sys.argv[1])\n"
        "except canning.DeserializationError as error: print(error)\n"
        "print('pandas' in sys.modules)\n"
        "print(canning.load(sys.argv[1], trust='code').shape)"
    )
    refused, imported, shape = in_a_new_process(code, str(path)).splitlines()
    assert "import pandas before you read it" in refused
    assert (imported, shape) == ("False", "(1, 1)")


def test_a_scan_imports_no_package_either(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    path = tmp_path / "frame"
    canning.dump([pd.DataFrame({"a": [1]}), ..., NotImplemented], path)
    code = (
        "import sys, canning\n"
        "print(canning.scan(sys.argv[1]).verdict, 'pandas' in sys.modules)\n"
        "canning.register('pandas.DataFrame', can=print, uncan=print, data=print)\n"
        "print(canning.scan(sys.argv[1]).verdict)"
    )
    assert in_a_new_process(code, str(path)).split() == ["clean", "False", "clean"]


@pytest.mark.parametrize("name", ["pandas.DataFrame", "pandas.core.frame.DataFrame"])
def test_a_type_is_known_by_all_its_names(name: str) -> None:
    assert public_name(name) == "pandas.DataFrame"


def test_a_version_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    monkeypatch.setattr(pd, "__version__", "1.5.3")
    with pytest.raises(SerializationError, match=r"pandas 1\.5\.3 is too old.*2\.2 or later.*unregister"):
        load_canner("pandas.DataFrame", SerializationError)


def test_a_package_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(DeserializationError, match="install polars"):
        load_canner("polars.DataFrame", DeserializationError)


def test_a_type_can_be_left_to_pickle_and_registered_anew() -> None:
    import ipaddress
    import zoneinfo

    registry = canning.default_registry.copy()
    serializer = Serializer(registry=registry)
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    assert b"zoneinfo.ZoneInfo" in serializer.serialize_object([zone])[0]
    registry.unregister("zoneinfo.ZoneInfo")
    assert b"zoneinfo.ZoneInfo" not in serializer.serialize_object([zone])[0]
    assert through([zone], serializer) == [zone]
    with pytest.raises(KeyError):
        registry.unregister("zoneinfo.ZoneInfo")
    registry.register("zoneinfo.ZoneInfo", can=lambda zone: 5, uncan=ipaddress.ip_address)
    assert through([zone], serializer) == [ipaddress.ip_address(5)]
    assert through([zone]) == [zone], "the default registry knows nothing of that"


def test_a_registry_of_ones_own_knows_nothing() -> None:
    import mmap

    with pytest.raises(SerializationError, match="mmap"):
        Serializer(registry=canning.Registry()).serialize_object(mmap.mmap(-1, 10))


def test_a_subclass_pickles_by_its_own_hooks() -> None:
    pd = pytest.importorskip("pandas")
    frame = Marked(pd.DataFrame({"a": np.arange(300)}))
    got = through(frame)
    assert type(got) is Marked
    pd.testing.assert_frame_equal(pd.DataFrame(got), pd.DataFrame(frame))


def test_not_implemented_leaves_an_object_to_pickle() -> None:
    registry = canning.Registry()
    registry.register(
        complex, can=lambda z: NotImplemented if z.imag else (z.real,), uncan=lambda state: state[0]
    )
    assert through([1 + 0j, 2 + 1j], Serializer(registry=registry)) == [1.0, 2 + 1j]
    assert canning.can(2 + 1j, registry) == 2 + 1j


@pytest.mark.parametrize(
    "items",
    [
        [f"name {n}" for n in range(600)],
        [None if n % 7 else f"name {n}" for n in range(600)] + [f"größe {n}" for n in range(600)],
        ["", *map(str, range(600)), ""],
        ["a", "b"] * 300,
        [5, *map(str, range(600))],
        [float("nan"), *map(str, range(600))],
        [f"\ud800{n}" for n in range(600)],
        [np.str_(n) for n in range(600)],
        [b"bytes %d" % n for n in range(600)],
        [f"name\0{n}\x1f" for n in range(600)],
        [f"\0\x1f\uf8ff\U0010ffff{n}" for n in range(600)],
        [f"a longer text that stands before {n}" for n in range(600)],
        [None if n % 7 else f"ein längerer Text, der {n} vorangeht" for n in range(600)] * 9,
        [None] * 600,
    ],
    ids=[
        *("plain", "missing", "empty", "repeated", "number", "nan", "surrogates", "numpy", "bytes"),
        *("zero", "every mark", "long", "long, missing", "nothing"),
    ],
)
def test_many_strings_arrive_as_they_were(items: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frames = canning.serialize_object(pd.Series(items, dtype=object))
    got = [canning.deserialize_object(frames)[0], DATA.deserialize_object(frames)[0]]
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # a reader that does not have it
    got += [canning.deserialize_object(frames)[0], DATA.deserialize_object(frames)[0]]
    for series in got:
        assert list(map(repr, series)) == list(map(repr, items))
        assert list(map(type, series)) == list(map(type, items))
        series.iloc[0] = "changed"


def test_a_slice_of_views_leaves_the_rest_of_the_text_behind() -> None:
    pl = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    whole = pl.DataFrame({"s": [f"a name of some length {n}" for n in range(100_000)]})
    for part in (whole[500:600], whole.filter(pl.int_range(pl.len()) % 1000 == 0), whole[5:5]):
        frames = canning.serialize_object(part)
        assert sum(memoryview(frame).nbytes for frame in frames) < 6000
        for got in canning.deserialize_object(frames)[0], DATA.deserialize_object(frames)[0]:
            assert got.equals(part)


def test_slices_of_unions_and_runs_leave_the_rest_behind() -> None:
    pa = pytest.importorskip("pyarrow")
    numbers = pa.array(range(10_000))
    codes = pa.array([0, 1] * 5000, pa.int8())
    places = pa.array(np.arange(10_000, dtype=np.int32) // 2)
    for whole in (
        pa.UnionArray.from_sparse(codes, [numbers, numbers]),
        pa.UnionArray.from_dense(codes, places, [numbers, numbers.cast("string")]),
        pa.RunEndEncodedArray.from_arrays(pa.array(range(1, 10_001), pa.int32()), numbers),
        pa.array([[n, 2] for n in range(10_000)], pa.list_view(pa.int64())),
    ):
        part = whole[5000:5010]
        frames = canning.serialize_object(part)
        assert sum(memoryview(frame).nbytes for frame in frames) < 1500
        for got in canning.deserialize_object(frames)[0], DATA.deserialize_object(frames)[0]:
            got.validate(full=True)
            assert got.equals(part)


def test_slices_of_one_table_go_once_and_without_the_rest() -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": np.arange(100_000.0)})
    frames = canning.serialize_object([table.slice(1000, 2000), table.slice(2000, 2000)])
    assert sum(memoryview(frame).nbytes for frame in frames[1:]) == 3000 * 8
    for got in canning.deserialize_object(frames)[0], DATA.deserialize_object(frames)[0]:
        one, two = (part["a"].chunk(0) for part in got)
        assert one.equals(table["a"].chunk(0).slice(1000, 2000))
        apart = two.buffers()[1].address - one.buffers()[1].address
        assert apart + 8 * (two.offset - one.offset) == 8000


def test_types_of_arrow_that_differ_in_metadata_alone_are_told_apart() -> None:
    pa = pytest.importorskip("pyarrow")
    for told in ({"unit": "m"}, {"unit": "s"}, None):
        kind = pa.struct([pa.field("a", pa.int64(), metadata=told)])
        array = pa.array([{"a": 1}], kind)
        for obj in array, pa.chunked_array([array]), pa.table({"c": array}), kind:
            got = through(obj)
            schemas = [each.schema if isinstance(each, pa.Table) else each for each in (obj, got)]
            types = [getattr(each, "type", each) for each in schemas]
            assert types[0].equals(types[1], check_metadata=True)


def test_what_a_canner_says_on_purpose_is_what_the_error_says() -> None:
    class Handle:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    def can(handle: Handle) -> Any:
        raise SerializationError("send handle.name in its place")

    registry = canning.default_registry.copy()
    registry.register(Handle, can=can, uncan=lambda state: None)
    with pytest.raises(SerializationError) as caught:
        canning.serialize_object({"a": [Handle()]}, registry=registry)
    assert str(caught.value) == "obj['a'][0]: send handle.name in its place"


def test_typed_containers_of_numba_say_what_can_be_sent() -> None:
    typed = pytest.importorskip("numba.typed", reason="needs numba, which takes seconds to compile these")
    with pytest.raises(SerializationError, match=re.escape("obj['l'][0]: ") + r".*send list\(container\)"):
        canning.serialize_object({"l": [typed.List([1.0])]})


HOLED = "((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 2 1, 2 2, 1 1))"


@pytest.mark.parametrize(
    ("texts", "ragged"),
    [
        (["POINT (1 2)", "POINT (3 4.5)"], True),
        (["POINT Z (1 2 3)", "POINT Z (3 4 5)"], True),
        (["LINESTRING (0 0, 1 1)", "LINESTRING (0 0, 1 1, 2 5)"], True),
        ([f"POLYGON {HOLED}", "POLYGON ((0 0, 1 1, 1 0, 0 0))"], True),
        (["MULTIPOINT ((0 0), (1 1))", "MULTIPOINT ((5 5))"], True),
        (["MULTILINESTRING ((0 0, 1 1), (5 5, 6 6, 7 7))"], True),
        ([f"MULTIPOLYGON ({HOLED}, ((20 20, 21 21, 21 20, 20 20)))", f"MULTIPOLYGON ({HOLED})"], True),
        (["POINT Z (1 2 3)", "POINT (3 4)"], False),
        (["POINT (1 2)", None], False),
        (["POINT EMPTY", "POINT (1 2)"], False),
        ([f"POLYGON {HOLED}", f"MULTIPOLYGON ({HOLED})"], False),
        (["GEOMETRYCOLLECTION (POINT (1 2))"], False),
        (["MULTIPOINT (EMPTY, (1 2))"], False),
        (["MULTILINESTRING (EMPTY, (1 2, 3 4))"], False),
        (["LINEARRING (0 0, 1 1, 1 0, 0 0)"], False),
        ([], False),
    ],
)
def test_geometries_arrive_as_they_were(texts: list[str | None], ragged: bool) -> None:
    geopandas = pytest.importorskip("geopandas")
    import shapely

    sent = geopandas.GeoSeries(shapely.from_wkt(texts), crs="EPSG:4326")
    frames = canning.serialize_object(sent)
    got, _ = canning.deserialize_object(frames)
    assert shapely.to_wkb(got.values).tolist() == shapely.to_wkb(sent.values).tolist()
    assert (type(got), got.crs) == (type(sent), sent.crs)
    assert (b"geopandas.array.GeometryArray" in bytes(frames[0])) is ragged
    if texts:
        got.iloc[0] = shapely.Point(7, 7)  # as one may with any


def extensions(pa: Any) -> dict[str, Any]:
    storage = pa.array([[1, 2, 3, 4]] * 3, pa.list_(pa.int32(), 4))
    tensors = pa.fixed_shape_tensor(pa.int32(), [2, 2], dim_names=["y", "x"], permutation=[1, 0])
    made = {"tensors": pa.ExtensionArray.from_storage(tensors, storage)}
    if hasattr(pa, "json_"):  # since pyarrow 19
        made |= {
            "uuid": pa.array([b"x" * 16, None, b"y" * 16], pa.uuid()),
            "json": pa.array(["{}", None, "[1]"], pa.json_(pa.large_string())),
            "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
            "opaque": pa.ExtensionArray.from_storage(
                pa.opaque(pa.binary(), "geometry", "a database"), pa.array([b"a", b"b", None])
            ),
        }
    return made


def test_extension_types_that_arrow_defines_are_read_as_data() -> None:
    pa = pytest.importorskip("pyarrow")
    arrays = extensions(pa)
    fields = [
        pa.field(name, array.type, metadata={"k": name}, nullable=name != "tensors")
        for name, array in arrays.items()
    ]
    schema = pa.schema([*fields, pa.field("plain", pa.int8())], metadata={"by": "canning"})
    table = pa.Table.from_arrays([*arrays.values(), pa.array([1, 2, 3], pa.int8())], schema=schema)
    for obj in (*arrays.values(), table, table.to_batches()[0], schema, fields[0], arrays["tensors"].type):
        for serializer in canning.default_serializer, DATA:
            got = through(obj, serializer)
            assert type(got) is type(obj)
            same = {"check_metadata": True} if hasattr(obj, "metadata") or obj is schema else {}
            assert got.equals(obj, **same)
    assert through(table, DATA).schema.equals(schema, check_metadata=True)


def test_an_extension_type_of_ones_own_runs_nothing_for_a_stranger() -> None:
    pa = pytest.importorskip("pyarrow")
    ran = []

    class Mine(pa.ExtensionType):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(pa.int8(), "canning.tests.mine")

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, storage: Any, text: bytes) -> Any:
            ran.append(text)
            return cls()

    pa.register_extension_type(Mine())
    try:
        array = pa.ExtensionArray.from_storage(Mine(), pa.array([1], pa.int8()))
        frames = canning.serialize_object([array, pa.table({"a": array})])
        ran.clear()
        with pytest.raises(DeserializationError) as caught:
            DATA.deserialize_object(frames)
        assert "send what it is stored in" in f"{caught.value} {caught.value.__cause__}"
        assert ran == []
        assert canning.deserialize_object(frames)[0][0].equals(array)
        assert ran
    finally:
        pa.unregister_extension_type("canning.tests.mine")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "Europe/../x", "Europe/Nowhere", "E" * 200]
)
def test_a_zone_of_dateutil_opens_no_other_file(name: str) -> None:
    pytest.importorskip("dateutil")
    from canning.types.libraries import dateutil_zones

    (zone, *_) = dateutil_zones.CANNERS
    assert callable(zone.uncan)
    assert zone.uncan(("Europe/Berlin",)) is not None
    with pytest.raises(DeserializationError):
        zone.uncan((name,))


def test_text_of_arrow_that_begins_anywhere_is_not_copied_at_the_reader() -> None:
    pa = pytest.importorskip("pyarrow")
    array = pa.array([f"name {n}" for n in range(100_000)])[50_001:51_000]
    frames = canning.serialize_object(array)
    got, _ = canning.deserialize_object(frames)
    assert got.buffers()[2].address == np.frombuffer(frames[2], np.uint8).ctypes.data
    assert got.buffers()[2].address % 8
    assert got.equals(array)


def test_tensors_share_storage_again() -> None:
    torch = pytest.importorskip("torch")
    base = torch.arange(6000.0).reshape(60, 100)
    small = torch.zeros(10)
    sent = [base, base[3], base.T[5:], torch.nn.Parameter(base[:2]), small, small[2:5]]
    frames = canning.serialize_object(sent)
    assert sum(memoryview(frame).nbytes for frame in frames[1:]) in (24_000, 24_040)
    got, _ = canning.deserialize_object([bytearray(frame) for frame in frames])
    got[0][3, 7] = -1
    got[4][3] = 5
    assert (got[1][7], got[2][2, 3], got[5][1]) == (-1, -1, 5)


def test_tied_weights_stay_tied() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleList([torch.nn.Linear(40, 40), torch.nn.Linear(40, 40)])
    model[1].weight = model[0].weight
    got = through(model)
    assert got[0].weight is got[1].weight
    state = through(model.state_dict(), DATA)
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()


def test_slices_of_tensors_share_their_memory_where_it_can_be_written_to() -> None:
    torch = pytest.importorskip("torch")
    whole = torch.zeros(50, 50)
    sent = [whole, whole[3], whole[2:40]]
    frames = [bytearray(frame) for frame in canning.serialize_object(sent)]
    assert sum(map(len, frames)) < 1.1 * whole.nbytes
    got, _ = DATA.deserialize_object(frames)
    got[0][3, 0] = 7
    assert got[1][0] == got[2][1, 0] == 7
    copies = canning.loads(canning.dumps([*sent, whole.view(2500)]))
    copies[0][3, 0] = 7
    assert (copies[1][0], copies[2][1, 0], copies[3][150]) == (0, 0, 7)


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let tensors whose first element is -1 seem to be on a device."""
    pytest.importorskip("torch")
    from canning.types.libraries import torch_tensors

    def kind(tensor: Any) -> str:
        return "cuda" if tensor.numel() and tensor.detach().reshape(-1)[0] == -1 else "cpu"

    moved = []

    def cpu(tensor: Any) -> Any:
        moved.append(tensor)
        return tensor + 2

    monkeypatch.setattr(torch_tensors, "_device", kind)
    monkeypatch.setattr("torch.Tensor.cpu", cpu)
    return moved


def test_a_tensor_of_a_device_says_how_it_can_be_sent(on_device: Any) -> None:
    import torch

    for obj in ([torch.full((3,), -1.0)], {"p": torch.nn.Parameter(torch.full((3,), -1.0))}):
        with pytest.raises(SerializationError) as caught:
            canning.serialize_object(obj)
        text = f"{caught.value} {caught.value.__cause__}"
        assert re.search(r"on cuda.*tensor\.cpu\(\).*send_from_host\(\)", text)
    assert on_device == []


def test_tensors_of_a_device_are_copied_to_the_host_when_that_is_told(on_device: Any) -> None:
    import torch

    from canning.types.libraries.torch_tensors import send_from_host

    registry = canning.default_registry.copy()
    send_from_host(registry)
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight[:] = -1.0
    sent = [torch.full((3,), -1.0, requires_grad=True), torch.arange(3.0), model]
    got = through(sent, Serializer(registry=registry))
    assert got[0].tolist() == [1.0, 1.0, 1.0]
    assert (got[0].requires_grad, got[0].is_leaf) == (True, True)
    assert got[1].tolist() == [0.0, 1.0, 2.0]
    assert (type(got[2].weight), got[2].weight.tolist()) == (torch.nn.Parameter, [[1.0, 1.0]])
    assert len(on_device) == 2
    state = through({"w": sent[0].detach()}, Serializer(registry=registry, trust="data"))
    assert state["w"].tolist() == [1.0, 1.0, 1.0]


def shared_places() -> list[range]:
    """List where in this process memory without a file of its own is mapped, as an arena's is."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    places = [line.split()[0].split("-") for line in lines if "memfd:" in line]
    return [range(int(low, 16), int(high, 16)) for low, high in places]


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are Linux's")
@pytest.mark.parametrize("writable", [True, False])
def test_what_came_through_an_arena_is_a_view_of_it(writable: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    import transport

    here, there = transport.fake_pair()
    arena = transport.SharedArena("16MiB", threshold=4096)
    try:
        values = arena.empty((100_000,), "f8")
        values[:] = 1
        table = pa.table({"n": pa.array(range(50_000), pa.int32()), "s": [f"n {n}" for n in range(50_000)]})
        frame = pd.DataFrame({"a": values}, copy=False)
        tracker = transport.send(here, [table, frame], arena=arena)
        got, there_too = transport.recv(there, shared_memory=True, writable=writable)
        assert got.equals(table)
        # A stranger's text is copied before it is checked; numbers are not.
        addresses = [b.address for b in got["n"].chunk(0).buffers() if b]
        addresses.append(there_too["a"].to_numpy().ctypes.data)
        assert all(any(address in place for place in shared_places()) for address in addresses)
        assert [address % 64 for address in addresses] == [0] * len(addresses)
        del got, there_too, frame, values, tracker
    finally:
        arena.close()


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are Linux's")
def test_a_tensor_that_came_through_an_arena_is_a_view_of_it_where_it_may_be_written_to() -> None:
    torch = pytest.importorskip("torch")
    import transport

    here, there = transport.fake_pair()
    arena = transport.SharedArena("16MiB", threshold=4096)
    try:
        array = arena.empty((1000, 100), "f4")
        array[:] = 1
        for writable in (True, False):
            tracker = transport.send(here, {"w": torch.from_numpy(array)}, arena=arena)
            got = transport.recv(there, shared_memory=True, writable=writable)["w"]
            assert got.sum() == 100_000
            assert any(got.data_ptr() in place for place in shared_places()) is writable
            got += 1  # of its own: neither the sender's memory nor a page that cannot be written to
            assert array[0, 0] == 1
        assert arena.stats().in_place == 2
        del got, tracker, array
    finally:
        arena.close()


try:
    import pandas

    class Marked(pandas.DataFrame):
        """A subclass with ways of its own."""

        @property
        def _constructor(self) -> Any:
            return Marked

except ImportError:
    pass
