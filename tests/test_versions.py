"""Frames that one interpreter writes are read by another, where no function travels by value."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .golden.make import check, write

ROOT = Path(__file__).parents[1]
FRAMES = os.environ.get("CANNING_FRAMES")
"""A folder in which the tests of each version of Python leave frames, and read those of all others."""
NEEDED = """
import sys, numpy, cloudpickle
new_enough = int(cloudpickle.__version__.split('.')[0]) >= 3 and hasattr(numpy, 'exceptions')
print('%d.%d' % sys.version_info[:2] if new_enough else '')
"""


def others() -> dict[str, str]:
    """Find interpreters of other versions that have what canning needs.

    Those named in ``CANNING_OTHER_PYTHON``, those on the path, and the environments that `make` has made.
    """
    names = os.environ.get("CANNING_OTHER_PYTHON", "").split(os.pathsep)
    names += [f"python3.{minor}" for minor in range(11, 16)]
    names += [str(path) for path in sorted(ROOT.glob(".venv*/bin/python"))]
    found: dict[str, str] = {}
    for name in filter(None, map(shutil.which, filter(None, names))):
        try:
            done = subprocess.run(
                [name, "-c", NEEDED], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = done.stdout.strip()
        if done.returncode == 0 and version not in ("", f"{sys.version_info[0]}.{sys.version_info[1]}"):
            found.setdefault(version, name)
    return found


@pytest.fixture(scope="module")
def interpreters() -> dict[str, str]:
    found = others()
    if not found:
        pytest.skip(
            "no Python of another version with numpy and cloudpickle: name one in CANNING_OTHER_PYTHON"
        )
    return found


def run(interpreter: str, call: str, folder: Path) -> list[str]:
    code = f"import sys, pathlib, tests.golden.make as m; print(*m.{call}(pathlib.Path(sys.argv[1])))"
    command = [interpreter, "-c", code, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_what_another_version_writes_is_read_here(interpreters: dict[str, str], tmp_path: Path) -> None:
    for version, interpreter in interpreters.items():
        folder = tmp_path / version
        written = run(interpreter, "write", folder)
        assert len(written) > 30
        assert len(check(folder)) > 30


def test_what_is_written_here_is_read_by_another_version(
    interpreters: dict[str, str], tmp_path: Path
) -> None:
    assert len(write(tmp_path)) > 30
    for interpreter in interpreters.values():
        assert len(run(interpreter, "check", tmp_path)) > 30


@pytest.mark.skipif(FRAMES is None, reason="no folder of frames in CANNING_FRAMES")
def test_frames_of_each_version_are_read() -> None:
    folder = ROOT / str(FRAMES)
    folder.mkdir(exist_ok=True)
    write(folder / f"{sys.version_info[0]}.{sys.version_info[1]}")
    for version in sorted(folder.iterdir()):
        assert len(check(version)) > 30, version.name
