"""The commands `inspect` and `scan`."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import canning
from canning.cli import main

from .pickle_streams import ATTACKS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    canning.dump({"x": np.arange(1000.0)}, tmp_path / "arrays.canned")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "notes.txt").write_text("config of names\nand values\n")
    (tmp_path / "deeper" / "empty").touch()
    (tmp_path / "deeper" / "old.pkl").write_bytes(pickle.dumps([1, 2], 0))
    return tmp_path


def test_scan_of_what_is_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", str(folder / "arrays.canned")]) == 0
    assert capsys.readouterr().out == f"clean       {folder / 'arrays.canned'}\n"
    assert main(["scan", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["clean", "clean"]
    assert lines[-1] == "2 clean, 0 needs code, 0 unreadable, 0 dangerous; skipped 2 that are not pickles"


def test_scan_of_what_is_not(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = folder / "deeper" / "picture.png"
    evil.write_bytes(ATTACKS["plain"])
    assert main(["scan", str(folder)]) == 3
    assert f"dangerous   {evil}\n    dangerous: os.system\n" in capsys.readouterr().out
    evil.unlink()
    (folder / "broken.pkl").write_bytes(b"\x80\x04N")
    assert main(["scan", str(folder)]) == 2
    assert "broken.pkl\n    the stream breaks off at byte 3" in capsys.readouterr().out
    assert main(["scan", str(folder / "deeper" / "notes.txt")]) == 2
    assert main(["scan", str(folder / "missing")]) == 2


@pytest.mark.parametrize(
    ("content", "statuses"),
    [
        (b"N.", (0, 0, 0)),
        (b"cpkg\nthing\n.", (1, 0, 0)),
        (b"\x80\x04N", (2, 2, 0)),
        (ATTACKS["plain"], (3, 3, 3)),
    ],
    ids=["clean", "needs code", "unreadable", "dangerous"],
)
def test_scan_fails_on_what_is_as_bad_as_told(
    content: bytes, statuses: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    (tmp_path / "b.pkl").write_bytes(b"N.")
    found = [
        main(["scan", "--fail-on", level, str(tmp_path)])
        for level in ("needs-code", "unreadable", "dangerous")
    ]
    assert tuple(found) == statuses
    assert main(["scan", str(tmp_path)]) == statuses[0]
    assert "a.pkl" in capsys.readouterr().out.splitlines()[0]  # the worst comes first


def test_scan_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "evil").write_bytes(ATTACKS["behind another"])
    assert main(["scan", "--json", str(folder)]) == 3
    found = {Path(each["path"]).name: each for each in json.loads(capsys.readouterr().out)}
    assert {name: each["verdict"] for name, each in found.items()} == {
        "arrays.canned": "clean",
        "evil": "dangerous",
        "old.pkl": "clean",
    }
    (asked,) = found["evil"]["globals"]
    assert (asked["module"], asked["name"], asked["dangerous"]) == ("os", "system", True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_scan_passes_pipes_by(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe.pkl")
    assert main(["scan", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("skipped 3 that are not pickles")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_scan_follows_links_to_folders_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "evil.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    (other / "round").symlink_to(folder, target_is_directory=True)
    assert main(["scan", str(folder)]) == 0
    (folder / "linked").symlink_to(other, target_is_directory=True)
    assert main(["scan", str(folder)]) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or not os.geteuid(), reason="root lists any folder")
def test_a_folder_that_cannot_be_listed_is_unreadable(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0)
    assert main(["scan", str(folder)]) == 2


def test_inspect(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(folder / "arrays.canned")]) == 0
    text = capsys.readouterr().out
    assert "['x']: array <f8 (1000,), 8,000 bytes in frame 1" in text
    assert "Opcodes" not in text
    assert main(["inspect", "--opcodes", str(folder / "arrays.canned")]) == 0
    assert "# array <f8 (1000,), 8,000 bytes in frame 1" in capsys.readouterr().out
    assert main(["inspect", "--json", "--opcodes", str(folder / "arrays.canned")]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["verdict"] == "clean"
    assert data["opcodes"][-1].split()[1] == "STOP"
    assert main(["inspect", str(folder / "missing")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_names_of_files_are_shown_harmlessly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "\x1b[31m.pkl").write_bytes(pickle.dumps(1))
    assert main(["scan", str(tmp_path)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_who_reads_only_the_first_lines(folder: Path) -> None:
    command = [sys.executable, "-m", "canning", "inspect", "--opcodes", str(folder / "many.pkl")]
    (folder / "many.pkl").write_bytes(pickle.dumps(list(range(20_000))))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as ran:
        assert ran.stdout is not None
        assert ran.stderr is not None
        ran.stdout.readline()
        ran.stdout.close()
        assert ran.stderr.read() == b""
        assert ran.wait(30) == 1


def test_progress_and_colours_on_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rich = pytest.importorskip("rich", reason="rich is in the extra demo")
    assert rich is not None
    from canning import cli

    class Terminal:
        text = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            self.text += text
            return len(text)

        def flush(self) -> None:
            pass

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    console = cli._console(terminal)
    console.print("text")
    assert "text" in terminal.text
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert cli._console(terminal) is None
