"""cloudpickle's own tests, with canning's `dumps` and `loads` for its own."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .run_cloudpickle import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
URL = "https://github.com/cloudpipe/cloudpickle"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give the checkout that ``CANNING_CLOUDPICKLE`` names, or a clone of what is installed."""
    pytest.importorskip("psutil", reason="cloudpickle's tests need psutil")
    named = os.environ.get("CANNING_CLOUDPICKLE")
    if named:
        return Path(named)
    git = shutil.which("git")
    if git is None:
        pytest.skip("needs git, or a clone of cloudpickle named in CANNING_CLOUDPICKLE")
    clone = [git, "clone", "--quiet", "--depth=1", f"--branch=v{importlib.metadata.version('cloudpickle')}"]
    quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            [*clone, URL, tmp_path / "clone"], env=quiet, capture_output=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{URL} does not answer")
    if done.returncode:
        pytest.skip(f"{URL} cannot be cloned here: {done.stderr.decode(errors='replace')[-200:]}")
    return tmp_path / "clone"


def test_none_fails_with_canning_alone(checkout: Path) -> None:
    assert main([str(checkout)]) == 0
