"""A real controller, real engines: what a client and they say to each other with canning in place."""

from __future__ import annotations

import dataclasses
import importlib
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning

ipp = pytest.importorskip("ipyparallel", reason="needs the package ipyparallel")

import transport.engines.ipyparallel as canned  # noqa: E402 - only where its engine is
from transport.engines import EngineError  # noqa: E402
from transport.engines.ipp import client as side  # noqa: E402
from transport.engines.ipp import formats  # noqa: E402
from transport.engines.ipp.sharing import IN_ARENA  # noqa: E402

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore"),  # of ipyparallel's own
]
SECONDS = 30
PAGE = 4096


def test_a_module_that_is_not_here_is_named_with_the_way_to_send_it(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_at_the_client.py").write_text("def f(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    frames = canning.pack_apply_message(importlib.import_module("only_at_the_client").f, (), {})
    monkeypatch.delitem(sys.modules, "only_at_the_client")
    (tmp_path / "only_at_the_client.py").unlink()
    with pytest.raises(canning.MissingModule, match=r"canning.by_value.'only_at_the_client'"):
        formats.read(canning.unpack_apply_message, frames, None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = ipp.Cluster(n=2, log_level=50, log_to_file=False)
        cluster.start_cluster_sync()
        try:
            yield cluster
        finally:
            cluster.stop_cluster_sync()


@pytest.fixture
def plain(cluster: Any) -> Iterator[Any]:
    """A client without canning."""
    client = cluster.connect_client_sync()
    client.wait_for_engines(2, timeout=SECONDS)
    client[:].clear(block=True)
    yield client
    client.close()


@pytest.fixture
def client(plain: Any) -> Iterator[Any]:
    canned.install(plain)
    yield plain
    canned.uninstall(plain)


def test_a_block_in_which_canning_is_installed(plain: Any) -> None:
    stock = plain.send_apply_request
    with canned.installed(plain) as client:
        assert client is plain
        assert client.send_apply_request != stock
        assert client[0].apply_sync(lambda x: x + 1, 41) == 42
    assert plain.send_apply_request == stock


def test_modules_that_the_engines_do_not_have(
    plain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("FACTOR = 3\ndef triple(x):\n    return FACTOR * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__("only_here")
    monkeypatch.delitem(sys.modules, "only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    with canned.installed(plain), pytest.raises(ipp.RemoteError, match="only_here"):
        plain[0].apply_sync(module.triple, 2)
    with canned.installed(plain, by_value="local") as client:
        assert client[0].apply_sync(module.triple, 2) == 6
        canned.install(client, by_value="local")
        canned.install(client)
        with pytest.raises(ValueError, match=r"another by_value=: uninstall\(client\) first"):
            canned.install(client, by_value=[module])
        assert client[:].apply_sync(module.triple, np.ones(IN_ARENA))[1].sum() == 3 * IN_ARENA
        assert client[:].map_sync(module.triple, range(4)) == [0, 3, 6, 9]
        assert client.load_balanced_view().map_sync(lambda x: module.triple(x) + 1, range(3)) == [1, 4, 7]
    with pytest.raises(ValueError, match='give "local"'):
        canned.install(plain, by_value="locale")
    assert plain not in side.LINKS


@pytest.fixture
def main() -> Iterator[dict[str, Any]]:
    """The namespace of ``__main__``, as a notebook's user fills it."""
    namespace = vars(sys.modules["__main__"])
    before = dict(namespace)
    yield namespace
    for name in set(namespace) - set(before):
        del namespace[name]


POINT = """
import dataclasses
@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0
    def twice(self):
        return type(self)(self.x * factor, self.y * factor)
def double(point):
    return point.twice()
"""


def eventually(condition: Any) -> None:
    """Wait for what another thread does next."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def replaced_here() -> list[Any]:
    return [vars(owner)[name] for owner, name, _ in side.CLIENTS._names]


def replaced_there() -> list[str]:
    from ipyparallel.engine import datapub, kernel

    used = (kernel.serialize_object, kernel.unpack_apply_message, datapub.serialize_object)
    return [function.__module__ for function in used]


def test_what_failed_works(client: Any, main: dict[str, Any]) -> None:
    exec(POINT, main)
    view = client[0]
    view.push({"factor": 2.0}, block=True)
    doubled = view.apply_sync(main["double"], main["Point"](1.5))
    assert doubled == main["Point"](3.0)
    assert type(doubled) is main["Point"]

    nested = {"a": [1, (np.arange(5000.0), {3: np.asfortranarray(np.ones((50, 60)))})], "b": 1, 4: 2}
    there = view.apply_sync(lambda got: (list(got), got["a"][1][1][3].flags.f_contiguous, got), nested)
    assert there[:2] == (["a", "b", 4], True)
    np.testing.assert_equal(there[2], nested)
    assert there[2]["a"][1][0].flags.writeable

    weights = np.ones(2000)
    assert view.apply_sync(lambda: weights.sum()) == 2000.0  # a closure over an array
    assert view.apply_sync(lambda when: when.dtype.str, np.zeros(300, "M8[ns]")) == "<M8[ns]"
    loop: list[Any] = [1]
    loop.append(loop)
    assert view.apply_sync(lambda got: got[1] is got, loop) is True


def test_every_view(client: Any) -> None:
    array = np.arange(4000.0)
    direct, balanced, broadcast = client[:], client.load_balanced_view(), client.broadcast_view()
    assert direct.apply_sync(lambda x: x.sum(), array) == [array.sum()] * 2
    assert balanced.map_sync(lambda x: {"x": x}["x"] ** 2, range(6)) == [n * n for n in range(6)]
    assert direct.map_sync(lambda x: x.size, [array] * 4) == [4000] * 4
    for coalescing in (False, True):
        broadcast.is_coalescing = coalescing
        assert broadcast.apply_sync(lambda x: {"n": x.nbytes}, array) == [{"n": array.nbytes}] * 2
    direct.push({"pushed": {"deep": [array]}}, block=True)
    np.testing.assert_array_equal(direct.pull("pushed", block=True)[1]["deep"][0], array)
    direct.scatter("part", array, block=True)
    np.testing.assert_array_equal(direct.gather("part", block=True), array)
    assert direct.remote(block=True)(lambda: 7)() == [7, 7]
    np.testing.assert_array_equal(
        client[0].apply_sync(lambda ready: ready, ipp.serialize.PrePickled(array)), array
    )


def test_functions_see_the_engine(client: Any, main: dict[str, Any]) -> None:
    exec("def answer():\n    return number\ndef names():\n    return sorted(globals())", main)
    main["number"] = "the client's"
    view = client[1]
    with pytest.raises(ipp.RemoteError, match="NameError"):
        view.apply_sync(main["answer"])  # what the client has under that name stays there
    view.push({"number": "the engine's"}, block=True)
    assert view.apply_sync(main["answer"]) == "the engine's"
    assert view.apply_sync(replaced_there)[0] == "transport.engines.ipp.engine"  # a module's runs in it
    names = view.apply_sync(main["names"])
    assert "number" in names
    assert not {"answer", "names", "replaced_there"} & set(names)


def test_references_and_dependencies(client: Any) -> None:
    view, balanced = client[0], client.load_balanced_view()
    client[:].push({"a": {"b": [5]}}, block=True)
    assert view.apply_sync(lambda x: x, ipp.Reference("a['b'][0] + 1")) == 6
    with pytest.raises(ipp.RemoteError, match="NameError"):
        view.apply_sync(lambda x: x, ipp.Reference("nothing"))

    @dataclasses.dataclass
    class Local:
        x: float

    @ipp.require("math", Local, offset=np.ones(3))
    def required() -> Any:
        return Local(math.pi + offset.sum()).x  # type: ignore[name-defined] # noqa: F821

    required.f.__globals__  # noqa: B018 - it is the function itself
    assert balanced.apply_sync(ipp.interactive(_with_required)) == "here"

    @ipp.depend(lambda wanted: False, 1)
    def never() -> None: ...

    with pytest.raises(ipp.RemoteError, match="UnmetDependency"):
        view.apply_sync(never)


def _with_required() -> str:
    return "here"


def test_published_data(client: Any) -> None:
    def publish() -> None:
        import numpy
        from ipyparallel.datapub import publish_data

        publish_data({"deep": [{1: numpy.arange(3000)}]})

    result = client[0].apply_async(publish)
    result.get(SECONDS)
    result.wait_for_output(SECONDS)
    assert result.data["deep"][0][1].sum() == sum(range(3000))


def test_mixed_clients_and_the_switch(cluster: Any, plain: Any) -> None:
    stock = replaced_here()
    there = plain[:].apply_sync(replaced_there)
    other = cluster.connect_client_sync()
    try:
        slow = plain.load_balanced_view().map_async(lambda n: n, range(20))  # on its way in the old format
        canned.install(plain)
        canned.install(plain)
        assert slow.get(SECONDS) == list(range(20))
        assert plain[0].apply_sync(lambda x: x, {1: 2, "a": 3}) == {1: 2, "a": 3}
        assert side.THREAD.call is None
        assert "send_apply_request" not in vars(other)
        with pytest.raises(TypeError):
            other[0].apply_sync(lambda x: x, {1: 2, "a": 3})  # as ever
        assert other[0].apply_sync(lambda x: [x], np.arange(900))[0].sum() == sum(range(900))
        canned.install(other)
        slow = plain.load_balanced_view().map_async(lambda n: {"n": n, 1: n}, range(20))
        canned.uninstall(plain)
        assert [got["n"] for got in slow.get(SECONDS)] == list(range(20))
        assert other[0].apply_sync(lambda x: x, {1: 2, "a": 3}) == {1: 2, "a": 3}
        canned.uninstall(other)
        assert replaced_here() == stock
        assert plain[:].apply_sync(replaced_there) == there
        assert not plain.outstanding
    finally:
        other.close()


def test_nothing_is_changed_where_an_engine_has_no_canning(plain: Any) -> None:
    stock = replaced_here()
    there = plain[:].apply_sync(replaced_there)
    hide = "import sys; kept = sys.modules.pop('transport.engines.ipp.engine', None); "
    plain[1].execute(hide + "sys.modules['transport.engines.ipp.engine'] = None", block=True)
    try:
        with pytest.raises(EngineError, match=r"engine 1 cannot use canning \(ModuleNotFoundError"):
            canned.install(plain)
    finally:
        back = "del sys.modules['transport.engines.ipp.engine']\n"
        plain[1].execute(back + "if kept: sys.modules['transport.engines.ipp.engine'] = kept", block=True)
    assert replaced_here() == stock
    assert plain[:].apply_sync(replaced_there) == there
    assert "send_apply_request" not in vars(plain)


def test_result_that_cannot_be_read(client: Any) -> None:
    def make() -> Any:
        import sys
        import types

        module = types.ModuleType("only_there")
        exec("class Only: pass", vars(module))
        sys.modules["only_there"] = module
        return module.Only()  # type: ignore[attr-defined]

    with pytest.raises(Exception, match="only_there"):
        client[0].apply_async(make).get(SECONDS)  # and no hang


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are for Linux")
def test_large_payload_is_shared(client: Any) -> None:
    arena = side.LINKS[client].arena
    assert arena is not None
    assert all(side.LINKS[client].known.values())
    array = np.arange(IN_ARENA, dtype="f8")
    before = arena.stats()
    totals = client[:].apply_sync(lambda x: (float(x.sum()), x.flags.writeable, x), array)
    after = arena.stats()
    assert [total[:2] for total in totals] == [(array.sum(), True)] * 2
    assert all((total[2] == array).all() for total in totals)
    assert after.copied - before.copied == 0  # made in the arena once, and then sent as it lies
    assert after.in_place - before.in_place == 2
    eventually(lambda: arena.stats().used == 0)


def test_frames_where_an_engine_cannot_open_the_arena(plain: Any) -> None:
    canned.install(plain)
    try:
        link = side.LINKS[plain]
        array = np.arange(5_000_000, dtype="f8")  # in parts
        link.known = dict.fromkeys(link.known, False)  # what they answer who could not open it
        before = None if link.arena is None else link.arena.stats()[-3:]  # payloads that went through it
        for view in (plain[0], plain.load_balanced_view()):
            got = view.apply_sync(lambda x: (x.flags.writeable, x), {"deep": array}["deep"])
            assert got[0]
            np.testing.assert_array_equal(got[1], array)
        assert link.arena is None or link.arena.stats()[-3:] == before
    finally:
        canned.uninstall(plain)


def spin(seconds: float, x: Any) -> float:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)  # where a signal finds it
    return float(x.sum())


def collect() -> None:
    """Free the cycles that an error and its frames are, which hold the arguments of their call."""
    import gc

    gc.collect()


def descriptors() -> tuple[int, int]:
    """Count this process's descriptors, and its mappings of arenas."""
    collect()
    with open("/proc/self/maps") as maps:
        return len(os.listdir("/proc/self/fd")), sum("canning-arena" in line for line in maps)


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are for Linux")
def test_interrupted_and_aborted_calls(client: Any) -> None:
    arena, view = side.LINKS[client].arena, client[0]
    array = np.ones(IN_ARENA)
    for _ in range(3):
        interrupted = view.apply_async(spin, 60, array)
        eventually(lambda: client.queue_status(0)["queue"])
        time.sleep(0.5)  # until it has begun
        client.send_signal(signal.SIGINT, targets=0, block=True)
        with pytest.raises(ipp.RemoteError, match="KeyboardInterrupt"):
            interrupted.get(SECONDS)

    running = view.apply_async(spin, 2, array)
    waiting = [view.apply_async(spin, 0, array) for _ in range(3)]
    view.abort(waiting, block=True)
    for aborted in waiting:
        with pytest.raises(ipp.TaskAborted):
            aborted.get(SECONDS)
    assert running.get(SECONDS) == array.size
    del interrupted, running, waiting, aborted

    def only_the_last_error_is_held() -> bool:
        """As without canning: IPython keeps the last error, and with it the arguments of its call."""
        collect()
        client[:].apply_sync(collect)
        return arena.stats().used <= array.nbytes + PAGE

    eventually(only_the_last_error_is_held)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a signal")
def test_interrupt_of_who_waits(client: Any) -> None:
    """The call goes on, and its result can be asked for again."""
    array = np.ones(IN_ARENA)
    called = client[:].apply_async(spin, 2, array)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)  # as Ctrl-C
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            called.get(SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert called.get(SECONDS) == [array.size] * 2
    assert client[:].apply_sync(lambda x: x.size, array) == [array.size] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are for Linux")
def test_many_calls_leave_no_descriptor_and_no_mapping(client: Any) -> None:
    array = np.ones(IN_ARENA)

    def calls(count: int) -> list[tuple[int, int]]:
        for _ in range(count):
            totals = client[:].apply_sync(lambda x: (float(x.sum()), x), array)
            assert [total for total, _ in totals] == [array.size] * 2
        return [descriptors(), *client[:].apply_sync(descriptors)]

    calls(5)
    before = calls(5)
    after = calls(50)
    for (were, mapped), (are, still) in zip(before, after, strict=True):
        assert are <= were + 5
        assert still <= mapped + 5


def test_killed_engine(cluster: Any, client: Any) -> None:
    """Goes last: one engine is lost, and another takes its place."""
    arena = side.LINKS[client].arena
    victim = client.ids[-1]
    pid = client[victim].apply_sync(os.getpid)

    def work(x: Any) -> float:
        import time

        time.sleep(60)
        return float(x.sum())

    pending = client[victim].apply_async(work, np.ones(IN_ARENA))
    eventually(lambda: client.queue_status(victim)["queue"])
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ipp.RemoteError, match=r"EngineError: .* died while running"):
        pending.get(SECONDS)
    eventually(lambda: arena is None or arena.stats().used == 0)

    cluster.start_engines_sync(n=1)
    client.wait_for_engines(2, timeout=SECONDS)
    newest = client[max(client.ids)]
    assert newest.apply_sync(lambda: 1) == 1  # in the old format, behind the invitation
    assert newest.apply_sync(lambda x: x, {1: 2, "a": 3}) == {1: 2, "a": 3}
