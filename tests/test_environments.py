"""Frames cross between versions of Python and of numpy, in environments that these tests make."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .golden.make import check, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[1]
OTHER_NUMPY = "numpy==1.26.*"
FUNCTIONS = """
import collections
import dataclasses
import math
import sys
import typing
import canning

RATE = 3

@dataclasses.dataclass(order=True)
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list, compare=False)
    z: dataclasses.InitVar[int] = 2
    def __post_init__(self, z): self.y.append(z)

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    v: float = 0.5

class Pair(typing.NamedTuple):
    a: int
    b: str = "b"

def one_line(x): y = x + 1; z = [y for _ in range(2)]; return z

def area(r, *, unit="m"):
    return f"{math.floor(RATE * r)} {unit}"

class Shape:
    def __init__(self, r):
        self.r = r

    def area(self):
        return area(self.r)

def main(path, by_value_as):
    step = 2
    obj = {"area": area, "closure": lambda x: x + step, "shape": Shape(4)}
    obj["made"] = Point(1), Point, Frozen(), Frozen, Pair(1), collections.namedtuple("N", "q")(3), one_line
    canning.dump(obj, path, by_value_as=by_value_as)

main(*sys.argv[1:])
"""
READ = """
import sys
import canning

try:
    obj = canning.load(sys.argv[1], trust="code")
except canning.VersionMismatch as error:
    print("mismatch:", error)
else:
    print(obj["area"](2), obj["closure"](5), obj["shape"].area())
    point, Point, frozen, Frozen, pair, named, one_line = obj["made"]
    assert repr(point) == "Point(x=1, y=[2])" and point < Point(2) and Point(1, z=7).y == [7]
    assert hash(frozen) == hash(Frozen()) and not hasattr(frozen, "__dict__") and type(frozen) is Frozen
    assert pair == (1, "b") and named.q == 3 and one_line(1) == [2, 2]
    try:
        frozen.v = 1
        raise SystemExit("frozen no more")
    except AttributeError:
        pass
"""


def interpreter(version: str) -> str:
    """Find an interpreter, among those that pyenv keeps too."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(root.glob(f"versions/{version}*/bin/python{version}"))
    for name in (f"python{version}", *map(str, kept)):
        found = shutil.which(name)
        if found is None:
            continue
        done = subprocess.run([found, "-c", ""], capture_output=True, check=False)
        if done.returncode == 0:  # a shim that is not selected only says so
            return found
    pytest.skip(f"no Python {version} on this machine")


def environment(folder: Path, python: str, numpy: str) -> str:
    """Make an environment with what canning needs."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True, capture_output=True)
    made = str(folder / "bin" / "python")
    install = [made, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", numpy, "cloudpickle"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install {numpy} here: {done.stderr[-200:]}")
    return made


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    version = "3.13" if sys.version_info[:2] != (3, 13) else "3.11"
    return environment(tmp_path_factory.mktemp("python"), interpreter(version), "numpy")


@pytest.fixture(scope="module")
def other_numpy(tmp_path_factory: pytest.TempPathFactory) -> str:
    if sys.version_info >= (3, 13):
        pytest.skip("there is no numpy 1.26 for this version of Python")
    return environment(tmp_path_factory.mktemp("numpy"), sys.executable, OTHER_NUMPY)


def run(python: str, *arguments: object) -> str:
    command = [python, *map(str, arguments)]
    paths = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=paths, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


CALL = "import sys, pathlib, tests.golden.make as m; print(*m.{}(pathlib.Path(sys.argv[1])))"


@pytest.mark.parametrize("other", ["other_python", "other_numpy"])
def test_data_crosses_both_ways(other: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    python = request.getfixturevalue(other)
    assert len(run(python, "-c", CALL.format("write"), tmp_path / "there").split()) > 30
    assert len(check(tmp_path / "there")) > 30
    assert len(write(tmp_path / "here")) > 30
    assert len(run(python, "-c", CALL.format("check"), tmp_path / "here").split()) > 30


def scripts(folder: Path) -> tuple[Path, Path]:
    (folder / "write.py").write_text(FUNCTIONS)
    (folder / "read.py").write_text(READ)
    return folder / "write.py", folder / "read.py"


def test_source_crosses_versions_of_python_and_code_does_not(other_python: str, tmp_path: Path) -> None:
    writer, reader = scripts(tmp_path)
    for sender, receiver in ((sys.executable, other_python), (other_python, sys.executable)):
        run(sender, writer, tmp_path / "as-source", "source")
        assert run(receiver, reader, tmp_path / "as-source") == "6 m 7 12 m\n"
        run(sender, writer, tmp_path / "as-code", "code")
        said = run(receiver, reader, tmp_path / "as-code")
        assert said.startswith("mismatch:")
        for python in (sender, receiver):
            version = run(python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
            assert f"Python {version}" in said


def test_pickles_of_arrays_cross_versions_of_numpy(other_numpy: str, tmp_path: Path) -> None:
    dump = "import sys, pickle, numpy; pickle.dump(numpy.arange(5.0), open(sys.argv[1], 'wb'), 5)"
    load = "import sys, canning; print(canning.load(sys.argv[1], trust='code').sum())"
    for sender, receiver in ((sys.executable, other_numpy), (other_numpy, sys.executable)):
        run(sender, "-c", dump, tmp_path / "a.pkl")
        assert run(receiver, "-c", load, tmp_path / "a.pkl") == "10.0\n"
