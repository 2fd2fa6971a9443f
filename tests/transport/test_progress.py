"""Progress of what is sent, received, written and read."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
import zmq.asyncio

import canning
import transport
from transport import aio

from .helpers import SCHEMES, Connect, Open

Log = list[tuple[int, int]]
BIG = np.arange(3_000_000.0)  # 24 MB: several parts


def well_formed(log: Log, nbytes: int) -> bool:
    """Every call tells the same total, never less than before, and the last one that all is done."""
    done, totals = zip(*log, strict=True)
    return (
        list(done) == sorted(done)
        and len(set(totals)) == 1
        and log[-1] == (totals[0],) * 2
        and totals[0] >= nbytes
    )


@pytest.mark.parametrize("where", SCHEMES)
@pytest.mark.parametrize("codec", [None, "lz4"])
def test_both_ends(connect: Connect, where: str, codec: str | None) -> None:
    there, here = connect(where)
    serializer = None
    if codec:
        pytest.importorskip("lz4", reason="lz4 is not installed")
        serializer = canning.Serializer(codec="lz4")
    sent: Log = []
    came: Log = []
    tracker = transport.send(
        here, {"x": BIG}, serializer=serializer, on_progress=lambda *now: sent.append(now), timeout=30
    )
    assert tracker.done or where == "inproc"
    got = transport.recv(there, on_progress=lambda *now: came.append(now), timeout=30)
    assert np.array_equal(got["x"], BIG)
    least = 0 if codec else BIG.nbytes
    assert well_formed(sent, least)
    assert well_formed(came, least)
    if not codec and where != "inproc":
        assert len(came) > 5, "told once for each part"


def test_asyncio() -> None:
    async def main() -> tuple[Log, Log, Any]:
        sent: Log = []
        came: Log = []
        context = zmq.asyncio.Context()
        with context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
            here.bind("tcp://127.0.0.1:*")
            there.connect(here.last_endpoint)
            sending = asyncio.create_task(
                aio.send(here, BIG, on_progress=lambda *now: sent.append(now), timeout=30)
            )
            got = await aio.recv(there, on_progress=lambda *now: came.append(now), timeout=30)
            assert (await sending).done
        return sent, came, got

    sent, came, got = asyncio.run(main())
    assert np.array_equal(got, BIG)
    assert well_formed(sent, BIG.nbytes)
    assert well_formed(came, BIG.nbytes)


def test_the_time_is_over_before_all_has_left(open_socket: Open) -> None:
    here = open_socket(zmq.PUSH)
    here.connect("tcp://127.0.0.1:9")  # nobody is there, and the queue takes the message
    sent: Log = []
    tracker = transport.send(here, BIG, on_progress=lambda *now: sent.append(now), timeout=0.2)
    assert not tracker.done
    assert sent[-1][0] < BIG.nbytes


def test_who_does_not_want_to_wait_does_not(open_socket: Open) -> None:
    here = open_socket(zmq.PUSH)
    here.connect("tcp://127.0.0.1:9")
    sent: Log = []
    tracker = transport.send(here, BIG, on_progress=lambda *now: sent.append(now), flags=zmq.NOBLOCK)
    assert not tracker.done
    assert len(sent) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="shared arenas are there on Linux")
def test_through_an_arena(connect: Connect) -> None:
    there, here = connect()
    sent: Log = []
    with transport.SharedArena("64MiB") as arena:
        transport.send(here, BIG, arena=arena, on_progress=lambda *now: sent.append(now), timeout=30)
        assert np.array_equal(transport.recv(there, shared_memory=True, timeout=30), BIG)
        assert arena.stats().copied == 1
    assert well_formed(sent, 1)
    assert sent[-1][1] < 10_000, "what travels is where it lies"


def test_what_on_progress_raises_goes_through_and_the_message_arrives(connect: Connect) -> None:
    there, here = connect()

    def fail(_done: int, _total: int) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        transport.send(here, BIG, on_progress=fail)
    assert np.array_equal(transport.recv(there, timeout=30), BIG)


def test_small_message_is_told_of_once() -> None:
    here, there = transport.fake_pair()
    sent: Log = []
    transport.send(here, [1], on_progress=lambda *now: sent.append(now))
    assert well_formed(sent, 1)
    assert len(sent) == 1
    assert transport.recv(there) == [1]


def test_bar(connect: Connect, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("rich", reason="rich draws the bar")
    there, here = connect()
    transport.send(here, BIG, progress=True, timeout=30)
    transport.recv(there, timeout=30)
    canning.dump(BIG, tmp_path / "file", progress=True)
    canning.load(tmp_path / "file", progress=True)
    canning.load(tmp_path / "file", mmap=False, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    for what in ("sending", "writing", "mapping", "reading"):
        assert what in err
    assert "24.0/24.0 MB" in err


def test_bar_without_rich(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ImportError, match="pip install rich"):
        canning.dump([1], tmp_path / "file", progress=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mmap", [False, True])
def test_files(tmp_path: Path, mmap: bool) -> None:
    wrote: Log = []
    read: Log = []
    canning.dump({"x": BIG}, tmp_path / "file", on_progress=lambda *now: wrote.append(now))
    got = canning.load(tmp_path / "file", mmap=mmap, on_progress=lambda *now: read.append(now))
    assert np.array_equal(got["x"], BIG)
    assert wrote[-1][1] == (tmp_path / "file").stat().st_size
    assert well_formed(wrote, BIG.nbytes)
    assert well_formed(read, BIG.nbytes)
    assert (len(wrote), len(read)) == (4, 1 if mmap else 4)
    assert got["x"].flags.writeable is not mmap


def test_a_file_whose_writing_was_broken_off_is_not_there(tmp_path: Path) -> None:
    def fail(done: int, _total: int) -> None:
        if done:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        canning.dump(BIG, tmp_path / "file", on_progress=fail)
    assert list(tmp_path.iterdir()) == []
