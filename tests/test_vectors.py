"""The vectors are what their rows make today, canning reads them all, and a reader that lies is found out."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from .vectors import Row, vectors
from .vectors.__main__ import main
from .vectors.judging import Reader, judge, judged
from .vectors.make import GROUPS
from .vectors.read import answer, import_packages

MODULES = {
    "zstd": "compression.zstd" if sys.version_info >= (3, 14) else "zstandard",  # as canning.codecs has it
    "StringDType": "numpy.strings",  # both are in numpy from 2.0 on
}
KEPT = {(group, vector["name"]): vector for group, vector in vectors()}
SAID = {group: [vector for each, vector in vectors() if each == group] for group in GROUPS}


def package_of(name: str) -> str | None:
    """Name the module that a vector needs, which stands in front of a colon."""
    package, colon, _ = name.partition(":")
    return MODULES.get(package, package) if colon else None


def is_here(name: str) -> bool:
    package = package_of(name)
    return package is None or importlib.util.find_spec(package) is not None


@pytest.mark.parametrize("group", GROUPS)
def test_vectors_are_current(group: str) -> None:
    """``python -m tests.vectors.make`` writes them again; messages of other packages may differ."""
    made: list[Row] = list(GROUPS[group]())
    assert len({row.name for row in made}) == len(made)
    for row in made:
        kept = KEPT[group, row.name]
        assert package_of(row.name) is not None or json.loads(json.dumps(row.line())) == kept, row.name
    left = {vector["name"] for vector in SAID[group]} - {row.name for row in made}
    assert [name for name in left if is_here(name)] == []


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "headers"])
def test_canning_reads_them(group: str) -> None:
    import_packages()
    failed = []
    for vector in SAID[group]:
        outcome, said = judge(vector, answer(vector))
        if outcome != "right" and is_here(vector["name"]):
            failed.append((vector["name"], outcome, said))
    assert failed == []


def test_both_kinds_are_there() -> None:
    refused = sum("refused" in vector for vector in KEPT.values())
    assert 40 < refused < len(KEPT) - 40


@pytest.mark.parametrize(
    ("vector", "given", "outcome"),
    [
        ({"values": [1]}, {"values": [2]}, "wrong"),
        ({"values": [1]}, {"values": [True]}, "wrong"),
        ({"values": [1]}, {"values": [1, 1]}, "wrong"),
        ({"values": [[]]}, {"values": [{}]}, "wrong"),
        ({"values": [1]}, {"refused": "no"}, "refused"),
        ({"values": [1]}, {"unsupported": "no"}, "unsupported"),
        ({"values": [1], "containers": [1]}, {"unsupported": "no", "containers": [2]}, "wrong"),
        ({"values": [1], "containers": [1]}, {"unsupported": "no", "containers": [1]}, "unsupported"),
        ({"values": [1]}, {}, "no answer"),
        ({"values": [1]}, 1, "no answer"),
        ({"refused": "cut"}, {"values": [1]}, "accepted"),
        ({"refused": "cut"}, {"unsupported": "no"}, "right"),
        ({"values": [{"set": [1, 2]}]}, {"values": [{"set": [2, 1]}]}, "right"),
        ({"values": [{"dict": [["a", 1], ["b", 2]]}]}, {"values": [{"dict": [["b", 2], ["a", 1]]}]}, "right"),
    ],
)
def test_judge(vector: dict[str, Any], given: Any, outcome: str) -> None:
    assert judge(vector, given)[0] == outcome


READER = """
import json, sys
for number, line in enumerate(sys.stdin):
    assert json.loads(line).keys() == {"message"}
    if number == 1:
        sys.exit()
    print(json.dumps({"values": [number]}), flush=True)
"""


def test_a_reader_that_ends_is_started_again(tmp_path: Path) -> None:
    program = tmp_path / "reader.py"
    program.write_text(READER)
    asked = [("group", {"name": str(n), "message": "", "values": [0]}) for n in range(3)]
    outcomes = [each.outcome for each in judged([sys.executable, str(program)], asked)]
    assert outcomes == ["right", "no answer", "right"]


def test_a_reader_that_hangs_is_ended(tmp_path: Path) -> None:
    program = tmp_path / "reader.py"
    program.write_text("import sys\nsys.stdin.readline()\nsys.stdin.readline()\n")
    reader = Reader([sys.executable, str(program)], patience=0.2)
    assert reader.ask({"message": ""}) is None
    reader.close()


def test_the_command_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "reader.py"
    program.write_text(READER.replace("if number == 1", "if False"))
    assert main([sys.executable, str(program)]) == 1
    shown = capsys.readouterr().out
    assert "accepted: containers: frames is 0: the footer does not fit" in shown
    assert shown.splitlines()[-1].split()[0] == "all"
