"""The benchmarks run; how fast anything is, is not tested."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rich", reason="the benchmarks' tables need rich")

from tests.bench import plots, report, running
from tests.bench.results import Cell, Result
from tests.bench.saved import merge, read_json, write_json

ROOT = Path(__file__).resolve().parents[1]
UNITS = {"ms": 1e-3, "µs": 1e-6}


def bench(*arguments: object, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *(python or ("-m", "tests.bench")), *map(str, arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False)


def test_codec(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    ran = bench("codec", "--quick", "--only", "int,arr_1MB", "--json", file)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "arr_1MB" in ran.stdout
    results = json.loads(file.read_text())["results"]
    assert [result["name"] for result in results] == ["int", "arr_1MB"]
    for result in results:
        assert result["cells"]["canning"]["problem"] == ""
        assert result["cells"]["pickle5"]["value"] > 0


@pytest.mark.parametrize(
    ("suite", "row"),
    [
        pytest.param("wire", "tcp-100B", marks=pytest.mark.slow),
        pytest.param("many", "ipc-256x10KB", marks=pytest.mark.slow),
        pytest.param("messages", "tcp-asyncio", marks=pytest.mark.slow),
        ("messages", "ipc-blocking"),
    ],
)
def test_from_process_to_process(suite: str, row: str) -> None:
    found = running.measure([suite], row, "raw frames,send_pyobj,canning", quick=True)
    (result,) = found.of(suite)
    assert result.name == row
    assert {name: cell.problem for name, cell in result.cells.items() if cell.problem} == {}
    assert {"raw frames", "send_pyobj", "canning"} <= result.values.keys()
    assert min(result.values.values()) > 0
    assert not found.failures


@pytest.mark.skipif(sys.platform != "linux", reason="shared arenas are there on Linux")
def test_arena() -> None:
    found = running.measure(["arena"], "arena-1MB,arena-placed-1MB", "canning", quick=True)
    assert [result.name for result in found.results] == ["arena-1MB", "arena-placed-1MB"]
    assert not found.failures


def test_what_is_not_installed_is_named_as_absent() -> None:
    hide = (
        "import sys; sys.modules.update(dict.fromkeys(('distributed', 'ipyparallel', 'xoscar', 'joblib'))); "
    )
    code = f"{hide}from tests.bench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    ran = bench("codec", "--quick", "--only", "int", python=("-c", code))
    assert (ran.returncode, ran.stderr) == (0, "")
    for name in ("distributed", "ipyparallel", "xoscar", "joblib"):
        assert f"Absent: {name} (" in ran.stdout


@pytest.mark.slow
def test_signing(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    ran = bench("signing", "--quick", "--only", "sign-1MB,check-100B", "--json", file)
    assert (ran.returncode, ran.stderr) == (0, "")
    results = json.loads(file.read_text())["results"]
    assert [result["name"] for result in results] == ["check-100B", "sign-1MB"]
    assert [len(result["verdicts"]) for result in results] == [0, 1]


def test_unknown_row() -> None:
    ran = bench("codec", "--only", "no_such_row")
    assert ran.returncode == 2
    assert "nothing is called 'no_such_row'" in ran.stderr


@pytest.mark.slow
def test_plots_and_tables_of_two_runs_in_one_folder(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    for suite, row in (("codec", "int"), ("wire", "tcp-100B,tcp-10KB")):
        peers = "pickle5,raw frames,canning"
        options = ("--quick", "--only", row, "--peers", peers, "--plots", tmp_path, "--keep")
        assert bench(suite, *options).returncode == 0
    page = (tmp_path / "README.md").read_text()
    assert "| int |" in page
    assert "| tcp-100B |" in page
    for name in ("codec.svg", "wire.svg"):
        assert (tmp_path / name).read_text().rstrip().endswith("</svg>")
        assert f"]({name})" in page


def test_lines_go_from_small_to_large_whatever_the_order_of_the_rows() -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    kept = read_json(Path(__file__).parent.parent / "docs" / "bench" / "results.json")
    kept.results.sort(key=lambda result: -result.nbytes)
    for figure in (plots.overview(kept), plots.wire(kept), plots.arena(kept)):
        lines = [list(line.get_xdata()) for axis in figure.axes for line in axis.lines]
        assert any(len(sizes) > 3 for sizes in lines)
        assert [sizes for sizes in lines if sizes != sorted(sizes)] == []


def test_the_figures_of_arenas_are_those_that_were_measured() -> None:
    kept = {result.name: result for result in read_json(ROOT / "docs" / "bench" / "results.json").of("arena")}
    page = (ROOT / "docs" / "same-host.md").read_text().partition("## Figures")[2]
    rows = list(re.findall(r"^\| (\d+ (?:B|kB|MB|GB))( [^|]*)\|(.*)\|$", page, re.M))
    assert len(rows) == len(kept)
    for size, note, cells in rows:
        placed = "placed-" * ("in the arena" in note)
        measured = kept[f"arena-{placed}{size.replace(' ', '').replace('k', 'K')}"]
        told = [float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+) (ms|µs)", cells)]
        assert len(told) == len(measured.values)
        for number, seconds in zip(told, measured.values.values(), strict=True):
            assert number == pytest.approx(seconds, rel=0.005, abs=5e-7)


def test_the_notebook_about_speed_shows_its_pictures() -> None:
    cells = json.loads((Path(__file__).parent.parent / "notebooks/02-throughput.ipynb").read_text())["cells"]
    drawing = [cell for cell in cells if "plots.PICTURES" in "".join(cell["source"])]
    assert len(drawing) == 3
    for cell in drawing:
        assert any("image/png" in output.get("data", {}) for output in cell["outputs"])


def one_row(machine: str, name: str, seconds: float) -> report.Report:
    about = {"cpu": machine, "load": seconds, "versions": {"numpy": "2"}}
    return report.Report(about, False, [Result("codec", name, "", {"canning": Cell(seconds)})])


def test_merging(tmp_path: Path) -> None:
    write_json(one_row("a", "x", 1.0), tmp_path / "file")
    old = read_json(tmp_path / "file")
    assert old == one_row("a", "x", 1.0)
    whole = merge(old, one_row("a", "y", 2.0))
    assert [(result.name, result.values) for result in whole.results] == [
        ("x", {"canning": 1.0}),
        ("y", {"canning": 2.0}),
    ]
    assert merge(old, one_row("a", "x", 3.0)).results == one_row("a", "x", 3.0).results
    with pytest.raises(ValueError, match="another machine: cpu was 'a', and is 'b'"):
        merge(old, one_row("b", "y", 1.0))
