"""A real Ray on this machine: a driver, and workers whose set-up hook installs canning."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("RAY_worker_niceness", "0")  # or a busy machine never gets to the workers
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what Ray will do anyway, and warns of
ray = pytest.importorskip(
    "ray", reason="needs the package ray, which has no wheels for this Python, or `make ray`"
)

import transport.engines.ray as canned  # noqa: E402 - only where it is
from transport.engines.ray_pages import LARGE  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.filterwarnings("ignore")]

HOOK = "transport.engines.ray.install"
QUIET: dict[str, Any] = {
    "num_cpus": 2,
    "include_dashboard": False,
    "object_store_memory": 200_000_000,
    "logging_level": "ERROR",
    "log_to_driver": False,
}
NUMBERS = np.arange(LARGE // 4, dtype="f8")


class Worker:
    """Be an actor."""

    def same(self, given: Any) -> Any:
        return given

    def look(self, given: Any) -> Any:
        deep = given["deep"]
        return (
            type(given["masked"]).__name__,
            deep[0] is deep[1],
            deep[0].flags.writeable,
            deep[0].flags.aligned,
        )

    def first(self, references: list[Any]) -> Any:
        return ray.get(references[0])

    def serializes(self) -> str:
        return serializes()

    def change(self, given: Any) -> Any:
        given[0] = -1
        return given[0]

    def die(self, given: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def serializes() -> str:
    from ray._private.serialization import SerializationContext

    return str(SerializationContext._serialize_to_pickle5.__module__)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    before = set(os.listdir("/dev/shm")) if sys.platform == "linux" else set()
    with ray.init(runtime_env={"worker_process_setup_hook": HOOK}, **QUIET):
        yield
    if sys.platform == "linux":
        left = [
            name for name in set(os.listdir("/dev/shm")) - before if name.startswith(("plasma", "canning"))
        ]
        assert left == []


@pytest.fixture(scope="module")
def worker(cluster: None) -> Any:
    return ray.remote(Worker).options(num_cpus=0).remote()


@pytest.fixture
def installed(cluster: None) -> Iterator[None]:
    with canned.installed():
        yield


def address(found: Any) -> int:
    return int(np.asarray(found).__array_interface__["data"][0])


def test_install_and_uninstall(worker: Any) -> None:
    assert ray.get(worker.serializes.remote()) == "transport.engines.ray"
    names = {where: vars(where[0])[where[1]] for where in replaced()}
    with canned.installed():
        assert serializes() == "transport.engines.ray"
        canned.install()
        assert all(vars(owner)[name] is not names[owner, name] for owner, name in replaced())
    assert {where: vars(where[0])[where[1]] for where in replaced()} == names
    canned.uninstall()
    assert serializes() == "ray._private.serialization"
    with pytest.raises(ValueError, match="by_value"):
        canned.install(by_value="global")
    assert serializes() == "ray._private.serialization"


def replaced() -> list[tuple[Any, str]]:
    return [(owner, name) for owner, name, _ in canned._REPLACED._names]


def test_a_layout_that_is_not_known_changes_nothing() -> None:
    """In a process of its own, since a module is imported once."""
    script = """
        from ray._private import serialization
        del serialization.SerializationContext._serialize_to_pickle5
        try:
            import transport.engines.ray
        except ImportError as error:
            print(type(error).__name__, str(error))
    """
    told = run(script)
    assert told.startswith("UnknownEngine ray ")
    assert "_serialize_to_pickle5" in told


def run(script: str, **options: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=150,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_and_back(installed: None, worker: Any) -> None:
    given = {"masked": np.ma.masked_equal(np.arange(5000), 3), "deep": [NUMBERS, NUMBERS], 4: "mixed"}
    assert ray.get(worker.look.remote(given)) == ("MaskedArray", True, False, True)
    back = ray.get(worker.same.remote(given))
    assert list(back) == ["masked", "deep", 4]
    assert back["deep"][0] is back["deep"][1]
    np.testing.assert_equal(back["masked"].mask, given["masked"].mask)
    np.testing.assert_array_equal(back["deep"][0], NUMBERS)


PLAIN: list[Any] = [None, 5, "text", b"bytes", [1, [2.5, "three"]], {"a": {"b": [None]}, 3: True}, [], {}]
OTHERS: list[Any] = [(1, 2), {1, 2}, [1, (2, 3)], {"a": 1 + 2j}, {(1, 2): 3}, [list(range(99)), {4}]]


@pytest.mark.parametrize("obj", PLAIN + OTHERS, ids=repr)
def test_containers(installed: None, obj: Any) -> None:
    found = ray.get(ray.put(obj))
    assert found == obj
    assert type(found) is type(obj)


@pytest.mark.parametrize("obj", [each for each in PLAIN if each != b"bytes"], ids=repr)
def test_plain_data_goes_as_other_languages_read_it(installed: None, cluster: None, obj: Any) -> None:
    def made() -> tuple[bytes, bytes]:
        context = ray._private.worker.global_worker.get_serialization_context()
        found = context.serialize(obj)
        return found.metadata, found.to_bytes()[9:]  # behind its length, which has gaps

    with_canning = made()
    canned.uninstall()
    assert made() == with_canning


def test_objects_that_hold_themselves(installed: None) -> None:
    around: list[Any] = [{}]
    around[0]["around"] = around
    found = ray.get(ray.put(around))
    assert found[0]["around"] is found


def test_small_arrays_are_read_only_too(installed: None) -> None:
    for found in (ray.get(ray.put(np.arange(3))), ray.get(ray.put({"a": np.arange(3)}))["a"]):
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1


def test_views_share_memory_and_nothing_is_copied(installed: None) -> None:
    square = np.asfortranarray(NUMBERS.reshape(512, -1))
    given = {"all": NUMBERS, "slice": NUMBERS[10:20_000], "strided": NUMBERS[::2], "fortran": square}
    there = ray.put(given)
    one, two = ray.get(there), ray.get(there)
    for name, array in given.items():
        np.testing.assert_array_equal(one[name], array)
        assert one[name].flags.f_contiguous == array.flags.f_contiguous
        assert not one[name].flags.writeable
        assert address(one[name]) == address(two[name])  # both are where the object lies
    assert address(one["slice"]) - address(one["all"]) == 80
    assert address(one["strided"]) == address(one["all"])
    small = ray.put({"small": NUMBERS[:2000], "unlike": 1})
    del one, two
    assert size_of(small) < 20_000  # of 2 MB that stand behind the slice


def size_of(reference: Any) -> int:
    """Tell how many bytes an object has in the store."""
    context = ray._private.worker.global_worker.get_serialization_context()
    size: int = context.serialize(ray.get(reference)).total_bytes
    return size


@pytest.mark.skipif(sys.platform != "linux", reason="pages of one's own are for Linux")
def test_writable_by_copy_on_write(cluster: None, worker: Any) -> None:
    with canned.installed(writable=True):
        there = ray.put(NUMBERS)
        both = ray.put([NUMBERS, NUMBERS[5:], np.arange(3)])
        assert ray.get(worker.change.remote(there)) == -1
    found = ray.get(there)
    assert found[0] == 0
    found[0] = -2
    assert ray.get(there)[0] == 0
    assert NUMBERS[0] == 0
    one, two, small = ray.get(both)
    one[5] = 17
    assert two[0] == 17
    small[0] = 4
    assert ray.get(both)[0][5] == 5
    del there, both  # the store may use this memory now, and the pages stay ours
    others = [ray.put(np.full(LARGE // 4, float(n))) for n in range(20)]
    np.testing.assert_array_equal(found[1:], NUMBERS[1:])
    assert two[0] == 17
    assert len(others) == 20


def test_pages_that_cannot_be_had_are_copied(cluster: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transport.engines.ray_pages._mapped", lambda: iter(()))
    with canned.installed(writable=True):
        there = ray.put(NUMBERS)
    found = ray.get(there)
    found[0] = -2
    assert ray.get(there)[0] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="pages of one's own are for Linux")
def test_tensors(installed: None, worker: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs the package torch")
    tensor = torch.arange(LARGE, dtype=torch.float32)
    given = {
        "all": tensor,
        "part": tensor[7:],
        "bfloat": tensor.to(torch.bfloat16),
        "transposed": tensor.view(512, -1).T,
    }
    there = ray.put(given)
    found = ray.get(there)
    for name, each in given.items():
        assert torch.equal(found[name], each)
    assert found["part"].data_ptr() - found["all"].data_ptr() == 28
    found["all"][7] = -1
    assert found["part"][0] == -1
    assert ray.get(there)["all"][7] == 7
    assert torch.equal(ray.get(worker.same.remote(tensor)), tensor)


def frames() -> dict[str, Any]:
    """Give objects of other libraries, where these are there."""
    import pandas as pd

    words = [f"word {n}" for n in range(50_000)]
    made: dict[str, Any] = {
        "texts": pd.DataFrame({"text": words, "object": pd.Series(words, dtype=object)}),
        "times": pd.DataFrame(
            {"time": pd.date_range("2024-01-01", periods=50_000, freq="min", tz="Europe/Berlin")}
        ),
    }
    try:
        import polars as pl

        made["polars"] = pl.DataFrame({"text": words, "number": range(50_000)})
    except ImportError:
        pass
    try:
        import pyarrow as pa

        made["arrow slice"] = pa.table({"text": words}).slice(100, 2000)
    except ImportError:
        pass
    try:
        import scipy.sparse

        made["sparse"] = scipy.sparse.random(1000, 1000, 0.1, "csr")
    except ImportError:
        pass
    try:
        import xarray as xr

        made["xarray"] = xr.Dataset({"a": (("x", "y"), NUMBERS.reshape(512, -1))})
    except ImportError:
        pass
    try:
        from PIL import Image

        made["picture"] = Image.fromarray(np.arange(30_000, dtype="u1").reshape(100, 100, 3))
    except ImportError:
        pass
    return made


def test_types_of_other_libraries(installed: None, worker: Any) -> None:
    from ..harness import assert_equal
    from ..types_same import same_sparse

    given = frames()
    found = ray.get(worker.same.remote(given))
    for name, each in given.items():
        if name == "arrow slice":
            assert found[name].equals(each)
            assert found[name].nbytes <= each.nbytes + 4096
        elif name == "xarray":
            assert found[name].identical(each)
        elif name == "sparse":
            same_sparse(each, found[name])
        else:
            assert_equal(each, found[name])


def test_references_actors_and_serializers_of_others(installed: None, worker: Any) -> None:
    inner = ray.put(NUMBERS)
    found = ray.get(ray.put({"reference": [inner], "actor": worker, "array": NUMBERS}))
    assert found["reference"] == [inner]
    assert ray.get(found["actor"].same.remote(3)) == 3
    outer = ray.put((inner, NUMBERS))
    del inner  # the outer object keeps it
    np.testing.assert_array_equal(ray.get(worker.first.remote([ray.get(outer)[0]])), NUMBERS)

    ray.util.register_serializer(Locked, serializer=lambda it: it.value, deserializer=Locked)
    try:
        assert ray.get(ray.put([Locked(3), NUMBERS]))[0].value == 3
    finally:
        ray.util.deregister_serializer(Locked)
    with pytest.raises(TypeError, match="lock"):
        ray.put([Locked(3), NUMBERS])


class Locked:
    """Have what cannot be sent, and a value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.lock = threading.Lock()


def test_what_cannot_be_sent_is_named_with_its_path(installed: None, worker: Any) -> None:
    given = {"array": NUMBERS, "model": [1, Locked(3)]}
    path = r"obj\['model'\]\[1\]\.lock: cannot pickle '_thread.lock' object"
    with pytest.raises(TypeError, match=path):
        ray.put(given)
    with pytest.raises(TypeError, match=path):
        worker.same.remote(given)
    assert ray.get(worker.same.remote(3)) == 3


def test_what_is_missing_is_named_with_its_path(installed: None, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "gone_for_ray.py").write_text("class Gone:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    from importlib import import_module

    there = ray.put({"array": NUMBERS, "model": [1, import_module("gone_for_ray").Gone()]})
    del sys.modules["gone_for_ray"]
    monkeypatch.undo()
    with pytest.raises(ray.exceptions.RaySystemError, match=r"obj\['model'\]\[1\].*gone_for_ray"):
        ray.get(there)


@pytest.mark.parametrize("by_value", ["local", ["travels_to_ray"]])
def test_modules_travel(cluster: None, tmp_path: Path, monkeypatch: Any, by_value: Any) -> None:
    (tmp_path / "travels_to_ray.py").write_text(
        "def twice(x):\n    return 2 * x\n"
        "class Model:\n    def __init__(self, x):\n        self.x = x\n"
        "    def run(self):\n        return twice(self.x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from importlib import import_module

    module = import_module("travels_to_ray")

    def call(model: Any) -> Any:
        return model.run(), module.twice(4)

    def type_of(model: Any) -> str:
        return type(model).__module__

    with canned.installed(by_value=by_value):
        actor = ray.remote(module.Model).options(num_cpus=0).remote(21)
        assert ray.get(actor.run.remote()) == 42
        assert ray.get(ray.remote(call).remote(module.Model(3))) == (6, 8)
        assert ray.get(ray.remote(type_of).remote(module.Model(3))) == "travels_to_ray"
        assert ray.get(ray.remote(module.twice).remote(3)) == 6


def test_an_actor_that_is_killed(installed: None) -> None:
    actor = ray.remote(Worker).options(num_cpus=0).remote()
    called = actor.die.remote({"array": NUMBERS})
    with pytest.raises(ray.exceptions.ActorDiedError):
        ray.get(called, timeout=60)

    @ray.remote(max_retries=0)
    def die(given: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(die.remote({"array": NUMBERS}), timeout=60)


def test_a_killed_worker_gives_its_pages_back(cluster: None) -> None:
    """Objects that it held are free, so that the store takes far more than it has room for."""
    with canned.installed(writable=True):
        big = np.ones(5_000_000)  # a fifth of the store
        for _ in range(3):
            actor = ray.remote(Worker).options(num_cpus=0).remote()
            assert ray.get(actor.change.remote(big)) == -1
            ray.kill(actor)
        until = time.monotonic() + 60
        while True:
            try:
                found = [ray.put(big) for _ in range(3)]
                break
            except ray.exceptions.ObjectStoreFullError:
                assert time.monotonic() < until
        assert len(found) == 3


def test_a_hook_with_options() -> None:
    script = f"""
        import numpy as np, ray
        from transport.engines.ray import install
        quiet = {QUIET!r}
        ray.init(runtime_env={{"worker_process_setup_hook": lambda: install(writable=True)}}, **quiet)

        @ray.remote
        def numbers():
            return np.ones(500_000)

        print(ray.get(numbers.remote()).flags.writeable)
    """
    assert run(script).split() == ["True"]
