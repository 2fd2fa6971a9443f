"""Memory that is there before a message comes: `into=` an array, and a `Pool` of buffers."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest

from canning import default_serializer
from canning.writing.draft import Draft, split_large
from canning.writing.messages import write
from transport import MessageError, Pool, fake_pair, recv, send

from .helpers import Connect

MB = 2**20
ROWS = np.arange(900 * 20_000, dtype=np.uint8).reshape(900, 20_000)[::3]
"""Comes in runs, and so in memory of the receiver's choosing, on every kind of socket."""


def received(obj: Any, **options: Any) -> Any:
    here, there = fake_pair()
    send(here, obj)
    return recv(there, timeout=5, **options)


# -- into= -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "obj",
    [
        ROWS,
        np.arange(1000.0),
        np.asfortranarray(np.ones((300, 40))),
        np.arange(3),
        np.zeros((0, 5)),
        np.array(7.0),
    ],
    ids=["runs", "one frame", "F order", "in the header", "empty", "0-d"],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_into_an_array(obj: Any, order: Any) -> None:
    into = np.full(obj.shape, 99, obj.dtype, order=order)
    got = received(obj, into=into)
    assert got is into
    assert np.array_equal(into, obj)


def test_into_a_slice() -> None:
    room = np.zeros((10, 8))
    got = received(np.ones((5, 4)), into=room[::2, ::2])
    assert got.base is room
    assert room.sum() == 20


@pytest.mark.parametrize(
    ("obj", "into", "what"),
    [
        (np.ones(5), np.ones(6), r"float64 \(6,\), and the message holds float64 \(5,\)"),
        (np.ones(5), np.ones(5, "f4"), "float32"),
        (np.ones(5), np.ones(5, ">f8"), ">f8"),
        (np.ones((2, 3)), np.ones(6), r"\(2, 3\)"),
        ({"x": np.ones(5)}, np.ones(5), "holds dict"),
        (ROWS, np.zeros(ROWS.size, np.uint8), r"\(300, 20000\)"),
    ],
)
def test_what_does_not_fit(obj: Any, into: Any, what: str) -> None:
    here, there = fake_pair()
    send(here, obj)
    send(here, "next")
    with pytest.raises(MessageError, match=what) as raised:
        recv(there, into=into, timeout=5)
    assert raised.value.frames
    assert recv(there, timeout=5) == "next"


@pytest.mark.parametrize(
    ("into", "error"),
    [
        ([1, 2], TypeError),
        (np.frombuffer(b"12345678"), ValueError),
        (np.array([None]), ValueError),
        (np.array(["a"], np.dtypes.StringDType()), ValueError),
    ],
)
def test_what_cannot_be_received_into(into: Any, error: type[Exception]) -> None:
    here, there = fake_pair()
    send(here, np.ones(1))
    with pytest.raises(error, match="into="):
        recv(there, into=into)
    with pytest.raises(ValueError, match="many"):
        recv(there, into=np.ones(1), many=True)
    assert recv(there, timeout=5) == 1


# -- Pool --------------------------------------------------------------------------------------------------


def test_a_buffer_is_used_again_when_its_last_view_is_gone() -> None:
    pool = Pool("64MiB")
    first = received(ROWS, pool=pool)
    where = first.ctypes.data
    view = first[10:20, ::5]
    kept = view.copy()
    del first
    second = received(ROWS, pool=pool)
    assert second.ctypes.data != where
    assert np.array_equal(view, kept)
    del view, second
    gc.collect()
    third = received(ROWS, pool=pool)
    assert np.array_equal(third, ROWS)
    assert pool.stats() == (64 * MB, 6 * MB, 6 * MB, 1, 2)


def test_views_of_every_kind_keep_a_buffer() -> None:
    pool = Pool("16MiB")
    for view in (
        lambda a: memoryview(a),
        lambda a: a.T,
        lambda a: a.reshape(-1)[5:9],
        lambda a: np.frombuffer(a, np.uint16),
        lambda a: a.view(np.recarray),
    ):
        kept = view(received(ROWS, pool=pool))
        gc.collect()
        assert pool.stats().in_use == 6 * MB
        del kept
        assert pool.stats().in_use == 0


def test_a_pool_stays_within_its_capacity() -> None:
    pool = Pool(3 * MB)
    leases = [pool.allocate(MB) for _ in range(5)]
    assert pool.stats()[:3] == (3 * MB, 3 * MB, 0)
    del leases
    assert pool.stats()[:3] == (3 * MB, 0, 3 * MB)
    large = pool.allocate(2 * MB)
    assert pool.stats()[:3] == (3 * MB, 2 * MB, MB)
    assert large.nbytes == 2 * MB
    assert pool.allocate(50 * MB).nbytes == 50 * MB
    assert pool.stats().in_use == 2 * MB


def test_a_buffer_outlives_its_pool() -> None:
    pool = Pool()
    got = received(ROWS, pool=pool)
    del pool
    gc.collect()
    assert np.array_equal(got, ROWS)


def test_threads_share_a_pool() -> None:
    pool = Pool("8MiB")
    wrong = []

    def work(number: int) -> None:
        for _ in range(200):
            lease = pool.allocate(100_000)
            lease[:] = number
            if not (lease == number).all():
                wrong.append(number)
            del lease

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert pool.stats().in_use == 0


def test_what_a_pool_says() -> None:
    assert repr(Pool("1MiB")) == "Pool(capacity=1,048,576, in_use=0, free=0)"
    for bad in ("much", "5 apples", 0, -1):
        with pytest.raises(ValueError, match="capacity="):
            Pool(bad)


def test_parts_fill_what_is_there() -> None:
    array = np.zeros(70 * MB, np.uint8)
    array[::1000] = 7
    draft = write(default_serializer, array)
    assert type(draft) is Draft
    frames: list[Any] = [bytes(frame) for frame in default_serializer.finish([split_large(draft)])]
    assert len(frames) == 71
    here, there = fake_pair()
    here.send_multipart(frames)
    into = np.ones_like(array)
    assert recv(there, into=into, timeout=5) is into
    assert np.array_equal(into, array)


def test_large_blocks_are_lent_and_lent_again() -> None:
    pool = Pool("64MiB")
    for number in range(5):
        lease = pool.allocate(20 * MB - number)
        lease[:] = number
        assert (lease == number).all()
        assert lease.ctypes.data % 64 == 0
        del lease
    assert pool.stats() == (64 * MB, 0, 20 * MB, 4, 1)


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_large_arrays_arrive_in_memory_that_is_used_again(connect: Connect, scheme: str) -> None:
    there, here = connect(scheme)
    places = set()
    for number in range(4):
        send(here, np.full(40 * MB, number, np.uint8))
        got = recv(there, timeout=30)
        assert (got == number).all()
        assert got.flags.writeable
        places.add(got.ctypes.data)
        del got
    assert len(places) == 1


def test_what_is_kept_is_not_overwritten(connect: Connect) -> None:
    there, here = connect()
    kept = []
    for number in range(9):  # more than the common pool has room for
        send(here, np.full(40 * MB, number, np.uint8))
        kept.append(recv(there, timeout=30))
    assert [int(got[::1000].min()) for got in kept] == list(range(9))
    assert [int(got[::1000].max()) for got in kept] == list(range(9))
