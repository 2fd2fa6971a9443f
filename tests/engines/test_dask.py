"""A real scheduler with real workers, which send each other what canning has written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

distributed = pytest.importorskip("distributed", reason="needs the package distributed")

import transport.engines.dask as canned  # noqa: E402 - only where its engine is

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quiet = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
        with (
            distributed.LocalCluster(processes=True, **quiet) as cluster,
            distributed.Client(cluster) as made,
        ):
            yield made


def look(given: Any) -> Any:
    deep = given["deep"]
    return type(given["masked"]).__name__, deep[0] is deep[1], deep[0].flags.writeable, deep[0].flags.aligned


def families() -> list[str]:
    from distributed.protocol.serialize import families, serialize

    return [families["dask"][0].__module__, families["pickle"][0].__module__, serialize.__module__]


def test_client_to_worker_to_worker_and_back(client: Any) -> None:
    here, there = families(), client.run(families)
    first, second = sorted(client.scheduler_info()["workers"])
    canned.register(client)
    canned.register(client)
    try:
        assert set(families()) == {"transport.engines.dask"}
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
    assert (families(), client.run(families)) == (here, there)


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


def sys_frame_holder() -> Any:
    import sys

    return sys._getframe()
