"""The machinery that runs broken messages, briefly, and that it would notice; see `tests.fuzz`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import canning
from canning.wire.trailer import parse
from tests.fuzz import run as running
from tests.fuzz import surfaces
from tests.fuzz.__main__ import main
from tests.fuzz.corpus import READER, golden, plain
from tests.fuzz.report import fine, keep
from tests.fuzz.sources import Everything, Mutants, blob
from tests.fuzz.surfaces import attempt
from tests.fuzz.trailers import repair

SEED = 11


def test_messages_are_put_together_as_they_were() -> None:
    for message in (*golden(), *plain()):
        head = message.whole()[0]
        assert repair(head) == head
        assert parse(head) is not None
    for message in plain():
        assert attempt("deserialize", message.whole()) == "value", message.name


def test_inputs_end_in_a_value_or_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--inputs", "3000", "--seed", str(SEED), "--keep", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "3,000 in" in said
    assert list(tmp_path.iterdir()) == []


def test_every_bit_and_length_of_one_message() -> None:
    source = Everything()
    assert len(source.messages) >= 50
    size = 2 * 9 * len(source.messages[0][0])
    tally = running.run(source, seconds=None, inputs=size, procs=2)
    assert tally.inputs == size
    assert fine(tally)


def test_the_same_seed_gives_the_same_inputs() -> None:
    one, other = Mutants(3), Mutants(3)
    assert [one.make(n) for n in range(50)] == [other.make(n) for n in range(50)]
    assert Mutants(4).make(1) != one.make(1)


def test_the_time_is_kept() -> None:
    tally = running.run(Mutants(SEED), seconds=0.3, inputs=None, procs=2)
    assert fine(tally)


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (lambda: 1 // 0, "ZeroDivisionError"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "SIGTERM"),
        (lambda: os._exit(7), "ended with 7"),
        (lambda: time.sleep(60), "SIGKILL"),
        (lambda: bytearray(1 << 40), "MemoryError"),
    ],
    ids=["error", "crash", "end", "hang", "memory"],
)
def test_a_planted_fault_is_found(
    happens: Any, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source, surface = Mutants(SEED), surfaces.SURFACES["split"]
    split = [number for number in range(300) if source.make(number).surface == "split"]
    at_fault = source.make(split[1]).frames

    def broken(frames: list[bytes]) -> Any:
        return happens() if frames == at_fault else surface[0](frames)

    monkeypatch.setitem(surfaces.SURFACES, "split", (broken, surface[1]))
    monkeypatch.setattr(running, "HANGS", 0.5)
    tally = running.run(source, seconds=None, inputs=300, procs=2)
    assert [number for number, _ in tally.bad] == [split[1]]
    assert said in tally.bad[0][1]
    assert not fine(tally)
    assert str(split[1]) in keep(tally, source, tmp_path)[0]
    assert (tmp_path / f"{split[1]}.canned").read_bytes() == blob(at_fault)


KEYS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
DATA = st.recursive(
    KEYS,
    lambda part: st.one_of(
        st.lists(part, max_size=4), st.dictionaries(KEYS, part, max_size=4), st.tuples(part, part)
    ),
    max_leaves=12,
)


@settings(max_examples=30)
@given(DATA, st.data())
def test_plain_data_arrives_and_broken_is_refused_or_read(obj: Any, data: st.DataObject) -> None:
    frames = [bytearray(frame) for frame in canning.serialize_object(obj)]
    assert READER.deserialize_object(frames)[0] == obj
    at = data.draw(st.integers(0, 8 * len(frames[0]) - 1))
    frames[0][at // 8] ^= 1 << at % 8
    broken = [bytes(frame) for frame in frames]
    assert attempt("deserialize", broken) in running.GOOD
    assert attempt("deserialize", [repair(broken[0]), *broken[1:]]) in running.GOOD
