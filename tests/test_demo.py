"""The demo: it runs on real data and on users' files, its proofs can fail, and it never hangs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning import cli
from transport.demo import add_demo, proofs, running, samples, session
from transport.demo.proofs import arrivals_of, find, place, shared_pairs
from transport.demo.samples import DemoError

pd = pytest.importorskip("pandas")


@pytest.fixture
def one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no longer than it takes to see that measuring works."""
    monkeypatch.setattr(running, "ENOUGH", 0)


def main(arguments: list[str]) -> int:
    """Do what the command line does once it has found the command, which takes an installation."""
    parser = argparse.ArgumentParser()
    add_demo(parser.add_subparsers())
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def outcome(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str], str]:
    """Run the demo; its exit code, the lines of its proofs, and what it says on standard error."""
    code = main(["demo", *map(str, arguments)])
    said = capsys.readouterr()
    return code, [line for line in said.out.splitlines() if line.startswith(("proved", "FAILED"))], said.err


def assert_proved(result: tuple[int, list[str], str]) -> None:
    code, lines, said = result
    assert [line for line in lines if line.startswith("FAILED")] == []
    assert (code, len(lines), said) == (0, 8, "")


# -- the whole of it -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_round")
@pytest.mark.parametrize("arguments", [[], ["--tcp"]], ids=["ipc", "tcp"])
def test_shipped_data(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert_proved(outcome(capsys, *arguments))


def test_as_a_program(tmp_path: Path) -> None:
    np.save(tmp_path / "grid.npy", np.arange(40_000.0).reshape(200, 200))
    if "demo" not in {entry.name for entry in entry_points(group=cli.GROUP)}:
        pytest.skip("the installation is older than the entry point")
    command = [sys.executable, "-m", "canning", "demo", str(tmp_path / "grid.npy")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "float64 (200, 200)" in ran.stdout.replace("\n", "")


ARRAYS = {
    "C": np.arange(6000.0).reshape(60, 100),
    "F": np.asfortranarray(np.arange(6000, dtype=">i4").reshape(60, 100)),
    "text": np.array(["one", "twenty"] * 500),
    "dates": np.arange(2000).astype("M8[h]"),
    "fields": np.zeros(300, [("a", "i4"), ("b", "f8", (2,))]),
    "one number": np.array(3.5),
    "nothing": np.zeros((0, 4)),
}


@pytest.mark.usefixtures("one_round")
@pytest.mark.parametrize("name", ARRAYS)
def test_array_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    np.save(tmp_path / "array.npy", ARRAYS[name])
    assert_proved(outcome(capsys, tmp_path / "array.npy"))


def table(rows: int) -> Any:
    return pd.DataFrame(
        {
            "count": np.arange(rows),
            "ratio": np.linspace(0, 1, rows),
            "name": [f"row {row}" for row in range(rows)],
            "when": pd.date_range("2020-01-01", periods=rows, freq="h"),
            "there": pd.date_range("2020-01-01", periods=rows, freq="h", tz="UTC"),
            "kind": pd.Categorical(["a", "b"][row % 2] for row in range(rows)),
            "maybe": pd.array([None if row % 3 else row for row in range(rows)], dtype="Int64"),
        }
    )


@pytest.mark.usefixtures("one_round")
@pytest.mark.parametrize("rows", [0, 1, 2000])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_table_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str, rows: int) -> None:
    path = tmp_path / f"table.{suffix}"
    if suffix == "csv":
        table(rows).to_csv(path, index=False)
    else:
        pytest.importorskip("pyarrow")
        table(rows).set_index("when").to_parquet(path)
    assert_proved(outcome(capsys, path))


@pytest.mark.usefixtures("one_round")
def test_a_wide_table_is_summed_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame(np.arange(40_000.0).reshape(1000, 40)).to_csv(tmp_path / "wide.csv", index=False)
    assert main(["demo", str(tmp_path / "wide.csv")]) == 0
    assert "more frames" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("one_round")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P"])
def test_image_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(120 * 90 * 3, dtype=np.uint8).reshape(120, 90, 3)
    image.fromarray(pixels).convert(mode).save(tmp_path / "image.png")
    assert_proved(outcome(capsys, tmp_path / "image.png"))


# -- what goes wrong says what to do -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", "hello", "give one of .npy, .csv"),
        ("empty.csv", "", "No columns"),
        ("broken.npy", "hello", "cannot read"),
        ("broken.png", "hello", "cannot identify image"),
        ("broken.parquet", "hello", "cannot read"),
        ("absent.npy", None, "No such file"),
    ],
)
def test_bad_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    code, _, said = outcome(capsys, tmp_path / name)
    assert code == 1
    assert says in said


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, _, said = outcome(capsys)
    assert code == 1
    assert "matplotlib" in said
    assert said.endswith(": pip install matplotlib pandas pillow pyarrow rich\n")


@pytest.mark.usefixtures("one_round")
def test_a_failed_proof_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "prove", lambda *_: [("pigs fly", False)])
    assert outcome(capsys)[:2] == (1, ["FAILED  pigs fly"])


def test_the_command_line_finds_it_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    named = project["project"]["entry-points"][cli.GROUP]
    found = [EntryPoint(name, value, cli.GROUP) for name, value in named.items()]
    monkeypatch.setattr(cli, "entry_points", lambda *, group: found)
    assert cli.main([]) == 0
    assert "prove what happened" in " ".join(capsys.readouterr().out.split())
    assert cli.main(["demo", "absent.npy"]) == 1
    assert "No such file" in capsys.readouterr().err


# -- the proofs ----------------------------------------------------------------------------------------


def sample() -> samples.Sample:
    base = np.arange(10_000.0).reshape(100, 100)
    payload = {"base": base, "view": base[10:20], "window": np.ones((50, 50))[:, :30]}
    here = 3
    return samples.Sample("a test", payload, lambda goods: goods["base"].sum() * here, "window")


def reply(it: samples.Sample, arrived: Any) -> proofs.Reply:
    """Say what an engine would say that got this."""
    result, name = it.function(arrived), it.function.__qualname__
    return proofs.Reply(os.getpid() + 1, name, result, arrivals_of(arrived), shared_pairs(arrived))


def failed(it: samples.Sample, frames: list[Any], arrived: Any) -> list[str]:
    found = proofs.prove(it, place(frames, find(it.payload)), reply(it, arrived), arrived)
    return [claim for claim, holds in found if not holds]


def test_proofs_hold_for_what_is_equal() -> None:
    it = sample()
    assert failed(it, canning.serialize_object(it.payload), it.payload) == []


def test_copied_frames_are_seen() -> None:
    it = sample()
    header, *frames = canning.serialize_object(it.payload)
    copies = [header, *(bytes(frame) for frame in frames)]
    [claim] = failed(it, copies, it.payload)
    assert claim.startswith("0 of ")


def test_arrays_in_the_header_are_seen() -> None:
    it = sample()
    header, *_ = canning.serialize_object(it.payload)
    [claim] = failed(it, [header], it.payload)
    assert claim.startswith("0 of 0 payload bytes")


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda payload: {**payload, "window": payload["window"] + 1}, 3),  # equal, layout, came home
        (lambda payload: {**payload, "window": np.asfortranarray(payload["window"])}, 1),
        (lambda payload: {**payload, "view": payload["view"].copy()}, 2),  # shared, came home
        (lambda payload: {**payload, "base": payload["base"].astype(">f8")}, 3),
    ],
    ids=["values", "order", "sharing", "byte order"],
)
def test_what_arrived_otherwise_is_seen(change: Any, count: int) -> None:
    it = sample()
    assert len(failed(it, canning.serialize_object(it.payload), change(it.payload))) == count


# -- the engine ----------------------------------------------------------------------------------------


def test_what_fails_in_the_engine_is_told() -> None:
    with (
        session.start(tcp=False, timeout=30) as talk,
        pytest.raises(DemoError, match="ZeroDivisionError"),
    ):
        talk.call(lambda payload: 1 // payload, 0)


def test_an_engine_that_ends_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ENGINE", [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(DemoError, match="exit code 3"), session.start(tcp=True, timeout=30):
        pass


def test_a_silent_engine_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "ENGINE", [sys.executable, "-c", "import sys; sys.stdin.read()"])
    with pytest.raises(DemoError, match=r"said nothing for 0\.2 s"), session.start(tcp=True, timeout=0.2):
        pass


def test_a_stranger_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(session.TOKEN, "a guess")
    monkeypatch.setattr(session, "TOKEN", "SOME_OTHER_VARIABLE")
    with pytest.raises(DemoError, match="someone else"), session.start(tcp=True, timeout=30):
        pass


@pytest.mark.skipif(os.name != "posix", reason="looks for a process by sending it signal 0")
def test_the_engine_ends_with_its_parent() -> None:
    script = (
        "import os, signal, sys\n"
        "from transport.demo.session import start\n"
        "with start(tcp=True, timeout=30) as talk:\n"
        "    print(talk.call(abs, -1).pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    engine, deadline = int(ran.stdout), time.monotonic() + 10
    while alive(engine) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(engine)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # An orphan that nobody waits for stays as a zombie where process 1 does not care.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()


def test_a_path_that_is_too_long_for_ipc_is_said_to_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 110)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    code, _, error = outcome(capsys)
    assert code == 1
    assert "too long a path for ipc://: use --tcp" in error
