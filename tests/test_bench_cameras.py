"""Photos and growth in the benchmarks: what is counted, left out and told, and not how fast it is."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rich", reason="the benchmarks' tables need rich")

from tests.bench import board, camera, growth, pages, plots, report
from tests.bench.links import ARENA
from tests.bench.results import Cell, Result
from tests.bench.saved import merge, read_json, write_json
from tests.bench.timing import FULL, Effort
from tests.bench.viewers import WAYS, Shutter, Way

ROOT = Path(__file__).resolve().parents[1]
BRIEF = Effort(rounds=1, budget=0.01, patience=1, share=0.001)


def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Film as few photos as a camera has memory for: on a busy machine, too, none is lost."""
    monkeypatch.setattr(camera, "RATES", {8: 3})
    monkeypatch.setattr(camera, "WARM", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="shared arenas are there on Linux")
@pytest.mark.parametrize("kind", ["tcp", "ipc", "shared"])
def test_photos_arrive_on_every_way(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch)
    ways = [name for name in camera.PEERS if name != "ray"]
    (row,) = camera.run("camera", [f"camera-{kind}-8"], ways, FULL, lambda _: None)
    assert {name: cell.problem for name, cell in row.cells.items() if cell.problem} == {}
    assert list(row.cells) == [name for name, way in WAYS if kind in way.kinds and name != "ray"]
    for cell in row.cells.values():
        assert 0 < (cell.value or 0) <= cell.more["p99"] <= cell.more["p99.9"]
        assert 0 < cell.more["a second"] <= 8


def test_four_viewers_read_every_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    brief(monkeypatch)
    (row,) = camera.run("viewers", ["viewers-ipc-8"], ["canning"], FULL, lambda _: None)
    assert row.cells["canning"].problem == ""
    assert row.cells["canning"].more["a second"] > 0


@pytest.mark.slow
def test_photos_through_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    brief(monkeypatch)
    (row,) = camera.run("camera", ["camera-shared-8"], ["ray"], FULL, lambda _: None)
    assert row.cells["ray"].problem == ""
    assert (row.cells["ray"].value or 0) > 0


def by_hand(send: Callable[[Any, Any], object]) -> Way:
    """A way whose viewer is this process: `send` gets the board's row, and the photo."""

    @contextmanager
    def opened(_: str, file: Path) -> Iterator[Shutter]:
        row = board.read_board(file)[0]
        row[0] = board.READY
        photo = np.zeros(board.SHAPE, np.uint8)
        yield Shutter(lambda _: photo, lambda _, photo: send(row, photo))

    return Way(("tcp",), opened)


def filmed(way: Way, rate: int, count: int) -> Cell:
    with contextlib.closing(camera.Camera(way, "tcp", 1)) as filming:
        return filming.film(rate, count)


def test_a_slow_sender_cannot_hide() -> None:
    def slowly(row: Any, photo: Any) -> None:
        time.sleep(0.02)
        board.look(photo, row)

    found = filmed(by_hand(slowly), 1000, 60)
    assert (found.value or 0) > 0.02
    assert found.more["a second"] < 50
    assert found.more["lost"] > 0.5


def test_photos_that_fall_due_while_others_are_unread_are_lost() -> None:
    def look_late(photo: Any, row: Any) -> None:
        time.sleep(0.05)
        board.look(photo, row)

    with ThreadPoolExecutor(1) as viewer:
        way = by_hand(lambda row, photo: viewer.submit(look_late, photo.copy(), row))
        found = filmed(way, 100, 40)
    assert found.problem == ""
    assert (found.value or 0) > 0.05
    assert 0.5 < found.more["lost"] < 1


def test_a_photo_that_changed_on_its_way_is_a_problem() -> None:
    def spoil(row: Any, photo: Any) -> None:
        photo[-1] += 1
        board.look(photo, row)

    assert filmed(by_hand(spoil), 1000, 10).problem == "changed on its way"


def test_viewers_that_read_nothing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "_PATIENCE", 0.05)
    found = filmed(by_hand(lambda *_: None), 1000, 10)
    assert found.value is None
    assert re.fullmatch(r"TimeoutError: the viewers have read \[0\] of [1-4] photos", found.problem)


@pytest.mark.parametrize(
    ("rows", "ways"),
    [
        (["ipc-arrays-10"], ["canning"]),
        (["ipc-consumers-1", "ipc-consumers-2"], ["raw frames", "send_pyobj", "canning", ARENA]),
        (["ipc-bytes-1B", "ipc-bytes-1MB"], ["raw frames", ARENA]),
    ],
    ids=["arrays", "consumers", "bytes"],
)
@pytest.mark.skipif(sys.platform != "linux", reason="shared arenas are there on Linux")
def test_growth(rows: list[str], ways: list[str]) -> None:
    found = growth.run(rows, ways, BRIEF, lambda _: None)
    assert [result.name for result in found] == rows
    for result in found:
        assert {name: cell.problem for name, cell in result.cells.items() if cell.problem} == {}
        assert list(result.values) == ways
        assert min(result.values.values()) > 0


def test_what_memory_cannot_hold_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "available", lambda: 3 * 10**9)
    measured: list[tuple[list[str], list[str]]] = []

    def note(_: str, rows: Any, __: Any, ___: Any, ways: Any, *____: Any) -> list[Result]:
        measured.append(([row.name for row in rows], list(ways)))
        return [Result("growth", row.name, "", {way: Cell(1.0) for way in ways}) for row in rows]

    monkeypatch.setattr(growth, "run_rows", note)
    found = growth.run(["ipc-bytes-1GB", "ipc-bytes-4GB"], growth.WAYS, BRIEF, lambda _: None)
    assert measured[-2:] == [(["bytes-1GB"], ["raw frames", ARENA]), ([], [])]
    assert found[-1].cells["send_pyobj"].problem == "left out: needs 6 GB of memory"


def measured_on(cpu: str, results: list[Result]) -> report.Report:
    about = {"cpu": cpu, "cores": 2, "memory_gb": 8, "system": "S", "python": "P", "load": 0, "versions": {}}
    return report.Report(about, False, results)


def round_trip(name: str, cpu: str = "a") -> report.Report:
    return measured_on(cpu, [Result("codec", name, "", {"canning": Cell(1.0)})])


def one_film(suites: str, cpu: str = "a") -> report.Report:
    cell = Cell(0.001, "", {"p99": 0.002, "p99.9": 0.01, "a second": 31.0, "lost": 0.0})
    rows = [
        (suite, f"{suite}-{kind}-{rate}")
        for suite in suites.split()
        for kind in ("tcp", "ipc")
        for rate in (30, 1000)
    ]
    return measured_on(cpu, [Result(suite, row, "", {"canning": cell}) for suite, row in rows])


def test_tables_in_pages_are_made_of_what_was_measured(tmp_path: Path) -> None:
    page = tmp_path / "deep" / "page.md"
    page.parent.mkdir()
    page.write_text("one\n<!-- measured: camera -->\nold\n<!-- end -->\ntwo\n")
    pages.fill(tmp_path, one_film("camera"))
    assert "old" in page.read_text()
    pages.fill(tmp_path, one_film("camera viewers"))
    text = page.read_text()
    assert text.startswith("one\n<!-- measured: camera -->\n|")
    assert text.endswith("<!-- end -->\ntwo\n")
    assert "| ipc: canning | 1.00 ms (2.00 ms) | 31 /s | 1.00 ms (2.00 ms) | 31 /s |" in text


def test_the_page_about_cameras_tells_what_was_measured() -> None:
    text = (ROOT / "docs" / "howto" / "cameras.md").read_text(encoding="utf-8")
    kept = read_json(ROOT / "docs" / "bench" / "results.json")
    assert "| shared: canning, in place |" in text
    assert pages.filled_in(text, kept) == text


def test_pictures_of_cameras_and_growth_have_a_line_for_each_way() -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    kept = read_json(ROOT / "docs" / "bench" / "results.json")
    for suite in ("camera", "viewers", "growth"):
        figure = plots.PICTURES[suite](kept)
        named = {name for axis in figure.axes for name in axis.get_legend_handles_labels()[1]}
        ways = {name for result in kept.of(suite) for name, cell in result.cells.items() if cell.value}
        assert len(ways) > 3
        assert ways <= named
        for axis in figure.axes:
            assert all(list(line.get_xdata()) == sorted(line.get_xdata()) for line in axis.lines)


def test_a_suite_may_be_of_another_machine_than_the_rest(tmp_path: Path) -> None:
    whole = merge(round_trip("x"), one_film("camera", "b"))
    assert (whole.machine["cpu"], whole.machine_of("codec")["cpu"]) == ("a", "a")
    assert whole.machine_of("camera")["cpu"] == "b"
    write_json(whole, tmp_path / "file")
    assert read_json(tmp_path / "file") == whole
    assert merge(whole, one_film("camera", "b")) == whole
    again = merge(whole, round_trip("y"))
    assert (again.machine_of("codec")["cpu"], again.machine_of("camera")["cpu"]) == ("a", "b")
    report.write_page(whole, tmp_path / "page", {})
    assert "Measured on another machine. b, 2 cores" in (tmp_path / "page").read_text()
