"""What the ranks of `test_mpi.py` run: ``mpiexec -n 4 python -m tests.engines.mpi_script NAMES``.

Whatever `Comm` gives is compared with what mpi4py's own communicator gives, with pickle.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import operator
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Final
from unittest import mock

import numpy as np
import pytest
from mpi4py import MPI

from canning import DeserializationError
from tests.engines.programs import said
from tests.samples import Color, Point
from transport import TransportTimeout
from transport.engines import EngineError, mpi, mpi_link

WORLD: Final = MPI.COMM_WORLD
RANK: Final = WORLD.rank
NEXT: Final = (RANK + 1) % WORLD.size
LAST: Final = (RANK - 1) % WORLD.size


def objects(rank: int) -> dict[str, Any]:
    """Give objects of many kinds and lengths, which say of which rank they are."""
    array = np.arange(100_000.0) + rank
    objs = {
        "none": None,
        "number": rank,
        "text": "a" * 5000,
        "small": {"rank": rank, "pair": (1, 2.5)},
        "a long header": [str(number + rank) for number in range(5000)],
        "bytes": b"b" * 100_000,
        "array": array,
        "small array": array[:20],
        "in a dict": {"x": array, "y": [array[:5], array[10:20]]},
        "strided": array.reshape(100, 1000)[:, ::3],
        "many": [np.full(300, number) for number in range(50)],
        "empty": {"x": np.zeros((0, 3))},
        "instances": [Point(rank, rank), Color.RED, collections.deque([1, 2])],
        "just an envelope": "e" * 3910,
        "objects": np.array([rank, "text", None], object),
    }
    try:
        import pandas as pd
    except ImportError:
        return objs
    return {**objs, "frame": pd.DataFrame({"t": ["x", "yy"] * 20_000, "n": range(40_000)})}


def check(found: Any, stock: Any) -> None:
    if said(found) != said(stock):
        raise AssertionError(f"rank {RANK}: {said(found)!s:.500} instead of {said(stock)!s:.500}")


def collectives(comm: mpi.Comm) -> None:
    """Check every call with every object, for each root."""
    for key, mine in objects(RANK).items():
        everyone = [objects(rank)[key] for rank in range(WORLD.size)]
        for root in range(WORLD.size):
            check(comm.bcast(mine if root == RANK else None, root), everyone[root])
            check(comm.scatter(everyone if root == RANK else None, root), mine)
            check(comm.gather(mine, root), everyone if root == RANK else None)
        check(comm.allgather(mine), everyone)
        sent = [(RANK, to, mine) for to in range(WORLD.size)]
        check(comm.alltoall(sent), WORLD.alltoall(sent))
        comm.send(mine, NEXT, 7) if RANK else None
        check(comm.recv(source=LAST), everyone[LAST]) if RANK != 1 else None
        comm.send(mine, NEXT, 7) if not RANK else check(
            comm.recv(None, 0, 7), everyone[0]
        ) if RANK == 1 else 0
        check(comm.sendrecv(mine, NEXT, 3, source=LAST, recvtag=3), everyone[LAST])
    for op in (MPI.SUM, MPI.MAX, operator.mul):
        for root in range(WORLD.size):
            check(comm.reduce(RANK + 1, op, root), WORLD.reduce(RANK + 1, op, root))
        check(comm.allreduce(RANK + 1.5, op), WORLD.allreduce(RANK + 1.5, op))
    check(comm.allreduce([RANK]), list(range(WORLD.size)))  # in the order of ranks
    check(comm.allreduce(np.ones(100_000)), np.full(100_000, float(WORLD.size)))


def same() -> None:
    for options in ({}, {"share": False}, {"timeout": 60.0}, {"timeout": 60.0, "share": False}):
        with mpi.Comm(WORLD, **options) as comm:
            collectives(comm)


def requests() -> None:
    with mpi.Comm(WORLD) as comm:
        for obj in objects(RANK).values():
            coming = [comm.irecv(source=LAST, tag=5), comm.irecv(source=LAST, tag=5)]
            going = [comm.isend(obj, NEXT, 5), comm.isend(RANK, NEXT, 5)]
            status = MPI.Status()
            check(coming[1].wait(), LAST)  # the later one first: what is large has a tag of its own
            check(coming[0].wait(status), objects(LAST)[_key(obj)])
            assert (status.source, status.tag) == (LAST, 5)
            assert [each.wait() for each in going] == [None, None]
        assert not comm.iprobe()
        coming = [comm.irecv(source=LAST)]
        assert coming[0].test() == (False, None)
        comm.barrier()
        going = [comm.isend(np.arange(100_000), NEXT)]
        while not mpi.Request.testall(coming + going)[0]:
            time.sleep(0.001)
        comm.send("another", NEXT, 9)
        assert comm.probe(tag=9)
        assert mpi.Request.waitall([comm.irecv(tag=9)]) == ["another"]
        comm.send(1, MPI.PROC_NULL)
        assert comm.recv(source=MPI.PROC_NULL) is None


def together() -> None:
    """Wait for two large objects at once, of which the first is sent when the second has been received."""
    with mpi.Comm(WORLD, share=False) as comm:
        if RANK == 0:
            got = mpi.Request.waitall([comm.irecv(source=1), comm.irecv(source=2)])
            assert [len(each) for each in got] == [10**7, 10**7]
        elif RANK == 1:
            assert comm.recv(source=2) == "the second has been received"
            comm.send(bytes(10**7), 0)
        elif RANK == 2:
            comm.send(bytes(10**7), 0)
            comm.send("the second has been received", 1)
        assert mpi.Request.waitall([]) == []


def alone() -> None:
    """Send to oneself."""
    with mpi.Comm(MPI.COMM_SELF) as comm:
        for obj in objects(RANK).values():
            request = comm.isend(obj, 0)
            check(comm.recv(), obj)
            request.wait()
            check(comm.allgather(comm.bcast(obj)), [obj])
        array = np.zeros(3)
        assert comm.reduce(array) is not array


def _key(obj: Any) -> str:
    return next(key for key, each in objects(RANK).items() if said(each) == said(obj))


def own() -> None:
    """Check that what arrives is the receiver's own, whatever sender and others do with theirs."""
    for options in ({}, {"share": False}, {"buffer_threshold": 1}):
        with mpi.Comm(WORLD, **options) as comm:
            _own(comm, 100_000)
            _own(comm, 20)


def _own(comm: mpi.Comm, length: int) -> None:
    mine = np.ones(length)
    got = [comm.bcast(mine), *comm.allgather(mine), *comm.alltoall([mine] * WORLD.size)]
    got.append(comm.scatter([mine] * WORLD.size if RANK == 0 else None))
    got.append(comm.sendrecv(mine, NEXT, source=LAST))
    assert set(comm.allreduce(mine, operator.iadd)) == {WORLD.size}
    assert set(mine) == {1}
    mine += 1
    for array in got:
        assert array.flags.writeable
        array += RANK + 2
    comm.barrier()
    assert [set(array) for array in got] == [{RANK + 3.0}] * len(got)


def functions() -> None:
    captured = np.arange(1000)
    with mpi.Comm(WORLD) as comm:
        assert comm.bcast(lambda: captured.sum() + RANK)() == 499_500  # with the RANK of the sender
        assert type(comm.bcast(Here())) is Here


class Here:
    """A class of ``__main__``, which all ranks have."""


def pieces() -> None:
    """Send what is longer than a message of MPI may be; here it may be 1000 bytes."""
    from transport.engines import mpi_parts

    with mock.patch.object(mpi_parts, "LONGEST", 1000), mpi.Comm(WORLD, share=False) as comm:
        mine = np.arange(10_001) + RANK
        check(comm.sendrecv(mine, NEXT, source=LAST), mine - RANK + LAST)
        check(comm.bcast(mine), mine - RANK)
        check(comm.isend(mine, NEXT).wait() or comm.irecv(source=LAST).wait(), mine - RANK + LAST)


def large() -> None:
    """Send more bytes than a C int can count."""
    with mpi.Comm(WORLD, share=False) as comm:
        if RANK == 0:
            comm.send({"x": np.full(2**31 + 10, 7, np.uint8)}, 1)
        elif RANK == 1:
            got = comm.recv(source=0)["x"]
            assert len(got) == 2**31 + 10
            assert got[0] == got[-1] == 7


def timeouts() -> None:
    """Wait for what never comes, and go on."""
    comm = mpi.Comm(WORLD, timeout=0.3)
    waits: dict[str, Callable[[], Any]] = {
        "recv": lambda: comm.recv(source=LAST),
        "probe": lambda: comm.probe(),
        "irecv": lambda: comm.irecv(source=LAST, tag=99).wait(),
        "send": lambda: mpi.Comm(MPI.COMM_SELF, timeout=0.1, share=False).send(bytes(10**7), 0),
    }
    for call in waits.values():
        with pytest.raises(TimeoutError, match=r"within 0\.") as raised:
            call()
        assert raised.type is TransportTimeout
    assert comm.sendrecv(RANK, NEXT, source=LAST) == LAST
    _left()
    if RANK == 0:
        with pytest.raises(TransportTimeout):
            comm.bcast(1, root=1)
    WORLD.Barrier()
    if RANK == 0:
        print("timed out", flush=True)
    WORLD.Barrier()
    os._exit(0)  # nobody can end a collective call that others do not take part in


def _left() -> None:
    """Wait again and again: what MPI still reads is kept once, and not when it is complete."""
    with pytest.raises(TypeError, match=r"takes a communicator of mpi4py, .*, not NoneType"):
        mpi.Comm(None)
    comm = mpi.Comm(MPI.COMM_SELF, timeout=0.05)
    before = list(map(id, mpi_link._LEFT))
    request = comm.isend(bytes(10**7), 0)
    for call in (request.wait, request.wait, lambda: mpi.Request.waitall([request])):
        with pytest.raises(TransportTimeout):
            call()
        kept = list(map(id, mpi_link._LEFT))
        assert len(kept) == len(set(kept)) > len(before)
    assert len(comm.irecv().wait()) == 10**7
    request.wait()
    assert set(map(id, mpi_link._LEFT)) <= set(before)


def strangers() -> None:
    """Read data, and refuse code and other bytes that ranks send."""
    with mpi.Comm(WORLD, trust="data", timeout=20) as comm:
        mine = {"x": np.arange(100_000) + RANK, "y": "text"}
        check(comm.allgather(mine), [{"x": np.arange(100_000) + rank, "y": "text"} for rank in range(4)])
        for payload in (print, Point(1, 2)):
            comm.send(payload, NEXT)
            with pytest.raises(DeserializationError):
                comm.recv(source=LAST)
        for raw in (
            b"x",
            pickle.dumps(print),
            b"junk" * 100,
            bytes(4000),
            _announced(10**6),
            _announced(2**60),
            _announced(10**6, tag=0),  # that of collective calls
            _announced(10**6, tag=2**32 - 1),  # more than MPI allows
        ):
            comm._comm.Send(raw, NEXT)
            if raw == _announced(10**6):
                comm._link.parts.Send(bytes(10), NEXT, 1)
            with pytest.raises(DeserializationError):
                comm.recv(source=LAST)
        for raw in (b"x", bytes(5000)):  # no message; more than an envelope, which is an error of MPI's
            sending = comm._comm.Isend(raw, NEXT)
            request = comm.irecv(source=LAST)
            waitall = functools.partial(mpi.Request.waitall, [request])
            for call in (request.wait, request.wait, request.test, waitall):
                with pytest.raises((DeserializationError, MPI.Exception)):
                    call()
            sending.Wait()
        assert comm.sendrecv(RANK, NEXT, source=LAST) == LAST


def _announced(nbytes: int, tag: int = 1) -> bytes:
    from transport.engines.mpi_parts import _END, _MARK

    return _END.pack(nbytes, tag, _MARK)


def between() -> None:
    """Send between two groups."""
    low = RANK < 2
    group = WORLD.Split(int(low))
    inter = group.Create_intercomm(0, WORLD, 2 if low else 0)
    with mpi.Comm(inter) as comm:
        other = comm.rank
        check(
            comm.sendrecv(objects(RANK)["in a dict"], other, source=other),
            objects((RANK + 2) % 4)["in a dict"],
        )
        with pytest.raises(EngineError, match="one group"):
            comm.bcast(1)
    inter.Free()


def unshared() -> None:
    """Receive other ranks' shared memory in a rank that could not make any of its own."""
    refuse = mock.patch.object(mpi_link, "new_arena", return_value=None)
    with refuse if RANK == 1 else contextlib.nullcontext():
        comm = mpi.Comm(WORLD, timeout=20)
    with comm:
        array = np.arange(100_000.0)
        for root in range(WORLD.size):
            check(comm.bcast(array + root if root == RANK else None, root), array + root)
        check(comm.sendrecv(array + RANK, NEXT, source=LAST), array + LAST)


def apart() -> None:
    """Share nothing with ranks that see other processes: there each rank may be process 1."""
    with mpi.Comm(WORLD, timeout=60) as comm:
        assert list(comm._link.near) == [RANK]
        array = np.arange(100_000.0)
        for root in range(WORLD.size):
            check(comm.bcast(array + root if root == RANK else None, root), array + root)
        check(comm.sendrecv(array + RANK, NEXT, source=LAST), array + LAST)
        check(comm.allgather(array + RANK), [array + rank for rank in range(WORLD.size)])
        check(comm.alltoall([array + RANK] * WORLD.size), [array + rank for rank in range(WORLD.size)])


def killed() -> None:
    """Lose a rank in the middle of calls with large arrays."""
    with mpi.Comm(WORLD) as comm:
        for number in range(1000):
            comm.bcast(np.ones(100_000) if RANK == 0 else None)
            if number == 50 and RANK == 2:
                os.kill(os.getpid(), signal.SIGKILL)


def raising() -> None:
    """Raise in one rank while others wait; `python -m mpi4py` ends all."""
    with mpi.Comm(WORLD) as comm:
        comm.bcast(1)
        if RANK == 1:
            raise RuntimeError("rank 1 gives up")
        comm.bcast(2, root=1)


def installed() -> None:
    """Send with mpi4py's own methods."""
    from mpi4py.util import pkl5

    threshold = MPI.pickle.THRESHOLD
    with mpi.installed():
        for comm in (WORLD, pkl5.Intracomm(WORLD)):
            for key, obj in objects(RANK).items():
                check(comm.bcast(obj), objects(0)[key])
                check(comm.sendrecv(obj, NEXT, source=LAST), objects(LAST)[key])
            assert comm.bcast(lambda: RANK)() == 0
        got = WORLD.bcast(np.arange(100_000))
        got += 1  # writable
        head = MPI.pickle.dumps({"x": np.arange(100_000)[::2]})
    assert (pickle.HIGHEST_PROTOCOL, threshold) == (MPI.pickle.PROTOCOL, MPI.pickle.THRESHOLD)
    assert MPI.pickle.dumps([1]) == pickle.dumps([1], pickle.HIGHEST_PROTOCOL)
    assert type(pickle.loads(head)["x"]) is np.ndarray


def main(names: list[str]) -> None:
    for name in names:
        globals()[name]()
        print(f"{name} of rank {RANK} is done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
