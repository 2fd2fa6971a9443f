"""A real scheduler with real workers, which send each other what canning has written."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

distributed = pytest.importorskip("distributed", reason="needs the package distributed")

import dask  # noqa: E402 - only where it is
from distributed.scheduler import KilledWorker  # noqa: E402

import transport.engines.dask as canned  # noqa: E402
from transport.engines.dask import LARGE  # noqa: E402

PAGE = 4096
"""What the arena holds of its own, to be opened by others."""

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A cluster looks, so long after it lost a worker, whether there is one of that name, and gives it up
        # where it finds none: as it does, without canning too, where another restart is on its way then.
        patient = dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"})
        quiet = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
        with (
            patient,
            distributed.LocalCluster(processes=True, **quiet) as cluster,
            distributed.Client(cluster) as made,
        ):
            yield made


def look(given: Any) -> Any:
    deep = given["deep"]
    return type(given["masked"]).__name__, deep[0] is deep[1], deep[0].flags.writeable, deep[0].flags.aligned


def serializes() -> str:
    from distributed.protocol.serialize import serialize

    return serialize.__module__


def test_client_to_worker_to_worker_and_back(client: Any) -> None:
    here, there = serializes(), client.run(serializes)
    first, second = sorted(client.scheduler_info()["workers"])
    canned.register(client)
    canned.register(client)
    try:
        assert serializes() == "transport.engines.dask"
        array = np.ones(200_000)
        given = {"masked": np.ma.masked_equal(np.arange(5000), 3), "deep": [array, array], 4: "mixed"}
        [future] = client.scatter([given], workers=[first], direct=True, hash=False)
        looked = client.submit(look, future, workers=[second], pure=False).result(60)
        assert looked == ("MaskedArray", True, True, True)
        back = client.submit(lambda x: x, future, workers=[second], pure=False).result(60)
        assert list(back) == ["masked", "deep", 4]
        assert back["deep"][0] is back["deep"][1]
        np.testing.assert_equal(back["masked"].mask, given["masked"].mask)
        with pytest.raises(ZeroDivisionError):
            client.submit(lambda x: 1 / 0, future, pure=False).result(60)
    finally:
        canned.unregister(client)
    assert (serializes(), client.run(serializes)) == (here, there)


def shared_here() -> int:
    """Count the payloads that this process has put into its arena."""
    from transport.engines import dask

    arena = dask._SHARING.arena
    return -1 if arena is None else arena.stats().copied


def used_here() -> int:
    from transport.engines import dask

    return 0 if dask._SHARING.arena is None else dask._SHARING.arena.stats().used


def total(given: Any) -> float:
    return float(given["x"].sum())


def test_a_block_in_which_canning_is_registered(client: Any) -> None:
    before = serializes()
    with canned.registered(client) as given:
        assert given is client
        assert {serializes(), *client.run(serializes).values()} == {"transport.engines.dask"}
        assert client.submit(sum, [1, 2]).result(60) == 3
    assert serializes() == before


@pytest.fixture
def registered(client: Any) -> Iterator[Any]:
    canned.register(client)
    yield client
    canned.unregister(client)


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are for Linux")
def test_large_payload_is_shared_where_both_ends_read_it(registered: Any) -> None:
    client = registered
    first, second = sorted(client.scheduler_info()["workers"])
    array = np.arange(LARGE // 8, dtype="f8")

    def counts() -> tuple[int, int]:
        return shared_here(), client.run(shared_here)[first]

    def there_and_back() -> tuple[int, int]:
        """Count the payloads that go through arenas: from here to a worker, on to another, and back here."""
        before = counts()
        [there] = client.scatter([{"x": array}], workers=[first], direct=True, hash=False)
        assert client.submit(total, there, workers=[second], pure=False).result(60) == array.sum()
        back = client.gather(there, direct=True)["x"]
        assert back.flags.writeable
        np.testing.assert_array_equal(back, array)
        after = counts()
        return after[0] - before[0], after[1] - before[1]

    # A new connection's first message may go before the other end has opened the arena.
    eventually(lambda: there_and_back() == (1, 2))
    before = counts()

    # Through the scheduler, which may hand a message to several workers, and at any time: ordinary frames.
    [there] = client.scatter([{"x": array}], workers=[first], direct=False, hash=False)
    assert client.submit(total, there, workers=[first], pure=False).result(60) == array.sum()
    assert client.submit(total, {"x": array}, workers=[second], pure=False).result(60) == array.sum()
    np.testing.assert_array_equal(client.gather(there, direct=False)["x"], array)
    assert counts() == before

    del there
    eventually(lambda: used_here() == PAGE and set(client.run(used_here).values()) <= {0, PAGE})


def eventually(condition: Any, seconds: float = 60) -> None:
    """Wait for what other threads and processes do next."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def die(given: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait(given: Any) -> float:
    time.sleep(5)
    return total(given)


def test_cancelled_call(registered: Any) -> None:
    client = registered
    first, second = sorted(client.scheduler_info()["workers"])
    [there] = client.scatter([{"x": np.ones(LARGE // 8)}], workers=[first], direct=True, hash=False)
    called = client.submit(wait, there, workers=[second], pure=False)
    key = called.key
    eventually(lambda: any(key in keys for keys in client.processing().values()))
    called.cancel()
    with pytest.raises(distributed.client.FutureCancelledError):
        called.result(60)
    assert client.submit(total, there, workers=[second], pure=False).result(60) == LARGE // 8
    del there, called
    eventually(lambda: used_here() <= PAGE and set(client.run(used_here).values()) <= {0, PAGE})


@pytest.mark.skipif(sys.platform == "win32", reason="kills a worker")
def test_killed_and_restarted_workers(registered: Any) -> None:
    client = registered
    array = np.ones(LARGE // 8)
    first, _ = sorted(client.scheduler_info()["workers"])
    [lost] = client.scatter([{"x": array}], workers=[first], direct=True, hash=False)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises((KilledWorker, distributed.client.FutureCancelledError)),
    ):
        client.submit(die, lost, workers=[first], pure=False, retries=0).result(60)
    client.wait_for_workers(2, timeout=60)
    eventually(lambda: used_here() <= PAGE)

    called = client.submit(wait, {"x": array}, pure=False)
    client.restart(timeout=60)
    with pytest.raises(distributed.client.FutureCancelledError):
        called.result(60)
    eventually(lambda: set(client.run(shared_here).values()) == {0})  # its connections are canned again
    first, second = sorted(client.scheduler_info()["workers"])

    def is_shared() -> bool:
        [there] = client.scatter([{"x": array}], workers=[first], direct=True, hash=False)
        assert client.submit(total, there, workers=[second], pure=False).result(60) == array.sum()
        return bool(client.run(shared_here)[first])

    eventually(is_shared)


def managed(dask_worker: Any) -> tuple[int, int]:
    """Tell what a worker counts in memory, and how many keys are on its disk."""
    data = dask_worker.data
    return data.fast.total_weight, len(data.slow)


def test_workers_that_spill() -> None:
    quiet = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with (
        dask.config.set({"distributed.worker.memory.target": 0.005}),  # 20 MB
        distributed.LocalCluster(n_workers=1, memory_limit="4GB", **quiet) as cluster,
        distributed.Client(cluster) as client,
    ):
        canned.register(client)
        try:
            arrays = [np.full(LARGE // 8 + n, float(n)) for n in range(8)]
            there = client.scatter([{"x": array} for array in arrays], direct=True, hash=False)
            [(weight, spilled)] = client.run(managed).values()
            assert spilled
            assert 0 < weight <= 20_000_000
            for array, back in zip(arrays, client.gather(there, direct=True), strict=True):
                np.testing.assert_array_equal(back["x"], array)
            sums = client.gather(client.map(total, there, pure=False))
            assert sums == [array.sum() for array in arrays]
        finally:
            canned.unregister(client)


@pytest.mark.parametrize("compression", ["lz4", "zlib", None])
def test_frames_are_compressed_as_a_connection_has_it(compression: str | None) -> None:
    from distributed.protocol import dumps, loads, to_serialize

    if compression == "lz4":
        pytest.importorskip("lz4")
    given = {"x": np.zeros(3_000_000, "i1"), "text": "t" * 500_000}
    canned.register()
    try:
        frames = dumps({"data": to_serialize(given)}, context={"compression": compression})
        assert (sum(map(len, map(memoryview, frames))) < 100_000) == (compression is not None)
        np.testing.assert_equal(loads([bytes(frame) for frame in frames])["data"], given)
    finally:
        canned.unregister()


def test_spilled_and_compressed() -> None:
    from distributed.protocol import deserialize_bytes, serialize_bytelist
    from distributed.sizeof import safe_sizeof

    given = {"deep": [np.zeros(3_000_000, "i1"), np.arange(300_000.0)[::2]], "text": ["a", None]}
    size = safe_sizeof(given)
    canned.register()
    try:
        spilled = b"".join(serialize_bytelist(given))  # split and compressed, as it is written to disk
        got = deserialize_bytes(spilled)
        np.testing.assert_equal(got, given)
        assert got["deep"][0].flags.writeable
        assert abs(safe_sizeof(got) - size) < 1000  # of 4 MB: lists have room to grow
    finally:
        canned.unregister()


def test_what_canning_cannot_send_goes_as_before() -> None:
    from distributed.protocol import deserialize, serialize

    canned.register()
    try:
        header, frames = serialize([sys_frame_holder()])
        assert header["serializer"] == "error"
        header, frames = serialize(np.array([object], dtype=object))
        assert deserialize(header, frames)[0] is object
    finally:
        canned.unregister()


def test_asynchronous_client() -> None:
    async def there_and_back() -> str:
        quiet = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
        async with (
            distributed.LocalCluster(n_workers=1, asynchronous=True, **quiet) as cluster,
            distributed.Client(cluster, asynchronous=True) as client,
        ):
            await canned.register(client)
            assert canned._REPLACED
            given = {"x": np.ones(LARGE // 8), 4: "mixed"}
            there = await client.scatter([given], direct=True, hash=False)
            assert await client.submit(total, there[0]) == LARGE // 8
            there = (await client.run(serializes)).popitem()[1]
            await canned.unregister(client)
            return there

    here = serializes()
    assert asyncio.run(there_and_back()) == "transport.engines.dask"
    assert serializes() == here


def sys_frame_holder() -> Any:
    import sys

    return sys._getframe()
