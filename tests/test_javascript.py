"""The reader and writer in JavaScript: the vectors through Node, and what it writes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .vectors import FOLDER, vectors
from .vectors.judging import judged

HERE = Path(__file__).parent
MODULE = HERE.parent / "notebooks" / "javascript"
OLDEST = 20


def _node() -> str:
    """Give Node's command; skip the test where there is none, or one that is too old."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version[1:].split(".")[0]) < OLDEST:
        pytest.skip(f"node {version.strip()} is older than {OLDEST}")
    return node


def test_vectors() -> None:
    found = list(judged([_node(), str(FOLDER / "read.mjs")], vectors()))
    assert [each for each in found if each.outcome not in ("right", "unsupported")] == []
    assert len(found) > 100
    assert all(each.name.startswith("zstd") for each in found if each.outcome == "unsupported")


def test_the_types_name_what_the_module_exports() -> None:
    exported = re.compile(r"^export (?:declare )?(?:async )?(?:const|function|class) (\w+)", re.MULTILINE)
    names = [
        set(exported.findall((MODULE / name).read_text("utf-8"))) for name in ("canning.js", "canning.d.ts")
    ]
    assert names[0] == names[1] > {"CanningError", "parse"}
