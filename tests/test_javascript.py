"""The reader and writer in JavaScript: the vectors through Node, and what it writes."""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import canning
from canning.pickles.trees import tree_of
from canning.wire.blob import frames_of
from canning.wire.keys import Key, verify
from canning.wire.trailer import TREE, parse

from .test_vectors import is_here
from .vectors import vectors
from .vectors.judging import Reader, judged
from .vectors.neutral import same
from .vectors.read import import_packages, values_of

HERE = Path(__file__).parent
PROGRAMS = HERE / "javascript"
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
    found = list(judged([_node(), str(PROGRAMS / "read.mjs")], vectors()))
    assert [each for each in found if each.outcome not in ("right", "unsupported")] == []
    assert len(found) > 100
    unsupported = [each for each in found if each.outcome == "unsupported"]
    assert all(each.group == "pickles" or each.name.startswith("zstd") for each in unsupported)


def test_the_types_name_what_the_module_exports() -> None:
    exported = re.compile(r"^export (?:declare )?(?:async )?(?:const|function|class) (\w+)", re.MULTILINE)
    names = [
        set(exported.findall((MODULE / name).read_text("utf-8"))) for name in ("canning.js", "canning.d.ts")
    ]
    assert names[0] == names[1] > {"CanningError", "parse"}


def test_checks() -> None:
    run = subprocess.run(
        [_node(), "--test", str(PROGRAMS / "checks.mjs")],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=55,
    )
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr


def test_what_it_writes_is_read_as_data() -> None:
    """It reads each vector and writes it again: canning reads the same, and both headers say the same."""
    import_packages()
    reader, unwritten = Reader([_node(), str(PROGRAMS / "read.mjs"), "--again"]), []
    try:
        for vector in (vector for group, vector in vectors() if group == "values"):
            given = reader.ask(vector)
            if "written" not in given:
                unwritten.append(vector["name"])
                continue
            said = []
            for blob in given["written"]:
                frames = [bytes(frame) for frame in frames_of(base64.b64decode(blob))]
                if "key" in vector:
                    frames = verify(frames, (Key(bytes.fromhex(vector["key"])),))
                said.append(values_of(frames))
                check_header(frames[0], vector["name"])
            found = [value for each in said for value in each.get("values", [each])]
            differs = same(vector["values"], found)
            assert differs is None or ("unsupported" in said[0] and not is_here(vector["name"])), (
                vector["name"],
                differs,
            )
    finally:
        reader.close()
    assert {name for name in unwritten if not name.startswith("zstd")} == {"masked"}


def test_the_page_runs(tmp_path: Path) -> None:
    """Run what docs/javascript.md shows; Python reads what that wrote."""
    pd = pytest.importorskip("pandas")
    photo = np.zeros((400, 300, 3), np.uint8)
    table = pd.DataFrame({"city": ["Oslo", "Rome"], "t": [4.5, 17.0]})
    canning.dump({"photo": photo, "table": table}, tmp_path / "photo.canned", portable=True)
    page = (HERE.parent / "docs" / "javascript.md").read_text("utf-8")
    fences = re.findall(r"^```js\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    said = re.findall(r"^(\w\S*\(?.*?); +// (\[.*|\{.*)$", fences[0], re.MULTILINE)
    checks = [f"assert.deepEqual({code}, {result});" for code, result in said]
    assert len(checks) == 3
    program = "\n".join(['import assert from "node:assert/strict";', *fences, *checks])
    (tmp_path / "page.mjs").write_text(
        program.replace('from "canning"', f'from "{(MODULE / "canning.js").as_uri()}"')
    )
    subprocess.run([_node(), "page.mjs"], cwd=tmp_path, check=True, timeout=55)
    got = canning.load(tmp_path / "from-js.canned")
    assert got["image"].shape == (2, 3, 4)
    assert got["image"].dtype == np.uint8
    assert got["cities"]["city"].isna().tolist() == [False, True]
    assert got["at"] == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert got["ids"] == {1, 2**70}


def check_header(head: bytes, name: str) -> None:
    """Check that the JSON says what canning would say of that pickle."""
    trailer = parse(head)
    assert trailer is not None
    told = json.loads(trailer.extensions[TREE])
    expected = json.loads(tree_of(head[: trailer.pickle_length], lambda name: False))
    assert name in OTHERWISE or unnumbered(told) == unnumbered(expected), name


OTHERWISE = {"dict with keys that JavaScript knows"}
"""What is said in another way than canning does, which is as good."""


def unnumbered(node: Any) -> Any:
    """Leave out the numbers of arrays of objects: canning numbers those that nothing refers to as well."""
    if isinstance(node, list):
        return [unnumbered(item) for item in node]
    if not isinstance(node, dict):
        return node
    more = ("id",) if node.get("$") == "objects" else ()
    return {name: unnumbered(item) for name, item in node.items() if name not in more}
